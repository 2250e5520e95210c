"""The client of aiohttp, on uvloop."""

import aiohttp

from benchmarks.clients.common import Talk, run


async def converse(uri: str, talk: Talk) -> None:
    """Send, compare, and send again."""
    async with aiohttp.ClientSession() as session, session.ws_connect(uri) as ws:
        for _ in range(talk.depth):
            await ws.send_str(talk.next())
        async for message in ws:
            talk.take(message.data)
            await ws.send_str(talk.next())


if __name__ == "__main__":
    run(converse, loop="uvloop")
