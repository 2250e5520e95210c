"""How often somebody may do something: a token bucket that is told the time."""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """A bucket of tokens: each act takes one, and they come back at a steady rate.

    Args:
        rate: how many come back a second.
        burst: how many there are at most, and at the beginning.
        now: the time, in seconds.
    """

    __slots__ = ("_burst", "_rate", "_tokens", "_updated")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._updated = now

    def take(self, now: float) -> bool:
        """Take a token; False when there is none, and then nothing was taken."""
        earned = (now - self._updated) * self._rate
        self._tokens = min(self._burst, self._tokens + earned)
        self._updated = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
