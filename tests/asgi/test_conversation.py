"""What an application receives and sends, where uvicorn's own class says nothing of it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect
from tests.asgi.serving import logged, serving, talking
from tests.attacks.raw import MIB, TEXT, RawPeer, close_payload, frame, opened, request

from wirebird.asyncio.client import connect
from wirebird.exceptions import ConnectionClosed, InvalidStatus
from wirebird.typing import Subprotocol

START, BODY = "websocket.http.response.start", "websocket.http.response.body"


async def accepted(receive: Any, send: Any, **event: Any) -> None:
    """Take the request, and accept it."""
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", **event})


# Receiving.


async def test_a_cancelled_receive_loses_nothing() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await receive()
        receiving = asyncio.create_task(receive())
        await asyncio.sleep(0)
        receiving.cancel()
        await send({"type": "websocket.send", "text": "go"})
        for _ in range(2):
            await send({"type": "websocket.send", "text": (await receive())["text"]})

    async with talking(app) as (_, ws):
        assert await ws.recv() == "go"
        await ws.send("one")
        await ws.send("two")
        assert [await ws.recv(), await ws.recv()] == ["one", "two"]


async def test_several_tasks_receive_one_message_each() -> None:
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        tasks = [asyncio.create_task(receive()) for _ in range(4)]
        await asyncio.sleep(0)
        tasks[0].cancel()  # the others do not wait for it
        await send({"type": "websocket.send", "text": "go"})
        await asyncio.wait(tasks)
        got.extend(task.result() for task in tasks[1:])
        await send({"type": "websocket.send", "text": "done"})

    async with talking(app) as (_, ws):
        assert await ws.recv() == "go"
        for text in ("1", "2", "3"):
            await ws.send(text)
        assert await ws.recv() == "done"
    assert sorted(event["text"] for event in got) == ["1", "2", "3"]


async def test_the_last_event_is_received_again() -> None:
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        got.append(await receive())
        got[0]["code"] = 1  # an application may do what it likes with it
        got.append(await receive())
        got.extend(await asyncio.gather(receive(), receive()))

    async with talking(app) as (_, ws):
        await ws.close(4000, "done")
    assert [event["code"] for event in got] == [1, 4000, 4000, 4000]


async def test_the_end_is_received_before_tcp_has_ended() -> None:
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        sending = asyncio.create_task(send({"type": "websocket.send", "bytes": bytes(10 * MIB)}))
        assert (await receive())["code"] == 4000
        assert not sending.done()
        with pytest.raises(OSError):
            await send({"type": "websocket.send", "text": "late"})
        ended.set()
        with pytest.raises(OSError):
            await sending

    async with serving(app) as running, await opened(running.port) as peer:
        await peer.send(frame(8, close_payload(4000)))
        await ended.wait()
        assert running.state.connections  # the client has not read what it was sent


async def test_messages_before_the_close_come_first() -> None:
    got: list[Any] = []
    sent = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        await sent.wait()
        while (event := await receive())["type"] == "websocket.receive":
            got.append(event["text"])
        got.append(event["code"])

    async with talking(app) as (_, ws):
        for text in "abc":
            await ws.send(text)
        closing = asyncio.create_task(ws.close(1001))
        await asyncio.sleep(0)
        sent.set()
        await closing
    assert got == ["a", "b", "c", 1001]


async def test_receiving_while_another_task_accepts() -> None:
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        receiving = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await send({"type": "websocket.accept"})
        got.append(await receiving)

    async with talking(app) as (_, ws):
        await ws.send("hello")
        with pytest.raises(ConnectionClosed):
            await ws.recv()
    assert got == [{"type": "websocket.receive", "text": "hello"}]


async def test_receiving_while_another_task_closes() -> None:
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        receiving = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await send({"type": "websocket.close", "code": 4001})
        got.append(await receiving)

    async with talking(app) as (_, ws):
        with pytest.raises(ConnectionClosed):
            await ws.recv()
    assert [event["code"] for event in got] == [4001]


async def test_starlette_sees_why_a_client_is_gone() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        ws = WebSocket(scope, receive, send)
        await ws.accept()
        await ws.send_text("hello")
        try:
            await ws.receive_text()
        except WebSocketDisconnect as exc:
            seen.append((exc.code, exc.reason))

    async with serving(app) as running:
        peer = await opened(running.port)
        await peer.frame()
        peer.reset()
        while running.state.tasks:
            await asyncio.sleep(0)
    assert seen == [(1006, "")]


# Sending.


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({}, "text that is str, not NoneType"),
        ({"text": None, "bytes": None}, "text that is str, not NoneType"),
        ({"text": b"bytes"}, "text that is str, not bytes"),
        ({"text": ["a", "b"]}, "text that is str, not list"),
        ({"bytes": "text"}, "bytes that is bytes-like, not str"),
        ({"bytes": [b"a"]}, "bytes that is bytes-like, not list"),
    ],
)
async def test_messages_that_are_none(event: dict[str, Any], error: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        with pytest.raises(TypeError, match=error):
            await send({"type": "websocket.send", **event})
        await send({"type": "websocket.send", "text": "fine", "bytes": None})
        await send({"type": "websocket.send", "text": None, "bytes": bytearray(b"fine")})
        await send({"type": "websocket.close"})

    async with talking(app) as (_, ws):
        assert [message async for message in ws] == ["fine", b"fine"]


async def test_text_that_has_no_utf8() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        with pytest.raises(UnicodeEncodeError):
            await send({"type": "websocket.send", "text": "\ud800"})
        await send({"type": "websocket.send", "text": "fine"})

    async with talking(app) as (_, ws):
        assert await ws.recv() == "fine"


@pytest.mark.parametrize(
    "event",
    [
        {"headers": [(b"x-a", b"b\r\nSet-Cookie: c")]},
        {"headers": [(b"x a", b"b")]},
        {"headers": [(b"Sec-WebSocket-Accept", b"mine")]},
        {"headers": [(b"Upgrade", b"h2c")]},
        {"headers": [(b"content-length", b"0")]},
        {"subprotocol": "a\r\nb: c"},
        {"subprotocol": "a, b"},
        {"subprotocol": ""},
        {"subprotocol": "a", "headers": [(b"sec-websocket-protocol", b"b")]},
    ],
)
async def test_an_answer_that_cannot_be_sent(event: dict[str, Any]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(RuntimeError, match="cannot be sent"):
            await send({"type": "websocket.accept", **event})
        await send({"type": "websocket.accept", "headers": [(b"x-fine", b"yes")]})

    async with talking(app) as (_, ws):
        assert ws.response is not None
        assert ws.response.headers["x-fine"] == "yes"
        assert "x-a" not in ws.response.headers
        assert ws.subprotocol is None


async def test_a_subprotocol_among_the_headers() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["subprotocols"] == ["a", "b"]
        await accepted(receive, send, headers=[(b"sec-websocket-protocol", b"b")])
        connection = scope["extensions"]["wirebird"]["connection"]
        await send({"type": "websocket.send", "text": connection.subprotocol})

    async with (
        serving(app) as running,
        connect(running.uri(), proxy=None, subprotocols=[Subprotocol("a"), Subprotocol("b")]) as ws,
    ):
        assert ws.subprotocol == "b"
        assert await ws.recv() == "b"


async def test_closing_after_the_client_is_nothing_new() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        await receive()
        connection = scope["extensions"]["wirebird"]["connection"]
        await connection.wait_closed()
        await send({"type": "websocket.close"})

    with logged() as log:
        async with talking(app):
            pass
    assert log.errors == []


@pytest.mark.parametrize(
    ("code", "reason"), [(999, ""), (1005, ""), (5000, ""), (1000, "ü" * 62), (1000, "\ud800")]
)
async def test_a_close_that_cannot_be_sent(code: int, reason: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        with pytest.raises(Exception, match=r"close|code|reason|surrogates"):
            await send({"type": "websocket.close", "code": code, "reason": reason})
        await send({"type": "websocket.close", "code": 4000, "reason": "this can"})

    async with talking(app) as (_, ws):
        await ws.wait_closed()
        assert (ws.close_code, ws.close_reason) == (4000, "this can")


# Responses of the application's own.


async def test_a_response_in_pieces_goes_out_as_they_come() -> None:
    goes_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": START, "status": 418, "headers": [(b"X-Tea", b"green")]})
        await send({"type": BODY, "body": b"one ", "more_body": True})
        await goes_on.wait()
        await send({"type": BODY, "body": b"two", "more_body": True})
        await send({"type": BODY})
        assert (await receive())["code"] == 1006

    async with serving(app) as running, await RawPeer.connect(running.port) as peer:
        await peer.send(request())
        head = await peer.head()
        assert head.startswith("HTTP/1.1 418 I'm a Teapot\r\n")
        assert "X-Tea: green\r\n" in head
        assert "Connection: close\r\n" in head
        assert "server: uvicorn\r\n" in head
        assert "Content-Length" not in head
        assert "Transfer-Encoding: chunked\r\n" in head
        assert await peer.exactly(9) == b"4\r\none \r\n"
        goes_on.set()
        assert await peer.rest() == b"3\r\ntwo\r\n0\r\n\r\n"


async def test_a_response_in_pieces_of_a_known_length() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": START, "status": 400, "headers": [(b"content-length", b"7")]})
        await send({"type": BODY, "body": b"one ", "more_body": True})
        await send({"type": BODY, "body": b"two"})

    async with serving(app) as running:
        with pytest.raises(InvalidStatus) as caught:
            await connect(running.uri(), proxy=None)
    assert caught.value.response.body == b"one two"
    assert "Transfer-Encoding" not in caught.value.response.headers


@pytest.mark.parametrize("status", [200, 204, 302, 404, 599])
async def test_a_whole_response(status: int) -> None:
    body = b"" if status == 204 else b"see elsewhere"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-length", b"13"), (b"connection", b"keep-alive"), (b"a", b"b")]
        headers += [(b"transfer-encoding", b"chunked"), (b"location", b"/there")]
        await send({"type": START, "status": status, "headers": headers})
        await send({"type": BODY, "body": body})

    async with serving(app) as running, await RawPeer.connect(running.port) as peer:
        await peer.send(request())
        head = await peer.head()
        assert head.startswith(f"HTTP/1.1 {status} ")
        assert ("Content-Length: 13\r\n" in head) == (status != 204)
        assert head.count("onnection: ") == 1
        assert "ransfer-" not in head
        assert await peer.rest() == body


@pytest.mark.parametrize("status", [101, 100, 600, -1])
async def test_a_status_that_refuses_nothing(status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(RuntimeError, match="HTTP status"):
            await send({"type": START, "status": status, "headers": []})
        await send({"type": START, "status": 400, "headers": []})
        with pytest.raises(TypeError, match="body"):
            await send({"type": BODY, "body": "text"})
        await send({"type": BODY, "body": b"no"})

    async with serving(app) as running:
        with pytest.raises(InvalidStatus) as caught:
            await connect(running.uri(), proxy=None)
    assert (caught.value.response.status_code, caught.value.response.body) == (400, b"no")


async def test_a_response_that_was_only_begun() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": START, "status": 400, "headers": []})

    async with serving(app) as running:
        with pytest.raises(InvalidStatus) as caught:
            await connect(running.uri(), proxy=None)
    assert caught.value.response.status_code == 500


async def test_a_response_that_breaks_off_does_not_look_whole() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": START, "status": 400, "headers": []})
        await send({"type": BODY, "body": b"part", "more_body": True})
        raise ZeroDivisionError

    with logged() as log:
        async with serving(app) as running, await RawPeer.connect(running.port) as peer:
            await peer.send(request())
            await peer.head()
            assert await peer.rest() == b"4\r\npart\r\n"  # and no chunk that is the last
    assert log.errors == ["ZeroDivisionError"]


async def test_a_client_that_leaves_during_a_response() -> None:
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": START, "status": 400, "headers": []})
        await send({"type": BODY, "body": b"part", "more_body": True})
        begun.set()
        assert (await receive())["code"] == 1006
        with pytest.raises(OSError):
            await send({"type": BODY, "body": b"part", "more_body": True})

    with logged() as log:
        async with serving(app) as running:
            peer = await RawPeer.connect(running.port)
            await peer.send(request())
            await begun.wait()
            peer.reset()
            while running.state.tasks:
                await asyncio.sleep(0)
    assert log.errors == []


# The application's end.


async def test_an_application_that_leaves_unread_messages() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)
        await send({"type": "websocket.send", "text": "bye"})

    async with serving(app) as running, await opened(running.port) as peer:
        await peer.send(*(frame(TEXT, b"x" * 1000) for _ in range(100)))
        closed = await peer.close_frame()
        assert closed.code == 1000
        await peer.send(frame(8, close_payload(1000)))
        assert await peer.rest() == b""


async def test_other_tasks_of_an_application_may_send_after_it() -> None:
    raised: list[type[BaseException]] = []
    tasks = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await accepted(receive, send)

        async def later() -> None:
            await ended.wait()
            try:
                await send({"type": "websocket.send", "text": "late"})
            except OSError as exc:
                raised.append(type(exc))

        tasks.append(asyncio.create_task(later()))

    ended = asyncio.Event()
    async with talking(app) as (_, ws):
        await ws.wait_closed()
        ended.set()
        await tasks[0]
    assert [kind.__name__ for kind in raised] == ["ClientDisconnected"]
