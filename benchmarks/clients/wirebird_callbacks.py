"""Wirebird's client, with a handler whose methods are called."""

from typing import Any

from benchmarks.clients.common import Talk, run
from wirebird.asyncio.client import connect


async def converse(uri: str, talk: Talk) -> object:
    """Start what sends, compares, and sends again."""

    class Handler:
        def on_open(self, ws: Any) -> None:
            for _ in range(talk.depth):
                ws.send_nowait(talk.next())

        def on_message(self, ws: Any, message: str | bytes) -> None:
            talk.take(message)
            ws.send_nowait(talk.next())

    options: dict[str, Any] = {"handler": Handler}
    return await connect(uri, compression=None, **options)


if __name__ == "__main__":
    run(converse)
