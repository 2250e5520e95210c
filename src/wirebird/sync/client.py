"""The client for threads."""

from __future__ import annotations

import logging
import os
import socket
import ssl as ssl_module
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal, overload

from ..client import ClientProtocol, backoff, delay_before_retry, process_exception
from ..core import redirects
from ..core.extensions.base import ClientExtensionFactory
from ..core.fields import HeadersLike
from ..core.headers import validate_subprotocols
from ..core.rules import MAX_FRAGMENTS, MAX_MESSAGE_BYTES, WRITE_TIMEOUT_S
from ..core.types import LoggerLike, Origin, PathLike, Subprotocol
from ..core.uri import parse_uri
from ..dialing import TCPOptions, doing, timed_out
from ..engine import engine_name
from ..exceptions import InvalidStatus, SecurityError
from ..extensions.compression import Compression, client_extensions
from ..http11 import USER_AGENT
from .client_connection import ClientConnection
from .tunnel import open_stream
from .waiting import Deadline

__all__ = ["ClientConnection", "connect", "reconnect", "unix_connect", "unix_reconnect"]

MAX_REDIRECTS = int(os.environ.get("WIREBIRD_MAX_REDIRECTS", str(redirects.MAX_REDIRECTS)))


class reconnect:
    """Connect to a WebSocket server again and again.

    As an iterator it connects, and connects again when an iteration is over, waiting longer after
    each failure, until ``process_exception`` calls an error fatal; as a context manager it
    connects once::

        for ws in reconnect("ws://localhost:8765"):
            try:
                for message in ws:
                    print(message)
            except ConnectionClosed:
                continue

    Args:
        uri: ``ws://`` or ``wss://``.
        sock: connected to the server, instead of the URI's host and port.
        ssl: the context for TLS; by default the system's certificates are trusted.
        server_hostname: that the server's certificate must be for, instead of the URI's host.
        origin: value of Origin; None for none.
        extensions: what to offer besides ``compression``.
        subprotocols: what to offer, the preferred one first.
        compression: "deflate", "brotli" or "zstd" offers that; several names offer all of them,
            in the order of preference; None offers none.
        additional_headers: of the request.
        user_agent_header: value of User-Agent; None for none.
        proxy: True for what the system says, None for none, or its URL.
        proxy_ssl: the context for TLS with an ``https://`` proxy.
        proxy_server_hostname: that the proxy's certificate must be for.
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
        logger: ``wirebird.client`` by default.
        create_connection: makes the connection: a subclass of ``ClientConnection``.
        write_timeout: seconds without the server taking anything until it is cut.
        max_fragments: of an incoming message (1009).
        engine: "python" or "native"; None for the default.
        tcp_nodelay: whether small messages are sent at once (TCP_NODELAY).
        tcp_keepalive: True to have the system ask whether the server's is still there, or how:
            (seconds of silence before, seconds between, how often); None leaves that to it.
        kwargs: as for ``socket.create_connection``, such as ``source_address``, and ``address`` to
            connect to another host and port than the URI's.

    Raises:
        InvalidURI: the URI is not one of a WebSocket.
        OSError: the network failed.
        InvalidHandshake: the opening handshake failed.
        TimeoutError: it took too long.
        ValueError: arguments contradict each other, or cannot stand in a head.
    """

    def __init__(
        self,
        uri: str,
        *,
        sock: socket.socket | None = None,
        ssl: ssl_module.SSLContext | None = None,
        server_hostname: str | None = None,
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        compression: Compression = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | Literal[True] | None = True,
        proxy_ssl: ssl_module.SSLContext | None = None,
        proxy_server_hostname: str | None = None,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
        max_size: int | tuple[int | None, int | None] | None = MAX_MESSAGE_BYTES,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        logger: LoggerLike | None = None,
        create_connection: type[ClientConnection] | None = None,
        write_timeout: float | None = WRITE_TIMEOUT_S,
        max_fragments: int | None = MAX_FRAGMENTS,
        engine: str | None = None,
        tcp_nodelay: bool = True,
        tcp_keepalive: bool | tuple[int, int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.uri = uri
        self.ws_uri = parse_uri(uri)
        if not self.ws_uri.secure and ssl is not None:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        if subprotocols is not None:
            validate_subprotocols(subprotocols)
        extensions = client_extensions(extensions, compression)
        engine_name(engine)
        self.sock = sock
        self.ssl = ssl
        self.server_hostname = server_hostname
        self.additional_headers = additional_headers
        self.user_agent_header = user_agent_header
        self.proxy = proxy
        self.proxy_ssl = proxy_ssl
        self.proxy_server_hostname = proxy_server_hostname
        self.process_exception = process_exception
        self.open_timeout = open_timeout
        self.reconnect_delays = reconnect_delays
        self.logger = logging.getLogger("wirebird.client") if logger is None else logger
        self.create_connection = (
            ClientConnection if create_connection is None else create_connection
        )
        self.open_socket_kwargs = kwargs
        self._tcp = TCPOptions(tcp_nodelay, tcp_keepalive)
        self._tcp.check()
        self.protocol_kwargs: dict[str, Any] = {
            "origin": origin,
            "extensions": extensions,
            "subprotocols": subprotocols,
            "max_size": max_size,
            "logger": self.logger,
            "engine": engine,
        }
        self.connection_kwargs: dict[str, Any] = {
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "close_timeout": close_timeout,
            "max_queue": max_queue,
        }
        self._own_limits = {"write_timeout_s": write_timeout, "max_fragments": max_fragments}

    def connect(self) -> ClientConnection:
        """Connect, follow redirects, and do the opening handshake."""
        deadline = Deadline(self.open_timeout)
        try:
            for _ in range(MAX_REDIRECTS + 1):
                try:
                    return self._connect_once(deadline)
                except InvalidStatus as exc:
                    self._redirect(exc)
        except TimeoutError as exc:
            if deadline.remaining() != 0:
                raise  # of the system, before ours
            raise timed_out(exc) from exc
        raise SecurityError(f"more than {MAX_REDIRECTS} redirects")

    def _connect_once(self, deadline: Deadline) -> ClientConnection:
        stream = open_stream(
            self.ws_uri,
            deadline,
            sock=self.sock,
            ssl=self.ssl,
            server_hostname=self.server_hostname,
            proxy=self.proxy,
            proxy_ssl=self.proxy_ssl,
            proxy_server_hostname=self.proxy_server_hostname,
            user_agent_header=self.user_agent_header,
            tcp=self._tcp,
            **self.open_socket_kwargs,
        )
        try:
            protocol = ClientProtocol(self.ws_uri, **self.protocol_kwargs)
            connection = self.create_connection(
                stream,
                protocol,
                **self.connection_kwargs,
            )
            protocol.configure(**self._own_limits)
        except BaseException:
            stream.close()
            raise
        try:
            with doing(f"shaking hands with {self.ws_uri.host}"):
                connection.handshake(
                    self.additional_headers, self.user_agent_header, deadline.remaining()
                )
        except BaseException:
            connection._cut()
            raise
        return connection

    def _redirect(self, exc: InvalidStatus) -> None:
        """Follow a redirect, or raise why it is not followed."""
        kwargs = self.open_socket_kwargs
        self.uri, self.additional_headers = redirects.next_request(
            exc,
            self.uri,
            self.additional_headers,
            has_socket=self.sock is not None,
            is_unix=bool(kwargs.get("unix")),
            has_address=kwargs.get("address") is not None,
        )
        self.ws_uri = parse_uri(self.uri)

    def __enter__(self) -> ClientConnection:
        if hasattr(self, "connection"):
            raise RuntimeError("connect() isn't reentrant")
        self.connection = self.connect()
        return self.connection.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> None:
        try:
            self.connection.__exit__(exc_type, exc_value, exc_traceback)
        finally:
            del self.connection

    def __iter__(self) -> Iterator[ClientConnection]:
        delays: Generator[float, None, None] | None = None
        while True:
            try:
                with self as connection:
                    yield connection
            except Exception as exc:
                delays = self.reconnect_delays() if delays is None else delays
                time.sleep(delay_before_retry(exc, self.process_exception, delays, self.logger))
            else:
                delays = None


@overload
def connect(uri: str, *, legacy: Literal[True] | None = ..., **kwargs: Any) -> ClientConnection: ...


@overload
def connect(uri: str, *, legacy: Literal[False], **kwargs: Any) -> reconnect: ...


def connect(
    uri: str,
    *,
    sock: socket.socket | None = None,
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
    origin: Origin | None = None,
    extensions: Sequence[ClientExtensionFactory] | None = None,
    subprotocols: Sequence[Subprotocol] | None = None,
    compression: Compression = "deflate",
    additional_headers: HeadersLike | None = None,
    user_agent_header: str | None = USER_AGENT,
    proxy: str | Literal[True] | None = True,
    proxy_ssl: ssl_module.SSLContext | None = None,
    proxy_server_hostname: str | None = None,
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    max_size: int | tuple[int | None, int | None] | None = MAX_MESSAGE_BYTES,
    max_queue: int | tuple[int | None, int | None] | None = 16,
    logger: LoggerLike | None = None,
    create_connection: type[ClientConnection] | None = None,
    legacy: bool | None = None,
    **kwargs: Any,
) -> ClientConnection | reconnect:
    """Connect to a WebSocket server.

    The connection closes itself at the end of a ``with`` block::

        with connect("ws://localhost:8765") as ws:
            ws.send("Hello")
            print(ws.recv())

    Iterating over it receives its messages; ``reconnect`` connects again and again.

    Args:
        uri: ``ws://`` or ``wss://``.
        sock, ssl, server_hostname, origin, extensions, subprotocols: as for ``reconnect``.
        compression, additional_headers, user_agent_header: as for ``reconnect``.
        proxy, proxy_ssl, proxy_server_hostname: as for ``reconnect``.
        open_timeout, ping_interval, ping_timeout, close_timeout: as for ``reconnect``.
        max_size, max_queue, logger, create_connection: as for ``reconnect``.
        legacy: False for what ``reconnect`` returns, instead of a connection.
        kwargs: as for ``reconnect``, whose other arguments are among them.

    Raises:
        Exception: as ``reconnect`` says.
    """
    connector = reconnect(
        uri,
        sock=sock,
        ssl=ssl,
        server_hostname=server_hostname,
        origin=origin,
        extensions=extensions,
        subprotocols=subprotocols,
        compression=compression,
        additional_headers=additional_headers,
        user_agent_header=user_agent_header,
        proxy=proxy,
        proxy_ssl=proxy_ssl,
        proxy_server_hostname=proxy_server_hostname,
        open_timeout=open_timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_size=max_size,
        max_queue=max_queue,
        logger=logger,
        create_connection=create_connection,
        **kwargs,
    )
    return connector if legacy is False else connector.connect()


def unix_reconnect(
    path: PathLike | None = None, uri: str | None = None, **kwargs: Any
) -> reconnect:
    """Connect to a server on a Unix socket again and again.

    Args:
        path: of the socket.
        uri: of the WebSocket; ``ws://localhost/`` by default, ``wss://localhost/`` with ``ssl``.
        kwargs: as for ``reconnect``.

    Raises:
        ValueError: there is neither a path nor a socket, or both.
    """
    if (path is None) == (kwargs.get("sock") is None):
        raise ValueError("a path or a socket is needed, and not both")
    if uri is None:
        uri = "ws://localhost/" if kwargs.get("ssl") is None else "wss://localhost/"
    return reconnect(uri=uri, unix=True, path=path, **kwargs)


@overload
def unix_connect(
    path: PathLike | None = ...,
    uri: str | None = ...,
    *,
    legacy: Literal[True] | None = ...,
    **kwargs: Any,
) -> ClientConnection: ...


@overload
def unix_connect(
    path: PathLike | None = ..., uri: str | None = ..., *, legacy: Literal[False], **kwargs: Any
) -> reconnect: ...


def unix_connect(
    path: PathLike | None = None,
    uri: str | None = None,
    *,
    legacy: bool | None = None,
    **kwargs: Any,
) -> ClientConnection | reconnect:
    """Connect to a server on a Unix socket.

    Args:
        path: of the socket.
        uri: of the WebSocket; ``ws://localhost/`` by default, ``wss://localhost/`` with ``ssl``.
        legacy: as for ``connect``.
        kwargs: as for ``connect``.

    Raises:
        ValueError: there is neither a path nor a socket, or both.
    """
    connector = unix_reconnect(path, uri, **kwargs)
    return connector if legacy is False else connector.connect()
