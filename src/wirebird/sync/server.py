"""The server for threads: each connection has a thread, in which its handler runs."""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl as ssl_module
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ..core.extensions.base import ServerExtensionFactory
from ..core.forwarded import FORWARDED_HEADERS
from ..core.handshake.arrival import Arrival, proxies_of
from ..core.headers import validate_subprotocols
from ..core.origins import SameOrigin
from ..core.rules import MAX_FRAGMENTS, MAX_MESSAGE_BYTES, WRITE_TIMEOUT_S, CloseCode, State
from ..core.types import LoggerLike, Origin, PathLike, Subprotocol
from ..dialing import TCPOptions
from ..engine import engine_name
from ..exceptions import InvalidProxyHeader
from ..extensions.compression import Compression, server_extensions
from ..http11 import SERVER
from ..server import ServerProtocol
from .basic_auth import basic_auth
from .broadcast import broadcast
from .running_server import Server
from .server_connection import ProcessRequest, ProcessResponse, ServerConnection
from .streams import SocketStream, Stream, TLSStream
from .token_auth import is_let_in
from .waiting import Deadline, drive

__all__ = ["Server", "ServerConnection", "basic_auth", "broadcast", "serve", "unix_serve"]


def serve(
    handler: Callable[[ServerConnection], None],
    host: str | None = None,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    ssl: ssl_module.SSLContext | None = None,
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
    logger: LoggerLike | None = None,
    create_connection: type[ServerConnection] | None = None,
    write_timeout: float | None = WRITE_TIMEOUT_S,
    max_fragments: int | None = MAX_FRAGMENTS,
    engine: str | None = None,
    trusted_proxies: Collection[str] | None = None,
    forwarded_headers: Collection[str] = FORWARDED_HEADERS,
    proxy_protocol: bool = False,
    tcp_keepalive: bool | tuple[int, int, int] | None = None,
    **kwargs: Any,
) -> Server:
    """Serve WebSockets. It listens at once; ``Server.serve_forever`` accepts connections::

        with serve(handler, "localhost", 8765) as server:
            server.serve_forever()

    Args:
        handler: called with each ``ServerConnection`` that is open, in a thread of its own; when
            it returns, the connection is closed (1000), when it raises, too (1011).
        host: to listen on.
        port: to listen on.
        sock: a listening socket, instead of these.
        ssl: the context for TLS; None for none.
        origins: values of Origin to accept, exact or as patterns, or ``SameOrigin()`` for the
            server's own pages; None among them accepts requests without one. None instead of a
            list accepts all: then any web page can connect (RFC 6455, 10.2).
        extensions: what to accept besides ``compression``.
        subprotocols: what is supported, the preferred one first.
        select_subprotocol: chooses among the client's; called with the connection and these.
        compression: "deflate", "brotli" or "zstd" accepts that; of several names, the first that
            a client offers is taken; None accepts none.
        process_request: called with connection and request, before the handshake; returns a
            response to send instead of a WebSocket, or None.
        process_response: called with connection, request and response, before that is sent;
            returns another one, or None.
        server_header: value of Server; None for none.
        open_timeout: seconds that TLS and the request may take.
        ping_interval: seconds between two pings; None for none.
        ping_timeout: seconds of silence after a ping until the client is given up (1011).
        close_timeout: seconds that the closing handshake may take.
        max_size: of an incoming message in bytes, None for no limit; or (of a message, of a
            frame). What is longer fails the connection (1009).
        max_queue: unread frames above which reading pauses; or (high, low); None for no mark.
        logger: ``wirebird.server`` by default.
        create_connection: makes the connection: a subclass of ``ServerConnection``.
        write_timeout: seconds without the client taking anything until it is cut.
        max_fragments: of an incoming message (1009).
        engine: "python" or "native"; None for the default.
        trusted_proxies: addresses and networks of the reverse proxies before this server, "unix"
            for whoever connects to a Unix socket: what they tell of clients is believed, and
            makes ``client``, ``scheme`` and ``host`` of connections. None for none.
        forwarded_headers: which of Forwarded, X-Forwarded-For, -Proto, -Host and -Port the
            proxies write; the others are not looked at.
        proxy_protocol: whether every connection begins with a header of the PROXY protocol,
            version 1 or 2, before TLS; one that does not is cut.
        tcp_keepalive: True to have the system ask whether clients are still there, or how:
            (seconds of silence before, seconds between, how often). None leaves that to the system.
        kwargs: for ``socket.create_server``, such as ``backlog`` and ``reuse_port``.

    Raises:
        OSError: it cannot listen there.
        ValueError: arguments contradict each other.
    """
    if subprotocols is not None:
        validate_subprotocols(subprotocols)
    extensions = server_extensions(extensions, compression)
    engine_name(engine)
    proxies = proxies_of(trusted_proxies, forwarded_headers, proxy_protocol=proxy_protocol)
    make_connection = ServerConnection if create_connection is None else create_connection
    tcp = TCPOptions(keepalive=tcp_keepalive)
    tcp.check()
    listening = _listen(host, port, sock, **kwargs)
    if tcp_keepalive is not None:
        tcp.apply(listening)

    def make(stream: Stream, arrival: Arrival | None) -> ServerConnection:
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
        protocol.arrival = arrival
        connection = make_connection(
            stream,
            protocol,
            server,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )
        protocol.configure(write_timeout_s=write_timeout, max_fragments=max_fragments)
        return connection

    def handle(client: socket.socket, address: Any) -> None:
        deadline = Deadline(open_timeout)
        connection: ServerConnection | None = None
        try:
            arrival = None
            if proxies is not None:
                arrival = Arrival(proxies, proxy_protocol=proxy_protocol)
                arrival.peer = address
                _take_header(client, arrival, deadline)
            connection = make(_secured(client, ssl, deadline), arrival)
            connection.handshake(
                process_request, process_response, server_header, deadline.remaining()
            )
        except InvalidProxyHeader as exc:
            level = logging.WARNING if arrival is not None and arrival.has_begun else logging.DEBUG
            server.logger.log(level, "connection cut: %s (peer: %r)", exc, address)
        except (TimeoutError, OSError):
            pass  # of the client's: it was answered, or speaks no TLS
        except Exception:
            server.logger.error("opening handshake failed", exc_info=True)
        if connection is None:
            client.close()
        elif connection._core is None:
            # Refused: give the client time to read why.
            connection._linger(close_timeout)
            connection.wait_closed()
        else:
            _run(handler, connection)

    server = Server(listening, handle, logger)
    return server


def _listen(
    host: str | None,
    port: int | None,
    sock: socket.socket | None,
    *,
    unix: bool = False,
    path: PathLike | None = None,
    **kwargs: Any,
) -> socket.socket:
    for name, value in {"host": host, "port": port, "path": path}.items():
        if sock is not None and value is not None:
            raise ValueError(f"{name} is incompatible with sock")
    if sock is not None:
        return sock
    if not unix:
        return socket.create_server((host, port), **kwargs)
    if path is None:
        raise ValueError("missing path argument")
    kwargs.setdefault("family", socket.AF_UNIX)
    return socket.create_server(os.fspath(path), **kwargs)


def _secured(
    client: socket.socket, ssl: ssl_module.SSLContext | None, deadline: Deadline
) -> Stream:
    """Return a stream over the socket of a client, with TLS if there is a context."""
    if client.family in (socket.AF_INET, getattr(socket, "AF_INET6", None)):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    stream = SocketStream(client)
    if ssl is None:
        return stream
    secured = TLSStream(stream, ssl)
    drive(secured, secured.shake_hands, deadline)
    return secured


def _take_header(client: socket.socket, arrival: Arrival, deadline: Deadline) -> None:
    """Read the header of the PROXY protocol if one is due, and not a byte more.

    Raises:
        InvalidProxyHeader: it is none, or does not come.
    """
    while wanted := arrival.wanted:
        try:
            client.settimeout(deadline.check())
            data = client.recv(wanted)
        except TimeoutError:
            data = b""
        missing = arrival.missing()
        if not data and missing is not None:
            raise missing
        arrival.take(data)


def _run(handler: Callable[[ServerConnection], None], connection: ServerConnection) -> None:
    """Run the handler of a connection that is open, and close it."""
    server = connection.server
    auth = connection._first_message
    if auth is not None:
        with server.lock:
            server.unauthenticated.add(connection)
        try:
            if not is_let_in(connection, auth):
                return
        finally:
            with server.lock:
                server.unauthenticated.discard(connection)
    with server.lock:
        server.all_connections.add(connection)
    code = CloseCode.INTERNAL_ERROR
    try:
        handler(connection)
        code = CloseCode.NORMAL_CLOSURE
    except Exception:
        connection.logger.error("connection handler failed", exc_info=True)
    finally:
        try:
            connection.close(code)
        finally:
            with server.lock:
                server.all_connections.discard(connection)
            if connection.state is not State.CLOSED:
                connection._cut()


def unix_serve(
    handler: Callable[[ServerConnection], None], path: PathLike | None = None, **kwargs: Any
) -> Server:
    """Serve WebSockets on a Unix socket, as behind a reverse proxy.

    Args:
        handler: as for ``serve``.
        path: of the socket.
        kwargs: as for ``serve``.
    """
    return serve(handler, unix=True, path=path, **kwargs)
