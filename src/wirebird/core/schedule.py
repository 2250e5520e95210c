"""When what is to be looked at: the deadlines of many, of which most move before they come.

Each byte that arrives moves a deadline. So nothing is entered anew for it: when an entry comes due,
its owner is asked when it really wants to be called, and only then called, or entered again.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import Generic, TypeVar

__all__ = ["Schedule"]

Item = TypeVar("Item")


class _Entry(Generic[Item]):
    __slots__ = ("item", "order", "when")

    def __init__(self, when: float, order: int, item: Item) -> None:
        self.when = when
        self.order = order
        self.item: Item | None = item

    def __lt__(self, other: _Entry[Item]) -> bool:
        return (self.when, self.order) < (other.when, other.order)


class Schedule(Generic[Item]):
    """What is to be looked at, each thing once. It knows no clock."""

    def __init__(self) -> None:
        self._heap: list[_Entry[Item]] = []
        self._order = count()
        self._entries: dict[int, _Entry[Item]] = {}  # by the id of what is looked at

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def next_time(self) -> float | None:
        """When to call ``pop_due`` at the latest; None for never."""
        return self._heap[0].when if self._heap else None

    def add(self, item: Item, when: float) -> None:
        """Enter something, unless it is entered for that time or an earlier one."""
        entry = self._entries.get(id(item))
        if entry is not None:
            if entry.when <= when:
                return
            entry.item = None
        entry = _Entry(when, next(self._order), item)
        self._entries[id(item)] = entry
        heapq.heappush(self._heap, entry)

    def discard(self, item: Item) -> None:
        """Strike something off, and do not keep it alive."""
        entry = self._entries.pop(id(item), None)
        if entry is not None:
            entry.item = None
        if not self._entries:
            self._heap.clear()

    def pop_due(self, now: float) -> list[Item]:
        """Strike off what is due, and return it, the earliest first."""
        due: list[Item] = []
        while self._heap and self._heap[0].when <= now:
            item = heapq.heappop(self._heap).item
            if item is not None:
                del self._entries[id(item)]
                due.append(item)
        return due
