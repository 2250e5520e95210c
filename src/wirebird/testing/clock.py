"""Time that passes only when nothing else can happen.

An event loop sleeps when no callback is ready: until its next timer, or until something happens
on a socket. Under a fake clock it does not sleep until the timer: the clock is put forward to it.
So ``asyncio.sleep(3600)`` returns at once, after everything that was to happen within the hour,
in order, has happened; and a test of a time-out does not wait for it.

What has to be waited for all the same is the world outside of the loop, which knows nothing of
its clock. While a function runs in an executor, as name resolution does, time passes as it really
does. And where the loop watches sockets or other descriptors, they are given ``io_grace`` real
seconds each time before the clock is put forward. That is enough for sockets whose both ends are
in this loop, as what is sent locally arrives at once; other processes and threads may be slower,
and then time-outs come too early. Connections in memory have no descriptors, so nothing is ever
waited for.

``FakeClockLoop`` is the way for those who choose the event loop; it keeps to what asyncio documents
(a selector given to ``SelectorEventLoop``, and ``time`` overridden). ``FakeClock.use`` takes over a
loop that runs already, as a pytest plugin has made it; it replaces the loop's selector, which is a
private attribute, the same since Python 3.4.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import math
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Protocol, TypeVar

__all__ = ["FakeClock", "FakeClockLoop"]

_T = TypeVar("_T")

_IO_GRACE_S = 0.005
_LIMIT_S = 86400.0


class FakeClock:
    """Time that passes when nothing else can happen.

    ::

        def test_a_time_out() -> None:
            async def main() -> None:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), 3600)

            FakeClock().run(main())  # returns at once

    Args:
        start: what the clock shows first, in seconds.
        io_grace: real seconds that sockets are given before time passes; connections in memory
            need none.
        limit: seconds after which the loop stops with a RuntimeError: a test that waits for what
            never comes, while timers go on and on, would not end otherwise.
    """

    def __init__(
        self, start: float = 0.0, *, io_grace: float = _IO_GRACE_S, limit: float = _LIMIT_S
    ) -> None:
        self._now = start
        self._io_grace_s = io_grace
        self._limit_s = limit
        self._ends_at = start + limit
        self._jobs = 0  # that run in executors
        self._settling: list[asyncio.Future[None]] = []
        self._real_since: float | None = None  # when it began to run by itself
        self._is_taken = False

    def time(self) -> float:
        """What the clock shows, in seconds; ``loop.time()`` says the same."""
        if self._real_since is not None:
            return self._now + time.monotonic() - self._real_since
        return self._now

    async def settle(self) -> None:
        """Wait until all that can happen without time passing has happened.

        Raises:
            RuntimeError: the running loop is not on this clock.
        """
        settled = self._running_loop().create_future()
        self._settling.append(settled)
        try:
            await settled
        finally:
            if settled in self._settling:
                self._settling.remove(settled)

    async def advance(self, seconds: float) -> None:
        """Let time pass: what is due meanwhile happens, and all that follows from it at once.

        Args:
            seconds: how long, 0 or more; for 0 it is ``settle``.

        Raises:
            ValueError: it is less than 0.
            RuntimeError: the running loop is not on this clock.
        """
        if not seconds >= 0:
            raise ValueError(f"time only passes forward, not by {seconds!r} s")
        loop = self._running_loop()
        await self.settle()
        if seconds:
            passed = loop.create_future()
            timer = loop.call_later(seconds, passed.set_result, None)
            try:
                await passed
            finally:
                timer.cancel()
            await self.settle()

    def run(self, main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
        """Run a coroutine in a new event loop on this clock, as ``asyncio.run`` does.

        Args:
            main: what to run.
            debug: whether in debug mode; None for asyncio's default.
        """
        with asyncio.Runner(debug=debug, loop_factory=self.new_event_loop) as runner:
            return runner.run(main)

    def _take(self) -> None:
        if self._is_taken:
            raise RuntimeError("this clock is that of another event loop already")
        self._is_taken = True

    def new_event_loop(self) -> FakeClockLoop:
        """Make an event loop on this clock, as for ``asyncio.Runner(loop_factory=...)``."""
        return FakeClockLoop(self)

    @contextlib.contextmanager
    def use(self, loop: asyncio.AbstractEventLoop | None = None) -> Iterator[FakeClock]:
        """Put an event loop that runs on this clock, for as long as a block lasts.

        The clock goes on from the loop's time. After the block it runs by itself again, from what
        it showed. What the native engine has opened on sockets of its own before the first clock
        keeps the system's time, so begin with this.

        Args:
            loop: one of asyncio's; None for the one that runs.

        Raises:
            RuntimeError: the loop cannot be put on a clock: it is uvloop's, or a proactor, or has
                one already.
        """
        loop = asyncio.get_running_loop() if loop is None else loop
        inner: object = getattr(loop, "_selector", None)
        if not isinstance(loop, asyncio.SelectorEventLoop):
            raise RuntimeError(
                f"{type(loop).__module__}.{type(loop).__qualname__} keeps its own time: "
                f"a fake clock needs asyncio's SelectorEventLoop"
            )
        if isinstance(inner, _Selector) or not isinstance(inner, selectors.BaseSelector):
            raise RuntimeError("this event loop has a clock already")
        self._take()
        self._now, self._real_since = loop.time(), None
        self._ends_at = self._now + self._limit_s
        if isinstance(loop, _OnClock):
            loop.clock = self
        else:
            kind = type(loop)
            loop.__class__ = type(kind.__name__, (_OnClock, kind), {"clock": self})
        loop._selector = _Selector(self, inner)  # type: ignore[attr-defined]
        try:
            yield self
        finally:
            loop._selector = inner  # type: ignore[attr-defined]
            self._real_since = time.monotonic()
            self._is_taken = False

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if getattr(loop, "clock", None) is not self or self._real_since is not None:
            raise RuntimeError("the running event loop is not on this clock: see FakeClock.use")
        return loop

    # For the loop

    def _select(
        self, inner: selectors.BaseSelector, timeout: float | None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as a selector does, but let fake time pass instead of real time.

        Args:
            inner: waits for the world outside.
            timeout: seconds until the next timer; None for no timer, 0 for callbacks that wait.
        """
        events = inner.select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if self._jobs:
            since = time.monotonic()
            events = inner.select(timeout)
            passed = time.monotonic() - since
            self._now += passed if timeout is None else min(passed, timeout)
            return events
        if len(inner.get_map()) > 1 and self._io_grace_s > 0:  # one is the loop's own
            events = inner.select(self._io_grace_s)
            if events:
                return events
        if self._settling:
            settling, self._settling = self._settling, []
            for settled in settling:
                if not settled.done():
                    settled.set_result(None)
            return []
        if timeout is None:
            return inner.select(None)
        self._now += timeout
        if self._now > self._ends_at:
            self._ends_at = math.inf  # what is left may end
            raise RuntimeError(
                f"{self._limit_s:g} s have passed on the fake clock, and something still waits: "
                f"for what never comes, unless the clock's limit is too low"
            )
        return []


class _OnClock(asyncio.SelectorEventLoop):
    """What an event loop does otherwise when it is on a clock."""

    clock: FakeClock

    def time(self) -> float:
        """What the clock shows."""
        return self.clock.time()

    def run_in_executor(  # type: ignore[override]
        self, executor: concurrent.futures.Executor | None, func: Callable[..., _T], *args: Any
    ) -> asyncio.Future[_T]:
        """See ``asyncio.AbstractEventLoop``."""
        job = super().run_in_executor(executor, func, *args)
        self.clock._jobs += 1
        job.add_done_callback(self._job_ended)
        return job

    def _job_ended(self, job: object) -> None:
        self.clock._jobs -= 1

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """See ``asyncio.AbstractEventLoop``. A thread does it, and it has a time limit."""
        self.clock._jobs += 1
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self.clock._jobs -= 1


class FakeClockLoop(_OnClock):
    """An event loop on a fake clock, for whoever takes a class of loops or a factory.

    ::

        with asyncio.Runner(loop_factory=FakeClockLoop) as runner:
            runner.run(main())

    Args:
        clock: its clock; None for a new one, which ``loop.clock`` is then.
    """

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = FakeClock() if clock is None else clock
        super().__init__(_Selector(self.clock, selectors.DefaultSelector()))
        try:
            self.clock._take()
        except RuntimeError:
            super().close()
            raise

    def close(self) -> None:
        """See ``asyncio.AbstractEventLoop``; the clock can be used for another loop then."""
        super().close()
        self.clock._is_taken = False


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


_File = int | _HasFileno


class _Selector(selectors.BaseSelector):
    """Lets a clock say how long to wait.

    Args:
        clock: that says it.
        inner: knows of sockets.
    """

    def __init__(self, clock: FakeClock, inner: selectors.BaseSelector) -> None:
        self._clock = clock
        self._inner = inner

    def register(self, fileobj: _File, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: _File) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: _File, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._clock._select(self._inner, timeout)

    def close(self) -> None:
        self._inner.close()

    def get_map(self) -> Mapping[_File, selectors.SelectorKey]:
        return self._inner.get_map()
