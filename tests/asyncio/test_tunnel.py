"""The way to a server through a proxy, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.asyncio.pair import expect_refused_certificates
from tests.attacks.raw import echo_server, port_of, uri_of

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.exceptions import (
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    ProxyError,
    SecurityError,
)
from wirebird.http11 import USER_AGENT, Request, Response

VARIABLES = [f"{name}_proxy" for name in ("ws", "wss", "http", "https", "socks", "all", "no")]


class ConnectProxy:
    """A proxy that knows CONNECT, and notes what it is asked.

    Args:
        answer: to send instead of opening a way.
        credentials: user name and password that it asks for.
    """

    def __init__(self, answer: bytes | None = None, credentials: str | None = None) -> None:
        self.heads: list[str] = []
        self.port = 0
        self._answer = answer
        self._credentials = credentials

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle a client."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self._answer is not None:
            writer.write(self._answer)
            await writer.drain()
            return
        if self._credentials is not None:
            expected = base64.b64encode(self._credentials.encode()).decode()
            if f"\r\nProxy-Authorization: Basic {expected}\r\n" not in head:
                writer.write(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nno\n"
                )
                return
        host, _, port = head.split(" ")[1].rpartition(":")
        onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(copy(reader, onward_writer), copy(onward_reader, writer))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the end."""
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """A server on 127.0.0.1, of which nothing is left at the end; gives its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await handle(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(handle_one(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
    _, late = await asyncio.wait(tasks, timeout=1) if tasks else (set(), set())
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def proxy(
    answer: bytes | None = None,
    credentials: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[ConnectProxy]:
    """A running proxy on 127.0.0.1."""
    running = ConnectProxy(answer, credentials)
    async with listening(running.handle, tls) as running.port:
        yield running


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_through_a_proxy() -> None:
    async with echo_server() as server, proxy() as way:
        async with connect(uri_of(server), proxy=f"http://127.0.0.1:{way.port}") as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"
            await ws.send(bytes(300_000))
            assert len(await ws.recv()) == 300_000
        assert ws.close_code == 1000
        (head,) = way.heads
        target = f"127.0.0.1:{port_of(server)}"
        assert head == (
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\n\r\n"
        )


async def test_the_proxy_is_told_no_more_than_it_must() -> None:
    async with echo_server() as server, proxy() as way:
        async with connect(
            uri_of(server),
            proxy=f"http://127.0.0.1:{way.port}",
            additional_headers={"Authorization": "secret"},
            user_agent_header=None,
        ):
            pass
        assert "secret" not in way.heads[0]
        assert "User-Agent" not in way.heads[0]


@pytest.mark.parametrize("secure", [False, True])
async def test_the_proxy_of_the_system(
    secure: bool,
    monkeypatch: pytest.MonkeyPatch,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> None:
    tls: dict[str, Any] = {"ssl": client_tls} if secure else {}
    async with echo_server(**({"ssl": server_tls} if secure else {})) as server, proxy() as way:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{way.port}")
        uri = f"{'wss' if secure else 'ws'}://localhost:{port_of(server)}/"
        async with connect(uri, **tls):
            assert len(way.heads) == 1
        async with connect(uri, proxy=None, **tls):
            assert len(way.heads) == 1
        monkeypatch.setenv("no_proxy", "localhost")
        async with connect(uri, **tls):
            assert len(way.heads) == 1


async def test_credentials() -> None:
    async with echo_server() as server, proxy(credentials="name:pass:word") as way:
        async with connect(uri_of(server), proxy=f"http://name:pass%3Aword@127.0.0.1:{way.port}"):
            pass
        for user in ("", "name:wrong@"):
            with pytest.raises(InvalidProxyStatus, match="HTTP 407") as caught:
                await connect(uri_of(server), proxy=f"http://{user}127.0.0.1:{way.port}")
            assert caught.value.response.status_code == 407


async def test_tls_to_the_server(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    expect_refused_certificates()
    async with echo_server(ssl=server_tls) as server, proxy() as way:
        async with connect(
            f"wss://localhost:{port_of(server)}/",
            proxy=f"http://127.0.0.1:{way.port}",
            ssl=client_tls,
        ) as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"
            assert ws.transport.get_extra_info("cipher") is not None
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(
                f"wss://localhost:{port_of(server)}/", proxy=f"http://127.0.0.1:{way.port}"
            )


@pytest.mark.parametrize("secure", [False, True])
async def test_tls_to_the_proxy(
    secure: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    expect_refused_certificates()
    tls: dict[str, Any] = {"ssl": client_tls} if secure else {}
    async with (
        echo_server(**({"ssl": server_tls} if secure else {})) as server,
        proxy(tls=server_tls) as way,
    ):
        uri = f"{'wss' if secure else 'ws'}://localhost:{port_of(server)}/"
        address = f"https://localhost:{way.port}"
        async with connect(uri, proxy=address, proxy_ssl=client_tls, **tls) as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(uri, proxy=address, **tls)


async def test_arguments_that_contradict_themselves(client_tls: ssl.SSLContext) -> None:
    with pytest.raises(ValueError, match="proxy_ssl argument is incompatible with an http://"):
        await connect("ws://x/", proxy="http://127.0.0.1:1", proxy_ssl=client_tls)
    with pytest.raises(ValueError, match="proxy_ssl=None is incompatible with an https://"):
        await connect("ws://x/", proxy="https://127.0.0.1:1", proxy_ssl=None)
    with pytest.raises(InvalidProxy):
        await connect("ws://x/", proxy="gopher://127.0.0.1:1")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 20",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nand more",
        b"HTTP/1.1 200 " + b"x" * 100_000,
    ],
)
async def test_a_proxy_that_talks_nonsense(answer: bytes) -> None:
    async with proxy(answer) as way:
        with pytest.raises(InvalidProxyMessage):
            await connect("ws://x/", proxy=f"http://127.0.0.1:{way.port}")


@pytest.mark.parametrize("status", [b"301 Moved", b"403 Forbidden", b"502 Bad Gateway"])
async def test_a_proxy_that_refuses(status: bytes) -> None:
    async with proxy(b"HTTP/1.1 " + status + b"\r\nLocation: ws://y/\r\n\r\n") as way:
        with pytest.raises(InvalidProxyStatus) as caught:
            await connect("ws://x/", proxy=f"http://127.0.0.1:{way.port}")
        assert caught.value.response.status_code == int(status[:3])


async def test_a_proxy_with_an_endless_answer() -> None:
    async with proxy(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 10_000) as way:
        with pytest.raises(InvalidProxyMessage) as caught:
            await connect("ws://x/", proxy=f"http://127.0.0.1:{way.port}")
        assert isinstance(caught.value.__cause__, SecurityError)


async def test_a_proxy_that_says_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1000):
                pass
        finally:
            writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TimeoutError):
            await connect("ws://x/", proxy=f"http://127.0.0.1:{port}", open_timeout=0.05)


@contextlib.asynccontextmanager
async def socks5(*, refusal: int = 0) -> AsyncIterator[tuple[int, list[tuple[str, int]]]]:
    """A SOCKS proxy (RFC 1928) without authentication; gives its port, and what it is asked for."""
    asked: list[tuple[str, int]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            (length,) = await reader.readexactly(1)
            host = (await reader.readexactly(length)).decode()
        else:
            host = ".".join(map(str, await reader.readexactly(4)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        asked.append((host, port))
        writer.write(bytes([5, refusal, 0, 1]) + bytes(6))
        if not refusal:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(copy(reader, onward_writer), copy(onward_reader, writer))

    async with listening(handle) as port_of_proxy:
        yield port_of_proxy, asked


@pytest.mark.parametrize(("scheme", "host"), [("socks5h", "localhost"), ("socks5", "127.0.0.1")])
async def test_through_a_socks_proxy(scheme: str, host: str) -> None:
    async with echo_server() as server, socks5() as (port, asked):
        uri = f"ws://localhost:{port_of(server)}/"
        async with connect(uri, proxy=f"{scheme}://127.0.0.1:{port}") as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"
        # Who looks the name up, the scheme says.
        assert asked == [(host, port_of(server))]


@contextlib.asynccontextmanager
async def socks4() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A SOCKS4 and 4a proxy to 127.0.0.1; gives its port, and what follows the port in requests."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, _, port = struct.unpack("!BBH", await reader.readexactly(4))
        address = await reader.readexactly(4)
        address += await reader.readuntil(b"\0")
        if address.startswith(b"\0\0\0"):
            address += await reader.readuntil(b"\0")
        asked.append(address)
        writer.write(b"\x00\x5a" + bytes(6))
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, onward_writer), copy(onward_reader, writer))

    async with listening(handle) as port_of_proxy:
        yield port_of_proxy, asked


@pytest.mark.parametrize(
    ("address", "request_address"),
    [
        ("socks4://", b"\x7f\0\0\x01\0"),
        ("socks4a://", b"\0\0\0\x01\0localhost\0"),
        ("socks4a://me:@", b"\0\0\0\x01me\0localhost\0"),
    ],
)
async def test_through_a_socks4_proxy(address: str, request_address: bytes) -> None:
    async with echo_server() as server, socks4() as (port, asked):
        uri = f"ws://localhost:{port_of(server)}/"
        async with connect(uri, proxy=f"{address}127.0.0.1:{port}") as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"
        assert asked == [request_address]
        with pytest.raises(ProxyError, match="SOCKS4 cannot reach IPv6"):
            await connect("ws://[::1]/", proxy=f"socks4://127.0.0.1:{port}")


async def test_a_host_and_port_beside_the_uri_are_where_the_tunnel_leads() -> None:
    async with echo_server() as server, proxy() as way, socks5() as (port, asked):
        there: dict[str, Any] = {"host": "127.0.0.1", "port": port_of(server)}
        async with connect("ws://x.example/", proxy=f"http://127.0.0.1:{way.port}", **there) as ws:
            assert ws.request is not None
            assert ws.request.headers["Host"] == "x.example"
        assert way.heads[0].startswith(f"CONNECT 127.0.0.1:{port_of(server)} HTTP/1.1\r\n")
        async with connect("ws://x.example/", proxy=f"socks5h://127.0.0.1:{port}", **there):
            assert asked == [("127.0.0.1", port_of(server))]


async def test_what_is_for_the_tls_of_a_proxy_does_no_harm_without_one(
    client_tls: ssl.SSLContext,
) -> None:
    async with echo_server() as server, socks5() as (port, _):
        for way in None, True, f"socks5h://127.0.0.1:{port}":
            arguments: dict[str, Any] = {"proxy_ssl": client_tls, "proxy_server_hostname": "x"}
            async with connect(uri_of(server), proxy=way, **arguments):
                pass


async def test_the_name_of_a_proxy_can_be_said(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    expect_refused_certificates()
    async with echo_server() as server, proxy(tls=server_tls) as way:
        address = f"https://127.0.0.1:{way.port}"
        options: dict[str, Any] = {"proxy": address, "proxy_ssl": client_tls}
        async with connect(uri_of(server), proxy_server_hostname="localhost", **options):
            pass
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(uri_of(server), proxy_server_hostname="other.example", **options)


@pytest.mark.parametrize("variable", ["ws_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"])
async def test_variables_of_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with echo_server() as server, proxy() as way:
        monkeypatch.setenv(variable, f"127.0.0.1:{way.port}")
        async with connect(uri_of(server)):
            assert len(way.heads) == 1
        monkeypatch.setenv("NO_PROXY", "10.0.0.0/8, 127.0.0.0/8")
        async with connect(uri_of(server)):
            assert len(way.heads) == 1


async def test_a_variable_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ws_proxy", "gopher://x")
    with pytest.raises(InvalidProxy) as caught:
        await connect("ws://x/")
    assert "the proxy that the system names" in caught.value.__notes__[0]


async def test_each_host_of_a_redirect_has_its_own_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with echo_server() as server, proxy() as way:
        target = f"ws://localhost:{port_of(server)}/"

        def redirect(connection: ServerConnection, request: Request) -> Response:
            response = connection.respond(302, "")
            response.headers["Location"] = target
            return response

        async with serve(handler_of_nothing, "127.0.0.1", 0, process_request=redirect) as first:
            first_port = port_of(first)
            monkeypatch.setenv("ws_proxy", f"http://127.0.0.1:{way.port}")
            monkeypatch.setenv("no_proxy", "localhost")
            async with connect(uri_of(first)):
                pass
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            async with connect(uri_of(first)):
                pass
        asked = [head.split(" ")[1] for head in way.heads]
        assert asked == [f"127.0.0.1:{first_port}", f"localhost:{port_of(server)}"]


async def handler_of_nothing(connection: ServerConnection) -> None:
    raise AssertionError("nobody gets here")


async def test_a_socks_proxy_that_refuses() -> None:
    async with socks5(refusal=2) as (port, _):
        with pytest.raises(ProxyError, match="failed to connect to SOCKS proxy"):
            await connect("ws://x/", proxy=f"socks5h://127.0.0.1:{port}")


async def test_socks_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(ImportError, match=r"pip install 'wirebird\[proxy\]'"):
        await connect("ws://x/", proxy="socks5h://127.0.0.1:1")
