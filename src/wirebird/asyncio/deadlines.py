"""The timers of all connections of a loop, behind one timer of the loop.

A received byte stores a time and arms nothing; ``core.schedule`` says how that can be.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import ClassVar, Protocol

from ..core.schedule import Schedule

__all__ = ["Deadlines", "Watched"]


class Watched(Protocol):
    """Something with a deadline."""

    def next_deadline(self) -> float | None:
        """When it must be called, by the loop's clock; None for never."""

    def handle_deadline(self) -> None:
        """Called at its deadline or a little later."""


class Deadlines:
    """The deadlines of one loop; ``of`` returns them."""

    _all: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._schedule: Schedule[Watched] = Schedule()
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Deadlines:
        """Return the deadlines of a loop."""
        deadlines = cls._all.get(loop)
        if deadlines is None:
            # A timer that is still armed keeps its loop alive.
            for closed in [other for other in list(cls._all) if other.is_closed()]:
                cls._all.pop(closed, None)
            deadlines = cls._all[loop] = cls(loop)
        return deadlines

    def watch(self, watched: Watched) -> None:
        """Call something at its next deadline, which may have become earlier."""
        when = watched.next_deadline()
        if when is not None:
            self._schedule.add(watched, when)
            self._arm()

    def forget(self, watched: Watched) -> None:
        """Do not call it again, and do not keep it alive."""
        self._schedule.discard(watched)
        if not self._schedule and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        loop, when = self._loop(), self._schedule.next_time
        if loop is None or when is None:
            return
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when, self._run)

    def _run(self) -> None:
        self._timer = None
        loop = self._loop()
        if loop is None:
            return
        now = loop.time()
        for watched in self._schedule.pop_due(now):  # what is due again at once: the next turn
            try:
                when = watched.next_deadline()
                if when is not None and when <= now:
                    watched.handle_deadline()
                self.watch(watched)
            except Exception as exc:
                # One of many: it must not take the deadlines of the others along.
                context = {"message": "error in the deadline of a connection", "exception": exc}
                loop.call_exception_handler(context)
        self._arm()
