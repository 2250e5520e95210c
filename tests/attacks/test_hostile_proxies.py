"""What a client meets in proxies that mean no good, or are broken: at each step of each protocol.

Each ends with an error that says so, at the latest with the client's own deadline; nothing that a
proxy sends is taken for the server's, nothing grows without bound, and no descriptor is left.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import struct
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from tests.asyncio.pair import expect_refused_certificates
from tests.asyncio.test_dialing import leaks_nothing
from tests.asyncio.test_tunnel import listening as proxy
from tests.asyncio.test_tunnel import proxy as honest
from tests.attacks.raw import echo_server, port_of

from wirebird.asyncio.client import connect
from wirebird.client import process_exception
from wirebird.core.rules import MAX_HEAD_BYTES, MAX_INTERIM_RESPONSES
from wirebird.exceptions import (
    InvalidHandshake,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    ProxyError,
)
from wirebird.testing import FakeClock

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Behaviour: TypeAlias = Callable[[Reader, Writer], Awaitable[None]]

SECRET = "s3cret"
OK = b"HTTP/1.1 200 OK\r\n\r\n"


def answering(*pieces: bytes) -> Behaviour:
    """Read the request, and send pieces of an answer one by one."""

    async def behave(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof()
        await reader.read()

    return behave


async def stall(reader: Reader, writer: Writer) -> None:
    """Read on, and say nothing."""
    await reader.read(-1)


async def endless(reader: Reader, writer: Writer) -> None:
    """Send a head that has no end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: " + b"b" * 1000 + b"\r\n")
        await writer.drain()


async def expect(error: type[Exception], port: int, scheme: str = "http", **kwargs: Any) -> Any:
    """Connect through a proxy that will not let us; return the error."""
    arguments = {"open_timeout": 10, **kwargs}
    with pytest.raises(error) as caught:
        await connect("ws://x/", proxy=f"{scheme}://u:{SECRET}@127.0.0.1:{port}", **arguments)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in repr(caught.value)
    return caught.value


@pytest.mark.parametrize("scheme", ["http", "socks4a", "socks5h"])
async def test_it_says_nothing(fake_clock: FakeClock, scheme: str) -> None:
    async with proxy(stall) as port, leaks_nothing():
        exc = await expect(TimeoutError, port, scheme)
        assert exc.__notes__ == [f"while asking the proxy 127.0.0.1, port {port}"]


async def test_a_head_in_pieces_that_never_ends() -> None:
    async with proxy(endless) as port, leaks_nothing():
        exc = await expect(InvalidProxyMessage, port)
        assert process_exception(exc) is exc


async def test_a_head_byte_by_byte() -> None:
    head = b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n"
    async with proxy(answering(*(bytes([byte]) for byte in head))) as port:
        # It is a tunnel now, and who is at its end hangs up.
        exc = await expect(InvalidHandshake, port)
        assert not isinstance(exc, ProxyError)
        assert exc.__notes__ == ["while shaking hands with x"]


@pytest.mark.parametrize(
    "answer",
    [
        b"\0" * 100_000,
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 0200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 200 " + b"x" * MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES,
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM_RESPONSES + 1) + OK,
        OK + b"HTTP/1.1 101 Switching Protocols\r\n",
        OK + b"\0",
    ],
)
async def test_garbage(answer: bytes) -> None:
    async with proxy(answering(answer)) as port, leaks_nothing():
        exc = await expect(InvalidProxyMessage, port)
        assert process_exception(exc) is exc


@pytest.mark.parametrize(
    "answer", [b"", b"\x16\x03\x03", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nVia: x\r\n"]
)
async def test_it_hangs_up_in_the_middle(answer: bytes) -> None:
    async with proxy(answering(answer)) as port, leaks_nothing():
        exc = await expect(InvalidProxyMessage, port)
        assert process_exception(exc) is None


@pytest.mark.parametrize(
    ("status", "is_fatal"), [(301, True), (401, True), (403, True), (407, True), (502, False)]
)
async def test_it_refuses(status: int, is_fatal: bool) -> None:
    answer = f"HTTP/1.1 {status} No\r\nContent-Length: 99999999999\r\n\r\n".encode()
    async with proxy(answering(answer, b"x" * 100_000)) as port, leaks_nothing():
        exc = await expect(InvalidProxyStatus, port)
        assert exc.response.status_code == status
        assert (process_exception(exc) is exc) is is_fatal


async def test_interim_answers_are_no_answers() -> None:
    async with proxy(answering(b"HTTP/1.1 103 Early Hints\r\n\r\n", OK)) as port:
        exc = await expect(InvalidHandshake, port)
        assert not isinstance(exc, ProxyError)


async def test_what_follows_the_answer_later_is_not_lost() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    async with proxy(answering(OK, refusal)) as port, leaks_nothing():
        # Whether it comes with the answer or after it, it is never a connection.
        exc = await expect(InvalidHandshake, port)
        assert isinstance(exc, InvalidProxyMessage) or exc.response.status_code == 403


async def test_a_tunnel_to_somebody_else(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    expect_refused_certificates()
    async with echo_server(ssl=server_tls) as server, honest() as way, leaks_nothing():
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await connect(
                f"wss://localhost:{port_of(server)}/",
                proxy=f"http://127.0.0.1:{way.port}",
                ssl=client_tls,
                server_hostname="other.example",
            )
        assert caught.value.__notes__ == ["while doing TLS with localhost"]
        assert process_exception(caught.value) is None  # as any OSError; certificates are renewed


async def test_a_tunnel_in_which_tls_stalls(
    fake_clock: FakeClock, client_tls: ssl.SSLContext
) -> None:
    async def behave(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.read(-1)

    async with proxy(behave) as port, leaks_nothing():
        with pytest.raises(TimeoutError) as caught:
            await connect("wss://x/", proxy=f"http://127.0.0.1:{port}", ssl=client_tls)
        assert caught.value.__notes__ == ["while doing TLS with x"]


async def test_a_proxy_that_cannot_show_who_it_is(server_tls: ssl.SSLContext) -> None:
    expect_refused_certificates()
    async with proxy(stall, server_tls) as port:
        exc = await expect(ssl.SSLCertVerificationError, port, "https")
        assert exc.__notes__ == ["while doing TLS with the proxy 127.0.0.1"]


async def test_a_proxy_with_tls_that_stalls(
    fake_clock: FakeClock, client_tls: ssl.SSLContext
) -> None:
    async with proxy(stall) as port, leaks_nothing():
        exc = await expect(TimeoutError, port, "https", proxy_ssl=client_tls)
        assert exc.__notes__ == ["while doing TLS with the proxy 127.0.0.1"]


@pytest.mark.parametrize("is_tls", [False, True])
async def test_cancelled_while_the_proxy_thinks(
    is_tls: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    asked = asyncio.Event()

    async def behave(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read(-1)

    tls: dict[str, Any] = {"proxy_ssl": client_tls} if is_tls else {}
    async with proxy(behave, server_tls if is_tls else None) as port, leaks_nothing():
        scheme = "https" if is_tls else "http"
        way = connect("ws://x/", proxy=f"{scheme}://localhost:{port}", **tls)
        task = asyncio.ensure_future(way.connect())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# SOCKS.

GREETED = b"\x05\x00"


def socks(*answers: bytes) -> Behaviour:
    """Answer what comes, whatever it is."""

    async def behave(reader: Reader, writer: Writer) -> None:
        for answer in answers:
            await reader.read(1000)
            writer.write(answer)
        writer.write_eof()
        await reader.read()

    return behave


@pytest.mark.parametrize(
    "answers",
    [
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        [b"\x04\x00"],
        [b"\x05\xff"],
        [b"\x05\x01"],
        [b"\x05\x07"],
        [b"\x05\x02", b"\x01\x01"],
        [b"\x05\x02", b"\x07\x00"],
        [GREETED, b"\x05\x02\x00\x01" + bytes(6)],
        [GREETED, b"\x05\x07\x00\x01" + bytes(6)],
        [GREETED, b"\x05\x63\x00\x01" + bytes(6)],
        [GREETED, b"\x05\x00\x01\x01" + bytes(6)],
        [GREETED, b"\x05\x00\x00\x09" + bytes(6)],
        [GREETED, b"\x05\x00\x00\x03\x02\xff\xff\x00\x00"],
        [GREETED, b"\x04\x5a" + bytes(6)],
    ],
)
async def test_socks_that_is_none_or_says_no(answers: list[bytes]) -> None:
    async with proxy(socks(*answers)) as port, leaks_nothing():
        exc = await expect(ProxyError, port, "socks5h")
        assert str(exc).startswith("failed to connect to SOCKS proxy: ")
        assert process_exception(exc) is exc


@pytest.mark.parametrize("code", [1, 3, 4, 5, 6])
async def test_socks_that_may_find_the_server_later(code: int) -> None:
    async with proxy(socks(GREETED, struct.pack("!BBBB6x", 5, code, 0, 1))) as port:
        assert process_exception(await expect(ProxyError, port, "socks5h")) is None


@pytest.mark.parametrize("answers", [[b""], [b"\x05"], [GREETED, b"\x05\x00"]])
async def test_socks_that_hangs_up(answers: list[bytes]) -> None:
    async with proxy(socks(*answers)) as port, leaks_nothing():
        assert process_exception(await expect(ProxyError, port, "socks5h")) is None


@pytest.mark.parametrize(
    ("scheme", "user_info"),
    [("socks4", "a%00b:x"), ("socks5", "a:%00"), ("socks5h", "a:é"), ("socks5", "a:" + "b" * 256)],
)
async def test_credentials_that_socks_cannot_carry(scheme: str, user_info: str) -> None:
    async with proxy(stall) as port:
        with pytest.raises(InvalidProxy, match="credentials") as caught:
            await connect("ws://x/", proxy=f"{scheme}://{user_info}@127.0.0.1:{port}")
        assert user_info not in str(caught.value)


# Secrets.


async def test_no_password_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    async with proxy(answering(b"HTTP/1.1 407 No\r\n\r\n")) as port:
        await expect(InvalidProxyStatus, port)
    for address in (f"gopher://u:{SECRET}@p", f"http://u:{SECRET}@", f"http//{SECRET}@p:x"):
        monkeypatch.setenv("wss_proxy", address)
        with pytest.raises(InvalidProxy) as caught:
            await connect("wss://x/")
        for text in repr(caught.value), *traceback.format_exception(caught.value):
            assert SECRET not in text
    assert SECRET not in caplog.text
