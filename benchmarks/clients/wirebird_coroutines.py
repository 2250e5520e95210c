"""Wirebird's client, with a coroutine."""

from benchmarks.clients.common import Talk, run
from wirebird.asyncio.client import connect


async def converse(uri: str, talk: Talk) -> None:
    """Send, compare, and send again."""
    async with connect(uri, compression=None) as ws:
        for _ in range(talk.depth):
            await ws.send(talk.next())
        async for message in ws:
            talk.take(message)
            await ws.send(talk.next())


if __name__ == "__main__":
    run(converse)
