"""Servers: the opening handshake as users shape it, handlers, and the end of a server."""

from __future__ import annotations

import asyncio
import http
import logging
import pathlib
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import pytest
from tests.asyncio.pair import turns
from tests.attacks.raw import (
    CLOSE,
    TEXT,
    RawPeer,
    close_payload,
    echo,
    echo_server,
    frame,
    opened,
    port_of,
    request,
    uri_of,
)

from wirebird.asyncio.client import connect, unix_connect
from wirebird.asyncio.server import ServerConnection, serve, unix_serve
from wirebird.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidStatus,
    NegotiationError,
    ProtocolError,
)
from wirebird.http11 import SERVER, Request, Response
from wirebird.protocol import State
from wirebird.typing import Subprotocol

GET = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"


async def ask(port: int, data: bytes = GET) -> tuple[str, str]:
    """Send a request; return head and body of the response."""
    async with await RawPeer.connect(port) as peer:
        await peer.send(data)
        return await peer.head(), (await peer.rest()).decode()


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged as an error."""
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


# Handlers.


async def test_a_handler_that_returns_closes_its_connection() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("bye")

    async with serve(handler, "127.0.0.1", 0) as server, connect(uri_of(server), proxy=None) as ws:
        assert [message async for message in ws] == ["bye"]
        assert ws.close_code == 1000


async def test_a_handler_that_fails_closes_its_connection_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(connection: ServerConnection) -> None:
        raise ZeroDivisionError("mine")

    async with serve(handler, "127.0.0.1", 0) as server, connect(uri_of(server), proxy=None) as ws:
        with pytest.raises(ConnectionClosedError):
            await ws.recv()
        assert ws.close_code == 1011
    (record,) = errors(caplog)
    assert record.name == "wirebird.server"
    assert record.getMessage() == "connection handler failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert hasattr(record, "websocket")


async def test_a_handler_that_closes_by_itself() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.close(4000, "mine")

    async with serve(handler, "127.0.0.1", 0) as server, connect(uri_of(server), proxy=None) as ws:
        await ws.wait_closed()
        assert (ws.close_code, ws.close_reason) == (4000, "mine")


async def test_connections_are_listed_while_they_are_open() -> None:
    async with echo_server() as server:
        assert server.connections == set()
        async with connect(uri_of(server), proxy=None), connect(uri_of(server), proxy=None):
            assert len(server.connections) == 2
            assert {connection.server for connection in server.connections} == {server}
        while server.connections:
            await asyncio.sleep(0)


async def test_opening_and_closing_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wirebird.server")
    async with echo_server() as server:
        name = f"127.0.0.1:{port_of(server)}"
        async with connect(uri_of(server), proxy=None):
            pass
        await ask(port_of(server))
    messages = [r.getMessage() for r in caplog.records if r.name == "wirebird.server"]
    assert [messages.pop(messages.index("connection closed")) for _ in range(2)]
    assert messages == [
        f"server listening on {name}",
        "connection open",
        "connection rejected (426 Upgrade Required)",
        "server closing",
        "server closed",
    ]


async def test_a_logger_of_the_users(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logger = logging.LoggerAdapter(logging.getLogger("mine"), {"site": "here"})
    async with echo_server(logger=logger) as server, connect(uri_of(server), proxy=None):
        (connection,) = server.connections
        connection.logger.info("hi")
        names = [r.name for r in caplog.records if "site" in r.__dict__ or r.msg == "hi"]
        assert names == ["mine"] * len(names)
        assert len(names) >= 2
    assert not [r for r in caplog.records if r.name == "wirebird.server"]


# HTTP on the same port.


async def test_one_who_asks_for_no_websocket() -> None:
    async with echo_server() as server:
        head, body = await ask(port_of(server))
        assert head.startswith("HTTP/1.1 426 Upgrade Required\r\n")
        assert "\r\nUpgrade: websocket\r\n" in head
        assert f"\r\nServer: {SERVER}\r\n" in head
        assert "WebSocket" in body


@pytest.mark.parametrize("is_async", [False, True])
async def test_process_request_may_answer(is_async: bool) -> None:
    def answer(connection: ServerConnection, request: Request) -> Response | None:
        if request.path != "/page":
            return None
        response = connection.respond(http.HTTPStatus.OK, "the page\n")
        response.headers["X-Mine"] = "yes"
        return response

    async def answer_later(connection: ServerConnection, request: Request) -> Response | None:
        await asyncio.sleep(0)
        return answer(connection, request)

    hook = answer_later if is_async else answer
    async with echo_server(process_request=hook) as server:
        head, body = await ask(port_of(server))
        assert head.startswith("HTTP/1.1 200 OK\r\n")
        assert "\r\nX-Mine: yes\r\n" in head
        assert body == "the page\n"
        async with connect(uri_of(server), proxy=None) as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"


@pytest.mark.parametrize("is_async", [False, True])
async def test_process_response_may_change_or_replace(is_async: bool) -> None:
    def change(
        connection: ServerConnection, request: Request, response: Response
    ) -> Response | None:
        if request.path == "/refuse":
            return connection.respond(418, "no\n")
        response.headers["X-Path"] = request.path
        return None

    async def change_later(*args: Any) -> Response | None:
        await asyncio.sleep(0)
        return change(*args)

    hook = change_later if is_async else change
    async with echo_server(process_response=hook) as server:
        async with connect(uri_of(server, "/fine"), proxy=None) as ws:
            assert ws.response is not None
            assert ws.response.headers["X-Path"] == "/fine"
        with pytest.raises(InvalidStatus) as caught:
            await connect(uri_of(server, "/refuse"), proxy=None)
        assert caught.value.response.status_code == 418
        assert bytes(caught.value.response.body) == b"no\n"


@pytest.mark.parametrize("name", ["process_request", "process_response"])
@pytest.mark.parametrize("fails_with", ["an error", "a wrong type"])
async def test_a_hook_that_fails_is_answered_500(
    name: str, fails_with: str, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(*_: object) -> Any:
        if fails_with == "an error":
            raise ZeroDivisionError("secret")
        return "not a response"

    hook.__name__ = name
    async with echo_server(**{name: hook}) as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(uri_of(server), proxy=None)
        assert caught.value.response.status_code == 500
        assert b"secret" not in bytes(caught.value.response.body)
    (record,) = errors(caplog)
    assert record.getMessage() == f"{name} failed"
    assert record.exc_info is not None


async def test_a_response_that_cannot_be_sent_is_answered_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(connection: ServerConnection, _: Request) -> Response:
        response = connection.respond(200, "")
        response.reason_phrase = "OK\r\nX-Injected: yes"
        return response

    async with echo_server(process_request=answer) as server:
        head, _ = await ask(port_of(server))
        assert head.startswith("HTTP/1.1 500 ")
        assert "Injected" not in head
    assert [record.getMessage() for record in errors(caplog)] == ["opening handshake failed"]


@pytest.mark.parametrize("value", [None, "mine/1.0"])
async def test_the_server_header(value: str | None) -> None:
    async with (
        echo_server(server_header=value) as server,
        connect(uri_of(server), proxy=None) as ws,
    ):
        assert ws.response is not None
        assert ws.response.headers.get("Server") == value


async def test_one_of_the_users_own_is_replaced_once() -> None:
    def answer(connection: ServerConnection, _: Request) -> Response:
        response = connection.respond(200, "")
        response.headers["Server"] = "other"
        return response

    async with echo_server(process_request=answer, server_header="mine") as server:
        head, _ = await ask(port_of(server))
        assert head.count("Server: ") == 1
        assert "Server: mine\r\n" in head


async def test_a_slow_hook_is_answered_503_when_the_time_is_up() -> None:
    async def hook(_: ServerConnection, __: Request) -> None:
        await asyncio.Event().wait()

    async with echo_server(process_request=hook, open_timeout=0.05) as server:
        head, _ = await ask(port_of(server), request())
        assert head.startswith("HTTP/1.1 503 ")


# Negotiation.


async def test_subprotocols_are_chosen_by_the_servers_preference() -> None:
    async with (
        echo_server(subprotocols=["b", "a"]) as server,
        connect(
            uri_of(server), proxy=None, subprotocols=[Subprotocol("a"), Subprotocol("b")]
        ) as ws,
    ):
        assert ws.subprotocol == "b"


async def test_select_subprotocol_is_told_the_connection() -> None:
    told: list[tuple[object, Sequence[str]]] = []

    def select(
        connection: ServerConnection, subprotocols: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        told.append((connection, subprotocols))
        if "wrong" in subprotocols:
            raise NegotiationError("not that")
        return subprotocols[-1] if subprotocols else None

    async with echo_server(select_subprotocol=select) as server:
        async with connect(
            uri_of(server), proxy=None, subprotocols=[Subprotocol("a"), Subprotocol("b")]
        ) as ws:
            assert ws.subprotocol == "b"
            (connection,) = server.connections
            assert told == [(connection, ["a", "b"])]
            assert connection.subprotocol == "b"
        with pytest.raises(InvalidStatus) as caught:
            await connect(uri_of(server), proxy=None, subprotocols=[Subprotocol("wrong")])
        assert caught.value.response.status_code == 400


def test_arguments_that_contradict_themselves() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="unsupported compression"):
            serve(echo, compression="gzip")
        with pytest.raises(ValueError):
            serve(echo, subprotocols=[Subprotocol("not a token")])
        with pytest.raises(TypeError):
            serve(echo, subprotocols="chat")  # type: ignore[arg-type]

    asyncio.run(main())


@pytest.mark.parametrize(("compression", "expected"), [("deflate", 1), (None, 0)])
async def test_compression_can_be_left_out(compression: str | None, expected: int) -> None:
    async with (
        echo_server(compression=compression) as server,
        connect(uri_of(server), proxy=None) as ws,
    ):
        assert len(ws.protocol.extensions) == expected


# Engines and classes.


async def test_engines() -> None:
    async with echo_server(engine="python") as server:
        async with connect(uri_of(server), proxy=None, engine="python") as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"
        for make in (lambda name: connect("ws://x/", engine=name), lambda n: serve(echo, engine=n)):
            with pytest.raises(ValueError, match="unknown engine: 'warp'"):
                make("warp")


async def test_a_class_of_the_users() -> None:
    class Louder(ServerConnection):
        async def recv(self, decode: bool | None = None) -> Any:
            message = await super().recv(decode)
            assert isinstance(message, str)
            return message.upper()

        async def send(self, message: Any, **kwargs: Any) -> None:
            await super().send(message + "!", **kwargs)

    async with (
        echo_server(create_connection=Louder) as server,
        connect(uri_of(server), proxy=None) as ws,
    ):
        await ws.send("hi")
        assert await ws.recv() == "HI!"


# Where it listens.


async def test_over_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with echo_server(ssl=server_tls) as server:
        uri = f"wss://127.0.0.1:{port_of(server)}/"
        async with connect(uri, proxy=None, ssl=client_tls) as ws:
            for message in ("hi", bytes(300_000)):
                await ws.send(message)
                assert await ws.recv() == message
            assert ws.transport.get_extra_info("cipher") is not None
        assert ws.close_code == 1000


async def test_over_tls_a_client_that_fails_can_read_the_close(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with echo_server(ssl=server_tls) as server:
        uri = f"wss://127.0.0.1:{port_of(server)}/"
        async with connect(uri, proxy=None, ssl=client_tls) as ws:
            ws.transport.write(frame(TEXT, b"not masked", mask=False) + bytes(300_000))
            with pytest.raises(ConnectionClosedError, match="received 1002"):
                await ws.recv()


async def test_over_tls_a_client_that_is_refused_can_read_why(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with echo_server(ssl=server_tls) as server:
        reader, writer = await asyncio.open_connection("localhost", port_of(server), ssl=client_tls)
        writer.write(request("Content-Length: 700000"))
        for _ in range(10):
            writer.write(bytes(70_000))
            await asyncio.sleep(0.001)
        await writer.drain()
        assert (await reader.read(100)).startswith(b"HTTP/1.1 400 ")
        writer.close()
        await writer.wait_closed()


async def test_over_a_unix_socket(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "socket"
    async with unix_serve(echo, path) as server, unix_connect(path) as ws:
        await ws.send("hi")
        assert await ws.recv() == "hi"
        assert ws.request is not None
        assert ws.request.headers["Host"] == "localhost"
        assert server.sockets[0].getsockname() == str(path)


async def test_over_a_unix_socket_with_tls(
    tmp_path: pathlib.Path, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    path = tmp_path / "socket"
    async with unix_serve(echo, path, ssl=server_tls), unix_connect(path, ssl=client_tls) as ws:
        await ws.send("hi")
        assert await ws.recv() == "hi"


async def test_on_a_socket_that_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with (
            serve(echo, sock=listening) as server,
            connect(uri_of(server), proxy=None) as ws,
        ):
            await ws.send("hi")
            assert await ws.recv() == "hi"


# The end of a server.


@pytest.mark.parametrize(
    ("kwargs", "code", "reason"),
    [({}, 1001, ""), ({"code": 1012, "reason": "restart"}, 1012, "restart")],
)
async def test_close_closes_connections(kwargs: Any, code: int, reason: str) -> None:
    ended = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal ended
        await connection.wait_closed()
        await asyncio.sleep(0.01)
        ended += 1

    server = await serve(handler, "127.0.0.1", 0)
    clients = [await connect(uri_of(server), proxy=None) for _ in range(3)]
    server.close(**kwargs)
    server.close(code=1000)  # it does nothing more
    await server.wait_closed()
    assert ended == 3
    for client in clients:
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (code, reason)
    assert not server.is_serving()
    assert server.sockets == ()
    await server.wait_closed()


async def test_close_may_let_connections_end_by_themselves() -> None:
    server = await serve(echo, "127.0.0.1", 0)
    uri = uri_of(server)
    async with connect(uri, proxy=None) as ws:
        server.close(close_connections=False)
        await turns()
        await ws.send("still here")
        assert await ws.recv() == "still here"
        with pytest.raises(OSError):
            await connect(uri, proxy=None)
        closed = asyncio.ensure_future(server.wait_closed())
        await turns()
        assert not closed.done()
    await closed


async def test_close_with_what_cannot_be_sent() -> None:
    async with echo_server() as server:
        with pytest.raises(ProtocolError):
            server.close(code=1006)
        assert server.is_serving()


@pytest.mark.parametrize("close_connections", [True, False])
async def test_handshakes_in_progress_are_refused(close_connections: bool) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def hook(_: ServerConnection, __: Request) -> None:
        asked.set()
        await go_on.wait()

    server = await serve(echo, "127.0.0.1", 0, process_request=hook)
    connecting = asyncio.ensure_future(connect(uri_of(server), proxy=None).connect())
    await asked.wait()
    server.close(close_connections=close_connections)
    await turns()
    go_on.set()
    with pytest.raises(InvalidStatus) as caught:
        await connecting
    assert caught.value.response.status_code == 503
    await server.wait_closed()


async def test_serve_forever_ends_with_close_and_when_it_is_cancelled() -> None:
    for ends_with in ("close", "cancel"):
        server = await serve(echo, "127.0.0.1", 0)
        serving = asyncio.create_task(server.serve_forever())
        ws = await connect(uri_of(server), proxy=None)
        if ends_with == "close":
            server.close()
            await serving
        else:
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
        with pytest.raises(ConnectionClosedOK):
            await ws.recv()
        assert ws.close_code == 1001


async def test_a_server_that_does_not_start_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(echo, "127.0.0.1", 0, start_serving=False) as server:
        assert not server.is_serving()
        await server.start_serving()
        assert server.is_serving()
        assert server.get_loop() is asyncio.get_running_loop()
        async with connect(uri_of(server), proxy=None) as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"


async def test_awaiting_it_twice_starts_it_once() -> None:
    server = await serve(echo, "127.0.0.1", 0)
    uri = uri_of(server)
    async with server as same:
        assert same is server
        assert uri_of(server) == uri
    assert not server.is_serving()


async def test_a_handler_that_is_cancelled_leaves_nothing() -> None:
    async with (
        serve(lambda ws: asyncio.sleep(1000), "127.0.0.1", 0) as server,
        connect(uri_of(server), proxy=None) as ws,
    ):
        (task,) = server.handler_tasks
        task.cancel()
        with pytest.raises(ConnectionClosedError):
            await ws.recv()
        assert ws.close_code == 1011
    assert not server.all_connections
    assert not server.handler_tasks


async def test_a_handler_that_is_cancelled_before_it_began() -> None:
    class Cancelling(ServerConnection):
        def _run_as_task(self, coroutine: Any) -> Any:
            task = super()._run_as_task(coroutine)
            task.cancel()
            return task

    server = await serve(echo, "127.0.0.1", 0, create_connection=Cancelling)
    async with await opened(port_of(server)) as peer:
        await peer.rest()
    server.close()
    await server.wait_closed()
    assert not server.handler_tasks


async def test_a_task_that_is_cancelled_before_the_handshake() -> None:
    server = await serve(echo, "127.0.0.1", 0, process_request=lambda *_: None)
    peer = await RawPeer.connect(port_of(server))
    while not server.handler_tasks:
        await asyncio.sleep(0)
    for task in server.handler_tasks:
        task.cancel()
    server.close()
    await server.wait_closed()
    assert not server.handler_tasks
    peer.close()


async def test_both_ends_close_at_once() -> None:
    async with echo_server() as server, await opened(port_of(server)) as peer:
        (connection,) = server.connections
        closing = asyncio.create_task(connection.close(1001))
        await peer.send(frame(CLOSE, close_payload(1000)))
        assert (await peer.close_frame()).code in (1000, 1001)
        peer.half_close()
        await closing
        assert connection.state is State.CLOSED
        assert connection.close_code == 1000


async def test_what_the_client_sends_before_the_answer_counts_from_the_answer() -> None:
    """The clock of the open connection starts when it is open, not when TCP was."""

    async def hook(_: ServerConnection, __: Request) -> None:
        await asyncio.sleep(0.2)

    async with (
        echo_server(process_request=hook, close_timeout=0.1) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.send(request(), frame(TEXT, b"hi"), frame(CLOSE, close_payload(1000)))
        await peer.head()
        assert (await peer.frame()).code == 1000
        (connection,) = server.all_connections
        assert connection._core is not None
        deadline = connection.next_deadline()
        assert deadline is not None
        assert deadline > asyncio.get_running_loop().time()


@pytest.mark.parametrize("keepalive", [None, True, (7, 8, 9)])
async def test_listening_sockets_have_the_keepalive_that_connections_get(keepalive: Any) -> None:
    async with serve(_nothing, "127.0.0.1", 0, tcp_keepalive=keepalive) as server:
        (listening,) = server.sockets
        is_on = listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert bool(is_on) == (keepalive is not None)
        if isinstance(keepalive, tuple) and hasattr(socket, "TCP_KEEPCNT"):
            assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 9


async def test_a_keepalive_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="tcp_keepalive"):
        serve(_nothing, "127.0.0.1", 0, tcp_keepalive=(0, 1, 1))


async def _nothing(ws: Any) -> None:
    pass
