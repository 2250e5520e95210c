"""uvicorn with its own WebSocket classes (``--variant websockets-sansio|wsproto``), plain ASGI."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import uvicorn

from benchmarks.peers.common import HOST, LARGEST_MESSAGE, Options, run, versions

senders: set[Any] = set()


def _reply(event: dict[str, Any]) -> dict[str, Any]:
    if event.get("text") is not None:
        return {"type": "websocket.send", "text": event["text"]}
    return {"type": "websocket.send", "bytes": event["bytes"]}


async def application(fan_out: bool, scope: Any, receive: Any, send: Any) -> None:
    """Send what comes back, or to all."""
    await receive()
    await send({"type": "websocket.accept"})
    senders.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            for reply in list(senders) if fan_out else (send,):
                await reply(_reply(event))
    finally:
        senders.remove(send)


async def start(options: Options) -> object:
    """Listen."""
    certificate, key = options.tls or (None, None)
    server = uvicorn.Server(
        uvicorn.Config(
            functools.partial(application, options.is_fanout),
            HOST,
            options.port,
            ws=options.variant,
            ws_max_size=LARGEST_MESSAGE,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            backlog=4096,
        )
    )
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    if task.done():
        await task
    return server, task


if __name__ == "__main__":
    run(start, lambda: versions("uvicorn", "websockets", "wsproto"))
