"""Rates as token buckets, told of time and counts."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.meter import Exceeded, Meter, Rate, rate_of


def meter(**rates: Rate | None) -> Meter:
    return Meter(
        rates.get("messages"), rates.get("frames"), rates.get("bytes"), is_throttling=False
    )


def test_a_burst_and_then_the_rate() -> None:
    judged = meter(messages=Rate(2, 4))
    assert judged.judge(0.0, 4, 0, 0) is None
    assert judged.judge(0.0, 5, 0, 0) == Exceeded("messages", 0.5)
    assert judged.judge(0.5, 5, 0, 0) is None
    assert judged.judge(1.0, 6, 0, 0) is None
    assert judged.judge(1.0, 7, 0, 0) == Exceeded("messages", 0.5)


def test_what_was_too_much_is_a_debt() -> None:
    judged = meter(bytes=Rate(100, 100))
    assert judged.judge(0.0, 0, 0, 1100) == Exceeded("bytes", 10.0)
    assert judged.judge(4.0, 0, 0, 1100) == Exceeded("bytes", 6.0)
    assert judged.judge(10.0, 0, 0, 1100) is None
    assert judged.judge(10.0, 0, 0, 1101) is not None


def test_the_worst_is_told() -> None:
    judged = meter(messages=Rate(1, 1), frames=Rate(1, 1), bytes=Rate(1000, 1))
    exceeded = judged.judge(0.0, 2, 5, 100)
    assert exceeded == Exceeded("frames", 4.0)


def test_a_peer_that_did_nothing_has_a_burst_and_no_more() -> None:
    judged = meter(frames=Rate(10, 20))
    assert judged.judge(1e6, 0, 20, 0) is None
    assert judged.judge(2e6, 0, 40, 0) is None
    assert judged.judge(2e6, 0, 41, 0) is not None


@given(
    st.floats(0.1, 1e4),
    st.floats(1, 1e4),
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 100_000)), max_size=30),
)
def test_the_rate_holds_in_the_long_run(
    per_s: float, burst: float, steps: list[tuple[float, int]]
) -> None:
    """Whoever waits as told never has more than the burst and what the time allows."""
    judged = meter(messages=Rate(per_s, burst))
    now, count = 0.0, 0
    for pause, more in steps:
        now += pause
        count += more
        exceeded = judged.judge(now, count, 0, 0)
        if exceeded is not None:
            now += exceeded.wait_s
        assert count <= burst + per_s * now + 1e-6 * count


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (None, None),
        (10, Rate(10, 10)),
        (0.5, Rate(0.5, 1)),
        ((10, 50), Rate(10, 50)),
        ((10, 1), Rate(10, 1)),
    ],
)
def test_rates_that_can_be(value: Any, rate: Rate | None) -> None:
    assert rate_of("messages", value) == rate


@pytest.mark.parametrize(
    "value", [0, -1, (1, 0), (0, 1), (1, 0.5), math.inf, math.nan, (1, math.inf), (1, math.nan)]
)
def test_rates_that_cannot_be(value: Any) -> None:
    with pytest.raises(ValueError, match="messages must be a rate"):
        rate_of("messages", value)
