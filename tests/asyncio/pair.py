"""Two Wirebird connections, connected over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.attacks.raw import RawPeer, port_of, request, uri_of

from wirebird.asyncio.client import ClientConnection, connect
from wirebird.asyncio.server import ServerConnection, serve


@contextlib.asynccontextmanager
async def pair(
    *, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None, **both: Any
) -> AsyncIterator[tuple[ClientConnection, ServerConnection]]:
    """A client's connection and the server's end of it.

    Args:
        client, server, both: arguments of ``connect``, of ``serve``, of both.
    """
    opened: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()

    async def handler(connection: ServerConnection) -> None:
        opened.set_result(connection)
        await connection.wait_closed()

    async with serve(handler, "127.0.0.1", 0, **{**both, **(server or {})}) as listening:
        arguments = {"proxy": None, **both, **(client or {})}
        async with connect(uri_of(listening), **arguments) as connection:
            yield connection, await opened


@contextlib.asynccontextmanager
async def raw_and_server(
    *headers: str, receive_buffer: int | None = None, **kwargs: Any
) -> AsyncIterator[tuple[RawPeer, ServerConnection]]:
    """A raw client, and the server's end of its connection."""
    opened: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()

    async def handler(connection: ServerConnection) -> None:
        opened.set_result(connection)
        await connection.wait_closed()

    arguments = {"compression": None, "close_timeout": 0.5, **kwargs}
    async with (
        serve(handler, "127.0.0.1", 0, **arguments) as listening,
        await RawPeer.connect(port_of(listening), receive_buffer=receive_buffer) as peer,
    ):
        await peer.send(request(*headers))
        assert (await peer.head()).startswith("HTTP/1.1 101 ")
        yield peer, await opened


def expect_refused_certificates() -> None:
    """Say that clients will break off TLS handshakes: in debug mode asyncio reports each."""
    asyncio.get_running_loop().set_debug(False)


async def turns(count: int = 5) -> None:
    """Let the event loop run this many times."""
    for _ in range(count):
        await asyncio.sleep(0)
