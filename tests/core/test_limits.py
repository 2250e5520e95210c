"""What a server grants: the table, and what cannot stand in it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from wirebird.core.limits import Limits, OverRate


def test_by_default_nothing_is_limited() -> None:
    limits = Limits()
    assert limits.meter() is None
    assert limits.address_rate() is None


@pytest.mark.parametrize(
    ("over_rate", "is_throttling"),
    [("close", False), ("throttle", True), (OverRate.CLOSE, False), (OverRate.THROTTLE, True)],
)
def test_a_meter_for_each_connection(over_rate: Any, is_throttling: bool) -> None:
    limits = Limits(messages=3, over_rate=over_rate)
    one, other = limits.meter(), limits.meter()
    assert one is not None
    assert one is not other
    assert one.is_throttling is is_throttling


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"connections": 0}, "connections must be at least 1: got 0"),
        ({"connections_per_address": -1}, "connections_per_address must be at least 1"),
        ({"handshakes": 0}, "handshakes must be at least 1"),
        ({"memory_bytes": 0}, "memory_bytes must be at least 1"),
        ({"ipv6_prefix": 0}, "ipv6_prefix must be 1 to 128: got 0"),
        ({"ipv6_prefix": 129}, "ipv6_prefix must be 1 to 128"),
        ({"max_addresses": 0}, "max_addresses must be at least 1"),
        ({"messages": 0}, "messages must be a rate"),
        ({"frames": (1, 0)}, "frames must be a rate"),
        ({"received_bytes": math.nan}, "received_bytes must be a rate"),
        ({"connection_rate_per_address": -1}, "connection_rate_per_address must be a rate"),
        ({"over_rate": "explode"}, "unknown over_rate: 'explode', expected one of close, throttle"),
    ],
)
def test_limits_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits(**arguments)
