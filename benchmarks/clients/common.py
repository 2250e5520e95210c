"""What the clients under test share: their command line, and messages that are compared.

    python -m benchmarks.clients.MODULE PORT CONNECTIONS DEPTH SIZE SECONDS

Each client sends DEPTH messages on each connection, one more for each that comes back, and prints
as JSON how many came back in a second. A difference ends it with exit code 1.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable

__all__ = ["Talk", "run"]

_VARIETY = 64
_WARM_UP_SHARE = 0.2


class Talk:
    """What one connection says.

    Args:
        size: of a message, in bytes.
        depth: messages that are under way.
    """

    counted = 0
    """Messages that came back on all connections."""

    def __init__(self, size: int, depth: int) -> None:
        self.depth = depth
        self._messages = [(f"{number}:" + "wirebird " * size)[:size] for number in range(_VARIETY)]
        self._sent = self._received = 0

    def next(self) -> str:
        """Return what to send."""
        self._sent += 1
        return self._messages[self._sent % _VARIETY]

    def take(self, message: object) -> None:
        """Compare what came back."""
        self._received += 1
        if message != self._messages[self._received % _VARIETY]:
            print(f"not what was sent: {message!r:.200}", file=sys.stderr, flush=True)
            os._exit(1)
        Talk.counted += 1


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line says."""

    port: int
    connections: int
    depth: int
    size: int
    seconds: float

    @property
    def uri(self) -> str:
        """Where to connect to."""
        return f"ws://127.0.0.1:{self.port}/"


def run(converse: Callable[[str, Talk], Awaitable[object]], *, loop: str = "asyncio") -> None:
    """Measure a client.

    Args:
        converse: opens a connection to a URI and talks: until it is cancelled, or until it has
            returned, on its own.
        loop: "asyncio" or "uvloop".
    """
    port, connections, depth, size = map(int, sys.argv[1:5])
    options = Options(port, connections, depth, size, float(sys.argv[5]))
    logging.disable(logging.CRITICAL)

    async def main() -> None:
        talks = [Talk(options.size, options.depth) for _ in range(options.connections)]
        tasks = [asyncio.ensure_future(converse(options.uri, talk)) for talk in talks]
        await asyncio.sleep(options.seconds * _WARM_UP_SHARE + 0.1)
        before, start = Talk.counted, time.perf_counter()
        await asyncio.sleep(options.seconds)
        elapsed = time.perf_counter() - start
        for task in tasks:
            if task.done():
                task.result()
        if Talk.counted == before:
            raise SystemExit("nothing came back")
        print(json.dumps({"per_s": (Talk.counted - before) / elapsed}), flush=True)
        os._exit(0)  # the connections need no closing handshake

    if loop == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
