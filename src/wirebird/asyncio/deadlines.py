"""The timers of all connections of a loop, behind one timer of the loop.

Most deadlines move before they come: each byte that arrives moves one. So a received byte stores
a time and arms nothing; when an entry comes due, its connection is asked when it really wants to
be called, and only then called or entered anew.
"""

from __future__ import annotations

import asyncio
import heapq
import weakref
from itertools import count
from typing import ClassVar, Protocol

__all__ = ["Deadlines", "Watched"]


class Watched(Protocol):
    """Something with a deadline."""

    def next_deadline(self) -> float | None:
        """When it must be called, by the loop's clock; None for never."""

    def handle_deadline(self) -> None:
        """Called at its deadline or a little later."""


class _Entry:
    __slots__ = ("order", "watched", "when")

    def __init__(self, when: float, order: int, watched: Watched) -> None:
        self.when = when
        self.order = order
        self.watched: Watched | None = watched

    def __lt__(self, other: _Entry) -> bool:
        return (self.when, self.order) < (other.when, other.order)


class Deadlines:
    """The deadlines of one loop; ``of`` returns them."""

    _all: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._heap: list[_Entry] = []
        self._order = count()
        self._entries: dict[int, _Entry] = {}  # by the id of what is watched
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
        if when is None:
            return
        entry = self._entries.get(id(watched))
        if entry is not None:
            if entry.when <= when:
                return
            entry.watched = None
        entry = _Entry(when, next(self._order), watched)
        self._entries[id(watched)] = entry
        heapq.heappush(self._heap, entry)
        self._arm()

    def forget(self, watched: Watched) -> None:
        """Do not call it again, and do not keep it alive."""
        entry = self._entries.pop(id(watched), None)
        if entry is not None:
            entry.watched = None
        if not self._entries:
            self._heap.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _arm(self) -> None:
        loop = self._loop()
        if loop is None or not self._heap:
            return
        when = self._heap[0].when
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
        due: list[Watched] = []
        while self._heap and self._heap[0].when <= now:
            watched = heapq.heappop(self._heap).watched
            if watched is not None:
                del self._entries[id(watched)]
                due.append(watched)
        for watched in due:  # once each: what is due again at once waits for the next turn
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
