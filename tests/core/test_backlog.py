"""What waits for a slow peer: order, limits, and what each policy drops."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.backlog import (
    SLOW_CONSUMER_BYTES,
    Backlog,
    Held,
    SlowConsumer,
    SlowConsumerPolicy,
)
from wirebird.core.rules import Opcode

OVERHEAD = 150


def held(payload: bytes, ticket: object | None = None) -> Held:
    return Held(Opcode.BINARY, payload, True, None, ticket)


def backlog(kind: str, room_for: int | None, size: int = 1) -> Backlog:
    """A backlog with room for so many messages of a size."""
    limit = None if room_for is None else room_for * (size + OVERHEAD)
    return Backlog(SlowConsumerPolicy(kind, limit))


def rest(waiting: Backlog) -> list[bytes]:
    """Take all that is held."""
    return [waiting.next().payload for _ in range(len(waiting))]


@pytest.mark.parametrize("kind", ["close", "drop-oldest", "drop-newest"])
def test_first_come_first_sent(kind: str) -> None:
    waiting = backlog(kind, room_for=3)
    assert [waiting.hold(held(payload)) for payload in (b"a", b"b", b"c")] == [True] * 3
    assert len(waiting) == 3
    assert waiting.held_bytes == 3 * (1 + OVERHEAD)
    assert rest(waiting) == [b"a", b"b", b"c"]
    assert (len(waiting), waiting.held_bytes, waiting.dropped) == (0, 0, 0)


def test_a_message_comes_back_as_it_was() -> None:
    waiting = backlog("close", room_for=1)
    message = Held(Opcode.TEXT, b"a", False, False, None)
    waiting.hold(message)
    assert waiting.next() is message
    with pytest.raises(IndexError):
        waiting.next()


@pytest.mark.parametrize(
    ("kind", "answers", "left"),
    [
        ("close", [True, True, False], [b"a", b"b"]),
        ("drop-oldest", [True, True, True], [b"b", b"c"]),
        ("drop-newest", [True, True, True], [b"a", b"b"]),
        ("conflate", [True, True, True], [b"c"]),
    ],
)
def test_too_many(kind: str, answers: list[bool], left: list[bytes]) -> None:
    waiting = backlog(kind, room_for=2)
    assert [waiting.hold(held(payload)) for payload in (b"a", b"b", b"c")] == answers
    assert waiting.dropped == 3 - len(left)
    assert waiting.held_bytes == len(left) * (1 + OVERHEAD)
    assert rest(waiting) == left


def test_a_big_message_takes_the_place_of_several_old_ones() -> None:
    waiting = backlog("drop-oldest", room_for=3)
    for payload in (b"a", b"b", b"c"):
        waiting.hold(held(payload))
    waiting.hold(held(b"d" * (OVERHEAD + 2)))  # as much as two of the others
    assert waiting.dropped == 2
    assert rest(waiting) == [b"c", b"d" * (OVERHEAD + 2)]


@pytest.mark.parametrize("kind", SlowConsumer)
def test_what_would_never_fit_drops_nothing_else(kind: SlowConsumer) -> None:
    waiting = Backlog(SlowConsumerPolicy(kind, 2 * (1 + OVERHEAD)))
    waiting.hold(held(b"a"))
    assert waiting.hold(held(bytes(1000))) is (kind is not SlowConsumer.CLOSE)
    assert waiting.dropped == 1
    assert rest(waiting) == [b"a"]


def test_empty_messages_are_bounded_too() -> None:
    waiting = backlog("drop-newest", room_for=5, size=0)
    for _ in range(1000):
        waiting.hold(held(b""))
    assert (len(waiting), waiting.dropped) == (5, 995)


@pytest.mark.parametrize("kind", ["close", "drop-oldest", "drop-newest"])
def test_no_limit(kind: str) -> None:
    waiting = backlog(kind, room_for=None)
    assert all(waiting.hold(held(bytes(1000))) for _ in range(100))
    assert (len(waiting), waiting.dropped) == (100, 0)


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("close", [b"a", b"W", b"b", b"X"]),
        ("drop-oldest", [b"W", b"X", b"c", b"d"]),
        ("drop-newest", [b"a", b"W", b"b", b"X"]),
        ("conflate", [b"W", b"X", b"d"]),
    ],
)
def test_who_waits_is_not_dropped_and_keeps_the_order(kind: str, left: list[bytes]) -> None:
    waiting = backlog(kind, room_for=2)
    for payload in (b"a", b"W", b"b", b"X", b"c", b"d"):
        waiting.hold(held(payload, ticket=payload if payload.isupper() else None))
    assert waiting.held_bytes == sum(payload.islower() for payload in left) * (1 + OVERHEAD)
    assert rest(waiting) == left
    assert waiting.held_bytes == 0


def test_who_waits_does_not_count() -> None:
    waiting = backlog("close", room_for=0)
    assert all(waiting.hold(held(bytes(1000), ticket=n)) for n in range(1, 10))
    assert waiting.held_bytes == 0
    assert not waiting.hold(held(b""))


def test_clear() -> None:
    waiting = backlog("close", room_for=10)
    for payload, ticket in ((b"a", None), (b"b", "first"), (b"c", None), (b"d", "second")):
        waiting.hold(held(payload, ticket))
    assert waiting.clear() == ["first", "second"]
    assert (len(waiting), waiting.held_bytes, waiting.dropped) == (0, 0, 2)


def test_policies() -> None:
    policy = SlowConsumerPolicy()
    assert (policy.kind, policy.max_bytes) == (SlowConsumer.CLOSE, SLOW_CONSUMER_BYTES)
    assert SlowConsumerPolicy("conflate", None).max_bytes is None
    assert SlowConsumerPolicy(SlowConsumer.DROP_OLDEST).kind is SlowConsumer.DROP_OLDEST


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("drop",), "unknown slow_consumer: 'drop', expected one of close, drop-oldest, "),
        ((None,), "unknown slow_consumer: None"),
        (("close", -1), "slow_consumer_bytes must be at least 0: got -1"),
    ],
)
def test_wrong_policies(arguments: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        SlowConsumerPolicy(*arguments)


@given(
    kind=st.sampled_from(SlowConsumer),
    limit=st.integers(0, 1000),
    steps=st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 400), st.booleans()))),
)
def test_in_order_within_the_limit_and_all_accounted_for(
    kind: SlowConsumer, limit: int, steps: list[tuple[int, bool] | None]
) -> None:
    waiting = Backlog(SlowConsumerPolicy(kind, limit))
    offered = sent = 0
    last = -1
    for step in steps:
        if step is not None:
            size, waits = step
            waiting.hold(Held(Opcode.TEXT, bytes(size), True, None, (offered,) if waits else None))
            offered += 1
        elif len(waiting):
            message = waiting.next()
            if isinstance(message.ticket, tuple):
                assert message.ticket[0] > last
                last = message.ticket[0]
            sent += 1
        assert 0 <= waiting.held_bytes <= limit
        assert offered == sent + waiting.dropped + len(waiting)
