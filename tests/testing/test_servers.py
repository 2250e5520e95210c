"""Servers for tests: in the loop of a test and in a thread beside it; what goes wrong is raised."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
from typing import Any

import pytest
from tests.engines import engine as engine

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection
from wirebird.exceptions import ConnectionClosed, ConnectionClosedError
from wirebird.testing import TEXT, LocalServer, Peer, ScriptedServer, raw_frame, request


async def test_by_default_it_sends_back(engine: str) -> None:
    async with LocalServer() as server:
        assert server.url == f"ws://127.0.0.1:{server.port}"
        async with connect(server.url, proxy=None) as ws:
            await ws.send("Hello")
            assert await ws.recv() == "Hello"
            assert [ws.remote_address for ws in server.connections] == [ws.local_address]
    assert server.errors == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_tls_and_ipv6(
    engine: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with LocalServer(host="::1", ssl=server_tls) as server:
        assert server.url == f"wss://[::1]:{server.port}"
        async with connect(server.url, proxy=None, ssl=client_tls) as ws:
            await ws.send("Hello")
            assert await ws.recv() == "Hello"


async def test_handlers_with_methods(engine: str) -> None:
    class Shout:
        def on_message(self, ws: ServerConnection, message: Any) -> None:
            ws.send_nowait(message.upper())

    for handler in (Shout, Shout()):
        async with LocalServer(handler) as server, connect(server.url, proxy=None) as ws:
            await ws.send("Hello")
            assert await ws.recv() == "HELLO"


async def failing(connection: ServerConnection) -> None:
    assert await connection.recv() == "Hello", "the first message must be Hello"


async def test_what_a_handler_raises_is_raised_at_the_end(engine: str) -> None:
    with pytest.raises(AssertionError, match="must be Hello"):
        async with LocalServer(failing) as server, connect(server.url, proxy=None) as ws:
            await ws.send("Good morning")
            with pytest.raises(ConnectionClosedError):
                await ws.recv()
            assert ws.close_code == 1011


async def test_what_several_handlers_raise_is_a_group(engine: str) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with LocalServer(failing) as server:
            for _ in range(2):
                async with connect(server.url, proxy=None) as ws:
                    await ws.send("Good morning")
                    await ws.wait_closed()
    assert [type(exc) for exc in caught.value.exceptions] == [AssertionError, AssertionError]


async def test_a_handler_can_fail_the_test(engine: str) -> None:
    async def fail(connection: ServerConnection) -> None:
        pytest.fail("this must not be reached")

    with pytest.raises(pytest.fail.Exception, match="must not be reached"):
        async with LocalServer(fail) as server, connect(server.url, proxy=None) as ws:
            await ws.wait_closed()
            assert ws.close_code == 1011


async def test_an_end_in_a_handler_is_no_error(engine: str) -> None:
    async def waits(connection: ServerConnection) -> None:
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        await connection.recv()

    async with LocalServer(waits) as server:
        ws = await connect(server.url, proxy=None)
        ws.transport.abort()
        await ws.wait_closed()


async def test_the_error_of_a_test_comes_first(engine: str) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        async with LocalServer(failing) as server, connect(server.url, proxy=None) as ws:
            await ws.send("Good morning")
            await ws.wait_closed()
            raise ZeroDivisionError
    (note,) = caught.value.__notes__
    assert note.startswith("and on the server: AssertionError: the first message must be Hello")


async def test_one_cannot_be_used_twice() -> None:
    server = LocalServer()
    async with server:
        with pytest.raises(RuntimeError, match="runs once"):
            await server.__aenter__()
        with pytest.raises(RuntimeError, match="await the coroutine"):
            server.run(asyncio.sleep(0))


async def test_a_port_that_is_taken_is_told() -> None:
    async with LocalServer() as server:
        with pytest.raises(OSError):
            async with LocalServer(port=server.port):
                pytest.fail("it listens")


# Beside a test that has no loop.


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_thread_beside_a_plain_test(engine: str) -> None:
    with (
        LocalServer(close_timeout=0.05) as server,
        socket.create_connection((server.host, server.port)) as sock,
    ):
        assert "wirebird-testing" in threads()
        sock.sendall(request() + raw_frame(TEXT, b"Hello"))
        received = b""
        while not received.endswith(b"\x81\x05Hello"):
            received += sock.recv(1000)
        (connection,) = server.connections
        server.run(connection.close(4000, "from the test's thread"))
        assert b"from the test's thread" in sock.recv(1000)
    assert "wirebird-testing" not in threads()
    gc.collect()  # what was left open would warn


def test_what_goes_wrong_in_the_thread_is_raised(engine: str) -> None:
    with (
        pytest.raises(AssertionError, match="must be Hello"),
        LocalServer(failing, close_timeout=0.05) as server,
        socket.create_connection((server.host, server.port)) as sock,
    ):
        sock.sendall(request() + raw_frame(TEXT, b"Good morning"))
        while sock.recv(1000):
            pass
    with pytest.raises(OSError), LocalServer(host="203.0.113.1"):
        pytest.fail("it listens")
    assert "wirebird-testing" not in threads()


def test_a_script_in_a_thread() -> None:
    async def script(peer: Peer) -> None:
        head = await peer.expect_head()
        await peer.send(head.encode()[:3])
        await peer.stall()

    with (
        ScriptedServer(script) as server,
        socket.create_connection((server.host, server.port)) as sock,
    ):
        sock.sendall(request())
        assert sock.recv(1000) == b"GET"
    assert "wirebird-testing" not in threads()


def test_the_thread_does_not_wait_for_itself() -> None:
    async def handler(connection: ServerConnection) -> None:
        server.run(connection.close())

    with (
        pytest.raises(RuntimeError, match="this is it"),
        LocalServer(handler, close_timeout=0.05) as server,
        socket.create_connection((server.host, server.port)) as sock,
    ):
        sock.sendall(request())
        while sock.recv(1000):
            pass


@pytest.mark.parametrize("turns", range(8))
async def test_a_script_that_is_stopped_before_it_began_leaves_no_socket(turns: int) -> None:
    """Whatever turn the end comes in, from the client's first byte of TCP on."""

    async def script(peer: Peer) -> None:
        await peer.stall()

    with pytest.raises(KeyError):
        async with ScriptedServer(script) as server:
            with socket.create_connection((server.host, server.port)):
                for _ in range(turns):
                    await asyncio.sleep(0)
            raise KeyError
    gc.collect()  # a socket that nobody closed is a warning, and so a failure
