"""Connections joined in memory: the real ones of asyncio, on both engines."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest
from tests.engines import engine as engine

from wirebird.asyncio.client import ClientConnection
from wirebird.asyncio.server import ServerConnection
from wirebird.core.http1 import Request, Response
from wirebird.core.rules import State
from wirebird.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from wirebird.testing import MemoryNetwork, memory_pair


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def test_a_pair_talks_and_is_closed_at_the_end(engine: str) -> None:
    async with memory_pair() as (client, server):
        assert type(client.protocol.connection).__module__.split(".")[1] in (
            {"native"} if engine == "native" else {"core"}
        )
        await client.send("Hello")
        assert await server.recv() == "Hello"
        await server.send(b"x" * 1_000_000)
        assert await client.recv() == b"x" * 1_000_000
        await (await client.ping())
        assert (client.remote_address, client.local_address) == (
            server.local_address,
            server.remote_address,
        )
    assert (client.close_code, server.close_code) == (1000, 1000)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_arguments_are_those_of_connect_and_serve(engine: str) -> None:
    class Client(ClientConnection):
        pass

    class Server(ServerConnection):
        pass

    async with memory_pair(
        max_size=10,
        compression=None,
        client={"create_connection": Client, "subprotocols": ["b", "a"], "origin": "http://o"},
        server={"create_connection": Server, "subprotocols": ["a"], "max_size": 5},
        uri="ws://example.com:8080/path?query",
    ) as pair:
        assert isinstance(pair.client, Client)
        assert isinstance(pair.server, Server)
        assert pair.client.subprotocol == pair.server.subprotocol == "a"
        assert pair.server.request is not None
        assert pair.server.request.path == "/path?query"
        assert pair.server.request.headers["Host"] == "example.com:8080"
        assert pair.server.local_address == ("127.0.0.1", 8080)
        await pair.server.send("0123456789")
        assert await pair.client.recv() == "0123456789"
        await pair.client.send("012345")
        with pytest.raises(ConnectionClosedError) as caught:
            await pair.server.recv()
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1009


async def test_callbacks_on_both_ends(engine: str) -> None:
    class Noted:
        def __init__(self) -> None:
            self.messages: list[Any] = []

        def on_message(self, ws: Any, message: Any) -> None:
            self.messages.append(message)
            if message == "ping":
                ws.send_nowait("pong")

    here, there = Noted(), Noted()
    async with memory_pair(client={"handler": here}, server={"handler": there}) as (client, _):
        await client.send("ping")
    assert (here.messages, there.messages) == (["pong"], ["ping"])


async def test_backpressure_is_by_what_is_on_the_way(engine: str) -> None:
    async with memory_pair(compression=None, write_limit=1000, max_queue=4, capacity=100) as pair:
        sent: list[int] = []

        async def send_many() -> None:
            for number in range(20):
                await pair.client.send(bytes(1000))
                sent.append(number)
                await asyncio.sleep(0)

        sending = asyncio.create_task(send_many())
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(sent) < 10
        for _ in range(20):
            await pair.server.recv()
        await sending


async def test_what_is_cut_ends_with_1006_for_both(engine: str) -> None:
    async with memory_pair() as pair:
        await pair.client.send("before")
        await asyncio.sleep(0)
        pair.wire.cut()
        assert await pair.server.recv() == "before"
        for end in pair:
            with pytest.raises(ConnectionClosedError) as caught:
                await end.recv()
            assert isinstance(caught.value.__cause__, OSError)
            assert end.close_code == 1006


async def test_a_wire_that_is_held_at_the_end_is_cut(engine: str) -> None:
    async with asyncio.timeout(5):  # and not waited for
        async with memory_pair() as pair:
            pair.wire.hold()
    assert pair.client.state is pair.server.state is State.CLOSED


async def test_an_error_within_is_raised_at_once(engine: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with memory_pair(), memory_pair() as pair:
            pair.wire.hold()
            raise ZeroDivisionError
    assert pair.client.state is pair.server.state is State.CLOSED
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_handshake_that_is_refused_is_raised(engine: str) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(401, "no\n")

    with pytest.raises(InvalidStatus):
        async with memory_pair(server={"process_request": refuse}):
            pytest.fail("it was opened")
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_network_has_servers_by_name_and_port(engine: str) -> None:
    network = MemoryNetwork()

    async def other(connection: ServerConnection) -> None:
        await connection.send("other")

    async with network.serve(echo, "a.example"), network.serve(other, "a.example", 81):
        async with network.connect("ws://a.example/") as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
        async with network.connect("ws://a.example:81/") as ws:
            assert await ws.recv() == "other"
            with pytest.raises(ConnectionClosedOK):
                await ws.recv()
        assert len(network.wires) == 2
        with pytest.raises(ConnectionRefusedError, match=r"nobody listens at b\.example:80"):
            await network.connect("ws://b.example/")


async def test_a_port_is_free_again_when_its_server_is_closed(engine: str) -> None:
    network = MemoryNetwork()
    async with network.serve(echo):
        with pytest.raises(OSError) as caught:
            await network.serve(echo)
        assert caught.value.errno == errno.EADDRINUSE
    async with network.serve(echo, start_serving=False) as server:
        with pytest.raises(ConnectionRefusedError):
            await network.connect("ws://localhost/")
        await server.start_serving()
        async with network.connect("ws://localhost/"):
            pass
    with pytest.raises(ConnectionRefusedError):
        await network.connect("ws://localhost/")


async def test_closing_the_server_closes_connections(engine: str) -> None:
    network = MemoryNetwork()
    async with network.serve(echo), network.connect("ws://localhost/") as ws:
        assert ws.state is State.OPEN
        network_closes = asyncio.create_task(ws.wait_closed())
        await asyncio.sleep(0)
        assert not network_closes.done()
        await ws.close()
    async with network.serve(echo) as server:
        ws = await network.connect("ws://localhost/")
        server.close()
        await server.wait_closed()
        await ws.wait_closed()
        assert ws.close_code == 1001


async def test_it_connects_again_and_again(engine: str) -> None:
    network = MemoryNetwork()
    tries = []

    async def break_off(connection: ServerConnection) -> None:
        tries.append(connection)
        if len(tries) < 3:
            network.wires[-1].cut()
        await connection.wait_closed()

    def no_delays() -> Any:
        while True:
            yield 0

    async with network.serve(break_off):
        async for ws in network.connect("ws://localhost/", reconnect_delays=no_delays):
            if len(tries) == 3:
                break
            with pytest.raises(ConnectionClosedError):
                await ws.recv()
        await ws.close()
    assert len(tries) == 3


async def test_a_redirect_is_followed(engine: str) -> None:
    network = MemoryNetwork()

    def redirect(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(302, "")
        response.headers["Location"] = "ws://b.example:81/there"
        return response

    async with (
        network.serve(echo, "a.example", process_request=redirect),
        network.serve(echo, "b.example", 81),
        network.connect("ws://a.example/") as ws,
    ):
        assert ws.remote_address == ("127.0.0.1", 81)
        assert ws.request is not None
        assert ws.request.path == "/there"


@pytest.mark.parametrize("name", ["ssl", "sock", "family", "nonsense"])
def test_what_is_for_sockets_is_refused(name: str) -> None:
    async def main() -> None:
        network = MemoryNetwork()
        arguments: dict[str, Any] = {name: None}
        with pytest.raises(TypeError, match=f"takes no argument '{name}'"):
            network.serve(echo, **arguments)
        with pytest.raises(TypeError, match=f"takes no argument '{name}'"):
            network.connect("ws://localhost/", **arguments)
        with pytest.raises(TypeError, match=name):
            async with memory_pair(**arguments):
                pytest.fail("it was opened")

    asyncio.run(main())


async def test_tls_and_proxies_are_refused() -> None:
    network = MemoryNetwork()
    with pytest.raises(ValueError, match="no TLS"):
        network.connect("wss://localhost/")
    with pytest.raises(TypeError, match="no proxies"):
        network.connect("ws://localhost/", proxy="http://proxy")


async def test_servers_and_clients_are_in_one_loop() -> None:
    network = MemoryNetwork()

    async def connect() -> None:
        await network.connect("ws://localhost/")

    async with network.serve(echo):
        with pytest.raises(RuntimeError, match="in one event loop"):
            await asyncio.to_thread(asyncio.run, connect())
