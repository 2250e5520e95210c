"""The asyncio server."""

from __future__ import annotations

import asyncio
import functools
import http
import logging
import math
import re
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from socket import socket
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

from ..core.backlog import SLOW_CONSUMER_BYTES, SlowConsumerPolicy
from ..core.close import Close
from ..core.extensions.base import ServerExtensionFactory
from ..core.headers import validate_subprotocols
from ..core.http1 import Request, Response
from ..core.rules import MAX_FRAGMENTS, MAX_MESSAGE_BYTES, WRITE_TIMEOUT_S, CloseCode, State
from ..core.types import LoggerLike, Origin, PathLike, StatusLike, Subprotocol
from ..engine import engine_name
from ..extensions.permessage_deflate import enable_server_permessage_deflate
from ..http11 import SERVER
from ..server import ServerProtocol
from .base import Listener, can_listen, set_busy_poll
from .basic_auth import basic_auth
from .connection import Connection, broadcast, broadcast_wait
from .handlers import HandlerLike, handler_maker

__all__ = [
    "Server",
    "ServerConnection",
    "basic_auth",
    "broadcast",
    "broadcast_wait",
    "serve",
    "unix_serve",
]

# What a client may send behind a request that is not answered yet.
_MAX_EARLY_BYTES = 64 * 1024

_CoroutineHandler = Callable[["ServerConnection"], Awaitable[None]]
ProcessRequest = Callable[
    ["ServerConnection", Request], Awaitable[Response | None] | Response | None
]
ProcessResponse = Callable[
    ["ServerConnection", Request, Response], Awaitable[Response | None] | Response | None
]


class ServerConnection(Connection):
    """A server's connection.

    Iterating over it receives messages until it is closed; an end with 1000, 1001 or no code
    ends the iteration, any other raises ConnectionClosedError.

    Args:
        protocol: the opening handshake, and what comes of it.
        server: that it belongs to.
        ping_interval, ping_timeout, close_timeout, max_queue, write_limit, write_timeout,
        max_fragments: as for ``serve``.
    """

    protocol: ServerProtocol

    def __init__(
        self,
        protocol: ServerProtocol,
        server: Server,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
        write_timeout: float | None = WRITE_TIMEOUT_S,
        max_fragments: int | None = MAX_FRAGMENTS,
    ) -> None:
        super().__init__(
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
            write_timeout=write_timeout,
            max_fragments=max_fragments,
        )
        self.server = server
        self.username: str
        """Set by ``basic_auth``."""
        self.handler: Callable[[ServerConnection], Awaitable[None]]
        """Set by ``route``."""
        self.handler_kwargs: Mapping[str, Any]
        """Set by ``route``."""

    _requested: asyncio.Future[None] | None = None  # for ``handshake``, which awaits the request
    _was_asked = False  # for its handshake
    _opening_deadline: float | None = None  # where no task opens the connection

    def respond(self, status: StatusLike, text: str) -> Response:
        """Make an HTTP response, for ``process_request`` and ``process_response`` to return.

        Args:
            status: of HTTP.
            text: the body; sent as UTF-8. Headers and body can be changed afterwards.
        """
        return self.protocol.reject(status, text)

    async def handshake(
        self,
        process_request: ProcessRequest | None = None,
        process_response: ProcessResponse | None = None,
        server_header: str | None = SERVER,
    ) -> None:
        """Do the opening handshake; ``state`` says afterwards whether it succeeded.

        Args:
            process_request, process_response, server_header: as for ``serve``.
        """
        assert not self._was_asked, "the handshake can be done once"
        self._was_asked = True
        if not self._is_request_over:
            self._requested = self.loop.create_future()
            await self._requested
            self._requested = None
        if self.request is None:
            return  # the client is gone, or was answered already: that was not a request
        response = await self._ask(process_request, self.request)
        response = self._response_to(self.request, response, server_header)
        changed = await self._ask(process_response, self.request, response)
        self._answer(response if changed is None else changed)

    def _response_to(
        self, request: Request, response: Response | None, server_header: str | None
    ) -> Response:
        """Say what to answer; ``response`` is what a hook wants."""
        if response is None:
            response = self.protocol.accept(request)
        self.response = response
        if server_header is not None:
            response.replace_header("Server", server_header)
        return response

    def _answer(self, response: Response) -> None:
        self.response = response
        if response.status_code == 101 and not self.server.is_serving():
            self.response = self.protocol.reject(
                http.HTTPStatus.SERVICE_UNAVAILABLE, "The server is shutting down.\n"
            )
        if self.state is State.CONNECTING and not self.protocol.eof_sent:
            self._respond(self.response)

    async def _ask(self, hook: Callable[..., Any] | None, *args: Any) -> Response | None:
        """Ask a hook of the user's for a response; an error of its own is answered 500."""
        if hook is None:
            return None
        try:
            response = hook(self, *args)
            if isinstance(response, Awaitable):
                response = await response
            if response is not None and not isinstance(response, Response):
                raise TypeError(f"expected a Response or None, got {type(response).__name__}")
        except Exception as exc:
            self.logger.error("%s failed", getattr(hook, "__name__", "hook"), exc_info=True)
            return self._failed(exc)
        return response

    def _failed(self, exc: Exception) -> Response:
        """Note that something on this side went wrong; the client learns nothing of it but 500."""
        self.protocol.handshake_exc = exc
        return self.protocol.reject(
            http.HTTPStatus.INTERNAL_SERVER_ERROR,
            "The WebSocket could not be opened. The server's log says more.\n",
        )

    def _give_up(self) -> None:
        """Answer what took too long: the request, or what hooks of the user's make of it."""
        if self.state is not State.CONNECTING or self.protocol.eof_sent:
            return
        if self.request is None:
            status, text = http.HTTPStatus.REQUEST_TIMEOUT, "The request took too long.\n"
        else:
            status, text = http.HTTPStatus.SERVICE_UNAVAILABLE, "The server took too long.\n"
        self._respond(self.respond(status, text))

    def _respond(self, response: Response) -> None:
        self.link.resume()
        self.protocol.configure(now=self.loop.time())
        try:
            self.protocol.send_response(response)
        except ValueError as exc:  # something cannot stand in a head
            self.logger.error("opening handshake failed", exc_info=True)
            self.response = self._failed(exc)
            self.protocol.send_response(self.response)
        if self.protocol.connection is not None:
            self._opened()
        self._flush()
        self._settle()

    def _handshake_progressed(self) -> None:
        for event in self.protocol.events_received():
            assert isinstance(event, Request)
            self.request = event
        if self.request is not None and self.protocol.early_bytes > _MAX_EARLY_BYTES:
            self.link.pause()  # until the request is answered
        if self._is_answered:
            self._flush()
        if not self._is_request_over:
            return
        if self._opening_deadline is not None:
            self._open_at_once()
        elif self._requested is not None and not self._requested.done():
            self._requested.set_result(None)

    @property
    def _is_answered(self) -> bool:
        """Whether what came was no request, and was answered; or the client is gone."""
        return self.protocol.handshake_exc is not None or self.protocol.has_eof

    @property
    def _is_request_over(self) -> bool:
        return self.request is not None or self._is_answered

    # Opening without a task, where no hook may have to wait

    def _open_at_once(self) -> None:
        """Answer the request, and start the handler if the connection is open now."""
        at_once = self.server.at_once
        if at_once is None or self._was_asked:
            return
        self._was_asked = True
        try:
            if self.request is not None:
                self._answer(self._response_to(self.request, None, at_once.server_header))
        except Exception:
            self.logger.error("opening handshake failed", exc_info=True)
            self.link.abort()
            return
        if self._core is None:
            self._linger()
            return
        self._opening_deadline = None
        self.server._connection_opened(self)
        if at_once.handle is not None:
            self._start_task(_run_handler(at_once.handle, self))

    def _linger(self) -> None:
        """Refused: give the client time to read why."""
        close_timeout = self.close_timeout
        if close_timeout is not None:
            self._opening_deadline = self.loop.time() + close_timeout
            self._deadlines.watch(self)

    def next_deadline(self) -> float | None:
        """See ``Watched``."""
        if self._opening_deadline is not None:
            return self._opening_deadline
        return super().next_deadline()

    def handle_deadline(self) -> None:
        """See ``Watched``."""
        if self._opening_deadline is None:
            super().handle_deadline()
        elif self._was_asked:
            self.link.abort()
        else:
            self._was_asked = True
            self._give_up()
            self._linger()

    def _opened(self) -> None:
        if self._callbacks is not None:
            self.server.all_connections.add(self)
        super()._opened()

    def _callbacks_ended(self) -> None:
        self.server._connection_ended(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; start the task that goes from handshake to handler, if one must."""
        super().connection_made(transport)
        at_once = self.server.at_once
        if at_once is None or type(self).handshake is not ServerConnection.handshake:
            self._start_task(self.server.handler(self))
        else:
            self.server.opening.add(self)
            open_timeout = at_once.open_timeout
            self._opening_deadline = math.inf
            if open_timeout is not None:
                self._opening_deadline = self.loop.time() + open_timeout
                self._deadlines.watch(self)

    def _start_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._run_as_task(coroutine)
        self.server.handler_tasks.add(task)
        task.add_done_callback(self._handler_done)

    def _handler_done(self, task: asyncio.Task[None]) -> None:
        self.server.handler_tasks.discard(task)
        self._abandon()  # for a task that was cancelled before it began; else TCP has ended

    def _abandon(self) -> None:
        """Leave nothing behind of a connection whose task is over, unless it needs none."""
        if self._callbacks is None or self._core is None:
            self.link.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the transport, and wake whoever waits."""
        super().connection_lost(exc)
        if self._opening_deadline is not None:
            self._opening_deadline = None
            self._deadlines.forget(self)
            self.server._connection_opened(self)
        if self._given_logger.isEnabledFor(logging.INFO):
            self.logger.info("connection closed")


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
        self.at_once: AtOnce | None = None
        """How connections are opened without a task; None where each has one from the start."""
        self.opening: set[ServerConnection] = set()
        """Those that are opened without a task."""
        self.all_connections: set[ServerConnection] = set()
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
                for connection in self.connections
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
                self.logger.info("server listening on %s", _name_of(listening))
        return self


def serve(
    handler: Callable[[ServerConnection], Awaitable[None]] | HandlerLike,
    host: str | None = None,
    port: int | None = None,
    *,
    origins: Sequence[Origin | re.Pattern[str] | None] | None = None,
    extensions: Sequence[ServerExtensionFactory] | None = None,
    subprotocols: Sequence[Subprotocol] | None = None,
    select_subprotocol: Callable[[ServerConnection, Sequence[Subprotocol]], Subprotocol | None]
    | None = None,
    compression: str | None = "deflate",
    process_request: ProcessRequest | None = None,
    process_response: ProcessResponse | None = None,
    server_header: str | None = SERVER,
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    max_size: int | tuple[int | None, int | None] | None = MAX_MESSAGE_BYTES,
    max_queue: int | tuple[int | None, int | None] | None = 16,
    write_limit: int | tuple[int, int | None] = 2**15,
    logger: LoggerLike | None = None,
    create_connection: type[ServerConnection] | None = None,
    write_timeout: float | None = WRITE_TIMEOUT_S,
    max_fragments: int | None = MAX_FRAGMENTS,
    slow_consumer: str = "close",
    slow_consumer_bytes: int | None = SLOW_CONSUMER_BYTES,
    engine: str | None = None,
    busy_poll_us: int = 0,
    **kwargs: Any,
) -> Server:
    """Serve WebSockets: awaited or as an asynchronous context manager, it starts to listen.

    ::

        async with serve(handler, "localhost", 8765) as server:
            await server.serve_forever()

    Args:
        handler: a coroutine function, called with each ``ServerConnection`` that is open; when it
            returns, the connection is closed (1000), when it raises, too (1011). Or a class whose
            methods are called with what happens, made once for each connection, or one object
            with such methods for all: see ``Handler``.
        host: to listen on.
        port: to listen on.
        origins: values of Origin to accept, exact or as patterns; None among them accepts
            requests without one. None instead of a list accepts all: then any web page can
            connect (RFC 6455, 10.2).
        extensions: what to accept besides ``compression``.
        subprotocols: what is supported, the preferred one first.
        select_subprotocol: chooses among the client's; called with the connection and these.
        compression: "deflate" accepts permessage-deflate; None does not.
        process_request: called with connection and request, before the handshake; returns a
            response to send instead of a WebSocket, or None. It may be asynchronous.
        process_response: called with connection, request and response, before that is sent;
            returns another one, or None. It may be asynchronous.
        server_header: value of Server; None for none.
        open_timeout: seconds that the opening handshake may take.
        ping_interval: seconds between two pings; None for none.
        ping_timeout: seconds of silence after a ping until the client is given up (1011).
        close_timeout: seconds that the closing handshake may take.
        max_size: of an incoming message in bytes, None for no limit; or (of a message, of a
            frame). What is longer fails the connection (1009).
        max_queue: unread frames above which reading pauses; or (high, low); None for no mark.
        write_limit: bytes in the transport's buffer above which ``send`` waits; or (high, low).
        logger: ``wirebird.server`` by default.
        create_connection: makes the connection: a subclass of ``ServerConnection``.
        write_timeout: seconds without the client taking anything until it is cut.
        max_fragments: of an incoming message (1009).
        slow_consumer: what happens to messages of ``broadcast`` and ``send_nowait`` when a client
            does not take them: "close" closes its connection (1013), "drop-oldest" and
            "drop-newest" drop messages, "conflate" keeps the newest only.
        slow_consumer_bytes: that may wait for one client beside ``write_limit``, 150 for each
            message included; None for no limit.
        engine: "python" or "native"; None for the default.
        busy_poll_us: microseconds for which the native engine looks again and again for more
            after each message, before it lets the loop wait: shorter round trips for a busy core.
            It holds for all connections of the loop.
        kwargs: for the loop's ``create_server``, such as ``ssl``, ``sock`` and ``start_serving``.

    Raises:
        TypeError: a method of the handler class is a coroutine function.
        ValueError: arguments contradict each other.
    """
    if subprotocols is not None:
        validate_subprotocols(subprotocols)
    if compression == "deflate":
        extensions = enable_server_permessage_deflate(extensions)
    elif compression is not None:
        raise ValueError(f"unsupported compression: {compression}")
    engine_name(engine)  # here, where the user is, and not when the first connection is made
    if kwargs.get("ssl") is not None:
        kwargs.setdefault("ssl_handshake_timeout", open_timeout)
        kwargs.setdefault("ssl_shutdown_timeout", close_timeout)
    make_connection = ServerConnection if create_connection is None else create_connection
    make_handler = handler_maker(handler)
    policy = SlowConsumerPolicy(slow_consumer, slow_consumer_bytes)

    def factory() -> ServerConnection:
        def choose(
            protocol: ServerProtocol, subprotocols: Sequence[Subprotocol]
        ) -> Subprotocol | None:
            assert select_subprotocol is not None
            return select_subprotocol(connection, subprotocols)

        protocol = ServerProtocol(
            origins=origins,
            extensions=extensions,
            subprotocols=subprotocols,
            select_subprotocol=None if select_subprotocol is None else choose,
            max_size=max_size,
            logger=logger,
            engine=engine,
        )
        connection = make_connection(
            protocol,
            server,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
        )
        protocol.configure(write_timeout_s=write_timeout, max_fragments=max_fragments)
        connection._slow_consumer = policy
        if make_handler is not None:
            connection._use_callbacks(make_handler)
        return connection

    is_unix = kwargs.pop("unix", False)

    async def create_server() -> asyncio.Server | Listener:
        loop = asyncio.get_running_loop()
        if busy_poll_us:
            set_busy_poll(loop, busy_poll_us)
        make: Callable[..., Awaitable[asyncio.Server]] = loop.create_server
        where: tuple[Any, ...] = (host, port)
        if is_unix:
            make, where = loop.create_unix_server, ()
        if engine_name(engine) != "native" or kwargs.get("ssl") or not can_listen(loop):
            return await make(factory, *where, **kwargs)
        # asyncio binds the sockets, the engine accepts connections.
        arguments = dict(kwargs, start_serving=False)
        listener = Listener(
            await make(factory, *where, **arguments), factory, kwargs.get("backlog", 100)
        )
        if kwargs.get("start_serving", True):
            await listener.start_serving()
        return listener

    async def open_connection(connection: ServerConnection) -> None:
        try:
            async with asyncio.timeout(open_timeout):
                await connection.handshake(process_request, process_response, server_header)
        except TimeoutError:
            connection._give_up()
        if connection._core is None and connection.state is State.CONNECTING:
            # Refused: give the client time to read why.
            await asyncio.wait(
                [connection.connection_lost_waiter], timeout=connection.close_timeout
            )

    handle = None if make_handler is not None else cast(_CoroutineHandler, handler)
    run = functools.partial(_run_connection, open_connection, handle)
    server = Server(create_server, run, logger)
    if process_request is None and process_response is None:
        server.at_once = AtOnce(server_header, open_timeout, handle)
    return server


class AtOnce(NamedTuple):
    """What opening a connection without a task needs to know; see ``serve``."""

    server_header: str | None
    open_timeout: float | None
    handle: _CoroutineHandler | None


async def _run_connection(
    open_connection: Callable[[ServerConnection], Awaitable[None]],
    handle: _CoroutineHandler | None,
    connection: ServerConnection,
) -> None:
    """Take a connection from its opening handshake to its end; nothing of it is left behind.

    Args:
        open_connection: does the opening handshake.
        handle: the user's handler; None where callbacks handle it, which need no task.
        connection: that is to be opened.
    """
    try:
        await open_connection(connection)
        if handle is None or connection._core is None:
            return
    except Exception:
        connection.logger.error("opening handshake failed", exc_info=True)
        return
    finally:
        if connection._core is None:
            connection._abandon()
    await _run_handler(handle, connection)


async def _run_handler(handle: _CoroutineHandler, connection: ServerConnection) -> None:
    """Run the handler of a connection that is open, and close it.

    Nothing stands between this and the user's handler: each coroutine there costs each message.
    """
    server = connection.server
    server.all_connections.add(connection)
    code = CloseCode.INTERNAL_ERROR
    try:
        await handle(connection)
        code = CloseCode.NORMAL_CLOSURE
    except Exception:
        connection.logger.error("connection handler failed", exc_info=True)
    finally:
        try:
            await connection.close(code)
        finally:
            server._connection_ended(connection)
            connection._abandon()


def _name_of(listening: socket) -> str:
    """Show the address of a listening socket."""
    name = listening.getsockname()
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return str(name)


def unix_serve(
    handler: Callable[[ServerConnection], Awaitable[None]] | HandlerLike,
    path: PathLike | None = None,
    **kwargs: Any,
) -> Server:
    """Serve WebSockets on a Unix socket, as behind a reverse proxy.

    Args:
        handler: as for ``serve``.
        path: of the socket.
        kwargs: as for ``serve``.
    """
    return serve(handler, unix=True, path=path, **kwargs)
