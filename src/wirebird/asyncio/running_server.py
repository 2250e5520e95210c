"""A server that runs: its connections, the tasks of their handlers, and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from socket import socket
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..core.close import Close
from ..core.instrumentation import Watch
from ..core.rules import CloseCode, State
from ..core.stats import Ledger, Stats
from ..core.types import LoggerLike
from ..utils import get_socket_name
from .base import Listener
from .draining import drain
from .gate import Gate

if TYPE_CHECKING:
    from .server_connection import ServerConnection
    from .server_tasks import AtOnce

__all__ = ["Server"]


class Server:
    """A running WebSocket server, as ``serve`` returns it.

    Args:
        create_server: starts to listen.
        handler: handles a connection from the opening handshake to its end.
        logger: ``wirebird.server`` by default.
    """

    def __init__(
        self,
        create_server: Callable[[], Coroutine[Any, Any, asyncio.Server | Listener]],
        handler: Callable[[ServerConnection], Coroutine[Any, Any, None]],
        logger: LoggerLike | None = None,
    ) -> None:
        self.create_server = create_server
        self.handler = handler
        self.logger = logging.getLogger("wirebird.server") if logger is None else logger
        self.make_connection: Callable[[], ServerConnection]
        """Makes what is put on a transport that came in."""
        self.at_once: AtOnce | None = None
        """How connections are opened without a task; None where each has one from the start."""
        self.opening: set[ServerConnection] = set()
        """Those whose opening handshake is not over, or failed a moment ago."""
        self.all_connections: set[ServerConnection] = set()
        self.unauthenticated: set[ServerConnection] = set()
        """Those that are open, and wait for the message that says whose they are."""
        self.handler_tasks: set[asyncio.Task[None]] = set()
        self.close_task: asyncio.Task[None] | None = None
        self.server: asyncio.Server | Listener
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Future[None] | None = None  # one did, while somebody waits
        self.ledger = Ledger()
        """What happened to connections."""
        self.watch: Watch | None = None
        """Who is told of connections."""
        self.gate: Gate | None = None
        """Holds connections against limits."""
        self.is_draining = False
        """Whether no connections are opened any more, though we may listen."""
        self._began_at = asyncio.get_running_loop().time()

    @property
    def connections(self) -> set[ServerConnection]:
        """The connections that are open."""
        return {connection for connection in self.all_connections if connection.state is State.OPEN}

    @property
    def sockets(self) -> tuple[socket, ...]:
        """The listening sockets, as ``asyncio.Server`` has them."""
        return self.server.sockets

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """See ``asyncio.Server``."""
        return self.server.get_loop()

    def is_serving(self) -> bool:
        """See ``asyncio.Server``."""
        return self.server.is_serving()

    @property
    def is_opening(self) -> bool:
        """Whether new connections are opened."""
        return self.is_serving() and not self.is_draining

    def stats(self) -> Stats:
        """Say what happened so far, and what is held now; it looks at each connection once."""
        ledger = self.ledger
        totals, held_bytes, dropped = ledger.totals, 0, ledger.messages_dropped
        states = dict.fromkeys(State, 0)
        there_are = self._open_connections()
        opening = self.opening.difference(there_are)
        held_bytes += sum(connection.held_bytes for connection in opening)
        for connection in there_are:
            states[connection.state] += 1
            core = connection._core
            if core is not None and not connection.connection_lost_waiter.done():
                totals = totals.plus(core.totals)
                held_bytes += connection.held_bytes
                dropped += connection.dropped_messages
        return Stats(
            uptime_s=self.get_loop().time() - self._began_at,
            opening=len(opening),
            open=states[State.OPEN],
            closing=len(there_are) - states[State.OPEN],
            accepted=ledger.accepted,
            opened=ledger.opened,
            refused=dict(ledger.refused),
            closed=dict(ledger.closed),
            limits_exceeded=dict(ledger.limits_exceeded),
            handlers_failed=ledger.handlers_failed,
            slow_consumers=ledger.slow_consumers,
            messages_dropped=dropped,
            held_bytes=held_bytes,
            totals=totals,
            is_draining=self.is_draining,
        )

    async def drain(
        self,
        timeout: float | None = 30,
        *,
        jitter: float = 0,
        code: CloseCode | int = CloseCode.GOING_AWAY,
        reason: str = "",
        keep_listening: bool = True,
    ) -> int:
        """End the server as its peers would like it: tell them, wait for them, then close it.

        From now on WebSockets are refused with 503; other requests are still answered by
        ``process_request``, such as that of a load balancer which asks whether we are there.

        Args:
            timeout: seconds until connections that are left are cut, and the tasks of handlers
                that have not returned are cancelled; None for never.
            jitter: seconds over which the peers are told, each at its own moment.
            code: 1001 (going away), or 1012 (service restart), which asks clients to come back.
            reason: of the Close, at most 123 bytes as UTF-8.
            keep_listening: until the end; False to stop listening at once.

        Returns:
            How many connections were cut.

        Raises:
            ProtocolError: the code or the reason cannot be sent.
            ValueError: the time is negative, or does not suffice to tell the peers.
        """
        Close(code, reason).serialize()
        if jitter < 0 or (timeout is not None and timeout < jitter):
            raise ValueError(
                f"timeout must be at least jitter, and jitter at least 0: got {timeout}, {jitter}"
            )
        self.is_draining = True
        self.logger.info("server draining")
        if not keep_listening:
            self.server.close()
        return await drain(self, timeout, jitter, code, reason)

    async def start_serving(self) -> None:
        """Start to listen, after ``serve(..., start_serving=False)``."""
        await self.server.start_serving()

    async def serve_forever(self) -> None:
        """Serve until the server is closed; when this is cancelled, close it."""
        try:
            if not self.is_serving():
                await self.start_serving()
            await self.wait_closed()
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise

    def close(
        self,
        close_connections: bool = True,
        code: CloseCode | int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Stop listening, and close connections; ``wait_closed`` waits until that is done.

        Args:
            close_connections: False to let open connections end by themselves. Handshakes in
                progress are refused with 503 either way.
            code, reason: with which connections are closed.

        Raises:
            ProtocolError: the code or the reason cannot be sent.
        """
        Close(code, reason).serialize()
        if self.close_task is None:
            self.close_task = self.get_loop().create_task(
                self._close(close_connections, code, reason)
            )

    async def _close(self, close_connections: bool, code: CloseCode | int, reason: str) -> None:
        self.logger.info("server closing")
        self.server.close()
        if close_connections:
            closing = [
                asyncio.ensure_future(connection.close(code, reason))
                for connection in self.connections | self.unauthenticated
            ]
            await asyncio.gather(*closing, return_exceptions=True)
        await self.server.wait_closed()
        while self.handler_tasks:
            await asyncio.wait(self.handler_tasks)
        while self.opening or self.all_connections:  # those that have no task
            await self._one_has_ended()
        while self.handler_tasks:
            await asyncio.wait(self.handler_tasks)
        if self.gate is not None:
            self.gate.stop()
        self._closed.set_result(None)
        self.logger.info("server closed")

    def _let_in(self, connection: ServerConnection) -> None:
        """It is open, and its handler may see it."""
        self.all_connections.add(connection)
        self._connection_opened(connection)

    def _connection_opened(self, connection: ServerConnection) -> None:
        """It is open, or never will be."""
        self.opening.discard(connection)
        self._look_for_end()

    def _connection_ended(self, connection: ServerConnection) -> None:
        self.all_connections.discard(connection)
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def _one_has_ended(self) -> None:
        """Wait until a connection is open, or over."""
        if self._ended is None or self._ended.done():
            self._ended = self.get_loop().create_future()
        await asyncio.shield(self._ended)

    async def _wait_until_idle(self) -> None:
        """Wait until all open connections have ended, their handlers have returned, and requests
        that hooks of the user's look at are answered.
        """
        while self.all_connections or any(each._is_awaited for each in self.opening):
            await self._one_has_ended()

    def _open_connections(self) -> list[ServerConnection]:
        """Return those whose opening handshake is done, and who are not over yet.

        Some are not let in yet: who they are is to be said by their first message.
        """
        waiting = [connection for connection in list(self.opening) if connection._core is not None]
        return [*self.all_connections, *waiting]

    async def wait_closed(self) -> None:
        """Wait until the server is closed, connections have ended and handlers have returned."""
        await asyncio.shield(self._closed)

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        await self.wait_closed()

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    async def _start(self) -> Self:
        if not hasattr(self, "server"):  # `async with await serve(...)` starts it once
            self.server = await self.create_server()
            for listening in self.server.sockets:
                self.logger.info("server listening on %s", get_socket_name(listening))
        return self
