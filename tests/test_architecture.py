"""Imports point one way; this reads them all and says which line does not.

The rule is the table below: each part of the package, and the parts it may know. It also holds
the core to the standard library, without the modules through which it could act by itself
(sockets, clocks, threads, chance), and everything else to the standard library and the extras.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "wirebird"

# Thin modules where users of ``websockets`` look for names, and what all adapters share; they hold
# no rule.
FACADES = {
    "auth",
    "client",
    "datastructures",
    "dialing",
    "endpoint",
    "extensions",
    "frames",
    "headers",
    "http11",
    "protocol",
    "proxy",
    "routing",
    "server",
    "streams",
    "typing",
    "uri",
    "utils",
}
_GROUND = {"exceptions", "version", "core"}
_ENGINES = _GROUND | {"native", "engine"}
_ADAPTERS = _ENGINES | FACADES
_SURFACES = _ADAPTERS | {"asyncio", "sync"}
_TOOLS = _SURFACES | {"browser", "asgi", "transports", "hub"}

# Which parts each part may import, itself aside. "" is ``wirebird/__init__.py``.
MAY_IMPORT: dict[str, set[str]] = {
    "version": set(),
    "exceptions": {"version"},
    "core": {"exceptions", "version"},
    "native": _GROUND,
    "engine": _GROUND | {"native"},
    **{facade: _GROUND | {"engine"} | FACADES for facade in FACADES},
    "auth": _GROUND | {"asyncio"},  # what it shows at the path of websockets is an adapter's
    "asyncio": _ADAPTERS,
    "sync": _ADAPTERS,
    "browser": _SURFACES,
    "asgi": _SURFACES,
    "instrumentation": _SURFACES,
    "testing": _SURFACES,
    "hub": {"core", "exceptions"},
    "transports": _SURFACES | {"hub"},
    "inspector": _TOOLS,
    "cli": _TOOLS | {"inspector"},
    "__main__": {"cli"},
    "": _SURFACES | {"browser"},
}

# Through these the core would act, wait, or know the time by itself.
CORE_MUST_NOT_IMPORT = {
    "asyncio",
    "concurrent",
    "multiprocessing",
    "random",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
}

# What the extras bring, and who may use it.
EXTRAS: dict[str, set[str]] = {
    "asgi": {"uvicorn"},
    "asyncio": {"python_socks", "werkzeug"},
    "auth": {"jwt"},
    "cli": {"click", "prompt_toolkit", "rich", "uvicorn"},
    "extensions": {"brotli", "compression", "zstandard"},
    "instrumentation": {"opentelemetry", "prometheus_client"},
    "sync": {"python_socks", "werkzeug"},
    "routing": {"werkzeug"},
    "testing": {"pytest"},
}


class Imports(ast.NodeVisitor):
    """Collects the absolute names that a module imports, wherever in it.

    Args:
        module: its dotted name, of which the last part is ``__init__`` for a package.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self.found: list[tuple[int, str, bool]] = []  # line, name, for type checking alone
        self._type_checking = False

    def _add(self, node: ast.AST, name: str) -> None:
        self.found.append((getattr(node, "lineno", 0), name, self._type_checking))

    def visit_If(self, node: ast.If) -> None:
        before = self._type_checking
        test = ast.unparse(node.test)
        self._type_checking = before or test in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for child in node.body:
            self.visit(child)
        self._type_checking = before
        for child in node.orelse:
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._absolute(node.level, node.module or "")
        if base == "wirebird":
            # ``from . import core``: what is named is the part.
            for alias in node.names:
                self._add(node, f"wirebird.{alias.name}")
        else:
            self._add(node, base)

    def visit_Call(self, node: ast.Call) -> None:
        """See ``import_module("...")`` and ``__import__("...")`` too, where the name is plain."""
        called = ast.unparse(node.func).rpartition(".")[2]
        if called in {"import_module", "__import__"} and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                level = len(name.value) - len(name.value.lstrip("."))
                self._add(node, self._absolute(level, name.value[level:]))
        self.generic_visit(node)

    def _absolute(self, level: int, name: str) -> str:
        if not level:
            return name
        package = self.module.split(".")[:-level]
        return ".".join([*package, name] if name else package)


def part_of(name: str) -> str:
    """Return the part of the package to which ``wirebird.x.y`` belongs."""
    names = name.split(".")
    return names[1] if len(names) > 1 and names[1] != "__init__" else ""


def complaint_about(part: str, name: str, type_checking: bool) -> str | None:
    """Say what is wrong with ``part`` importing ``name``; None where nothing is."""
    top = name.partition(".")[0]
    if top == "wirebird":
        target = part_of(name)
        if part == "exceptions" and target == "core" and type_checking:
            return None
        if target == part or target in MAY_IMPORT[part]:
            return None
        return f"{part or 'wirebird'} must not import {target or 'wirebird itself'}"
    if top in sys.stdlib_module_names:
        if part == "core" and top in CORE_MUST_NOT_IMPORT and not type_checking:
            return f"core is sans-I/O and must not import {top}"
        return None
    if top in EXTRAS.get(part, ()):
        return None
    return f"{part or 'wirebird'} must not depend on {top}"


def modules(package: Path) -> Iterator[tuple[str, Path]]:
    """Yield the dotted name and the path of every module below ``package``."""
    for path in sorted(package.rglob("*.py")):
        yield ".".join(path.relative_to(package.parent).with_suffix("").parts), path


def violations(package: Path) -> list[str]:
    """Return each line of ``package`` that breaks the rule, as ``file:line: why``."""
    result = []
    for module, path in modules(package):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = path.relative_to(package.parent)
        part = part_of(module)
        if part not in MAY_IMPORT:
            result.append(f"{where}:1: {part} has no place in the table of {Path(__file__).name}")
            continue
        imports = Imports(module)
        imports.visit(tree)
        for line, name, type_checking in imports.found:
            complaint = complaint_about(part, name, type_checking)
            if complaint:
                result.append(f"{where}:{line}: {complaint} ({name})")
        if part == "core":
            result += [
                f"{where}:{node.lineno}: core is sans-I/O and must not await"
                for node in ast.walk(tree)
                if isinstance(node, ast.AsyncFunctionDef | ast.Await)
            ]
    return result


def test_imports_point_one_way() -> None:
    assert list(modules(PACKAGE)), f"no modules in {PACKAGE}"
    assert violations(PACKAGE) == []


def test_every_folder_says_what_it_is_for() -> None:
    silent = []
    for folder in {path.parent for _, path in modules(PACKAGE)}:
        init = folder / "__init__.py"
        spoken = init.exists() and ast.get_docstring(ast.parse(init.read_text(encoding="utf-8")))
        if not spoken and not (folder / "README.md").exists():
            silent.append(str(folder.relative_to(PACKAGE.parent)))
    assert silent == []


@pytest.mark.parametrize(
    ("path", "line", "why"),
    [
        ("core/x.py", "import socket", "must not import socket"),
        ("core/x.py", "import asyncio.queues", "must not import asyncio"),
        ("core/x.py", "from time import monotonic", "must not import time"),
        ("core/x.py", "from ..engine import Engine", "core must not import engine"),
        ("core/x.py", "from .. import engine", "core must not import engine"),
        ("core/__init__.py", "from ..asyncio import client", "core must not import asyncio"),
        ("core/sub/__init__.py", "from ...native import x", "core must not import native"),
        ("core/sub/x.py", "from ...native import x", "core must not import native"),
        ("core/x.py", "import wirebird.server", "core must not import server"),
        ("core/x.py", "from wirebird import server", "core must not import server"),
        ("core/x.py", "from wirebird.server import y", "core must not import server"),
        ("core/x.py", "def f():\n    import random", "must not import random"),
        ("core/x.py", "import h11", "must not depend on h11"),
        ("core/x.py", "async def f(): ...", "must not await"),
        (
            "core/x.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..engine import E",
            "core must not import engine",
        ),
        ("core/x.py", "import importlib\nimportlib.import_module('time')", "must not import time"),
        ("exceptions.py", "from .core import close", "exceptions must not import core"),
        ("engine.py", "from .asyncio import client", "engine must not import asyncio"),
        ("protocol.py", "from .asyncio import client", "protocol must not import asyncio"),
        ("protocol.py", "import click", "must not depend on click"),
        ("asyncio/x.py", "from ..sync import client", "asyncio must not import sync"),
        ("asyncio/x.py", "from ..cli import main", "asyncio must not import cli"),
        ("asyncio/x.py", "import click", "must not depend on click"),
        ("hub/x.py", "from ..transports import sse", "hub must not import transports"),
        ("hub/x.py", "from ..asyncio import client", "hub must not import asyncio"),
        ("inspector/x.py", "from ..cli import main", "inspector must not import cli"),
        ("surprise.py", "x = 1", "surprise has no place in the table"),
    ],
)
def test_planted_violations_are_found(tmp_path: Path, path: str, line: str, why: str) -> None:
    planted = tmp_path / "wirebird" / path
    planted.parent.mkdir(parents=True)
    planted.write_text(f"{line}\n", encoding="utf-8")
    (found,) = violations(tmp_path / "wirebird")
    assert why in found
    assert found.startswith(f"wirebird/{path}:")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("core/x.py", "import zlib\nfrom . import rules\nfrom ..exceptions import ProtocolError"),
        ("core/sub/x.py", "from ..rules import Role\nfrom ...exceptions import ProtocolError"),
        (
            "exceptions.py",
            "import typing\nif typing.TYPE_CHECKING:\n    from .core.close import Close",
        ),
        ("asyncio/x.py", "import asyncio\nfrom ..protocol import Protocol\nimport werkzeug"),
        ("protocol.py", "from .core import state\nfrom .frames import Frame"),
        ("transports/x.py", "from ..hub import session\nfrom ..asyncio.server import serve"),
        ("cli/x.py", "import click\nfrom ..asyncio.client import connect"),
        ("__init__.py", "from .asyncio.client import connect\nfrom .version import version"),
        ("__main__.py", "from .cli import main"),
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, path: str, line: str) -> None:
    planted = tmp_path / "wirebird" / path
    planted.parent.mkdir(parents=True)
    planted.write_text(f"{line}\n", encoding="utf-8")
    assert violations(tmp_path / "wirebird") == []


@pytest.mark.parametrize("folder", ["core", "asyncio", "sync"])
def test_the_map_shows_every_module(folder: str) -> None:
    house = (PACKAGE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = {path.name for path in (PACKAGE / folder).glob("*.py")} - {"__init__.py"}
    assert len(names) > 5
    assert names - set(house.split()) == set()
