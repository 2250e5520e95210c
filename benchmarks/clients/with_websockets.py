"""The client of the websockets library, on uvloop."""

from websockets.asyncio.client import connect

from benchmarks.clients.common import Talk, run


async def converse(uri: str, talk: Talk) -> None:
    """Send, compare, and send again."""
    async with connect(uri, compression=None) as ws:
        for _ in range(talk.depth):
            await ws.send(talk.next())
        async for message in ws:
            talk.take(message)
            await ws.send(talk.next())


if __name__ == "__main__":
    run(converse, loop="uvloop")
