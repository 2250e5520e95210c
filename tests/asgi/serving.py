"""A real uvicorn server in this process, on loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from wirebird.asyncio.client import ClientConnection, connect

__all__ = ["OURS", "Logged", "Running", "logged", "serving", "talking"]

OURS = "wirebird.asgi:WebSocketProtocol"


@dataclasses.dataclass
class Running:
    """A server that runs.

    Args:
        server: uvicorn's.
        port: on which it listens.
    """

    server: uvicorn.Server
    port: int

    def uri(self, path: str = "/") -> str:
        """The URI of a WebSocket."""
        return f"ws://127.0.0.1:{self.port}{path}"

    @property
    def state(self) -> Any:
        """What its connections share: uvicorn's ``ServerState``."""
        return self.server.server_state


@contextlib.asynccontextmanager
async def serving(app: Any, ws: Any = OURS, **settings: Any) -> AsyncIterator[Running]:
    """Serve an application; at the end shut down, and see that nothing is left.

    Args:
        app: of ASGI.
        ws: uvicorn's setting.
        settings: others of uvicorn's.
    """
    arguments = {"port": 0, "log_config": None, "access_log": False, "lifespan": "off", **settings}
    server = uvicorn.Server(uvicorn.Config(app, ws=ws, **arguments))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    await server.on_tick(0)  # which makes the headers of all responses
    port = server.servers[0].sockets[0].getsockname()
    try:
        yield Running(server, port[1] if isinstance(port, tuple) else 0)
    finally:
        await server.shutdown()
    assert not server.server_state.connections
    assert not server.server_state.tasks


class Logged(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    @property
    def lines(self) -> list[str]:
        """What was logged, without tracebacks."""
        return [record.getMessage().strip() for record in self.records]

    @property
    def errors(self) -> list[str]:
        """What was logged as an error: the exception, if there is one."""
        return [
            type(record.exc_info[1]).__name__
            if record.exc_info and record.exc_info[1]
            else record.getMessage().strip()
            for record in self.records
            if record.levelno >= logging.ERROR
        ]


@contextlib.contextmanager
def logged(name: str = "uvicorn.error") -> Any:
    """Keep what a logger is told."""
    logger, handler = logging.getLogger(name), Logged()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextlib.asynccontextmanager
async def talking(
    app: Any, path: str = "/", **settings: Any
) -> AsyncIterator[tuple[Running, ClientConnection]]:
    """Serve an application, and connect to it.

    Args:
        app: of ASGI.
        path: of the WebSocket.
        settings: of uvicorn's, and ``ws``.
    """
    async with (
        serving(app, **settings) as running,
        connect(running.uri(path), proxy=None) as client,
    ):
        yield running, client
