"""The token bucket, told the time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wirebird.cli.demo.pace import Pace


def test_a_burst_and_then_the_rate() -> None:
    pace = Pace(rate=2, burst=3, now=100.0)
    assert [pace.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert not pace.take(100.4)
    assert pace.take(100.5)
    assert not pace.take(100.5)


def test_rest_earns_no_more_than_the_burst() -> None:
    pace = Pace(rate=10, burst=2, now=0.0)
    assert [pace.take(1000.0) for _ in range(3)] == [True, True, False]


def test_what_is_refused_costs_nothing() -> None:
    pace = Pace(rate=1, burst=1, now=0.0)
    assert pace.take(0.0)
    assert not any(pace.take(0.1 * tenth) for tenth in range(10))
    assert pace.take(1.001)


@given(st.lists(st.floats(0, 10), max_size=200))
def test_never_more_than_burst_and_rate(steps: list[float]) -> None:
    pace = Pace(rate=3, burst=5, now=0.0)
    now, taken = 0.0, 0
    for step in steps:
        now += step
        taken += pace.take(now)
    assert taken <= 5 + 3 * now + 1e-6
