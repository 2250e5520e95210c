"""What uvicorn and our class do together: settings, books, shutting down, other transports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import ssl
from typing import Any

import pytest
import trustme
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from tests.asgi.serving import logged, serving, talking
from tests.attacks.raw import PING, PONG, TEXT, RawPeer, close_payload, frame, opened, request
from uvicorn.middleware.message_logger import MessageLoggerMiddleware

from wirebird.asgi import WebSocketProtocol
from wirebird.asyncio.client import connect, unix_connect
from wirebird.core.limits import Limits
from wirebird.exceptions import ConnectionClosedError, InvalidStatus
from wirebird.testing import FakeClock
from wirebird.typing import Origin


def echo_application() -> FastAPI:
    """An application of FastAPI's, which knows nothing of Wirebird."""
    app = FastAPI()

    @app.get("/")
    def home() -> dict[str, str]:
        return {"hello": "world"}

    @app.websocket("/echo/{name}")
    async def echo(websocket: WebSocket, name: str, loud: bool = False) -> None:
        await websocket.accept()
        await websocket.send_json({"name": name, "loud": loud, "state": websocket.state.words})
        with contextlib.suppress(WebSocketDisconnect):
            async for text in websocket.iter_text():
                await websocket.send_text(text.upper() if loud else text)

    return app


async def plain_echo(scope: Any, receive: Any, send: Any) -> None:
    """An application without a framework."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def test_fastapi_with_a_lifespan() -> None:
    app = echo_application()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> Any:
        yield {"words": ["a"]}

    app.router.lifespan_context = lifespan
    async with talking(app, lifespan="on", path="/echo/me?loud=1") as (running, ws):
        assert await ws.recv() == '{"name":"me","loud":true,"state":["a"]}'
        await ws.send("hello")
        assert await ws.recv() == "HELLO"
        with pytest.raises(InvalidStatus) as caught:
            await connect(running.uri("/nowhere"), proxy=None)
        assert caught.value.response.status_code == 403


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_each_http_class(http: str, loop: str) -> None:
    async def talk() -> None:
        async with talking(plain_echo, http=http) as (_, ws):
            await ws.send("hello")
            assert await ws.recv() == "hello"

    def run_in_uvloop() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(talk())

    if loop == "asyncio":
        await talk()
    else:
        uvloop = pytest.importorskip("uvloop")
        await asyncio.to_thread(run_in_uvloop)


async def test_tasks_that_begin_at_once() -> None:
    """uvicorn still holds the transport while it gives us the request."""
    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory", None))
    async with talking(plain_echo) as (_, ws):
        await ws.send("hello")
        assert await ws.recv() == "hello"


async def test_tls(
    tmp_path: pathlib.Path, authority: trustme.CA, client_tls: ssl.SSLContext
) -> None:
    schemes = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        schemes.append(scope["scheme"])
        await plain_echo(scope, receive, send)

    pem = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    async with serving(app, ssl_certfile=str(pem)) as running:
        uri = running.uri().replace("ws:", "wss:")
        async with connect(uri, proxy=None, ssl=client_tls) as ws:
            await ws.send("x" * 100_000)
            assert await ws.recv() == "x" * 100_000
    assert schemes == ["wss"]


async def test_a_unix_socket(tmp_path: pathlib.Path) -> None:
    scopes = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await plain_echo(scope, receive, send)

    path = str(tmp_path / "socket")
    async with serving(app, uds=path), unix_connect(path, "ws://localhost/") as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
    assert scopes[0]["client"] is None
    assert scopes[0]["server"] == (path, None)


async def test_many_at_once_each_in_order() -> None:
    async def talk(uri: str, number: int) -> None:
        async with connect(uri, proxy=None) as ws:
            for count in range(20):
                await ws.send(f"{number} {count}")
            assert [await ws.recv() for _ in range(20)] == [f"{number} {n}" for n in range(20)]

    async with serving(plain_echo) as running:
        await asyncio.gather(*(talk(running.uri(), number) for number in range(50)))


async def test_what_uvicorn_says_in_each_response() -> None:
    async with talking(plain_echo, headers=[("X-Mine", "yes")]) as (_, ws):
        assert ws.response is not None
        headers = ws.response.headers
        assert headers["server"] == "uvicorn"
        assert headers["x-mine"] == "yes"
        assert len(headers.get_all("Date")) == 1
    async with talking(plain_echo, server_header=False, date_header=False) as (_, ws):
        assert ws.response is not None
        assert not {"server", "date"} & set(ws.response.headers)


async def test_compression_can_be_turned_off() -> None:
    for setting, names in ((True, ["permessage-deflate"]), (False, [])):
        async with talking(plain_echo, ws_per_message_deflate=setting) as (_, ws):
            assert [extension.name for extension in ws.protocol.extensions] == names
            await ws.send("a" * 1000)
            assert await ws.recv() == "a" * 1000


async def test_pings(fake_clock: FakeClock) -> None:
    codes = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        codes.append(await receive())

    async with serving(app, ws_ping_interval=20, ws_ping_timeout=15) as running:
        async with await opened(running.port) as peer:
            ping = await peer.frame()
            assert ping.opcode == PING
            await peer.send(frame(PONG, ping.payload))
            assert (await peer.frame()).opcode == PING  # and now it is silent
            closed = await peer.close_frame()
        assert (closed.code, closed.reason) == (1011, "keepalive ping timeout")
    assert codes == [
        {"type": "websocket.disconnect", "code": 1011, "reason": "keepalive ping timeout"}
    ]


async def test_no_pings() -> None:
    async with talking(plain_echo, ws_ping_interval=0, ws_ping_timeout=0) as (running, _):
        (connection,) = running.state.connections
        assert (connection.ping_interval, connection.ping_timeout) == (None, None)


# uvicorn's books, and its shutting down.


async def test_the_books_of_uvicorn() -> None:
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        await goes_on.wait()
        await plain_echo(scope, receive, send)

    async with serving(app) as running:
        connecting = asyncio.create_task(connect(running.uri(), proxy=None).__aenter__())
        await asked.wait()
        assert len(running.state.connections) == len(running.state.tasks) == 1
        (connection,) = running.state.connections
        assert connection.server.connections == set()
        goes_on.set()
        ws = await connecting
        assert connection.server.connections == {connection}
        await ws.close()
        while running.state.tasks or running.state.connections:
            await asyncio.sleep(0)
        assert connection.server.connections == set()


async def test_shutting_down_with_open_connections() -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        ended.append(await receive())
        with pytest.raises(OSError):
            await send({"type": "websocket.send", "text": "late"})

    async with serving(app) as running:
        clients = [await connect(running.uri(), proxy=None) for _ in range(3)]
        receiving = [asyncio.create_task(ws.recv()) for ws in clients]
        await asyncio.sleep(0)
    for task in receiving:
        with pytest.raises(ConnectionClosedError) as caught:
            await task
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1012
    assert ended == [{"type": "websocket.disconnect", "code": 1012, "reason": ""}] * 3


async def test_shutting_down_before_the_application_has_answered() -> None:
    asked = asyncio.Event()
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        asked.set()
        events.append(await receive())
        with pytest.raises(OSError):
            await send({"type": "websocket.accept"})

    async with serving(app) as running:
        connecting = asyncio.create_task(connect(running.uri(), proxy=None).__aenter__())
        await asked.wait()
    with pytest.raises(InvalidStatus) as caught:
        await connecting
    assert caught.value.response.status_code == 503
    assert events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


async def test_shutting_down_beside_an_application_that_does_not_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.Event().wait()

    class Impatient(WebSocketProtocol):
        close_timeout_s = 0.1

    with logged() as log:
        async with serving(app, ws=Impatient, timeout_graceful_shutdown=0) as running:
            peer = await opened(running.port)  # which does not answer a Close
            server = running.server
            closing = asyncio.create_task(server.shutdown())
            assert (await peer.close_frame()).code == 1012
            await closing
            while running.state.tasks or running.state.connections:
                await asyncio.sleep(0.001)
            peer.close()
    assert "CancelledError" in log.errors


async def test_a_request_behind_the_shutdown() -> None:
    async with talking(plain_echo) as (running, _):
        (connection,) = running.state.connections
        connection.server.is_closing = True
        with pytest.raises(InvalidStatus) as caught:
            await connect(running.uri(), proxy=None)
        assert caught.value.response.status_code == 503
        connection.server.is_closing = False


async def test_the_limit_of_connections() -> None:
    async with talking(plain_echo, limit_concurrency=1) as (running, ws):
        with pytest.raises(InvalidStatus) as caught:
            await connect(running.uri(), proxy=None)
        assert caught.value.response.status_code == 503
        await ws.send("still here")
        assert await ws.recv() == "still here"


async def test_a_server_that_is_uvicorns_cannot_be_closed_by_others() -> None:
    async with talking(plain_echo) as (running, _):
        (connection,) = running.state.connections
        with pytest.raises(Exception, match="uvicorn"):
            connection.server.close()


async def test_a_subclass_says_what_uvicorn_has_no_setting_for() -> None:
    class Mine(WebSocketProtocol):
        close_timeout_s = 3
        write_limit = 1000
        slow_consumer = "drop-oldest"
        engine = "python"

    async with talking(plain_echo, ws=Mine) as (running, ws):
        await ws.send("hello")
        assert await ws.recv() == "hello"
        (connection,) = running.state.connections
        assert type(connection.protocol.connection).__module__ == "wirebird.core.connection"
        assert connection.close_timeout == 3
        assert connection.transport.get_write_buffer_limits() == (250, 1000)


async def test_limits_and_what_is_counted() -> None:
    class Limited(WebSocketProtocol):
        limits = Limits(connections_per_address=1, messages=(0.001, 2))

    async with talking(plain_echo, ws=Limited) as (running, ws):
        (connection,) = running.state.connections
        with pytest.raises(InvalidStatus) as caught:
            await connect(running.uri(), proxy=None)
        assert caught.value.response.status_code == 429
        for _ in range(3):
            await ws.send("hello")
        await ws.wait_closed()
        assert ws.close_code == 1008
        while running.state.connections:
            await asyncio.sleep(0)
        stats = connection.server.stats()
        assert (stats.opened, stats.open, stats.opening) == (1, 0, 0)
        assert sum(stats.refused.values()) == 1
        assert stats.closed == {1008: 1}


async def test_memory_of_all_is_limited() -> None:
    class Limited(WebSocketProtocol):
        limits = Limits(memory_bytes=100_000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await never.wait()

    never = asyncio.Event()
    async with talking(app, ws=Limited) as (running, ws):
        (connection,) = running.state.connections
        await ws.send(os.urandom(150_000))
        await ws.wait_closed()
        assert ws.close_code == 1013
        assert connection.server.stats().limits_exceeded == {"memory": 1}
        never.set()


async def test_a_request_that_no_scope_can_tell_of_leaves_nothing() -> None:
    """uvicorn takes any root path, and ASGI's is ASCII."""
    with logged() as log:
        async with serving(plain_echo, root_path="/\u00fc") as running:
            with pytest.raises(InvalidStatus) as caught:
                await connect(running.uri(), proxy=None)
            assert caught.value.response.status_code == 500
    assert log.errors == ["UnicodeEncodeError"]


async def test_origins() -> None:
    class Guarded(WebSocketProtocol):
        origins = (Origin("https://example.com"),)

    async with serving(plain_echo, ws=Guarded) as running:
        async with connect(running.uri(), proxy=None, origin=Origin("https://example.com")):
            pass
        with pytest.raises(InvalidStatus) as caught:
            await connect(running.uri(), proxy=None, origin=Origin("https://evil.example"))
        assert caught.value.response.status_code == 403


async def test_what_is_logged() -> None:
    with logged() as log:
        async with talking(plain_echo, path="/a%20b?c=d&token=SECRET"):
            pass
    (accepted,) = [line for line in log.lines if "WebSocket" in line]
    assert accepted.startswith("127.0.0.1:")
    assert accepted.endswith(' - "WebSocket /a%20b?c=d&token=<hidden>" [accepted]')
    assert "connection open" in log.lines
    assert "connection closed" in log.lines
    assert log.errors == []


async def test_uvicorns_wrapper_that_shows_every_message() -> None:
    app = MessageLoggerMiddleware(plain_echo)
    async with talking(app) as (_, ws):
        await ws.send(b"hello")
        assert await ws.recv() == b"hello"


# Requests that are none, and clients that leave.


async def test_requests_that_are_refused_do_not_reach_the_application() -> None:
    asked: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["type"])

    wrong = {
        b"Sec-WebSocket-Version: 13": (b"Sec-WebSocket-Version: 12", "426"),
        b"Sec-WebSocket-Key: ": (b"Sec-WebSocket-Kex: ", "400"),
        b"Host: 127.0.0.1": (b"Host: bad host", "400"),
    }
    async with serving(app) as running:
        for right, (put, status) in wrong.items():
            async with await RawPeer.connect(running.port) as peer:
                await peer.send(request().replace(right, put))
                assert (await peer.head()).split()[1] == status
    assert asked == []


async def test_a_client_that_leaves_before_it_is_answered() -> None:
    asked = asyncio.Event()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        asked.set()
        seen.append(await receive())
        seen.append(await receive())
        for kind in ("websocket.accept", "websocket.close"):
            with pytest.raises(OSError):
                await send({"type": kind})

    async with serving(app) as running:
        async with await RawPeer.connect(running.port) as peer:
            await peer.send(request())
            await asked.wait()
        while running.state.tasks:
            await asyncio.sleep(0)
    assert seen == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}] * 2


async def test_frames_sent_before_the_answer_are_received_after_it() -> None:
    asked, sent = asyncio.Event(), asyncio.Event()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        asked.set()
        await sent.wait()
        await send({"type": "websocket.accept"})
        seen.append((await receive())["text"])
        seen.append((await receive())["code"])

    async with serving(app) as running, await RawPeer.connect(running.port) as peer:
        await peer.send(request())
        await asked.wait()
        await peer.send(frame(TEXT, b"early"), frame(8, close_payload(4000)))
        (connection,) = running.state.connections
        while not connection.protocol.early_bytes:
            await asyncio.sleep(0)
        sent.set()
        await peer.head()
        assert (await peer.close_frame()).code == 4000
    assert seen == ["early", 4000]


async def test_nothing_is_left_when_a_task_is_cancelled_before_it_begins() -> None:
    async with serving(plain_echo) as running, await RawPeer.connect(running.port) as peer:
        await peer.send(request())
        while not running.state.tasks:
            await asyncio.sleep(0)
        for task in running.state.tasks:
            task.cancel()
        with contextlib.suppress(ConnectionError):
            await peer.rest()
