"""A server that sends every message back.

python examples/echo_server.py [PORT]
"""

import asyncio
import sys

from wirebird.asyncio.server import ServerConnection, serve


async def echo(websocket: ServerConnection) -> None:
    """Handle one connection: called anew for each."""
    async for message in websocket:
        await websocket.send(message)


async def main(port: int = 8765) -> None:
    """Serve until interrupted."""
    async with serve(echo, "localhost", port) as server:
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
