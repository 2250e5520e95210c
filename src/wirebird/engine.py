"""Which engine runs a connection: ``native`` where it was built, else ``python``.

It can be asked for by name, for one connection or server (``engine=``) or for the process (the
environment variable ``WIREBIRD_ENGINE``). An adapter knows nothing of an engine but the interface
of ``wirebird.core.connection.Connection``.
"""

from __future__ import annotations

import os

from .core.connection import Connection

__all__ = ["ENGINES", "connection_class", "engine_name"]

ENGINES = ("python", "native")


def engine_name(name: str | None = None) -> str:
    """Return the name of the engine that will be used.

    Args:
        name: "python" or "native"; None for what ``WIREBIRD_ENGINE`` says, else the best there is.

    Raises:
        ValueError: there is no engine of this name.
        ImportError: the engine was not built here.
    """
    asked = name or os.environ.get("WIREBIRD_ENGINE") or None
    if asked is None or asked == "python":
        return "python"
    if asked not in ENGINES:
        raise ValueError(f"unknown engine: {asked!r}, expected one of {', '.join(ENGINES)}")
    raise ImportError(f"the {asked} engine was not built for this installation of wirebird")


def connection_class(name: str | None = None) -> type[Connection]:
    """Return the class that an engine's connections have.

    Args:
        name: as for ``engine_name``.

    Raises:
        ValueError, ImportError: as for ``engine_name``.
    """
    engine_name(name)
    return Connection
