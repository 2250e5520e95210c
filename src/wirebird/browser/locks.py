"""Readers and writers: who has the streams of a ``WebSocketStream`` for himself.

A stream that has been given to one is locked: its own methods, and a second reader or writer, raise
a TypeError until the lock is released. Streams Standard, 4.2 (readers) and 5.2 (writers).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from ..core.types import BytesLike

if TYPE_CHECKING:
    from .stream import ReadableStream, WritableStream

__all__ = ["ReadResult", "ReadableStreamDefaultReader", "WritableStreamDefaultWriter"]


class ReadResult(NamedTuple):
    """What ``read`` of a reader returns."""

    value: str | bytes | None
    """The message; None after the last."""
    done: bool
    """Whether there are no more."""


class ReadableStreamDefaultReader:
    """Reads a stream that nobody else reads meanwhile; ``ReadableStream.getReader`` makes it.

    Args:
        stream: to read.
    """

    def __init__(self, stream: ReadableStream) -> None:
        self._stream: ReadableStream | None = stream
        self._is_reading = False

    async def read(self) -> ReadResult:
        """Receive the next message; after a closing handshake, that there is none.

        Raises:
            WebSocketError: there was no closing handshake.
            ConcurrencyError: another task is reading.
            TypeError: the lock was released.
        """
        stream, was_reading = self._locked(), self._is_reading
        self._is_reading = True
        try:
            value = await stream._read()
        finally:
            self._is_reading = was_reading
        return ReadResult(value, value is None)

    async def cancel(self, reason: object = None) -> None:
        """Read no more, and close the connection; see ``ReadableStream.cancel``."""
        await self._locked()._cancel(reason)

    def releaseLock(self) -> None:
        """Give the stream back; doing it again does nothing.

        Raises:
            TypeError: a ``read`` is waiting: cancel its task first.
        """
        if self._is_reading:
            raise TypeError("a read is waiting")
        stream, self._stream = self._stream, None
        if stream is not None:
            stream._reader = None

    def _locked(self) -> ReadableStream:
        if self._stream is None:
            raise TypeError("the lock of this reader was released")
        return self._stream


class WritableStreamDefaultWriter:
    """Writes a stream that nobody else writes meanwhile; ``WritableStream.getWriter`` makes it.

    Args:
        stream: to write.
    """

    def __init__(self, stream: WritableStream) -> None:
        self._stream: WritableStream | None = stream

    @property
    def ready(self) -> asyncio.Future[None]:
        """What to await until the kernel has all that was written.

        Raises:
            DOMException, WebSocketError: as ``write``.
            TypeError: the lock was released.
        """
        waiting = asyncio.ensure_future(self._locked()._flush())
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        return waiting

    async def write(self, chunk: str | BytesLike) -> None:
        """Send a message; see ``WritableStream.write``."""
        await self._locked()._write(chunk)

    async def close(self) -> None:
        """Close the connection, behind what was written."""
        await self._locked()._close(None)

    async def abort(self, reason: object = None) -> None:
        """Write no more, and close the connection; see ``WritableStream.abort``."""
        await self._locked()._close(reason)

    def releaseLock(self) -> None:
        """Give the stream back, whatever is still being written; again does nothing."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream._writer = None

    def _locked(self) -> WritableStream:
        if self._stream is None:
            raise TypeError("the lock of this writer was released")
        return self._stream
