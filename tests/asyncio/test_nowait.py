"""Peers that do not keep up with what never waits: order, what each policy does, and bounds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.asyncio.pair import pair, raw_and_server, turns
from tests.attacks.raw import (
    BINARY,
    CLOSE,
    CONT,
    MIB,
    TEXT,
    RawFrame,
    RawPeer,
    close_payload,
    frame,
    memory,
    opened,
    port_of,
)

from wirebird.asyncio.client import connect
from wirebird.asyncio.connection import Connection
from wirebird.asyncio.server import ServerConnection, broadcast, serve
from wirebird.core.extensions.base import Extension, ServerExtensionFactory
from wirebird.core.frames import Frame
from wirebird.core.types import ExtensionName
from wirebird.exceptions import ConnectionClosedError, ConnectionClosedOK

OVERHEAD = 150
SMALL = 4096
FILLER = bytes(20_000)


def shrink(ws: Connection) -> None:
    """Let the kernel hold little, so that a peer that does not read is noticed soon."""
    ws.link.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)


@contextlib.asynccontextmanager
async def slow_peer(
    policy: str = "close",
    room: int | None = 10,
    size: int = 2,
    headers: Sequence[str] = (),
    **kwargs: Any,
) -> AsyncIterator[tuple[RawPeer, ServerConnection, int]]:
    """A peer that has not read for a while, the connection to it, and what it has to read first.

    Args:
        policy: for slow consumers.
        room: how many messages may wait.
        size: of them.
        headers: of the request.
        kwargs: of ``serve``.
    """
    limit = None if room is None else room * (size + OVERHEAD)
    arguments = {"slow_consumer": policy, "slow_consumer_bytes": limit, **kwargs}
    async with raw_and_server(*headers, receive_buffer=SMALL, **arguments) as (peer, ws):
        shrink(ws)
        fillers = 0
        while not ws._is_writing_paused:
            ws.send_nowait(FILLER)
            fillers += 1
            await turns(2)
        assert ws._backlog is None
        yield peer, ws, fillers


async def read_fillers(peer: RawPeer, count: int) -> None:
    for _ in range(count):
        assert (await peer.frame()).payload == FILLER


def number(n: int) -> bytes:
    return b"%02d" % n


async def read_all(peer: RawPeer) -> list[RawFrame]:
    """Read up to the Close, and what came before it."""
    frames: list[RawFrame] = []
    while not frames or frames[-1].opcode != CLOSE:
        frames.append(await peer.frame())
    return frames


# Order


async def test_while_a_peer_keeps_up_nothing_is_held() -> None:
    async with raw_and_server() as (peer, ws):
        for n in range(100):
            ws.send_nowait(number(n))
            assert ws._backlog is None
        assert [(await peer.frame()).payload for _ in range(100)] == [number(n) for n in range(100)]
        assert ws.dropped_messages == 0


async def test_what_waits_and_what_does_not_keep_their_order() -> None:
    async def fragments() -> AsyncIterator[bytes]:
        yield b"c"
        await asyncio.sleep(0)
        yield b"C"

    async with slow_peer() as (peer, ws, fillers):
        ws.send_nowait(b"a")
        tasks = [asyncio.create_task(ws.send(b"b"))]
        await turns()
        ws.send_nowait("text")
        tasks.append(asyncio.create_task(ws.send(fragments())))
        await turns()
        ws.send_nowait(b"d")
        tasks.append(asyncio.create_task(ws.send("e")))
        await turns()
        broadcast([ws], "f")
        assert not any(task.done() for task in tasks)
        await read_fillers(peer, fillers)
        expected = [
            RawFrame(BINARY, b"a"),
            RawFrame(BINARY, b"b"),
            RawFrame(TEXT, b"text"),
            RawFrame(BINARY, b"c", fin=False),
            RawFrame(CONT, b"C", fin=False),
            RawFrame(CONT, b""),
            RawFrame(BINARY, b"d"),
        ]
        assert [await peer.frame() for _ in expected] == expected
        # A send that found a fragmented message begun waits for its end, and is then behind "f".
        assert {(await peer.frame()).payload for _ in range(2)} == {b"e", b"f"}
        await asyncio.gather(*tasks)
        assert ws._backlog is None
        assert ws.dropped_messages == 0


async def test_a_send_that_is_cancelled_before_it_began_is_not_sent() -> None:
    async def fragments() -> AsyncIterator[bytes]:
        yield b"fragment"

    async with slow_peer() as (peer, ws, fillers):
        ws.send_nowait(b"a")
        sending = asyncio.create_task(ws.send(b"cancelled"))
        await turns()
        fragmented = asyncio.create_task(ws.send(fragments()))
        await turns()
        ws.send_nowait(b"b")
        sending.cancel()
        fragmented.cancel()
        await asyncio.gather(sending, fragmented, return_exceptions=True)
        assert sending.cancelled()
        assert fragmented.cancelled()
        await read_fillers(peer, fillers)
        assert [(await peer.frame()).payload for _ in range(2)] == [b"a", b"b"]
        await ws.send(b"c")
        assert (await peer.frame()).payload == b"c"


async def test_what_is_held_is_a_copy_of_what_may_change() -> None:
    async with slow_peer() as (peer, ws, fillers):
        message = bytearray(b"before")
        ws.send_nowait(message)
        ws.send_nowait(memoryview(message), text=True)
        message[:] = b"after!"
        await read_fillers(peer, fillers)
        assert await peer.frame() == RawFrame(BINARY, b"before")
        assert await peer.frame() == RawFrame(TEXT, b"before")


async def test_what_does_not_wait_comes_behind_a_fragmented_message() -> None:
    go_on = asyncio.Event()

    async def fragments() -> AsyncIterator[str]:
        yield "a"
        await go_on.wait()
        yield "b"

    async with raw_and_server() as (peer, ws):
        sending = asyncio.create_task(ws.send(fragments()))
        assert await peer.frame() == RawFrame(TEXT, b"a", fin=False)
        ws.send_nowait("behind")
        go_on.set()
        await sending
        assert await peer.frame() == RawFrame(CONT, b"b", fin=False)
        assert await peer.frame() == RawFrame(CONT, b"")
        assert await peer.frame() == RawFrame(TEXT, b"behind")
        assert ws._backlog is None


async def test_too_much_behind_a_fragmented_message() -> None:
    go_on = asyncio.Event()

    async def fragments() -> AsyncIterator[str]:
        yield "a"
        await go_on.wait()
        yield "b"

    async with raw_and_server(slow_consumer_bytes=0) as (peer, ws):
        sending = asyncio.create_task(ws.send(fragments()))
        assert await peer.frame() == RawFrame(TEXT, b"a", fin=False)
        with pytest.raises(ConnectionClosedError, match=r"sent 1013 .* slow consumer"):
            ws.send_nowait("behind")
        assert (await peer.frame()).code == 1013
        go_on.set()
        peer.half_close()
        with pytest.raises(ConnectionClosedError):
            await sending


# What each policy does


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        ("drop-oldest", range(90, 100)),
        ("drop-newest", range(10)),
        ("conflate", range(99, 100)),
    ],
)
async def test_messages_are_dropped_whole(policy: str, left: range) -> None:
    async with slow_peer(policy) as (peer, ws, fillers):
        for n in range(100):
            ws.send_nowait(number(n))
        assert ws.dropped_messages == 100 - len(left)
        await read_fillers(peer, fillers)
        expected = [RawFrame(BINARY, number(n)) for n in left]
        assert [await peer.frame() for _ in left] == expected
        ws.send_nowait(b"goes on")
        assert (await peer.frame()).payload == b"goes on"
        assert ws._backlog is None
        assert ws.dropped_messages == 100 - len(left)  # it counts all there ever were


async def test_a_slow_consumer_is_closed() -> None:
    async with slow_peer("close") as (peer, ws, fillers):
        for n in range(10):
            ws.send_nowait(number(n))
        with pytest.raises(ConnectionClosedError) as caught:
            ws.send_nowait("one more")
        assert caught.value.sent is not None
        assert (caught.value.sent.code, caught.value.sent.reason) == (1013, "slow consumer")
        assert ws.dropped_messages == 11
        with pytest.raises(ConnectionClosedError):
            ws.send_nowait("too late")
        assert ws.dropped_messages == 11
        await read_fillers(peer, fillers)  # what was begun comes, and the Close behind it
        closing = await peer.frame()
        assert (closing.code, closing.reason) == (1013, "slow consumer")


async def test_a_slow_consumer_that_goes_on_reading_nothing_is_cut() -> None:
    async with slow_peer("close", close_timeout=0.1) as (_, ws, _):
        for n in range(10):
            ws.send_nowait(number(n))
        waiting = asyncio.create_task(ws.send("behind"))
        await turns()
        with pytest.raises(ConnectionClosedError, match="1013"):
            ws.send_nowait("one more")
        await ws.wait_closed()
        assert ws.close_code == 1006
        with pytest.raises(ConnectionClosedError, match="1013"):
            await waiting


async def test_a_broadcast_says_whom_it_closed(caplog: pytest.LogCaptureFixture) -> None:
    async with slow_peer("close", room=0) as (_, ws, _), raw_and_server() as (peer, other):
        with pytest.raises(ExceptionGroup) as caught:
            broadcast([ws, other], "hi", raise_exceptions=True)
        (exc,) = caught.value.exceptions
        assert isinstance(exc, ConnectionClosedError)
        assert (await peer.frame()).payload == b"hi"
    async with slow_peer("close", room=0) as (_, ws, _), raw_and_server() as (peer, other):
        broadcast([ws, other], "hi")
        (record,) = caplog.records
        assert "skipped broadcast: " in record.getMessage()
        assert "1013" in record.getMessage()
        assert (await peer.frame()).payload == b"hi"


async def test_no_limit() -> None:
    async with slow_peer("close", room=None) as (peer, ws, fillers):
        for n in range(300):
            ws.send_nowait(n.to_bytes(2, "big") * 10_000)  # 6 MB
        await read_fillers(peer, fillers)
        for n in range(300):
            assert (await peer.frame()).payload == n.to_bytes(2, "big") * 10_000


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest", "conflate"])
async def test_compressed_messages_can_be_read_whatever_was_dropped(policy: str) -> None:
    """What is compressed is sent: else the peer's window would be another than ours."""
    options = {"slow_consumer": policy, "slow_consumer_bytes": 200_000}
    async with pair(server=options, client={"max_queue": 1}) as (client, server):
        shrink(server)
        sent: list[str] = []
        for n in range(3000):
            message = f"{n} " + f"{n * n} {n * n * n}" * 200
            sent.append(message)
            broadcast([server], message)
        assert server.dropped_messages > 100
        received: list[str] = []
        while len(received) < 3000 - server.dropped_messages:
            message = await client.recv(decode=True)
            received.append(message)
        positions = [sent.index(message) for message in received]
        assert positions == sorted(set(positions))
        if policy != "drop-newest":
            assert received[-1] == sent[-1]


@pytest.mark.parametrize("side", ["client", "server"])
async def test_both_sides_have_it(side: str) -> None:
    options: dict[str, Any] = {side: {"slow_consumer": "conflate"}}
    async with pair(**options, compression=None, max_queue=1) as (client, server):
        sender = client if side == "client" else server
        shrink(sender)
        while not sender.dropped_messages:
            sender.send_nowait(bytes(100_000))
            await asyncio.sleep(0)
        assert (client.dropped_messages > 0) is (side == "client")
        assert (server.dropped_messages > 0) is (side == "server")


# The end


@pytest.mark.parametrize("nowait", [False, True])
async def test_closing_sends_what_is_held_first(nowait: bool) -> None:
    async with slow_peer(close_timeout=10) as (peer, ws, fillers):
        ws.send_nowait(b"a")
        waiting = asyncio.create_task(ws.send(b"b"))
        await turns()
        ws.send_nowait(b"c")
        closing = asyncio.create_task(ws.close(4000, "bye"))
        if nowait:
            ws.close_nowait(4000, "bye")
        await read_fillers(peer, fillers)
        frames = await read_all(peer)
        assert [received.payload for received in frames[:-1]] == [b"a", b"b", b"c"]
        assert frames[-1].code == 4000
        peer.half_close()
        await closing
        await asyncio.gather(waiting, return_exceptions=True)
        assert ws.dropped_messages == 0


@pytest.mark.parametrize("how", ["closes", "vanishes"])
async def test_what_is_held_when_the_peer_goes_is_told(how: str) -> None:
    async with slow_peer() as (peer, ws, _):
        ws.send_nowait(b"a")
        waiting = asyncio.create_task(ws.send(b"b"))
        await turns()
        broadcast([ws], b"c")
        if how == "closes":
            await peer.send(frame(CLOSE, close_payload(1000)))
        else:
            peer.reset()
        with pytest.raises(ConnectionClosedOK if how == "closes" else ConnectionClosedError):
            await waiting
        await ws.wait_closed()
        assert ws.dropped_messages == 2
        assert ws._backlog is None


class Fussy(Extension):
    """Fails for one message."""

    name = ExtensionName("x-fussy")

    def encode(self, frame: Frame) -> Frame:
        if bytes(frame.data) == b"bad":
            raise ZeroDivisionError("oh")
        return frame

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        return frame


class FussyFactory(ServerExtensionFactory):
    name = Fussy.name

    def process_request_params(self, params: Any, accepted_extensions: Any) -> Any:
        return [], Fussy()


@pytest.mark.parametrize("waits", [False, True])
async def test_an_extension_that_fails_for_what_was_held(
    waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    header = "Sec-WebSocket-Extensions: x-fussy"
    async with slow_peer(headers=(header,), extensions=[FussyFactory()]) as (peer, ws, fillers):
        ws.send_nowait(b"a")
        sending = asyncio.create_task(ws.send(b"bad")) if waits else None
        await turns()
        if not waits:
            ws.send_nowait(b"bad")
        ws.send_nowait(b"dropped")
        await read_fillers(peer, fillers)
        assert (await peer.frame()).payload == b"a"
        assert (await peer.frame()).code == 1011
        assert ws.dropped_messages == 1
        if sending is not None:
            with pytest.raises(ZeroDivisionError):
                await sending


async def test_a_peer_that_never_reads_costs_what_the_limit_says() -> None:
    """And the others get everything meanwhile."""
    heard = 0
    message = bytes(1000)

    async def silent(ws: ServerConnection) -> None:
        shrink(ws)
        await ws.wait_closed()

    async with (
        serve(silent, "127.0.0.1", 0, compression=None, close_timeout=0.2) as server,
        await opened(port_of(server), receive_buffer=SMALL) as deaf,
        await opened(port_of(server)) as listener,
    ):
        while len(server.connections) < 2:
            await asyncio.sleep(0)
        with memory() as used:
            while len(server.connections) == 2:
                broadcast(server.connections, b"%06d" % heard + message)
                assert (await listener.frame()).payload[:6] == b"%06d" % heard
                heard += 1
        assert heard > 3000
        assert used.peak < 5 * MIB
        assert deaf.sock.fileno() >= 0


# Arguments


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"slow_consumer": "wait"}, "unknown slow_consumer: 'wait'"),
        ({"slow_consumer_bytes": -1}, "slow_consumer_bytes must be at least 0"),
    ],
)
async def test_wrong_arguments(options: Any, expected: str) -> None:
    async def handler(_: ServerConnection) -> None: ...

    with pytest.raises(ValueError, match=expected):
        serve(handler, "127.0.0.1", 0, **options)
    with pytest.raises(ValueError, match=expected):
        connect("ws://127.0.0.1:1", **options)
