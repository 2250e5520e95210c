"""Sending, pings, closing, and what users ask of a connection, whichever end they are."""

from __future__ import annotations

import array
import asyncio
import contextlib
import functools
import gc
import logging
import re
import socket
import uuid
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.asyncio.pair import pair, raw_and_server, turns
from tests.attacks.raw import (
    BINARY,
    CLOSE,
    CONT,
    DEFLATE,
    PING,
    PONG,
    TEXT,
    RawFrame,
    close_payload,
    echo,
    echo_server,
    frame,
    raw_server,
    uri_of,
)

from wirebird.asyncio.client import ClientConnection, connect
from wirebird.asyncio.deadlines import Deadlines
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.core.extensions.base import Extension
from wirebird.core.frames import Frame
from wirebird.core.handshake.key import accept_key
from wirebird.core.rules import Opcode
from wirebird.core.types import ExtensionName
from wirebird.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    ProtocolError,
)
from wirebird.protocol import State
from wirebird.testing import FakeClock, memory_pair

# send.


@pytest.mark.parametrize(
    ("message", "text", "expected"),
    [
        ("é", None, RawFrame(TEXT, "é".encode())),
        ("é", True, RawFrame(TEXT, "é".encode())),
        ("é", False, RawFrame(BINARY, "é".encode())),
        (b"\xff", None, RawFrame(BINARY, b"\xff")),
        (b"hi", True, RawFrame(TEXT, b"hi")),
        (bytearray(b"hi"), None, RawFrame(BINARY, b"hi")),
        (memoryview(b"hi"), None, RawFrame(BINARY, b"hi")),
        (memoryview(b"hi"), True, RawFrame(TEXT, b"hi")),
        (memoryview(b"h.i.")[::2], None, RawFrame(BINARY, b"hi")),
        (memoryview(array.array("H", [1, 2])), None, RawFrame(BINARY, b"\1\0\2\0")),
        ("", None, RawFrame(TEXT, b"")),
        (b"", None, RawFrame(BINARY, b"")),
    ],
)
async def test_a_message_is_one_frame(message: Any, text: bool | None, expected: RawFrame) -> None:
    async with raw_and_server() as (peer, ws):
        await ws.send(message, text=text)
        assert await peer.frame() == expected


async def test_wide_memoryviews_of_a_client_too() -> None:
    async with pair() as (client, server):
        await client.send(memoryview(array.array("H", [1, 2, 3])))
        assert await server.recv() == b"\1\0\2\0\3\0"


async def never_ending() -> AsyncIterator[str]:
    yield "a"
    await asyncio.Event().wait()


async def each(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("items", "text", "expected"),
    [
        (["a", "b"], None, [(TEXT, b"a"), (CONT, b"b"), (CONT, b"")]),
        ([b"a", bytearray(b"b")], None, [(BINARY, b"a"), (CONT, b"b"), (CONT, b"")]),
        (["a"], False, [(BINARY, b"a"), (CONT, b"")]),
        ([b"a", memoryview(b"b")], True, [(TEXT, b"a"), (CONT, b"b"), (CONT, b"")]),
    ],
)
async def test_iterables_are_fragments(
    items: list[Any], text: bool | None, expected: list[tuple[int, bytes]], is_async: bool
) -> None:
    async with raw_and_server() as (peer, ws):
        await ws.send(each(*items) if is_async else items, text=text)
        frames = [await peer.frame() for _ in expected]
        assert [(f.opcode, f.payload) for f in frames] == expected
        assert [f.fin for f in frames] == [False] * (len(expected) - 1) + [True]


@pytest.mark.parametrize("nothing", [[], lambda: iter(()), each])
async def test_nothing_is_sent_for_an_empty_iterable(nothing: Any) -> None:
    async with raw_and_server() as (peer, ws):
        await ws.send(nothing() if callable(nothing) else nothing)  # made anew for each engine
        await ws.send("next")
        assert await peer.frame() == RawFrame(TEXT, b"next")


@pytest.mark.parametrize("wrong", [None, 42, {"a": 1}, object(), [1], [None], lambda: each(1)])
async def test_what_is_no_message_is_refused_and_the_connection_goes_on(wrong: Any) -> None:
    async with raw_and_server() as (peer, ws):
        with pytest.raises(TypeError):
            await ws.send(wrong() if callable(wrong) else wrong)
        await ws.send("fine")
        assert await peer.frame() == RawFrame(TEXT, b"fine")


async def test_a_dict_is_told_what_to_do() -> None:
    async with raw_and_server() as (_, ws):
        with pytest.raises(TypeError, match=r"keys\(\)"):
            await ws.send({"a": "b"})


def raising() -> Iterator[str]:
    yield "a"
    raise ZeroDivisionError


async def raising_async() -> AsyncIterator[str]:
    yield "a"
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (raising, ZeroDivisionError),
        (raising_async, ZeroDivisionError),
        (["a", b"b"], TypeError),
        ([b"a", "b"], TypeError),
        (["a", 1], TypeError),
        (["a", "\ud800"], UnicodeEncodeError),
    ],
)
async def test_an_error_within_a_message_fails_the_connection(
    message: Any, error: type[Exception]
) -> None:
    async with raw_and_server() as (peer, ws):
        with pytest.raises(error):
            await ws.send(message() if callable(message) else message)
        assert (await peer.frame()).fin is False
        close = await peer.frame()
        assert (close.code, close.reason) == (1011, "error in fragmented message")
        assert await peer.rest() == b""
        peer.close()
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.send("more")
        assert isinstance(caught.value.__cause__, error)


async def test_a_str_that_is_no_text_is_refused_and_the_connection_goes_on() -> None:
    async with raw_and_server() as (peer, ws):
        with pytest.raises(UnicodeEncodeError):
            await ws.send("\ud800")
        await ws.send("fine")
        assert (await peer.frame()).payload == b"fine"


async def test_a_fragmented_send_that_is_cancelled_fails_the_connection() -> None:
    async with raw_and_server() as (peer, ws):
        sending = asyncio.create_task(ws.send(never_ending()))
        assert (await peer.frame()).payload == b"a"
        sending.cancel()
        assert (await peer.frame()).code == 1011


async def test_other_sends_wait_for_the_end_of_a_fragmented_message() -> None:
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[str]:
        yield "a"
        await go_on.wait()
        yield "b"

    async with raw_and_server() as (peer, ws):
        sends = [asyncio.create_task(ws.send(slow()))]
        await turns()
        sends.append(asyncio.create_task(ws.send("c")))
        sends.append(asyncio.create_task(ws.send(["d", "e"])))
        await turns()
        await ws.ping(b"meanwhile")
        assert (await peer.frame()).payload == b"a"
        assert (await peer.frame()).opcode == PING  # control frames do not wait
        assert not any(send.done() for send in sends)
        go_on.set()
        await asyncio.gather(*sends)
        payloads = [(await peer.frame()).payload for _ in range(6)]
        assert payloads == [b"b", b"", b"c", b"d", b"e", b""]


async def test_fragmented_messages_that_begin_together_do_not_mix() -> None:
    """Each waits for its first fragment, and finds that the other has begun."""

    async def late(name: str) -> AsyncIterator[str]:
        for part in range(3):
            await asyncio.sleep(0)
            yield f"{name}{part}"

    async with pair() as (client, server):
        await asyncio.gather(*(client.send(late(name)) for name in "abcd"))
        messages = [await server.recv() for _ in range(4)]
        assert sorted(map(str, messages)) == [f"{n}0{n}1{n}2" for n in "abcd"]


async def test_compression_can_be_left_out_for_one_message() -> None:
    async with raw_and_server(DEFLATE, compression="deflate") as (peer, ws):
        await ws.send("x" * 1000)
        await ws.send("x" * 1000, compress=False)
        first, second = await peer.frame(), await peer.frame()
        assert first.rsv == 4
        assert len(first.payload) < 100
        assert second == RawFrame(TEXT, b"x" * 1000)


# Backpressure of the network.


def shrink(ws: Any) -> None:
    ws.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


async def test_send_waits_for_a_peer_that_does_not_keep_up_and_then_goes_on() -> None:
    async with raw_and_server(receive_buffer=4096, write_limit=(20_000, 5_000)) as (peer, ws):
        shrink(ws)
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < 100:
                await ws.send(bytes(10_000))
                sent += 1

        sending = asyncio.create_task(send())
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.02)
        assert sent < 100
        assert 5_000 < ws.link.buffered_bytes() <= 40_000
        for _ in range(100):
            assert len((await peer.frame()).payload) == 10_000
        await sending


async def test_a_ping_waits_too() -> None:
    async with raw_and_server(receive_buffer=4096, write_limit=1000) as (peer, ws):
        shrink(ws)
        sending = asyncio.create_task(ws.send(bytes(500_000)))
        await turns()
        pinging = asyncio.create_task(ws.ping())
        await turns()
        assert not pinging.done()
        await peer.frame()
        await asyncio.gather(sending, pinging)


async def test_a_send_that_waits_ends_when_the_connection_does() -> None:
    async with raw_and_server(receive_buffer=4096) as (peer, ws):
        shrink(ws)
        sending = asyncio.create_task(ws.send(bytes(1_000_000)))
        await turns()
        assert not sending.done()
        peer.reset()
        with pytest.raises(ConnectionClosedError):
            await sending


async def test_a_send_that_waits_can_be_cancelled() -> None:
    async with raw_and_server(receive_buffer=4096) as (peer, ws):
        shrink(ws)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ws.send(bytes(500_000))
        assert len((await peer.frame()).payload) == 500_000  # it was on its way
        await ws.send("next")
        assert (await peer.frame()).payload == b"next"


async def test_the_peer_is_cut_when_it_takes_nothing() -> None:
    async with raw_and_server(receive_buffer=4096, write_timeout=0.1) as (_, ws):
        shrink(ws)
        with pytest.raises(ConnectionClosedError) as caught:
            while True:
                await ws.send(bytes(100_000))
        assert str(caught.value.__cause__) == "the peer took nothing for 0.1 seconds"


# Pings and pongs.


async def test_a_pong_tells_the_round_trip_time() -> None:
    async with pair() as (client, server):
        assert client.latency == 0
        latency = await (await client.ping())
        assert latency > 0
        assert client.latency == latency
        assert await (await server.ping("é")) > 0
        assert await (await server.ping(bytearray(b"x"))) > 0


async def test_a_later_pong_answers_earlier_pings() -> None:
    async with raw_and_server() as (peer, ws):
        pongs = [await ws.ping(name) for name in ("a", "b", "c")]
        await peer.send(frame(PONG, b"b"))
        await asyncio.gather(*pongs[:2])
        await turns()
        assert not asyncio.ensure_future(pongs[2]).done()


async def test_pongs_that_nobody_asked_for_are_passed_over() -> None:
    async with raw_and_server() as (peer, ws):
        ping = asyncio.ensure_future(await ws.ping("a"))
        await peer.send(frame(PONG, b"b"), frame(PONG), frame(TEXT, b"hi"))
        assert await ws.recv() == "hi"
        assert not ping.done()


async def test_a_ping_twice_with_the_same_payload() -> None:
    async with raw_and_server() as (peer, ws):
        await ws.ping("same")
        with pytest.raises(ConcurrencyError, match="already waiting for a pong"):
            await ws.ping("same")
        await peer.send(frame(PONG, b"same"))
        await peer.send(frame(TEXT, b"hi"))
        await ws.recv()
        await ws.ping("same")


async def test_pings_without_a_payload_have_one_of_their_own() -> None:
    async with raw_and_server() as (peer, ws):
        for _ in range(100):
            await ws.ping()
        payloads = {(await peer.frame()).payload for _ in range(100)}
        assert len(payloads) == 100
        assert {len(payload) for payload in payloads} == {4}


async def test_a_ping_that_is_not_awaited_any_more() -> None:
    async with raw_and_server() as (peer, ws):
        ping = asyncio.ensure_future(await ws.ping("a"))
        ping.cancel()
        await peer.send(frame(PONG, b"a"), frame(TEXT, b"hi"))
        assert await ws.recv() == "hi"


@pytest.mark.parametrize("method", ["ping", "pong"])
async def test_payloads_of_control_frames(method: str) -> None:
    async with raw_and_server() as (peer, ws):
        with pytest.raises(ProtocolError, match="126 bytes"):
            await getattr(ws, method)(bytes(126))
        with pytest.raises(TypeError):
            await getattr(ws, method)(42)
        await getattr(ws, method)(bytes(125))
        assert (await peer.frame()).payload == bytes(125)


async def test_a_pong_unasked() -> None:
    async with raw_and_server() as (peer, ws):
        await ws.pong()
        await ws.pong("é")
        assert await peer.frame() == RawFrame(PONG, b"")
        assert await peer.frame() == RawFrame(PONG, "é".encode())


async def test_pings_that_wait_learn_of_the_end() -> None:
    async with raw_and_server() as (peer, ws):
        ping, ignored = await ws.ping(), await ws.ping()
        peer.reset()
        with pytest.raises(ConnectionClosedError):
            await ping
        del ignored
        gc.collect()
        with pytest.raises(ConnectionClosedError):
            await ws.ping()
        with pytest.raises(ConnectionClosedError):
            await ws.pong()


async def test_keepalive_keeps_a_connection_alive() -> None:
    async with pair(ping_interval=0.01, ping_timeout=1) as (client, server):
        while not (client.latency and server.latency):
            await asyncio.sleep(0.005)
        assert client.state is server.state is State.OPEN


async def test_no_keepalive() -> None:
    async with raw_and_server(ping_interval=None) as (peer, ws):
        assert ws.next_deadline() is None
        await ws.send("hi")
        assert (await peer.frame()).opcode == TEXT


async def test_keepalive_without_a_timeout_pings_and_does_not_give_up() -> None:
    async with raw_and_server(ping_interval=0.01, ping_timeout=None) as (peer, ws):
        assert (await peer.frame()).opcode == PING
        await asyncio.sleep(0.1)
        assert ws.state is State.OPEN


async def test_one_who_does_not_answer_is_given_up() -> None:
    async with raw_and_server(ping_interval=0.01, ping_timeout=0.05, close_timeout=0.05) as (
        _,
        ws,
    ):
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.recv()
        assert caught.value.rcvd is None
        assert str(caught.value.sent) == "1011 (internal error) keepalive ping timeout"
        assert str(caught.value) == (
            "sent 1011 (internal error) keepalive ping timeout; no close frame received"
        )


# close.


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going"), (4999, "é" * 61)])
async def test_close_waits_for_the_peer_and_for_tcp(code: int, reason: str) -> None:
    async with raw_and_server() as (peer, ws):
        closing = asyncio.create_task(ws.close(code, reason))
        close = await peer.frame()
        assert (close.code, close.reason) == (code, reason)
        assert ws.state is State.CLOSING
        assert (ws.close_code, ws.close_reason) == (None, None)
        await peer.send(frame(CLOSE, close.payload))
        assert await peer.rest() == b""
        await turns()
        assert not closing.done()
        peer.close()
        await closing
        assert ws.protocol.state is State.CLOSED
        assert (ws.close_code, ws.close_reason) == (code, reason)


async def test_close_again_and_at_once() -> None:
    async with pair() as (client, server):
        await asyncio.gather(
            client.close(), client.close(), server.close(), client.wait_closed(), server.close(1001)
        )
        await client.close()
        await server.close(1011, "too late")
        assert client.close_code == server.close_code
        assert client.close_code in (1000, 1001)


@pytest.mark.parametrize(("code", "reason"), [(1006, ""), (999, ""), (5000, ""), (1000, "x" * 124)])
async def test_close_with_what_cannot_be_sent(code: int, reason: str) -> None:
    async with raw_and_server() as (_, ws):
        with pytest.raises(ProtocolError):
            await ws.close(code, reason)
        assert ws.state is State.OPEN


async def test_close_does_not_wait_for_ever() -> None:
    async with raw_and_server(close_timeout=0.05) as (peer, ws):
        await ws.close()
        assert (ws.close_code, ws.close_reason) == (1006, "")
        assert str(ws.protocol.close_exc) == "sent 1000 (OK); no close frame received"
        assert str(ws.protocol.close_exc.__cause__) == "timed out while closing connection"
        assert (await peer.frame()).code == 1000


async def test_cancelling_close_goes_on_closing() -> None:
    async with raw_and_server(close_timeout=0.05) as (_, ws):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ws.close()
        await ws.wait_closed()


async def test_close_in_the_middle_of_a_message_of_ours() -> None:
    async with raw_and_server() as (peer, ws):
        sending = asyncio.create_task(ws.send(never_ending()))
        assert (await peer.frame()).payload == b"a"
        closing = asyncio.create_task(ws.close())
        close = await peer.frame()
        assert (close.code, close.reason) == (1011, "close during fragmented message")
        peer.close()
        await closing
        sending.cancel()


async def test_what_is_done_after_the_end_says_how_it_ended() -> None:
    async with pair() as (client, server):
        await server.close(1001, "bye")
        for end, text in (
            (client, "received 1001 (going away) bye; then sent 1001 (going away) bye"),
            (server, "sent 1001 (going away) bye; then received 1001 (going away) bye"),
        ):
            for call in (end.recv, end.ping, end.pong, lambda end=end: end.send("x")):
                with pytest.raises(ConnectionClosedOK) as caught:
                    await call()
                assert str(caught.value) == text
            with pytest.raises(ConnectionClosedOK):
                await end.send(["a", "b"])
            await end.close()
            await end.wait_closed()
            assert [message async for message in end] == []


async def test_a_send_while_closing_waits_for_the_end() -> None:
    async with raw_and_server() as (peer, ws):
        closing = asyncio.create_task(ws.close())
        await peer.frame()
        sending = asyncio.create_task(ws.send("too late"))
        await turns()
        assert not sending.done()
        await peer.send(frame(CLOSE, close_payload(1000)))
        peer.half_close()
        with pytest.raises(ConnectionClosedOK):
            await sending
        await closing
        assert await peer.rest() == b""


async def test_leaving_the_context() -> None:
    for error, code in ((None, 1000), (ZeroDivisionError(), 1011)):
        async with echo_server() as server:
            with contextlib.suppress(ZeroDivisionError):
                async with connect(uri_of(server), proxy=None) as ws:
                    if error is not None:
                        raise error
            assert ws.close_code == code


# What users ask.


async def test_what_there_is_to_know() -> None:
    async with pair(subprotocols=["chat"]) as (client, server):
        assert client.local_address == server.remote_address
        assert client.remote_address == server.local_address
        assert client.remote_address[0] == "127.0.0.1"
        assert client.subprotocol == server.subprotocol == "chat"
        assert client.state is State.OPEN
        assert isinstance(client.id, uuid.UUID)
        assert client.id != server.id
        assert client.request is not None
        assert server.request is not None
        assert client.request.headers == server.request.headers
        assert client.response is not None
        assert server.response is not None
        assert client.response.headers == server.response.headers
        assert client.response.status_code == 101
        assert client.protocol.state is State.OPEN
        assert [extension.name for extension in client.protocol.extensions] == [
            "permessage-deflate"
        ]
        assert client.close_code is None


async def test_before_it_is_open() -> None:
    states: list[object] = []

    async def process_request(ws: Any, _: object) -> None:
        states.append(ws.state)
        for call in (ws.recv, ws.ping, ws.pong, lambda: ws.send("x")):
            with pytest.raises(InvalidState, match="connection is connecting"):
                await call()

    async with pair(server={"process_request": process_request}) as (client, server):
        await client.send("hi")
        assert await server.recv() == "hi"
    assert states == [State.CONNECTING]


async def test_trace_is_told_of_each_frame() -> None:
    async with pair() as (client, server):
        seen: list[tuple[bool, Frame]] = []
        client.trace = lambda sent, frame: seen.append((sent, frame))
        await client.send("a" * 100)
        await client.send(["b", "c"])
        await server.send(b"d")
        assert await client.recv() == b"d"
        await (await client.ping("e"))
        client.trace = None
        await client.send("not seen")
        assert [(sent, int(f.opcode), bytes(f.data), f.fin) for sent, f in seen] == [
            (True, TEXT, b"a" * 100, True),
            (True, TEXT, b"b", False),
            (True, CONT, b"c", False),
            (True, CONT, b"", True),
            (False, BINARY, b"d", True),
            (True, PING, b"e", True),
            (False, PONG, b"e", True),
        ]


# Logs.


async def test_logs_name_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with pair() as (client, server):
        client.logger.warning("mine")
        record = caplog.records[-1]
        assert record.name == "wirebird.client"
        assert record.websocket.id == client.id  # type: ignore[attr-defined]
        assert isinstance(client.logger, logging.LoggerAdapter)
        server.logger.warning("mine")
        assert caplog.records[-1].name == "wirebird.server"


async def test_frames_are_logged_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "wirebird")
    async with pair() as (client, server):
        assert client.debug
        await client.send("hello")
        assert await server.recv() == "hello"
    of_client = [r.getMessage() for r in caplog.records if r.name == "wirebird.client"]
    of_server = [r.getMessage() for r in caplog.records if r.name == "wirebird.server"]
    for message in (
        "= connection is CONNECTING",
        "> GET / HTTP/1.1",
        "< HTTP/1.1 101 Switching Protocols",
        "= connection is OPEN",
        "= connection is CLOSED",
    ):
        assert message in of_client
    for message in (
        "= connection is CONNECTING",
        "< GET / HTTP/1.1",
        "> HTTP/1.1 101 Switching Protocols",
        "= connection is OPEN",
        "= connection is CLOSED",
    ):
        assert message in of_server
    assert any(line.startswith("> TEXT 'hello'") for line in of_client)
    assert any(line.startswith("< TEXT 'hello'") for line in of_server)
    assert any(line.startswith("> CLOSE 1000 (OK)") for line in of_client)
    assert any(line.startswith("< CLOSE 1000 (OK)") for line in of_server)


async def test_without_debugging_nothing_is_logged_of_a_frame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "wirebird")
    async with pair() as (client, server):
        await client.send("hello")
        await server.recv()
    assert not [r for r in caplog.records if r.levelno < logging.INFO]


# Nothing is left behind.


async def test_connections_that_ended_are_let_go() -> None:
    seen: list[weakref.ref[Any]] = []

    async def handler(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # a log would keep its traceback
            await echo(connection)

    async with serve(handler, "127.0.0.1", 0) as server:
        for way in ("close", "abort") * 5:
            ws = await connect(uri_of(server), proxy=None)
            await ws.send("hi")
            assert await ws.recv() == "hi"
            seen.append(weakref.ref(ws))
            seen.extend(weakref.ref(other) for other in server.connections)
            if way == "abort":
                ws.transport.abort()
                await ws.wait_closed()
            else:
                await ws.close()
        del ws
        while server.all_connections or server.handler_tasks:
            await asyncio.sleep(0)
    await turns()
    gc.collect()
    assert [ref for ref in seen if ref() is not None] == []
    deadlines = Deadlines.of(asyncio.get_running_loop())
    assert not deadlines._schedule
    assert deadlines._schedule.next_time is None


async def test_connections_that_failed_to_open_are_let_go() -> None:
    seen: list[weakref.ref[Any]] = []

    class Noted(ClientConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            seen.append(weakref.ref(self))

    async def talk(peer: Any) -> None:
        await peer.head()

    async with raw_server(talk) as uri:
        for _ in range(5):
            with pytest.raises(Exception, match="did not receive a valid HTTP response"):
                await connect(uri, proxy=None, create_connection=Noted)
    await turns()
    gc.collect()
    assert len(seen) == 5
    assert [ref for ref in seen if ref() is not None] == []


async def test_an_end_that_nobody_looks_at_is_no_error() -> None:
    """What is left unread is no exception that the loop reports."""
    async with raw_and_server() as (peer, ws):
        await ws.ping()
        await peer.send(frame(TEXT, b"unread"))
        peer.reset()
        await ws.wait_closed()
    gc.collect()
    with pytest.raises(ConnectionClosed):
        raise ws.protocol.close_exc


async def test_a_trace_that_raises_is_logged_and_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def trace(sent: bool, frame: Frame) -> None:
        raise LookupError("of the tracer")

    async with pair() as (ours, theirs):
        ours.trace = trace
        await ours.send("tea")
        assert await theirs.recv() == "tea"
        await theirs.send("milk")
        assert await ours.recv() == "milk"
    assert "trace failed" in caplog.text
    assert "of the tracer" in caplog.text


async def test_frames_that_come_with_the_101_are_traced() -> None:
    traced: list[str] = []

    class Traced(ClientConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.trace = lambda sent, frame: traced.append(f"{sent} {frame}")

    async def serve_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"Sec-WebSocket-Key: (.*)\r\n", head)
        assert key is not None
        accept = accept_key(key[1].decode()).encode()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n\x89\x03tea\x88\x02\x03\xe8"
        )
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve_at_once, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ws = await connect(f"ws://127.0.0.1:{port}", create_connection=Traced, close_timeout=0.1)
        await ws.wait_closed()
    assert traced == [
        "False PING 'tea' [text, 3 bytes]",
        "True PONG 'tea' [text, 3 bytes]",
        "False CLOSE 1000 (OK) [2 bytes]",
        "True CLOSE 1000 (OK) [2 bytes]",
    ]


async def test_a_transport_that_takes_nothing_any_more_ends_the_connection() -> None:
    async with pair() as (ours, theirs):
        ours.transport.write_eof()  # behind the connection's back
        with pytest.raises(ConnectionClosedError) as caught:
            await ours.send("tea")
            await ours.recv()
        assert isinstance(caught.value.__cause__, RuntimeError)
        await theirs.wait_closed()


async def test_an_extension_that_fails_while_sending_ends_the_connection() -> None:
    class Failing(Extension):
        name = ExtensionName("x-failing")

        def encode(self, frame: Frame) -> Frame:
            if frame.opcode == TEXT:
                raise LookupError("no word for it")
            return frame

        def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
            return frame

    async with pair(compression=None, engine="python") as (ours, theirs):
        assert ours._core is not None
        ours._core._outbound.extensions = (Failing(),)
        with pytest.raises(LookupError, match="no word for it"):
            await ours.send("tea")
        with pytest.raises(ConnectionClosedError):
            await theirs.recv()
        assert theirs.close_code == 1011


async def test_who_sends_without_ever_waiting_is_told_of_the_end() -> None:
    async with memory_pair(write_limit=2**30) as pair:

        async def send_always() -> None:
            while True:
                await pair.client.send("x")
                if not pair.wire.to_server.is_held:
                    pair.wire.hold()
                    pair.wire.to_server.reset()

        with pytest.raises(ConnectionClosedError):
            await send_always()


async def test_both_ends_ping_from_the_first_interval_on(fake_clock: FakeClock) -> None:
    pings: list[tuple[str, float]] = []
    begin = fake_clock.time()

    def note(end: str, sent: bool, frame: Frame) -> None:
        if sent and frame.opcode is Opcode.PING:
            pings.append((end, round(fake_clock.time() - begin, 3)))

    async with memory_pair(ping_interval=0.5, open_timeout=10) as (client, server):
        client.trace = functools.partial(note, "client")
        server.trace = functools.partial(note, "server")
        await fake_clock.advance(1.2)
    assert sorted(pings) == [("client", 0.5), ("client", 1.0), ("server", 0.5), ("server", 1.0)]
