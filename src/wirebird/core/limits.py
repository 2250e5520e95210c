"""What a server grants its clients in all; what one message may be is said elsewhere.

``Limits`` is the table. ``core.admission`` holds connections against it, ``core.meter`` what a
connection sends, ``core.budget`` the memory of all.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .meter import Meter, Rate, rate_of

__all__ = ["Limits", "OverRate"]


class OverRate(enum.Enum):
    """What happens to a client that sends more than its rates allow."""

    CLOSE = "close"
    """The connection is closed with 1008."""
    THROTTLE = "throttle"
    """Reading pauses until the rates hold again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server grants; None is no limit. Rates are "a second", or ("a second", "at once").

    Args:
        connections: of all clients (503).
        connections_per_address: of one address (429). An IPv6 address counts by its network.
        connection_rate_per_address: new connections of one address (429 with Retry-After).
        handshakes: connections from which no request has come yet. A new one takes the place of
            the oldest, which is answered 503.
        memory_bytes: held for all connections: unread, in progress, waiting to be sent. Above it,
            new connections are refused (503), and those that hold most are closed (1013).
        messages, frames, received_bytes: what one connection sends; control frames are frames.
        over_rate: "close" closes a connection that sends more (1008), "throttle" lets it wait.
        ipv6_prefix: bits of an IPv6 address that say whose it is.
        max_addresses: whose rate is remembered, beside those that are connected.

    Raises:
        ValueError: a limit makes no sense.
    """

    connections: int | None = None
    connections_per_address: int | None = None
    connection_rate_per_address: float | tuple[float, float] | None = None
    handshakes: int | None = None
    memory_bytes: int | None = None
    messages: float | tuple[float, float] | None = None
    frames: float | tuple[float, float] | None = None
    received_bytes: float | tuple[float, float] | None = None
    over_rate: OverRate | str = "close"
    ipv6_prefix: int = 64
    max_addresses: int = 65_536

    def __post_init__(self) -> None:
        for name in ("connections", "connections_per_address", "handshakes", "memory_bytes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1: got {value}")
        if not 1 <= self.ipv6_prefix <= 128:
            raise ValueError(f"ipv6_prefix must be 1 to 128: got {self.ipv6_prefix}")
        if self.max_addresses < 1:
            raise ValueError(f"max_addresses must be at least 1: got {self.max_addresses}")
        try:
            OverRate(self.over_rate)
        except ValueError:
            known = ", ".join(member.value for member in OverRate)
            raise ValueError(
                f"unknown over_rate: {self.over_rate!r}, expected one of {known}"
            ) from None
        self.address_rate()
        self.meter()

    def address_rate(self) -> Rate | None:
        """The rate of new connections from one address."""
        return rate_of("connection_rate_per_address", self.connection_rate_per_address)

    def meter(self) -> Meter | None:
        """Return a meter for a new connection; None where nothing is limited."""
        rates = (
            rate_of("messages", self.messages),
            rate_of("frames", self.frames),
            rate_of("received_bytes", self.received_bytes),
        )
        if rates == (None, None, None):
            return None
        return Meter(*rates, is_throttling=OverRate(self.over_rate) is OverRate.THROTTLE)
