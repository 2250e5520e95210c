"""A client that stays connected: when the connection is lost, it waits a little and tries again.

python examples/reconnect.py [URI]
"""

import asyncio
import sys

from wirebird.asyncio.client import connect
from wirebird.exceptions import ConnectionClosed


async def main(uri: str = "ws://localhost:8765") -> None:
    """Print what comes, for ever."""
    # Each failure to connect makes the next wait longer; a connection that opens makes it short.
    async for websocket in connect(uri):
        try:
            await websocket.send("I am here")
            async for message in websocket:
                print(f"received: {message!r}", flush=True)
            print("the server has closed the connection", flush=True)
        except ConnectionClosed as error:
            print(f"the connection was lost: {error}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
