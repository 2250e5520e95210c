"""The table of states. RFC 6455, 4.1 and 7.1."""

from __future__ import annotations

import itertools

import pytest

from wirebird.core.rules import State
from wirebird.core.state import Halves, Passage

ALLOWED = {
    (State.CONNECTING, Passage.OPENED): State.OPEN,
    (State.CONNECTING, Passage.ENDED): State.CLOSED,
    (State.OPEN, Passage.CLOSE): State.CLOSING,
    (State.OPEN, Passage.ENDED): State.CLOSED,
    (State.CLOSING, Passage.ENDED): State.CLOSED,
    (State.CLOSED, Passage.ENDED): State.CLOSED,
}


@pytest.mark.parametrize("direction", ["received", "sent"])
@pytest.mark.parametrize(("state", "passage"), list(itertools.product(State, Passage)))
def test_each_half_takes_what_the_table_allows(
    state: State, passage: Passage, direction: str
) -> None:
    halves = Halves(state)
    moved, other = ("inbound", "outbound") if direction == "received" else ("outbound", "inbound")
    if (state, passage) in ALLOWED:
        getattr(halves, direction)(passage)
        assert getattr(halves, moved) is ALLOWED[state, passage]
        assert getattr(halves, moved) >= state  # only forward
    else:
        with pytest.raises(AssertionError, match=f"{passage.value} cannot happen"):
            getattr(halves, direction)(passage)
        assert getattr(halves, moved) is state
    assert getattr(halves, other) is state


def test_a_connection_is_open_unless_said_otherwise() -> None:
    halves = Halves()
    assert (halves.inbound, halves.outbound, halves.public) == (State.OPEN,) * 3


@pytest.mark.parametrize(
    "steps",
    [
        # our Close first, theirs first, at the same time, and ends without any
        ["sent close", "received close", "sent ended", "received ended"],
        ["received close", "sent close", "sent ended", "received ended"],
        ["sent close", "received close", "received ended", "sent ended"],
        ["received ended", "sent ended"],
        ["sent ended", "received ended"],
        ["sent close", "sent ended", "received ended"],
        ["received close", "received ended", "sent ended"],
    ],
)
def test_the_public_state_goes_through_closing_to_closed(steps: list[str]) -> None:
    halves = Halves()
    seen = []
    for step in steps:
        direction, passage = step.split()
        getattr(halves, direction)(Passage(passage))
        seen.append(halves.public)
    assert seen == [State.CLOSING] * (len(steps) - 1) + [State.CLOSED]


def test_opening() -> None:
    halves = Halves(State.CONNECTING)
    halves.received(Passage.OPENED)
    halves.sent(Passage.OPENED)
    assert halves.public is State.OPEN
