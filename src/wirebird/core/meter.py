"""Rates, as token buckets: of connections from an address, of what one connection sends.

A bucket holds at most ``burst`` tokens and gets ``per_s`` a second; each event takes one. It is
kept as one number: the time at which it is full again (the generic cell rate algorithm). An event
moves that by ``1 / per_s``; the bucket is overdrawn while it is more than ``burst / per_s`` ahead.
Time is told, in seconds of any clock that does not go back.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Exceeded", "Meter", "Rate", "rate_of"]


class Rate(NamedTuple):
    """How often something may happen.

    Args:
        per_s: times a second in the long run.
        burst: times at once, after nothing has happened for a while.
    """

    per_s: float
    burst: float

    def after(self, full_at: float, now: float, count: int) -> float:
        """When the bucket is full again, after ``count`` tokens were taken, though it had less."""
        return max(full_at, now) + count / self.per_s

    def wait_s(self, full_at: float, now: float) -> float:
        """How long until the bucket is not overdrawn any more; at most 0 if it is not."""
        return full_at - now - self.burst / self.per_s


def rate_of(name: str, value: float | tuple[float, float] | None) -> Rate | None:
    """Read a rate.

    Args:
        name: for errors.
        value: times a second; or (times a second, times at once); None for no limit.

    Raises:
        ValueError: it is not positive and finite, or the burst is less than one.
    """
    if value is None:
        return None
    per_s, burst = value if isinstance(value, tuple) else (value, max(value, 1))
    if not (0 < per_s < math.inf and 1 <= burst < math.inf):
        raise ValueError(
            f"{name} must be a rate above 0, or a pair (rate, burst of at least 1): got {value!r}"
        )
    return Rate(per_s, burst)


class Exceeded(NamedTuple):
    """What was exceeded."""

    limit: str
    """messages, frames or bytes."""
    wait_s: float
    """After which it will not be, if nothing more comes."""


_KINDS = ("messages", "frames", "bytes")


class Meter:
    """The rates of what one peer sends.

    It is judged after the fact, once for all that one read brought. What is beyond the burst is a
    debt: a peer that is throttled waits until it has passed, so that the rate holds in the long
    run, however much came at once.

    Args:
        messages, frames, received_bytes: rates; None for no limit.
        is_throttling: whether the peer is to wait, rather than to be closed.
    """

    __slots__ = ("_counts", "_full_at", "_rates", "is_throttling")

    def __init__(
        self,
        messages: Rate | None,
        frames: Rate | None,
        received_bytes: Rate | None,
        *,
        is_throttling: bool,
    ) -> None:
        self.is_throttling = is_throttling
        self._rates = (messages, frames, received_bytes)
        self._counts = (0, 0, 0)
        self._full_at = [-math.inf] * 3

    def judge(self, now: float, *counts: int) -> Exceeded | None:
        """Hold what came against the rates.

        Args:
            now: the time.
            counts: of messages, frames and bytes that ever came.

        Returns:
            What will take longest to be within its rate again; None if all are.
        """
        worst: Exceeded | None = None
        for i, rate in enumerate(self._rates):
            if rate is None:
                continue
            full_at = rate.after(self._full_at[i], now, counts[i] - self._counts[i])
            self._full_at[i] = full_at
            wait_s = rate.wait_s(full_at, now)
            if wait_s > 0 and (worst is None or wait_s > worst.wait_s):
                worst = Exceeded(_KINDS[i], wait_s)
        self._counts = (counts[0], counts[1], counts[2])
        return worst
