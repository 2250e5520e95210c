"""The programs of docs/testing.md are run, each as a test file of a project."""

from __future__ import annotations

import pathlib
import re

from .test_plugin import ROOT, project, run

__all__ = ["project"]

PAGE = ROOT / "docs" / "testing.md"
CONFTEST = """
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


def test_the_programs_run(project: pathlib.Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for number, program in enumerate(programs):
        (project / f"test_{number}.py").write_text(program, encoding="utf-8")
    (project / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (project / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\n", encoding="utf-8")
    output = run(project, "-X", "dev", "-m", "pytest", "-W", "error", "-p", "no:cacheprovider")
    tests = sum(program.count("def test_") for program in programs)
    assert tests > 10
    assert f" {tests} passed in " in output, output
