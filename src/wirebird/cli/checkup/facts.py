"""What is here: versions, the engine, the event loop, TLS, extras, limits. Nothing is judged."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.metadata
import pathlib
import platform
import sys
import zlib

from ...version import version
from .engines import Engine, OwnSockets, look_at_engine, look_at_sockets

__all__ = ["EXTRAS", "Facts", "OpenFiles", "Tls", "gather", "missing_of"]

# What each extra brings, by the names of distributions.
EXTRAS = {
    "asgi": ("uvicorn",),
    "brotli": ("brotli",),
    "cli": ("click", "rich", "prompt-toolkit"),
    "jwt": ("PyJWT",),
    "opentelemetry": ("opentelemetry-api",),
    "prometheus": ("prometheus-client",),
    "proxy": ("python-socks",),
    "router": ("werkzeug",),
    "zstd": ("zstandard",),
}


@dataclasses.dataclass(frozen=True)
class Tls:
    """The library behind ``ssl``."""

    version: str
    has_tls_1_3: bool


@dataclasses.dataclass(frozen=True)
class OpenFiles:
    """How many files the process may have open, each connection being one; None for no limit."""

    soft: int | None
    hard: int | None


@dataclasses.dataclass(frozen=True)
class Facts:
    """All that was found.

    Args:
        wirebird: its version.
        location: the folder it is imported from.
        python: implementation and version.
        executable: the interpreter.
        system: name, release and machine of the operating system.
        engine, own_sockets: see there.
        zlib: the version of the one behind Python's module.
        loop: the class that asyncio makes by default.
        uvloop: its version; None where it is not installed.
        tls: None where Python was built without ``ssl``.
        extras: for each extra, the version of each distribution; None for one that is missing.
        open_files: None where the system does not say.
    """

    wirebird: str
    location: str
    python: str
    executable: str
    system: str
    engine: Engine
    own_sockets: OwnSockets
    zlib: str
    loop: str
    uvloop: str | None
    tls: Tls | None
    extras: dict[str, dict[str, str | None]]
    open_files: OpenFiles | None


def gather() -> Facts:
    """Look at everything."""
    engine = look_at_engine()
    return Facts(
        wirebird=version,
        location=str(pathlib.Path(__file__).parents[2]),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        executable=sys.executable,
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        engine=engine,
        own_sockets=look_at_sockets(engine),
        zlib=zlib.ZLIB_RUNTIME_VERSION,
        loop=_default_loop(),
        uvloop=_version_of("uvloop"),
        tls=_tls(),
        extras=_extras(),
        open_files=_open_files(),
    )


def missing_of(versions: dict[str, str | None]) -> list[str]:
    """Return the names of those that are not installed."""
    return [name for name, found in versions.items() if found is None]


def _version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _extras() -> dict[str, dict[str, str | None]]:
    extras = {extra: {name: _version_of(name) for name in names} for extra, names in EXTRAS.items()}
    if sys.version_info >= (3, 14):
        extras["zstd"] = {"compression.zstd": f"of Python {platform.python_version()}"}
    return extras


def _default_loop() -> str:
    loop = asyncio.new_event_loop()
    loop.close()
    return f"{type(loop).__module__}.{type(loop).__qualname__}"


def _tls() -> Tls | None:
    try:
        import ssl
    except ImportError:  # Python can be built without
        return None
    return Tls(ssl.OPENSSL_VERSION, ssl.HAS_TLSv1_3)


def _open_files() -> OpenFiles | None:
    try:
        import resource
    except ImportError:  # Windows, where sockets are no files
        return None
    soft, hard = (
        None if limit == resource.RLIM_INFINITY else limit
        for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return OpenFiles(soft, hard)
