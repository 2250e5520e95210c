"""The way to a server through a proxy, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest
import python_socks.sync  # noqa: F401  (it takes longer than a short time-out)
from tests.asyncio.pair import expect_refused_certificates
from tests.asyncio.test_tunnel import proxy, socks5
from tests.sync.pair import port_of, raw_server, serving, uri_of

from wirebird.exceptions import InvalidProxy, InvalidProxyMessage, InvalidProxyStatus, ProxyError
from wirebird.sync.client import connect
from wirebird.sync.server import Server

T = TypeVar("T")


@contextlib.asynccontextmanager
async def serving_beside(tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server that is shut down while the loop goes on: its connections go through the proxy."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(serving(ssl=tls))
        await asyncio.to_thread(stack.pop_all().close)


async def run(function: Callable[[], T]) -> T:
    """Call something that blocks, while the proxy runs in the loop."""
    return await asyncio.to_thread(function)


def talk(uri: str, **kwargs: Any) -> None:
    """Have a conversation with an echo server."""
    with connect(uri, **kwargs) as ws:
        for message in ("hi", bytes(300_000)):
            ws.send(message)
            assert ws.recv(timeout=10) == message
    assert ws.close_code == 1000


async def test_through_a_proxy() -> None:
    async with proxy(credentials="name:pass:word") as way:
        async with serving_beside() as server:
            address = f"name:pass%3Aword@127.0.0.1:{way.port}"
            await run(lambda: talk(uri_of(server), proxy=f"http://{address}"))
            with pytest.raises(InvalidProxyStatus, match="HTTP 407"):
                await run(lambda: connect(uri_of(server), proxy=f"http://127.0.0.1:{way.port}"))
        assert way.heads[0].startswith(f"CONNECT 127.0.0.1:{port_of_head(way.heads[0])} HTTP/1.1")


def port_of_head(head: str) -> str:
    return head.split(" ")[1].rpartition(":")[2]


async def test_the_proxy_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ws", "wss", "http", "https", "socks", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    async with proxy() as way, serving_beside() as server:
        uri = f"ws://localhost:{port_of(server)}/"
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{way.port}")
        await run(lambda: talk(uri.replace("localhost", "127.0.0.1")))
        assert len(way.heads) == 1
        await run(lambda: talk(uri.replace("localhost", "127.0.0.1"), proxy=None))
        assert len(way.heads) == 1


@pytest.mark.parametrize("to_proxy", [False, True])
@pytest.mark.parametrize("to_server", [False, True])
async def test_tls(
    to_proxy: bool, to_server: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    expect_refused_certificates()
    async with (
        proxy(tls=server_tls if to_proxy else None) as way,
        serving_beside(server_tls if to_server else None) as server,
    ):
        host = "localhost" if to_server else "127.0.0.1"
        uri = f"{'wss' if to_server else 'ws'}://127.0.0.1:{port_of(server)}/"
        kwargs: dict[str, Any] = {
            "proxy": f"{'https' if to_proxy else 'http'}://localhost:{way.port}",
            **({"ssl": client_tls, "server_hostname": host} if to_server else {}),
        }
        if to_proxy:
            with pytest.raises(ssl.SSLCertVerificationError):
                await run(lambda: connect(uri, **kwargs))
            kwargs["proxy_ssl"] = client_tls
        await run(lambda: talk(uri, **kwargs))


async def test_arguments_that_contradict_themselves(client_tls: ssl.SSLContext) -> None:
    with pytest.raises(ValueError, match="proxy_ssl argument is incompatible with an http://"):
        connect("ws://x/", proxy="http://127.0.0.1:1", proxy_ssl=client_tls)
    with pytest.raises(InvalidProxy):
        connect("ws://x/", proxy="gopher://127.0.0.1:1")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"HTTP/1.1 20",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nand more",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 10_000,
    ],
)
async def test_a_proxy_that_talks_nonsense(nonsense: bytes) -> None:
    async with proxy(nonsense) as way:
        with pytest.raises(InvalidProxyMessage):
            await run(lambda: connect("ws://x/", proxy=f"http://127.0.0.1:{way.port}"))


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_a_proxy_that_says_nothing(scheme: str) -> None:
    with (
        raw_server(lambda peer: peer.rest()) as uri,
        pytest.raises(TimeoutError, match="timed out during opening handshake"),
    ):
        connect("ws://x/", proxy=uri.replace("ws", scheme).rstrip("/"), open_timeout=0.1)


@pytest.mark.parametrize(("scheme", "host"), [("socks5h", "localhost"), ("socks5", "127.0.0.1")])
async def test_through_a_socks_proxy(scheme: str, host: str) -> None:
    async with socks5() as (port, asked), serving_beside() as server:
        uri = f"ws://localhost:{port_of(server)}/"
        await run(lambda: talk(uri, proxy=f"{scheme}://127.0.0.1:{port}"))
        assert asked == [(host, port_of(server))]


async def test_a_socks_proxy_that_refuses() -> None:
    async with socks5(refusal=2) as (port, _):
        with pytest.raises(ProxyError, match="failed to connect to SOCKS proxy"):
            await run(lambda: connect("ws://x/", proxy=f"socks5h://127.0.0.1:{port}"))


def test_socks_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(ImportError, match=r"pip install 'wirebird\[proxy\]'"):
        connect("ws://x/", proxy="socks5h://127.0.0.1:1")
