"""A server that runs: what it counts, how it drains."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from tests.asyncio.pair import pair
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

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import Server, ServerConnection, serve
from wirebird.core.http1 import Request, Response
from wirebird.core.stats import Stats
from wirebird.core.totals import Totals
from wirebird.exceptions import ConnectionClosed, InvalidStatus, ProtocolError


async def until(server: Server, **wanted: Any) -> Stats:
    """Let the loop run until the server's statistics say so."""
    while any(getattr(server.stats(), name) != value for name, value in wanted.items()):
        await asyncio.sleep(0.001)
    return server.stats()


# Statistics


async def test_a_server_that_did_nothing() -> None:
    async with echo_server() as server:
        stats = server.stats()
        assert stats.uptime_s >= 0
        assert (stats.opening, stats.open, stats.closing) == (0, 0, 0)
        assert (stats.accepted, stats.opened, stats.totals) == (0, 0, Totals())
        assert (stats.refused, stats.closed, stats.is_draining) == ({}, {}, False)


async def test_what_goes_by_is_counted_while_connections_live_and_after() -> None:
    totals = Totals(3, 4, 3 * 7 + 6, 1, 3, 4, 3 * 3 + 2)
    async with echo_server(compression=None) as server:
        async with await opened(port_of(server)) as peer:
            await peer.send(frame(TEXT, b"a") * 3, frame(9))
            for _ in range(4):
                await peer.frame()
            stats = await until(server, totals=totals)
            assert (stats.accepted, stats.opened, stats.open) == (1, 1, 1)
            await peer.send(frame(CLOSE, close_payload(3001)))
            assert (await peer.frame()).code == 3001
        stats = await until(server, closed={3001: 1}, closing=0)
        closes = Totals(0, 1, 8, 0, 0, 1, 4)
        assert stats.totals == totals.plus(closes)
        assert stats.open == stats.opening == 0


async def test_closes_are_counted_by_the_code_that_went_first() -> None:
    async with echo_server() as server:
        (await opened(port_of(server))).reset()
        await until(server, closed={1006: 1})
        async with connect(uri_of(server), proxy=None) as client:
            next(iter(server.connections)).close_nowait(1012)
            await client.wait_closed()
        await until(server, closed={1006: 1, 1012: 1})
        async with await opened(port_of(server)) as peer:
            await peer.send(frame(CLOSE))
            await peer.frame()
        await until(server, closed={1006: 1, 1012: 1, 1005: 1})


def not_here(connection: ServerConnection, request: Request) -> Response:
    return connection.respond(404, "Not here.\n")


def broken(connection: ServerConnection, request: Request) -> Response:
    raise ValueError("something")


@pytest.mark.parametrize(
    ("sent", "arguments", "reason"),
    [
        (request(), {"process_request": not_here}, "404"),
        (request(), {"process_request": broken}, "500"),
        (request("Origin: http://evil.example"), {"origins": [None]}, "403"),
        (b"NONSENSE\r\n\r\n", {}, "invalid"),
        (b"GET / HTTP/1.1\r\n", {}, "gone"),
        (b"", {}, "gone"),
        (b"GET / HTTP/1.1\r\n", {"open_timeout": 0.01}, "timeout"),
        (b"NONSENSE\r\n\r\n", {"process_request": not_here}, "invalid"),
        (b"", {"process_request": not_here}, "gone"),
    ],
)
async def test_why_connections_are_not_opened(
    sent: bytes, arguments: dict[str, Any], reason: str
) -> None:
    async with echo_server(close_timeout=0.1, **arguments) as server:
        async with await RawPeer.connect(port_of(server)) as peer:
            await peer.send(sent)
            if reason not in {"gone"}:
                await peer.rest()
        stats = await until(server, opening=0, refused={reason: 1})
        assert (stats.accepted, stats.opened, stats.closed) == (1, 0, {})


class Failing:
    """A handler that raises."""

    def on_message(self, ws: ServerConnection, message: str | bytes) -> None:
        """Fail."""
        raise ValueError("something")


async def failing(connection: ServerConnection) -> None:
    await connection.recv()
    raise ValueError("something")


@pytest.mark.parametrize("handler", [failing, Failing])
async def test_handlers_that_fail_are_counted(handler: Any) -> None:
    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(uri_of(server), proxy=None) as client:
            await client.send("x")
            await client.wait_closed()
        stats = await until(server, handlers_failed=1, closing=0)
        assert stats.closed == {1011: 1}


async def test_what_is_held_is_seen() -> None:
    async with pair(compression=None) as (client, server):
        await client.send(bytes(100_000))
        await until(server.server, held_bytes=100_000 + 14)


async def test_messages_that_are_dropped_are_counted() -> None:
    arguments: dict[str, Any] = {"slow_consumer": "drop-newest", "slow_consumer_bytes": 1000}
    async with pair(compression=None, server=arguments) as (_client, server):
        server.pause_writing()
        for _ in range(10):
            server.send_nowait(bytes(500))
        assert server.server.stats().messages_dropped == 9
        server.resume_writing()


# Draining


async def test_drained_peers_are_told_and_handlers_get_to_finish() -> None:
    finished = []

    async def handler(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.recv()
        await asyncio.sleep(0.05)  # such as writing to a data base
        finished.append(connection)

    async with serve(handler, "127.0.0.1", 0) as server:
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(connect(uri_of(server), proxy=None))
                for _ in range(5)
            ]
            assert await server.drain(code=1012, reason="come back") == 0
            assert len(finished) == 5
            for client in clients:
                await client.wait_closed()
                assert (client.close_code, client.close_reason) == (1012, "come back")
        assert not server.is_serving()
        await server.wait_closed()


@pytest.mark.parametrize("is_hooked", [False, True])
async def test_while_it_drains_it_listens_and_refuses(is_hooked: bool) -> None:
    def healthy(connection: ServerConnection, request: Request) -> Response | None:
        if request.path != "/health":
            return None
        return connection.respond(503 if server.is_draining else 200, "")

    arguments: dict[str, Any] = {"process_request": healthy} if is_hooked else {}
    async with echo_server(**arguments) as server, await opened(port_of(server)) as peer:
        draining = asyncio.create_task(server.drain())
        assert (await peer.frame()).code == 1001
        assert server.stats().is_draining
        with pytest.raises(InvalidStatus) as raised:
            async with connect(uri_of(server), proxy=None):
                pass
        response = raised.value.response
        assert response.status_code == 503
        assert response.headers["Connection"] == "close"
        assert int(response.headers["Retry-After"]) > 0
        if is_hooked:
            async with await RawPeer.connect(port_of(server)) as other:
                await other.send(request(path="/health"))
                assert (await other.head()).startswith("HTTP/1.1 503 ")
        assert server.stats().refused["draining"] == 1
        await peer.send(frame(CLOSE, close_payload(1001)))
        peer.half_close()
        assert await draining == 0


async def test_it_can_stop_listening_at_once() -> None:
    async with echo_server() as server, await opened(port_of(server)) as peer:
        port = port_of(server)
        draining = asyncio.create_task(server.drain(keep_listening=False))
        await peer.close_frame()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await peer.send(frame(CLOSE, close_payload(1001)))
        peer.half_close()
        assert await draining == 0


async def stubborn(connection: ServerConnection) -> None:
    """A handler that takes no end for an answer, until it is cancelled."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("handler", [echo, stubborn])
async def test_who_is_left_at_the_deadline_is_cut(handler: Any) -> None:
    async with (
        serve(handler, "127.0.0.1", 0) as server,
        await opened(port_of(server)),
        await opened(port_of(server)),
    ):
        assert await server.drain(0.05) == 2
        assert server.all_connections == set()
        assert server.handler_tasks == set()


async def test_peers_are_told_one_after_the_other() -> None:
    async with echo_server() as server, contextlib.AsyncExitStack() as stack:
        told: list[float] = []
        loop = asyncio.get_running_loop()

        async def watch() -> None:
            client = await stack.enter_async_context(connect(uri_of(server), proxy=None))
            ready.release()
            await client.wait_closed()
            told.append(loop.time())

        ready = asyncio.Semaphore(0)
        watching = [asyncio.create_task(watch()) for _ in range(10)]
        for _ in watching:
            await ready.acquire()
        began = loop.time()
        assert await server.drain(jitter=0.2) == 0
        await asyncio.gather(*watching)
        # The last of ten is told in the last tenth of the time.
        assert max(told) - began >= 0.18
        assert sorted(told) == sorted(set(told))


async def test_it_drains_with_nobody_there() -> None:
    async with echo_server() as server:
        assert await server.drain(0) == 0
        assert await server.drain(0) == 0  # again


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"code": 1006}, ProtocolError),
        ({"reason": "x" * 124}, ProtocolError),
        ({"jitter": -1}, ValueError),
        ({"timeout": 1, "jitter": 2}, ValueError),
    ],
)
async def test_what_cannot_be_done_changes_nothing(
    arguments: dict[str, Any], error: type[Exception]
) -> None:
    async with echo_server() as server:
        with pytest.raises(error):
            await server.drain(**arguments)
        assert not server.is_draining
        async with connect(uri_of(server), proxy=None):
            pass


async def test_a_request_that_a_hook_looks_at_is_answered_before_the_drain_is_over() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def hook(connection: ServerConnection, request: Request) -> None:
        asked.set()
        await answer.wait()

    async with serve(echo, "127.0.0.1", 0, process_request=hook) as server:
        port = server.sockets[0].getsockname()[1]
        connecting = asyncio.create_task(_status_of(port))
        await asked.wait()
        draining = asyncio.create_task(server.drain(None))
        await asyncio.sleep(0)
        answer.set()
        assert await connecting == 503
        assert await draining == 0


async def _status_of(port: int) -> int:
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://127.0.0.1:{port}/", proxy=None)
    return caught.value.response.status_code
