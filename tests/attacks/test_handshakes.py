"""Clients that attack the opening handshake: with its size, its slowness, or its meaning."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest
from tests.attacks.raw import (
    KEY,
    MIB,
    TEXT,
    RawPeer,
    bystander,
    close_payload,
    echo_server,
    frame,
    memory,
    opened,
    port_of,
    request,
)

from wirebird.asyncio.server import ServerConnection, serve
from wirebird.http11 import Request, Response


async def answer(port: int, *data: bytes) -> str:
    """Send bytes; return the head and body of the response, after which the stream ends."""
    async with await RawPeer.connect(port) as peer:
        await peer.send(*data)
        return (await peer.rest()).decode()


def status(text: str) -> int:
    """The status of a response."""
    found = re.match(r"HTTP/1\.1 (\d{3}) ", text)
    assert found, text
    return int(found[1])


LONG = b"x" * 100_000

REFUSED = {
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 405),
    "POST": (request().replace(b"GET", b"POST"), 405),
    "no upgrade": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
    "HTTP/1.0": (request().replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
    "no Host": (request().replace(b"Host: 127.0.0.1\r\n", b""), 400),
    "two Hosts": (request("Host: other"), 400),
    "no key": (request().replace(b"Sec-WebSocket-Key", b"X"), 400),
    "two keys": (request(f"Sec-WebSocket-Key: {KEY}"), 400),
    "a short key": (request().replace(KEY.encode(), b"AAAA"), 400),
    "old version": (request().replace(b"Version: 13", b"Version: 8"), 426),
    "Content-Length": (request("Content-Length: 10") + b"0123456789", 400),
    "negative Content-Length": (request("Content-Length: -1"), 400),
    "chunked": (request("Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "both": (request("Content-Length: 0", "Transfer-Encoding: chunked"), 400),
    "folded header": (request("X-A: b", " c"), 400),
    "space before the colon": (request("X-A : b"), 400),
    "bare LF": (request().replace(b"\r\n", b"\n"), 400),
    "bare CR in a value": (request("X-A: b\rX-C: d"), 400),
    "NUL in a value": (request("X-A: b\0c"), 400),
    "no colon": (request("X-A"), 400),
    "long request line": (request(path="/" + "x" * 10_000), 414),
    "endless request line": (b"GET /" + LONG, 414),
    "no line at all": (LONG, 414),
    "long header": (request("X-A: " + "x" * 10_000), 431),
    "endless header": (b"GET / HTTP/1.1\r\nX-A: " + LONG, 431),
    "many headers": (request(*["X-A: b"] * 200), 431),
    "large head": (request(*["X-A: " + "x" * 8000] * 10), 431),
}


@pytest.mark.parametrize(("data", "expected"), REFUSED.values(), ids=REFUSED)
async def test_what_is_no_request_for_a_websocket_is_refused(data: bytes, expected: int) -> None:
    called = False

    async def handler(_: ServerConnection) -> None:
        nonlocal called
        called = True

    async with serve(handler, "127.0.0.1", 0) as server:
        text = await answer(port_of(server), data)
        assert status(text) == expected
        assert "\r\nConnection: close\r\n" in text
        assert len(text) < 2000  # the answer is not a copy of what came
    assert not called


async def test_endless_headers_are_refused_before_they_take_memory() -> None:
    async with (
        echo_server() as server,
        bystander(server) as other,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        before = other.round_trips
        with memory() as used:
            await peer.send(b"GET / HTTP/1.1\r\n")
            sent = 0
            while await peer.try_send(b"X-A: b\r\n" * 1000):
                sent += 8000
                assert sent < 64 * MIB, "it is not cut"
        assert used.peak < 2 * MIB
        assert other.round_trips > before


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half"])
async def test_one_who_does_not_finish_is_answered_408(data: bytes) -> None:
    async with echo_server(open_timeout=0.1) as server, bystander(server):
        text = await answer(port_of(server), data)
        assert status(text) == 408
        assert "\r\nConnection: close\r\n" in text


async def test_a_dribble_does_not_gain_time() -> None:
    async with (
        echo_server(open_timeout=0.2) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        reading = asyncio.create_task(peer.rest())
        for byte in request():
            if reading.done():
                break
            await peer.try_send(bytes([byte]))
            await asyncio.sleep(0.01)
        assert status((await reading).decode()) == 408


async def test_one_who_takes_no_answer_is_cut() -> None:
    async with (
        echo_server(close_timeout=0.1) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.rest()  # ... and our half stays open
        while server.handler_tasks:
            await asyncio.sleep(0.01)


async def test_a_request_that_is_cut_off_reaches_nobody() -> None:
    states = []

    async def handler(connection: ServerConnection) -> None:
        states.append(connection.state)

    async with serve(handler, "127.0.0.1", 0) as server:
        for data in b"", b"GET ", request()[:-2]:
            peer = await RawPeer.connect(port_of(server))
            await peer.send(data)
            peer.close()
        while not server.opening:
            await asyncio.sleep(0)
        while server.opening:
            await asyncio.sleep(0)
    assert states == []


@pytest.mark.parametrize("way", ["half_close", "reset"])
async def test_one_who_leaves_while_its_request_is_looked_at_reaches_nobody(way: str) -> None:
    states = []
    asked, left = asyncio.Event(), asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        states.append(connection.state)

    async def process_request(_: ServerConnection, __: Request) -> None:
        asked.set()
        await left.wait()

    async with serve(handler, "127.0.0.1", 0, process_request=process_request) as server:
        peer = await RawPeer.connect(port_of(server))
        await peer.send(request())
        await asked.wait()
        getattr(peer, way)()
        (connection_task,) = server.handler_tasks
        for _ in range(10):
            await asyncio.sleep(0.001)
        left.set()
        await asyncio.wait([connection_task])
        peer.close()
    assert states == []


# What follows the head.


async def test_bytes_behind_a_bad_request_are_not_another() -> None:
    """A second request in the body, or behind the head, is not looked at."""
    seen = []

    def process_request(_: ServerConnection, request: Request) -> None:
        seen.append(request.path)

    async def handler(_: ServerConnection) -> None: ...

    async with serve(handler, "127.0.0.1", 0, process_request=process_request) as server:
        text = await answer(
            port_of(server), b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", request(path="/b")
        )
        assert status(text) == 426
        assert text.count("HTTP/1.1 ") == 1
        text = await answer(
            port_of(server), request("Content-Length: 200", path="/c"), request(path="/d")
        )
        assert status(text) == 400
        assert text.count("HTTP/1.1 ") == 1
    assert seen == ["/a"]


async def test_a_body_behind_a_refused_request_does_not_cost_the_answer() -> None:
    async with echo_server() as server, await RawPeer.connect(port_of(server)) as peer:
        await peer.send(request("Content-Length: 500000"), bytes(500_000))
        assert status((await peer.rest()).decode()) == 400


async def test_an_endless_body_is_cut() -> None:
    async with (
        echo_server() as server,
        bystander(server),
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.send(request("Transfer-Encoding: chunked"))
        with memory() as used:
            sent = 0
            while await peer.try_send(bytes(64 * 1024)):
                sent += 64 * 1024
                assert sent < 64 * MIB, "it is not cut"
        assert used.peak < 2 * MIB


async def test_frames_behind_a_good_request_are_its_first() -> None:
    async with echo_server() as server, await RawPeer.connect(port_of(server)) as peer:
        await peer.send(request(), frame(TEXT, b"early"))
        assert (await peer.head()).startswith("HTTP/1.1 101 ")
        assert (await peer.frame()).payload == b"early"


async def test_what_comes_before_the_answer_is_bounded() -> None:
    """While a request is looked at, its client cannot fill the memory."""
    go_on = asyncio.Event()

    async def process_request(_: ServerConnection, __: Request) -> None:
        await go_on.wait()

    received = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal received
        async for message in connection:
            received += len(message)

    async with (
        serve(handler, "127.0.0.1", 0, process_request=process_request) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.send(request())
        message = frame(2, bytes(65_000))
        count = 400
        with memory() as used:
            sending = asyncio.create_task(peer.send(*[message] * count))
            for _ in range(200):
                await asyncio.sleep(0.001)
            assert not sending.done()
        # The messages themselves are joined once by the sender.
        assert used.peak < count * len(message) + 2 * MIB
        go_on.set()
        await sending
        await peer.send(frame(8, close_payload(1000)))
        await peer.close_frame()
        peer.half_close()
        while server.handler_tasks:
            await asyncio.sleep(0.001)
        assert received == count * 65_000


# Cross-site.


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["Origin: https://good.example"], 101),
        (["Origin: https://a.sub.example"], 101),
        (["Origin: https://evil.example"], 403),
        (["Origin: https://good.example.evil.example"], 403),
        (["Origin: https://evil.example/https://good.example"], 403),
        (["Origin: null"], 403),
        ([], 403),
        (["Origin: https://good.example", "Origin: https://evil.example"], 400),
    ],
)
async def test_other_origins_are_refused(headers: list[str], expected: int) -> None:
    origins = ["https://good.example", re.compile(r"https://[a-z]+\.sub\.example")]
    async with (
        echo_server(origins=origins) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.send(request(*headers))
        assert status(await peer.head()) == expected


# What this side may do wrong.


async def test_what_a_client_says_cannot_split_the_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A program that puts what a client says into a header is stopped, and the client told 500."""

    def process_response(_: ServerConnection, request: Request, response: Response) -> None:
        response.headers["X-Echo"] = request.path.replace("%0D%0A", "\r\n")

    async with serve(
        lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_response=process_response
    ) as server:
        text = await answer(port_of(server), request(path="/%0D%0ASet-Cookie:%20a=b"))
        assert status(text) == 500
        assert "Set-Cookie" not in text
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in errors] == ["process_response failed"]


async def test_many_bad_handshakes_leave_nothing() -> None:
    async with echo_server() as server, bystander(server):
        with memory() as used:
            for _ in range(5):
                await asyncio.gather(
                    *(answer(port_of(server), data) for data, _ in REFUSED.values())
                )
        assert used.peak < 16 * MIB
        while len(server.handler_tasks) > 1:
            await asyncio.sleep(0)
        async with await opened(port_of(server)) as peer:
            await peer.send(frame(TEXT, b"still here"))
            assert (await peer.frame()).payload == b"still here"
