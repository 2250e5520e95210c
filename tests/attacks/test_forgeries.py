"""Who pretends to be somebody else: addresses, headers of the PROXY protocol, origins of pages."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.attacks.raw import RawPeer, port_of, request
from tests.core.test_proxy_protocol import V4, V6, field, v2

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import serve
from wirebird.auth import Cookie, static_tokens, token_auth
from wirebird.cli.demo.app import Demo
from wirebird.core.limits import Limits
from wirebird.core.origins import SameOrigin
from wirebird.sync import server as threads

HERE = ["127.0.0.1"]
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
KINDS = pytest.mark.parametrize("kind", ["asyncio", "threads"])


def whom(connection: Any) -> str:
    """Say for whom a server takes a client."""
    return f"{connection.client.host} {connection.scheme} {connection.host}"


async def say(connection: Any) -> None:
    """Tell the client for whom it is taken."""
    await connection.send(whom(connection))


def say_in_thread(connection: Any) -> None:
    """Tell the client for whom it is taken."""
    connection.send(whom(connection))


@contextlib.asynccontextmanager
async def telling(kind: str = "asyncio", **kwargs: Any) -> AsyncIterator[int]:
    """A server of a kind, as its port."""
    where: Any = {"host": "127.0.0.1", "port": 0, "compression": None, "close_timeout": 0.5}
    where |= {"trusted_proxies": HERE, **kwargs}
    if kind == "asyncio":
        async with serve(say, **where) as server:
            yield port_of(server)
        return
    with threads.serve(say_in_thread, **where) as server_in_threads:
        thread = threading.Thread(target=server_in_threads.serve_forever)
        thread.start()
        try:
            yield server_in_threads.socket.getsockname()[1]
        finally:
            await asyncio.to_thread(server_in_threads.shutdown)
            thread.join()


async def told(port: int, *headers: str, before: bytes = b"", path: str = "/") -> str:
    """What a server says: for whom it takes the client, or the status that refuses it."""
    async with await RawPeer.connect(port) as peer:
        await peer.send(before + request(*headers, path=path, host="inside"))
        try:
            head = await peer.head()
        except (EOFError, ConnectionResetError):
            return "cut"
        status = head.split()[1]
        return (await peer.frame()).payload.decode() if status == "101" else status


# Headers, smuggled in front of what the proxy adds, or behind it.


@KINDS
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["X-Forwarded-For: 1.1.1.1", "x-forwarded-for: 192.0.2.1"], "192.0.2.1 ws inside"),
        (["X-Forwarded-For: 1.1.1.1,127.0.0.1,192.0.2.1"], "192.0.2.1 ws inside"),
        (["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For:"], "192.0.2.1 ws inside"),
        (["X-Forwarded-For: 192.0.2.1, ::ffff:127.0.0.1"], "192.0.2.1 ws inside"),
        (["X-Forwarded-For: [::ffff:7f00:1]:80"], "127.0.0.1 ws inside"),
        # Not folded, and no other name is the same for us than for the proxy.
        (["X-Forwarded-For: 1.1.1.1", " , 192.0.2.1"], "400"),
        (["X-Forwarded-For : 1.1.1.1"], "400"),
        (["X_Forwarded_For: 1.1.1.1"], "127.0.0.1 ws inside"),
        (["X-Forwarded-For\t: 1.1.1.1"], "400"),
        # Other spellings of an address.
        (["X-Forwarded-For: 0x7f.0.0.1"], "400"),
        (["X-Forwarded-For: 127.1"], "400"),
        (["X-Forwarded-For: 2130706433"], "400"),
        (["X-Forwarded-For: 0177.0.0.1"], "400"),
        (["X-Forwarded-For: ¹27.0.0.1"], "400"),
        (["X-Forwarded-For: 192.0.2.1 "], "192.0.2.1 ws inside"),
        (["X-Forwarded-For: 192.0.2.1\xa0"], "400"),
        (['X-Forwarded-For: "192.0.2.1"'], "400"),
        (["X-Forwarded-For: fe80::1%eth0"], "fe80::1 ws inside"),
        (["X-Forwarded-For: 2001:db8::1%x y"], "400"),
        # Long ones.
        (["X-Forwarded-For: " + "1.1.1.1," * 900 + "192.0.2.1"], "192.0.2.1 ws inside"),
        (["X-Forwarded-For: " + "127.0.0.1," * 64 + "192.0.2.1"], "192.0.2.1 ws inside"),
        (["X-Forwarded-For: 192.0.2.1" + ",127.0.0.1" * 64], "400"),
        (["Forwarded: " + "for=1.1.1.1," * 600 + "for=192.0.2.1"], "192.0.2.1 ws inside"),
        (["Forwarded: for=192.0.2.1" + ";a=b" * 900], "400"),
        (['Forwarded: for="' + "\\1" * 4000 + '"'], "400"),
        # Both families.
        (["Forwarded: for=192.0.2.1", "X-Forwarded-Host: evil.example"], "400"),
        (["Forwarded:", "X-Forwarded-For: 192.0.2.1"], "400"),
        (["Forwarded: for=unknown;host=a.example"], "unknown ws a.example"),
        (["Forwarded: for=_127.0.0.1"], "_127.0.0.1 ws inside"),
        (['Forwarded: for="127.0.0.1\\""'], "400"),
        (["X-Forwarded-Host: a.example, b.example"], "127.0.0.1 ws b.example"),
        (["X-Forwarded-Host: a.example/@b"], "400"),
        (["X-Forwarded-Proto: https\xa0"], "400"),
    ],
)
async def test_forwarded_headers(kind: str, headers: list[str], expected: str) -> None:
    async with telling(kind) as port:
        assert await told(port, *headers) == expected


# The PROXY protocol.


@KINDS
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # Of whom the proxy says nothing: that one may have written the headers.
        (b"PROXY UNKNOWN\r\n", "127.0.0.1 ws inside"),
        (b"PROXY UNKNOWN 1.1.1.1 1.1.1.1 1 1\r\n", "127.0.0.1 ws inside"),
        (v2(family=0), "127.0.0.1 ws inside"),
        (v2(bytes(216), family=0x31), "127.0.0.1 ws inside"),
        (v2(V4), "192.0.2.1 ws inside"),
        (v2(V4, family=0x12), "192.0.2.1 ws inside"),  # of UDP
        (v2(V6, family=0x21), "2001:db8::1 ws inside"),
        # The proxy's own connection: it wrote them.
        (v2(command=0x20), "203.0.113.9 wss evil.example"),
        # One header, not two.
        (V1 + V1, "400"),
        (v2(V4) + v2(V4), "400"),
    ],
)
async def test_headers_behind_the_proxy_protocol(kind: str, header: bytes, expected: str) -> None:
    forged = "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Host: evil.example"
    async with telling(kind, proxy_protocol=True) as port:
        assert await told(port, *forged, "X-Forwarded-Proto: https", before=header) == expected


@KINDS
async def test_truncated_after_each_byte(kind: str) -> None:
    """What is cut off is never completed by the request, and nobody gets an answer."""
    data = v2(V4, field(4, b"xy"))
    async with telling(kind, proxy_protocol=True) as port:
        for header in (data, V1):
            for at in range(len(header)):
                async with await RawPeer.connect(port) as peer:
                    await peer.send(header[:at])
                    peer.half_close()
                    assert await peer.rest() == b""
            assert await told(port, before=header) == "192.0.2.1 ws inside"


@KINDS
async def test_many_fields(kind: str) -> None:
    """A header that is full of fields, or of checksums, is small; and a bad one is refused."""
    async with telling(kind, proxy_protocol=True) as port:
        fields = field(0xE0, b"") * 1300
        assert await told(port, before=v2(V4, fields)) == "192.0.2.1 ws inside"
        assert await told(port, before=v2(V4, fields * 2)) == "cut"
        assert await told(port, before=v2(V4, field(3, bytes(4)) * 500)) == "cut"
        assert await told(port, before=v2(V4, field(4, bytes(9))[:-1])) == "cut"
        assert await told(port, before=v2(V4, struct.pack("!BH", 4, 0xFFFF))) == "cut"


async def test_strangers_who_say_nothing_are_counted() -> None:
    """Whom no proxy tells of has an address too."""
    limits = Limits(connections_per_address=2)
    arguments: Any = {"trusted_proxies": ["192.0.2.1"], "proxy_protocol": True, "limits": limits}
    async with telling(**arguments) as port, contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(await RawPeer.connect(port)) for _ in range(3)]
        assert (await peers[2].head()).split()[1] == "429"


@KINDS
@pytest.mark.parametrize("behind", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x40\0" + bytes(50), V1])
@pytest.mark.parametrize("header", [V1, v2(V4)])
async def test_between_the_header_and_tls(
    kind: str, header: bytes, behind: bytes, server_tls: ssl.SSLContext
) -> None:
    """Who stops there, or says something else, has no more time than others."""
    arguments: Any = {"proxy_protocol": True, "ssl": server_tls, "open_timeout": 0.2}
    async with telling(kind, **arguments) as port:
        for resets in (False, True):
            async with await RawPeer.connect(port) as peer:
                await peer.send(header + behind)
                if resets:
                    peer.reset()
                else:
                    with contextlib.suppress(ConnectionResetError):
                        assert b"HTTP" not in await peer.rest()


# Pages of others.


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("chat.example", "https://chat.example", "101"),
        ("chat.example", "https://CHAT.example", "101"),
        ("chat.example:443", "https://chat.example", "101"),
        ("chat.example", "https://chat.example:443", "101"),
        ("chat.example", "https://chat.example.", "403"),
        ("chat.example.", "https://chat.example", "403"),
        ("chat.example", "https://chat.example:8443", "403"),
        ("chat.example", "https://xn--cht-ula.example", "403"),
        ("chat.example", "https://ch\xe5t.example", "403"),
        ("chat.example", "https://evil.example", "403"),
        ("chat.example", "https://evil.chat.example", "403"),
        ("chat.example", "https://chat.example.evil.example", "403"),
        ("chat.example", "https://chat.example@evil.example", "403"),
        ("chat.example", "https://chat.example\\@evil.example", "403"),
        ("chat.example", "https://evil.example#chat.example", "403"),
        ("chat.example", "https://evil.example?chat.example", "403"),
        ("chat.example", "null", "403"),
        ("null", "null", "403"),
        ("chat.example", "", "403"),
        ("chat.example", "file://", "403"),
        ("chat.example", "chrome-extension://chat.example", "403"),
        ("chat.example", "ws://chat.example", "403"),
        ("chat.example", "//chat.example", "403"),
        ("chat.example", "https://chat.example https://evil.example", "403"),
        ("evil.example", "https://evil.example", "403"),  # DNS rebinding
        ("evil.example@chat.example", "https://chat.example", "400"),
        ("127.0.0.1", "http://127.0.0.1", "101"),
        ("127.0.0.1", "http://2130706433", "403"),
        ("[::1]", "http://[::1]", "101"),
        ("[::1]", "http://[0:0:0:0:0:0:0:1]", "403"),
        ("localhost", "http://localhost", "101"),
        ("localhost", "http://localhost.", "403"),
    ],
)
async def test_origins(host: str, origin: str, status: str) -> None:
    async with (
        telling(origins=[SameOrigin(["chat.example"]), None]) as port,
        await RawPeer.connect(port) as peer,
    ):
        await peer.send(request(f"Origin: {origin}", host=host))
        assert (await peer.head()).split()[1] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Origin: http://inside"], "101"),
        (["Origin: http://inside", "Origin: http://evil.example"], "400"),
        (["Origin: http://evil.example", "Host: evil.example"], "400"),
        # From a stranger, they are nothing.
        (["Origin: http://evil.example", "X-Forwarded-Host: evil.example"], "403"),
        (["Origin: http://evil.example", "Forwarded: for=1.1.1.1;host=evil.example"], "403"),
    ],
)
@pytest.mark.parametrize("by_cookie", [False, True])
async def test_what_says_whose_page_it_is(headers: list[str], status: str, by_cookie: bool) -> None:
    auth = token_auth(static_tokens(["SECRET"]), [Cookie("sid")])
    kwargs: Any = {"process_request": auth} if by_cookie else {"origins": [SameOrigin()]}
    async with telling(trusted_proxies=None, **kwargs) as port, await RawPeer.connect(port) as peer:
        if by_cookie and len(headers) > 1 and headers[1].startswith("Origin"):
            status = "403"
        await peer.send(request(*headers, "Cookie: sid=SECRET", host="inside"))
        assert (await peer.head()).split()[1] == status


async def test_the_demonstration_over_tls_is_for_pages_of_https(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Whoever is on the way can write a page of http."""
    async with Demo().serve("127.0.0.1", 0, ssl=server_tls) as server:
        where = f"127.0.0.1:{port_of(server)}"
        arguments: Any = {"ssl": client_tls, "proxy": None}
        async with connect(f"wss://{where}/echo", origin=f"https://{where}", **arguments):  # type: ignore[arg-type]
            pass
        with pytest.raises(Exception, match="403"):
            await connect(f"wss://{where}/echo", origin=f"http://{where}", **arguments)  # type: ignore[arg-type]
