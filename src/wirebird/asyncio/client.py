"""The asyncio client."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Literal

from ..client import ClientProtocol, backoff, delay_before_retry, process_exception
from ..core import redirects
from ..core.backlog import SLOW_CONSUMER_BYTES, SlowConsumerPolicy
from ..core.extensions.base import ClientExtensionFactory
from ..core.fields import HeadersLike
from ..core.headers import validate_subprotocols
from ..core.http1 import Response
from ..core.instrumentation import Instruments, watch_for
from ..core.rules import MAX_FRAGMENTS, MAX_MESSAGE_BYTES, WRITE_TIMEOUT_S
from ..core.types import LoggerLike, Origin, PathLike, Subprotocol
from ..core.uri import WebSocketURI, parse_uri
from ..dialing import TCPOptions, doing, timed_out
from ..engine import engine_name
from ..exceptions import InvalidStatus, SecurityError
from ..extensions.compression import Compression, client_extensions
from ..http11 import USER_AGENT
from .base import set_busy_poll
from .connection import Connection
from .handlers import HandlerLike, handler_maker
from .tunnel import open_transport

__all__ = ["ClientConnection", "connect", "unix_connect"]

MAX_REDIRECTS = int(os.environ.get("WIREBIRD_MAX_REDIRECTS", "10"))


class ClientConnection(Connection):
    """A client's connection.

    Iterating over it receives messages until it is closed; an end with 1000, 1001 or no code
    ends the iteration, any other raises ConnectionClosedError.

    Args:
        protocol: the opening handshake, and what comes of it.
        ping_interval, ping_timeout, close_timeout: as for ``connect``.
        max_queue, write_limit, write_timeout, max_fragments: as for ``connect``.
    """

    protocol: ClientProtocol

    def __init__(
        self,
        protocol: ClientProtocol,
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
        self._responded: asyncio.Future[None] | None = self.loop.create_future()

    async def handshake(
        self,
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
    ) -> None:
        """Do the opening handshake.

        Args:
            additional_headers: to add to the request.
            user_agent_header: value of User-Agent; None for none.

        Raises:
            InvalidHandshake: the server refused, or its response cannot be accepted.
            ValueError: something cannot stand in a head.
        """
        assert self._responded is not None, "the handshake can be done once"
        self.request = self.protocol.make_request(additional_headers, user_agent_header)
        self._note("handshake_began", self.request)
        self.protocol.send_request(self.request)
        self._flush()
        try:
            await self._responded
        except asyncio.CancelledError:
            self._note_refused("timeout", None)
            raise
        self._responded = None
        exc = self.protocol.handshake_exc
        if exc is not None:
            self._note_unopened(exc)
            raise exc

    def _note_unopened(self, exc: BaseException) -> None:
        """Tell those who watch why the handshake failed."""
        status = None if self.response is None else self.response.status_code
        if isinstance(exc, InvalidStatus):
            self._note_refused(str(status), status)
        else:
            self._note_refused("gone" if isinstance(exc.__cause__, EOFError) else "invalid", status)

    def _handshake_progressed(self) -> None:
        for event in self.protocol.events_received():
            assert isinstance(event, Response)
            self.response = event
        if self.protocol.connection is not None:
            self._opened()
            self._settle()
        responded = self._responded
        is_over = self.protocol.connection is not None or self.protocol.handshake_exc is not None
        if responded is not None and is_over and not responded.done():
            responded.set_result(None)


class connect:
    """Connect to a WebSocket server.

    As an asynchronous context manager it closes the connection at the end; awaited, it returns
    the connection; as an asynchronous iterator it connects again and again, waiting longer after
    each failure, until ``process_exception`` calls an error fatal::

        async with connect("ws://localhost:8765") as ws:
            await ws.send("Hello")
            print(await ws.recv())

    Args:
        uri: ``ws://`` or ``wss://``.
        origin: value of Origin; None for none.
        extensions: what to offer besides ``compression``.
        subprotocols: what to offer, the preferred one first.
        compression: "deflate", "brotli" or "zstd" offers that; several names offer all of them,
            in the order of preference; None offers none.
        additional_headers: of the request.
        user_agent_header: value of User-Agent; None for none.
        proxy: True for what the system says, None for none, or its URL.
        process_exception: when connecting again and again, returns None for an error after
            which to try again, else the exception to raise.
        open_timeout: seconds that connecting and the opening handshake may take.
        ping_interval: seconds between two pings; None for none.
        ping_timeout: seconds of silence after a ping until the server is given up (1011).
        close_timeout: seconds that the closing handshake may take.
        reconnect_delays: yields how many seconds to wait before each further attempt.
        max_size: of an incoming message in bytes, None for no limit; or (of a message, of a
            frame). What is longer fails the connection (1009).
        max_queue: unread frames above which reading pauses; or (high, low); None for no mark.
        write_limit: bytes in the transport's buffer above which ``send`` waits; or (high, low).
        logger: ``wirebird.client`` by default.
        create_connection: makes the connection: a subclass of ``ClientConnection``.
        write_timeout: seconds without the server taking anything until it is cut.
        max_fragments: of an incoming message (1009).
        slow_consumer: what happens to messages of ``broadcast`` and ``send_nowait`` when the
            server does not take them: "close" closes the connection (1013), "drop-oldest" and
            "drop-newest" drop messages, "conflate" keeps the newest only.
        slow_consumer_bytes: that may wait beside ``write_limit``, 150 for each message included;
            None for no limit.
        handler: a class whose methods are called with what happens, made once for each
            connection, or one object for all: see ``Handler``. Messages go there, and cannot be
            received otherwise.
        engine: "python" or "native"; None for the default.
        busy_poll_us: as for ``serve``.
        tcp_nodelay: whether small messages are sent at once (TCP_NODELAY).
        tcp_keepalive: True to have the system ask whether the server's is still there, or how:
            (seconds of silence before, seconds between, how often); None leaves that to it.
        instrumentation: one or several, which are told of connections.
        kwargs: for the loop's ``create_connection``, such as ``ssl``, ``server_hostname``,
            ``host``, ``port``, ``local_addr``, ``happy_eyeballs_delay`` (0.25) and ``sock``; and
            with the prefix ``proxy_`` for the proxy's TLS.

    Raises:
        InvalidURI: the URI is not one of a WebSocket.
        OSError: the network failed.
        InvalidHandshake: the opening handshake failed.
        TimeoutError: it took too long.
        ValueError: arguments contradict each other, or cannot stand in a head.
        TypeError: the handler has no ``on_message``, or a method is a coroutine function.
    """

    def __init__(
        self,
        uri: str,
        *,
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        compression: Compression = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | Literal[True] | None = True,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
        max_size: int | tuple[int | None, int | None] | None = MAX_MESSAGE_BYTES,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
        logger: LoggerLike | None = None,
        create_connection: type[ClientConnection] | None = None,
        write_timeout: float | None = WRITE_TIMEOUT_S,
        max_fragments: int | None = MAX_FRAGMENTS,
        slow_consumer: str = "close",
        slow_consumer_bytes: int | None = SLOW_CONSUMER_BYTES,
        handler: HandlerLike | None = None,
        engine: str | None = None,
        busy_poll_us: int = 0,
        tcp_nodelay: bool = True,
        tcp_keepalive: bool | tuple[int, int, int] | None = None,
        instrumentation: Instruments = None,
        **kwargs: Any,
    ) -> None:
        self.uri = uri
        self.ws_uri = parse_uri(uri)
        if not self.ws_uri.secure and kwargs.get("ssl") is not None:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        if subprotocols is not None:
            validate_subprotocols(subprotocols)
        extensions = client_extensions(extensions, compression)
        engine_name(engine)  # here, where the user is, and not when the first connection is made
        self.additional_headers = additional_headers
        self.user_agent_header = user_agent_header
        self.proxy = proxy
        self.busy_poll_us = busy_poll_us
        self._tcp = TCPOptions(tcp_nodelay, tcp_keepalive)
        self._tcp.check()
        self.process_exception = process_exception
        self.open_timeout = open_timeout
        self.reconnect_delays = reconnect_delays
        self.logger = logging.getLogger("wirebird.client") if logger is None else logger
        self.create_connection_kwargs = kwargs
        make_connection = ClientConnection if create_connection is None else create_connection
        make_handler = None if handler is None else handler_maker(handler)
        if handler is not None and make_handler is None:
            raise TypeError(f"handler must have a method on_message, and {handler!r} has not")
        policy = SlowConsumerPolicy(slow_consumer, slow_consumer_bytes)
        watch = watch_for(instrumentation)

        def factory(uri: WebSocketURI) -> ClientConnection:
            protocol = ClientProtocol(
                uri,
                origin=origin,
                extensions=extensions,
                subprotocols=subprotocols,
                max_size=max_size,
                logger=self.logger,
                engine=engine,
            )
            connection = make_connection(
                protocol,
                ping_interval=ping_interval,
                ping_timeout=ping_timeout,
                close_timeout=close_timeout,
                max_queue=max_queue,
                write_limit=write_limit,
            )
            protocol.configure(write_timeout_s=write_timeout, max_fragments=max_fragments)
            connection._slow_consumer = policy
            connection._instruments = watch
            if make_handler is not None:
                connection._use_callbacks(make_handler)
            return connection

        self._factory = factory

    async def connect(self) -> ClientConnection:
        """Connect, follow redirects, and do the opening handshake."""
        if self.busy_poll_us:
            set_busy_poll(asyncio.get_running_loop(), self.busy_poll_us)
        try:
            async with asyncio.timeout(self.open_timeout):
                for _ in range(MAX_REDIRECTS + 1):
                    connection = await self._open()
                    try:
                        with doing(f"shaking hands with {self.ws_uri.host}"):
                            await connection.handshake(
                                self.additional_headers, self.user_agent_header
                            )
                    except InvalidStatus as exc:
                        connection.link.abort()
                        self._redirect(exc)
                    except BaseException:
                        connection.link.abort()
                        raise
                    else:
                        return connection
                raise SecurityError(f"more than {MAX_REDIRECTS} redirects")
        except TimeoutError as exc:
            raise timed_out(exc) from exc

    async def _open(self) -> ClientConnection:
        """Open a way to the server, with a connection on it."""
        return await open_transport(
            lambda: self._factory(self.ws_uri),
            self.ws_uri,
            proxy=self.proxy,
            user_agent_header=self.user_agent_header,
            tcp=self._tcp,
            **self.create_connection_kwargs,
        )

    def _redirect(self, exc: InvalidStatus) -> None:
        """Follow a redirect, or raise why it is not followed."""
        kwargs = self.create_connection_kwargs
        self.uri, self.additional_headers = redirects.next_request(
            exc,
            self.uri,
            self.additional_headers,
            has_socket=kwargs.get("sock") is not None,
            is_unix=bool(kwargs.get("unix")),
            has_address=kwargs.get("host") is not None or kwargs.get("port") is not None,
        )
        self.ws_uri = parse_uri(self.uri)

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self.connect().__await__()

    async def __aenter__(self) -> ClientConnection:
        if hasattr(self, "connection"):
            raise RuntimeError("connect() isn't reentrant")
        self.connection = await self
        return await self.connection.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.connection.__aexit__(exc_type, exc_value, traceback)
        finally:
            del self.connection

    async def __aiter__(self) -> AsyncIterator[ClientConnection]:
        delays: Generator[float, None, None] | None = None
        while True:
            try:
                async with self as connection:
                    yield connection
            except Exception as exc:
                delays = self.reconnect_delays() if delays is None else delays
                await self._wait_before_retry(exc, delays)
            else:
                delays = None

    async def _wait_before_retry(
        self, exc: Exception, delays: Generator[float, None, None]
    ) -> None:
        """Wait, or raise an error that is fatal."""
        await asyncio.sleep(delay_before_retry(exc, self.process_exception, delays, self.logger))


def unix_connect(path: PathLike | None = None, uri: str | None = None, **kwargs: Any) -> connect:
    """Connect to a server on a Unix socket.

    Args:
        path: of the socket.
        uri: of the WebSocket; ``ws://localhost/`` by default, ``wss://localhost/`` with ``ssl``.
        kwargs: as for ``connect``.
    """
    if uri is None:
        uri = "ws://localhost/" if kwargs.get("ssl") is None else "wss://localhost/"
    return connect(uri=uri, unix=True, path=path, **kwargs)
