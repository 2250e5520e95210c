"""The timers of all connections of a loop: the time is told."""

from __future__ import annotations

import asyncio
import gc
import heapq
import weakref
from collections.abc import Callable
from typing import Any

from wirebird.asyncio.deadlines import Deadlines


class FakeTimer:
    """What ``call_at`` returns."""

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self._when = when
        self.callback = callback
        self.is_cancelled = False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeLoop:
    """A loop whose time is set by the test; it counts the timers that were armed."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, int, FakeTimer]] = []
        self.armed = 0
        self.errors: list[dict[str, Any]] = []
        self.closed = False

    def time(self) -> float:
        return self.now

    def is_closed(self) -> bool:
        return self.closed

    def call_at(self, when: float, callback: Callable[[], None]) -> FakeTimer:
        self.armed += 1
        timer = FakeTimer(when, callback)
        heapq.heappush(self.timers, (when, self.armed, timer))
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def advance(self, now: float, *, turns: int = 100) -> None:
        """Go to a time, and run the timers that come due on the way."""
        while self.timers and self.timers[0][0] <= now and turns:
            when, _, timer = heapq.heappop(self.timers)
            self.now = max(self.now, when)
            if not timer.is_cancelled:
                timer.callback()
                turns -= 1
        self.now = now


class Watched:
    """Something with deadlines that the test sets."""

    def __init__(self, loop: FakeLoop, deadline: float | None = None) -> None:
        self.loop = loop
        self.deadline = deadline
        self.handled: list[float] = []
        self.asked = 0

    def next_deadline(self) -> float | None:
        self.asked += 1
        return self.deadline

    def handle_deadline(self) -> None:
        self.handled.append(self.loop.now)
        self.deadline = None


def make() -> tuple[FakeLoop, Deadlines]:
    loop = FakeLoop()
    return loop, Deadlines(loop)  # type: ignore[arg-type]


def test_it_is_called_at_its_deadline_and_once() -> None:
    loop, deadlines = make()
    watched = Watched(loop, 10)
    deadlines.watch(watched)
    loop.advance(9.9)
    assert watched.handled == []
    loop.advance(50)
    assert watched.handled == [10]


def test_without_a_deadline_nothing_is_armed() -> None:
    loop, deadlines = make()
    deadlines.watch(Watched(loop, None))
    assert loop.armed == 0


def test_a_deadline_that_moved_later_is_not_called_early() -> None:
    loop, deadlines = make()
    watched = Watched(loop, 10)
    deadlines.watch(watched)
    loop.advance(5)
    watched.deadline = 15  # a byte came: nothing is said
    loop.advance(14)
    assert watched.handled == []
    loop.advance(15)
    assert watched.handled == [15]


def test_a_deadline_that_moved_earlier_is_told() -> None:
    loop, deadlines = make()
    watched = Watched(loop, 100)
    deadlines.watch(watched)
    watched.deadline = 3
    deadlines.watch(watched)
    loop.advance(200)
    assert watched.handled == [3]


def test_a_deadline_that_goes_away_is_not_called() -> None:
    loop, deadlines = make()
    watched = Watched(loop, 10)
    deadlines.watch(watched)
    watched.deadline = None
    loop.advance(50)
    assert watched.handled == []
    asked = watched.asked
    loop.advance(500)
    assert watched.asked == asked


def test_many_share_one_timer() -> None:
    loop, deadlines = make()
    all_watched = [Watched(loop, 10 + n) for n in range(100)]
    for watched in all_watched:
        deadlines.watch(watched)
    assert loop.armed == 1
    loop.advance(1000)
    assert [watched.handled for watched in all_watched] == [[10.0 + n] for n in range(100)]


def test_bytes_that_move_a_deadline_arm_nothing() -> None:
    loop, deadlines = make()
    watched = Watched(loop, 10)
    deadlines.watch(watched)
    for second in range(1, 1000):
        watched.deadline = second / 100 + 10
        deadlines.watch(watched)
    assert loop.armed == 1


def test_one_that_is_forgotten_is_let_go() -> None:
    loop, deadlines = make()
    watched, other = Watched(loop, 10), Watched(loop, 20)
    deadlines.watch(watched)
    deadlines.watch(other)
    gone = weakref.ref(watched)
    deadlines.forget(watched)
    deadlines.forget(watched)
    del watched
    gc.collect()
    assert gone() is None
    loop.advance(50)
    assert other.handled == [20]


def test_when_all_are_forgotten_no_timer_is_left() -> None:
    loop, deadlines = make()
    watched = Watched(loop, 10)
    deadlines.watch(watched)
    deadlines.forget(watched)
    assert all(timer.is_cancelled for _, _, timer in loop.timers)
    again = Watched(loop, 20)
    deadlines.watch(again)
    loop.advance(20)
    assert again.handled == [20]


def test_one_that_fails_does_not_take_the_others_along() -> None:
    class Failing(Watched):
        def handle_deadline(self) -> None:
            super().handle_deadline()
            raise ValueError("mine")

    loop, deadlines = make()
    all_watched = [Watched(loop, 10), Failing(loop, 10), Watched(loop, 10), Watched(loop, 11)]
    for watched in all_watched:
        deadlines.watch(watched)
    loop.advance(20)
    assert [watched.handled for watched in all_watched] == [[10], [10], [10], [11]]
    assert [str(context["exception"]) for context in loop.errors] == ["mine"]


def test_one_that_is_always_due_does_not_hold_the_loop_up() -> None:
    class Always(Watched):
        def handle_deadline(self) -> None:
            super().handle_deadline()
            self.deadline = self.loop.now

    loop, deadlines = make()
    watched = Always(loop, 10)
    deadlines.watch(watched)
    loop.advance(10, turns=3)
    assert watched.handled == [10, 10, 10]


def test_one_that_is_forgotten_by_another_in_the_same_turn() -> None:
    loop, deadlines = make()
    later = Watched(loop, 10)

    class Forgetting(Watched):
        def handle_deadline(self) -> None:
            super().handle_deadline()
            later.deadline = None
            deadlines.forget(later)

    deadlines.watch(Forgetting(loop, 10))
    deadlines.watch(later)
    loop.advance(20)
    assert later.handled == []


def test_each_loop_has_its_own_and_lets_go_of_it() -> None:
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loops.append(weakref.ref(loop))
        deadlines = Deadlines.of(loop)
        assert Deadlines.of(loop) is deadlines

        class Open:  # a connection that nobody closed
            def next_deadline(self) -> float:
                return loop.time() + 1000

            def handle_deadline(self) -> None: ...

        deadlines.watch(Open())

    for _ in range(3):
        asyncio.run(main())
    gc.collect()
    # Of those that were closed, the next one lets go.
    assert [loop() is None for loop in loops] == [True, True, False]
