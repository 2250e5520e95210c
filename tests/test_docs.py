"""The programs in the docs: they compile, and what they import is there."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest
from _pytest.mark import ParameterSet

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def programs() -> list[ParameterSet]:
    return [
        pytest.param(program, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, program in enumerate(PROGRAM.findall(page.read_text(encoding="utf-8")))
    ]


@pytest.mark.parametrize("program", programs())
def test_a_program_compiles_and_imports_what_is_there(program: str) -> None:
    tree = compile(program, "docs", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    imports: list[ast.stmt] = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wirebird"))
        or (isinstance(node, ast.Import) and node.names[0].name.startswith("wirebird"))
    ]
    exec(compile(ast.Module(imports, []), "docs", "exec"), {})


def test_every_page_is_seen() -> None:
    assert len(PAGES) > 5
    assert programs()
