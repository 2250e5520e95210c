"""A TCP connection in memory: two pipes, and what a test can do to them.

A pipe is one direction: bytes that were sent and not yet read, as many as the buffers of both
kernels would hold. It takes no more than its capacity, so whoever sends to somebody who does not
read has to wait, as with sockets. What a pipe brings is told by callbacks, one for each end.

What TCP does at the end is kept (RFC 9293, 3.6 and 3.10.7): a direction can end alone; who sends
to somebody who is gone is told by a reset; what came before a reset can still be read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..asyncio.server import ServerConnection

__all__ = ["CAPACITY", "Pipe", "Wire"]

CAPACITY = 64 * 1024
"""What is on the way in one direction at most, in bytes."""


class Pipe:
    """One direction: bytes on the way.

    Args:
        capacity: how many bytes can be on the way.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity!r}")
        self.capacity = capacity
        self.bytes_sent = 0
        """How many were put in, in all."""
        self.on_readable: Callable[[], None] | None = None
        """Called when there is something for the reader: bytes, the end, or a reset."""
        self.on_writable: Callable[[], None] | None = None
        """Called when there is room again, or nobody reads any more."""
        self._bytes = bytearray()
        self._has_ended = False
        self._is_reset = False
        self._is_held = False
        self.is_reader_gone = False
        """Whether the reader has closed its end: what is sent now is answered by a reset."""

    # What a test does

    @property
    def is_held(self) -> bool:
        """Whether nothing arrives."""
        return self._is_held

    def hold(self) -> None:
        """Let nothing arrive any more, as if the cable were unplugged; nobody is told."""
        self._is_held = True

    def release(self) -> None:
        """Let everything arrive that was held."""
        if self._is_held:
            self._is_held = False
            self._tell_reader()

    @property
    def bytes_on_the_way(self) -> int:
        """How many were sent and not yet read."""
        return len(self._bytes)

    # What the sender does

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Send what there is room for; return how many bytes that was.

        Raises:
            BrokenPipeError: this direction has ended, or was reset.
        """
        if self._has_ended or self._is_reset:
            raise BrokenPipeError("the other end is gone")
        if self.is_reader_gone:
            return len(data)  # it is lost: whoever joined this pipe sees to the reset
        taken = min(len(data), self.capacity - len(self._bytes))
        if taken > 0:
            self._bytes += data[:taken]
            self.bytes_sent += taken
            self._tell_reader()
        return taken

    def end(self) -> None:
        """Say that nothing more comes: a FIN."""
        if not self._has_ended:
            self._has_ended = True
            self._tell_reader()

    def reset(self) -> None:
        """Say that the connection is no more: an RST. What came before it can still be read."""
        if not self._is_reset:
            self._is_reset = True
            self._tell_reader()
            self._tell_writer()

    # What the reader does

    @property
    def is_readable(self) -> bool:
        """Whether ``read`` returns or raises, other than BlockingIOError."""
        return not self._is_held and bool(self._bytes or self._has_ended or self._is_reset)

    @property
    def has_hung_up(self) -> bool:
        """Whether the end or a reset has arrived, behind whatever can still be read."""
        return not self._is_held and (self._has_ended or self._is_reset)

    def read(self, limit: int) -> bytes:
        """Take at most ``limit`` bytes that have arrived; b"" at the end.

        Raises:
            BlockingIOError: nothing has.
            ConnectionResetError: the sender cut the connection.
        """
        if self._is_held or not (self._bytes or self._has_ended or self._is_reset):
            raise BlockingIOError("nothing has arrived")
        if self._bytes:
            data = bytes(memoryview(self._bytes)[:limit])
            del self._bytes[: len(data)]
            self._tell_writer()
            return data
        if self._is_reset:
            raise ConnectionResetError("the other end cut the connection")
        return b""

    def close_reader(self) -> bool:
        """Read no more, ever; return whether something was left unread."""
        self.is_reader_gone = True
        was_unread = bool(self._bytes)
        self._bytes.clear()
        self._tell_writer()
        return was_unread

    def _tell_reader(self) -> None:
        if self.on_readable is not None and self.is_readable:
            self.on_readable()

    def _tell_writer(self) -> None:
        if self.on_writable is not None:
            self.on_writable()


class Wire:
    """Both directions of a connection, and the hands of a test on it.

    Args:
        capacity: how many bytes can be on the way in each direction.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.to_server = Pipe(capacity)
        """From the client to the server."""
        self.to_client = Pipe(capacity)
        """From the server to the client."""
        self.server: ServerConnection | None = None
        """The server's connection; None for one that a test plays."""

    @property
    def is_held(self) -> bool:
        """Whether nothing arrives in one direction at least."""
        return self.to_server.is_held or self.to_client.is_held

    def hold(self) -> None:
        """Let nothing arrive in either direction; neither end is told, as if a cable were cut."""
        self.to_server.hold()
        self.to_client.hold()

    def release(self) -> None:
        """Let everything arrive that was held."""
        self.to_server.release()
        self.to_client.release()

    def cut(self) -> None:
        """Reset the connection: both ends get a ConnectionResetError."""
        self.to_server.reset()
        self.to_client.reset()
        self.release()
