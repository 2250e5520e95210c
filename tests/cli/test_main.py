"""The group of commands, and what happens without the extra that brings them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wirebird.cli import main
from wirebird.version import version


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"wirebird {version}\n"


def test_as_a_module() -> None:
    command = [sys.executable, "-m", "wirebird", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, f"wirebird {version}\n")


def test_the_list_of_commands_imports_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("connect", "doctor", "run", "serve"):
        monkeypatch.setitem(sys.modules, f"wirebird.cli.{name}", None)
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "connect" in shown
    assert "doctor" in shown
    assert "run" in shown
    assert "serve" in shown


@pytest.mark.parametrize("name", ["connect", "doctor", "run", "serve"])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"Usage: wirebird {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["fly"], ["--fly"], ["serve", "--fly"]])
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "No such" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra(
    missing: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "wirebird.cli.group" if missing == "click" else "wirebird.cli.serve"
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    if missing == "rich":
        # Whichever module of a command asks for it.
        error = ModuleNotFoundError("no rich", name="rich.console")
        monkeypatch.setattr("importlib.import_module", _raises(error))
    assert main(["serve"]) == 2
    assert "pip install 'wirebird[cli]'" in capsys.readouterr().err


def test_another_missing_module_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ModuleNotFoundError("no nonsense", name="nonsense")
    monkeypatch.setattr("importlib.import_module", _raises(error))
    with pytest.raises(ModuleNotFoundError, match="no nonsense"):
        main(["serve"])


def _raises(error: Exception) -> object:
    def raising(*_: object) -> None:
        raise error

    return raising
