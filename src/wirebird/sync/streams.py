"""Streams of bytes that never block: a socket, and TLS on top of a socket or of other TLS.

Whoever must wait does so with ``waiting.py``, outside of any lock. TLS stands between two buffers
in memory, since an ``ssl.SSLSocket`` must not be read and written by two threads at once; here all
that touches it happens under the lock of its connection. RFC 8446, 6.1.
"""

from __future__ import annotations

import socket
import ssl as ssl_module
from collections import deque
from itertools import islice
from typing import Any, Protocol

__all__ = ["SocketStream", "Stream", "TLSStream"]

_READ_BYTES = 64 * 1024
_RECORD_BYTES = 16 * 1024  # RFC 8446, 5.1
_CHUNKS_AT_ONCE = 64


class Stream(Protocol):
    """A way to the peer, as connections and tunnels use it."""

    sock: socket.socket
    """At the bottom of it; to wait for, and to ask for addresses."""
    is_at_end: bool
    """Whether the end was seen behind what ``receive`` returned last."""
    taken_bytes: int
    """How many bytes ``write`` was ever given."""

    def receive(self) -> bytes | None:
        """Return what has come, b"" at the end; None when nothing has.

        Raises:
            OSError: the network failed, or TLS.
        """

    def write(self, chunks: list[bytes]) -> None:
        """Take bytes, and send them as far as the network takes them.

        Raises:
            OSError: as for ``receive``.
        """

    def flush(self) -> None:
        """Send what the network did not take before; raises as ``write``."""

    def half_close(self) -> None:
        """End the stream to the peer once all is sent; what still comes is not for reading."""

    @property
    def buffered_bytes(self) -> int:
        """How much the network has not taken yet."""

    def discard(self) -> None:
        """Forget what the network has not taken."""

    def shut_down(self) -> None:
        """End both directions; who waits for the socket is woken."""

    def close(self) -> None:
        """Give the socket back to the system; nobody may wait for it any more."""


class SocketStream:
    """A socket of TCP, or of Unix.

    Args:
        sock: connected; it is this object's from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.is_at_end = False
        self.taken_bytes = 0
        self._pending: deque[bytes | memoryview] = deque()
        self._held = 0
        self._is_ending = False

    def receive(self) -> bytes | None:
        """See ``Stream``."""
        try:
            return self.sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return None

    def write(self, chunks: list[bytes]) -> None:
        """See ``Stream``."""
        if len(chunks) == 1 and not self._pending:  # what is nearly always so
            chunk: bytes | memoryview = chunks[0]
            length = len(chunk)
            self.taken_bytes += length
            try:
                sent = self.sock.send(chunk)
            except (BlockingIOError, InterruptedError):
                sent = 0
            if sent < length:
                self._held = length - sent
                self._pending.append(memoryview(chunk)[sent:])
            return
        for chunk in chunks:
            self._held += len(chunk)
            self.taken_bytes += len(chunk)
        self._pending += chunks
        self.flush()

    def flush(self) -> None:
        """See ``Stream``."""
        while self._pending:
            try:
                sent = self._send_some()
            except (BlockingIOError, InterruptedError):
                return
            self._held -= sent
            self._forget(sent)
        if self._is_ending:
            self._is_ending = False
            _shut_down(self.sock, socket.SHUT_WR)

    def _send_some(self) -> int:
        pending = self._pending
        if len(pending) == 1 or not hasattr(self.sock, "sendmsg"):
            return self.sock.send(pending[0])
        return self.sock.sendmsg(islice(pending, _CHUNKS_AT_ONCE))

    def _forget(self, sent: int) -> None:
        pending = self._pending
        while pending and sent >= len(pending[0]):
            sent -= len(pending.popleft())
        if sent:
            pending[0] = memoryview(pending[0])[sent:]

    def half_close(self) -> None:
        """See ``Stream``."""
        self._is_ending = True
        self.flush()

    @property
    def buffered_bytes(self) -> int:
        """See ``Stream``."""
        return self._held

    def discard(self) -> None:
        """See ``Stream``."""
        self._pending.clear()
        self._held = 0

    def shut_down(self) -> None:
        """See ``Stream``."""
        self.discard()
        _shut_down(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """See ``Stream``."""
        self.sock.close()


class TLSStream:
    """TLS on top of another stream. What is not its own is asked of the ``ssl.SSLObject``.

    Args:
        lower: the other stream; it is this object's from now on.
        context: says which certificates and versions are good.
        server_hostname: that a server's certificate must be for; None for a server's end.
    """

    def __init__(
        self, lower: Stream, context: ssl_module.SSLContext, *, server_hostname: str | None = None
    ) -> None:
        self.sock = lower.sock
        self.is_at_end = False
        self.taken_bytes = 0
        self._lower = lower
        self._incoming, self._outgoing = ssl_module.MemoryBIO(), ssl_module.MemoryBIO()
        self.ssl_object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
        )
        self._pending: deque[bytes | memoryview] = deque()
        self._held = 0
        self._is_ending = self._is_half_closed = False
        self._may_hold_more = True  # something may have come that no event will tell of

    def __getattr__(self, name: str) -> Any:
        if name == "ssl_object":  # not there yet
            raise AttributeError(name)
        return getattr(self.ssl_object if hasattr(self.ssl_object, name) else self.sock, name)

    def shake_hands(self) -> bool:
        """Go on with the handshake of TLS as far as bytes have come; return whether it is done.

        Raises:
            OSError: it failed.
        """
        while True:
            try:
                self.ssl_object.do_handshake()
                return True
            except ssl_module.SSLWantReadError:
                if not self._pull():
                    return False
            finally:
                self._pass_on()  # an alert too

    def receive(self) -> bytes | None:
        """See ``Stream``."""
        if self._is_half_closed:  # what comes is only counted
            return self._lower.receive()
        if self.is_at_end:
            return b""
        if not self._may_hold_more and not self._pull():
            return None
        while True:
            self._may_hold_more = False
            data = self._decrypted()
            if data or self.is_at_end:
                return data
            if not self._pull():
                return None

    def _pull(self) -> bool:
        """Take ciphertext; return whether there was some, or its end."""
        data = self._lower.receive()
        if data is None:
            return False
        if data:
            self._incoming.write(data)
        if not data or self._lower.is_at_end:
            self._incoming.write_eof()
        return True

    def _decrypted(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while piece := self.ssl_object.read(_READ_BYTES):
                pieces.append(piece)
            self.is_at_end = True
        except ssl_module.SSLWantReadError:
            pass
        except (ssl_module.SSLZeroReturnError, ssl_module.SSLEOFError):
            self.is_at_end = True  # with or without a word: the WebSocket knows what is missing
        try:
            self._pass_on()  # such as the answer to a new key
        except OSError:
            pass  # that is for who writes next; what came did come
        return b"".join(pieces)

    def write(self, chunks: list[bytes]) -> None:
        """See ``Stream``."""
        for chunk in chunks:
            self._held += len(chunk)
            self.taken_bytes += len(chunk)
        self._pending += chunks
        self.flush()

    def flush(self) -> None:
        """See ``Stream``. Nothing is encrypted ahead of what the network takes."""
        self._lower.flush()
        while self._pending and not self._lower.buffered_bytes:
            piece = self._next_piece()
            try:
                self.ssl_object.write(piece)
            except ssl_module.SSLWantReadError:  # the peer renegotiates: what it sends goes first
                self._pending.appendleft(piece)
                break
            finally:
                self._pass_on()
            self._held -= len(piece)
        if self._is_ending and not self._pending and not self._is_half_closed:
            self._say_goodbye()

    def _next_piece(self) -> bytes | memoryview:
        """Return what fills some records, of small chunks or of a big one."""
        first = self._pending.popleft()
        if len(first) > 4 * _RECORD_BYTES:
            whole = memoryview(first)
            self._pending.appendleft(whole[4 * _RECORD_BYTES :])
            return whole[: 4 * _RECORD_BYTES]
        if not self._pending or len(first) >= _RECORD_BYTES:
            return first
        small, size = [first], len(first)
        while self._pending and size + len(self._pending[0]) <= _RECORD_BYTES:
            small.append(self._pending.popleft())
            size += len(small[-1])
        return b"".join(small)

    def _say_goodbye(self) -> None:
        self._is_half_closed = True
        try:
            self.ssl_object.unwrap()
        except (OSError, ValueError):
            pass  # it cannot wait for the peer's answer, and need not
        self._pass_on()
        self._lower.half_close()

    def _pass_on(self) -> None:
        if self._outgoing.pending:
            self._lower.write([self._outgoing.read()])

    def half_close(self) -> None:
        """See ``Stream``."""
        self._is_ending = True
        self.flush()

    @property
    def buffered_bytes(self) -> int:
        """See ``Stream``."""
        return self._held + self._lower.buffered_bytes

    def discard(self) -> None:
        """See ``Stream``."""
        self._pending.clear()
        self._held = 0
        self._lower.discard()

    def shut_down(self) -> None:
        """See ``Stream``."""
        self.discard()
        self._lower.shut_down()

    def close(self) -> None:
        """See ``Stream``."""
        self._lower.close()


def _shut_down(sock: socket.socket, how: int) -> None:
    try:
        sock.shutdown(how)
    except OSError:
        pass  # it is gone already
