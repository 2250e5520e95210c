"""The Wirebird connection in the hands of an application: broadcast, callbacks, what ASGI lacks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from tests.asgi.serving import OURS, logged, serving, talking

from wirebird import broadcast
from wirebird.asgi import WebSocketProtocol, connection_of, run_handler
from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection
from wirebird.exceptions import ConcurrencyError, ConnectionClosed, InvalidState


async def test_a_connection_is_a_server_connection_of_wirebird() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        ws = WebSocket(scope, receive, send)
        connection = connection_of(ws)
        assert connection is connection_of(scope)
        assert connection is scope["extensions"]["wirebird"]["connection"]
        with pytest.raises(InvalidState):
            connection.send_nowait("too early")
        await ws.accept()
        latency = await (await connection.ping())
        seen.append((latency > 0, connection.latency > 0, connection.request.path))
        seen.append(connection.remote_address == scope["client"])
        connection.send_nowait("no waiting")
        await connection.send(["in ", "fragments"])
        await ws.send_text("and by ASGI")
        await connection.close(4002, "by Wirebird")
        seen.append((await ws.receive())["code"])

    async with talking(app, "/a?b") as (_, client):
        messages = [await client.recv() for _ in range(3)]
        await client.wait_closed()
        assert client.close_code == 4002
    assert messages == ["no waiting", "in fragments", "and by ASGI"]
    assert seen == [(True, True, "/a?b"), True, 4002]
    assert issubclass(WebSocketProtocol, ServerConnection)


async def test_broadcast_from_a_fastapi_application() -> None:
    app = FastAPI()
    room: set[ServerConnection] = set()

    @app.websocket("/")
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        connection = connection_of(websocket)
        room.add(connection)
        try:
            async for text in websocket.iter_text():
                broadcast(room, text)
        finally:
            room.discard(connection)

    async with talking(app) as (running, first), connect(running.uri(), proxy=None) as second:
        while len(room) < 2:
            await asyncio.sleep(0)
        assert next(iter(room)).server.connections == room
        await first.send("hello")
        assert [await first.recv(), await second.recv()] == ["hello", "hello"]


async def test_a_connection_in_the_place_of_asgi() -> None:
    """What is received by the connection itself is not missed by ASGI."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        connection = connection_of(scope)
        await connection.send(await connection.recv())
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        receiving = asyncio.create_task(connection.recv())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="recv"):
            await receive()
        await send({"type": "websocket.send", "text": "go on"})
        await connection.send(await receiving)

    async with talking(app) as (_, ws):
        for text in ("one", "two"):
            await ws.send(text)
        assert [await ws.recv() for _ in range(3)] == ["one", "two", "go on"]
        await ws.send("three")
        assert await ws.recv() == "three"


class Echo:
    """Notes what it is called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def on_open(self, ws: Any) -> None:
        self.calls.append("open")

    def on_message(self, ws: Any, message: Any) -> None:
        if message == "raise":
            raise ZeroDivisionError
        ws.send_nowait(message)

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        self.calls.append(("close", code, reason))


@pytest.mark.parametrize("is_begun", [False, True])
async def test_messages_to_callbacks(is_begun: bool) -> None:
    handler = Echo()
    ended: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        ws = WebSocket(scope, receive, send)
        await ws.accept()
        if is_begun:  # what is received first is received by ASGI
            await ws.send_text(await ws.receive_text())
        await run_handler(ws, handler)
        ended.append(await receive())

    async with talking(app) as (_, ws):
        sent = [str(number) for number in range(200)]
        for text in sent:
            await ws.send(text)
        await ws.send(b"bytes")
        assert [await ws.recv() for _ in range(201)] == [*sent, b"bytes"]
        await ws.close(4000, "done")
    assert handler.calls == ["open", ("close", 4000, "done")]
    assert [event["code"] for event in ended] == [4000]


async def test_asgi_sends_beside_callbacks_and_receives_the_end() -> None:
    handler = Echo()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        running = asyncio.create_task(run_handler(scope, handler))
        await asyncio.sleep(0)
        await send({"type": "websocket.send", "text": "by ASGI"})
        with pytest.raises(ConcurrencyError):
            await run_handler(scope, handler)
        assert (await receive())["code"] == 1001
        await running

    async with talking(app) as (_, ws):
        assert await ws.recv() == "by ASGI"
        await ws.send("by callback")
        assert await ws.recv() == "by callback"
        await ws.close(1001)


async def test_a_callback_that_raises() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await run_handler(scope, Echo())

    with logged() as log:
        async with talking(app) as (_, ws):
            await ws.send("raise")
            await ws.wait_closed()
            assert ws.close_code == 1011
    assert log.errors == ["ZeroDivisionError"]


async def test_callbacks_when_the_server_shuts_down() -> None:
    handler = Echo()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await run_handler(scope, handler)

    async with serving(app) as running:
        ws = await connect(running.uri(), proxy=None)
        receiving = asyncio.create_task(ws.recv())
        while not handler.calls:
            await asyncio.sleep(0)
    with pytest.raises(ConnectionClosed):
        await receiving
    assert ws.close_code == 1012


@pytest.mark.parametrize("handler", [object(), print])
async def test_what_is_no_handler(handler: Any) -> None:
    with pytest.raises(TypeError, match="on_message"):
        await run_handler({}, handler)


async def test_a_handler_before_accept() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(InvalidState):
            await run_handler(scope, Echo())
        await send({"type": "websocket.accept"})

    async with talking(app):
        pass


@pytest.mark.parametrize("extensions", [None, {}, {"websocket.http.response": {}}])
def test_where_there_is_no_wirebird(extensions: Any) -> None:
    with pytest.raises(LookupError, match=r"--ws wirebird\.asgi:WebSocketProtocol"):
        connection_of({"type": "websocket", "extensions": extensions})
    with pytest.raises(LookupError):
        connection_of({"type": "websocket"})
    with pytest.raises(TypeError, match="scope"):
        connection_of(42)


async def test_an_application_without_the_extension_is_not_ours() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(LookupError):
            connection_of(scope)
        await WebSocket(scope, receive, send).close()

    async with serving(app, ws="websockets-sansio") as running:
        with pytest.raises(Exception, match="403"):
            await connect(running.uri(), proxy=None)


def test_the_class_is_imported_by_its_name_alone() -> None:
    program = f"""if True:
        from uvicorn.importer import import_from_string
        assert import_from_string({OURS!r}).__name__ == "WebSocketProtocol"
    """
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_without_uvicorn() -> None:
    program = """if True:
        import sys
        sys.modules["uvicorn"] = None
        try:
            import wirebird.asgi
        except ModuleNotFoundError as error:
            assert "pip install 'wirebird[asgi]'" in str(error), error
        else:
            raise SystemExit("it was imported")
    """
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
