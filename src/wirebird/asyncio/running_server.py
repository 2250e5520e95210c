"""A server that runs: its connections, the tasks of their handlers, and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from socket import socket
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..core.close import Close
from ..core.rules import CloseCode, State
from ..core.types import LoggerLike
from ..utils import get_socket_name
from .base import Listener

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
        """Those that are opened without a task."""
        self.all_connections: set[ServerConnection] = set()
        self.unauthenticated: set[ServerConnection] = set()
        """Those that are open, and wait for the message that says whose they are."""
        self.handler_tasks: set[asyncio.Task[None]] = set()
        self.close_task: asyncio.Task[None] | None = None
        self.server: asyncio.Server | Listener
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Future[None] | None = None  # the last connection did, while we wait

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
            self._ended = self.get_loop().create_future()
            await self._ended
        while self.handler_tasks:
            await asyncio.wait(self.handler_tasks)
        self._closed.set_result(None)
        self.logger.info("server closed")

    def _connection_opened(self, connection: ServerConnection) -> None:
        """It is open, or never will be."""
        self.opening.discard(connection)
        self._look_for_end()

    def _connection_ended(self, connection: ServerConnection) -> None:
        self.all_connections.discard(connection)
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self._ended is None or self.all_connections or self.opening or self._ended.done():
            return
        self._ended.set_result(None)

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
