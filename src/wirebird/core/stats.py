"""What a server has done so far, and what it holds now.

Nothing is counted here for a message: the engines count what goes by on each connection. ``Ledger``
adds up those that have ended, and whoever asks adds those that have not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from .close import Close
from .rules import CloseCode
from .totals import Totals

__all__ = ["Ledger", "Stats", "ended_with"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What ``Server.stats()`` returns; everything is since the server was made."""

    uptime_s: float
    """Seconds since the server was made."""
    opening: int
    """Connections whose opening handshake is not over, or was refused a moment ago."""
    open: int
    """Connections that are open."""
    closing: int
    """Connections in their closing handshake, or whose handler has not returned yet."""
    accepted: int
    """How many TCP connections ever came."""
    opened: int
    """How many opening handshakes succeeded."""
    refused: Mapping[str, int]
    """How many did not, by reason; see ``Instrumentation.connection_refused``."""
    closed: Mapping[int, int]
    """How many open connections ended, by the code of the Close that went by first; or 1006."""
    limits_exceeded: Mapping[str, int]
    """How often open connections exceeded a limit, by its name."""
    handlers_failed: int
    """How many exceptions handlers raised."""
    slow_consumers: int
    """How many connections were closed since their peers did not take what they were sent."""
    messages_dropped: int
    """How many messages were dropped for slow consumers."""
    held_bytes: int
    """What is held for all connections: unread, in progress, waiting to be sent."""
    totals: Totals
    """What went by on all connections."""
    is_draining: bool
    """Whether no connections are opened any more."""


class Ledger:
    """Counts what happens to the connections of a server."""

    def __init__(self) -> None:
        self.accepted = 0
        self.opened = 0
        self.refused: Counter[str] = Counter()
        self.closed: Counter[int] = Counter()
        self.limits_exceeded: Counter[str] = Counter()
        self.handlers_failed = 0
        self.slow_consumers = 0
        self.messages_dropped = 0
        self.totals = Totals()

    def ended(self, code: int, totals: Totals, dropped: int) -> None:
        """Note the end of a connection that was open."""
        self.closed[code] += 1
        self.totals = self.totals.plus(totals)
        self.messages_dropped += dropped


def ended_with(rcvd: Close | None, sent: Close | None, rcvd_then_sent: bool | None) -> int:
    """Return the code of the Close that went by first; 1006 without one. RFC 6455, 7.1.5."""
    first = sent if rcvd is None or (rcvd_then_sent is False and sent is not None) else rcvd
    return int(CloseCode.ABNORMAL_CLOSURE if first is None else first.code)
