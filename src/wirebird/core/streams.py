"""A stream of bytes that generators read from, as far as it has come.

A reader is a generator that yields when it needs more bytes and returns what it read; whoever
drives it feeds the stream and resumes it. Each byte is looked at once: a search for the end of a
line goes on where it stopped, and taking bytes off the front of a bytearray moves its beginning,
not its contents.
"""

from __future__ import annotations

from collections.abc import Generator

from .types import BytesLike

__all__ = ["StreamReader"]


class StreamReader:
    """What came and was not read yet. One read at a time."""

    __slots__ = ("buffer", "eof")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.eof = False

    def read_line(
        self, m: int, too_long_exc_type: type[Exception] = RuntimeError
    ) -> Generator[None, None, bytearray]:
        """Read to the next LF, which belongs to the line.

        Args:
            m: what the line may have, in bytes.
            too_long_exc_type: raised when it has more; no more than ``m`` bytes are searched.

        Raises:
            EOFError: the stream ends before the line does.
        """
        searched = 0
        while True:
            end = self.buffer.find(b"\n", searched, m) + 1
            if end:
                return self._take(end)
            searched = len(self.buffer)
            if searched >= m:
                raise too_long_exc_type(f"line is longer than {m} bytes")
            if self.eof:
                raise EOFError(f"stream ends within a line, after {searched} bytes of it")
            yield

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        """Read ``n`` bytes.

        Raises:
            EOFError: the stream ends before.
            ValueError: ``n`` is negative.
        """
        if n < 0:
            raise ValueError(f"cannot read {n} bytes")
        while len(self.buffer) < n:
            if self.eof:
                raise EOFError(f"stream ends after {len(self.buffer)} bytes, expected {n}")
            yield
        return self._take(n)

    def read_to_eof(
        self, m: int, too_long_exc_type: type[Exception] = RuntimeError
    ) -> Generator[None, None, bytearray]:
        """Read all there is until the stream ends.

        Args:
            m: how many bytes there may be.
            too_long_exc_type: raised when there are more.
        """
        while True:
            if len(self.buffer) > m:
                raise too_long_exc_type(f"stream is longer than {m} bytes")
            if self.eof:
                return self._take(len(self.buffer))
            yield

    def at_eof(self) -> Generator[None, None, bool]:
        """Tell whether everything was read and nothing will come."""
        while not self.buffer:
            if self.eof:
                return True
            yield
        return False

    def feed_data(self, data: BytesLike) -> None:
        """Add what came.

        Raises:
            EOFError: the stream has ended.
        """
        if self.eof:
            raise EOFError("stream has ended")
        self.buffer += data

    def feed_eof(self) -> None:
        """End the stream.

        Raises:
            EOFError: it has ended.
        """
        if self.eof:
            raise EOFError("stream has ended")
        self.eof = True

    def discard(self) -> None:
        """Forget what came and was not read."""
        self.buffer.clear()

    def take_rest(self) -> bytes:
        """Return what came and was not read, and forget it: it belongs to another parser."""
        rest = bytes(self.buffer)
        self.buffer.clear()
        return rest

    def _take(self, length: int) -> bytearray:
        taken = self.buffer[:length]
        del self.buffer[:length]
        return taken
