"""A kit to test programs that use WebSockets. Read `network.py` first.

- ``network.py``: connections joined in memory, over ``transports.py`` and ``pipes.py``.
- ``clock.py``: time that passes when nothing else can happen.
- ``peer.py``: an end of a connection that a test plays, over ``raw_peer.py``, ``streams.py`` and
  ``wire.py``.
- ``servers.py``: servers in the loop of a test, or by ``running.py`` in a thread beside it.
- ``plugin.py``: the fixtures of pytest.

Each name is imported when it is first used: pytest loads the plugin before it measures coverage,
and that must import nothing of the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clock import FakeClock, FakeClockLoop
    from .network import MemoryListener, MemoryNetwork, Pair, memory_pair
    from .peer import Peer, open_peer
    from .pipes import Pipe, Wire
    from .raw_peer import RawPeer
    from .servers import LocalServer, ScriptedServer, echo
    from .streams import MemoryStream, SocketStream, Stream
    from .transports import MemoryTransport
    from .wire import (
        BINARY,
        CLOSE,
        CONT,
        PING,
        PONG,
        TEXT,
        WireFrame,
        close_payload,
        raw_frame,
        request,
        response,
    )

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "PING",
    "PONG",
    "TEXT",
    "FakeClock",
    "FakeClockLoop",
    "LocalServer",
    "MemoryListener",
    "MemoryNetwork",
    "MemoryStream",
    "MemoryTransport",
    "Pair",
    "Peer",
    "Pipe",
    "RawPeer",
    "ScriptedServer",
    "SocketStream",
    "Stream",
    "Wire",
    "WireFrame",
    "close_payload",
    "echo",
    "memory_pair",
    "open_peer",
    "raw_frame",
    "request",
    "response",
]

_MODULES = {
    "clock": (
        "FakeClock",
        "FakeClockLoop",
    ),
    "network": (
        "MemoryListener",
        "MemoryNetwork",
        "Pair",
        "memory_pair",
    ),
    "peer": (
        "Peer",
        "open_peer",
    ),
    "pipes": (
        "Pipe",
        "Wire",
    ),
    "raw_peer": ("RawPeer",),
    "servers": (
        "LocalServer",
        "ScriptedServer",
        "echo",
    ),
    "streams": (
        "MemoryStream",
        "SocketStream",
        "Stream",
    ),
    "transports": ("MemoryTransport",),
    "wire": (
        "BINARY",
        "CLOSE",
        "CONT",
        "PING",
        "PONG",
        "TEXT",
        "WireFrame",
        "close_payload",
        "raw_frame",
        "request",
        "response",
    ),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
