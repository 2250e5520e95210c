"""The asyncio server: ``serve``, and what users need beside it."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, cast

from ..core.backlog import SLOW_CONSUMER_BYTES, SlowConsumerPolicy
from ..core.extensions.base import ServerExtensionFactory
from ..core.forwarded import FORWARDED_HEADERS
from ..core.handshake.arrival import Arrival, proxies_of
from ..core.handshake.token_auth import TokenAuth
from ..core.headers import validate_subprotocols
from ..core.instrumentation import Instruments, watch_for
from ..core.limits import Limits
from ..core.origins import SameOrigin
from ..core.rules import MAX_FRAGMENTS, MAX_MESSAGE_BYTES, WRITE_TIMEOUT_S, State
from ..core.types import LoggerLike, Origin, PathLike, Subprotocol
from ..dialing import TCPOptions
from ..engine import engine_name
from ..extensions.compression import Compression, server_extensions
from ..http11 import SERVER
from ..server import ServerProtocol
from .base import Listener, can_listen, set_busy_poll
from .basic_auth import basic_auth
from .connection import broadcast, broadcast_wait
from .gate import Gate
from .handlers import HandlerLike, handler_maker
from .header_before_tls import header_before_tls
from .running_server import Server
from .server_connection import ProcessRequest, ProcessResponse, ServerConnection
from .server_tasks import AtOnce, CoroutineHandler, run_connection

__all__ = [
    "Server",
    "ServerConnection",
    "basic_auth",
    "broadcast",
    "broadcast_wait",
    "serve",
    "unix_serve",
]


def serve(
    handler: Callable[[ServerConnection], Awaitable[None]] | HandlerLike,
    host: str | None = None,
    port: int | None = None,
    *,
    origins: Sequence[Origin | re.Pattern[str] | SameOrigin | None] | None = None,
    extensions: Sequence[ServerExtensionFactory] | None = None,
    subprotocols: Sequence[Subprotocol] | None = None,
    select_subprotocol: Callable[[ServerConnection, Sequence[Subprotocol]], Subprotocol | None]
    | None = None,
    compression: Compression = "deflate",
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
    trusted_proxies: Collection[str] | None = None,
    forwarded_headers: Collection[str] = FORWARDED_HEADERS,
    proxy_protocol: bool = False,
    limits: Limits | None = None,
    instrumentation: Instruments = None,
    tcp_keepalive: bool | tuple[int, int, int] | None = None,
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
        origins: values of Origin to accept, exact or as patterns, or ``SameOrigin()`` for the
            server's own pages; None among them accepts requests without one. None instead of a
            list accepts all: then any web page can connect (RFC 6455, 10.2).
        extensions: what to accept besides ``compression``.
        subprotocols: what is supported, the preferred one first.
        select_subprotocol: chooses among the client's; called with the connection and these.
        compression: "deflate", "brotli" or "zstd" accepts that; of several names, the first that
            a client offers is taken; None accepts none.
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
        trusted_proxies: addresses and networks of the reverse proxies before this server, "unix"
            for whoever connects to a Unix socket: what they tell of clients is believed, and
            makes ``client``, ``scheme`` and ``host`` of connections. None for none.
        forwarded_headers: which of Forwarded, X-Forwarded-For, -Proto, -Host and -Port the
            proxies write; the others are not looked at.
        proxy_protocol: whether every connection begins with a header of the PROXY protocol,
            version 1 or 2, before TLS; one that does not is cut.
        limits: what all clients together may have, one address, and one connection.
        instrumentation: one or several, which are told of connections.
        tcp_keepalive: True to have the system ask whether clients are still there, or how:
            (seconds of silence before, seconds between, how often). None leaves that to the system.
        kwargs: for the loop's ``create_server``, such as ``ssl``, ``sock`` and ``start_serving``.

    Raises:
        TypeError: a method of the handler class is a coroutine function; a list is none;
            something is no ``Instrumentation``.
        ValueError: arguments contradict each other.
    """
    if subprotocols is not None:
        validate_subprotocols(subprotocols)
    extensions = server_extensions(extensions, compression)
    engine_name(engine)  # here, where the user is, and not when the first connection is made
    if kwargs.get("ssl") is not None:
        kwargs.setdefault("ssl_handshake_timeout", open_timeout)
        kwargs.setdefault("ssl_shutdown_timeout", close_timeout)
    make_connection = ServerConnection if create_connection is None else create_connection
    make_handler = handler_maker(handler)
    auth = getattr(process_request, "auth", None)
    if make_handler is not None and isinstance(auth, TokenAuth) and auth.first_message is not None:
        raise TypeError("FirstMessage needs a handler that is a coroutine function")
    policy = SlowConsumerPolicy(slow_consumer, slow_consumer_bytes)
    proxies = proxies_of(trusted_proxies, forwarded_headers, proxy_protocol=proxy_protocol)

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
        if proxies is not None:
            protocol.arrival = Arrival(proxies, proxy_protocol=proxy_protocol)
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

    tcp = TCPOptions(keepalive=tcp_keepalive)
    tcp.check()
    is_unix = kwargs.pop("unix", False)

    async def create_server() -> asyncio.Server | Listener:
        loop = asyncio.get_running_loop()
        if busy_poll_us:
            set_busy_poll(loop, busy_poll_us)
        make: Callable[..., Awaitable[asyncio.Server]] = loop.create_server
        where: tuple[Any, ...] = (host, port)
        if is_unix:
            make, where = loop.create_unix_server, ()
        if proxy_protocol and kwargs.get("ssl"):
            before, arguments = header_before_tls(factory, open_timeout, kwargs)
            return await _listening(tcp, make, before, *where, **arguments)
        if engine_name(engine) != "native" or kwargs.get("ssl") or not can_listen(loop):
            return await _listening(tcp, make, factory, *where, **kwargs)
        # asyncio binds the sockets, the engine accepts connections.
        arguments = dict(kwargs, start_serving=False)
        listener = Listener(
            await _listening(tcp, make, factory, *where, **arguments),
            factory,
            kwargs.get("backlog", 100),
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

    handle = None if make_handler is not None else cast(CoroutineHandler, handler)
    run = functools.partial(run_connection, open_connection, handle)
    server = Server(create_server, run, logger)
    server.make_connection = factory
    server.watch = watch_for(instrumentation)
    if limits is not None:
        server.gate = Gate(server, limits)
    if process_request is None and process_response is None:
        server.at_once = AtOnce(server_header, open_timeout, handle)
    return server


async def _listening(
    tcp: TCPOptions,
    make: Callable[..., Awaitable[asyncio.Server]],
    *args: Any,
    start_serving: bool = True,
    **kwargs: Any,
) -> asyncio.Server:
    """Make a server of asyncio; what its sockets are told before they listen, connections have."""
    if tcp.keepalive is None:
        return await make(*args, start_serving=start_serving, **kwargs)
    server = await make(*args, start_serving=False, **kwargs)
    for sock in server.sockets:
        tcp.apply(sock)
    if start_serving:
        await server.start_serving()
    return server


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
