"""A WebSocket connection for threads: what clients and servers have in common.

Receiving, sending and the bytes below are in ``receiving.py``, ``sending.py`` and ``transfer.py``;
here is what happens seldom: pings, closing, and what users ask about a connection.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal, Self, overload

from ..core.close import Close
from ..core.connection import Connection as Core
from ..core.rules import MAX_FRAGMENTS, WRITE_TIMEOUT_S, CloseCode
from ..core.types import Data, DataLike
from ..endpoint import Endpoint
from ..exceptions import ConnectionClosedOK, InvalidState
from ..protocol import Protocol
from .broadcast import broadcast
from .sending import MessageSender
from .streams import SocketStream, Stream
from .transfer import monotonic

__all__ = ["Connection", "broadcast"]


class Connection(MessageSender, Endpoint):
    """A connection; use ``ClientConnection`` or ``ServerConnection``.

    Its methods may be called by any thread, at any time.

    Args:
        sock: connected to the peer; or what ``connect`` and ``serve`` made of one, with TLS.
        protocol: the opening handshake, and what comes of it.
        ping_interval: seconds between two pings; None for none.
        ping_timeout: seconds of silence after a ping until the peer is given up; None for never.
        close_timeout: seconds that the closing handshake may take; None for no limit.
        max_queue: unread frames above which reading pauses; or (high, low); None for no mark.
        write_timeout: seconds without the peer taking anything until it is cut; None for never.
        max_fragments: of an incoming message; None for no limit.
    """

    _core: Core | None = None
    _pongs: dict[bytes, tuple[threading.Event, bool]] | None = None

    def __init__(
        self,
        sock: socket.socket | Stream,
        protocol: Protocol,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_timeout: float | None = WRITE_TIMEOUT_S,
        max_fragments: int | None = MAX_FRAGMENTS,
    ) -> None:
        stream = SocketStream(sock) if isinstance(sock, socket.socket) else sock
        super().__init__(stream, protocol)
        self.socket: Any = stream.sock if isinstance(stream, SocketStream) else stream
        """The socket; with TLS, something that answers as an ``ssl.SSLSocket`` would."""
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.close_timeout = close_timeout
        protocol.configure(
            hooks=self,
            max_queue=max_queue,
            max_fragments=max_fragments,
            ping_interval_s=ping_interval,
            ping_timeout_s=ping_timeout,
            close_timeout_s=close_timeout,
            write_timeout_s=write_timeout,
            now=monotonic(),
        )
        self._take_protocol()
        if protocol.connection is not None:  # the opening handshake was done elsewhere
            self._opened()

    @property
    def local_address(self) -> Any:
        """Our address: (host, port) for IPv4, as ``socket.getsockname`` has it."""
        return self._stream.sock.getsockname()

    @property
    def remote_address(self) -> Any:
        """The peer's address: (host, port) for IPv4, as ``socket.getpeername`` has it."""
        return self._stream.sock.getpeername()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.close()
        else:
            self.close(CloseCode.INTERNAL_ERROR)

    def __iter__(self) -> Iterator[Data]:
        """Receive messages until the connection is closed.

        Raises:
            ConnectionClosedError: it did not end properly.
            ConcurrencyError: another thread is receiving.
        """
        try:
            while True:
                yield self.recv()
        except ConnectionClosedOK:
            return

    @overload
    def recv(self, timeout: float | None, decode: Literal[True]) -> str: ...

    @overload
    def recv(self, timeout: float | None, decode: Literal[False]) -> bytes: ...

    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[True]) -> str: ...

    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[False]) -> bytes: ...

    @overload
    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data: ...

    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data:
        """Receive the next message.

        Being interrupted, or timing out, loses nothing: the next call returns the message.
        Messages that came before the end are received after it.

        Args:
            timeout: seconds to wait for it; 0 or less for one that has come already; None for no
                limit.
            decode: True for str, False for bytes; None for str from Text and bytes from Binary.

        Returns:
            The message.

        Raises:
            TimeoutError: it has not come in time.
            ConnectionClosed: there is no message any more; ConnectionClosedOK after a proper
                closing handshake, ConnectionClosedError otherwise.
            ConcurrencyError: another thread is receiving.
        """
        message: Data = self._receive("recv", timeout, decode)
        return message

    @overload
    def recv_streaming(self, decode: Literal[True]) -> Iterator[str]: ...

    @overload
    def recv_streaming(self, decode: Literal[False]) -> Iterator[bytes]: ...

    @overload
    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]: ...

    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]:
        """Receive the next message fragment by fragment, as they come.

        The iterator must be used to its end; nothing else can be received before.

        Args:
            decode: as for ``recv``; a character that two fragments share is in the second.

        Raises:
            ConnectionClosed, ConcurrencyError: as for ``recv``.
        """
        with self._lock:
            self._receiver("recv_streaming")
        final = False
        while not final:
            data, final = self._receive("next_fragment", None, decode)
            self._is_streaming = not final
            yield data

    def close(self, code: CloseCode | int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection, and wait until TCP has ended, at most ``close_timeout``.

        Doing it again, or after the end, does nothing but wait. A thread that receives is woken.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: at most 123 bytes as UTF-8.

        Raises:
            ProtocolError: the code or the reason cannot be sent.
        """
        self._start_closing(code, reason)
        self._wait_for_end()

    def _start_closing(self, code: CloseCode | int, reason: str) -> None:
        """Close the connection, and wait for nothing."""
        with self._lock:
            if self._core is None:
                self._lost(None)
                return
            try:
                self._core.close(code, reason, now=monotonic())
            except InvalidState:
                pass  # it is closing already
            self._flush()
            self._give_back()

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the connection is closed, and TCP has ended; return whether it has.

        Args:
            timeout: seconds to wait; None for no limit.
        """
        return self._wait_for_end(timeout)

    def ping(self, data: DataLike | None = None, *, ack_on_close: bool = False) -> threading.Event:
        """Send a ping. RFC 6455, 5.5.2.

        Args:
            data: its payload, str or bytes-like, at most 125 bytes; None for random bytes.
            ack_on_close: whether the end of the connection sets the event too.

        Returns:
            An event that is set when the pong has come; it need not be waited for.

        Raises:
            ConnectionClosed: the connection is closed.
            ConcurrencyError: the pong for a ping with the same payload is still awaited.
            ProtocolError: the payload is too long.
        """
        if data is not None and not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"data must be str or bytes-like, not {type(data).__name__}")
        pong = threading.Event()
        with self._lock:
            core = self._core if self._is_open else None
            if core is not None:
                payload = core.ping(data, monotonic())
                if self._pongs is None:
                    self._pongs = {}
                self._pongs[payload] = pong, ack_on_close
                self._flush()
                self._give_back()  # so that the pong is read even if nobody receives
        if core is None:
            self._raise_closed()
        return pong

    def pong(self, data: DataLike = b"") -> None:
        """Send a pong that nobody asked for: a heartbeat. RFC 6455, 5.5.3.

        Args:
            data: its payload, str or bytes-like, at most 125 bytes.

        Raises:
            ConnectionClosed: the connection is closed.
            ProtocolError: the payload is too long.
        """
        if not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"data must be str or bytes-like, not {type(data).__name__}")
        with self._lock:
            core = self._core if self._is_open else None
            if core is not None:
                core.pong(data)
                self._flush()
        if core is None:
            self._raise_closed()

    # Hooks of the core, which are called with the lock held

    def pong_received(self, payload: bytes, latency_s: float) -> None:
        """See ``Hooks``."""
        waiting = None if self._pongs is None else self._pongs.pop(payload, None)
        if waiting is not None:
            waiting[0].set()

    def close_received(self, close: Close) -> None:
        """See ``Hooks``."""
        if self.debug:
            self.logger.debug("= connection is %s", self.state.name)

    def pause_reading(self) -> None:
        """See ``Hooks``."""
        self._is_paused = True
        self._watch()

    def resume_reading(self) -> None:
        """See ``Hooks``."""
        self._is_paused = False
        if not self._is_on_loan:
            self._watch()

    def deadline_changed(self) -> None:
        """See ``Hooks``."""
        if self._reactor is not None:
            self._reactor.keep_deadline(self)

    def abort(self) -> None:
        """See ``Hooks``."""
        self._lost(None)

    def _connection_lost(self) -> None:
        if self.debug:
            self.logger.debug("= connection is CLOSED")
        pongs, self._pongs = self._pongs, None
        for pong, is_set_at_end in (pongs or {}).values():
            if is_set_at_end:
                pong.set()
