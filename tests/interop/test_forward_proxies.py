"""Clients, of both adapters, behind proxies that run for real."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from tests.attacks.raw import echo_server, port_of
from tests.interop.forward_proxies import PASSWORD, USERNAME, dante, microsocks, tinyproxy

import wirebird.sync.client
from wirebird.asyncio.client import connect
from wirebird.client import process_exception
from wirebird.exceptions import InvalidProxyStatus, ProxyError

KNOWN = f"{USERNAME}:{PASSWORD.replace('-', '%2D')}@"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with tinyproxy(tmp_path_factory.mktemp("tinyproxy")) as port:
        yield port


@pytest.fixture(scope="module")
def socks5(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with microsocks(tmp_path_factory.mktemp("microsocks")) as port:
        yield port


@pytest.fixture(scope="module")
def socks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with dante(tmp_path_factory.mktemp("dante")) as port:
        yield port


async def talk(uri: str, proxy: str, **kwargs: Any) -> None:
    """Talk through a proxy, without and with a thread."""
    async with connect(uri, proxy=proxy, **kwargs) as ws:
        for message in ("hi", bytes(300_000)):
            await ws.send(message)
            assert await ws.recv() == message
    assert ws.close_code == 1000

    def in_a_thread() -> None:
        with wirebird.sync.client.connect(uri, proxy=proxy, **kwargs) as ws:
            ws.send("hi")
            assert ws.recv() == "hi"

    await asyncio.to_thread(in_a_thread)


@pytest.mark.parametrize("secure", [False, True])
async def test_through_tinyproxy(
    http: int, secure: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    server_side: dict[str, Any] = {"ssl": server_tls} if secure else {}
    client_side: dict[str, Any] = {"ssl": client_tls} if secure else {}
    async with echo_server(**server_side) as server:
        uri = f"{'wss' if secure else 'ws'}://localhost:{port_of(server)}/"
        await talk(uri, f"http://{KNOWN}127.0.0.1:{http}", **client_side)


async def test_tinyproxy_wants_to_know_who_it_is(http: int) -> None:
    for user in "", f"{USERNAME}:wrong@":
        with pytest.raises(InvalidProxyStatus) as caught:
            await connect("ws://127.0.0.1:9/", proxy=f"http://{user}127.0.0.1:{http}")
        assert caught.value.response.status_code in (401, 407)
        assert process_exception(caught.value) is caught.value


async def test_tinyproxy_finds_nobody(http: int) -> None:
    with pytest.raises(InvalidProxyStatus) as caught:
        await connect("ws://127.0.0.1:9/", proxy=f"http://{KNOWN}127.0.0.1:{http}")
    assert process_exception(caught.value) is None  # somebody may listen there later


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_through_microsocks(socks5: int, scheme: str) -> None:
    async with echo_server() as server:
        uri = f"ws://localhost:{port_of(server)}/"
        await talk(uri, f"{scheme}://{KNOWN}127.0.0.1:{socks5}")


async def test_microsocks_wants_to_know_who_it_is(socks5: int) -> None:
    for user in "", f"{USERNAME}:wrong@":
        with pytest.raises(ProxyError) as caught:
            await connect("ws://127.0.0.1:9/", proxy=f"socks5h://{user}127.0.0.1:{socks5}")
        assert process_exception(caught.value) is caught.value
        assert "wrong" not in str(caught.value)


async def test_microsocks_finds_nobody(socks5: int) -> None:
    with pytest.raises(ProxyError, match="refused") as caught:
        await connect("ws://127.0.0.1:9/", proxy=f"socks5h://{KNOWN}127.0.0.1:{socks5}")
    assert process_exception(caught.value) is None


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h"])
async def test_through_dante(socks: int, scheme: str) -> None:
    async with echo_server() as server:
        await talk(f"ws://localhost:{port_of(server)}/", f"{scheme}://127.0.0.1:{socks}")
