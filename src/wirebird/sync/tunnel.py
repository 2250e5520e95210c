"""How a client gets to its server: directly, over a Unix socket, or through a proxy."""

from __future__ import annotations

import os
import socket
import ssl as ssl_module
from typing import Any, Literal

from ..core.proxy import ConnectAnswer, check_socks, socks_failure
from ..core.uri import WebSocketURI
from ..dialing import TCPOptions, doing
from ..exceptions import InvalidProxyMessage
from ..proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request
from .dialing import dial
from .streams import SocketStream, Stream, TLSStream
from .waiting import Deadline, drive

__all__ = ["open_stream"]


def open_stream(
    uri: WebSocketURI,
    deadline: Deadline,
    *,
    sock: socket.socket | None,
    ssl: ssl_module.SSLContext | None,
    server_hostname: str | None,
    proxy: str | Literal[True] | None,
    proxy_ssl: ssl_module.SSLContext | None,
    proxy_server_hostname: str | None,
    user_agent_header: str | None,
    tcp: TCPOptions,
    unix: bool = False,
    **kwargs: Any,
) -> Stream:
    """Open a way to the server.

    Args:
        uri: where to.
        deadline: of it all.
        sock, ssl, server_hostname: as for ``reconnect``.
        proxy, proxy_ssl, proxy_server_hostname, user_agent_header: as for ``reconnect``.
        tcp: what the socket is told.
        unix: whether ``path`` of a Unix socket is among ``kwargs``.
        kwargs: as for ``socket.create_connection``.

    Raises:
        OSError: the network failed.
        ProxyError, InvalidProxy: the proxy did.
        ValueError: arguments contradict each other.
    """
    if unix or sock is not None:
        proxy = None
    elif proxy is True:
        proxy = get_proxy(uri)
    if proxy is not None:
        stream = _through_proxy(
            parse_proxy(proxy),
            uri,
            deadline,
            ssl=proxy_ssl,
            server_hostname=proxy_server_hostname,
            user_agent_header=user_agent_header,
            tcp=tcp,
            **kwargs,
        )
    elif sock is not None or unix:
        stream = _stream_over(_connect_unix(deadline, **kwargs) if sock is None else sock)
    else:
        stream = _stream_over(_connect(uri, deadline, **kwargs), tcp)
    if not uri.secure:
        return stream
    context = ssl_module.create_default_context() if ssl is None else ssl
    return _secure(stream, context, server_hostname or uri.host, deadline)


def _connect(
    uri: WebSocketURI, deadline: Deadline, *, address: tuple[str, int] | None = None, **kwargs: Any
) -> socket.socket:
    host, port = (uri.host, uri.port) if address is None else address
    return dial(host, port, deadline, **kwargs)


def _connect_unix(deadline: Deadline, *, path: Any) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(deadline.check())
        sock.connect(os.fspath(path))
    except BaseException:
        sock.close()
        raise
    return sock


def _stream_over(sock: socket.socket, tcp: TCPOptions | None = None) -> SocketStream:
    if isinstance(sock, ssl_module.SSLSocket):
        sock.close()
        raise ValueError("sock must be a plain socket: TLS is begun for a wss:// URI")
    try:
        (TCPOptions() if tcp is None else tcp).apply(sock)
        return SocketStream(sock)
    except BaseException:
        sock.close()
        raise


def _secure(
    stream: Stream, context: ssl_module.SSLContext, server_hostname: str, deadline: Deadline
) -> Stream:
    """Begin TLS on a stream."""
    try:
        secured = TLSStream(stream, context, server_hostname=server_hostname)
        with doing(f"doing TLS with {server_hostname}"):
            drive(secured, secured.shake_hands, deadline)
    except BaseException:
        stream.close()
        raise
    return secured


def _through_proxy(
    proxy: Proxy,
    uri: WebSocketURI,
    deadline: Deadline,
    *,
    ssl: ssl_module.SSLContext | None,
    server_hostname: str | None,
    user_agent_header: str | None,
    tcp: TCPOptions,
    **kwargs: Any,
) -> Stream:
    if proxy.is_socks:
        with doing(f"connecting through the proxy {proxy.host}, port {proxy.port}"):
            return _stream_over(_through_socks(proxy, uri, deadline, **kwargs), tcp)
    if proxy.scheme != "https" and ssl is not None:
        raise ValueError("proxy_ssl argument is incompatible with an http:// proxy")
    kwargs.pop("address", None)  # that is the server's, which the proxy connects to
    stream: Stream = _stream_over(dial(proxy.host, proxy.port, deadline, **kwargs), tcp)
    if proxy.scheme == "https":
        context = ssl_module.create_default_context() if ssl is None else ssl
        stream = _secure(stream, context, server_hostname or proxy.host, deadline)
    try:
        with doing(f"asking the proxy {proxy.host}, port {proxy.port}"):
            request = prepare_connect_request(proxy, uri, user_agent_header)
            _ask_for_tunnel(stream, request, deadline)
    except BaseException:
        stream.close()
        raise
    return stream


def _ask_for_tunnel(stream: Stream, request: bytes, deadline: Deadline) -> None:
    """Ask a proxy with CONNECT. RFC 9110, 9.3.6."""
    answer = ConnectAnswer()
    stream.write([request])

    def read() -> bool:
        while (data := stream.receive()) is not None:
            if answer.feed(data):
                if stream.is_at_end:
                    raise InvalidProxyMessage("the proxy ended the connection")
                return True
        return False

    drive(stream, read, deadline)


def _through_socks(
    proxy: Proxy,
    uri: WebSocketURI,
    deadline: Deadline,
    *,
    source_address: tuple[str, int] | None = None,
    **kwargs: Any,
) -> socket.socket:
    """Connect through a SOCKS proxy, with what ``pip install wirebird[proxy]`` brings."""
    try:
        from python_socks import ProxyType
        from python_socks.sync import Proxy as SocksProxy
    except ImportError:
        raise ImportError(
            "connecting through a SOCKS proxy needs python-socks: pip install 'wirebird[proxy]'"
        ) from None
    check_socks(proxy, uri.host)
    kind = ProxyType.SOCKS5 if proxy.scheme.startswith("socks5") else ProxyType.SOCKS4
    socks = SocksProxy(
        kind, proxy.host, proxy.port, proxy.username, proxy.password, proxy.resolves_names
    )
    try:
        sock: socket.socket = socks.connect(
            uri.host, uri.port, timeout=deadline.check(), local_addr=source_address
        )
    except OSError:
        raise
    except Exception as exc:
        deadline.check()
        raise socks_failure(exc) from exc
    return sock
