"""Which engine connections run on here, and why; what of the native one was built."""

from __future__ import annotations

import dataclasses
import importlib
import os

__all__ = [
    "EXTENSIONS",
    "NOT_BUILT",
    "Engine",
    "OwnSockets",
    "look_at_engine",
    "look_at_sockets",
]

# What the native engine consists of.
EXTENSIONS = (
    "base",
    "connection",
    "deflate",
    "fanout",
    "inbound",
    "kernels",
    "listener",
    "outbound",
    "poller",
    "sockets",
    "tls",
)

_FOLDER = "wirebird.native"

# Said of an extension that is not there; other errors are of one that is.
NOT_BUILT = "not built"


@dataclasses.dataclass(frozen=True)
class Engine:
    """The engine of connections that do not ask for another.

    Args:
        name: "native" or "python"; None where ``error`` says why there is none.
        why: what decided.
        error: why no connection can be made, else None.
        is_native_built: whether ``engine="native"`` can be asked for.
        extensions: for each part of the native engine None, or why it cannot be imported.
        environment: the value of ``WIREBIRD_ENGINE``; None where it is not set.
        vectors: the vector instructions that unmask: "avx2", "sse2", "neon" or "none"; None where
            the native engine cannot say.
        zlib: the version of the zlib that C code finds; None where there is none.
    """

    name: str | None
    why: str
    error: str | None
    is_native_built: bool
    extensions: dict[str, str | None]
    environment: str | None
    vectors: str | None
    zlib: str | None


@dataclasses.dataclass(frozen=True)
class OwnSockets:
    """Whether the engine takes sockets over from the event loop.

    Args:
        are_used: whether it does, for TCP and Unix sockets, with TLS on asyncio's loop alone.
        why: what decided.
        environment: the value of ``WIREBIRD_OWN_SOCKET``; None where it is not set.
    """

    are_used: bool
    why: str
    environment: str | None


def look_at_engine() -> Engine:
    """Find out by importing all of it."""
    extensions = {name: _error_of(name) for name in EXTENSIONS}
    asked = os.environ.get("WIREBIRD_ENGINE")
    name = error = None
    is_built = False
    try:
        from ...engine import engine_name, is_native_built

        is_built = is_native_built()
        name = engine_name()
    except Exception as exc:  # whatever it is, it is what a program would meet
        error = _told(exc)
    if error is not None:
        why = error
    elif asked:
        why = f"WIREBIRD_ENGINE={asked} asks for it"
    elif is_built:
        why = "it was built, and nothing asks for another"
    elif all(error == NOT_BUILT for error in extensions.values()):
        why = "the native one was not built, which takes a C compiler when Wirebird is installed"
    else:
        why = "the native one cannot be imported"
    return Engine(
        name=name,
        why=why,
        error=error,
        is_native_built=is_built,
        extensions=extensions,
        environment=asked,
        vectors=_vectors() if extensions["kernels"] is None else None,
        zlib=_zlib() if extensions["deflate"] is None else None,
    )


def look_at_sockets(engine: Engine) -> OwnSockets:
    """Find out whether a connection of this engine will own its socket."""
    environment = os.environ.get("WIREBIRD_OWN_SOCKET")
    missing = [name for name in ("base", "poller", "sockets") if engine.extensions[name]]
    are_used = False
    if engine.name is None:
        why = "there is no engine"
    elif engine.name != "native":
        why = "the Python engine leaves them to asyncio"
    elif missing:
        why = f"missing of the native engine: {', '.join(missing)}"
    elif not _can_poll():
        why = "this system has neither epoll nor kqueue: asyncio's transports are used"
    elif environment == "0":
        why = "WIREBIRD_OWN_SOCKET=0 leaves them to asyncio"
    else:
        are_used = True
        why = "on asyncio's selector loop, and without TLS on uvloop"
    return OwnSockets(are_used, why, environment)


def _error_of(extension: str) -> str | None:
    module = f"{_FOLDER}.{extension}"
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as exc:
        # One that is there may miss another that it needs.
        return NOT_BUILT if exc.name == module else _told(exc)
    except Exception as exc:  # such as of a build for another Python, or of another version
        return _told(exc)
    return None


def _told(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"


def _vectors() -> str:
    from ...native.kernels import vectors

    return vectors()


def _zlib() -> str | None:
    from ...native.deflate import available, version

    return version() if available() else None


def _can_poll() -> bool:
    can_poll: bool = importlib.import_module(f"{_FOLDER}.poller").can_poll()
    return can_poll
