"""A chat: what one client says, all hear. A client that is slow delays nobody.

python examples/chat.py [PORT], then several times: wirebird connect ws://localhost:8765/NAME
"""

import asyncio
import sys
from urllib.parse import unquote

from wirebird.asyncio.server import ServerConnection, broadcast, serve

guests: set[ServerConnection] = set()


async def chat(websocket: ServerConnection) -> None:
    """Let a guest in, and tell everybody what they say."""
    assert websocket.request is not None
    name = unquote(websocket.request.path.strip("/")) or "somebody"
    guests.add(websocket)
    try:
        broadcast(guests, f"{name} is here")
        async for message in websocket:
            broadcast(guests, f"{name}: {message!s}")
    finally:
        guests.remove(websocket)
        broadcast(guests, f"{name} has left")


async def main(port: int = 8765) -> None:
    """Serve until interrupted."""
    async with serve(chat, "localhost", port) as server:
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
