"""A kit to test programs that use WebSockets. Read `network.py` first.

- ``network.py``: connections joined in memory, over ``transports.py`` and ``pipes.py``.
- ``clock.py``: time that a test can tell.

Each name is imported when it is first used: pytest loads the plugin before it measures coverage,
and that must import nothing of the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clock import FakeClock, FakeClockLoop
    from .network import MemoryNetwork, Pair, memory_pair
    from .pipes import Pipe, Wire
    from .transports import MemoryTransport

__all__ = [
    "FakeClock",
    "FakeClockLoop",
    "MemoryNetwork",
    "MemoryTransport",
    "Pair",
    "Pipe",
    "Wire",
    "memory_pair",
]

_WHERE = {
    "FakeClock": "clock",
    "FakeClockLoop": "clock",
    "MemoryNetwork": "network",
    "MemoryTransport": "transports",
    "Pair": "network",
    "Pipe": "pipes",
    "Wire": "pipes",
    "memory_pair": "network",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
