"""``wirebird doctor``: it says what is so, and its exit code whether something is broken."""

from __future__ import annotations

import dataclasses
import importlib.machinery
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
from typing import Any

import pytest

import wirebird
from wirebird import engine
from wirebird.cli import main
from wirebird.cli.checkup.engines import EXTENSIONS, NOT_BUILT
from wirebird.cli.checkup.facts import EXTRAS, Facts, OpenFiles, gather
from wirebird.cli.checkup.judging import problems
from wirebird.cli.checkup.shown import as_text
from wirebird.version import version

PACKAGE = pathlib.Path(wirebird.__file__).parent
ROOT = PACKAGE.parents[1]
LIBRARY = importlib.machinery.EXTENSION_SUFFIXES[0]

needs_native = pytest.mark.skipif(
    not engine.is_native_built(),
    reason="the native engine is not built: a C compiler, then `make test` builds it",
)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WIREBIRD_ENGINE", "WIREBIRD_OWN_SOCKET"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def unbuilt(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with Wirebird as it is where there was no compiler."""
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "page")
    shutil.copytree(PACKAGE, tmp_path / "wirebird", ignore=ignored)
    return tmp_path


def doctor_in(folder: pathlib.Path, **environment: str) -> tuple[int, dict[str, Any]]:
    """Run it on the package in a folder; return its exit code and its JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "wirebird", "doctor", "--json"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    facts = json.loads(done.stdout)
    assert facts["location"] == str(folder / "wirebird")
    return done.returncode, facts


def as_json(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Run it here; return its exit code and its JSON."""
    code = main(["doctor", "--json"])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, facts


def test_it_knows_all_extensions() -> None:
    assert sorted(EXTENSIONS) == sorted(path.stem for path in (PACKAGE / "native").glob("*.pyx"))


def test_it_knows_all_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {
        extra: tuple(re.split(r"[\[<>=!~;\s]", requirement)[0] for requirement in requirements)
        for extra, requirements in project["optional-dependencies"].items()
    }
    assert names == EXTRAS


def test_what_is_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, facts = as_json(capsys)
    assert (code, facts["problems"]) == (0, [])
    assert facts["wirebird"] == version
    assert facts["python"].endswith(" " + sys.version.split()[0])
    assert facts["engine"]["name"] == engine.engine_name()
    assert facts["engine"]["is_native_built"] == engine.is_native_built()
    assert facts["extras"]["cli"]["click"]


@needs_native
def test_the_native_engine(capsys: pytest.CaptureFixture[str]) -> None:
    _, facts = as_json(capsys)
    assert facts["engine"]["extensions"] == dict.fromkeys(EXTENSIONS)
    assert facts["engine"]["vectors"] in {"avx2", "sse2", "neon", "none"}
    assert facts["engine"]["zlib"]
    assert facts["own_sockets"]["are_used"] is (sys.platform != "win32")


@needs_native
def test_the_environment_chooses(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIREBIRD_OWN_SOCKET", "0")
    code, facts = as_json(capsys)
    assert (code, facts["own_sockets"]["are_used"]) == (0, False)
    assert "WIREBIRD_OWN_SOCKET=0" in facts["own_sockets"]["why"]
    monkeypatch.setenv("WIREBIRD_ENGINE", "python")
    code, facts = as_json(capsys)
    assert (code, facts["engine"]["name"]) == (0, "python")
    assert facts["engine"]["why"] == "WIREBIRD_ENGINE=python asks for it"


def test_an_engine_that_there_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIREBIRD_ENGINE", "steam")
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert re.search("^engine +none: ValueError: unknown engine: 'steam'", shown, re.M)
    assert "\nBroken: No connection can be made: ValueError: unknown engine" in shown
    assert "To do: unset WIREBIRD_ENGINE." in shown
    assert re.search("^own sockets +no: there is no engine$", shown, re.M)


def test_without_the_native_engine(unbuilt: pathlib.Path) -> None:
    code, facts = doctor_in(unbuilt)
    assert (code, facts["problems"]) == (0, [])
    assert facts["engine"]["name"] == "python"
    assert "not built, which takes a C compiler" in facts["engine"]["why"]
    assert facts["engine"]["extensions"] == dict.fromkeys(EXTENSIONS, NOT_BUILT)
    assert facts["own_sockets"]["are_used"] is False


def test_the_native_engine_asked_for_and_not_built(unbuilt: pathlib.Path) -> None:
    code, facts = doctor_in(unbuilt, WIREBIRD_ENGINE="native")
    assert (code, facts["engine"]["name"]) == (1, None)
    (problem,) = facts["problems"]
    assert "the native engine was not built" in problem
    assert "unset WIREBIRD_ENGINE, or install Wirebird anew, with a C compiler" in problem


def test_a_library_that_cannot_be_loaded(unbuilt: pathlib.Path) -> None:
    (unbuilt / "wirebird" / "native" / f"connection{LIBRARY}").write_bytes(b"no library")
    code, facts = doctor_in(unbuilt)
    assert (code, facts["engine"]["name"]) == (1, "python")
    assert facts["engine"]["extensions"]["connection"].startswith("ImportError: ")
    (problem,) = facts["problems"]
    assert problem.startswith("The native engine is not whole: base (not built), connection (Impo")


def test_a_library_that_misses_another(unbuilt: pathlib.Path) -> None:
    (unbuilt / "wirebird" / "native" / "kernels.py").write_text("import nothing_of_that_name")
    code, facts = doctor_in(unbuilt)
    assert code == 1
    error = "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    assert facts["engine"]["extensions"]["kernels"] == error
    assert facts["engine"]["extensions"]["poller"] == NOT_BUILT


def test_a_native_engine_of_parts() -> None:
    facts = gather()
    parts: dict[str, str | None] = {**dict.fromkeys(EXTENSIONS), "sockets": NOT_BUILT}
    broken = with_extensions(facts, parts)
    (problem,) = problems(broken)
    assert problem.startswith("The native engine is not whole: sockets (not built). To do: ")
    assert "base: built; " in as_text(broken, [])
    assert "; sockets: not built" in as_text(broken, [])
    assert problems(with_extensions(facts, dict.fromkeys(EXTENSIONS))) == []


def with_extensions(facts: Facts, extensions: dict[str, str | None]) -> Facts:
    return dataclasses.replace(
        facts, engine=dataclasses.replace(facts.engine, error=None, extensions=extensions)
    )


def test_a_python_without_ssl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ssl", None)
    facts = gather()
    assert facts.tls is None
    assert any("without ssl" in problem for problem in problems(facts))
    assert re.search("^tls +none: Python was built without ssl$", as_text(facts, []), re.M)


@pytest.mark.parametrize(
    ("limits", "shown"),
    [
        (OpenFiles(1024, 524288), "1,024, and each connection is one; ulimit -n raises it up to"),
        (OpenFiles(1024, None), "1,024, and each connection is one; ulimit -n raises it up to no"),
        (OpenFiles(9, 9), "9, and each connection is one\n"),
        (None, "this system has no such limit\n"),
    ],
)
def test_open_files(limits: OpenFiles | None, shown: str) -> None:
    text = as_text(dataclasses.replace(gather(), open_files=limits), [])
    assert re.search(f"^open files +{re.escape(shown)}", text, re.M)


def test_an_extra_that_is_missing() -> None:
    facts = gather()
    facts.extras["cli"]["rich"] = None
    assert "missing: rich; pip install 'wirebird[cli]'" in as_text(facts, problems(facts))
    assert problems(facts) == []


@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"]])
def test_without_the_extra_of_the_command_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(arguments) == 0
    expected = capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "click", None)
    monkeypatch.delitem(sys.modules, "wirebird.cli.group")
    assert main(arguments) == 0
    assert capsys.readouterr().out == expected
    monkeypatch.setattr("sys.argv", ["wirebird", *arguments])
    assert main() == 0
    assert capsys.readouterr().out == expected
    assert main([*arguments, "--fly"]) == 2
    assert "pip install 'wirebird[cli]'" in capsys.readouterr().err


def test_a_path_that_the_output_cannot_show(unbuilt: pathlib.Path) -> None:
    folder = unbuilt / "Vögel"
    folder.mkdir()
    (unbuilt / "wirebird").rename(folder / "wirebird")
    done = subprocess.run(
        [sys.executable, "-m", "wirebird", "doctor"],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"V\\xf6gel" in done.stdout


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="the system has no terminals")
@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal(no_color: str) -> None:
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "500", "NO_COLOR": no_color}
    with open(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "wirebird", "doctor"], stdout=theirs, env=environment
        )
        os.close(theirs)
        shown = b""
        try:
            while data := terminal.read(65536):
                shown += data
        except OSError:  # how Linux says that nobody writes any more
            pass
    assert process.wait(30) == 0
    assert (b"\x1b[" in shown) is not bool(no_color)
    assert (b"\x1b[32mNothing" in shown) is not bool(no_color)  # in green
    assert b"engine" in shown
    assert b"Nothing is broken." in shown
