"""Servers that attack their clients: the client says what was wrong, in bounded time and memory."""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections.abc import Callable

import pytest
from tests.attacks.raw import (
    BINARY,
    CLOSE,
    DEFLATE,
    MIB,
    PING,
    PONG,
    TEXT,
    RawPeer,
    accept_of,
    close_payload,
    frame,
    key_of,
    memory,
    raw_server,
    response,
)

from wirebird.asyncio import client
from wirebird.asyncio.client import connect
from wirebird.exceptions import (
    ConnectionClosedError,
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
    SecurityError,
    StatusLineTooLong,
)

Answer = Callable[[str], bytes]


def root_of(exc: BaseException) -> BaseException:
    """The first cause of an exception."""
    return root_of(exc.__cause__) if exc.__cause__ is not None else exc


def plain(status: str, *headers: str, body: bytes = b"") -> Answer:
    """An answer that does not depend on the request."""
    head = "".join(line + "\r\n" for line in (f"HTTP/1.1 {status}", *headers))
    return lambda _: head.encode() + b"\r\n" + body


def granting(*headers: str) -> Answer:
    """An answer that grants the WebSocket, and more."""
    return lambda head: response(key_of(head), *headers)


def replaced(old: str, new: str) -> Answer:
    """An answer that is proper but for one thing."""
    return lambda head: response(key_of(head)).replace(old.encode(), new.encode())


ANSWERS: dict[str, tuple[Answer, type[Exception]]] = {
    "wrong Accept": (
        lambda head: response(base64.b64encode(bytes(range(16))).decode()),
        InvalidHeaderValue,
    ),
    "Accept of the empty key": (
        lambda head: response(key_of(head)).replace(
            accept_of(key_of(head)).encode(), accept_of("").encode()
        ),
        InvalidHeaderValue,
    ),
    "the key itself": (
        lambda head: response(key_of(head)).replace(
            accept_of(key_of(head)).encode(), key_of(head).encode()
        ),
        InvalidHeaderValue,
    ),
    "no Accept": (replaced("Sec-WebSocket-Accept", "X"), InvalidHeader),
    "no Upgrade": (replaced("Upgrade: websocket\r\n", ""), InvalidUpgrade),
    "another Upgrade": (replaced("Upgrade: websocket", "Upgrade: h2c"), InvalidUpgrade),
    "two Accepts": (
        lambda head: response(key_of(head), f"Sec-WebSocket-Accept: {accept_of(key_of(head))}"),
        InvalidHeader,
    ),
    "an extension not asked for": (
        granting("Sec-WebSocket-Extensions: x-webkit-deflate-frame"),
        NegotiationError,
    ),
    "an extension twice": (granting(DEFLATE, DEFLATE), NegotiationError),
    "window bits out of range": (
        granting(DEFLATE + "; server_max_window_bits=20"),
        NegotiationError,
    ),
    "a subprotocol not asked for": (
        granting("Sec-WebSocket-Protocol: chat"),
        NegotiationError,
    ),
    "200": (plain("200 OK", "Content-Length: 2", body=b"hi"), InvalidStatus),
    "not HTTP": (lambda _: b"SSH-2.0-OpenSSH_9.9\r\n\r\n", InvalidMessage),
    "nothing": (lambda _: b"", InvalidMessage),
    "half a head": (lambda _: b"HTTP/1.1 101 Switching Protocols\r\n", InvalidMessage),
    "endless status line": (lambda _: b"HTTP/1.1 101 " + b"A" * 10_000, StatusLineTooLong),
    "body longer than it says": (
        plain("400 Bad Request", "Content-Length: 10", body=b"short"),
        InvalidMessage,
    ),
    "body too long": (plain("400 Bad Request", f"Content-Length: {2**40}"), InvalidMessage),
    "body with two lengths": (
        plain("400 Bad Request", "Content-Length: 1", "Content-Length: 2", body=b"abc"),
        InvalidMessage,
    ),
    "chunk too long": (
        plain("400 Bad Request", "Transfer-Encoding: chunked", body=b"ffffffffffffffff\r\n"),
        InvalidMessage,
    ),
    "chunk size that is none": (
        plain("400 Bad Request", "Transfer-Encoding: chunked", body=b"-1\r\n"),
        InvalidMessage,
    ),
}


@pytest.mark.parametrize(("answer", "error"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_that_is_not_right_is_refused(
    answer: Answer, error: type[Exception]
) -> None:
    async def talk(peer: RawPeer) -> None:
        await peer.send(answer(await peer.head()))
        peer.half_close()
        await peer.rest()  # the client goes away, whatever follows

    async with raw_server(talk) as uri:
        with pytest.raises(InvalidHandshake) as caught:
            await connect(uri, proxy=None)
        assert type(caught.value) is error


ENDLESS = {
    "head": (b"HTTP/1.1 101 Switching Protocols\r\n", b"X-A: b\r\n" * 1000),
    "header": (b"HTTP/1.1 101 Switching Protocols\r\nX-A: ", b"A" * 8000),
    "body": (b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(8000)),
    "chunked body": (
        b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1000\r\n" + bytes(4096) + b"\r\n",
    ),
    "chunks of one byte": (
        b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1;" + b"x" * 1000 + b"\r\n.\r\n",
    ),
}


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_an_answer_without_end_is_refused(begin: bytes, more: bytes) -> None:
    sent = 0

    async def talk(peer: RawPeer) -> None:
        nonlocal sent
        await peer.head()
        await peer.send(begin)
        while await peer.try_send(more):
            sent += len(more)
            assert sent < 64 * MIB

    async with raw_server(talk) as uri:
        with memory() as used, pytest.raises(InvalidMessage) as caught:
            await connect(uri, proxy=None)
        assert isinstance(root_of(caught.value), SecurityError)
    assert used.peak < 8 * MIB


async def test_a_dribble_does_not_gain_time() -> None:
    async def talk(peer: RawPeer) -> None:
        for byte in response(key_of(await peer.head())):
            await peer.send(bytes([byte]))
            await asyncio.sleep(0.01)

    async with raw_server(talk) as uri:
        with pytest.raises(TimeoutError, match="timed out during opening handshake"):
            await connect(uri, proxy=None, open_timeout=0.2)


# Redirects.


async def test_redirects_in_a_circle_come_to_an_end() -> None:
    requests = 0

    async def talk(peer: RawPeer) -> None:
        nonlocal requests
        await peer.head()
        requests += 1
        await peer.send(plain("302 Found", f"Location: /{requests}", "Content-Length: 0")(""))

    async with raw_server(talk) as uri:
        with pytest.raises(SecurityError, match="more than 10 redirects"):
            await connect(uri, proxy=None)
    assert requests == client.MAX_REDIRECTS + 1 == 11


async def test_what_is_meant_for_one_origin_is_not_told_to_another() -> None:
    heads: list[str] = []

    async def thief(peer: RawPeer) -> None:
        heads.append(await peer.accept())
        await peer.rest()

    async with raw_server(thief) as stolen:

        async def talk(peer: RawPeer) -> None:
            heads.append(await peer.head())
            location = stolen.replace("ws://", "http://")
            await peer.send(plain("307 Temporary Redirect", f"Location: {location}")(""))

        secrets = {"Authorization": "Bearer secret", "Cookie": "id=secret", "X-Trace": "1"}
        async with (
            raw_server(talk) as uri,
            connect(uri, proxy=None, additional_headers=secrets, close_timeout=0.1),
        ):
            pass
        async with (
            raw_server(talk) as uri,
            connect(uri.replace("ws://", "ws://name:secret@"), proxy=None, close_timeout=0.1),
        ):
            pass
    first, second, third, fourth = heads
    assert "Authorization: Bearer secret\r\n" in first
    assert "Cookie: id=secret\r\n" in first
    assert "Authorization: Basic " in third
    for head in second, fourth:
        assert "secret" not in head
        assert "Authorization" not in head
        assert "Cookie" not in head
    assert "X-Trace: 1\r\n" in second


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("file:///etc/passwd", InvalidURI),
        ("ftp://127.0.0.1/", InvalidURI),
        ("javascript:alert(1)", InvalidURI),
        ("ws://", InvalidURI),
        ("ws://[", InvalidURI),
        ("/#fragment", InvalidURI),
    ],
)
async def test_a_redirect_to_what_is_no_websocket(location: str, error: type[Exception]) -> None:
    async def talk(peer: RawPeer) -> None:
        await peer.head()
        await peer.send(plain("301 Moved", f"Location: {location}", "Content-Length: 0")(""))

    async with raw_server(talk) as uri:
        with pytest.raises(error) as caught:
            await connect(uri, proxy=None)
        assert isinstance(caught.value.__cause__, InvalidStatus)


# Frames.


WRONG = {
    "masked": (frame(TEXT, b"hi"), 1002, ProtocolError),
    "masked ping": (frame(PING, b"hi"), 1002, ProtocolError),
    "reserved bit": (frame(TEXT, b"hi", rsv=1, mask=False), 1002, ProtocolError),
    "RSV1, deflate not granted": (frame(TEXT, b"hi", rsv=4, mask=False), 1002, ProtocolError),
    "not UTF-8": (frame(TEXT, b"\xff", mask=False), 1007, UnicodeDecodeError),
    "too big": (frame(BINARY, length=2**40, mask=False), 1009, PayloadTooBig),
    "Close with half a code": (frame(CLOSE, b"\x03", mask=False), 1002, ProtocolError),
    "Close with 1006": (frame(CLOSE, close_payload(1006), mask=False), 1002, ProtocolError),
}


@pytest.mark.parametrize(("data", "code", "error"), WRONG.values(), ids=WRONG)
async def test_what_breaks_the_protocol_is_refused(
    data: bytes, code: int, error: type[Exception]
) -> None:
    closes = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(data)
        close = await peer.close_frame()
        assert close.masked
        closes.append(close.code)
        assert await peer.rest() == b""

    async with raw_server(talk) as uri, connect(uri, proxy=None) as ws:
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.recv()
        assert isinstance(caught.value.__cause__, error)
        assert caught.value.sent is not None
        assert closes == [caught.value.sent.code] == [code]


async def test_a_bomb_is_refused_at_the_limit_and_not_inflated() -> None:
    compressor = zlib.compressobj(wbits=-15)
    block = compressor.compress(bytes(16 * MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    bomb = frame(BINARY, block * 64, rsv=4, mask=False)

    async def talk(peer: RawPeer) -> None:
        await peer.accept(DEFLATE)
        await peer.send(bomb)
        assert (await peer.close_frame()).code == 1009

    async with raw_server(talk) as uri, connect(uri, proxy=None) as ws:
        with memory() as used, pytest.raises(ConnectionClosedError) as caught:
            await ws.recv()
        assert isinstance(caught.value.__cause__, PayloadTooBig)
        assert used.peak < 8 * MIB


async def test_a_server_that_talks_on_after_its_failure_is_cut() -> None:
    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(frame(TEXT, b"hi"))
        sent = 0
        while await peer.try_send(bytes(64 * 1024)):
            sent += 64 * 1024
            assert sent < 64 * MIB

    async with raw_server(talk) as uri:
        ws = await connect(uri, proxy=None)
        with pytest.raises(ConnectionClosedError, match="sent 1002"):
            await ws.recv()


async def test_a_server_that_never_answers_a_close_is_left() -> None:
    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.rest()
        await asyncio.Event().wait()

    async with raw_server(talk) as uri:
        ws = await connect(uri, proxy=None, close_timeout=0.1)
        await ws.close()
        assert ws.close_code == 1006


async def test_a_server_that_answers_the_close_and_never_ends_tcp_is_left() -> None:
    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(frame(CLOSE, (await peer.close_frame()).payload, mask=False))
        await asyncio.Event().wait()

    async with raw_server(talk) as uri:
        ws = await connect(uri, proxy=None, close_timeout=0.1)
        await ws.close()
        assert ws.close_code == 1000


async def test_a_server_that_sends_and_sends_while_the_client_closes() -> None:
    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        message = frame(BINARY, bytes(60_000), mask=False)
        while await peer.try_send(message):
            pass

    async with raw_server(talk) as uri:
        ws = await connect(uri, proxy=None, close_timeout=0.3)
        with memory() as used:
            await ws.close()
        assert ws.close_code == 1006
        assert used.peak < 2 * MIB


async def test_pings_of_a_server_are_answered_while_nobody_receives() -> None:
    answered = asyncio.Event()

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(frame(TEXT, b"unread", mask=False), frame(PING, b"1", mask=False))
        pong = await peer.frame()
        assert (pong.opcode, pong.payload, pong.masked) == (PONG, b"1", True)
        answered.set()
        await peer.rest()

    async with raw_server(talk) as uri, connect(uri, proxy=None, close_timeout=0.1):
        await answered.wait()
