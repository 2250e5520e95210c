"""A client that says hello, hears it back, and measures how long that takes.

python examples/echo_client.py [URI]
"""

import asyncio
import sys

from wirebird.asyncio.client import connect


async def main(uri: str = "ws://localhost:8765") -> None:
    """Connect, talk, and close."""
    async with connect(uri) as websocket:
        await websocket.send("Hello, world!")
        print(f"received: {await websocket.recv()!r}")
        round_trip = await websocket.ping()
        print(f"round trip: {await round_trip * 1000:.1f} ms")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
