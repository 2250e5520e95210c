"""A server that is told who its clients are: by headers, and by the PROXY protocol."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pathlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.asyncio.pair import expect_refused_certificates
from tests.attacks.raw import RawPeer, echo_server, port_of, request
from tests.core.test_proxy_protocol import SSL, V4, v2

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import Server, ServerConnection, serve, unix_serve
from wirebird.core.limits import Limits
from wirebird.core.origins import SameOrigin
from wirebird.exceptions import InvalidProxyHeader

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
HERE = ["127.0.0.1"]


class Told:
    """A server that tells every client whom it takes it for."""

    server: Server

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []

    async def handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        await connection.send(f"{connection.client} {connection.scheme} {connection.host}")
        async for message in connection:
            await connection.send(message)

    @property
    def port(self) -> int:
        return port_of(self.server)


@contextlib.asynccontextmanager
async def telling(**kwargs: Any) -> AsyncIterator[Told]:
    """Serve; arguments as ``serve``."""
    told = Told()
    arguments = {"compression": None, "close_timeout": 0.5, **kwargs}
    async with serve(told.handle, "127.0.0.1", 0, **arguments) as told.server:
        yield told


async def answer(port: int, before: bytes, *headers: str, tls: Any = None) -> tuple[str, str]:
    """The status line, and what the server says then."""
    async with await RawPeer.connect(port) as peer:
        await peer.send(before + request(*headers, host="inside"))
        status = (await peer.head()).splitlines()[0]
        if " 101 " not in status:
            return status, (await peer.rest()).decode()
        return status, (await peer.frame()).payload.decode()


async def told_to(port: int, *headers: str, before: bytes = b"") -> str:
    """Whom the server takes a client for that sends these headers."""
    status, text = await answer(port, before, *headers)
    assert " 101 " in status
    return text


async def expect_cut(peer: RawPeer) -> None:
    """Nothing comes but the end, which is a reset where something was left unread."""
    try:
        assert await peer.rest() == b""
    except ConnectionResetError:
        pass


# Headers.


@pytest.mark.parametrize("hook", [None, lambda connection, request: None])
async def test_headers_of_trusted_proxies_are_believed(hook: Any) -> None:
    async with telling(trusted_proxies=HERE, process_request=hook) as told:
        assert await told_to(
            told.port, "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"
        ) == ("Address(host='192.0.2.1', port=None) wss inside")
        assert await told_to(told.port, 'Forwarded: for="[2001:db8::1]:7";host=example.com') == (
            "Address(host='2001:db8::1', port=7) ws example.com"
        )
        (host, _), *_ = [connection.remote_address for connection in told.connections]
        assert host == "127.0.0.1"
        assert (await told_to(told.port)).startswith("Address(host='127.0.0.1', port=")
        status, text = await answer(told.port, b"", "X-Forwarded-For: nobody")
        assert " 400 " in status
        assert "invalid X-Forwarded-For header: not an address: nobody" in text


@pytest.mark.parametrize("trusted", [None, [], ["unix"], ["192.0.2.0/24", "::1"]])
async def test_headers_of_others_are_not(trusted: Any) -> None:
    async with telling(trusted_proxies=trusted) as told:
        headers = "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "Forwarded: for=1.1.1.1"
        text = await told_to(told.port, *headers, "X-Forwarded-Host: evil.example")
        assert text.startswith("Address(host='127.0.0.1', port=")
        assert text.endswith(" ws inside")


async def test_only_headers_that_the_proxies_write() -> None:
    async with telling(trusted_proxies=HERE, forwarded_headers=["X-Forwarded-For"]) as told:
        headers = "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: evil.example", "Forwarded: x"
        assert await told_to(told.port, *headers) == (
            "Address(host='192.0.2.1', port=None) ws inside"
        )


async def test_the_own_pages_are_those_of_the_host_that_the_proxy_tells() -> None:
    origins = [SameOrigin(), None]
    async with telling(trusted_proxies=HERE, origins=origins) as told:
        told_host = "X-Forwarded-Host: example.com", "X-Forwarded-Proto: https"
        for origin, status in [
            ("https://example.com", 101),
            ("http://example.com", 403),
            ("https://inside", 403),
            ("https://evil.example", 403),
            ("null", 403),
        ]:
            line, _ = await answer(told.port, b"", f"Origin: {origin}", *told_host)
            assert f" {status} " in line
        assert " 101 " in (await answer(told.port, b""))[0]
        assert " 101 " in (await answer(told.port, b"", "Origin: http://inside"))[0]
    async with telling(origins=[SameOrigin()]) as told:
        assert " 403 " in (await answer(told.port, b""))[0]


async def test_over_tls_the_own_pages_are_secure(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with telling(ssl=server_tls, origins=[SameOrigin()]) as told:
        where = f"127.0.0.1:{told.port}"
        arguments: Any = {"ssl": client_tls, "proxy": None}
        async with connect(f"wss://{where}", origin=f"https://{where}", **arguments) as ws:  # type: ignore[arg-type]
            assert str(await ws.recv()).endswith(f" wss {where}")
        with pytest.raises(Exception, match="403"):
            await connect(f"wss://{where}", origin=f"http://{where}", **arguments)  # type: ignore[arg-type]


# The PROXY protocol.


@pytest.mark.parametrize("hook", [None, lambda connection, request: None])
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (V1, "Address(host='192.0.2.1', port=56324) ws inside"),
        (v2(V4), "Address(host='192.0.2.1', port=56324) ws inside"),
        (v2(V4, SSL), "Address(host='192.0.2.1', port=56324) wss inside"),
    ],
)
async def test_a_header_of_the_proxy_protocol(hook: Any, header: bytes, expected: str) -> None:
    async with telling(trusted_proxies=HERE, proxy_protocol=True, process_request=hook) as told:
        assert await told_to(told.port, before=header) == expected
        (connection,) = told.connections
        assert connection.proxy_header is not None
        assert connection.remote_address[0] == "127.0.0.1"


async def test_the_proxy_s_own_connections() -> None:
    async with telling(trusted_proxies=HERE, proxy_protocol=True) as told:
        for header in (b"PROXY UNKNOWN\r\n", v2(command=0x20)):
            text = await told_to(told.port, before=header)
            assert text.startswith("Address(host='127.0.0.1', port=")


async def test_headers_behind_a_header() -> None:
    """The address in the latter takes the place of the peer's: is it a proxy's of ours?"""
    arguments: Any = {"proxy_protocol": True, "forwarded_headers": ["X-Forwarded-For"]}
    for trusted, expected in [
        (HERE, "host='192.0.2.1', port=56324"),
        ([*HERE, "192.0.2.0/24"], "host='203.0.113.9', port=None"),
    ]:
        async with telling(trusted_proxies=trusted, **arguments) as told:
            text = await told_to(told.port, "X-Forwarded-For: 203.0.113.9", before=V1)
            assert text == f"Address({expected}) ws inside"


async def test_byte_by_byte() -> None:
    async with (
        telling(trusted_proxies=HERE, proxy_protocol=True) as told,
        await RawPeer.connect(told.port) as peer,
    ):
        for byte in v2(V4) + request():
            await peer.send(bytes([byte]))
        assert " 101 " in (await peer.head())
        assert "192.0.2.1" in (await peer.frame()).payload.decode()


@pytest.mark.parametrize("hook", [None, lambda connection, request: None])
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (request(), "there is none"),
        (b"PROXY TCP4 \r\n" + request(), "a malformed line"),
        (v2(V4, length=60_000), "60016 bytes; at most 4096"),
        (b"\x16\x03\x01\x02\0\x01\0\x01", "there is none"),
    ],
)
async def test_whoever_begins_otherwise_is_cut(
    hook: Any, data: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with telling(trusted_proxies=HERE, proxy_protocol=True, process_request=hook) as told:
        async with await RawPeer.connect(told.port) as peer:
            await peer.send(data)
            await expect_cut(peer)
        assert told.connections == []
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert f"connection cut: invalid PROXY protocol header: {why}" in record.getMessage().replace(
        "version 1, ", ""
    ).replace("version 2, ", "")


async def test_strangers_cannot_write_a_header(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        telling(trusted_proxies=["192.0.2.1"], proxy_protocol=True) as told,
        await RawPeer.connect(told.port) as peer,
    ):
        await peer.send(V1 + request())
        await expect_cut(peer)
    assert "is not a trusted proxy" in caplog.text


@pytest.mark.parametrize("hook", [None, lambda connection, request: None])
@pytest.mark.parametrize(("begun", "level"), [(b"", logging.DEBUG), (V1[:20], logging.WARNING)])
@pytest.mark.parametrize("ends", [True, False])
async def test_a_header_that_does_not_come(
    hook: Any, begun: bytes, level: int, ends: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The peer ends the stream, as health checks do; or the time is over."""
    caplog.set_level(logging.DEBUG, "wirebird.server")
    timeout = 30 if ends else 0.05
    arguments: Any = {"proxy_protocol": True, "process_request": hook, "open_timeout": timeout}
    async with (
        telling(trusted_proxies=HERE, **arguments) as told,
        await RawPeer.connect(told.port) as peer,
    ):
        await peer.send(begun)
        if ends:
            peer.half_close()
        await expect_cut(peer)
    (record,) = [record for record in caplog.records if "connection cut" in record.getMessage()]
    assert record.levelno == level


async def test_over_a_unix_socket(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "socket")
    told = Told()
    for trusted, expected in [(["unix"], "host='192.0.2.1', port=56324"), (HERE, None)]:
        arguments: Any = {"trusted_proxies": trusted, "proxy_protocol": True}
        async with unix_serve(told.handle, path, compression=None, **arguments):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(V1 + request())
            data = await reader.read(2**16)
            if expected is not None:
                while b"Address" not in data:
                    data += await reader.read(2**16)
                assert expected.encode() in data
            else:
                assert data == b""
            writer.close()
            await writer.wait_closed()


async def test_without_proxies_on_a_unix_socket(tmp_path: pathlib.Path) -> None:
    told = Told()
    path = str(tmp_path / "socket")
    async with unix_serve(told.handle, path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(request())
        data = b""
        while b" ws " not in data:
            data += await reader.read(2**16)
        assert b"Address(host='unix', port=None)" in data
        writer.close()
        await writer.wait_closed()


def test_a_header_from_nobody() -> None:
    with pytest.raises(ValueError, match="proxy_protocol needs trusted_proxies"):
        serve(Told().handle, "127.0.0.1", 0, proxy_protocol=True)


# Before TLS.


@contextlib.asynccontextmanager
async def plain_socket(port: int, header: bytes) -> AsyncIterator[socket.socket]:
    """A connection that has begun with a header, in pieces."""
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setblocking(False)
    loop = asyncio.get_running_loop()
    for at in range(0, len(header), 9):
        await loop.sock_sendall(plain, header[at : at + 9])
        await asyncio.sleep(0)
    try:
        yield plain
    finally:
        plain.close()


@pytest.mark.parametrize("header", [V1, v2(V4), v2(V4, SSL)])
async def test_a_header_before_tls(
    header: bytes, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    arguments: Any = {"trusted_proxies": HERE, "proxy_protocol": True, "ssl": server_tls}
    async with telling(**arguments) as told, plain_socket(told.port, header) as plain:
        async with connect("wss://localhost/", sock=plain, ssl=client_tls, compression=None) as ws:
            assert await ws.recv() == "Address(host='192.0.2.1', port=56324) wss localhost"
            for size in (0, 125, 70_000, 1_000_000):
                await ws.send("x" * size)
                assert len(await ws.recv()) == size
        (connection,) = told.connections
        assert connection.close_code == 1000
        assert told.server.opening == set()


async def test_a_header_in_one_piece_with_the_client_s_hello(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    arguments: Any = {"trusted_proxies": HERE, "proxy_protocol": True, "ssl": server_tls}
    async with telling(**arguments) as told:
        reader, writer = await asyncio.open_connection("127.0.0.1", told.port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        writer.write(V1 + outgoing.read())
        while True:
            incoming.write(await reader.read(2**16))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        # The request comes in one piece with the end of the handshake.
        tls.write(request())
        writer.write(outgoing.read())
        text = b""
        while b"192.0.2.1" not in text:
            try:
                text += tls.read(2**16)
            except ssl.SSLWantReadError:
                incoming.write(await reader.read(2**16))
        writer.close()


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01" + bytes(50), b"PROXY\r\n" * 9]
)
async def test_before_tls_whoever_begins_otherwise_is_cut(
    data: bytes, server_tls: ssl.SSLContext
) -> None:
    arguments: Any = {"trusted_proxies": HERE, "proxy_protocol": True, "ssl": server_tls}
    async with telling(**arguments) as told:
        async with await RawPeer.connect(told.port) as peer:
            await peer.send(data)
            await expect_cut(peer)
        assert told.server.stats().refused == {"invalid": 1}
        assert told.server.opening == set()


@pytest.mark.parametrize("begun", [b"", V1[:20]])
@pytest.mark.parametrize("ends", [True, False])
async def test_before_tls_a_header_that_does_not_come(
    begun: bytes, ends: bool, server_tls: ssl.SSLContext
) -> None:
    arguments: Any = {"trusted_proxies": HERE, "proxy_protocol": True, "ssl": server_tls}
    async with telling(open_timeout=30 if ends else 0.05, **arguments) as told:
        async with await RawPeer.connect(told.port) as peer:
            await peer.send(begun)
            if ends:
                peer.half_close()
            await expect_cut(peer)
        assert told.server.opening == set()


async def test_a_header_and_then_no_tls(server_tls: ssl.SSLContext) -> None:
    expect_refused_certificates()
    arguments: Any = {"trusted_proxies": HERE, "proxy_protocol": True, "ssl": server_tls}
    async with telling(**arguments) as told:
        async with await RawPeer.connect(told.port) as peer:
            await peer.send(V1 + request())
            try:
                await peer.rest()
            except ConnectionResetError:
                pass
        while told.server.opening:
            await asyncio.sleep(0)
        assert told.connections == []


async def test_what_went_wrong_can_be_seen() -> None:
    seen: list[ServerConnection] = []

    class Seen(ServerConnection):
        def connection_lost(self, exc: Exception | None) -> None:
            seen.append(self)
            super().connection_lost(exc)

    arguments: Any = {"proxy_protocol": True, "create_connection": Seen}
    async with telling(trusted_proxies=HERE, **arguments) as told:
        async with await RawPeer.connect(told.port) as peer:
            await peer.send(request())
            await expect_cut(peer)
        while not seen:
            await asyncio.sleep(0)
        assert isinstance(seen[0].protocol.handshake_exc, InvalidProxyHeader)
        assert told.server.stats().refused["invalid"] == 1


async def test_limits_by_address_are_the_clients() -> None:
    """Of two clients behind one proxy, one has as many connections as it may."""
    limits = Limits(connections_per_address=2)
    arguments: dict[str, Any] = {"limits": limits, "trusted_proxies": ["127.0.0.1"]}
    async with echo_server(**arguments) as server, contextlib.AsyncExitStack() as stack:
        answers = []
        for client in ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"):
            peer = await stack.enter_async_context(await RawPeer.connect(port_of(server)))
            await peer.send(request(f"X-Forwarded-For: {client}"))
            answers.append((await peer.head()).split()[1])
        assert answers == ["101", "101", "429", "101"]
        assert server.stats().refused == {"connections_per_address": 1}


async def test_limits_by_address_with_the_proxy_protocol() -> None:
    limits = Limits(connections_per_address=1)
    arguments: dict[str, Any] = {"trusted_proxies": HERE, "proxy_protocol": True}
    async with echo_server(limits=limits, **arguments) as server, contextlib.AsyncExitStack() as s:
        answers = []
        for header in (V1, V1, V1.replace(b"192.0.2.1", b"192.0.2.2")):
            peer = await s.enter_async_context(await RawPeer.connect(port_of(server)))
            await peer.send(header + request())
            answers.append((await peer.head()).split()[1])
        assert answers == ["101", "429", "101"]
