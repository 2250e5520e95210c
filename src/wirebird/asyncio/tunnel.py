"""How a client gets to its server: directly, over a Unix socket, or through a proxy."""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

from ..core.proxy import ConnectAnswer
from ..core.uri import WebSocketURI
from ..exceptions import ProxyError
from ..proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request

if TYPE_CHECKING:
    from .client import ClientConnection

__all__ = ["open_transport"]


async def open_transport(
    factory: Callable[[], ClientConnection],
    uri: WebSocketURI,
    *,
    proxy: str | Literal[True] | None,
    user_agent_header: str | None,
    unix: bool = False,
    **kwargs: Any,
) -> ClientConnection:
    """Open a way to the server, and return the connection that was put on it.

    Args:
        factory: makes the connection.
        uri: where to.
        proxy: True for what the system says, None for none, or its URL.
        user_agent_header: told to an HTTP proxy.
        unix: whether ``path`` of a Unix socket is among ``kwargs``.
        kwargs: for the loop's ``create_connection``; for a proxy's TLS with the prefix ``proxy_``.

    Raises:
        OSError: the network failed.
        ProxyError, InvalidProxy: the proxy did.
        ValueError: arguments contradict each other.
    """
    loop = asyncio.get_running_loop()
    if uri.secure:
        kwargs.setdefault("ssl", True)
        if kwargs["ssl"] is None:
            raise ValueError("ssl=None is incompatible with a wss:// URI")
        kwargs.setdefault("server_hostname", uri.host)
    if unix:
        _, connection = await loop.create_unix_connection(factory, **kwargs)
        return connection
    has_socket = kwargs.get("sock") is not None
    if proxy is True:
        proxy = None if has_socket else get_proxy(uri)
    if proxy is not None and not has_socket:
        parsed = parse_proxy(proxy)
        if parsed.is_socks:
            kwargs["sock"] = await _through_socks(parsed, uri, kwargs)
            has_socket = True
        else:
            return await _through_http(parsed, factory, uri, user_agent_header, kwargs)
    if not has_socket:
        kwargs.setdefault("host", uri.host)
        kwargs.setdefault("port", uri.port)
    _, connection = await loop.create_connection(factory, **kwargs)
    return connection


async def _through_socks(proxy: Proxy, uri: WebSocketURI, kwargs: dict[str, Any]) -> socket.socket:
    """Connect through a SOCKS proxy, with what ``pip install wirebird[proxy]`` brings."""
    try:
        from python_socks import ProxyType
        from python_socks.async_.asyncio import Proxy as SocksProxy
    except ImportError:
        raise ImportError(
            "connecting through a SOCKS proxy needs python-socks: pip install wirebird[proxy]"
        ) from None
    kind = ProxyType.SOCKS5 if proxy.scheme.startswith("socks5") else ProxyType.SOCKS4
    socks = SocksProxy(
        kind, proxy.host, proxy.port, proxy.username, proxy.password, proxy.resolves_names
    )
    local_addr = kwargs.pop("local_addr", None)
    try:
        sock: socket.socket = await socks.connect(uri.host, uri.port, local_addr=local_addr)
    except OSError:
        raise
    except Exception as exc:
        raise ProxyError("failed to connect to SOCKS proxy") from exc
    return sock


async def _through_http(
    proxy: Proxy,
    factory: Callable[[], ClientConnection],
    uri: WebSocketURI,
    user_agent_header: str | None,
    kwargs: dict[str, Any],
) -> ClientConnection:
    """Connect through an HTTP proxy with CONNECT. RFC 9110, 9.3.6."""
    loop = asyncio.get_running_loop()
    server_kwargs, proxy_kwargs = _split(kwargs)
    if proxy.scheme == "https":
        proxy_kwargs.setdefault("ssl", True)
        if proxy_kwargs["ssl"] is None:
            raise ValueError("proxy_ssl=None is incompatible with an https:// proxy")
    elif proxy_kwargs.get("ssl") is not None:
        raise ValueError("proxy_ssl argument is incompatible with an http:// proxy")
    request = prepare_connect_request(proxy, uri, user_agent_header)
    transport, answer = await loop.create_connection(
        lambda: _ConnectExchange(request), proxy.host, proxy.port, **proxy_kwargs
    )
    try:
        await answer.granted
        connection = factory()
        context = server_kwargs.pop("ssl", None)
        if context is None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return connection
        if context is True:
            context = ssl_module.create_default_context()
        secured = await loop.start_tls(transport, connection, context, **server_kwargs)
    except BaseException:
        transport.abort()
        raise
    assert secured is not None
    connection.connection_made(secured)
    return connection


def _split(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell what is meant for TLS with the server from what is meant for the way to the proxy."""
    server, proxy = {}, {}
    for name, value in kwargs.items():
        if name.startswith("ssl") or name == "server_hostname":
            server[name] = value
        else:
            proxy[name.removeprefix("proxy_")] = value
    return server, proxy


class _ConnectExchange(asyncio.Protocol):
    """Asks a proxy for a way to the server, and reads its answer."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._answer = ConnectAnswer()
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.granted.done():
            return
        try:
            if self._answer.feed(data):
                self.granted.set_result(None)
        except Exception as exc:
            self.granted.set_exception(exc)

    def eof_received(self) -> None:
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self.data_received(b"")
