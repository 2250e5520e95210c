"""A chat by callbacks: no coroutine waits for a message, and who is slow misses some.

python examples/callbacks.py [PORT], then several times: wirebird connect ws://localhost:8765/
"""

import asyncio
import sys

from wirebird import Handler, ServerConnection, broadcast, serve

guests: set[ServerConnection] = set()


class Guest(Handler):
    """One for each connection; its methods are called as things happen, and must not block."""

    def on_open(self, ws: ServerConnection) -> None:
        """Let a guest in."""
        guests.add(ws)
        ws.send_nowait(f"{len(guests)} here; /quit to leave")

    def on_message(self, ws: ServerConnection, message: str | bytes) -> None:
        """Tell everybody."""
        if message == "/quit":
            ws.close_nowait(1000, "bye")
        else:
            broadcast(guests, message)

    def on_close(self, ws: ServerConnection, code: int, reason: str) -> None:
        """Say who has left."""
        guests.discard(ws)
        broadcast(guests, f"somebody has left ({code})")


async def main(port: int = 8765) -> None:
    """Serve until interrupted."""
    async with serve(Guest, "localhost", port, slow_consumer="drop-oldest") as server:
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
