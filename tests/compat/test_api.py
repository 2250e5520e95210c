"""The API is that of ``websockets``: names and parameters, but for what the list says."""

from __future__ import annotations

import linecache
import sys
import types

import pytest
import websockets.version
from tests.compat.compare import Difference, compare_modules, differences
from tests.compat.deviations import DOCUMENT, Deviation, Deviations, document, load

from wirebird.engine import is_native_built


@pytest.fixture(scope="module")
def found() -> list[Difference]:
    """What differs from the installed ``websockets``."""
    return differences()


def test_the_reference_is_the_version_that_the_list_is_about() -> None:
    assert websockets.version.version == "17.4"


def test_each_difference_is_listed(found: list[Difference]) -> None:
    assert [f"{name}: {what}" for name, what in load().unlisted(found)] == []


@pytest.mark.skipif(
    not is_native_built(), reason="the native engine is not built, which differs more: a C compiler"
)
def test_each_entry_is_still_a_difference(found: list[Difference]) -> None:
    assert load().outdated(found) == []


def test_the_document_is_made_from_the_list() -> None:
    expected = document(load())
    assert DOCUMENT.read_text(encoding="utf-8") == expected, (
        "run: python -m tests.compat.deviations --write"
    )


REFERENCE = """
import enum
__all__ = ["function", "coroutine", "Class", "Error", "Number", "VALUE"]
def function(a, b=1, *, c=None): ...
async def coroutine(): ...
class Class:
    def __init__(self, x): self.x = x
    def method(self, y): ...
    async def later(self): ...
    @property
    def value(self): ...
class Error(ValueError): ...
class Number(enum.IntEnum): ONE = 1
VALUE = 1
"""


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("VALUE = 1", "", ("VALUE", "there is no such name")),
        ("VALUE = 1", "VALUE = 2", ("VALUE", "is 2, not 1")),
        ('"VALUE"]', "]", ("VALUE", "is not in __all__")),
        ("(a, b=1, *,", "(b=1, *, a,", ("function", "parameter a is keyword-only")),
        ("b=1", "b=2", ("function", "parameter b is 2 by default, not 1")),
        ("b=1", "z=1", ("function", "has no parameter b")),
        ("a, b=1", "b=1, a=1", ("function", "takes positions ['b', 'a']")),
        ("b=1,", "b=1, d=2,", ("function", "parameter d is new, and not keyword-only")),
        ("async def c", "def c", ("coroutine", "is a function, not a coroutine function")),
        ("self, x)", "self, w)", ("Class", "has no parameter x")),
        ("self.x = x", "self.y = x", ("Class.x", "there is no such attribute")),
        ("def method(self, y)", "def other(self)", ("Class.method", "there is no such method")),
        ("self, y", "self", ("Class.method", "has no parameter y")),
        (
            "async def later",
            "def later",
            ("Class.later", "is a function, not a coroutine function"),
        ),
        ("@property", "", ("Class.value", "is a function, not a property")),
        ("(ValueError)", "(KeyError)", ("Error", "does not inherit from ValueError")),
        ("ONE = 1", "ONE = 2", ("Number", "has other members")),
        ("def function(a, b=1, *, c=None): ...", "function = 1", ("function", "is a value")),
    ],
)
def test_the_comparison_finds_what_differs(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, difference: Difference
) -> None:
    sources = {"websockets.planted": REFERENCE, "wirebird.planted": REFERENCE.replace(old, new)}
    assert sources["wirebird.planted"] != REFERENCE
    theirs, ours = (_planted(monkeypatch, name, source) for name, source in sources.items())
    found = list(compare_modules(theirs, ours))
    name, what = difference
    assert any(
        path == f"websockets.planted.{name}" and said.startswith(what) for path, said in found
    ), found


def test_the_comparison_finds_nothing_between_equals(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = (
        _planted(monkeypatch, name, REFERENCE) for name in ("websockets.same", "wirebird.same")
    )
    assert list(compare_modules(theirs, ours)) == []


def test_further_parameters_may_be_keyword_only(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = _planted(monkeypatch, "websockets.more", REFERENCE)
    ours = _planted(monkeypatch, "wirebird.more", REFERENCE.replace("c=None", "c=None, d=None"))
    assert list(compare_modules(theirs, ours)) == []


def _planted(monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> types.ModuleType:
    """Make a module whose source can be read, as that of a file."""
    module = types.ModuleType(name)
    filename = f"<planted {name}>"
    module.__file__ = filename
    lines = source.splitlines(keepends=True)
    monkeypatch.setitem(linecache.cache, filename, (len(source), None, lines, filename))
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(source, filename, "exec"), vars(module))
    return module


def test_the_list_notices_what_is_missing_and_what_is_outdated() -> None:
    entry = Deviation(("a.*", "gone"), "there is no such *", "because")
    listed = Deviations((entry,), ())
    differences = [
        ("websockets.a.b", "there is no such name"),
        ("websockets.a.c", "has other members"),
    ]
    assert listed.unlisted(differences) == [("websockets.a.c", "has other members")]
    assert listed.outdated(differences) == ["gone"]
