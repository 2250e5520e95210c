"""A scripted peer: what it sends, what it expects, and what it says when that does not come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from tests.engines import engine as engine

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection
from wirebird.exceptions import ConnectionClosedError, InvalidHandshake, InvalidMessage
from wirebird.testing import (
    BINARY,
    CONT,
    PING,
    TEXT,
    LocalServer,
    MemoryNetwork,
    Peer,
    ScriptedServer,
    WireFrame,
    echo,
    open_peer,
    raw_frame,
)

OpenPeer = Callable[..., AbstractAsyncContextManager[Peer]]


@contextlib.asynccontextmanager
async def by_sockets(handler: Any = echo, **kwargs: Any) -> AsyncIterator[Peer]:
    """A peer over a real socket, and a server of ours."""
    async with LocalServer(handler, **kwargs) as server, open_peer(server.url) as peer:
        yield peer


@contextlib.asynccontextmanager
async def in_memory(handler: Any = echo, **kwargs: Any) -> AsyncIterator[Peer]:
    """A peer in memory, and a server of ours."""
    network = MemoryNetwork()
    async with (
        network.serve(handler, **kwargs),
        open_peer("ws://localhost/", network=network) as peer,
    ):
        yield peer


@pytest.fixture(params=[by_sockets, in_memory])
def opened(request: pytest.FixtureRequest) -> OpenPeer:
    """How a peer is connected to a server."""
    way: OpenPeer = request.param
    return way


async def test_it_talks_as_a_client(opened: OpenPeer, engine: str) -> None:
    async with opened() as peer:
        await peer.send_text("Hello")
        assert await peer.expect_text("Hello") == WireFrame(TEXT, b"Hello")
        await peer.send_binary(bytes(70_000))
        await peer.expect_binary(bytes(70_000))
        await peer.send_ping(b"p")
        await peer.expect_pong(b"p")
        await peer.send_close(1000, "bye")
        assert (await peer.expect_close(1000, "bye")).reason == "bye"
        await peer.expect_eof()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"opcode": TEXT, "rsv": 4}, 1002),
        ({"opcode": TEXT, "mask": False}, 1002),
        ({"opcode": 3}, 1002),
        ({"opcode": CONT}, 1002),
        ({"opcode": PING, "fin": False}, 1002),
        ({"opcode": TEXT, "payload": b"\xff"}, 1007),
        ({"opcode": BINARY, "length": 2**40}, 1009),
    ],
)
async def test_it_violates_the_protocol(
    opened: OpenPeer, engine: str, arguments: dict[str, Any], code: int
) -> None:
    async with opened(compression=None) as peer:
        await peer.send_frame(**arguments)
        await peer.expect_close(code)
        await peer.expect_eof()


async def test_it_dribbles(opened: OpenPeer, engine: str) -> None:
    async with opened() as peer:
        await peer.dribble(raw_frame(TEXT, b"Hello"))
        await peer.expect_text("Hello")


@pytest.mark.parametrize("way", ["half_close", "reset", "close"])
async def test_it_goes_away(opened: OpenPeer, engine: str, way: str) -> None:
    ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def handler(connection: ServerConnection) -> None:
        try:
            await connection.recv()
        except ConnectionClosedError as exc:
            ended.set_result(exc)

    async with opened(handler) as peer:
        getattr(peer, way)()
        exc = await ended
        assert isinstance(exc.__cause__, ConnectionResetError) is (way == "reset")
        if way == "half_close":
            await peer.expect_eof()


async def test_a_peer_that_does_not_read_stops_the_other_end(opened: OpenPeer, engine: str) -> None:
    sent = 0

    async def talk(connection: ServerConnection) -> None:
        nonlocal sent
        while True:
            await connection.send(bytes(100_000))
            sent += 1

    async with opened(talk, compression=None, write_timeout=None, ping_interval=None) as peer:
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        await peer.expect_binary(bytes(100_000))
        while before == sent:
            await peer.expect_binary(bytes(100_000))
        peer.reset()


async def closes(connection: ServerConnection) -> None:
    await connection.send("first")
    await connection.close(1001, "enough")


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        (lambda peer: peer.expect_text("other"), "expected Text 'other', but came: Text 'first'"),
        (lambda peer: peer.expect_binary(), "expected Binary, but came: Text 'first'"),
        (lambda peer: peer.expect_ping(b""), "expected Ping empty, but came: Text 'first'"),
        (lambda peer: peer.expect_frame(fin=False), "expected a frame, but came: Text 'first'"),
        (lambda peer: peer.expect_close(1002), "expected Close 1002, but came: Text 'first'"),
        (lambda peer: peer.expect_eof(), "expected the end of the stream, but came: Text 'first'"),
        (lambda peer: peer.expect_reset(), "expected a reset, but came: Text 'first'"),
        (lambda peer: peer.expect_silence(5), "expected nothing for 5 s, but came: Text 'first'"),
    ],
)
async def test_it_says_what_came_instead(
    opened: OpenPeer, expect: Callable[[Peer], Any], message: str
) -> None:
    async with opened(closes) as peer:
        with pytest.raises(AssertionError) as caught:
            await expect(peer)
        assert str(caught.value) == message


async def test_it_says_what_came_before(opened: OpenPeer) -> None:
    async with opened(closes) as peer:
        await peer.expect_text()
        await peer.send_frame(BINARY, b"ab", fin=False, rsv=5)
        with pytest.raises(AssertionError) as caught:
            await peer.expect_close(1000, "")
        assert str(caught.value) == (
            "expected Close 1000 '', but came: Close 1001 'enough'\n"
            "before it:\n"
            "  < Text 'first'\n"
            "  > Binary b'ab' (not final) RSV1 RSV3"
        )
        peer.close()


async def test_it_waits_no_longer_than_the_deadline(opened: OpenPeer) -> None:
    async with opened() as peer:
        peer.deadline = 0.02
        with pytest.raises(AssertionError, match=r"Text, but came: nothing within 0\.02 s"):
            await peer.expect_text()
        with pytest.raises(AssertionError, match=r"a reset, but came: nothing within 0\.01 s"):
            await peer.expect_reset(deadline=0.01)
        await peer.expect_silence(0.01)
        await peer.send_text("still there")
        await peer.expect_text("still there", deadline=5)


async def test_a_frame_that_stops_in_the_middle_is_shown() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.send(b"\x81\x05Hel")
        await peer.stall()

    async with ScriptedServer(script) as server, open_peer(server.url) as peer:
        with pytest.raises(AssertionError, match=r"nothing within 0\.02 s but b'\\x81\\x05Hel'"):
            await peer.expect_text(deadline=0.02)
        with pytest.raises(AssertionError, match=r"the beginning of a frame, b'\\x81\\x05Hel'"):
            await peer.expect_silence(0.02)


async def test_a_server_that_masks_is_found_out() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.send_frame(TEXT, b"x", mask=True)

    async with ScriptedServer(script) as server, open_peer(server.url) as peer:
        with pytest.raises(AssertionError, match=r"expected Text of a server, but .* 'x', masked"):
            await peer.expect_text()


async def test_pings_are_answered_if_it_is_told_so(engine: str) -> None:
    async def handler(connection: ServerConnection) -> None:
        await (await connection.ping())
        await connection.send("after the pong")
        await connection.wait_closed()

    async with LocalServer(handler) as server:
        async with open_peer(server.url, answers_pings=True) as peer:
            await peer.expect_text("after the pong")
        async with open_peer(server.url) as peer:
            with pytest.raises(AssertionError, match="expected Text, but came: Ping"):
                await peer.expect_text()


# As a server.


@pytest.mark.parametrize("is_in_memory", [False, True])
async def test_it_plays_a_server(engine: str, is_in_memory: bool) -> None:
    network = MemoryNetwork() if is_in_memory else None

    async def script(peer: Peer) -> None:
        head = await peer.accept("Sec-WebSocket-Protocol: chat")
        assert head.startswith("GET /path HTTP/1.1\r\n")
        await peer.expect_text("Hello")
        await peer.send_text("back")
        await peer.expect_close(1000)
        await peer.send_close(1000)
        peer.close()

    async with ScriptedServer(script, network=network) as server:
        arguments: dict[str, Any] = {"subprotocols": ["chat"], "compression": None}
        uri = f"{server.url}/path"
        connecting = (
            connect(uri, proxy=None, **arguments)
            if network is None
            else network.connect(uri, **arguments)
        )
        async with connecting as ws:
            assert ws.subprotocol == "chat"
            await ws.send("Hello")
            assert await ws.recv() == "back"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_spoils_the_opening_handshake(engine: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect_head("GET ")
        await peer.send(b"HTTP/1.1 101 Switching\r\n\r\n")
        await peer.expect_eof()

    async def no_http(peer: Peer) -> None:
        await peer.expect_head()
        await peer.send(b"220 smtp.example.com ESMTP\r\n")
        await peer.expect_eof()

    async with ScriptedServer(script) as server:
        with pytest.raises(InvalidHandshake):
            await connect(server.url, proxy=None)
    async with ScriptedServer(no_http) as server:
        with pytest.raises(InvalidMessage):
            await connect(server.url, proxy=None)


async def test_an_opening_handshake_that_is_refused_is_shown() -> None:
    async with LocalServer(origins=["http://a.example"]) as server:
        with pytest.raises(AssertionError, match=r"HTTP/1\.1 403"):
            async with open_peer(server.url, "Origin: http://b.example"):
                pytest.fail("it was opened")


async def test_what_goes_wrong_in_a_script_is_raised_at_the_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.expect_text("Hello")

    with pytest.raises(AssertionError, match="expected Text 'Hello', but came: Close 1000"):
        async with ScriptedServer(script) as server:
            ws = await connect(server.url, proxy=None, close_timeout=1)
            await ws.close()


async def test_a_script_that_does_not_end_is_an_error() -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="a script had not ended"):
        async with ScriptedServer(script, deadline=0.05) as server:
            await connect(server.url, proxy=None)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_script_is_cancelled_when_the_test_fails_anyway() -> None:
    async def script(peer: Peer) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError):
        async with ScriptedServer(script) as server, await Peer.connect(server.url) as peer:
            await peer.send(b"x")
            await asyncio.sleep(0.01)
            raise ZeroDivisionError
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("url", ["wss://localhost/", "http://localhost/", "localhost", "ws:///x"])
async def test_a_peer_connects_to_ws_urls(url: str) -> None:
    with pytest.raises(ValueError, match="ws:// URLs"):
        await Peer.connect(url)


async def test_nobody_listens() -> None:
    async with LocalServer() as server:
        url = server.url
    with pytest.raises(ConnectionRefusedError):
        await Peer.connect(url)
    with pytest.raises(ConnectionRefusedError):
        await Peer.connect("ws://localhost", network=MemoryNetwork())
