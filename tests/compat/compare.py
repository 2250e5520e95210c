"""Walks the public names of ``websockets`` and says where Wirebird's, at the same path, differ.

Compared are: that the name is there; of functions the parameters (name, order, kind, default;
further ones of ours must be keyword-only) and whether they are coroutines or generators; of
classes the constructor, the methods and properties, the attributes that are set on instances, and
of exceptions the bases; of enumerations the members; of constants the value.
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
import textwrap
import types
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["MODULES", "Difference", "compare_modules", "differences"]

# All modules of websockets but those for legacy and trio, and its private plumbing.
MODULES = (
    "",
    ".asyncio.client",
    ".asyncio.connection",
    ".asyncio.messages",
    ".asyncio.router",
    ".asyncio.server",
    ".auth",
    ".client",
    ".datastructures",
    ".exceptions",
    ".extensions",
    ".extensions.base",
    ".extensions.permessage_deflate",
    ".frames",
    ".headers",
    ".http11",
    ".protocol",
    ".proxy",
    ".server",
    ".streams",
    ".sync.client",
    ".sync.connection",
    ".sync.router",
    ".sync.server",
    ".typing",
    ".uri",
    ".utils",
    ".version",
)

# Special methods that are part of what users do with an object.
_SPECIAL = {
    *("__aenter__", "__aexit__", "__aiter__", "__anext__", "__await__", "__call__"),
    *("__contains__", "__delitem__", "__enter__", "__exit__", "__getitem__", "__iter__"),
    *("__len__", "__next__", "__setitem__"),
}

# The values of these are each library's own.
_OWN_VALUES = {"websockets.version.version", "websockets.version.tag", "websockets.version.commit"}

Difference = tuple[str, str]
"""The name, as it is in ``websockets``, and what differs."""


def differences() -> list[Difference]:
    """Return every difference, in the order of the modules."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some names warn when they are used
        return list(_differences())


def _differences() -> Iterator[Difference]:
    for suffix in MODULES:
        theirs = importlib.import_module(f"websockets{suffix}")
        try:
            ours = importlib.import_module(f"wirebird{suffix}")
        except ModuleNotFoundError:
            yield theirs.__name__, "there is no such module"
            continue
        yield from compare_modules(theirs, ours)


def compare_modules(theirs: types.ModuleType, ours: types.ModuleType) -> Iterator[Difference]:
    """Yield what differs between two modules."""
    listed = set(getattr(theirs, "__all__", ()))
    unlisted = listed - set(getattr(ours, "__all__", listed))
    for name in sorted(public_names(theirs)):
        path = f"{theirs.__name__}.{name}"
        if not hasattr(ours, name):
            yield path, "there is no such name"
            continue
        if name in unlisted:
            yield path, "is not in __all__"
        home = _home(theirs, getattr(theirs, name))
        if home is None:
            yield from _compare(path, getattr(theirs, name), getattr(ours, name))
        elif getattr(ours, name) is not getattr(importlib.import_module(home), name, None):
            yield path, f"is not that of {home}"


def _home(module: types.ModuleType, value: Any) -> str | None:
    """Return where ours is compared, when ``module`` only exports what is another module's."""
    library, _, suffix = str(getattr(value, "__module__", "")).partition(".")
    if (
        library != "websockets"
        or value.__module__ == module.__name__
        or f".{suffix}" not in MODULES
    ):
        return None
    return f"wirebird.{suffix}"


def public_names(module: types.ModuleType) -> set[str]:
    """Return what a module exports, and what it defines without an underscore."""
    names = set(getattr(module, "__all__", ()))
    for node in ast.parse(inspect.getsource(module)).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                names.add(name)
            case ast.AsyncFunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=targets):
                for target in targets:
                    parts = target.elts if isinstance(target, ast.Tuple) else [target]
                    names |= {part.id for part in parts if isinstance(part, ast.Name)}
    names -= {"P", "T", "d", "logger"}  # type variables, a loop's variable, a logger
    return {name for name in names if not name.startswith("_") and hasattr(module, name)}


def _compare(path: str, theirs: Any, ours: Any) -> Iterator[Difference]:
    if isinstance(theirs, type):
        if not isinstance(ours, type):
            yield path, f"is not a class but {_kind(ours)}"
        else:
            yield from _compare_classes(path, theirs, ours)
    elif inspect.isfunction(theirs):
        yield from _compare_functions(path, theirs, ours)
    elif path not in _OWN_VALUES and _shown(theirs) != _shown(ours):
        yield path, f"is {_shown(ours)}, not {_shown(theirs)}"


def _compare_classes(path: str, theirs: type, ours: type) -> Iterator[Difference]:
    if issubclass(theirs, enum.Enum):
        if list(theirs.__members__.items()) != list(getattr(ours, "__members__", {}).items()):
            yield path, "has other members"
        return
    if issubclass(theirs, BaseException):
        missing = _base_names(theirs) - _base_names(ours)
        if missing:
            yield path, f"does not inherit from {', '.join(sorted(missing))}"
    for name, mine in _members(theirs).items():
        if name == "__init__":
            yield from _compare_functions(path, theirs, ours)
        elif not hasattr(ours, name):
            if name not in _attributes(ours):
                yield f"{path}.{name}", "there is no such method"
        else:
            yield from _compare_members(f"{path}.{name}", mine, inspect.getattr_static(ours, name))
    for name in sorted(_attributes(theirs) - _attributes(ours)):
        if not hasattr(ours, name):
            yield f"{path}.{name}", "there is no such attribute"


def _compare_members(path: str, theirs: Any, ours: Any) -> Iterator[Difference]:
    is_value = isinstance(theirs, property) or not _is_function(theirs)
    is_our_value = isinstance(ours, property | types.MemberDescriptorType) or not _is_function(ours)
    if is_value != is_our_value:
        yield path, f"is {_kind(ours)}, not {_kind(theirs)}"
    elif not is_value:
        yield from _compare_functions(path, _function(theirs), _function(ours))


def _compare_functions(path: str, theirs: Any, ours: Any) -> Iterator[Difference]:
    if not callable(ours):
        yield path, f"is {_kind(ours)}, not {_kind(theirs)}"
        return
    if not isinstance(theirs, type) and _flavour(theirs) != _flavour(ours):
        yield path, f"is {_flavour(ours)}, not {_flavour(theirs)}"
    try:
        expected, found = _parameters(theirs), _parameters(ours)
    except ValueError:  # built in, without a signature
        return
    yield from _compare_parameters(path, expected, found)


def _compare_parameters(
    path: str, expected: dict[str, inspect.Parameter], found: dict[str, inspect.Parameter]
) -> Iterator[Difference]:
    for name, parameter in expected.items():
        ours = found.get(name)
        if ours is None:
            yield path, f"has no parameter {name}"
        elif ours.kind is not parameter.kind:
            yield path, f"parameter {name} is {ours.kind.description}"
        elif _shown(ours.default) != _shown(parameter.default):
            yield (
                path,
                f"parameter {name} is {_shown(ours.default)} by default, "
                f"not {_shown(parameter.default)}",
            )
    by_position = [
        [name for name, parameter in parameters.items() if _is_positional(parameter)]
        for parameters in (expected, found)
    ]
    if by_position[0] != by_position[1][: len(by_position[0])]:
        yield path, f"takes positions {by_position[1]}"
    for name in found.keys() - expected.keys():
        if found[name].kind is not inspect.Parameter.KEYWORD_ONLY:
            yield path, f"parameter {name} is new, and not keyword-only"


def _is_positional(parameter: inspect.Parameter) -> bool:
    return parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(function).parameters)
    parameters.pop("self", None)
    return parameters


def _members(cls: type) -> dict[str, Any]:
    """Return public methods and properties, wherever ``websockets`` defines them."""
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("websockets"):
            members |= vars(base)
    return {
        name: member
        for name, member in members.items()
        if name in _SPECIAL or name == "__init__" or not name.startswith("_")
    }


def _attributes(cls: type) -> set[str]:
    """Return the public attributes that methods set on instances, and that are annotated."""
    names: set[str] = set()
    for base in cls.__mro__:
        if not base.__module__.startswith(("websockets", "wirebird")):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):  # made by a function such as NamedTuple
            continue
        names |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        }
        names |= set(inspect.get_annotations(base))
    return {name for name in names if not name.startswith("_")}


def _base_names(cls: type) -> set[str]:
    return {base.__name__ for base in cls.__mro__}


def _is_function(member: Any) -> bool:
    return isinstance(member, staticmethod | classmethod) or inspect.isroutine(member)


def _function(member: Any) -> Any:
    return member.__func__ if isinstance(member, staticmethod | classmethod) else member


def _flavour(function: Any) -> str:
    if inspect.iscoroutinefunction(function):
        return "a coroutine function"
    if inspect.isasyncgenfunction(function):
        return "an asynchronous generator function"
    # A generator function is to its users a function that returns an iterator.
    return "a function"


def _kind(value: Any) -> str:
    if isinstance(value, property):
        return "a property"
    if isinstance(value, type):
        return "a class"
    return "a function" if callable(value) else "a value"


def _shown(value: Any) -> str:
    """Return a value as text, without what must differ: module names and versions."""
    if value is inspect.Parameter.empty:
        return "required"
    if isinstance(value, type | types.FunctionType):
        return value.__qualname__
    if isinstance(value, set | frozenset):
        return repr(sorted(value, key=repr))
    if isinstance(value, dict):
        return repr({int(key) if isinstance(key, int) else key: value[key] for key in value})
    if isinstance(value, enum.Enum):
        return f"{value.name} = {value.value}"  # a class may have another name: Side, Role
    text = str(value) if hasattr(value, "__supertype__") else repr(value)
    text = re.sub(r"\b(websockets|wirebird)(\.\w+)*\.(?=[A-Z])", "", text)
    text = re.sub(r"\b(typing|collections\.abc)\.", "", text)
    text = re.sub(r"\b(websockets|wirebird)/\d[\w.]*", "LIBRARY/VERSION", text)
    return re.sub(r"<function (\w+) at 0x\w+>", r"<function \1>", text)
