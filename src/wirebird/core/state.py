"""The state of a connection, as a table. RFC 6455, 4.1, 7.1.2-7.1.4.

Each direction is a half of its own, and goes only forward:

    CONNECTING --opened--> OPEN --close--> CLOSING --ended--> CLOSED

``close`` is a Close frame passing in that direction, ``ended`` the end of its TCP stream. A
stream can end without a Close before it: that end is abnormal (1006). What users see as the
state of the connection is derived from both halves, so it cannot disagree with them.
"""

from __future__ import annotations

import enum

from .rules import State

__all__ = ["Halves", "Passage"]


class Passage(enum.Enum):
    """What can happen to a direction."""

    OPENED = "opened"
    CLOSE = "close"
    ENDED = "ended"


_TABLE: dict[tuple[State, Passage], State] = {
    (State.CONNECTING, Passage.OPENED): State.OPEN,
    (State.CONNECTING, Passage.ENDED): State.CLOSED,
    (State.OPEN, Passage.CLOSE): State.CLOSING,
    (State.OPEN, Passage.ENDED): State.CLOSED,
    (State.CLOSING, Passage.ENDED): State.CLOSED,
    (State.CLOSED, Passage.ENDED): State.CLOSED,
}


class Halves:
    """The two directions of one connection.

    Args:
        state: that both begin with.
    """

    __slots__ = ("inbound", "outbound", "public")

    def __init__(self, state: State = State.OPEN) -> None:
        self.inbound = state
        self.outbound = state
        self.public = state

    def received(self, passage: Passage) -> None:
        """Move the inbound half.

        Raises:
            AssertionError: this cannot happen in its present state.
        """
        self.inbound = _next(self.inbound, passage)
        self.public = _derive(self.inbound, self.outbound)

    def sent(self, passage: Passage) -> None:
        """Move the outbound half.

        Raises:
            AssertionError: this cannot happen in its present state.
        """
        self.outbound = _next(self.outbound, passage)
        self.public = _derive(self.inbound, self.outbound)


def _next(state: State, passage: Passage) -> State:
    try:
        return _TABLE[state, passage]
    except KeyError:
        raise AssertionError(f"{passage.value} cannot happen while {state.name}") from None


def _derive(inbound: State, outbound: State) -> State:
    return inbound if inbound is outbound else State.CLOSING
