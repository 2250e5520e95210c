"""A WebSocket connection for asyncio: what clients and servers have in common.

The hot half is inherited from the base class of the engine; here is what happens seldom: pings,
closing, deadlines, and what users ask about a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, cast

from ..core.close import Close
from ..core.rules import MAX_FRAGMENTS, WRITE_TIMEOUT_S, CloseCode, State
from ..core.types import DataLike
from ..endpoint import Endpoint
from ..protocol import Protocol
from .base import ConnectionBase
from .broadcast import broadcast, broadcast_wait
from .deadlines import Deadlines
from .handlers import Callbacks
from .link import TransportLink

__all__ = ["Connection", "broadcast", "broadcast_wait"]


class Connection(ConnectionBase, Endpoint):
    """A connection; use ``ClientConnection`` or ``ServerConnection``.

    Args:
        protocol: the opening handshake, and what comes of it.
        ping_interval: seconds between two pings; None for none.
        ping_timeout: seconds of silence after a ping until the peer is given up; None for never.
        close_timeout: seconds that the closing handshake may take; None for no limit.
        max_queue: unread frames above which reading pauses; or (high, low); None for no mark.
        write_limit: bytes in the transport's buffer above which ``send`` waits; or (high, low).
        write_timeout: seconds without the peer taking anything until it is cut; None for never.
        max_fragments: of an incoming message; None for no limit.
    """

    # As in the engine's half: what is the class's costs an idle connection nothing.
    _pongs: dict[bytes, asyncio.Future[float]] | None = None

    def __init__(
        self,
        protocol: Protocol,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
        write_timeout: float | None = WRITE_TIMEOUT_S,
        max_fragments: int | None = MAX_FRAGMENTS,
    ) -> None:
        super().__init__(protocol)
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.close_timeout = close_timeout
        self._write_limits = write_limit if isinstance(write_limit, tuple) else (write_limit, None)
        protocol.configure(
            hooks=self,
            max_queue=max_queue,
            max_fragments=max_fragments,
            ping_interval_s=ping_interval,
            ping_timeout_s=ping_timeout,
            close_timeout_s=close_timeout,
            write_timeout_s=write_timeout,
            now=self.loop.time(),
        )
        self.transport: asyncio.Transport
        self._take_protocol()
        self._deadlines = Deadlines.of(self.loop)

    # What users ask

    @property
    def local_address(self) -> Any:
        """Our address: (host, port) for IPv4, as ``socket.getsockname`` has it."""
        return self.link.get_extra_info("sockname")

    @property
    def remote_address(self) -> Any:
        """The peer's address: (host, port) for IPv4, as ``socket.getpeername`` has it."""
        return self.link.get_extra_info("peername")

    @property
    def held_bytes(self) -> int:
        """What is held for this connection in bytes: unread, in progress, waiting to be sent."""
        early = self.protocol.early_bytes if self._core is None else self._core.held_bytes
        held = early + self.link.buffered_bytes()
        backlog = self._backlog
        return held if backlog is None else held + backlog.held_bytes + backlog.awaited_bytes

    # What users do

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            await self.close()
        else:
            await self.close(CloseCode.INTERNAL_ERROR)

    async def close(
        self, code: CloseCode | int = CloseCode.NORMAL_CLOSURE, reason: str = ""
    ) -> None:
        """Close the connection, and wait until TCP has ended, at most ``close_timeout``.

        Doing it again, or after the end, does nothing but wait.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: at most 123 bytes as UTF-8.

        Raises:
            ProtocolError: the code or the reason cannot be sent.
        """
        if self._core is None:
            self.link.abort()
        else:
            self._start_closing(self._core, code, reason)
            self._flush()
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, and TCP has ended."""
        await asyncio.shield(self.connection_lost_waiter)

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a ping. RFC 6455, 5.5.2.

        Args:
            data: its payload, str or bytes-like, at most 125 bytes; None for random bytes.

        Returns:
            A future of the round-trip time in seconds; it need not be awaited.

        Raises:
            ConnectionClosed: the connection is closed.
            ConcurrencyError: the pong for a ping with the same payload is still awaited.
            ProtocolError: the payload is too long.
        """
        if data is not None and not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"data must be str or bytes-like, not {type(data).__name__}")
        if self._core is None or self.state is not State.OPEN:
            await self._raise_closed()
        assert self._core is not None
        payload = self._core.ping(data, self.loop.time())
        pong: asyncio.Future[float] = self.loop.create_future()
        if self._pongs is None:
            self._pongs = {}
        self._pongs[payload] = pong
        self._flush()
        await self._drain()
        return pong

    async def pong(self, data: DataLike = b"") -> None:
        """Send a pong that nobody asked for: a heartbeat. RFC 6455, 5.5.3.

        Args:
            data: its payload, str or bytes-like, at most 125 bytes.

        Raises:
            ConnectionClosed: the connection is closed.
            ProtocolError: the payload is too long.
        """
        if not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"data must be str or bytes-like, not {type(data).__name__}")
        if self._core is None or self.state is not State.OPEN:
            await self._raise_closed()
        assert self._core is not None
        self._core.pong(data)
        await self._sent()

    # Hooks of the core

    def ping_received(self, payload: bytes) -> None:
        """See ``Hooks``."""
        if self._callbacks is not None:
            self._callbacks.ping_received(payload)

    def pong_received(self, payload: bytes, latency_s: float) -> None:
        """See ``Hooks``."""
        pong = None if self._pongs is None else self._pongs.pop(payload, None)
        if pong is not None and not pong.done():
            pong.set_result(latency_s)
        if self._callbacks is not None:
            self._callbacks.pong_received(payload)
        self._note("latency_measured", latency_s)

    def close_received(self, close: Close) -> None:
        """See ``Hooks``."""
        if self.debug:
            self.logger.debug("= connection is %s", self.state.name)
        self._drop_backlog()

    def pause_reading(self) -> None:
        """See ``Hooks``."""
        self.link.pause()

    def resume_reading(self) -> None:
        """See ``Hooks``."""
        self.link.resume()

    def deadline_changed(self) -> None:
        """See ``Hooks``."""
        if self._core is not None:
            self._deadlines.watch(self)

    def abort(self) -> None:
        """See ``Hooks``."""
        self.link.abort()

    # Deadlines

    def next_deadline(self) -> float | None:
        """See ``Watched``."""
        return None if self._core is None else self._core.next_deadline()

    def handle_deadline(self) -> None:
        """See ``Watched``."""
        if self._core is not None:
            self._look_at_network()
            if self._core.is_paused and self.link.is_hung_up():
                self.link.resume()  # up to the end: what is left before it is in the kernel already
            self._core.handle_deadline(self.loop.time())
            self._flush()

    def _shed(self) -> None:
        """Give back what is held for a connection, and close it (1013)."""
        core = self._core
        assert core is not None
        core.shed("memory", "the server is short of memory", now=self.loop.time())
        self._drop_backlog()
        self._flush()
        if self.link.buffered_bytes():  # behind which our Close would wait for long
            self.link.abort()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._use_transport(cast(asyncio.Transport, transport))
        if self.protocol.connection is not None:  # the opening handshake was done elsewhere
            self._opened()

    def _use_transport(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._has_socket(transport)
        transport.set_write_buffer_limits(*self._write_limits)
        self.link = TransportLink(transport, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the transport, and wake whoever waits."""
        self.connection_lost_waiter.set_result(None)
        if self._core is not None:
            self._core.connection_lost(exc or self._link_error, self.loop.time())
            self._deadlines.forget(self)
        else:
            self.protocol.receive_eof()
            self._handshake_progressed()
        if self.debug:
            self.logger.debug("= connection is CLOSED")
        self._wake_senders()
        self._drop_backlog()
        self._note_ended(self.loop.time(), self._dropped)
        pongs, self._pongs = self._pongs, None
        for pong in (pongs or {}).values():
            if not pong.done():
                pong.set_exception(self.protocol.close_exc)
                pong.exception()  # nobody has to look at it
        if self._callbacks is not None and self._core is not None:
            self._callbacks.connection_lost()

    def _opened(self) -> None:
        """Take the core connection from the protocol, which has opened it."""
        taken = self._take_socket()
        if taken is not None:
            self._use_transport(taken)
            # The other transport may have paused for the handshake, and does not resume any more.
            self._is_writing_paused = False
        self._flush()  # what the protocol still has goes first
        core = self._core = self.protocol.connection
        assert core is not None
        self._calm_logger()
        self._deadlines.watch(self)
        self._note_opened(self.loop.time())
        if self._callbacks is not None:
            self._callbacks.open(core)

    def _use_callbacks(self, make_handler: Callable[[], Any]) -> None:
        """Hand messages to the methods of a handler, which is made when the connection is open."""
        self._has_callbacks = self._is_receiving = True
        self._callbacks = Callbacks(self, make_handler)

    def _callbacks_ended(self) -> None:
        """Called when the handler was told of the end."""
