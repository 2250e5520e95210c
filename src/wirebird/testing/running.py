"""What runs in the event loop of a test, or in a thread beside a test that has none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

__all__ = ["Runs"]

_T = TypeVar("_T")


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._has_begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=self._run, name="wirebird-testing", daemon=True)
        self._thread.start()
        self._has_begun.wait()

    def _run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._has_begun.set()
        await self._stop.wait()

    def call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine there, and wait for what it returns."""
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("run() waits for the server's thread, and this is it: await instead")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End the loop and the thread; what is left running is cancelled."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


class Runs:
    """Something that runs in the loop of a test, or in a thread beside it."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        """What went wrong in handlers or scripts so far."""
        self._thread: _LoopThread | None = None
        self._has_begun = False

    async def _start(self) -> None:
        raise NotImplementedError

    async def _close(self, *, is_failing: bool) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        if self._has_begun:
            raise RuntimeError("it runs once: make another one")
        self._has_begun = True
        await self._start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close(is_failing=exc_value is not None)
        self._report(exc_value)

    def __enter__(self) -> Self:
        self._thread = _LoopThread()
        try:
            return self._thread.call(self.__aenter__())
        except BaseException:
            self._thread.stop()
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._thread is not None
        try:
            self._thread.call(self._close(is_failing=exc_value is not None))
        finally:
            self._thread.stop()
        self._report(exc_value)

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the thread of the server, and wait for what it returns.

        Args:
            coroutine: such as ``server.connections[0].close(1001)``.

        Raises:
            RuntimeError: it has no thread, as after ``async with``: await the coroutine.
        """
        if self._thread is None:
            coroutine.close()
            raise RuntimeError("it runs in the event loop of the test: await the coroutine there")
        return self._thread.call(coroutine)

    def _report(self, exc: BaseException | None) -> None:
        """Raise what went wrong; or note it beside what the test itself raised."""
        if exc is not None:
            for error in self.errors:
                exc.add_note(f"and on the server: {type(error).__name__}: {error}")
        elif len(self.errors) == 1:
            raise self.errors[0]
        elif self.errors:
            raise BaseExceptionGroup("several handlers failed", self.errors)
