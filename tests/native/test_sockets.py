"""Sockets that the engine owns: how they are taken over, what goes through them, how they end."""

from __future__ import annotations

import asyncio
import gc
import os
import pathlib
import socket
from typing import Any

import pytest
from tests.attacks.raw import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawPeer,
    close_payload,
    echo,
    frame,
    opened,
    port_of,
    request,
    uri_of,
)
from tests.native.ways import Way, only, served

from wirebird.asyncio.client import connect, unix_connect
from wirebird.asyncio.server import ServerConnection, serve, unix_serve
from wirebird.exceptions import ConnectionClosed, ConnectionClosedError


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_frames_that_come_with_the_request(way: Way) -> None:
    """A client may not wait for the answer; what it sends behind its request is not lost."""

    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, compression=None) as server:
            for pieces in (1, 3, 400):
                data = request() + b"".join(frame(TEXT, str(n).encode()) for n in range(100))
                async with await RawPeer.connect(port_of(server)) as peer:
                    step = len(data) // pieces
                    for at in range(0, len(data), step):
                        await peer.send(data[at : at + step])
                    await peer.head()
                    for number in range(100):
                        assert (await peer.frame()).payload == str(number).encode()
                    await peer.send(frame(CLOSE, close_payload(1000)))
                    assert (await peer.close_frame()).code == 1000
                    assert await peer.rest() == b""

    way.run(main())


def test_frames_that_come_with_the_response(way: Way) -> None:
    async def greet(ws: ServerConnection) -> None:
        for number in range(100):
            await ws.send(str(number))

    async def main() -> None:
        async with served(greet) as (_, client):
            way.check(client)
            assert [message async for message in client] == [str(n) for n in range(100)]
            assert client.close_code == 1000

    way.run(main())


@pytest.mark.parametrize("size", [100, 10_000, 1_000_000])
def test_a_peer_that_does_not_read_and_then_does(way: Way, size: int) -> None:
    """``send`` waits for it, and every byte comes."""
    total = 8_000_000

    async def flood(ws: ServerConnection) -> None:
        way.check(ws)
        for number in range(total // size):
            await ws.send(bytes([number % 256]) * size)
            progress.append(number)

    async def main() -> None:
        arguments: dict[str, Any] = {"compression": None, "write_limit": 2**15}
        async with serve(flood, "127.0.0.1", 0, **arguments) as server:  # noqa: SIM117
            async with await opened(port_of(server), receive_buffer=4096) as peer:
                before = -1
                while len(progress) != before:  # until it waits
                    before = len(progress)
                    await asyncio.sleep(0.05)
                assert before < total // size
                (connection,) = server.connections
                assert connection.transport.get_write_buffer_size() <= 2**15 + size + 200_000
                for number in range(total // size):
                    assert (await peer.frame()).payload == bytes([number % 256]) * size
                assert (await peer.close_frame()).code == 1000
                assert connection.transport.get_write_buffer_size() == 0

    progress: list[int] = []
    way.run(main())


def test_a_handler_that_does_not_read_and_then_does(way: Way) -> None:
    async def slow(ws: ServerConnection) -> None:
        await start.wait()
        async for message in ws:
            received.append(message)

    received: list[Any] = []
    start = asyncio.Event()

    async def main() -> None:
        async with serve(slow, "127.0.0.1", 0, compression=None) as server:
            async with connect(uri_of(server), proxy=None, compression=None) as client:
                sending = asyncio.create_task(send_all(client))
                while not next(iter(server.connections))._core.is_paused:  # type: ignore[union-attr]
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.02)
                assert not sending.done()
                start.set()
                await sending
                await client.close()
            assert received == [bytes([n]) * 100_000 for n in range(200)]

    async def send_all(client: Any) -> None:
        for number in range(200):
            await client.send(bytes([number]) * 100_000)

    way.run(main())


@only("own-asyncio", "own-uvloop")  # a transport that is paused tells nothing
@pytest.mark.parametrize("way_to_go", ["reset", "close"])
def test_a_peer_that_hangs_up_while_reading_is_paused(way: Way, way_to_go: str) -> None:
    """It is seen at once, without anybody reading, and what came before can still be read."""

    async def idle(ws: ServerConnection) -> None:
        await ws.wait_closed()
        try:
            async for message in ws:
                received.append(message)
        except ConnectionClosedError:
            received.append("end")

    received: list[Any] = []

    async def main() -> None:
        async with serve(idle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            peer = await opened(port_of(server))
            await peer.send(*(frame(TEXT, b"a") for _ in range(40)))
            (connection,) = server.connections
            while not connection._core.is_paused:  # type: ignore[union-attr]
                await asyncio.sleep(0.001)
            getattr(peer, way_to_go)()
            await connection.wait_closed()
            while "end" not in received:
                await asyncio.sleep(0.001)
            assert received == ["a"] * 40 + ["end"]
            assert connection.close_code == 1006

    way.run(main())


def test_a_peer_that_half_closes_gets_what_is_underway(way: Way) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, compression=None) as server:  # noqa: SIM117
            async with await opened(port_of(server)) as peer:
                await peer.send(frame(TEXT, b"a" * 70_000), frame(CLOSE, close_payload(1000)))
                peer.half_close()
                assert (await peer.frame()).payload == b"a" * 70_000
                assert (await peer.close_frame()).code == 1000
                assert await peer.rest() == b""

    way.run(main())


def test_a_peer_that_resets(way: Way) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, compression=None) as server:
            peer = await opened(port_of(server))
            await peer.send(frame(TEXT, b"a"))
            await peer.frame()
            (connection,) = server.connections
            peer.reset()
            await connection.wait_closed()
            assert connection.close_code == 1006
            with pytest.raises(ConnectionClosedError) as caught:
                await connection.send("a")
            assert isinstance(caught.value.__cause__, ConnectionResetError)

    way.run(main())


def test_abort(way: Way) -> None:
    async def main() -> None:
        async with served(echo) as (server, client):
            (connection,) = server.connections
            connection.transport.abort()
            assert connection.transport.is_closing()
            connection.transport.abort()
            connection.transport.close()
            connection.transport.write(b"nobody gets it")
            with pytest.raises(ConnectionClosed):
                await client.recv()
            await connection.wait_closed()
            assert connection.close_code == client.close_code == 1006

    way.run(main())


def test_what_a_transport_tells(way: Way) -> None:
    async def main() -> None:
        async with served(echo) as (server, client):
            way.check(client)
            transport = client.transport
            peername = transport.get_extra_info("peername")
            assert peername == server.sockets[0].getsockname()
            sock = transport.get_extra_info("socket")
            assert sock.getpeername() == peername
            assert transport.get_extra_info("sockname") == sock.getsockname()
            assert client.local_address == sock.getsockname()
            assert client.remote_address == peername
            assert transport.get_extra_info("nothing", 5) == 5
            assert transport.get_write_buffer_limits() == (2**13, 2**15)
            transport.set_write_buffer_limits(high=100)
            assert transport.get_write_buffer_limits() == (25, 100)
            assert transport.get_write_buffer_size() == 0
            assert transport.can_write_eof()
            assert not transport.is_closing()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await client.send("a")
            assert await client.recv() == "a"
        assert transport.is_closing()

    way.run(main())


def test_messages_of_a_megabyte(way: Way) -> None:
    async def main() -> None:
        async with served(echo, max_size=2**21) as (_, client):
            for unit in ("a", "é", "漢", "😀"):
                text = unit * (2**20 // len(unit.encode()))
                for message in (text, text.encode()):
                    await client.send(message)
                    assert await client.recv() == message

    way.run(main())


def test_pings_are_answered_while_nobody_reads(way: Way) -> None:
    async def idle(ws: ServerConnection) -> None:
        await ws.wait_closed()

    async def main() -> None:
        async with serve(idle, "127.0.0.1", 0, compression=None) as server:  # noqa: SIM117
            async with await opened(port_of(server)) as peer:
                await peer.send(frame(TEXT, b"unread"), frame(PING, b"a"))
                pong = await peer.frame()
                assert (pong.opcode, pong.payload) == (PONG, b"a")

    way.run(main())


@pytest.mark.parametrize("how", ["close", "abort", "reset", "by the server", "refused"])
def test_each_descriptor_is_closed_once(way: Way, how: str) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, close_timeout=2) as server:
            before = 0
            for turn in range(3):
                for _ in range(60):
                    await one(server)
                async with asyncio.timeout(10):
                    while server.handler_tasks:
                        await asyncio.sleep(0.001)
                await asyncio.sleep(0.01)
                gc.collect()
                if turn == 0:
                    before = descriptors()
            assert descriptors() == before

    async def one(server: Any) -> None:
        if how == "reset":
            peer = await opened(port_of(server))
            peer.reset()
            return
        if how == "refused":
            async with await RawPeer.connect(port_of(server)) as peer:
                await peer.send(request().replace(b"Version: 13", b"Version: 12"))
                await peer.rest()
            return
        client = await connect(uri_of(server), proxy=None)
        client.transport.get_extra_info("socket")
        await client.send("a")
        await client.recv()
        if how == "close":
            await client.close()
        elif how == "abort":
            client.transport.abort()
            await client.wait_closed()
        else:
            await asyncio.gather(*(other.close() for other in server.connections))
            await client.wait_closed()

    way.run(main())


def test_the_server_waits_for_connections_that_were_taken_over(way: Way) -> None:
    async def main() -> None:
        server = await serve(echo, "127.0.0.1", 0)
        clients = [await connect(uri_of(server), proxy=None) for _ in range(5)]
        assert len(server.connections) == 5
        waiting = asyncio.create_task(server.wait_closed())
        server.close()
        await waiting
        for client in clients:
            await client.wait_closed()
            assert client.close_code == 1001
        assert server.connections == set()

    way.run(main())


def test_ipv6(way: Way) -> None:
    async def main() -> None:
        async with serve(echo, "::1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(f"ws://[::1]:{port}/", proxy=None) as client:
                way.check(client)
                await client.send("a")
                assert await client.recv() == "a"
                assert client.remote_address[:2] == ("::1", port)

    way.run(main())


def test_unix_sockets(way: Way, tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "s")

    async def main() -> None:
        async with unix_serve(echo, path) as server, unix_connect(path) as client:
            way.check(client)
            way.check(next(iter(server.connections)))
            await client.send("a")
            assert await client.recv() == "a"

    way.run(main())


# Fairness.


def test_a_flooder_does_not_starve_others(way: Way) -> None:
    """While thousands of its frames are underway, a bystander is answered after a few hundred."""
    handled: list[str] = []

    async def handler(ws: ServerConnection) -> None:
        async for message in ws:
            handled.append(str(message)[:1])
            await ws.send(message)

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0, compression=None) as server:  # noqa: SIM117
            async with (
                await opened(port_of(server)) as flooder,
                await opened(port_of(server)) as other,
            ):
                flood = frame(TEXT, b"f") * 20_000
                sending = asyncio.create_task(flooder.send(flood))
                reading = asyncio.create_task(flooder.exactly(3 * 20_000))
                while len(handled) < 100:
                    await asyncio.sleep(0)
                worst = 0
                answers = 0
                while handled.count("f") < 15_000:
                    before = len(handled)
                    await other.send(frame(TEXT, b"o"))
                    assert (await other.frame()).payload == b"o"
                    worst = max(worst, len(handled) - before)
                    answers += 1
                await sending
                await reading
                assert answers >= 4
                # A turn gives a connection 256 messages; a round trip takes a few turns.
                assert worst <= 5_000

    way.run(main())
