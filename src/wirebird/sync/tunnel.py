"""How a client gets to its server: directly, over a Unix socket, or through a proxy."""

from __future__ import annotations

import os
import socket
import ssl as ssl_module
from typing import Any, Literal

from ..core.proxy import ConnectAnswer
from ..core.uri import WebSocketURI
from ..exceptions import InvalidProxyMessage, ProxyError
from ..proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request
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
    unix: bool = False,
    **kwargs: Any,
) -> Stream:
    """Open a way to the server.

    Args:
        uri: where to.
        deadline: of it all.
        sock, ssl, server_hostname: as for ``reconnect``.
        proxy, proxy_ssl, proxy_server_hostname, user_agent_header: as for ``reconnect``.
        unix: whether ``path`` of a Unix socket is among ``kwargs``.
        kwargs: for ``socket.create_connection``.

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
            **kwargs,
        )
    else:
        if sock is None:
            sock = _connect_unix(deadline, **kwargs) if unix else _connect(uri, deadline, **kwargs)
        stream = _stream_over(sock)
    if not uri.secure:
        return stream
    context = ssl_module.create_default_context() if ssl is None else ssl
    return _secure(stream, context, server_hostname or uri.host, deadline)


def _connect(
    uri: WebSocketURI, deadline: Deadline, *, address: tuple[str, int] | None = None, **kwargs: Any
) -> socket.socket:
    kwargs.setdefault("timeout", deadline.check())
    return socket.create_connection((uri.host, uri.port) if address is None else address, **kwargs)


def _connect_unix(deadline: Deadline, *, path: Any) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(deadline.check())
        sock.connect(os.fspath(path))
    except BaseException:
        sock.close()
        raise
    return sock


def _stream_over(sock: socket.socket) -> SocketStream:
    if isinstance(sock, ssl_module.SSLSocket):
        sock.close()
        raise ValueError("sock must be a plain socket: TLS is begun for a wss:// URI")
    try:
        if sock.family in (socket.AF_INET, getattr(socket, "AF_INET6", None)):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
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
    **kwargs: Any,
) -> Stream:
    if proxy.is_socks:
        return _stream_over(_through_socks(proxy, uri, deadline, **kwargs))
    if proxy.scheme != "https" and ssl is not None:
        raise ValueError("proxy_ssl argument is incompatible with an http:// proxy")
    kwargs.pop("address", None)  # that is the server's, which the proxy connects to
    kwargs.setdefault("timeout", deadline.check())
    stream: Stream = _stream_over(socket.create_connection((proxy.host, proxy.port), **kwargs))
    if proxy.scheme == "https":
        context = ssl_module.create_default_context() if ssl is None else ssl
        stream = _secure(stream, context, server_hostname or proxy.host, deadline)
    try:
        _ask_for_tunnel(stream, prepare_connect_request(proxy, uri, user_agent_header), deadline)
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
        raise ProxyError("failed to connect to SOCKS proxy") from exc
    return sock
