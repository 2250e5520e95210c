"""What a slow peer has still to get: whole messages that were not begun, and what to do with too
many of them.

While a peer takes what it is sent, there is no backlog. When it does not keep up, messages whose
sender does not wait for it are held here instead of being framed: what is framed, and what is
compressed, must be sent. Above a limit the policy says which of them the peer will not get, or
that it gets a Close (1013). A message whose sender does wait has its place in the same order, and
is never dropped: its sender is the limit.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import NamedTuple

from .rules import Opcode

__all__ = ["SLOW_CONSUMER_BYTES", "Backlog", "Held", "SlowConsumer", "SlowConsumerPolicy"]

SLOW_CONSUMER_BYTES = 4 * 2**20
"""What may wait for one peer by default."""

_OVERHEAD_BYTES = 150
"""What a held message costs beside its payload: the objects around it."""


class SlowConsumer(enum.Enum):
    """What happens to messages that a slow peer does not take."""

    CLOSE = "close"
    """The connection is closed with 1013."""
    DROP_OLDEST = "drop-oldest"
    """What waits longest makes room."""
    DROP_NEWEST = "drop-newest"
    """What does not fit is not sent."""
    CONFLATE = "conflate"
    """Only the newest waits: a new message takes the place of those that were held."""


class SlowConsumerPolicy:
    """What happens when a peer is slow; all connections of a server share one.

    Args:
        kind: name or value of ``SlowConsumer``'s members: "close", "drop-oldest", ...
        max_bytes: that may be held for one peer, 150 for each message included; None for no limit.

    Raises:
        ValueError: there is no such policy, or the limit is negative.
    """

    __slots__ = ("kind", "max_bytes")

    def __init__(
        self, kind: SlowConsumer | str = "close", max_bytes: int | None = SLOW_CONSUMER_BYTES
    ) -> None:
        try:
            self.kind = SlowConsumer(kind)
        except ValueError:
            known = ", ".join(member.value for member in SlowConsumer)
            raise ValueError(f"unknown slow_consumer: {kind!r}, expected one of {known}") from None
        if max_bytes is not None and max_bytes < 0:
            raise ValueError(f"slow_consumer_bytes must be at least 0: got {max_bytes}")
        self.max_bytes = max_bytes


class Held(NamedTuple):
    """A message, or the first fragment of one, that was not begun."""

    opcode: Opcode
    payload: bytes
    fin: bool
    compress: bool | None
    ticket: object | None
    """Of the sender who waits for it; None when nobody does, and it may be dropped."""

    @property
    def cost(self) -> int:
        """What it counts against the limit, in bytes."""
        return len(self.payload) + _OVERHEAD_BYTES


class Backlog:
    """The messages that one peer has still to get, in order.

    Args:
        policy: what to do with too many.
    """

    __slots__ = ("_held", "awaited_bytes", "dropped", "held_bytes", "policy")

    def __init__(self, policy: SlowConsumerPolicy) -> None:
        self.policy = policy
        self.held_bytes = 0
        """What counts against the limit; messages whose sender waits do not."""
        self.awaited_bytes = 0
        """The payloads of messages whose sender waits."""
        self.dropped = 0
        """How many messages were held, or offered, and will not be sent."""
        self._held: deque[Held] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, held: Held) -> bool:
        """Hold a message, or let the policy say what to do instead.

        Returns:
            False when the connection is to be closed, and the message was not held.
        """
        if held.ticket is not None:
            self._held.append(held)
            self.awaited_bytes += len(held.payload)
            return True
        kind, max_bytes = self.policy.kind, self.policy.max_bytes
        if max_bytes is not None and held.cost > max_bytes and kind is not SlowConsumer.CLOSE:
            self.dropped += 1  # no room that could be made is enough
            return True
        if kind is SlowConsumer.CONFLATE:
            self._drop_all()
        if max_bytes is not None and self.held_bytes + held.cost > max_bytes:
            if kind is not SlowConsumer.DROP_OLDEST:
                self.dropped += 1
                return kind is not SlowConsumer.CLOSE
            self._make_room(max_bytes - held.cost)
        self._held.append(held)
        self.held_bytes += held.cost
        return True

    def next(self) -> Held:
        """Take the message that is to be sent next.

        Raises:
            IndexError: there is none.
        """
        held = self._held.popleft()
        if held.ticket is None:
            self.held_bytes -= held.cost
        else:
            self.awaited_bytes -= len(held.payload)
        return held

    def clear(self) -> list[object]:
        """Drop everything: nothing can be sent any more.

        Returns:
            The tickets of those who wait.
        """
        tickets = [held.ticket for held in self._held if held.ticket is not None]
        self.dropped += len(self._held) - len(tickets)
        self._held.clear()
        self.held_bytes = self.awaited_bytes = 0
        return tickets

    def _drop_all(self) -> None:
        """Drop what may be dropped."""
        self.dropped += len(self._held)
        self._held = deque(held for held in self._held if held.ticket is not None)
        self.dropped -= len(self._held)
        self.held_bytes = 0

    def _make_room(self, max_bytes: int) -> None:
        """Drop the oldest until no more than this is held; who waits keeps the place."""
        kept: list[Held] = []
        while self.held_bytes > max_bytes:
            held = self._held.popleft()
            if held.ticket is None:
                self.held_bytes -= held.cost
                self.dropped += 1
            else:
                kept.append(held)
        self._held.extendleft(reversed(kept))
