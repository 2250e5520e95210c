"""Who may connect: connections in all, by address, and those whose request has not come.

A guest enters when its TCP connection is there, has come in when its request has, and leaves when
TCP ends; whoever is refused was never in. Behind a proxy the address is known later, and
``identify`` counts it then.

What is remembered of an address that has no connection is the time at which its rate is forgotten.
There are at most ``Limits.max_addresses`` of them, the latest: who connects from more addresses
than that gets some of them back early, which costs us nothing.
"""

from __future__ import annotations

import http
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from .limits import Limits

__all__ = ["Admission", "Refusal", "address_key"]

_RETRY_S = 5


class Refusal(NamedTuple):
    """Why a client is not let in, as an HTTP response."""

    limit: str
    """Its name in ``Limits``, or what else it was."""
    status: http.HTTPStatus
    text: str
    retry_after_s: int = _RETRY_S

    @classmethod
    def unavailable(cls, limit: str, text: str, retry_after_s: int = _RETRY_S) -> Refusal:
        """Say that it is not the client's fault (503)."""
        return cls(limit, http.HTTPStatus.SERVICE_UNAVAILABLE, text, retry_after_s)

    @classmethod
    def too_many(cls, limit: str, text: str, retry_after_s: int = _RETRY_S) -> Refusal:
        """Say that it is the client's fault (429). RFC 6585, 4."""
        return cls(limit, http.HTTPStatus.TOO_MANY_REQUESTS, text, retry_after_s)


def address_key(address: object, ipv6_prefix: int = 64) -> str | int | None:
    """Return whose an address is: itself for IPv4, its network for IPv6.

    Args:
        address: as ``getpeername`` has it, or only the host; anything else is nobody's.
        ipv6_prefix: bits of an IPv6 address that count.

    Returns:
        Something to count by; None where there is nothing, as for Unix sockets.
    """
    host = address[0] if isinstance(address, tuple) and address else address
    if not isinstance(host, str) or not host:
        return None
    if ":" not in host:
        return host
    try:
        parsed = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return int(parsed) >> (128 - ipv6_prefix)


class _Guest:
    __slots__ = ("key",)

    def __init__(self) -> None:
        self.key: str | int | None = None


class _Address:
    """What is known of an address that has connections."""

    __slots__ = ("count", "full_at")

    def __init__(self, full_at: float) -> None:
        self.count = 0
        self.full_at = full_at


class Admission:
    """Counts connections, and says who may not connect.

    Args:
        limits: of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.is_out_of_memory = False
        """Set by whoever adds up memory; then nobody is let in."""
        self._rate = limits.address_rate()
        self._has_addresses = self._rate is not None or limits.connections_per_address is not None
        self._guests: dict[Hashable, _Guest] = {}
        self._waiting: dict[Hashable, None] = {}  # for their requests, the oldest first
        self._addresses: dict[str | int, _Address] = {}
        self._remembered: OrderedDict[str | int, float] = OrderedDict()

    def __len__(self) -> int:
        """How many are in."""
        return len(self._guests)

    @property
    def remembered(self) -> int:
        """Of how many addresses something is known."""
        return len(self._addresses) + len(self._remembered)

    def enter(self, guest: Hashable, address: object, now: float) -> Refusal | None:
        """Let somebody in, or say why not.

        Args:
            guest: to tell apart.
            address: see ``address_key``; None if it is not known yet.
            now: the time, in seconds.
        """
        limit = self.limits.connections
        if limit is not None and len(self._guests) >= limit:
            return Refusal.unavailable("connections", "There are too many connections.\n")
        if self.is_out_of_memory:
            return Refusal.unavailable("memory", "The server is short of memory.\n")
        entry = _Guest()
        refusal = self._count_address(entry, address, now)
        if refusal is not None:
            return refusal
        self._guests[guest] = entry
        if self.limits.handshakes is not None:
            self._waiting[guest] = None
        return None

    def identify(self, guest: Hashable, address: object, now: float) -> Refusal | None:
        """Count somebody who is in under another address, or say why not."""
        entry = self._guests.get(guest)
        if entry is None:
            return None
        self._uncount_address(entry, now)
        return self._count_address(entry, address, now)

    def overdue(self) -> Hashable | None:
        """Whose place is needed by somebody else: the oldest without a request; None for nobody."""
        limit = self.limits.handshakes
        if limit is None or len(self._waiting) <= limit:
            return None
        guest = next(iter(self._waiting))
        del self._waiting[guest]
        return guest

    def came_in(self, guest: Hashable) -> None:
        """Note that somebody's request has come."""
        self._waiting.pop(guest, None)

    def leave(self, guest: Hashable, now: float) -> None:
        """Note that somebody is gone; who was refused may be told of too."""
        self._waiting.pop(guest, None)
        entry = self._guests.pop(guest, None)
        if entry is not None:
            self._uncount_address(entry, now)

    def _count_address(self, entry: _Guest, address: object, now: float) -> Refusal | None:
        key = address_key(address, self.limits.ipv6_prefix) if self._has_addresses else None
        if key is None:
            return None
        known = self._addresses.get(key)
        full_at = self._remembered.get(key, -math.inf) if known is None else known.full_at
        limit = self.limits.connections_per_address
        if known is not None and limit is not None and known.count >= limit:
            return Refusal.too_many(
                "connections_per_address", "There are too many connections from your address.\n"
            )
        if self._rate is not None:
            full_at = self._rate.after(full_at, now, 1)
            wait_s = self._rate.wait_s(full_at, now)
            if wait_s > 1e-9:  # which is nothing but the rounding of sums
                return Refusal.too_many(
                    "connection_rate_per_address",
                    "You connect too often.\n",
                    max(math.ceil(wait_s), 1),
                )
        if known is None:
            self._remembered.pop(key, None)
            known = self._addresses[key] = _Address(full_at)
        known.full_at = full_at
        known.count += 1
        entry.key = key
        return None

    def _uncount_address(self, entry: _Guest, now: float) -> None:
        key, entry.key = entry.key, None
        if key is None:
            return
        known = self._addresses[key]
        known.count -= 1
        if known.count:
            return
        del self._addresses[key]
        if known.full_at <= now:
            return
        self._remembered[key] = known.full_at
        while self._remembered:  # what is over, and what is too much
            oldest, full_at = next(iter(self._remembered.items()))
            if full_at > now and len(self._remembered) <= self.limits.max_addresses:
                break
            del self._remembered[oldest]
