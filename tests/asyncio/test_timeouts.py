"""What happens when time passes, to the second: in memory, on a fake clock, for both ends."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from wirebird.asyncio.client import ClientConnection
from wirebird.asyncio.server import ServerConnection
from wirebird.core.frames import Frame
from wirebird.core.rules import Opcode, State
from wirebird.exceptions import ConnectionClosedError
from wirebird.testing import (
    TEXT,
    FakeClock,
    MemoryNetwork,
    Pair,
    Peer,
    ScriptedServer,
    memory_pair,
    open_peer,
    request,
)

Connection = ClientConnection | ServerConnection


@pytest.fixture(params=["client", "server"])
def end(request: pytest.FixtureRequest) -> str:
    """Which end is looked at."""
    return str(request.param)


def ends(pair: Pair, end: str) -> tuple[Connection, Connection]:
    """The end that is looked at, and the other."""
    return (pair.client, pair.server) if end == "client" else (pair.server, pair.client)


class Stopwatch:
    """Says how much time has passed on a clock, in seconds."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._begin = clock.time()

    @property
    def passed(self) -> float:
        return round(self._clock.time() - self._begin, 6)


# Keepalive.


async def test_an_idle_connection_lives_for_hours(fake_clock: FakeClock, end: str) -> None:
    async with memory_pair() as pair:
        here, there = ends(pair, end)
        await fake_clock.advance(6 * 3600)
        assert here.state is there.state is State.OPEN
        await here.send("still there")
        assert await there.recv() == "still there"


async def test_who_does_not_answer_pings_is_given_up(fake_clock: FakeClock, end: str) -> None:
    for_one: dict[str, Any] = {
        end: {"ping_interval": 20, "ping_timeout": 15, "close_timeout": 5},
        ("server" if end == "client" else "client"): {"ping_interval": None},
    }
    watch = Stopwatch(fake_clock)
    async with memory_pair(**for_one) as pair:
        here, _ = ends(pair, end)
        pair.wire.hold()
        await fake_clock.advance(34.9)
        assert here.state is State.OPEN
        with pytest.raises(ConnectionClosedError, match="keepalive ping timeout"):
            await here.recv()
        assert watch.passed == 40  # ping, silence, closing handshake
        assert (here.close_code, here.protocol.close_sent is not None) == (1006, True)


@pytest.mark.parametrize("is_reading", [True, False])
async def test_any_byte_is_a_sign_of_life(fake_clock: FakeClock, is_reading: bool) -> None:
    network = MemoryNetwork()
    received: list[Any] = []

    async def handler(connection: ServerConnection) -> None:
        if is_reading:
            async for message in connection:
                received.append(message)
        await connection.wait_closed()

    async with (
        network.serve(handler, ping_interval=20, ping_timeout=15, max_queue=None),
        open_peer("ws://localhost/", network=network, deadline=1000) as peer,
    ):
        for _ in range(10):
            await peer.dribble(b"\x81\x81\0\0\0\0x", interval=10)
        await peer.expect_ping()
        watch = Stopwatch(fake_clock)
        await fake_clock.settle()
        assert len(received) == (10 if is_reading else 0)
        await peer.expect_close(1011)
        assert watch.passed <= 35
        peer.close()


async def test_silence_means_nothing_while_reading_is_paused(
    fake_clock: FakeClock, end: str
) -> None:
    async with memory_pair(max_queue=2, ping_interval=20, ping_timeout=15) as pair:
        here, there = ends(pair, end)
        for number in range(6):
            await there.send(str(number))
        await fake_clock.settle()
        assert not here.transport.is_reading()
        await fake_clock.advance(30)
        assert here.state is State.OPEN
        assert [await here.recv() for _ in range(6)] == list("012345")


async def test_the_round_trip_is_measured(fake_clock: FakeClock, end: str) -> None:
    async with memory_pair(ping_interval=None) as pair:
        here, _ = ends(pair, end)
        waiting = await here.ping()
        pair.wire.hold()
        await fake_clock.advance(3)
        pair.wire.release()
        assert await waiting == pytest.approx(3)
        assert here.latency == pytest.approx(3)


# Closing.


async def test_the_closing_handshake_takes_no_longer_than_it_may(
    fake_clock: FakeClock, end: str
) -> None:
    async with memory_pair(close_timeout=7, ping_interval=None) as pair:
        here, _ = ends(pair, end)
        pair.wire.hold()
        watch = Stopwatch(fake_clock)
        await here.close()
        assert watch.passed == 7
        assert here.close_code == 1006


async def test_a_server_that_does_not_end_tcp_is_waited_for(fake_clock: FakeClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.expect_close(1000)
        await peer.send_close(1000)
        await peer.expect_eof(deadline=100)

    network = MemoryNetwork()
    async with ScriptedServer(script, network=network, deadline=100):
        ws = await network.connect("ws://localhost/", close_timeout=7)
        watch = Stopwatch(fake_clock)
        await ws.close()
        assert watch.passed == 7
        assert ws.close_code == 1000


async def test_a_violation_that_nobody_reaches_fails_the_connection_all_the_same(
    fake_clock: FakeClock,
) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()

    network = MemoryNetwork()
    async with (
        network.serve(handler, ping_interval=None),
        open_peer("ws://localhost/", network=network, deadline=100) as peer,
    ):
        await peer.send_text("never read")
        await peer.send_frame(TEXT, b"wrong", rsv=1)
        watch = Stopwatch(fake_clock)
        await peer.expect_close(1002)
        assert watch.passed == 10
        peer.close()


# Writing.


async def test_who_takes_nothing_is_cut(fake_clock: FakeClock, end: str) -> None:
    async with memory_pair(
        write_timeout=30, ping_interval=None, compression=None, capacity=1000
    ) as pair:
        here, _ = ends(pair, end)
        pair.wire.hold()
        watch = Stopwatch(fake_clock)
        with pytest.raises(ConnectionClosedError):
            await here.send(bytes(1_000_000))
        assert watch.passed == 30
        assert here.close_code == 1006


async def test_who_takes_a_little_now_and_then_is_not(fake_clock: FakeClock, end: str) -> None:
    async with memory_pair(
        write_timeout=30, ping_interval=None, compression=None, capacity=1000, max_size=None
    ) as pair:
        here, there = ends(pair, end)
        sending = asyncio.create_task(here.send(bytes(100_000)))
        receiving = asyncio.create_task(there.recv())
        pair.wire.hold()
        while not sending.done():
            await fake_clock.advance(29)
            pair.wire.release()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            pair.wire.hold()
        await sending
        pair.wire.release()
        assert await receiving == bytes(100_000)


# Opening.


async def test_a_client_does_not_wait_for_an_answer_for_ever(fake_clock: FakeClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect_head("GET ")
        await peer.stall()

    network = MemoryNetwork()
    async with ScriptedServer(script, network=network):
        watch = Stopwatch(fake_clock)
        with pytest.raises(TimeoutError, match="opening handshake"):
            await network.connect("ws://localhost/", open_timeout=8)
        assert watch.passed == 8


@pytest.mark.parametrize("has_hook", [False, True])
async def test_a_server_does_not_wait_for_a_request_for_ever(
    fake_clock: FakeClock, has_hook: bool
) -> None:
    async def handler(connection: ServerConnection) -> None:
        pytest.fail("it was opened")

    def hook(connection: ServerConnection, asked: object) -> None: ...

    network = MemoryNetwork()
    async with (
        network.serve(
            handler, open_timeout=8, close_timeout=3, process_request=hook if has_hook else None
        ),
        await Peer.connect("ws://localhost/", network=network, deadline=100) as peer,
    ):
        await peer.dribble(request()[:10], interval=0.5)
        watch = Stopwatch(fake_clock)
        await peer.expect_head("HTTP/1.1 408 ")
        assert watch.passed == 3.5
        await peer.rest()
        assert watch.passed == 3.5
        await fake_clock.advance(3)
        assert not await peer.try_send(b"x", b"y") or not await peer.try_send(b"z")


async def test_a_client_waits_longer_before_each_further_try(fake_clock: FakeClock) -> None:
    network = MemoryNetwork()
    tries: list[float] = []
    watch = Stopwatch(fake_clock)

    def note(exc: Exception) -> Exception | None:
        tries.append(watch.passed)
        return None if len(tries) < 8 else exc

    with pytest.raises(ConnectionRefusedError):
        async for _ in network.connect("ws://localhost/", process_exception=note):
            pytest.fail("it was opened")
    waits = [after - before for before, after in itertools.pairwise(tries)]
    assert waits[1:] == sorted(waits[1:])
    assert max(waits) <= 90
    assert sum(waits) > 30


# Pings are no messages.


async def test_pings_are_seen_to_go_by(fake_clock: FakeClock, end: str) -> None:
    seen: list[str] = []

    def note(sent: bool, frame: Frame) -> None:
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            seen.append(f"{'>' if sent else '<'} {frame.opcode.name}")

    arguments: dict[str, Any] = {"server" if end == "client" else "client": {"ping_interval": None}}
    async with memory_pair(**arguments) as pair:
        here, _ = ends(pair, end)
        here.trace = note
        await fake_clock.advance(59)
    assert seen == ["> PING", "< PONG"] * 2
