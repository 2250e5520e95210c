"""Callback handlers: what is called when, what is not, and who is never delayed by it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import sys
import weakref
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
from tests.asyncio.pair import turns
from tests.attacks.raw import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    RawFrame,
    RawPeer,
    bystander,
    close_payload,
    echo_server,
    frame,
    key_of,
    memory,
    opened,
    port_of,
    raw_server,
    request,
    response,
    uri_of,
)

import wirebird
from wirebird.asyncio.client import ClientConnection, connect
from wirebird.asyncio.handlers import Handler
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.exceptions import ConcurrencyError, ConnectionClosedError

Event = tuple[Any, ...]


class Recorder:
    """Writes down what it is called with; ``ended`` is set at the end of its connection."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.opened = asyncio.Event()
        self.ended = asyncio.Event()
        self.ws: Any = None

    def on_open(self, ws: Any) -> None:
        self.ws = ws
        self.events.append(("open",))
        self.opened.set()

    def on_message(self, ws: Any, message: str | bytes) -> None:
        self.events.append(("message", message))

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        self.events.append(("close", code, reason))
        self.ended.set()

    @property
    def messages(self) -> list[str | bytes]:
        return [event[1] for event in self.events if event[0] == "message"]


class Echo(Recorder):
    """Sends back what comes."""

    def on_message(self, ws: Any, message: str | bytes) -> None:
        super().on_message(ws, message)
        ws.send_nowait(message)


@contextlib.asynccontextmanager
async def served(handler: Any, *headers: str, **kwargs: Any) -> AsyncIterator[RawPeer]:
    """A raw peer of a server with this handler."""
    receive_buffer = kwargs.pop("receive_buffer", None)
    arguments = {"compression": None, "close_timeout": 0.5, **kwargs}
    async with (
        serve(handler, "127.0.0.1", 0, **arguments) as server,
        await RawPeer.connect(port_of(server), receive_buffer=receive_buffer) as peer,
    ):
        await peer.open(*headers)
        yield peer


def texts(*payloads: bytes) -> bytes:
    return b"".join(frame(TEXT, payload) for payload in payloads)


# Order


async def test_open_messages_close() -> None:
    handler = Recorder()
    async with served(handler) as peer:
        await peer.send(texts(b"a"), frame(BINARY, b"b"), frame(CLOSE, close_payload(1001, "bye")))
        assert (await peer.close_frame()).code == 1001
        await handler.ended.wait()
    assert handler.events == [
        ("open",),
        ("message", "a"),
        ("message", b"b"),
        ("close", 1001, "bye"),
    ]


async def test_messages_that_come_with_the_request_come_after_open() -> None:
    handler = Echo()
    async with (
        serve(handler, "127.0.0.1", 0, compression=None) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.send(request(), texts(b"early"))
        assert (await peer.head()).startswith("HTTP/1.1 101 ")
        assert await peer.frame() == RawFrame(TEXT, b"early")
    assert handler.events[:2] == [("open",), ("message", "early")]


@pytest.mark.parametrize("count", [1, 64, 65, 1000])
@pytest.mark.parametrize("vanishes", ["with a reset", "with the end of the stream"])
async def test_a_peer_that_vanishes(count: int, vanishes: str) -> None:
    """All that came is handed out, then the end, which is 1006 and comes once."""
    handler = Recorder()
    async with served(handler) as peer:
        numbers = [str(n) for n in range(count)]
        await peer.send(texts(*(number.encode() for number in numbers)))
        if vanishes == "with a reset":
            await peer.send(frame(PING))
            while (await peer.frame()).opcode != PONG:
                pass
            peer.reset()
        else:
            peer.half_close()
        await handler.ended.wait()
    assert handler.events == [
        ("open",),
        *(("message", number) for number in numbers),
        ("close", 1006, ""),
    ]


async def test_a_class_is_made_once_for_each_connection() -> None:
    made: list[Recorder] = []

    class Mine(Recorder):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    async with serve(Mine, "127.0.0.1", 0) as server:
        assert not made
        for n in range(3):
            async with connect(uri_of(server), proxy=None) as client:
                await client.send(str(n))
        for handler in made:
            await handler.ended.wait()
    assert [handler.messages for handler in made] == [["0"], ["1"], ["2"]]


async def test_an_object_is_shared_and_may_lack_any_other_method() -> None:
    class Collector:
        def __init__(self) -> None:
            self.messages: list[tuple[ServerConnection, str]] = []

        def on_message(self, ws: ServerConnection, message: str) -> None:
            self.messages.append((ws, message))
            ws.send_nowait("got it")

    handler = Collector()
    async with serve(handler, "127.0.0.1", 0) as server:
        for n in range(2):
            async with connect(uri_of(server), proxy=None) as client:
                await client.send(str(n))
                assert await client.recv() == "got it"
    (one, first), (other, second) = handler.messages
    assert (first, second) == ("0", "1")
    assert one is not other


async def test_the_base_class_does_nothing() -> None:
    class Counter(Handler):
        messages = 0

        def on_message(self, ws: Any, message: str | bytes) -> None:
            Counter.messages += 1
            ws.send_nowait(str(self.messages))

    async with served(Counter) as peer:
        await peer.send(frame(PING, b"p"), texts(b"a"), frame(TEXT, b"b", fin=False), frame(CONT))
        assert await peer.frame() == RawFrame(PONG, b"p")
        assert await peer.frame() == RawFrame(TEXT, b"1")
        assert await peer.frame() == RawFrame(TEXT, b"2")
    async with served(Handler) as peer:
        await peer.send(texts(b"a"), frame(CLOSE))
        assert (await peer.close_frame()).code == 1005
    assert wirebird.Handler is Handler


# Sending


def segments_sent(ws: Any) -> int:
    """How many TCP segments with data a connection has sent: tcpi_data_segs_out of tcp(7)."""
    info = ws.link.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    (count,) = struct.unpack_from("I", info, 156)
    assert isinstance(count, int)
    return count


@pytest.mark.skipif(sys.platform != "linux", reason="counts TCP segments by Linux's TCP_INFO")
async def test_replies_to_what_came_together_go_out_in_one_write() -> None:
    handler = Echo()
    async with served(handler) as peer:
        await handler.opened.wait()
        before = segments_sent(handler.ws)
        await peer.send(texts(*[b"x"] * 20))
        assert [await peer.frame() for _ in range(20)] == [RawFrame(TEXT, b"x")] * 20
        assert segments_sent(handler.ws) == before + 1


@pytest.mark.parametrize(
    ("message", "options", "expected"),
    [
        ("é", {}, RawFrame(TEXT, "é".encode())),
        ("é", {"text": False}, RawFrame(BINARY, "é".encode())),
        (b"hi", {}, RawFrame(BINARY, b"hi")),
        (bytearray(b"hi"), {"text": True}, RawFrame(TEXT, b"hi")),
        (memoryview(b"hi"), {}, RawFrame(BINARY, b"hi")),
    ],
)
async def test_what_is_sent(message: Any, options: Any, expected: RawFrame) -> None:
    handler = Recorder()
    async with served(handler) as peer:
        await handler.opened.wait()
        handler.ws.send_nowait(message, **options)
        assert await peer.frame() == expected


@pytest.mark.parametrize("message", [None, 1, ["a"], {"a": 1}])
async def test_what_is_no_message(message: Any) -> None:
    handler = Recorder()
    async with served(handler):
        await handler.opened.wait()
        with pytest.raises(TypeError, match="data must be str or bytes-like"):
            handler.ws.send_nowait(message)


async def test_compression_can_be_left_out() -> None:
    handler = Recorder()
    extension = "Sec-WebSocket-Extensions: permessage-deflate"
    async with served(handler, extension, compression="deflate") as peer:
        await handler.opened.wait()
        handler.ws.send_nowait("x" * 100)
        handler.ws.send_nowait("x" * 100, compress=False)
        assert (await peer.frame()).rsv == 4
        assert await peer.frame() == RawFrame(TEXT, b"x" * 100)


async def test_sending_to_a_connection_that_is_closing_or_closed() -> None:
    handler = Recorder()
    async with served(handler) as peer:
        await handler.opened.wait()
        handler.ws.close_nowait(1000, "enough")
        with pytest.raises(ConnectionClosedError) as caught:
            handler.ws.send_nowait("too late")
        assert caught.value.rcvd is None
        assert caught.value.sent is not None
        assert (caught.value.sent.code, caught.value.sent.reason) == (1000, "enough")
        handler.ws.close_nowait(4000)  # it is closing already
        assert (await peer.frame()).reason == "enough"
        await peer.send(frame(CLOSE, close_payload(1000)))
        await handler.ended.wait()
        with pytest.raises(wirebird.ConnectionClosedOK):
            handler.ws.send_nowait("too late")


async def test_before_the_handshake_nothing_can_be_sent() -> None:
    refusals: list[str] = []

    def process_request(ws: ServerConnection, _: Any) -> None:
        with pytest.raises(wirebird.InvalidState) as caught:
            ws.send_nowait("early")
        refusals.append(str(caught.value))
        with pytest.raises(wirebird.InvalidState) as caught:
            ws.close_nowait()
        refusals.append(str(caught.value))

    async with served(Recorder(), process_request=process_request):
        assert refusals == ["connection is connecting"] * 2


async def test_a_wrong_code_changes_nothing() -> None:
    handler = Echo()
    async with served(handler) as peer:
        await handler.opened.wait()
        with pytest.raises(wirebird.ProtocolError):
            handler.ws.close_nowait(1006)
        await peer.send(texts(b"on"))
        assert await peer.frame() == RawFrame(TEXT, b"on")


async def test_coroutines_can_send_without_waiting_too() -> None:
    async def handler(ws: ServerConnection) -> None:
        async for message in ws:
            ws.send_nowait(message)
            ws.send_nowait("again")

    async with served(handler) as peer:
        await peer.send(texts(b"a"))
        assert [(await peer.frame()).payload for _ in range(2)] == [b"a", b"again"]


# What a method may do


async def test_closing_in_a_method() -> None:
    class OneOnly(Recorder):
        def on_message(self, ws: Any, message: str | bytes) -> None:
            super().on_message(ws, message)
            if message == "1":
                ws.send_nowait("last words")
                ws.close_nowait(4000, "enough")

    handler = OneOnly()
    async with served(handler) as peer:
        await peer.send(texts(b"1", b"2"))
        assert await peer.frame() == RawFrame(TEXT, b"last words")
        assert (await peer.frame()).code == 4000
        await peer.send(texts(b"3"), frame(CLOSE, close_payload(4000)))
        await handler.ended.wait()
    # As for coroutines: what the peer sent before its Close has come.
    assert handler.messages == ["1", "2", "3"]
    assert handler.events[-1] == ("close", 4000, "")


@pytest.mark.parametrize("method", ["on_open", "on_message"])
async def test_closing_at_once_or_cutting(method: str) -> None:
    class Cutting(Recorder):
        pass

    def cut(self: Recorder, ws: Any, *message: Any) -> None:
        getattr(Recorder, method)(self, ws, *message)
        ws.transport.abort()

    setattr(Cutting, method, cut)
    handler = Cutting()
    async with served(handler) as peer:
        await peer.try_send(texts(b"a"))
        with contextlib.suppress(ConnectionResetError):
            await peer.rest()
        await handler.ended.wait()
    assert handler.events[0] == ("open",)
    assert handler.events[-1] == ("close", 1006, "")
    assert [event[0] for event in handler.events].count("close") == 1


@pytest.mark.parametrize("method", ["__init__", "on_open", "on_message", "on_ping"])
async def test_an_error_is_logged_and_ends_that_connection(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[Recorder] = []

    class Faulty(Recorder):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("oh")

    setattr(Faulty, method, fail)
    async with (
        serve(Faulty, "127.0.0.1", 0, compression=None) as server,
        await opened(port_of(server)) as peer,
    ):
        await peer.send(frame(PING), texts(b"a", b"b"))
        closing = await peer.close_frame()
        assert (closing.code, closing.reason) == (1011, "")
        await peer.send(texts(b"c"), frame(CLOSE, close_payload(1011)))
        await peer.rest()
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "connection handler failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    for handler in made:  # nothing is handed out after an error, but the end is told
        assert len(handler.messages) <= (2 if method == "on_ping" else 0)
        assert handler.events[-1] == ("close", 1011, "")


async def test_an_error_at_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Recorder):
        def on_close(self, ws: Any, code: int, reason: str) -> None:
            super().on_close(ws, code, reason)
            raise ZeroDivisionError("oh")

    handler = Faulty()
    async with served(handler) as peer:
        await peer.send(frame(CLOSE))
        await handler.ended.wait()
    assert [event[0] for event in handler.events] == ["open", "close"]
    assert [record.getMessage() for record in caplog.records] == ["connection handler failed"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("method", ["on_message", "on_ping"])
def test_what_ends_the_program_passes(kind: type[BaseException], method: str) -> None:
    class Ending(Recorder):
        pass

    def end(*_: object) -> None:
        raise kind("now")

    setattr(Ending, method, end)

    async def main() -> None:
        async with served(Ending) as peer:
            await peer.send(frame(PING), texts(b"a"))
            await peer.close_frame()

    with pytest.raises(kind):
        asyncio.run(main())


# All methods are plain functions


@pytest.mark.parametrize(
    "name", ["on_open", "on_message", "on_fragment", "on_close", "on_ping", "on_pong"]
)
async def test_coroutine_functions_are_refused(name: str) -> None:
    async def method(*_: object) -> None: ...

    members = {"on_message": Recorder.on_message, name: method}
    kind = type("Wrong", (), members)
    for handler in (kind, kind()):
        with pytest.raises(TypeError, match=f"{name} must be a plain function"):
            serve(handler, "127.0.0.1", 0)
        with pytest.raises(TypeError, match=f"{name} must be a plain function"):
            connect("ws://127.0.0.1:1", handler=handler)


@pytest.mark.parametrize("handler", [object(), object, lambda ws: None, 1])
async def test_a_client_needs_a_handler_with_methods(handler: Any) -> None:
    with pytest.raises(TypeError, match="handler must have a method on_message"):
        connect("ws://127.0.0.1:1", handler=handler)


# Control frames and fragments


async def test_pings_and_pongs() -> None:
    class Listening(Echo):
        def on_ping(self, ws: Any, payload: bytes) -> None:
            self.events.append(("ping", payload))
            ws.send_nowait("pinged")

        def on_pong(self, ws: Any, payload: bytes) -> None:
            self.events.append(("pong", payload))

    handler = Listening()
    async with served(handler) as peer:
        await peer.send(frame(PING, b"p"))
        assert await peer.frame() == RawFrame(PONG, b"p")
        assert await peer.frame() == RawFrame(TEXT, b"pinged")
        pong = await handler.ws.ping(b"q")
        assert await peer.frame() == RawFrame(PING, b"q")
        await peer.send(frame(PONG, b"q"), frame(PONG, b"not asked for"))
        await pong
    assert handler.events[1:3] == [("ping", b"p"), ("pong", b"q")]


class ByFragment(Recorder):
    def on_fragment(self, ws: Any, data: str | bytes, final: bool) -> None:
        self.events.append(("fragment", data, final))


async def test_fragments() -> None:
    handler = ByFragment()
    async with served(handler) as peer:
        await peer.send(frame(TEXT, "aé".encode()[:2], fin=False))
        await turns()
        await peer.send(frame(CONT, "é".encode()[1:], fin=False), frame(CONT, b""))
        await peer.send(frame(BINARY, b"whole"), frame(CLOSE))
        await handler.ended.wait()
    assert handler.events[1:-1] == [
        ("fragment", "a", False),
        ("fragment", "é", False),
        ("fragment", "", True),
        ("fragment", b"whole", True),
    ]


async def test_fragments_come_before_the_message_is_complete() -> None:
    handler = ByFragment()
    async with served(handler) as peer:
        await peer.send(frame(TEXT, b"first", fin=False), frame(PING))
        await peer.frame()
        assert handler.events[1:] == [("fragment", "first", False)]


async def test_a_violation_ends_a_connection() -> None:
    handler = Recorder()
    async with served(handler) as peer:
        await peer.send(texts(b"good", b"\xff", b"never seen"))
        assert (await peer.close_frame()).code == 1007
        peer.half_close()
        await handler.ended.wait()
    assert handler.events == [("open",), ("message", "good"), ("close", 1006, "")]


# Fairness and backpressure


async def test_a_turn_has_an_end(engine: str) -> None:
    """What the loop has to do otherwise comes between so many messages and the next."""
    most = {"python": 64, "native": 256}[engine]

    class Watching(Recorder):
        seen: ClassVar[list[int]] = []

        def on_message(self, ws: Any, message: str | bytes) -> None:
            super().on_message(ws, message)
            if message == "0":
                loop = asyncio.get_running_loop()
                loop.call_soon(lambda: self.seen.append(len(self.messages)))

    handler = Watching()
    async with served(handler) as peer:
        numbers = [b"%d" % n for n in range(1000)]
        await peer.send(texts(*numbers), frame(CLOSE))
        await handler.ended.wait()
    assert handler.seen[0] <= most
    assert handler.messages == [number.decode() for number in numbers]


async def test_a_peer_that_does_not_read_is_not_read_from() -> None:
    handler = Echo()
    message = bytes(32 * 1024)
    messages = frame(BINARY, message) * 2000  # 64 MB
    async with served(handler, receive_buffer=16 * 1024) as peer:
        with memory() as measured:
            sending = asyncio.create_task(peer.send(messages))
            await handler.opened.wait()
            while not handler.ws._core.is_paused:
                handler.events = [("message", len(handler.messages))]  # memory is the server's
                await asyncio.sleep(0)
        assert not sending.done()
        assert handler.ws._backlog is None  # what could not go out was not even asked for
        assert measured.peak < 4 * 2**20
        for _ in range(2000):
            assert (await peer.frame()).payload == message
        await sending


async def test_a_handler_is_told_when_it_can_write_again() -> None:
    class Pushing(Recorder):
        def on_writable(self, ws: Any) -> None:
            self.events.append(("writable",))

    handler = Pushing()
    async with served(handler, receive_buffer=4096, slow_consumer_bytes=None) as peer:
        await handler.opened.wait()
        for n in range(300):
            handler.ws.send_nowait(n.to_bytes(2, "big") * 32 * 1024)
        await turns()
        assert ("writable",) not in handler.events
        for n in range(300):
            assert (await peer.frame()).payload[:2] == n.to_bytes(2, "big")
        await turns()
        assert handler.events.count(("writable",)) == 1


# Servers


async def test_a_connection_has_no_task() -> None:
    handler = Recorder()
    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server), proxy=None):
            await handler.opened.wait()
            await turns()
            assert not server.handler_tasks
            assert server.connections == {handler.ws}
        await handler.ended.wait()
        assert not server.all_connections


async def test_closing_a_server_closes_and_waits() -> None:
    handler = Recorder()
    server = await serve(handler, "127.0.0.1", 0)
    async with connect(uri_of(server), proxy=None) as client:
        await handler.opened.wait()
        server.close(code=1012, reason="later")
        await server.wait_closed()
        assert handler.events == [("open",), ("close", 1012, "later")]
        with pytest.raises(ConnectionClosedError):
            await client.recv()


async def test_closing_a_server_can_leave_connections_alone() -> None:
    handler = Echo()
    server = await serve(handler, "127.0.0.1", 0)
    async with connect(uri_of(server), proxy=None) as client:
        await handler.opened.wait()
        server.close(close_connections=False)
        closed = asyncio.create_task(server.wait_closed())
        await client.send("still here")
        assert await client.recv() == "still here"
        await turns()
        assert not closed.done()
    await closed
    assert handler.ended.is_set()


async def test_a_refused_handshake_makes_no_handler() -> None:
    def refuse(ws: ServerConnection, _: Any) -> Any:
        return ws.respond(403, "no")

    def make() -> None:
        raise AssertionError("made")

    kind = type("Never", (Recorder,), {"__init__": lambda _: make()})
    async with serve(kind, "127.0.0.1", 0, process_request=refuse) as server:
        with pytest.raises(wirebird.InvalidStatus):
            await connect(uri_of(server), proxy=None)


async def test_others_are_served_while_one_floods() -> None:
    class Plain:
        def on_message(self, ws: ServerConnection, message: str | bytes) -> None:
            ws.send_nowait(message)

    async with (
        serve(Plain, "127.0.0.1", 0, compression=None) as server,
        bystander(server),
        await opened(port_of(server)) as peer,
    ):
        flood = asyncio.create_task(peer.send(frame(TEXT) * 100_000))
        for _ in range(100_000):
            assert (await peer.frame()).opcode == TEXT
        await flood


# Clients


async def test_a_client() -> None:
    handler = Recorder()
    async with (
        echo_server() as server,
        connect(uri_of(server), proxy=None, handler=handler) as ws,
    ):
        assert handler.events == [("open",)]
        assert handler.ws is ws
        ws.send_nowait("a")
        await ws.send("b")
        while len(handler.messages) < 2:
            await asyncio.sleep(0.001)
    assert handler.events[1:] == [("message", "a"), ("message", "b"), ("close", 1000, "")]


async def test_messages_that_come_with_the_response() -> None:
    async def talk(peer: RawPeer) -> None:
        head = await peer.head()
        await peer.send(
            response(key_of(head)),
            frame(TEXT, b"early", mask=False),
            frame(CLOSE, close_payload(1000), mask=False),
        )
        await peer.close_frame()

    handler = Recorder()
    async with raw_server(talk) as uri:
        ws = await connect(uri, proxy=None, handler=handler)
        assert handler.events[:2] == [("open",), ("message", "early")]
        await ws.wait_closed()
    assert handler.events[2:] == [("close", 1000, "")]


async def test_messages_cannot_be_received_otherwise() -> None:
    handler = Recorder()
    async with (
        echo_server() as server,
        connect(uri_of(server), proxy=None, handler=handler) as ws,
    ):
        with pytest.raises(ConcurrencyError, match="cannot call recv: messages go to the"):
            await ws.recv()
        with pytest.raises(ConcurrencyError, match="cannot call recv: messages go to the"):
            await anext(aiter(ws))
        with pytest.raises(ConcurrencyError, match="cannot call recv_streaming: messages go"):
            await anext(aiter(ws.recv_streaming()))


async def test_connecting_again_makes_a_new_handler() -> None:
    made: list[Recorder] = []

    class Mine(Recorder):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    async def greet_and_leave(ws: ServerConnection) -> None:
        await ws.send("hello")

    async with serve(greet_and_leave, "127.0.0.1", 0) as server:
        connections: list[ClientConnection] = []
        async for ws in connect(uri_of(server), proxy=None, handler=Mine):
            connections.append(ws)
            await ws.wait_closed()
            if len(connections) == 3:
                break
    expected = [("open",), ("message", "hello"), ("close", 1000, "")]
    assert [handler.events for handler in made] == [expected] * 3
    assert [handler.ws for handler in made] == connections


async def test_a_failed_connect_makes_no_handler() -> None:
    made: list[object] = []

    class Mine:
        def __init__(self) -> None:
            made.append(self)

        def on_message(self, ws: Any, message: Any) -> None: ...

    async def talk(peer: RawPeer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(talk) as uri:
        with pytest.raises(wirebird.InvalidStatus):
            await connect(uri, proxy=None, handler=Mine)
    assert not made


async def test_nothing_keeps_a_closed_connection_alive() -> None:
    class Forgetful:
        def on_message(self, ws: Any, message: Any) -> None:
            ws.send_nowait(message)

    references: list[weakref.ref[Any]] = []

    class Mine(Forgetful):
        def on_open(self, ws: Any) -> None:
            references.extend([weakref.ref(ws), weakref.ref(self)])

    async with serve(Mine, "127.0.0.1", 0) as server:
        async with connect(uri_of(server), proxy=None) as client:
            await client.send("a")
            await client.recv()
        await turns()
        del client
        gc.collect()
        assert [reference() for reference in references] == [None, None]
