"""A peer that does exactly what it is told, right or wrong, byte by byte.

It knows sockets and the layout of frames, and nothing of Wirebird: it reads only when asked, so
it can be a peer that never reads; it sends whatever bytes it is given. Beside it: what the tests
of hostile peers measure with (memory, and a bystander who must be served meanwhile).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Self

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import Server, ServerConnection, serve

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = base64.b64encode(bytes(16)).decode()
MASK = b"\x37\xfa\x21\x3d"
MIB = 2**20

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


def accept_of(key: str) -> str:
    """The answer to a key. RFC 6455, 4.2.2."""
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


def masked(payload: bytes, key: bytes = MASK) -> bytes:
    """Apply a masking key. RFC 6455, 5.3."""
    keys = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(
        len(payload), "big"
    )


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bool = True,
    length: int | None = None,
) -> bytes:
    """Write a frame, which need not be a valid one.

    Args:
        opcode: any of 0-15.
        payload: as it is meant; it is masked here.
        fin, mask: the bits.
        rsv: RSV1 is 4, RSV2 is 2, RSV3 is 1.
        length: that the header claims, when it is not that of the payload.
    """
    length = len(payload) if length is None else length
    first = fin << 7 | rsv << 4 | opcode
    bit = mask << 7
    if length < 126:
        header = struct.pack("!BB", first, bit | length)
    elif length < 2**16:
        header = struct.pack("!BBH", first, bit | 126, length)
    else:
        header = struct.pack("!BBQ", first, bit | 127, length)
    return header + (MASK + masked(payload) if mask else payload)


def close_payload(code: int, reason: str = "") -> bytes:
    """What a Close carries. RFC 6455, 5.5.1."""
    return struct.pack("!H", code) + reason.encode()


def request(*headers: str, path: str = "/", host: str = "127.0.0.1") -> bytes:
    """A proper request for a WebSocket, with further header lines."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return "".join(line + "\r\n" for line in lines).encode() + b"\r\n"


def response(key: str, *headers: str) -> bytes:
    """A proper answer to a request, with further header lines."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_of(key)}",
        *headers,
    ]
    return "".join(line + "\r\n" for line in lines).encode() + b"\r\n"


@dataclasses.dataclass(frozen=True)
class RawFrame:
    """A frame as it was on the wire, unmasked."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    masked: bool = False

    @property
    def code(self) -> int:
        """The code of a Close; 1005 for none."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else 1005

    @property
    def reason(self) -> str:
        """The reason of a Close."""
        return self.payload[2:].decode()


class RawPeer:
    """One end of a TCP connection, in the hands of a test."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.buffer = bytearray()
        self.loop = asyncio.get_running_loop()

    @classmethod
    async def connect(cls, port: int, *, receive_buffer: int | None = None) -> Self:
        """Connect, and send nothing yet.

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

    async def send(self, *data: bytes) -> None:
        """Send bytes; wait while the network takes no more."""
        await asyncio.sleep(0)
        await self.loop.sock_sendall(self.sock, b"".join(data))

    async def try_send(self, *data: bytes) -> bool:
        """Send bytes; return whether the other end took them, and is there at all."""
        try:
            await self.send(*data)
        except OSError:
            return False
        return True

    async def fill(self) -> bytes:
        """Read once; b"" at the end.

        Raises:
            ConnectionResetError: the other end cut the connection.
        """
        await asyncio.sleep(0)  # where data waits, sock_recv does not let others run
        data = await self.loop.sock_recv(self.sock, 64 * 1024)
        self.buffer += data
        return data

    async def exactly(self, n: int) -> bytes:
        """Read ``n`` bytes.

        Raises:
            EOFError: the stream ends before.
        """
        while len(self.buffer) < n:
            if not await self.fill():
                raise EOFError(f"the stream ended with {bytes(self.buffer)!r}")
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    async def head(self) -> str:
        """Read the head of a request or response, with the empty line after it."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if not await self.fill():
                raise EOFError(f"the stream ended with {bytes(self.buffer)!r}")
        return (await self.exactly(end + 4)).decode("iso-8859-1")

    async def open(self, *headers: str) -> str:
        """Do the opening handshake as a client; return the head of the response."""
        await self.send(request(*headers))
        head = await self.head()
        assert head.startswith("HTTP/1.1 101 "), head
        assert f"Sec-WebSocket-Accept: {accept_of(KEY)}\r\n" in head
        return head

    async def accept(self, *headers: str) -> str:
        """Do the opening handshake as a server; return the head of the request."""
        head = await self.head()
        await self.send(response(key_of(head), *headers))
        return head

    async def frame(self) -> RawFrame:
        """Read a frame."""
        first, second = await self.exactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self.exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.exactly(8))
        key = await self.exactly(4) if second & 0x80 else b""
        payload = await self.exactly(length)
        return RawFrame(
            first & 0x0F,
            masked(payload, key) if key else payload,
            bool(first & 0x80),
            first >> 4 & 7,
            bool(key),
        )

    async def close_frame(self) -> RawFrame:
        """Read up to the Close, and return it."""
        while (received := await self.frame()).opcode != CLOSE:
            pass
        return received

    async def rest(self) -> bytes:
        """Read to the end of the stream."""
        while await self.fill():
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Go away without a word: the other end gets an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def key_of(head: str) -> str:
    """The key in the head of a request."""
    return head.split("Sec-WebSocket-Key: ")[1].split("\r\n")[0]


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
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)

    async def handle(sock: socket.socket) -> None:
        async with RawPeer(sock) as peer:
            with contextlib.suppress(OSError, EOFError):
                await talk(peer)

    async with asyncio.TaskGroup() as tasks:

        async def accept() -> None:
            while True:
                sock, _ = await loop.sock_accept(listening)
                handlers.append(tasks.create_task(handle(sock)))

        handlers: list[asyncio.Task[None]] = []
        accepting = tasks.create_task(accept())
        try:
            yield f"ws://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            accepting.cancel()
            for handler in handlers:
                handler.cancel()
            listening.close()


# What is measured.


async def echo(connection: ServerConnection) -> None:
    """A handler that sends back what it receives."""
    async for message in connection:
        await connection.send(message)


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
