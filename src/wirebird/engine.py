"""Which engine runs a connection: ``native`` where it was built, else ``python``.

It can be asked for by name, for one connection or server (``engine=``) or for the process (the
environment variable ``WIREBIRD_ENGINE``). An adapter knows nothing of an engine but the interface
of ``wirebird.core.connection.Connection``.

Extensions of third parties are written in Python, and so is the engine that runs a connection on
which one was agreed, whichever was asked for. A per-message compression is another matter: either
engine does the frames, and calls its codecs for payloads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from .core.connection import Connection
from .core.extensions.base import Extension
from .core.extensions.permessage import runs_by_codec

try:
    from .native.connection import Connection as NativeConnection
except ImportError:  # it was not built here
    NativeConnection = None  # type: ignore[assignment, misc]

__all__ = ["ENGINES", "connection_class", "engine_name", "is_native_built"]

ENGINES = ("python", "native")


def is_native_built() -> bool:
    """Whether the native engine can be used here."""
    return NativeConnection is not None


def engine_name(name: str | None = None) -> str:
    """Return the name of the engine that will be used.

    Args:
        name: "python" or "native"; None for what ``WIREBIRD_ENGINE`` says, else the best there is.

    Raises:
        ValueError: there is no engine of this name.
        ImportError: the engine was not built here.
    """
    asked = name or os.environ.get("WIREBIRD_ENGINE") or None
    if asked is None:
        return "native" if is_native_built() else "python"
    if asked not in ENGINES:
        raise ValueError(f"unknown engine: {asked!r}, expected one of {', '.join(ENGINES)}")
    if asked == "native" and not is_native_built():
        raise ImportError("the native engine was not built for this installation of wirebird")
    return asked


def connection_class(
    name: str | None = None, extensions: Sequence[Extension] = ()
) -> type[Connection]:
    """Return the class that a connection has.

    Args:
        name: as for ``engine_name``.
        extensions: that were agreed on for it.

    Raises:
        ValueError, ImportError: as for ``engine_name``.
    """
    if engine_name(name) == "native" and _is_known(extensions):
        return NativeConnection
    return Connection


def _is_known(extensions: Sequence[Extension]) -> bool:
    """Whether the native engine knows these extensions: a compression that is all in its codecs."""
    return not extensions or (len(extensions) == 1 and runs_by_codec(extensions[0]))
