"""Clients that send too much, take too little or go away: what they cost, and what others get."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from tests.attacks.raw import (
    BINARY,
    CLOSE,
    MIB,
    PING,
    PONG,
    TEXT,
    RawPeer,
    bystander,
    close_payload,
    echo_server,
    frame,
    memory,
    opened,
    port_of,
)

from wirebird.asyncio.server import ServerConnection, broadcast, serve
from wirebird.core.rules import State
from wirebird.exceptions import ConnectionClosed, ConnectionClosedError
from wirebird.testing import FakeClock

# A kernel's receive buffer that is soon full.
SMALL = 4096


async def silent(connection: ServerConnection) -> None:
    """A handler that never receives."""
    await connection.wait_closed()


def shrink(connection: ServerConnection) -> None:
    """Let the kernel hold little of what a client does not take."""
    sock = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)


# Pings and pongs.


async def test_pings_of_one_who_reads_are_all_answered() -> None:
    async with echo_server() as server, bystander(server), await opened(port_of(server)) as peer:
        count = 2000
        sending = asyncio.create_task(
            peer.send(b"".join(frame(PING, b"%d" % n) for n in range(count)))
        )
        pongs = [await peer.frame() for _ in range(count)]
        await sending
        assert [pong.opcode for pong in pongs] == [PONG] * count
        assert [pong.payload for pong in pongs] == [b"%d" % n for n in range(count)]


async def test_pings_are_answered_while_nobody_receives() -> None:
    async with serve(silent, "127.0.0.1", 0) as server, await opened(port_of(server)) as peer:
        await peer.send(frame(TEXT, b"unread"), frame(PING, b"are you there?"))
        assert (await peer.frame()).payload == b"are you there?"
        await peer.send(frame(CLOSE, close_payload(1000)))
        assert (await peer.frame()).code == 1000


async def test_pongs_that_nobody_reads_do_not_pile_up() -> None:
    connections: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        if connection.request is not None and connection.request.path == "/attacked":
            shrink(connection)
            connections.append(connection)
        async for message in connection:
            await connection.send(message)

    async with serve(handler, "127.0.0.1", 0) as server, bystander(server) as other:
        peer = await RawPeer.connect(port_of(server), receive_buffer=SMALL)
        async with peer:
            await peer.send(
                b"GET /attacked HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                b"Sec-WebSocket-Version: 13\r\n\r\n"
            )
            await peer.head()
            before = other.round_trips
            pings = frame(PING, bytes(125)) * 500
            with memory() as used:
                for _ in range(60):  # 4 MB of pings; 64 KB of pongs and the kernels' is kept
                    await peer.send(pings)
                    await asyncio.sleep(0)
                await peer.send(frame(PING, b"the latest"))
                while not connections or not connections[0].link.buffered_bytes():
                    await asyncio.sleep(0)
            assert used.peak < MIB
            assert other.round_trips > before
            assert connections[0].link.buffered_bytes() < 512 * 1024
            # Whoever reads at last finds the first pongs, and the latest.
            last = b""
            while last != b"the latest":
                pong = await peer.frame()
                assert pong.opcode == PONG
                last = pong.payload


async def test_a_close_ends_pongs_that_were_put_off() -> None:
    """No pong may follow the end of the stream."""
    connections: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        shrink(connection)
        connections.append(connection)
        await connection.wait_closed()

    async with (
        serve(handler, "127.0.0.1", 0, compression=None) as server,
        await opened(port_of(server), receive_buffer=SMALL) as peer,
    ):
        while not connections:
            await asyncio.sleep(0)
        broadcast(connections, bytes(200_000))
        await peer.send(frame(PING, b"put off"))
        await peer.send(frame(CLOSE, close_payload(1000)))
        await asyncio.sleep(0)
        assert len((await peer.frame()).payload) == 200_000
        assert (await peer.frame()).opcode == CLOSE
        assert await peer.rest() == b""


async def test_a_flood_of_pongs_costs_nothing() -> None:
    async with echo_server() as server, bystander(server), await opened(port_of(server)) as peer:
        pongs = frame(PONG, bytes(100)) * 100
        with memory() as used:
            for _ in range(100):
                await peer.send(pongs)
                await asyncio.sleep(0)
            await peer.send(frame(TEXT, b"hi"))
            assert (await peer.frame()).payload == b"hi"
        assert used.peak < MIB


# Who does not read.


async def test_messages_that_the_handler_does_not_read_stay_with_their_sender() -> None:
    async with serve(silent, "127.0.0.1", 0) as server, await opened(port_of(server)) as peer:
        message = frame(BINARY, bytes(10_000))
        sent = 0
        with memory() as used, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    await peer.send(message)
                    sent += len(message)
                    await asyncio.sleep(0)
        # The kernels' buffers take some megabytes; the server takes what its marks allow.
        assert used.peak < 2 * MIB
        assert sent < 64 * MIB


async def test_a_client_that_never_reads_blocks_its_own_handler_alone() -> None:
    sent: list[int] = []
    ends: list[BaseException] = []

    async def handler(connection: ServerConnection) -> None:
        if connection.request is not None and connection.request.headers.get("X-Flood"):
            shrink(connection)
            try:
                while True:
                    await connection.send(bytes(10_000))
                    sent.append(10_000)
            except ConnectionClosed as exc:
                ends.append(exc)
                raise
        async for message in connection:
            await connection.send(message)

    async with serve(
        handler, "127.0.0.1", 0, compression=None, write_timeout=0.3, close_timeout=0.3
    ) as server:
        async with bystander(server) as other:
            peer = await opened(port_of(server), "X-Flood: 1", receive_buffer=SMALL)
            with memory() as used:
                before = other.round_trips
                while not ends:
                    await asyncio.sleep(0.01)
                assert other.round_trips > before
            peer.close()
        assert used.peak < MIB
        # 32 KiB wait in the transport, the rest is the kernels'.
        assert sum(sent) < 8 * MIB
        (end,) = ends
        assert isinstance(end, ConnectionClosedError)
        assert str(end.__cause__) == "the peer took nothing for 0.3 seconds"


async def test_a_client_that_never_reads_is_cut_while_others_get_the_broadcast() -> None:
    async with (
        serve(silent, "127.0.0.1", 0, compression=None, write_timeout=0.3) as server,
        await opened(port_of(server), receive_buffer=SMALL) as deaf,
        await opened(port_of(server)) as listener,
    ):
        while len(server.connections) < 2:
            await asyncio.sleep(0)
        for connection in server.connections:
            shrink(connection)
        heard = 0
        with memory() as used:
            while len(server.connections) == 2:
                broadcast(server.connections, bytes(1000))
                assert len((await listener.frame()).payload) == 1000
                heard += 1
        assert heard > 100
        assert used.peak < 32 * MIB
        assert deaf.sock.fileno() >= 0


async def test_closing_does_not_wait_for_a_client_that_never_reads() -> None:
    async def handler(connection: ServerConnection) -> None:
        shrink(connection)
        broadcast([connection], bytes(MIB))
        await connection.close()

    async with (
        serve(handler, "127.0.0.1", 0, compression=None, close_timeout=0.2) as server,
        await opened(port_of(server), receive_buffer=SMALL),
    ):
        while not server.all_connections:
            await asyncio.sleep(0)
        while server.all_connections:
            await asyncio.sleep(0.01)


# Who goes away.


async def test_a_client_that_resets_the_connection() -> None:
    ends: asyncio.Queue[ConnectionClosed] = asyncio.Queue()

    async def handler(connection: ServerConnection) -> None:
        try:
            await connection.recv()
        except ConnectionClosed as exc:
            ends.put_nowait(exc)

    async with serve(handler, "127.0.0.1", 0) as server:
        peer = await opened(port_of(server))
        peer.reset()
        end = await ends.get()
        assert isinstance(end, ConnectionClosedError)
        assert (end.rcvd, end.sent) == (None, None)


async def test_a_client_that_resets_while_a_send_waits() -> None:
    ends: asyncio.Queue[ConnectionClosed] = asyncio.Queue()

    async def handler(connection: ServerConnection) -> None:
        shrink(connection)
        try:
            while True:
                await connection.send(bytes(10_000))
        except ConnectionClosed as exc:
            ends.put_nowait(exc)

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        peer = await opened(port_of(server), receive_buffer=SMALL)
        while not any(connection.link.buffered_bytes() for connection in server.connections):
            await asyncio.sleep(0)
        peer.reset()
        assert isinstance(await ends.get(), ConnectionClosedError)


async def test_a_client_that_vanishes_is_given_up() -> None:
    """Nothing comes any more, and nothing is refused: only time tells."""
    ends: asyncio.Queue[ConnectionClosed] = asyncio.Queue()

    async def handler(connection: ServerConnection) -> None:
        try:
            await connection.recv()
        except ConnectionClosed as exc:
            ends.put_nowait(exc)

    async with (
        serve(
            handler, "127.0.0.1", 0, ping_interval=0.05, ping_timeout=0.1, close_timeout=0.1
        ) as server,
        await opened(port_of(server)) as peer,
    ):
        end = await ends.get()
        assert end.rcvd is None
        assert end.sent is not None
        assert (end.sent.code, end.sent.reason) == (1011, "keepalive ping timeout")
        assert str(end.__cause__) == "keepalive ping timeout"
        assert (await peer.frame()).opcode == PING
        assert (await peer.close_frame()).code == 1011


async def test_any_byte_is_a_sign_of_life(fake_clock: FakeClock) -> None:
    """A client that is slow to answer, but sends, is not given up; one that stops to send is."""
    async with (
        serve(silent, "127.0.0.1", 0, ping_interval=5, ping_timeout=10) as server,
        await opened(port_of(server)) as peer,
    ):
        for byte in frame(TEXT, bytes(100))[:50]:
            await peer.send(bytes([byte]))
            await fake_clock.advance(1)
        assert len(server.connections) == 1
        (connection,) = server.connections
        assert connection.state is State.OPEN
        await fake_clock.advance(15)
        assert connection.state is not State.OPEN


async def test_a_client_that_half_closes() -> None:
    received = []
    ends: asyncio.Queue[ConnectionClosed] = asyncio.Queue()

    async def handler(connection: ServerConnection) -> None:
        try:
            while True:
                received.append(await connection.recv())
        except ConnectionClosed as exc:
            ends.put_nowait(exc)

    async with serve(handler, "127.0.0.1", 0) as server, await opened(port_of(server)) as peer:
        await peer.send(frame(TEXT, b"the last"), frame(TEXT, b"cut off")[:-1])
        peer.half_close()
        end = await ends.get()
        assert received == ["the last"]
        assert (end.rcvd, end.sent) == (None, None)
        assert isinstance(end.__cause__, EOFError)
        assert await peer.rest() == b""


async def test_a_client_that_closes_and_never_ends_tcp() -> None:
    async with echo_server(close_timeout=0.1) as server, await opened(port_of(server)) as peer:
        await peer.send(frame(CLOSE, close_payload(1000)))
        assert (await peer.frame()).opcode == CLOSE
        assert await peer.rest() == b""  # the server ends its half, and waits for ours
        while server.all_connections:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("way", ["close", "half-close", "reset", "Close frame"])
async def test_many_who_come_and_go(way: str) -> None:
    async with echo_server() as server, bystander(server) as other:
        before = other.round_trips

        async def come_and_go() -> None:
            async with await opened(port_of(server)) as peer:
                if way == "half-close":
                    peer.half_close()
                    assert await peer.rest() == b""
                elif way == "reset":
                    peer.reset()
                elif way == "Close frame":
                    await peer.send(frame(CLOSE))
                    assert (await peer.frame()).code == 1005

        with memory() as used:
            for _ in range(10):
                await asyncio.gather(*(come_and_go() for _ in range(30)))
                while len(server.all_connections) > 1:
                    await asyncio.sleep(0)
        assert used.peak < 8 * MIB
        assert other.round_trips > before
        while len(server.handler_tasks) > 1:
            await asyncio.sleep(0)


async def test_many_who_connect_and_say_nothing() -> None:
    async with echo_server(open_timeout=0.5) as server, bystander(server) as other:
        before = other.round_trips
        peers = [await RawPeer.connect(port_of(server)) for _ in range(100)]
        for peer in peers:
            assert (await peer.head()).startswith("HTTP/1.1 408 ")
            peer.close()
        assert other.round_trips > before
        while len(server.handler_tasks) > 1:
            await asyncio.sleep(0.01)


# Fairness.


async def test_a_flood_of_small_messages_does_not_starve_another_connection() -> None:
    order: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            order.append(str(message))

    async with (
        serve(handler, "127.0.0.1", 0) as server,
        await opened(port_of(server)) as flooding,
        await opened(port_of(server)) as other,
    ):
        flood = frame(TEXT, b"flood") * 2000
        await flooding.send(flood)
        await other.send(frame(TEXT, b"other"))
        while "other" not in order:
            await asyncio.sleep(0)
        # All of it had come when the other's message did; it does not have to wait for all.
        assert order.index("other") < 1000
        while len(order) < 2001:
            await asyncio.sleep(0)


async def test_a_flood_of_fragments_to_one_who_streams_does_not_either() -> None:
    order: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        async for fragment in connection.recv_streaming():
            order.append(str(fragment))

    async with (
        serve(handler, "127.0.0.1", 0, max_queue=None) as server,
        await opened(port_of(server)) as flooding,
        await opened(port_of(server)) as other,
    ):
        await flooding.send(frame(TEXT, b"flood", fin=False), frame(0, b"flood", fin=False) * 2000)
        await other.send(frame(TEXT, b"other"))
        while "other" not in order:
            await asyncio.sleep(0)
        assert order.index("other") < 1000
