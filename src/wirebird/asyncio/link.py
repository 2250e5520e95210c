"""A way to the peer's network, as connections know it.

A connection never touches a transport: it has a ``Link``, of which asyncio's transport is one.
"""

from __future__ import annotations

import asyncio
import select
from typing import Any, Protocol

__all__ = ["Link", "TransportLink"]

_JOIN_BYTES = 128 * 1024
_LINGER_S = 1.0
# Linux alone tells of a peer that half-closed; of one that reset, all who have poll(2) do.
_POLL_HANG_UP = getattr(select, "POLLRDHUP", 0)


class Link(Protocol):
    """What a connection asks of whatever moves its bytes."""

    def write(self, chunks: list[bytes]) -> None:
        """Send these bytes, in order, as soon as the network takes them."""

    def half_close(self, *, is_peer_done: bool) -> None:
        """End the stream to the peer once all is sent, and go on reading if that can be."""

    def abort(self) -> None:
        """Cut the connection; what was not sent is lost."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read again."""

    def is_hung_up(self) -> bool:
        """Whether it is known, without reading, that the peer ended or cut the connection."""

    def buffered_bytes(self) -> int:
        """How much the network has not taken yet."""

    def get_extra_info(self, name: str) -> Any:
        """Say something about the network, as asyncio's transports do."""


class TransportLink:
    """A link over one of asyncio's transports.

    Args:
        transport: of TCP, a Unix socket or TLS.
        loop: its event loop.
    """

    __slots__ = ("_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop

    def write(self, chunks: list[bytes]) -> None:
        """See ``Link``. Small chunks go out together, big ones are not copied.

        Not by ``writelines``, which in some releases of Python 3.12 and 3.13 fills its buffer
        without ever telling the protocol to pause.
        """
        if len(chunks) == 1:
            self._transport.write(chunks[0])
            return
        together: list[bytes] = []
        size = 0
        for chunk in chunks:
            if together and size + len(chunk) > _JOIN_BYTES:
                self._transport.write(b"".join(together))
                together, size = [], 0
            together.append(chunk)
            size += len(chunk)
        self._transport.write(together[0] if len(together) == 1 else b"".join(together))

    def half_close(self, *, is_peer_done: bool) -> None:
        """See ``Link``. TLS has no half-close: unless the peer is done, it is given a moment.

        Closing at once, with unread data, could reset the connection and lose our Close.
        """
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            try:
                self._transport.write_eof()
            except (OSError, RuntimeError):
                self._transport.abort()  # the socket is gone already
        elif is_peer_done:
            self._transport.close()
        else:
            self._loop.call_later(_LINGER_S, self._transport.close)

    def abort(self) -> None:
        """See ``Link``."""
        self._transport.abort()

    def pause(self) -> None:
        """See ``Link``."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """See ``Link``."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def is_hung_up(self) -> bool:
        """See ``Link``. A transport that does not read does not look, unless it can be asked."""
        ask = getattr(self._transport, "is_hung_up", None)
        if ask is not None:
            return bool(ask())
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0 or not hasattr(select, "poll"):
            return False
        poll = select.poll()
        poll.register(sock.fileno(), _POLL_HANG_UP)
        return bool(poll.poll(0))

    def buffered_bytes(self) -> int:
        """See ``Link``."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str) -> Any:
        """See ``Link``."""
        return self._transport.get_extra_info(name)
