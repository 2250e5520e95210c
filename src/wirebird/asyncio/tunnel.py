"""How a client gets to its server: directly, over a Unix socket, or through a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl as ssl_module
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from ..core.proxy import ConnectAnswer
from ..core.uri import WebSocketURI
from ..dialing import TCPOptions, doing
from ..exceptions import ProxyError
from ..proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request
from .dialing import dial

if TYPE_CHECKING:
    from .client import ClientConnection

__all__ = ["open_transport"]

# What is for connecting; the rest is for the transport, and its TLS.
_DIALING = (
    *("host", "port", "family", "proto", "flags", "local_addr"),
    *("happy_eyeballs_delay", "interleave", "all_errors"),
)


async def open_transport(
    factory: Callable[[], ClientConnection],
    uri: WebSocketURI,
    *,
    proxy: str | Literal[True] | None,
    user_agent_header: str | None,
    tcp: TCPOptions,
    unix: bool = False,
    **kwargs: Any,
) -> ClientConnection:
    """Open a way to the server, and return the connection that was put on it.

    Args:
        factory: makes the connection.
        uri: where to.
        proxy: True for what the system says, None for none, or its URL.
        user_agent_header: told to an HTTP proxy.
        tcp: what the socket is told.
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
            with doing(f"connecting through the proxy {parsed.host}, port {parsed.port}"):
                kwargs["sock"] = await _through_socks(parsed, uri, kwargs)
        else:
            return await _through_http(parsed, factory, uri, user_agent_header, tcp, kwargs)
    elif not has_socket:
        return await _put_on(
            factory, {"host": uri.host, "port": uri.port, **kwargs}, f"TLS with {uri.host}", tcp
        )
    sock = kwargs["sock"]
    with _closing_on_error(sock), doing(f"doing TLS with {uri.host}"):
        transport, connection = await loop.create_connection(factory, **kwargs)
    if not has_socket:
        tcp.apply(transport.get_extra_info("socket"))
    return connection


_P = TypeVar("_P", bound=asyncio.BaseProtocol)


async def _put_on(
    factory: Callable[[], _P], kwargs: dict[str, Any], tls: str, tcp: TCPOptions
) -> _P:
    """Connect to a host, and return the protocol that was put on the connection.

    Args:
        factory: makes it.
        kwargs: host and port, and what else ``dial`` or the loop's ``create_connection`` takes.
        tls: what is done when TLS is done.
        tcp: what the socket is told.
    """
    where = {name: kwargs.pop(name) for name in _DIALING if name in kwargs}
    if kwargs.get("ssl") and kwargs.get("server_hostname") is None:
        kwargs["server_hostname"] = where["host"]
    sock = await dial(**where)
    with _closing_on_error(sock), doing(f"doing {tls}"):
        transport, protocol = await asyncio.get_running_loop().create_connection(
            factory, sock=sock, **kwargs
        )
    tcp.apply(transport.get_extra_info("socket"))  # the transport has told it something too
    return protocol


@contextlib.contextmanager
def _closing_on_error(sock: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        sock.close()
        raise


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
    tcp: TCPOptions,
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
    answer = await _put_on(
        lambda: _ConnectExchange(request),
        {"host": proxy.host, "port": proxy.port, **proxy_kwargs},
        f"TLS with the proxy {proxy.host}",
        tcp,
    )
    transport = answer.transport
    try:
        with doing(f"asking the proxy {proxy.host}, port {proxy.port}"):
            await answer.granted
        connection = factory()
        context = server_kwargs.pop("ssl", None)
        if context is None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return connection
        if context is True:
            context = ssl_module.create_default_context()
        with doing(f"doing TLS with {uri.host}"):
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
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

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
