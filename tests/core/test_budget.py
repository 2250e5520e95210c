"""The memory of all connections, added up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.budget import Budget


def test_nobody_goes_while_there_is_room() -> None:
    budget: Budget[str] = Budget(100)
    assert budget.judge([("a", 60), ("b", 39)]) == []
    assert (budget.held_bytes, budget.is_exceeded) == (99, False)
    assert budget.judge([("a", 60), ("b", 40)]) == []
    assert budget.is_exceeded


def test_who_holds_most_goes_first_and_no_more_than_must() -> None:
    budget: Budget[str] = Budget(100)
    assert budget.judge([("a", 50), ("b", 90), ("c", 30), ("d", 70)]) == ["b", "d"]
    assert (budget.held_bytes, budget.is_exceeded) == (80, False)
    assert budget.judge([]) == []
    assert budget.held_bytes == 0


@given(st.integers(1, 1000), st.lists(st.integers(0, 500)))
def test_afterwards_it_holds(max_bytes: int, sizes: list[int]) -> None:
    budget: Budget[int] = Budget(max_bytes)
    gone = budget.judge(enumerate(sizes))
    left = [size for who, size in enumerate(sizes) if who not in gone]
    assert budget.held_bytes == sum(left) <= max_bytes
    assert all(sizes[who] >= max(left, default=0) for who in gone)
    if gone:
        assert sum(left) + sizes[gone[-1]] > max_bytes
