"""What ever went by on a connection, or on many of them."""

from __future__ import annotations

import operator
from typing import NamedTuple

__all__ = ["Totals"]


class Totals(NamedTuple):
    """Counts since the opening handshake, which is not in them.

    A message is received when its last frame was looked at, whether or not anybody has read it,
    and sent when it was framed; what is held back for a slow peer was not. Bytes are those of
    frames, headers included.
    """

    messages_received: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    pings_received: int = 0
    messages_sent: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0

    def plus(self, other: Totals) -> Totals:
        """Return the sums of both."""
        return Totals(*map(operator.add, self, other))
