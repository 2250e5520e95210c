"""One scenario, two libraries: what a test sees of each, and how it writes down what happened."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any

__all__ = ["LIBRARIES", "Library", "ended", "outcome"]


class Library:
    """``websockets`` or ``wirebird``, by its modules.

    Args:
        name: of the package.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = self.module("asyncio.client")
        self.server = self.module("asyncio.server")
        self.exceptions = self.module("exceptions")
        self.frames = self.module("frames")

    def module(self, path: str) -> Any:
        """Return one of the library's modules."""
        return importlib.import_module(f"{self.name}.{path}")

    def connect(self, uri: str, **options: Any) -> Any:
        """Make its ``connect``; without a proxy, whatever the environment says."""
        return self.client.connect(uri, **{"proxy": None, **options})

    @contextlib.asynccontextmanager
    async def serving(self, handler: Any, **options: Any) -> AsyncIterator[tuple[Any, str]]:
        """Run its server; yield it and its URI."""
        async with self.server.serve(handler, "127.0.0.1", 0, **options) as server:
            yield server, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/path?query"

    @contextlib.asynccontextmanager
    async def pair(self, **options: Any) -> AsyncIterator[tuple[Any, Any]]:
        """Connect its client with its server; yield both ends."""
        accepted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def handler(connection: Any) -> None:
            accepted.set_result(connection)
            await connection.wait_closed()

        async with self.serving(handler) as (_, uri), self.connect(uri, **options) as client:
            yield client, await accepted


LIBRARIES = (Library("websockets"), Library("wirebird"))


async def outcome(awaitable: Awaitable[Any], *, text: bool = False) -> object:
    """Return the result of something, or what it raised: the name, and the text if asked for."""
    try:
        return await awaitable
    except Exception as exc:
        name = type(exc).__name__
        return (name, str(exc)) if text else name


async def ended(connection: Any) -> list[object]:
    """Return all that is to be known about the end of a connection."""
    await connection.wait_closed()
    return [
        connection.close_code,
        connection.close_reason,
        connection.state.name,
        await outcome(connection.recv(), text=True),
        await outcome(connection.recv(), text=True),
        await outcome(connection.send("x"), text=True),
        await outcome(connection.ping(), text=True),
        await outcome(connection.pong(), text=True),
        await outcome(connection.close(), text=True),
    ]
