"""Clients that want more than the server's limits grant: what they get, and what others get."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import pytest
from tests.attacks.raw import (
    BINARY,
    CLOSE,
    CONT,
    MIB,
    PING,
    PONG,
    TEXT,
    RawPeer,
    bystander,
    close_payload,
    echo,
    echo_server,
    frame,
    opened,
    port_of,
    request,
)

from wirebird import Instrumentation
from wirebird.asyncio.server import Server, ServerConnection, serve
from wirebird.core.limits import Limits

SMALL = 4096


async def until(server: Server, **wanted: Any) -> None:
    """Let the loop run until the server's statistics say so."""
    while any(getattr(server.stats(), name) != value for name, value in wanted.items()):
        await asyncio.sleep(0.001)


async def refused(port: int) -> tuple[str, str]:
    """Connect, ask for a WebSocket, and return status and Retry-After of the refusal."""
    async with await RawPeer.connect(port) as peer:
        await peer.try_send(request())
        head = await peer.head()
        assert "Connection: close\r\n" in head
        await peer.rest()  # the stream ends properly: what was sent before can be read
    retry = [line for line in head.split("\r\n") if line.startswith("Retry-After: ")]
    return head.split(" ")[1], retry[0].removeprefix("Retry-After: ")


# Connections


async def with_request(connection: ServerConnection, _: object) -> None:
    """A hook, so that each connection has a task from the start."""


@pytest.mark.parametrize("hook", [None, with_request])
async def test_connections_of_one_address(hook: Any) -> None:
    limits = Limits(connections_per_address=3)
    async with echo_server(limits=limits, process_request=hook) as server:
        port = port_of(server)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(await opened(port))
            for _ in range(20):
                assert await refused(port) == ("429", "5")
            assert server.stats().refused == {"connections_per_address": 20}
            assert server.stats().open == 3
        await until(server, open=0, opening=0, closing=0)
        async with await opened(port):
            pass


async def test_connections_that_only_wait_count_too() -> None:
    async with echo_server(limits=Limits(connections_per_address=2)) as server:
        port = port_of(server)
        async with await RawPeer.connect(port), await RawPeer.connect(port):
            await until(server, opening=2)
            assert (await refused(port))[0] == "429"


async def test_connections_too_often() -> None:
    limits = Limits(connection_rate_per_address=(0.01, 5))
    async with echo_server(limits=limits) as server:
        port = port_of(server)
        for _ in range(5):
            async with await opened(port):
                pass
        status, retry = await refused(port)
        assert status == "429"
        assert 90 <= int(retry) <= 100
        assert server.stats().refused == {"connection_rate_per_address": 1}


async def test_connections_in_all() -> None:
    async with (
        echo_server(limits=Limits(connections=2)) as server,
        bystander(server),
        await opened(port_of(server)),
    ):
        assert (await refused(port_of(server)))[0] == "503"
        assert server.stats().refused == {"connections": 1}


async def test_those_who_are_turned_away_cannot_stay() -> None:
    """They neither read their answer nor leave: some are given a moment, others nothing."""
    async with echo_server(limits=Limits(connections=1)) as server, bystander(server):
        peers = [await RawPeer.connect(port_of(server)) for _ in range(300)]
        await until(server, refused={"connections": 300})
        assert server.stats().opening <= 128
        await until(server, opening=0)
        for peer in peers:
            peer.close()


async def test_a_flood_behind_a_refusal_is_cut() -> None:
    async with (
        echo_server(limits=Limits(connections=1)) as server,
        bystander(server),
        await RawPeer.connect(port_of(server)) as peer,
    ):
        sent = 0
        while await peer.try_send(bytes(64 * 1024)) and sent < 64:
            sent += 1
        assert sent < 64


@pytest.mark.parametrize("hook", [None, with_request])
async def test_handshakes_that_never_end_make_room(hook: Any) -> None:
    limits = Limits(handshakes=10)
    async with (
        echo_server(limits=limits, process_request=hook) as server,
        bystander(server),
        contextlib.AsyncExitStack() as stack,
    ):
        slow = [
            await stack.enter_async_context(await RawPeer.connect(port_of(server)))
            for _ in range(25)
        ]
        for peer in slow:
            await peer.try_send(b"GET / HTTP/1.1\r\nHost: ")
        await until(server, refused={"handshakes": 15})
        for peer in slow[:15]:
            assert (await peer.head()).startswith("HTTP/1.1 503 ")
        # Who is quick comes through, and the youngest are still served.
        async with await opened(port_of(server)):
            pass
        await slow[-1].send(request().removeprefix(b"GET / HTTP/1.1\r\nHost: "))
        assert (await slow[-1].head()).startswith("HTTP/1.1 101 ")


# Rates

FLOODS = {
    "messages": [frame(TEXT, b"x")],
    "frames": [frame(PING), frame(PING, b"are you there?")],
    "bytes": [frame(BINARY, bytes(5000))],
}
RATES: dict[str, Any] = {
    "messages": {"messages": (1, 50)},
    "frames": {"frames": (1, 50)},
    "bytes": {"received_bytes": (1000, 100_000)},
}


async def unread(connection: ServerConnection) -> None:
    """A handler that never receives."""
    await connection.wait_closed()


class Callbacks:
    """A handler whose methods are called."""

    def on_message(self, ws: ServerConnection, message: str | bytes) -> None:
        """Take it."""


@pytest.mark.parametrize("handler", [echo, unread, Callbacks])
@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_is_closed(kind: str, handler: Any) -> None:
    limits = Limits(**RATES[kind])
    arguments: dict[str, Any] = {"limits": limits, "compression": None, "max_queue": None}
    async with serve(handler, "127.0.0.1", 0, **arguments) as server:
        async with await opened(port_of(server)) as peer:
            sending = asyncio.create_task(flood(peer, FLOODS[kind]))
            close = await peer.close_frame()
            assert close.code == 1008
            assert close.reason == f"too many {kind} a second"
            await peer.try_send(frame(CLOSE, close_payload(1008)))
            sending.cancel()
        await until(server, closed={1008: 1})
        assert server.stats().limits_exceeded == {kind: 1}


async def flood(peer: RawPeer, frames: list[bytes]) -> None:
    for data in itertools.cycle(frames):
        if not await peer.try_send(data * 10):
            return


async def test_a_flood_of_fragments_and_pings_counts_as_frames() -> None:
    async with (
        echo_server(limits=Limits(frames=(1, 100))) as server,
        await opened(port_of(server)) as peer,
    ):
        await peer.send(frame(TEXT, b"x", fin=False))
        sending = asyncio.create_task(flood(peer, [frame(CONT, b"x", fin=False)]))
        assert (await peer.close_frame()).reason == "too many frames a second"
        sending.cancel()


async def test_who_keeps_within_the_rates_is_served() -> None:
    limits = Limits(messages=(1, 100), frames=(1, 200), received_bytes=(1, 10_000))
    async with echo_server(limits=limits) as server, await opened(port_of(server)) as peer:
        for _ in range(100):
            await peer.send(frame(TEXT, b"x"), frame(PING, b""))
            assert {(await peer.frame()).opcode, (await peer.frame()).opcode} == {TEXT, 10}
        assert server.stats().limits_exceeded == {}
        totals = server.stats().totals
        assert (totals.messages_received, totals.frames_received) == (100, 200)
        assert (totals.pings_received, totals.messages_sent, totals.frames_sent) == (100, 100, 200)
        assert totals.bytes_received == 100 * (7 + 6)
        assert totals.bytes_sent == 100 * (3 + 2)


@pytest.mark.parametrize("handler", [echo, unread, Callbacks])
@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_is_throttled(kind: str, handler: Any) -> None:
    """The server stops to read, so that the flood ends in the peer's own buffers."""
    connections: list[ServerConnection] = []
    limits = Limits(**RATES[kind], over_rate="throttle")

    class Made(ServerConnection):
        def _opened(self) -> None:
            super()._opened()
            connections.append(self)

    arguments: dict[str, Any] = {
        "limits": limits,
        "compression": None,
        "create_connection": Made,
        "close_timeout": 0.1,
    }
    async with (
        serve(handler, "127.0.0.1", 0, **arguments) as server,
        await opened(port_of(server), receive_buffer=SMALL) as peer,
    ):
        sending = asyncio.create_task(flood(peer, FLOODS[kind]))
        while not server.stats().limits_exceeded:
            await asyncio.sleep(0.001)
        core = connections[0].protocol.connection
        assert core is not None
        assert core.is_paused
        deadline = core.next_deadline()
        assert deadline is not None
        assert await come_to_rest(server) < 100_000
        assert not connections[0].connection_lost_waiter.done()
        sending.cancel()


async def come_to_rest(server: Server) -> int:
    """Wait until no frames come any more; return how many have."""
    seen, turns = 0, 0
    while turns < 50:
        await asyncio.sleep(0)
        count = server.stats().totals.frames_received
        seen, turns = count, turns + 1 if count == seen else 0
    return seen


async def test_who_was_throttled_is_served_again() -> None:
    limits = Limits(messages=(200, 10), over_rate="throttle")
    async with echo_server(limits=limits) as server, await opened(port_of(server)) as peer:
        await peer.send(*(frame(TEXT, b"%d" % n) for n in range(40)))
        assert [(await peer.frame()).payload for n in range(40)] == [b"%d" % n for n in range(40)]
        await peer.send(frame(TEXT, b"later"), frame(CLOSE, close_payload(1000)))
        assert (await peer.frame()).payload == b"later"
        assert (await peer.frame()).code == 1000
        assert set(server.stats().limits_exceeded) == {"messages"}


async def test_a_throttled_peer_that_goes_away_is_noticed() -> None:
    limits = Limits(messages=(0.001, 1), over_rate="throttle")
    arguments: dict[str, Any] = {"limits": limits, "ping_interval": 0.05, "close_timeout": 0.1}
    async with serve(echo, "127.0.0.1", 0, **arguments) as server:
        peer = await opened(port_of(server))
        await peer.send(frame(TEXT, b"x") * 5)
        while not server.stats().limits_exceeded:
            await asyncio.sleep(0.001)
        peer.reset()
        await until(server, open=0, closing=0)


# Memory


async def test_who_hoards_memory_is_closed_and_others_are_not() -> None:
    """Many send what nobody reads, each within its own limits."""
    limits = Limits(memory_bytes=2 * MIB)

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        await (echo if connection.request.path == "/" else unread)(connection)

    async with (
        serve(handler, "127.0.0.1", 0, limits=limits) as server,
        bystander(server),
        contextlib.AsyncExitStack() as stack,
    ):
        hoarders: list[RawPeer] = []
        codes: list[int] = []
        for _ in range(20):
            peer = await stack.enter_async_context(await RawPeer.connect(port_of(server)))
            await peer.send(request(path="/unread"))
            await peer.head()
            await peer.send(*[frame(BINARY, bytes(50_000))] * 5)
            hoarders.append(peer)
        codes += await closes_among(hoarders)
        # All that was sent has come now; the server looks at its memory again.
        while server.stats().held_bytes > 2 * MIB:
            await asyncio.sleep(0.001)
        codes += await closes_among(hoarders)
        assert codes == [1013] * server.stats().limits_exceeded["memory"]
        assert 10 <= len(codes) < 20


async def closes_among(peers: list[RawPeer]) -> list[int]:
    """Ping all, and take out those whose connection was closed; return the codes."""
    codes = []
    for peer in list(peers):
        await peer.try_send(frame(PING, b"?"))
        answer = await peer.frame()
        assert answer.opcode in (CLOSE, PONG)
        if answer.opcode == CLOSE:
            codes.append(answer.code)
            peers.remove(peer)
    return codes


async def test_who_takes_nothing_is_cut_when_memory_is_short() -> None:
    arguments: dict[str, Any] = {"limits": Limits(memory_bytes=MIB), "compression": None}
    closed = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        if connection.request is not None and connection.request.path == "/":
            await echo(connection)
            return
        with contextlib.suppress(Exception):
            await connection.send(bytes(16 * MIB))
        closed.set()

    async with (
        serve(handler, "127.0.0.1", 0, **arguments) as server,
        bystander(server),
        await RawPeer.connect(port_of(server), receive_buffer=SMALL) as peer,
    ):
        await peer.send(request(path="/unread"))
        await closed.wait()
        await until(server, open=1, closing=0, limits_exceeded={"memory": 1})
        assert server.stats().closed == {1013: 1}


async def test_nobody_comes_in_while_memory_is_short() -> None:
    async with echo_server(limits=Limits(memory_bytes=MIB)) as server:
        assert server.gate is not None
        server.gate.admission.is_out_of_memory = True
        assert (await refused(port_of(server)))[0] == "503"
        assert server.stats().refused == {"memory": 1}


async def test_what_comes_before_the_answer_is_held_too() -> None:
    """Each waits for a hook's answer, with the most that may be sent before it."""
    limits = Limits(memory_bytes=200_000)

    async def slowly(connection: ServerConnection, _: object) -> None:
        await never.wait()

    never = asyncio.Event()
    async with (
        echo_server(limits=limits, process_request=slowly, open_timeout=None) as server,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(8):
            peer = await stack.enter_async_context(await RawPeer.connect(port_of(server)))
            await peer.send(request() + frame(BINARY, bytes(50_000)))
        await until(server, refused={"memory": 5}, opening=3)
        assert 0 < server.stats().held_bytes <= 200_000
        never.set()


@pytest.mark.parametrize("is_closed_by_hook", [False, True])
async def test_who_is_throttled_can_still_be_closed(is_closed_by_hook: bool) -> None:
    """The debt of a peer does not stand between the two halves of the closing handshake."""

    class Strict(Instrumentation):
        def limit_exceeded(self, connection: Any, limit: str) -> None:
            if is_closed_by_hook:
                connection.close_nowait(4000)

    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        while not server.stats().limits_exceeded:
            await asyncio.sleep(0)
        await connection.close(4000)

    arguments: dict[str, Any] = {
        "limits": Limits(messages=(0.001, 1), over_rate="throttle"),
        "instrumentation": Strict(),
        "close_timeout": None,
    }
    async with serve(handler, "127.0.0.1", 0, **arguments) as server:
        async with await opened(port_of(server)) as peer:
            await peer.send(frame(TEXT, b"x") * 5)
            assert (await peer.close_frame()).code == 4000
            await peer.send(frame(TEXT, b"x") * 500)
            await until(server, open=0)
            await peer.send(frame(CLOSE, close_payload(4000)))
            await peer.rest()
        await until(server, closing=0)
        assert server.stats().closed == {4000: 1}
