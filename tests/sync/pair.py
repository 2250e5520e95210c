"""Two Wirebird connections over a real socket, or one and a raw peer, for threads."""

from __future__ import annotations

import contextlib
import functools
import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

from tests.attacks.raw import CLOSE, RawFrame, key_of, masked, request, response

from wirebird.sync.client import ClientConnection, connect
from wirebird.sync.server import Server, ServerConnection, serve


class Thread(threading.Thread):
    """A thread whose result or exception the test sees.

    Args:
        function, args, kwargs: what it calls.
    """

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(daemon=True)
        self._call = functools.partial(function, *args, **kwargs)
        self._result: Any = None
        self._exception: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as exc:
            self._exception = exc

    def result(self) -> Any:
        """Wait until it has ended; return what it returned, or raise what it raised."""
        self.join(30)
        assert not self.is_alive(), "the thread does not end"
        if self._exception is not None:
            raise self._exception
        return self._result


def repeat(times: int, function: Callable[..., object], *args: Any) -> None:
    """Call something again and again."""
    for _ in range(times):
        function(*args)


class RawPeer:
    """One end of a TCP connection, in the hands of a test; it blocks, for 10 s at most."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(10)
        self.sock = sock
        self.buffer = bytearray()

    @classmethod
    def connect(cls, port: int, *, receive_buffer: int | None = None) -> Self:
        """Connect, and send nothing yet."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(("127.0.0.1", port))
        return cls(sock)

    def send(self, *data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(b"".join(data))

    def fill(self) -> bytes:
        """Read once; b"" at the end."""
        data = self.sock.recv(64 * 1024)
        self.buffer += data
        return data

    def exactly(self, n: int) -> bytes:
        """Read ``n`` bytes."""
        while len(self.buffer) < n:
            if not self.fill():
                raise EOFError(f"the stream ended with {bytes(self.buffer[:99])!r}")
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def head(self) -> str:
        """Read the head of a request or response, with the empty line after it."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if not self.fill():
                raise EOFError(f"the stream ended with {bytes(self.buffer[:99])!r}")
        return self.exactly(end + 4).decode("iso-8859-1")

    def open(self, *headers: str) -> str:
        """Do the opening handshake as a client; return the head of the response."""
        self.send(request(*headers))
        head = self.head()
        assert head.startswith("HTTP/1.1 101 "), head
        return head

    def accept(self, *headers: str) -> str:
        """Do the opening handshake as a server; return the head of the request."""
        head = self.head()
        self.send(response(key_of(head), *headers))
        return head

    def frame(self) -> RawFrame:
        """Read a frame."""
        first, second = self.exactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.exactly(8))
        key = self.exactly(4) if second & 0x80 else b""
        payload = self.exactly(length)
        payload = masked(payload, key) if key else payload
        return RawFrame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 7, bool(key))

    def close_frame(self) -> RawFrame:
        """Read up to the Close, and return it."""
        while (received := self.frame()).opcode != CLOSE:
            pass
        return received

    def rest(self) -> bytes:
        """Read to the end of the stream."""
        while self.fill():
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def reset(self) -> None:
        """Go away without a word: the other end gets an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def port_of(server: Server) -> int:
    """Where a server on 127.0.0.1 listens."""
    port = server.socket.getsockname()[1]
    assert isinstance(port, int)
    return port


def uri_of(server: Server, path: str = "/") -> str:
    """The URI of a server on 127.0.0.1."""
    return f"ws://127.0.0.1:{port_of(server)}{path}"


def echo(connection: ServerConnection) -> None:
    """A handler that sends back what it receives."""
    for message in connection:
        connection.send(message)


@contextlib.contextmanager
def serving(handler: Callable[[ServerConnection], None] = echo, **kwargs: Any) -> Iterator[Server]:
    """A server on 127.0.0.1, in a thread."""
    with running(serve(handler, "127.0.0.1", 0, **kwargs)) as server:
        yield server


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run a server in a thread, and shut it down at the end."""
    accepting = Thread(server.serve_forever)
    try:
        with server:
            yield server
    finally:
        accepting.result()


@contextlib.contextmanager
def handed_over(**kwargs: Any) -> Iterator[tuple[Server, queue.Queue[ServerConnection]]]:
    """A server that gives its connections to the test."""
    opened: queue.Queue[ServerConnection] = queue.Queue()

    def handler(connection: ServerConnection) -> None:
        opened.put(connection)
        connection.wait_closed()

    with serving(handler, **kwargs) as server:
        yield server, opened


@contextlib.contextmanager
def pair(
    *, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None, **both: Any
) -> Iterator[tuple[ClientConnection, ServerConnection]]:
    """A client's connection and the server's end of it.

    Args:
        client, server, both: arguments of ``connect``, of ``serve``, of both.
    """
    with handed_over(**{**both, **(server or {})}) as (listening, opened):
        arguments = {"proxy": None, **both, **(client or {})}
        with connect(uri_of(listening), **arguments) as connection:
            yield connection, opened.get(timeout=10)


@contextlib.contextmanager
def raw_and_server(
    *headers: str, receive_buffer: int | None = None, **kwargs: Any
) -> Iterator[tuple[RawPeer, ServerConnection]]:
    """A raw client, and the server's end of its connection."""
    arguments = {"compression": None, "close_timeout": 0.5, **kwargs}
    with (
        handed_over(**arguments) as (listening, opened),
        RawPeer.connect(port_of(listening), receive_buffer=receive_buffer) as peer,
    ):
        peer.open(*headers)
        yield peer, opened.get(timeout=10)


@contextlib.contextmanager
def raw_server(talk: Callable[[RawPeer], Any], connections: int = 1) -> Iterator[str]:
    """A server that does what ``talk`` does with each connection; gives its URI."""

    def serve_each() -> None:
        for _ in range(connections):
            sock, _ = listening.accept()
            with RawPeer(sock) as peer, contextlib.suppress(OSError, EOFError):
                talk(peer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        thread = Thread(serve_each)
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}/"
        thread.result()
