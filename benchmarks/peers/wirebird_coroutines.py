"""Wirebird, with handlers that are coroutines."""

from __future__ import annotations

from benchmarks.peers.common import HOST, Options, run, versions
from wirebird import broadcast
from wirebird.asyncio.server import Server, ServerConnection, serve
from wirebird.engine import engine_name

connections: set[ServerConnection] = set()


async def echo(ws: ServerConnection) -> None:
    """Send back what comes."""
    async for message in ws:
        await ws.send(message)


async def fan_out(ws: ServerConnection) -> None:
    """Send to all what comes."""
    connections.add(ws)
    try:
        async for message in ws:
            broadcast(connections, message)
    finally:
        connections.remove(ws)


async def start(options: Options) -> Server:
    """Listen."""
    handler = fan_out if options.is_fanout else echo
    return await serve(handler, HOST, options.port, ssl=options.ssl_context(), backlog=4096)


if __name__ == "__main__":
    run(start, lambda: {**versions("wirebird"), "engine": engine_name()})
