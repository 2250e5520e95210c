"""Streams of bytes that are read only when asked: what a scripted peer holds in its hands.

asyncio's transports read by themselves. A peer that stalls must not, so it has the socket, or the
pipes of a memory network, for itself.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from .pipes import Pipe

__all__ = ["Acceptor", "MemoryStream", "SocketStream", "Stream"]

_READ_BYTES = 64 * 1024


class Stream(Protocol):
    """One end of a connection, read and written by hand."""

    async def send(self, data: bytes) -> None:
        """Send all of it; wait while the network takes no more.

        Raises:
            OSError: the other end is gone.
        """

    async def receive(self) -> bytes:
        """Read what has come, or wait for it; b"" at the end.

        Raises:
            ConnectionResetError: the other end cut the connection.
        """

    def half_close(self) -> None:
        """Say that nothing more will be sent."""

    def reset(self) -> None:
        """Cut the connection: the other end gets a reset."""

    def close(self) -> None:
        """Close it; doing it again does nothing."""


class SocketStream:
    """A stream over a connected socket of TCP, or a Unix socket.

    Args:
        sock: that is closed with the stream.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock

    async def send(self, data: bytes) -> None:
        """See ``Stream``."""
        await asyncio.sleep(0)
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self) -> bytes:
        """See ``Stream``."""
        await asyncio.sleep(0)  # where data waits, sock_recv does not let others run
        return await asyncio.get_running_loop().sock_recv(self.sock, _READ_BYTES)

    def half_close(self) -> None:
        """See ``Stream``."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """See ``Stream``."""
        if self.sock.fileno() >= 0:
            linger = struct.pack("ii", 1, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.sock.close()

    def close(self) -> None:
        """See ``Stream``."""
        self.sock.close()


class MemoryStream:
    """A stream over pipes.

    Args:
        incoming, outgoing: what comes to this end, and what goes from it.
    """

    def __init__(self, incoming: Pipe, outgoing: Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._is_closed = False

    async def send(self, data: bytes) -> None:
        """See ``Stream``."""
        await asyncio.sleep(0)
        rest = memoryview(data)
        while rest:
            is_lost = self._outgoing.is_reader_gone
            rest = rest[self._outgoing.write(rest) :]
            if is_lost:
                self._incoming.reset()
                self._outgoing.reset()
            elif rest:
                writable = asyncio.Event()
                self._outgoing.on_writable = writable.set
                await writable.wait()

    async def receive(self) -> bytes:
        """See ``Stream``."""
        await asyncio.sleep(0)
        while not self._incoming.is_readable:
            readable = asyncio.Event()
            self._incoming.on_readable = readable.set
            await readable.wait()
        return self._incoming.read(_READ_BYTES)

    def half_close(self) -> None:
        """See ``Stream``."""
        self._outgoing.end()

    def reset(self) -> None:
        """See ``Stream``."""
        if not self._is_closed:
            self._is_closed = True
            self._incoming.close_reader()
            self._outgoing.reset()

    def close(self) -> None:
        """See ``Stream``."""
        if not self._is_closed:
            self._is_closed = True
            if self._incoming.close_reader():
                self._outgoing.reset()
            else:
                self._outgoing.end()


class Acceptor:
    """Takes each connection that comes to a socket, until it is stopped; none is lost between.

    A task in ``sock_accept`` loses one that came in the very turn in which it is cancelled.

    Args:
        listening: not closed here.
        begin: called with the socket of each connection, which it has to close.
    """

    def __init__(self, listening: socket.socket, begin: Callable[[socket.socket], object]) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        try:
            self._loop.add_reader(listening, self._accept)
        except NotImplementedError:  # a proactor has no other way
            self._task = self._loop.create_task(self._accept_each())

    def stop(self) -> None:
        """Take no more; to be called before the socket is closed."""
        if self._task is not None:
            self._task.cancel()
        else:
            self._loop.remove_reader(self._listening)

    def _accept(self) -> None:
        try:
            sock, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # who came has gone again
        self._begin(sock)

    async def _accept_each(self) -> None:
        while True:
            sock, _ = await self._loop.sock_accept(self._listening)
            self._begin(sock)
