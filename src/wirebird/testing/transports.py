"""asyncio's transport over pipes in memory: what a protocol cannot tell from a socket's.

It behaves as asyncio's own for sockets (``asyncio.selector_events``): bytes go at once as far as
there is room, the rest is kept and the protocol is told to pause; nothing is delivered within a
call of the protocol, but in the next turn of the loop; ``close`` sends what is left, ``abort`` does
not; ``write_eof`` leaves the other direction open. So what runs over it runs the same each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from .pipes import Pipe

__all__ = ["MemoryTransport"]

_HIGH = 64 * 1024  # the marks of asyncio
_READ_BYTES = 256 * 1024


class MemoryTransport(asyncio.Transport):
    """One end of a connection in memory.

    Args:
        loop: that calls the protocol.
        incoming, outgoing: what comes to this end, and what goes from it.
        extra: what ``get_extra_info`` says, such as "peername" and "sockname".
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        incoming: Pipe,
        outgoing: Pipe,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(extra)
        self._loop = loop
        self._incoming = incoming
        self._outgoing = outgoing
        self._protocol: asyncio.BaseProtocol | None = None
        self._unsent = bytearray()
        self._low, self._high = _HIGH // 4, _HIGH
        self._is_reading = True
        self._is_read_scheduled = False
        self._is_write_scheduled = False
        self._has_told_to_pause = False
        self._has_eof = False  # came
        self._is_eof_written = False
        self._is_closing = False
        self._is_cut = False  # nothing more is sent
        incoming.on_readable = self._schedule_read
        outgoing.on_writable = self._schedule_write

    def __repr__(self) -> str:
        state = "closing" if self._is_closing else "open"
        return f"<{type(self).__name__} {state} peername={self.get_extra_info('peername')}>"

    def start(self, protocol: asyncio.BaseProtocol) -> None:
        """Give this end to a protocol."""
        self._protocol = protocol
        protocol.connection_made(self)
        self._schedule_read()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See ``asyncio.BaseTransport``."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See ``asyncio.BaseTransport``."""
        assert self._protocol is not None
        return self._protocol

    # Reading

    def is_reading(self) -> bool:
        """See ``asyncio.ReadTransport``."""
        return self._is_reading and not self._is_closing

    def pause_reading(self) -> None:
        """See ``asyncio.ReadTransport``."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """See ``asyncio.ReadTransport``."""
        self._is_reading = True
        self._schedule_read()

    def is_hung_up(self) -> bool:
        """Whether the other end has ended or cut the connection, known without reading."""
        return self._incoming.has_hung_up

    def _schedule_read(self) -> None:
        if self._is_read_scheduled or self._protocol is None or self._has_eof:
            return
        if self.is_reading() and self._incoming.is_readable:
            self._is_read_scheduled = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        """Deliver what has come, once in a turn."""
        self._is_read_scheduled = False
        if not self.is_reading() or not self._incoming.is_readable:
            return
        try:
            if not self._deliver():
                self._has_eof = True
                if not cast(asyncio.Protocol, self._protocol).eof_received():
                    self.close()
        except ConnectionResetError as exc:
            self._force_close(exc)
        except Exception as exc:
            self._protocol_failed(exc)
        else:
            self._schedule_read()

    def _deliver(self) -> bool:
        """Give the protocol what it has room for; return False at the end."""
        protocol = self._protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            room = memoryview(protocol.get_buffer(-1))
            data = self._incoming.read(len(room))
            if data:
                room[: len(data)] = data
                protocol.buffer_updated(len(data))
        else:
            data = self._incoming.read(_READ_BYTES)
            if data:
                cast(asyncio.Protocol, protocol).data_received(data)
        return bool(data)

    def _protocol_failed(self, exc: Exception) -> None:
        context = {
            "message": "a protocol failed to take what came",
            "exception": exc,
            "transport": self,
            "protocol": self._protocol,
        }
        self._loop.call_exception_handler(context)
        self._force_close(exc)

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See ``asyncio.WriteTransport``."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes-like, not {type(data).__name__}")
        if self._is_eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or (self._is_closing and not self._unsent):
            return
        self._unsent += data
        self._send()
        if len(self._unsent) > self._high and not self._has_told_to_pause:
            self._has_told_to_pause = True
            self.get_protocol().pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """See ``asyncio.WriteTransport``."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """See ``asyncio.WriteTransport``."""
        return True

    def write_eof(self) -> None:
        """See ``asyncio.WriteTransport``."""
        if self._is_closing or self._is_eof_written:
            return
        self._is_eof_written = True
        if not self._unsent:
            self._outgoing.end()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See ``asyncio.WriteTransport``."""
        if high is None:
            high = _HIGH if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """See ``asyncio.WriteTransport``."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """See ``asyncio.WriteTransport``."""
        return len(self._unsent)

    def _send(self) -> None:
        """Send what there is room for."""
        if not self._unsent:
            return
        is_lost = self._outgoing.is_reader_gone
        try:
            taken = self._outgoing.write(self._unsent)
        except BrokenPipeError as exc:
            self._force_close(exc)
            return
        del self._unsent[:taken]
        if is_lost:
            self._incoming.reset()  # nobody is there to take it: that is the answer
            self._outgoing.reset()

    def _schedule_write(self) -> None:
        if self._unsent and not self._is_write_scheduled:
            self._is_write_scheduled = True
            self._loop.call_soon(self._write_rest)

    def _write_rest(self) -> None:
        self._is_write_scheduled = False
        self._send()
        if self._is_cut:
            return
        if self._has_told_to_pause and len(self._unsent) <= self._low:
            self._has_told_to_pause = False
            self.get_protocol().resume_writing()
        if not self._unsent:
            if self._is_closing:
                self._call_connection_lost(None)
            elif self._is_eof_written:
                self._outgoing.end()

    # The end

    def is_closing(self) -> bool:
        """See ``asyncio.BaseTransport``."""
        return self._is_closing

    def close(self) -> None:
        """See ``asyncio.BaseTransport``."""
        if self._is_closing:
            return
        self._is_closing = True
        if not self._unsent:
            self._loop.call_soon(self._call_connection_lost, None)

    def abort(self) -> None:
        """See ``asyncio.WriteTransport``."""
        self._force_close(None)

    def _force_close(self, exc: Exception | None) -> None:
        """End without sending what is left."""
        was_about_to_end = self._is_closing and not self._unsent
        self._unsent.clear()
        self._is_closing = self._is_cut = True
        if not was_about_to_end:
            self._loop.call_soon(self._call_connection_lost, exc)

    def _call_connection_lost(self, exc: Exception | None) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is None:
            return
        try:
            protocol.connection_lost(exc)
        finally:
            # As the kernel does it: with something unread, who closes resets. RFC 2525, 2.17.
            self._incoming.on_readable = self._outgoing.on_writable = None
            if self._incoming.close_reader():
                self._outgoing.reset()
            else:
                self._outgoing.end()
