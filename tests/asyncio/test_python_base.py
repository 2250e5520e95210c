"""Receiving: what comes is given out once, in order, to one reader, and before the end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from tests.asyncio.pair import pair, raw_and_server, turns
from tests.attacks.raw import BINARY, CLOSE, CONT, PING, TEXT, close_payload, frame

from wirebird.core.rules import State
from wirebird.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    PayloadTooBig,
)

# recv.


@pytest.mark.parametrize(
    ("opcode", "decode", "expected"),
    [
        (TEXT, None, "é"),
        (TEXT, True, "é"),
        (TEXT, False, "é".encode()),
        (BINARY, None, "é".encode()),
        (BINARY, False, "é".encode()),
        (BINARY, True, "é"),
    ],
)
@pytest.mark.parametrize("is_fragmented", [False, True])
async def test_a_message_is_decoded_as_asked(
    opcode: int, decode: bool | None, expected: object, is_fragmented: bool
) -> None:
    async with raw_and_server() as (peer, ws):
        payload = "é".encode()
        if is_fragmented:
            await peer.send(
                frame(opcode, payload[:1], fin=False),
                frame(CONT, fin=False),
                frame(CONT, payload[1:]),
            )
        else:
            await peer.send(frame(opcode, payload))
        message: Any = await ws.recv(decode)
        assert message == expected
        assert type(message) is type(expected)


async def test_binary_that_is_not_utf8_cannot_be_a_str() -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(BINARY, b"\xff"))
        with pytest.raises(ConnectionClosedError) as caught:
            await asyncio.gather(ws.recv(decode=True), peer.rest())
        assert isinstance(caught.value.__cause__, UnicodeDecodeError)
        assert ws.protocol.close_sent is not None
        assert ws.protocol.close_sent.code == 1007


@pytest.mark.parametrize("waits", [True, False])
async def test_messages_come_in_order(waits: bool) -> None:
    async with raw_and_server() as (peer, ws):
        receiving = asyncio.create_task(ws.recv()) if waits else None
        await turns()
        await peer.send(*(frame(TEXT, b"%d" % n) for n in range(1000)))
        received = [] if receiving is None else [await receiving]
        while len(received) < 1000:
            received.append(await ws.recv())
        assert received == [str(n) for n in range(1000)]


async def test_a_message_can_come_byte_by_byte() -> None:
    async with raw_and_server() as (peer, ws):
        receiving = asyncio.create_task(ws.recv())
        for byte in frame(TEXT, "naïve".encode()):
            assert not receiving.done()
            await peer.send(bytes([byte]))
            await turns(3)
        assert await receiving == "naïve"


async def test_control_frames_between_fragments_are_handled_at_once() -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(TEXT, b"a", fin=False), frame(PING, b"now"))
        assert (await peer.frame()).payload == b"now"
        await peer.send(frame(CONT, b"b"))
        assert await ws.recv() == "ab"


async def test_a_second_reader_is_refused_and_the_first_goes_on() -> None:
    async with raw_and_server() as (peer, ws):
        first = asyncio.create_task(ws.recv())
        await turns()
        with pytest.raises(ConcurrencyError, match="cannot call recv while another coroutine"):
            await ws.recv()
        with pytest.raises(ConcurrencyError, match="cannot call recv_streaming while another"):
            await anext(ws.recv_streaming())
        await peer.send(frame(TEXT, b"hi"))
        assert await first == "hi"


async def test_recv_does_nothing_before_it_is_awaited() -> None:
    async with raw_and_server() as (peer, ws):
        not_awaited = ws.recv()
        await peer.send(frame(TEXT, b"hi"))
        assert await ws.recv() == "hi"
        not_awaited.close()


# Cancelling.


async def test_a_timeout_loses_nothing() -> None:
    async with raw_and_server() as (peer, ws):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await ws.recv()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.recv(), 0.001)
        await peer.send(frame(TEXT, b"hi"))
        assert await ws.recv() == "hi"


async def test_cancelled_in_the_middle_of_a_message() -> None:
    async with raw_and_server() as (peer, ws):
        data = frame(TEXT, b"in two", fin=False) + frame(CONT, b" pieces")
        await peer.send(data[:9])
        receiving = asyncio.create_task(ws.recv())
        await turns(10)
        receiving.cancel()
        await turns()
        await peer.send(data[9:])
        assert await ws.recv() == "in two pieces"


@pytest.mark.parametrize("turns_between", range(6))
async def test_cancelled_when_the_message_has_just_come(turns_between: int) -> None:
    """Whichever comes first, the message is in one place: the task's result, or the next call."""
    async with raw_and_server() as (_, ws):
        receiving = asyncio.create_task(ws.recv())
        await turns()
        ws.data_received(frame(TEXT, b"hi"))
        await turns(turns_between)
        receiving.cancel()
        try:
            received = await receiving
        except asyncio.CancelledError:
            received = await ws.recv()
        assert received == "hi"


async def test_cancelled_again_and_again_under_load() -> None:
    """Also where recv lets others run while messages wait."""
    async with raw_and_server(max_queue=None) as (peer, ws):
        count = 2000
        sending = asyncio.create_task(peer.send(*(frame(TEXT, b"%d" % n) for n in range(count))))
        received: list[object] = []

        async def receive() -> None:
            while len(received) < count:
                received.append(await ws.recv())

        while len(received) < count:
            receiving = asyncio.create_task(receive())
            await turns(2)
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await receiving
        await sending
        assert received == [str(n) for n in range(count)]


# The end.


async def test_messages_before_the_end_come_first() -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(
            frame(TEXT, b"one"), frame(TEXT, b"two"), frame(CLOSE, close_payload(1001, "bye"))
        )
        assert (await peer.frame()).code == 1001
        assert await peer.rest() == b""
        peer.close()
        await ws.wait_closed()
        assert [await ws.recv(), await ws.recv()] == ["one", "two"]
        for _ in range(2):
            with pytest.raises(ConnectionClosedOK, match="received 1001"):
                await ws.recv()
        assert (ws.close_code, ws.close_reason) == (1001, "bye")


async def test_messages_before_an_abnormal_end_too() -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(TEXT, b"one"), frame(TEXT, b"two")[:-1])
        peer.half_close()
        await ws.wait_closed()
        assert await ws.recv() == "one"
        with pytest.raises(ConnectionClosedError, match="no close frame received or sent"):
            await ws.recv()
        assert (ws.close_code, ws.close_reason) == (1006, "")


async def test_one_who_waits_learns_of_the_end() -> None:
    async with pair() as (client, server):
        receiving = asyncio.create_task(client.recv())
        await turns()
        await server.close(1012, "restart")
        with pytest.raises(ConnectionClosedError, match="received 1012"):
            await receiving


async def test_messages_that_came_while_we_closed_can_be_received() -> None:
    async with raw_and_server() as (peer, ws):
        closing = asyncio.create_task(ws.close())
        assert (await peer.frame()).code == 1000
        await peer.send(frame(TEXT, b"the last"), frame(CLOSE, close_payload(1000)))
        await peer.rest()
        peer.close()
        await closing
        assert await ws.recv() == "the last"
        with pytest.raises(ConnectionClosedOK):
            await ws.recv()


async def test_a_read_of_what_came_before_the_end_may_find_a_violation() -> None:
    """After TCP has ended nothing can be done about it, but the reader is told; nothing is kept."""
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(BINARY, b"\xff"))
        peer.half_close()
        await ws.wait_closed()
        with pytest.raises(ConnectionClosedError):
            await ws.recv(decode=True)
        assert not ws._deadlines._schedule


# Iteration.


@pytest.mark.parametrize("code", [1000, 1001, None])
async def test_iteration_ends_with_the_connection(code: int | None) -> None:
    async with raw_and_server() as (peer, ws):
        payload = b"" if code is None else close_payload(code)
        await peer.send(frame(TEXT, b"a"), frame(BINARY, b"b"), frame(CLOSE, payload))
        peer.half_close()
        assert [message async for message in ws] == ["a", b"b"]


async def test_iteration_raises_for_another_end() -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(TEXT, b"a"), frame(CLOSE, close_payload(1011)))
        peer.half_close()
        messages = []
        with pytest.raises(ConnectionClosedError):
            async for message in ws:
                messages.append(message)
        assert messages == ["a"]


async def test_iteration_can_be_left_and_begun_again() -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(TEXT, b"a"), frame(TEXT, b"b"), frame(TEXT, b"c"))
        async for message in ws:
            assert message == "a"
            break
        assert await ws.recv() == "b"
        async for message in ws:
            assert message == "c"
            break


# recv_streaming.


async def test_fragments_come_as_they_come() -> None:
    async with raw_and_server() as (peer, ws):
        fragments = ws.recv_streaming()
        await peer.send(frame(TEXT, b"a", fin=False))
        assert await anext(fragments) == "a"
        await peer.send(frame(CONT, b"b", fin=False))
        assert await anext(fragments) == "b"
        await peer.send(frame(CONT, b"c"), frame(TEXT, b"next"))
        assert [fragment async for fragment in fragments] == ["c"]
        assert await ws.recv() == "next"


async def test_a_character_in_two_fragments_is_in_the_second() -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(TEXT, b"a\xc3", fin=False), frame(CONT, b"\xa9b"))
        assert [fragment async for fragment in ws.recv_streaming()] == ["a", "éb"]


@pytest.mark.parametrize(
    ("opcode", "decode", "expected"),
    [(TEXT, False, [b"a", b"b"]), (BINARY, None, [b"a", b"b"]), (BINARY, True, ["a", "b"])],
)
async def test_fragments_are_decoded_as_asked(
    opcode: int, decode: bool | None, expected: list[object]
) -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(opcode, b"a", fin=False), frame(CONT, b"b"))
        assert [fragment async for fragment in ws.recv_streaming(decode)] == expected


async def test_a_message_that_is_streamed_must_be_read_to_its_end() -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(TEXT, b"a", fin=False), frame(CONT, b"b"), frame(TEXT, b"next"))
        async for _ in ws.recv_streaming():
            break
        await turns()
        with pytest.raises(ConcurrencyError):
            await ws.recv()
        with pytest.raises(ConcurrencyError):
            await anext(ws.recv_streaming())


async def test_streaming_cancelled_before_the_first_fragment_loses_nothing() -> None:
    async with raw_and_server() as (peer, ws):
        receiving = asyncio.ensure_future(anext(ws.recv_streaming()))
        await turns()
        receiving.cancel()
        await turns()
        await peer.send(frame(TEXT, b"hi"))
        assert await ws.recv() == "hi"


async def test_a_stream_that_the_end_cuts_off() -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(TEXT, b"a", fin=False))
        fragments = ws.recv_streaming()
        assert await anext(fragments) == "a"
        peer.half_close()
        with pytest.raises(ConnectionClosedError):
            await anext(fragments)
        with pytest.raises(ConnectionClosedError):
            await ws.recv()


async def test_a_fragment_that_is_not_utf8_ends_the_stream() -> None:
    async with raw_and_server() as (peer, ws):
        await peer.send(frame(TEXT, b"a", fin=False), frame(CONT, b"\xff", fin=False))
        received = []
        peer_reads = asyncio.create_task(peer.close_frame())
        with pytest.raises(ConnectionClosedError, match="sent 1007"):
            async for fragment in ws.recv_streaming():
                received.append(fragment)
        assert received == ["a"]
        assert (await peer_reads).code == 1007


# Backpressure.


async def test_reading_pauses_above_the_mark_and_goes_on_below() -> None:
    async with raw_and_server(max_queue=(4, 1)) as (peer, ws):
        await peer.send(*(frame(TEXT, b"%d" % n) for n in range(6)))
        while ws.transport.is_reading():
            await asyncio.sleep(0)
        for n in range(4):
            assert await ws.recv() == str(n)
            assert not ws.transport.is_reading()
        assert await ws.recv() == "4"
        assert ws.transport.is_reading()


async def test_a_hang_up_is_noticed_once_the_messages_are_read() -> None:
    async with raw_and_server(max_queue=1) as (peer, ws):
        await peer.send(*(frame(TEXT, b"x") for _ in range(5)))
        while ws.transport.is_reading():
            await asyncio.sleep(0)
        peer.half_close()
        received = []
        with pytest.raises(ConnectionClosedError):
            while True:
                received.append(await ws.recv())
        assert received == ["x"] * 5


@pytest.mark.parametrize("way", ["half_close", "reset"])
async def test_a_hang_up_ends_a_connection_that_nobody_reads(way: str) -> None:
    """What was not read is not lost by that; after a reset, the kernel may have dropped some."""
    async with raw_and_server(max_queue=1, ping_interval=0.05) as (peer, ws):
        await peer.send(*(frame(TEXT, b"x") for _ in range(5)))
        while ws.transport.is_reading():
            await asyncio.sleep(0)
        await peer.send(frame(TEXT, b"the last"))
        await asyncio.sleep(0.12)  # while the peer is there, reading stays paused
        assert not ws.transport.is_reading()
        getattr(peer, way)()
        await ws.wait_closed()
        received = []
        with pytest.raises(ConnectionClosedError):
            while True:
                received.append(await ws.recv())
        assert received[:5] == ["x"] * 5
        if way == "half_close":
            assert received[5:] == ["the last"]


async def test_a_message_longer_than_all_marks_is_received() -> None:
    async with pair(max_size=None, max_queue=1) as (client, server):
        message = bytes(range(256)) * 20_000
        sending = asyncio.create_task(client.send(message))
        await asyncio.sleep(0.01)
        assert await server.recv() == message
        await sending


async def test_max_size_may_be_of_a_message_and_of_a_frame() -> None:
    async with raw_and_server(max_size=(100, 10)) as (peer, ws):
        await peer.send(frame(TEXT, b"x" * 10, fin=False), frame(CONT, b"x" * 10))
        assert await ws.recv() == "x" * 20
        await peer.send(frame(TEXT, b"x" * 11))
        with pytest.raises(ConnectionClosedError) as caught:
            await asyncio.gather(ws.recv(), peer.rest())
        assert isinstance(caught.value.__cause__, PayloadTooBig)


async def test_cancelled_while_it_waits_for_the_end_of_tcp_it_can_be_called_again() -> None:
    """The peer has ended its direction, and does not take what is still to be sent to it."""
    async with raw_and_server(receive_buffer=4096) as (peer, ws):
        sending = asyncio.ensure_future(ws.send(bytes(8_000_000)))
        await turns()
        peer.half_close()
        while ws.state is not State.CLOSED:
            await asyncio.sleep(0)
        assert not ws.connection_lost_waiter.done()
        for _ in range(2):
            receiving = asyncio.ensure_future(ws.recv())
            await turns()
            receiving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await receiving
        ws.transport.abort()
        with pytest.raises(ConnectionClosedError):
            await ws.recv()
        with pytest.raises(ConnectionClosedError):
            await sending
