"""picows with its layer that has the API of websockets."""

from __future__ import annotations

from typing import Any

import picows.websockets

from benchmarks.peers.common import HOST, Options, run, versions

connections: set[Any] = set()


async def echo(ws: Any) -> None:
    """Send back what comes."""
    async for message in ws:
        await ws.send(message)


async def fan_out(ws: Any) -> None:
    """Send to all what comes."""
    connections.add(ws)
    try:
        async for message in ws:
            picows.websockets.broadcast(connections, message)
    finally:
        connections.remove(ws)


async def start(options: Options) -> object:
    """Listen."""
    handler = fan_out if options.is_fanout else echo
    return await picows.websockets.serve(
        handler, HOST, options.port, ssl=options.ssl_context(), backlog=4096
    )


if __name__ == "__main__":
    run(start, lambda: versions("picows", "aiofastnet"))
