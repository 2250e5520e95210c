"""uvicorn with a WebSocket class (``--variant``: its setting ``ws``), and an application.

The variant is the class, and with a ``+`` before it the application: plain ASGI, ``fastapi+``, or
``callbacks+``, which is FastAPI whose messages go to Wirebird's callbacks.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from benchmarks.peers.common import HOST, LARGEST_MESSAGE, Options, run, versions
from wirebird.asgi import run_handler

OWN = "wirebird.asgi:WebSocketProtocol"

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


def fastapi_application() -> Any:
    """Send what comes back, as programs for FastAPI are written."""
    app = FastAPI()

    @app.websocket("/{path:path}")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect:
            pass

    return app


class Echo:
    """Sends what comes back."""

    def on_message(self, ws: Any, message: Any) -> None:
        """See ``wirebird.asyncio.handlers``."""
        ws.send_nowait(message)


def callbacks_application() -> Any:
    """Give messages to callbacks."""
    app = FastAPI()

    @app.websocket("/{path:path}")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await run_handler(websocket, Echo())

    return app


async def start(options: Options) -> object:
    """Listen."""
    kind, _, ws = options.variant.rpartition("+")
    app: Any = functools.partial(application, options.is_fanout)
    if kind:
        app = fastapi_application() if kind == "fastapi" else callbacks_application()
    certificate, key = options.tls or (None, None)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            HOST,
            options.port,
            ws=OWN if ws == "wirebird" else ws,
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
    run(start, lambda: versions("uvicorn", "fastapi", "websockets", "wsproto", "wirebird"))
