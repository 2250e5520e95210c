"""A peer that does exactly what it is told, over a socket, and what tests of hostile peers measure.

The peer and the frames are those of ``wirebird.testing``. Beside them here: memory, and a bystander
who must be served meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Self

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import Server, serve
from wirebird.testing.peer import Peer
from wirebird.testing.servers import echo
from wirebird.testing.streams import Acceptor, SocketStream
from wirebird.testing.wire import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    MASK,
    PING,
    PONG,
    TEXT,
    accept_of,
    close_payload,
    key_of,
    masked,
    request,
    response,
)
from wirebird.testing.wire import WireFrame as RawFrame
from wirebird.testing.wire import raw_frame as frame

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "DEFLATE",
    "KEY",
    "MASK",
    "MIB",
    "PING",
    "PONG",
    "TEXT",
    "Bystander",
    "Memory",
    "RawFrame",
    "RawPeer",
    "accept_of",
    "bystander",
    "close_payload",
    "echo",
    "echo_server",
    "frame",
    "key_of",
    "masked",
    "memory",
    "opened",
    "port_of",
    "raw_server",
    "request",
    "response",
    "uri_of",
]

MIB = 2**20

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


class RawPeer(Peer):
    """A peer over a socket that a test has at hand; it connects by port."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(SocketStream(sock))
        self.sock = sock
        self.loop = asyncio.get_running_loop()

    @classmethod
    async def connect(  # type: ignore[override]
        cls, port: int, *, receive_buffer: int | None = None
    ) -> Self:
        """Connect to a port of 127.0.0.1, and send nothing yet.

        Args:
            port: on 127.0.0.1.
            receive_buffer: of the kernel, in bytes; a small one makes a peer that does not read
                be noticed soon.
        """
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer = cls(sock)
        await peer.loop.sock_connect(sock, ("127.0.0.1", port))
        return peer

    async def accept(self, *headers: str) -> str:
        """Do the opening handshake as a server; a client that goes away is an EOFError."""
        head = await self.head()
        await self.send(response(key_of(head), *headers))
        return head


def port_of(server: Server) -> int:
    """Where a server on 127.0.0.1 listens."""
    port = server.sockets[0].getsockname()[1]
    assert isinstance(port, int)
    return port


def uri_of(server: Server, path: str = "/") -> str:
    """The URI of a server on 127.0.0.1."""
    return f"ws://127.0.0.1:{port_of(server)}{path}"


async def opened(port: int, *headers: str, receive_buffer: int | None = None) -> RawPeer:
    """Connect and do the opening handshake."""
    peer = await RawPeer.connect(port, receive_buffer=receive_buffer)
    await peer.open(*headers)
    return peer


@contextlib.asynccontextmanager
async def raw_server(talk: Callable[[RawPeer], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that does what ``talk`` does with each connection; gives its URI.

    What goes wrong in ``talk``, other than the client's going away, is raised at the end.
    """
    async with asyncio.TaskGroup() as tasks:
        handlers: list[asyncio.Task[None]] = []

        async def handle(peer: RawPeer) -> None:
            with contextlib.suppress(OSError, EOFError):
                await talk(peer)

        def begin(sock: socket.socket) -> None:
            peer = RawPeer(sock)
            handler = tasks.create_task(handle(peer))
            # Not at the end of ``handle``, which never begins if it is cancelled before.
            handler.add_done_callback(lambda _: peer.close())
            handlers.append(handler)

        with socket.create_server(("127.0.0.1", 0)) as listening:
            acceptor = Acceptor(listening, begin)
            try:
                yield f"ws://127.0.0.1:{listening.getsockname()[1]}/"
            finally:
                acceptor.stop()
                for handler in handlers:
                    handler.cancel()


# What is measured.


@contextlib.asynccontextmanager
async def echo_server(**kwargs: object) -> AsyncIterator[Server]:
    """An echo server on 127.0.0.1."""
    async with serve(echo, "127.0.0.1", 0, **kwargs) as server:  # type: ignore[arg-type]
        yield server


class Bystander:
    """Somebody else's connection to the server that is attacked."""

    def __init__(self) -> None:
        self.round_trips = 0
        """How many it has made."""


@contextlib.asynccontextmanager
async def bystander(server: Server) -> AsyncIterator[Bystander]:
    """A client that talks to an echo server all the while, and must go on being served.

    Tests whose attack takes a while look at ``round_trips`` during it.
    """
    seen = Bystander()

    async def talk() -> None:
        async with connect(uri_of(server), proxy=None) as client:
            while True:
                await client.send(str(seen.round_trips))
                assert await client.recv() == str(seen.round_trips)
                seen.round_trips += 1
                await asyncio.sleep(0.001)  # it shares the processor with the attacker

    async def make_progress() -> None:
        goal = seen.round_trips + 3
        async with asyncio.timeout(5):
            while seen.round_trips < goal:
                assert not talking.done(), "the bystander's connection ended"
                await asyncio.sleep(0.001)

    talking = asyncio.create_task(talk())
    try:
        await make_progress()
        yield seen
        await make_progress()
    finally:
        talking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await talking


@dataclasses.dataclass
class Memory:
    """What was allocated in Python at most, in bytes, above what there was at the beginning."""

    peak: int = 0


@contextlib.contextmanager
def memory() -> Iterator[Memory]:
    """Measure the memory that a block takes at most."""
    measured = Memory()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield measured
        measured.peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
