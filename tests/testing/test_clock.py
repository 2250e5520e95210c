"""A fake clock: what time does to timers, sockets, threads, and connections."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.engine import is_native_built
from wirebird.exceptions import ConnectionClosedError
from wirebird.testing import FakeClock, FakeClockLoop, memory_pair

Main = Callable[[FakeClock], Coroutine[Any, Any, None]]


def in_a_loop_of_its_own(main: Main) -> None:
    clock = FakeClock()
    clock.run(main(clock), debug=False)


def in_a_loop_that_runs(main: Main) -> None:
    async def use() -> None:
        with FakeClock().use() as clock:
            await main(clock)

    asyncio.run(use(), debug=False)


@pytest.fixture(params=[in_a_loop_of_its_own, in_a_loop_that_runs])
def run(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    """Both ways to get a loop on a clock."""
    way: Callable[[Main], None] = request.param
    return way


def test_time_passes_when_nothing_else_can_happen(run: Callable[[Main], None]) -> None:
    async def main(clock: FakeClock) -> None:
        loop = asyncio.get_running_loop()
        begin = clock.time()
        assert loop.time() == begin
        await asyncio.sleep(3600)
        assert loop.time() == clock.time() == pytest.approx(begin + 3600)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1e4):
                await asyncio.Event().wait()
        assert clock.time() == pytest.approx(begin + 13_600)

    began = time.monotonic()
    run(main)
    assert time.monotonic() - began < 3600


def test_timers_run_in_order_and_what_is_ready_runs_first(run: Callable[[Main], None]) -> None:
    async def main(clock: FakeClock) -> None:
        loop = asyncio.get_running_loop()
        order: list[Any] = []
        begin = loop.time()
        for delay in (3, 1, 2):
            loop.call_later(delay, lambda: order.append(loop.time() - begin))
        loop.call_soon(order.append, "soon")
        await asyncio.sleep(2.5)
        assert order == ["soon", pytest.approx(1), pytest.approx(2)]

    run(main)


def test_advance_runs_what_is_due_and_what_follows_from_it(run: Callable[[Main], None]) -> None:
    async def main(clock: FakeClock) -> None:
        done: list[Any] = []

        async def chain() -> None:
            await asyncio.sleep(10)
            for step in range(3):
                await asyncio.sleep(0)
                done.append(step)
            await asyncio.sleep(0.5)
            done.append("later")

        task = asyncio.create_task(chain())
        begin = clock.time()
        await clock.advance(9.9)
        assert done == []
        await clock.advance(0.1)
        assert done == [0, 1, 2]
        assert clock.time() == pytest.approx(begin + 10)
        await clock.advance(0)
        assert clock.time() == pytest.approx(begin + 10)
        await clock.advance(1)
        assert done == [0, 1, 2, "later"]
        await task
        with pytest.raises(ValueError, match="time only passes forward"):
            await clock.advance(-1)
        with pytest.raises(ValueError):
            await clock.advance(float("nan"))

    run(main)


def test_advance_can_be_cancelled(run: Callable[[Main], None]) -> None:
    async def main(clock: FakeClock) -> None:
        for seconds in (0, 100):
            advancing = asyncio.create_task(clock.advance(seconds))
            await asyncio.sleep(0)
            advancing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await advancing
        before = clock.time()
        await clock.settle()
        assert clock.time() == before

    run(main)


def test_time_passes_as_it_does_while_a_thread_works(run: Callable[[Main], None]) -> None:
    async def main(clock: FakeClock) -> None:
        went_on = threading.Event()
        begin = clock.time()
        async with asyncio.timeout(60):
            waiting = asyncio.create_task(asyncio.to_thread(went_on.wait, 30))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            went_on.set()
            assert await waiting
        assert clock.time() - begin < 60

    run(main)


@pytest.mark.parametrize("engine", ["python", "native"])
def test_sockets_of_the_same_loop_are_waited_for(run: Callable[[Main], None], engine: str) -> None:
    if engine == "native" and not is_native_built():
        pytest.skip("the native engine is not built: a C compiler, then `make test` builds it")

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def main(clock: FakeClock) -> None:
        async with serve(echo, "localhost", 0, engine=engine) as server:
            port = server.sockets[0].getsockname()[1]
            uri = f"ws://localhost:{port}"
            async with connect(uri, proxy=None, engine=engine) as client:
                for _ in range(20):
                    await client.send("x")
                    assert await client.recv() == "x"
                before = clock.time()
                await clock.advance(1000)
                await client.send("still there, after 50 pings")
                assert await client.recv() == "still there, after 50 pings"
                assert clock.time() == pytest.approx(before + 1000)

    run(main)


def test_the_time_out_of_a_ping(run: Callable[[Main], None]) -> None:
    async def main(clock: FakeClock) -> None:
        async with memory_pair(ping_interval=20, ping_timeout=15, close_timeout=5) as pair:
            begin = clock.time()
            pair.wire.hold()
            with pytest.raises(ConnectionClosedError, match="keepalive ping timeout"):
                await pair.client.recv()
            assert clock.time() - begin == pytest.approx(40)

    run(main)


def test_what_never_comes_is_an_error_and_no_hang() -> None:
    async def main() -> None:
        async with memory_pair() as (client, _):
            await client.recv()

    with pytest.raises(RuntimeError, match="86400 s have passed on the fake clock"):
        FakeClock().run(main())
    with pytest.raises(RuntimeError, match="100 s have passed"):
        FakeClock(limit=100).run(asyncio.sleep(101))
    FakeClock(limit=100).run(asyncio.sleep(99))


def test_a_factory_of_loops() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, FakeClockLoop)
        await loop.clock.advance(100)
        return loop.time()

    with asyncio.Runner(loop_factory=FakeClockLoop) as runner:
        assert runner.run(main()) == 100
        assert runner.run(main()) == 200
    clock = FakeClock(start=1000)
    assert clock.run(main()) == 1100
    assert clock.run(main()) == 1200
    assert clock.time() == 1200


def test_a_clock_is_for_one_loop_at_a_time() -> None:
    async def nested(clock: FakeClock) -> None:
        with pytest.raises(RuntimeError, match="this clock is that of another event loop"):
            clock.new_event_loop()
        with pytest.raises(RuntimeError, match="has a clock already"), clock.use():
            pytest.fail("it was used twice")
        with pytest.raises(RuntimeError, match="has a clock already"), FakeClock().use():
            pytest.fail("a loop had two")
        with pytest.raises(RuntimeError, match="is not on this clock"):
            await FakeClock().advance(1)

    async def main() -> None:
        with FakeClock().use() as clock:
            await nested(clock)
        with pytest.raises(RuntimeError, match="is not on this clock"):
            await clock.settle()

    clock = FakeClock()
    clock.run(nested(clock))
    asyncio.run(main())


def test_after_use_time_passes_by_itself_and_never_back() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with FakeClock().use() as clock:
            await clock.advance(1000)
            shown = loop.time()
        assert loop.time() >= shown
        await asyncio.sleep(0.01)
        assert loop.time() >= shown + 0.01
        with FakeClock().use() as again:  # as one test after another in a loop of their module
            before = again.time()
            await again.advance(1000)
            assert loop.time() == pytest.approx(before + 1000)
        with clock.use():
            await asyncio.sleep(1000)
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_loop_that_keeps_its_own_time_is_refused() -> None:
    async def main() -> None:
        refused = pytest.raises(RuntimeError, match=r"uvloop.*needs asyncio's SelectorEventLoop")
        with refused, FakeClock().use():
            pytest.fail("it was used")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
