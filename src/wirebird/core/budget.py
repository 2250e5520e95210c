"""The memory of all connections of a server together, and who must go when it is too much.

Every connection is bounded by itself; what is bounded here is their sum. Nothing is counted while
bytes come and go, which would cost each message: what each connection holds is added up now and
then. When it is too much, those that hold most are to be closed, until the rest is within the
budget: a few slow or hostile clients go, and the many that hold little do not notice.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Generic, TypeVar

__all__ = ["Budget"]

_T = TypeVar("_T")


class Budget(Generic[_T]):
    """Adds up what connections hold.

    Args:
        max_bytes: that all of them may hold.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        """At the last look, without those that had to go."""

    @property
    def is_exceeded(self) -> bool:
        """Whether all of it was held at the last look."""
        return self.held_bytes >= self.max_bytes

    def judge(self, holders: Iterable[tuple[_T, int]]) -> list[_T]:
        """Add up what connections hold.

        Args:
            holders: each with how many bytes it holds.

        Returns:
            Those who must go, who hold most first.
        """
        holding = [(size, order, who) for order, (who, size) in enumerate(holders) if size > 0]
        self.held_bytes = sum(size for size, _, _ in holding)
        excess = self.held_bytes - self.max_bytes
        gone: list[_T] = []
        if excess <= 0:
            return gone
        heap = [(-size, order, who) for size, order, who in holding]
        heapq.heapify(heap)
        while excess > 0:
            negative, _, who = heapq.heappop(heap)
            gone.append(who)
            excess += negative
        self.held_bytes = self.max_bytes + excess
        return gone
