"""One receive buffer for all connections of a loop: idle connections hold none.

A transport asks for room, reads into it and says how much came, all in one go, so the next one can
use the same room. Only a proactor keeps it while it waits, so there each connection has its own.
"""

from __future__ import annotations

import asyncio
import weakref

__all__ = ["receive_buffer"]

# What one read may bring, and so what one connection can ask of a turn of the loop.
_BYTES = 128 * 1024

_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = (
    weakref.WeakKeyDictionary()
)
_Proactor: type | None = getattr(asyncio, "ProactorEventLoop", None)


def receive_buffer(loop: asyncio.AbstractEventLoop) -> memoryview:
    """Return room for what a connection of this loop reads, 128 KB."""
    if _Proactor is not None and isinstance(loop, _Proactor):
        return memoryview(bytearray(_BYTES))
    buffer = _shared.get(loop)
    if buffer is None:
        buffer = _shared[loop] = memoryview(bytearray(_BYTES))
    return buffer
