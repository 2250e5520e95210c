"""How a client gets to its server: directly, over a Unix socket, or through a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import ssl as ssl_module
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from ..core.proxy import ConnectAnswer, check_socks, socks_failure
from ..core.uri import WebSocketURI
from ..dialing import TCPOptions, doing
from ..proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request
from .dialing import dial, look_up

if TYPE_CHECKING:
    from .client import ClientConnection

__all__ = ["open_transport"]

# What is for connecting; the rest is for the transport, and its TLS.
_DIALING = (
    *("host", "port", "family", "proto", "flags", "local_addr"),
    *("happy_eyeballs_delay", "interleave", "all_errors"),
)

_NO_LIMIT_S = 1e6  # for python-socks, which otherwise has a time limit of its own


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
    proxy_tls = {
        name.removeprefix("proxy_"): kwargs.pop(name)
        for name in list(kwargs)
        if name.startswith("proxy_")
    }
    if unix:
        with doing(f"connecting to {kwargs.get('path') or 'the given Unix socket'}"):
            _, connection = await loop.create_unix_connection(factory, **kwargs)
        return connection
    if kwargs.get("sock") is not None:
        with doing(f"putting a connection to {uri.host} on the given socket"):
            _, connection = await loop.create_connection(factory, **kwargs)
        return connection
    # A host and port beside the URI say where the server is; its name stays that of the URI.
    target = dataclasses.replace(
        uri, host=kwargs.pop("host", None) or uri.host, port=kwargs.pop("port", None) or uri.port
    )
    parsed = _proxy_for(target, proxy)
    if parsed is not None and not parsed.is_socks:
        request = prepare_connect_request(parsed, target, user_agent_header)
        way = {name: kwargs.pop(name) for name in _DIALING if name in kwargs}
        way |= _for_tls(parsed, proxy_tls)
        return await _through_http(parsed, factory, request, uri.host, tcp, way, kwargs)
    if parsed is not None:
        way = {name: kwargs.pop(name) for name in _DIALING if name in kwargs}
        kwargs["sock"] = await _through_socks(parsed, target, way)
    else:
        kwargs |= {"host": target.host, "port": target.port}
    return await _put_on(factory, kwargs, f"TLS with {uri.host}", tcp)


def _proxy_for(target: WebSocketURI, proxy: str | Literal[True] | None) -> Proxy | None:
    if proxy is not True:
        return None if proxy is None else parse_proxy(proxy)
    with doing("taking the proxy that the system names; proxy=None takes none"):
        named = get_proxy(target)
        return None if named is None else parse_proxy(named)


def _for_tls(proxy: Proxy, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for TLS with an HTTP proxy, of those that were given for it."""
    if proxy.scheme == "https":
        kwargs.setdefault("ssl", True)
        if kwargs["ssl"] is None:
            raise ValueError("proxy_ssl=None is incompatible with an https:// proxy")
        return kwargs
    if kwargs.get("ssl") is not None:
        raise ValueError("proxy_ssl argument is incompatible with an http:// proxy")
    return {}


_P = TypeVar("_P", bound=asyncio.BaseProtocol)


async def _put_on(
    factory: Callable[[], _P], kwargs: dict[str, Any], tls: str, tcp: TCPOptions
) -> _P:
    """Connect to a host, and return the protocol that was put on the connection.

    Args:
        factory: makes it.
        kwargs: host and port, or a socket, and what else ``dial`` or the loop's
            ``create_connection`` takes.
        tls: what is done when TLS is done.
        tcp: what the socket is told.
    """
    where = {name: kwargs.pop(name) for name in _DIALING if name in kwargs}
    sock = kwargs.pop("sock", None)
    if kwargs.get("ssl") and kwargs.get("server_hostname") is None:
        kwargs["server_hostname"] = where.get("host")
    if sock is None:
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


async def _through_socks(proxy: Proxy, target: WebSocketURI, way: dict[str, Any]) -> socket.socket:
    """Connect through a SOCKS proxy, with what ``pip install 'wirebird[proxy]'`` brings.

    Args:
        proxy: of SOCKS.
        target: where the server is.
        way: arguments of ``dial`` beside host and port.
    """
    try:
        from python_socks import ProxyType
        from python_socks.async_.asyncio import Proxy as SocksProxy
    except ImportError:
        raise ImportError(
            "connecting through a SOCKS proxy needs python-socks: pip install 'wirebird[proxy]'"
        ) from None
    check_socks(proxy, target.host)
    host = target.host
    if not proxy.resolves_names:
        family = socket.AF_INET if proxy.scheme == "socks4" else socket.AF_UNSPEC
        infos = await look_up(host, target.port, family)
        # More proxies have a way to IPv4 than to IPv6, and there is no second try.
        host = min(infos, key=lambda info: info[0] != socket.AF_INET)[4][0]
    sock = await dial(proxy.host, proxy.port, **way)
    kind = ProxyType.SOCKS5 if proxy.scheme.startswith("socks5") else ProxyType.SOCKS4
    dialled: Any = _Dialled(sock)
    socks = SocksProxy(
        *(kind, proxy.host, proxy.port, proxy.username, proxy.password, True), forward=dialled
    )
    with _closing_on_error(sock), doing(f"asking the proxy {proxy.host}, port {proxy.port}"):
        try:
            await socks.connect(host, target.port, timeout=_NO_LIMIT_S)
        except OSError:
            raise
        except Exception as exc:
            raise socks_failure(exc) from exc
    return sock


class _Dialled:
    """The way to a proxy, for python-socks, which would try one of its addresses alone."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def connect(self, *_: Any, **__: Any) -> socket.socket:
        """Return the socket, which is connected already."""
        return self._sock


async def _through_http(
    proxy: Proxy,
    factory: Callable[[], ClientConnection],
    request: bytes,
    server: str,
    tcp: TCPOptions,
    way: dict[str, Any],
    kwargs: dict[str, Any],
) -> ClientConnection:
    """Connect through an HTTP proxy with CONNECT. RFC 9110, 9.3.6.

    Args:
        proxy: of HTTP.
        factory: makes the connection.
        request: to the proxy.
        server: its name.
        tcp: what the socket is told.
        way: arguments for the connection to the proxy, beside host and port.
        kwargs: for TLS with the server.
    """
    answer = await _put_on(
        lambda: _ConnectExchange(request),
        {"host": proxy.host, "port": proxy.port, **way},
        f"TLS with the proxy {proxy.host}",
        tcp,
    )
    transport = answer.transport
    try:
        with doing(f"asking the proxy {proxy.host}, port {proxy.port}"):
            await answer.granted
        connection = factory()
        context = kwargs.pop("ssl", None)
        if context is None:
            transport.set_protocol(connection)
            transport.resume_reading()
            connection.connection_made(transport)
            return connection
        if context is True:
            context = ssl_module.create_default_context()
        with doing(f"doing TLS with {server}"):
            secured = await asyncio.get_running_loop().start_tls(
                transport, connection, context, **kwargs
            )
    except BaseException:
        transport.abort()
        raise
    assert secured is not None
    connection.connection_made(secured)
    return connection


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
                # What comes from now on is the connection's, which is not there yet.
                self.transport.pause_reading()
                self.granted.set_result(None)
        except Exception as exc:
            self.granted.set_exception(exc)

    def eof_received(self) -> None:
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self.data_received(b"")
