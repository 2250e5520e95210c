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


LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: pathlib.Path) -> None:
    """Sphinx checks those of the site; a repository's viewer shows all pages."""
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_seen() -> None:
    assert len(PAGES) > 5
    assert programs()
