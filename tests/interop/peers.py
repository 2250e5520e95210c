"""What the interoperation tests share: our echo server, and one conversation for every client.

The echo server does what it is told by texts that begin with a slash, so that a foreign client
can see what only a server starts: ``/close CODE REASON``, ``/fragments``, ``/ping``.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import AsyncIterator
from typing import Any, Protocol

from wirebird.asyncio.client import ClientConnection
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.exceptions import ConnectionClosed
from wirebird.typing import Subprotocol

__all__ = [
    "BIG_BINARY",
    "BIG_TEXT",
    "V1",
    "V2",
    "EchoServer",
    "Ended",
    "converse",
    "echo_server",
    "names",
]

V1, V2 = Subprotocol("v1"), Subprotocol("v2")

# A million bytes each. The text has characters of two bytes, at every place of a 16-byte block.
BIG_TEXT = "0123456789abcdeé" * 58_800
BIG_BINARY = bytes(range(256)) * 3900
TEXTS = ["Hello", "", "Zürich – 東京 🐦", "x" * 125, "x" * 126, "x" * 65_535, "x" * 65_536]


@dataclasses.dataclass
class Ended:
    """How a connection ended, as our server saw it."""

    code: int | None
    reason: str | None
    subprotocol: str | None
    extensions: list[str]


class EchoServer:
    """Our echo server while it runs.

    Args:
        scheme: ws or wss.
    """

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.port = 0
        self.ended: asyncio.Queue[Ended] = asyncio.Queue()

    @property
    def uri(self) -> str:
        """Where clients connect to."""
        return f"{self.scheme}://localhost:{self.port}/"

    async def echo(self, connection: ServerConnection) -> None:
        """Handle one connection; tell how it ended."""
        try:
            async for message in connection:
                await self.answer(connection, message)
        except ConnectionClosed:
            pass
        self.ended.put_nowait(
            Ended(
                connection.close_code,
                connection.close_reason,
                connection.subprotocol,
                names(connection),
            )
        )

    async def answer(self, connection: ServerConnection, message: str | bytes) -> None:
        """Echo a message, or do what it says."""
        if isinstance(message, str) and message.startswith("/close "):
            _, code, reason = message.split(" ", 2)
            await connection.close(int(code), reason)
        elif message == "/fragments":
            await connection.send(["in ", "", "three"])
        elif message == "/ping":
            await (await connection.ping("are you there?"))
            await connection.send("pong came")
        else:
            await connection.send(message)


class HasExtensions(Protocol):
    """A connection of wirebird, or of websockets."""

    @property
    def protocol(self) -> Any: ...


def names(connection: HasExtensions) -> list[str]:
    """The extensions that a connection agreed on."""
    return [extension.name for extension in connection.protocol.extensions]


@contextlib.asynccontextmanager
async def echo_server(
    tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[EchoServer]:
    """Serve echoes on a free port; options as ``serve``."""
    echo = EchoServer("ws" if tls is None else "wss")
    async with serve(echo.echo, "localhost", 0, ssl=tls, **options) as server:
        # One port for IPv4 and IPv6 would be luck; clients try both addresses of localhost.
        echo.port = next(iter(server.sockets)).getsockname()[1]
        yield echo


async def converse(connection: ClientConnection) -> None:
    """Say everything to an echo server, whoever wrote it, and hear it back."""
    for text in [*TEXTS, BIG_TEXT]:
        await connection.send(text)
        assert await connection.recv() == text
    for binary in [b"", b"\x00\xff", BIG_BINARY]:
        await connection.send(binary)
        assert await connection.recv() == binary
    await connection.send(["a message ", "", "in fragments – é"])
    assert await connection.recv() == "a message in fragments – é"
    await connection.send([b"\x00", b"\xff" * 70_000])
    assert await connection.recv() == b"\x00" + b"\xff" * 70_000
    # Many at once, so that some come together in one read.
    for number in range(100):
        await connection.send(f"message {number}")
    assert [await connection.recv() for _ in range(100)] == [f"message {n}" for n in range(100)]
    assert await (await connection.ping("payload")) > 0
