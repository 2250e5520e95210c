"""Deadlines of many: the earliest first, each thing once, and nothing kept alive."""

from __future__ import annotations

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.schedule import Schedule


class Thing:
    """Something to look at."""


def test_nothing_is_due_before_its_time() -> None:
    schedule: Schedule[Thing] = Schedule()
    assert schedule.next_time is None
    late, early = Thing(), Thing()
    schedule.add(late, 2.0)
    schedule.add(early, 1.0)
    assert schedule.next_time == 1.0
    assert len(schedule) == 2
    assert schedule.pop_due(0.5) == []
    assert schedule.pop_due(2.0) == [early, late]
    assert not len(schedule)


def test_each_thing_is_due_once_at_its_earliest_time() -> None:
    schedule: Schedule[Thing] = Schedule()
    thing = Thing()
    for when in (3.0, 1.0, 2.0):
        schedule.add(thing, when)
    assert schedule.pop_due(5.0) == [thing]
    assert schedule.pop_due(5.0) == []


def test_what_was_struck_off_is_not_due_and_not_kept_alive() -> None:
    schedule: Schedule[Thing] = Schedule()
    thing, other = Thing(), Thing()
    schedule.add(other, 1.0)
    schedule.add(thing, 2.0)
    kept = weakref.ref(thing)
    schedule.discard(thing)
    schedule.discard(thing)
    del thing
    gc.collect()
    assert kept() is None
    assert schedule.pop_due(5.0) == [other]
    schedule.add(other, 1.0)
    schedule.discard(other)
    assert schedule.next_time is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "discard", "pop"]), st.integers(0, 5), st.integers(0, 9))
    )
)
def test_it_is_a_table_of_the_earliest_times(steps: list[tuple[str, int, int]]) -> None:
    things = [Thing() for _ in range(6)]
    schedule: Schedule[Thing] = Schedule()
    table: dict[Thing, float] = {}
    for step, index, when in steps:
        thing = things[index]
        if step == "add":
            schedule.add(thing, when)
            table[thing] = min(when, table.get(thing, when))
        elif step == "discard":
            schedule.discard(thing)
            table.pop(thing, None)
        else:
            due = schedule.pop_due(when)
            assert [table[one] for one in due] == sorted(t for t in table.values() if t <= when)
            for one in due:
                del table[one]
        assert len(schedule) == len(table)
        next_time = schedule.next_time
        assert next_time is not None or not table
        assert all(next_time is not None and next_time <= when for when in table.values())
