"""Broadcasts: one message to many, without waiting for any."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.asyncio.pair import pair, raw_and_server, turns
from tests.attacks.raw import BINARY, DEFLATE, MIB, TEXT, RawFrame, RawPeer, echo_server, uri_of

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection, broadcast, broadcast_wait
from wirebird.exceptions import ConcurrencyError, ConnectionClosedError


@pytest.mark.parametrize(
    ("message", "text", "expected"),
    [
        ("é", None, RawFrame(TEXT, "é".encode())),
        ("é", False, RawFrame(BINARY, "é".encode())),
        (b"hi", None, RawFrame(BINARY, b"hi")),
        (bytearray(b"hi"), True, RawFrame(TEXT, b"hi")),
        (memoryview(b"hi"), None, RawFrame(BINARY, b"hi")),
    ],
)
async def test_a_message_is_one_frame(message: Any, text: bool | None, expected: RawFrame) -> None:
    async with raw_and_server() as (peer, ws):
        broadcast([ws], message, text=text)
        assert await peer.frame() == expected


@pytest.mark.parametrize("message", [None, 1, ["a"], {"a": 1}])
async def test_what_is_no_message(message: Any) -> None:
    with pytest.raises(TypeError):
        broadcast([], message)


async def test_everybody_gets_it() -> None:
    async with echo_server() as server:
        clients = [await connect(uri_of(server), proxy=None) for _ in range(5)]
        broadcast(server.connections, "to all")
        assert [await client.recv() for client in clients] == ["to all"] * 5
        for client in clients:
            await client.close()


async def test_clients_can_too_and_with_compression() -> None:
    async with pair() as (client, server):
        broadcast([client, client], "x" * 1000)
        assert [await server.recv(), await server.recv()] == ["x" * 1000] * 2
    async with raw_and_server(DEFLATE, compression="deflate") as (peer, ws):
        broadcast([ws], "x" * 1000)
        assert (await peer.frame()).rsv == 4


async def test_those_that_are_not_open_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async with raw_and_server() as (peer, ws):
        closing = asyncio.create_task(ws.close())
        await turns()
        broadcast([ws], "too late", raise_exceptions=True)
        assert (await peer.frame()).code == 1000
        peer.half_close()
        await closing
        broadcast([ws], "too late", raise_exceptions=True)
        assert await peer.rest() == b""
    assert not caplog.records


@pytest.mark.parametrize("raises", [False, True])
async def test_those_in_the_middle_of_a_message_are_skipped(
    raises: bool, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[str]:
        yield "a"
        await go_on.wait()

    async with raw_and_server() as (peer, busy), raw_and_server() as (other_peer, other):
        sending = asyncio.create_task(busy.send(slow()))
        assert (await peer.frame()).payload == b"a"
        if raises:
            with pytest.raises(ExceptionGroup, match="skipped broadcast") as caught:
                broadcast([busy, other], "hi", raise_exceptions=True)
            (exc,) = caught.value.exceptions
            assert isinstance(exc, ConcurrencyError)
            assert str(exc) == "sending a fragmented message"
        else:
            broadcast([busy, other], "hi")
            (record,) = caplog.records
            assert "skipped broadcast: " in record.getMessage()
            assert "sending a fragmented message" in record.getMessage()
        assert (await other_peer.frame()).payload == b"hi"
        go_on.set()
        await sending
        assert await peer.frame() == RawFrame(0, b"")


@pytest.mark.parametrize("raises", [False, True])
async def test_a_write_that_fails_does_not_stop_the_others(
    raises: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_and_server() as (_, broken), raw_and_server() as (peer, other):
        broken.transport.write_eof()  # behind the connection's back
        if raises:
            with pytest.raises(ExceptionGroup) as caught:
                broadcast([broken, other], "hi", raise_exceptions=True)
            (exc,) = caught.value.exceptions
            assert str(exc) == "failed to write message"
            assert isinstance(exc.__cause__, RuntimeError)
        else:
            broadcast([broken, other], "hi")
            assert "failed to write message" in caplog.records[0].getMessage()
        assert (await peer.frame()).payload == b"hi"


# Broadcasts that wait.


@contextlib.asynccontextmanager
async def stuck() -> AsyncIterator[tuple[RawPeer, ServerConnection, int]]:
    """A peer that does not read yet, its connection, and how much it has to read."""
    async with raw_and_server(receive_buffer=4096) as (peer, ws):
        size = 4 * MIB  # more than both kernels take
        ws.send_nowait(bytes(size))
        await turns()
        assert ws._is_writing_paused
        yield peer, ws, size


async def test_who_keeps_up_is_not_waited_for() -> None:
    async with pair() as (client, server):
        waiting = broadcast_wait([client, client], bytearray(b"hi"), text=True)
        with pytest.raises(StopIteration):
            waiting.send(None)  # it returned without giving way
        assert [await server.recv(), await server.recv()] == ["hi", "hi"]
    await broadcast_wait([client, server], "closed: left out", raise_exceptions=True)
    with pytest.raises(TypeError):
        await broadcast_wait([], 1)  # type: ignore[arg-type]


async def test_a_slow_one_delays_the_return_and_nobody_else() -> None:
    async with stuck() as (slow_peer, slow, size), raw_and_server() as (peer, other):
        waiting = asyncio.create_task(broadcast_wait([slow, other], "hi"))
        assert (await peer.frame()).payload == b"hi"
        await turns()
        assert not waiting.done()
        assert len((await slow_peer.frame()).payload) == size
        await waiting
        assert (await slow_peer.frame()).payload == b"hi"


async def test_waiting_keeps_its_place_behind_what_is_held() -> None:
    async with stuck() as (peer, ws, _):
        ws.send_nowait("a")
        waiting = asyncio.create_task(broadcast_wait([ws], "b"))
        await turns()
        broadcast([ws], "c")
        await peer.frame()
        assert [(await peer.frame()).payload for _ in range(3)] == [b"a", b"b", b"c"]
        await waiting


@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize("raises", [False, True])
async def test_who_goes_meanwhile_is_told(
    raises: bool, is_held: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with stuck() as (slow_peer, slow, _), raw_and_server() as (peer, other):
        if is_held:
            slow.send_nowait("first")
        waiting = asyncio.create_task(broadcast_wait([slow, other], "hi", raise_exceptions=raises))
        assert (await peer.frame()).payload == b"hi"
        slow_peer.reset()
        if raises:
            with pytest.raises(ExceptionGroup, match="skipped broadcast") as caught:
                await waiting
            (exc,) = caught.value.exceptions
            assert isinstance(exc, ConnectionClosedError)
        else:
            await waiting
            (record,) = caplog.records
            assert "skipped broadcast: " in record.getMessage()
            assert "ConnectionClosedError" in record.getMessage()


async def test_waiting_skips_those_in_the_middle_of_a_message() -> None:
    go_on = asyncio.Event()

    async def fragments() -> AsyncIterator[str]:
        yield "a"
        await go_on.wait()

    async with raw_and_server() as (peer, ws):
        sending = asyncio.create_task(ws.send(fragments()))
        await peer.frame()
        for _ in range(2):  # the second time, something waits for the message's end
            with pytest.raises(ExceptionGroup) as caught:
                await broadcast_wait([ws], "hi", raise_exceptions=True)
            assert isinstance(caught.value.exceptions[0], ConcurrencyError)
            ws.send_nowait("behind")
        go_on.set()
        await sending


async def test_waiting_can_be_cancelled() -> None:
    async with stuck() as (slow_peer, slow, _):
        slow.send_nowait("first")
        waiting = asyncio.create_task(broadcast_wait([slow], "hi"))
        await turns()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await slow_peer.frame()
        assert (await slow_peer.frame()).payload == b"first"
        slow.send_nowait("last")
        assert (await slow_peer.frame()).payload == b"last"
