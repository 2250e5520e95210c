"""Wirebird, with handlers whose methods are called."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.common import HOST, Options, run, versions
from wirebird import broadcast
from wirebird.asyncio.server import Server, ServerConnection, serve
from wirebird.engine import engine_name

connections: set[ServerConnection] = set()


class Echo:
    """Sends back what comes."""

    def on_message(self, ws: Any, message: str | bytes) -> None:
        """Send it back."""
        ws.send_nowait(message)


class FanOut:
    """Sends to all what comes."""

    def on_open(self, ws: Any) -> None:
        """Add it to all."""
        connections.add(ws)

    def on_message(self, ws: Any, message: str | bytes) -> None:
        """Send it to all."""
        broadcast(connections, message)

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        """Take it from all."""
        connections.discard(ws)


async def start(options: Options) -> Server:
    """Listen."""
    handler: Any = FanOut if options.is_fanout else Echo
    return await serve(handler, HOST, options.port, ssl=options.ssl_context(), backlog=4096)


if __name__ == "__main__":
    run(start, lambda: {**versions("wirebird"), "engine": engine_name()})
