"""Our server behind nginx, HAProxy and Caddy, with the configurations that are the examples."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trustme
from tests.interop.peers import EchoServer, converse
from tests.interop.reverse_proxies import IDLE_S, PROXIES, ReverseProxy, running

from wirebird.asyncio.client import ClientConnection, connect
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.core.origins import SameOrigin
from wirebird.exceptions import ConnectionClosedError, InvalidStatus

HEADERS = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"]
OVER_HTTP: dict[str, Any] = {"trusted_proxies": ["127.0.0.1"], "forwarded_headers": HEADERS}
OVER_TCP: dict[str, Any] = {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True}

# What a client may write to be taken for somebody else.
LIES = {
    "Forwarded": "for=6.6.6.6;host=evil.example;proto=https",
    "X-Forwarded-For": "6.6.6.6, 127.0.0.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
}
HERE = "127.0.0.7"  # an address of this machine that no proxy has


@pytest.fixture(scope="module", params=sorted(PROXIES))
def proxy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    authority: trustme.CA,
) -> Iterator[ReverseProxy]:
    """Each of the proxies, which serves all tests of this module."""
    name = str(request.param)
    with running(name, tmp_path_factory.mktemp(name), authority) as started:
        yield started


class Behind:
    """A server behind a proxy, and the way to it."""

    def __init__(self, port: int, client_tls: ssl.SSLContext) -> None:
        self.port = port
        self.client_tls = client_tls
        self.connections: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def handle(self, connection: ServerConnection) -> None:
        self.connections.put_nowait(connection)
        echo = EchoServer("")
        async for message in connection:
            await echo.answer(connection, message)

    def connect(self, scheme: str, **kwargs: Any) -> connect:
        """Connect by the proxy."""
        tls = self.client_tls if scheme == "wss" else None
        arguments: dict[str, Any] = {"proxy": None, "ssl": tls, "local_addr": (HERE, 0), **kwargs}
        return connect(f"{scheme}://localhost:{self.port}/", family=2, **arguments)


@contextlib.asynccontextmanager
async def behind(
    proxy: ReverseProxy, way: tuple[int, int], client_tls: ssl.SSLContext, **kwargs: Any
) -> AsyncIterator[Behind]:
    """Serve behind a proxy.

    Args:
        proxy: that runs.
        way: where it listens and where we do, as in its example.
        client_tls: for clients.
        kwargs: as for ``serve``.
    """
    listening, ours = (proxy.ports[number] for number in way)
    served = Behind(listening, client_tls)
    async with serve(served.handle, "127.0.0.1", ours, close_timeout=1, **kwargs):
        yield served


WAYS = [("ws", (8080, 8765)), ("wss", (8443, 8765))]


@pytest.mark.parametrize(("scheme", "way"), WAYS)
async def test_messages_of_all_kinds(
    proxy: ReverseProxy, scheme: str, way: tuple[int, int], client_tls: ssl.SSLContext
) -> None:
    async with (
        behind(proxy, way, client_tls, **OVER_HTTP) as server,
        server.connect(scheme) as connection,
    ):
        await converse(connection)


@pytest.mark.parametrize(("scheme", "way"), WAYS)
async def test_closing_codes_pass_in_both_directions(
    proxy: ReverseProxy, scheme: str, way: tuple[int, int], client_tls: ssl.SSLContext
) -> None:
    async with behind(proxy, way, client_tls, **OVER_HTTP) as server:
        async with server.connect(scheme) as connection:
            await connection.send("/close 4001 weil – é")
            with pytest.raises(ConnectionClosedError) as caught:
                await connection.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "weil – é")
        await server.connections.get()
        async with server.connect(scheme) as connection:
            await connection.close(4002, "bye – é")
        seen = await server.connections.get()
        await seen.wait_closed()
        assert (seen.close_code, seen.close_reason) == (4002, "bye – é")


@pytest.mark.parametrize(("scheme", "way"), WAYS)
@pytest.mark.parametrize("headers", [{}, LIES])
async def test_who_the_client_is(
    proxy: ReverseProxy,
    scheme: str,
    way: tuple[int, int],
    headers: dict[str, str],
    client_tls: ssl.SSLContext,
) -> None:
    async with (
        behind(proxy, way, client_tls, **OVER_HTTP) as server,
        server.connect(scheme, additional_headers=headers),
    ):
        seen = await server.connections.get()
        assert seen.client == (HERE, None)
        assert (seen.scheme, seen.host) == (scheme, f"localhost:{server.port}")
        assert seen.remote_address[0] == "127.0.0.1"


async def test_the_own_pages(proxy: ReverseProxy, client_tls: ssl.SSLContext) -> None:
    origins = [SameOrigin()]
    async with behind(proxy, (8443, 8765), client_tls, origins=origins, **OVER_HTTP) as server:
        own = f"https://localhost:{server.port}"
        async with server.connect("wss", origin=own):
            pass
        for origin in (own.replace("https", "http"), "https://evil.example", "https://localhost"):
            with pytest.raises(InvalidStatus, match="403"):
                await server.connect("wss", origin=origin, additional_headers=LIES)


async def test_pings_keep_a_connection_on_which_nothing_comes(
    proxy: ReverseProxy, client_tls: ssl.SSLContext
) -> None:
    """The proxy would cut it after so long; with pings it does not."""
    arguments = {**OVER_HTTP, "ping_interval": IDLE_S / 4}
    async with (
        behind(proxy, (8080, 8765), client_tls, **arguments) as server,
        server.connect("ws", ping_interval=None) as connection,
    ):
        await asyncio.sleep(IDLE_S * 1.5)
        await connection.send("still there")
        assert await connection.recv() == "still there"


async def hear(connection: ClientConnection) -> None:
    """Say something big and something small, and hear it back."""
    for message in ("x", b"y" * 1_000_000):
        await connection.send(message)
        assert await connection.recv() == message


@pytest.mark.parametrize(
    ("name", "scheme", "way"),
    [
        ("haproxy", "ws", (8081, 8766)),
        ("haproxy", "wss", (8444, 8766)),
        ("haproxy", "wss", (8445, 8767)),
        ("nginx", "wss", (8444, 8766)),
    ],
)
async def test_the_proxy_protocol(
    proxy: ReverseProxy,
    name: str,
    scheme: str,
    way: tuple[int, int],
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> None:
    if proxy.name != name:
        return  # the others have no such way
    passes_tls = way != (8444, 8766) if name == "haproxy" else True
    tls = server_tls if scheme == "wss" and passes_tls else None
    async with (
        behind(proxy, way, client_tls, ssl=tls, **OVER_TCP) as server,
        server.connect(scheme, additional_headers=LIES) as connection,
    ):
        seen = await server.connections.get()
        assert seen.client == connection.local_address
        assert seen.client.host == HERE
        assert seen.scheme == scheme
        assert seen.proxy_header is not None
        is_v1 = name == "nginx" or scheme == "ws"
        assert seen.proxy_header.version == (1 if is_v1 else 2)
        await hear(connection)
