"""A skip is named, counted, and a failure under CI; what is missing is installed where we may."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
from tests import needs

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = """
import asyncio, pytest

async def test_passes():
    await asyncio.sleep(0)

async def test_skips():
    pytest.skip("the moon is missing; fetch it with: a rope")

@pytest.mark.xfail(strict=True)
async def test_is_expected_to_fail():
    raise AssertionError

@pytest.mark.skipif(True, reason="never")
def test_is_skipped_by_a_marker():
    pass
"""


def run_pytest(folder: pathlib.Path, source: str, ci: str) -> tuple[int, str]:
    """Run tests under our conftest, in a process of their own; exit code and output."""
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-ra", "test_it.py"],
        cwd=folder,
        env={"CI": ci, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_skip_is_named_and_counted(tmp_path: pathlib.Path) -> None:
    code, output = run_pytest(tmp_path, SOURCE, ci="")
    assert code == 0
    assert "the moon is missing; fetch it with: a rope" in output
    assert "2 skipped (named above" in output
    assert "1 passed, 2 skipped, 1 xfailed" in output


def test_under_ci_a_skip_is_a_failure(tmp_path: pathlib.Path) -> None:
    code, output = run_pytest(tmp_path, SOURCE, ci="true")
    assert code == 1
    assert "a skip is a failure there: Skipped: the moon is missing" in output
    assert "1 passed, 1 xfailed" in output
    assert "skipped," not in output


def test_under_ci_a_module_that_skips_itself_is_an_error(tmp_path: pathlib.Path) -> None:
    source = "import pytest\npytest.importorskip('a_module_that_is_not_there')\n"
    code, output = run_pytest(tmp_path, source, ci="true")
    assert code not in {0, 5}
    assert "a_module_that_is_not_there" in output


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import asyncio, pytest\n@pytest.mark.time_limit(0.05)\n"
            "async def test_hangs():\n    await asyncio.Event().wait()\n",
            "the test did not end within 0.05 s",
        ),
        (
            "import asyncio\nasync def test_hides_it():\n"
            "    asyncio.get_running_loop().call_soon(lambda: 1 / 0)\n    await asyncio.sleep(0)\n",
            "an exception that only the event loop saw",
        ),
        (
            "from hypothesis import given, strategies as st\n@given(st.integers())\n"
            "async def test_finds_it(number):\n    assert number < 10\n",
            "assert 10 < 10",
        ),
    ],
)
def test_a_coroutine_test_can_fail(tmp_path: pathlib.Path, source: str, message: str) -> None:
    code, output = run_pytest(tmp_path, source, ci="")
    assert code == 1
    assert message in output


MOON = needs.Program("a-program-that-is-not-there", "moon")


def test_a_program_that_is_missing_skips_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "can_install", lambda: False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install -y moon"):
        MOON.path()


def test_a_program_that_is_missing_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    calls: list[tuple[str, ...]] = []

    def apt_get(*arguments: str) -> bool:
        calls.append(arguments)
        if calls.count(arguments) == 1 and arguments[0] == "install":
            return False  # as with an index that is older than the mirror
        if arguments[0] == "install":
            program = tmp_path / MOON.name
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
        return True

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(needs, "can_install", lambda: True)
    monkeypatch.setattr(needs, "apt_get", apt_get)
    assert MOON.path() == str(tmp_path / MOON.name)
    assert [arguments[0] for arguments in calls] == ["install", "update", "install"]


def test_a_program_that_cannot_be_installed_skips_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(needs, "can_install", lambda: True)
    monkeypatch.setattr(needs, "apt_get", lambda *_: False)
    with pytest.raises(pytest.skip.Exception, match="moon"):
        MOON.path()
