"""When reading pauses, and what closing keeps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.endpoint import BINARY, CLOSE, CONT, EOF, PING, ROLES, TEXT, Endpoint, Sent

from wirebird.core.connection import NEED_MORE, Connection
from wirebird.core.rules import MAX_UNREAD_BYTES, Role, State
from wirebird.exceptions import ConnectionClosedError, ConnectionClosedOK

roles = pytest.mark.parametrize("role", ROLES)


def flow(endpoint: Endpoint) -> list[str]:
    """What the hooks were told about reading."""
    return endpoint.hooks.names("pause", "resume")


def steps(endpoint: Endpoint, count: int) -> list[bool]:
    """Receive small messages one by one; whether reading is paused after each."""
    paused = []
    for _ in range(count):
        endpoint.receive(endpoint.frame(TEXT, b"a"))
        paused.append(endpoint.core.is_paused)
    return paused


# Marks.


@roles
@pytest.mark.parametrize(
    ("max_queue", "high", "low"),
    [
        (4, 4, 1),
        (3, 3, 0),
        (0, 0, 0),
        ((4, 2), 4, 2),
        ((4, 4), 4, 4),
        ((4, 0), 4, 0),
        ((4, None), 4, 1),
        ((None, 1), 4, 1),
    ],
)
def test_marks_on_frames(role: Role, max_queue: Any, high: int, low: int) -> None:
    endpoint = Endpoint(role, max_queue=max_queue)
    assert steps(endpoint, high + 1) == [False] * high + [True]
    paused = []
    for _ in range(high + 1):
        assert endpoint.core.next_message() == "a"
        paused.append(endpoint.core.is_paused)
    assert paused == [True] * (high - low) + [False] * (low + 1)
    assert flow(endpoint) == ["pause", "resume"]


@pytest.mark.parametrize("max_queue", [None, (None, None)])
def test_no_mark_on_frames(max_queue: Any) -> None:
    endpoint = Endpoint(Role.CLIENT, max_queue=max_queue)
    endpoint.receive(endpoint.frame(TEXT, b"a") * 10_000)
    assert flow(endpoint) == []


@pytest.mark.parametrize("max_queue", [-1, (4, 5), (4, -1), (-4, -5)])
def test_marks_that_cannot_be(max_queue: Any) -> None:
    with pytest.raises(ValueError, match="max_queue must be at least 0, and low at most high"):
        Connection(Role.CLIENT, max_queue=max_queue)


@roles
@pytest.mark.parametrize("max_queue", [None, 1000])
def test_marks_on_bytes(role: Role, max_queue: int | None) -> None:
    endpoint = Endpoint(role, max_queue=max_queue)
    frame = endpoint.frame(BINARY, bytes(1024 - len(endpoint.head(0x82, 1000))))
    assert len(frame) == 1024
    endpoint.receive(frame * 256, size=4096)
    assert not endpoint.core.is_paused
    endpoint.receive(b"\x82")
    assert endpoint.core.is_paused
    for _ in range(192):
        assert endpoint.core.is_paused
        endpoint.core.next_message()
    assert endpoint.core.is_paused  # one byte is too many
    endpoint.core.next_message()
    assert not endpoint.core.is_paused


@roles
def test_a_single_frame_can_be_too_much(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=16)
    frame = endpoint.frame(BINARY, bytes(2**20))
    endpoint.receive(frame[: MAX_UNREAD_BYTES + 1])
    assert endpoint.core.is_paused
    assert endpoint.core.next_message() is NEED_MORE
    assert not endpoint.core.is_paused  # the reader has it
    endpoint.receive(frame[MAX_UNREAD_BYTES + 1 :])
    assert endpoint.read() == [bytes(2**20)]


@roles
def test_fragments_count_as_frames(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=(2, 0))
    endpoint.receive(endpoint.frame(TEXT, fin=False), endpoint.frame(CONT, fin=False))
    assert not endpoint.core.is_paused
    endpoint.receive(endpoint.frame(CONT, fin=False))
    assert endpoint.core.is_paused
    assert endpoint.core.next_message() is NEED_MORE  # and it is folded
    assert not endpoint.core.is_paused


@roles
@pytest.mark.parametrize("by_frame", [False, True])
def test_never_while_a_reader_waits(role: Role, by_frame: bool) -> None:
    endpoint = Endpoint(role, max_queue=2)
    endpoint.read_always(by_frame=by_frame)
    endpoint.receive(endpoint.frame(TEXT, b"a") * 100)
    endpoint.receive(endpoint.frame(BINARY, bytes(2**20)), size=2**18 + 1)
    assert flow(endpoint) == []
    assert len(endpoint.messages) == 101


@roles
def test_a_reader_that_waits_again_before_it_has_everything(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=2)
    endpoint.core.wait(lambda: True)
    endpoint.receive(endpoint.frame(TEXT, b"a") * 5)
    endpoint.core.next_message()
    endpoint.core.wait(lambda: True)
    endpoint.core.settle(0.0)
    assert flow(endpoint) == []  # it will be served with what comes next
    endpoint.core.stop_waiting()
    endpoint.core.settle(0.0)
    assert flow(endpoint) == ["pause"]


@roles
def test_judged_after_the_reader_ran(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=2)
    for is_deferred in False, True:
        endpoint.core.wait(lambda is_deferred=is_deferred: is_deferred)  # type: ignore[misc]
        endpoint.receive(endpoint.frame(TEXT, b"a") * 4)
        assert flow(endpoint) == ([] if is_deferred else ["pause", "resume"][:1])
        endpoint.read()
        endpoint.core.settle(0.0)
        assert flow(endpoint) == ([] if is_deferred else ["pause", "resume"])
        endpoint.hooks.told.clear()


@roles
def test_paused_once(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=1)
    for _ in range(5):
        endpoint.receive(endpoint.frame(TEXT) * 2)
    assert flow(endpoint) == ["pause"]


@roles
def test_pings_are_answered_while_reading_is_paused(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=1)
    endpoint.receive(endpoint.frame(TEXT) * 3, endpoint.frame(PING))
    assert endpoint.core.is_paused
    assert len(endpoint.sent()) == 1


# The end while reading is paused.


@roles
def test_the_end_of_the_stream(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=1)
    endpoint.receive(endpoint.frame(TEXT, b"a") * 3)
    assert endpoint.core.is_paused
    endpoint.core.receive_eof(1.0)
    assert endpoint.core.state is State.CLOSED
    assert endpoint.read() == ["a"] * 3
    assert isinstance(endpoint.end, ConnectionClosedError)


@roles
def test_a_close_of_the_peer_resumes_reading_for_the_end_of_the_stream(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=1)
    endpoint.receive(endpoint.frame(TEXT, b"a") * 3)
    endpoint.receive(endpoint.frame(CLOSE))
    assert flow(endpoint) == ["pause", "resume"]
    assert endpoint.read() == ["a"] * 3


@roles
def test_failing_resumes_reading(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=1)
    endpoint.receive(endpoint.frame(TEXT, b"a") * 3)
    endpoint.core.fail(1011, now=0.0)
    assert flow(endpoint) == ["pause", "resume"]
    assert endpoint.read() == ["a"] * 3


# Closing resumes reading, and keeps no more than before.


@roles
@pytest.mark.parametrize("size", [None, 999])
def test_closing_keeps_what_came_and_waits_for_the_close(role: Role, size: int | None) -> None:
    endpoint = Endpoint(role, max_queue=3)
    endpoint.receive(*[endpoint.frame(TEXT, b"%d" % at) for at in range(4)])
    endpoint.core.close(now=0.0)
    assert flow(endpoint) == ["pause", "resume"]
    endpoint.receive(endpoint.frame(BINARY, bytes(1000)) * 500, size=size)
    endpoint.receive(endpoint.frame(BINARY, bytes(2**20)), size=2**17)
    endpoint.receive(endpoint.frame(PING), endpoint.frame(CLOSE))
    end = [EOF] if role is Role.SERVER else []
    assert [frame.opcode for frame in endpoint.sent() if frame != EOF] == [CLOSE, 10]
    assert endpoint.sent() == []
    kept = endpoint.read()
    assert kept[:4] == ["0", "1", "2", "3"]
    assert sum(map(len, kept)) < 2**20 if size is None else len(kept) == 4
    endpoint.core.receive_eof(1.0)
    assert endpoint.sent() == ([] if end else [EOF])
    endpoint.read()
    assert isinstance(endpoint.end, ConnectionClosedOK)
    assert flow(endpoint) == ["pause", "resume"]


@roles
@pytest.mark.parametrize("cut", range(1, 20))
def test_closing_while_a_frame_comes(role: Role, cut: int) -> None:
    endpoint = Endpoint(role, max_queue=1)
    last = endpoint.frame(TEXT, b"0123456789")
    cut = min(cut, len(last) - 1)
    endpoint.receive(endpoint.frame(TEXT, b"a"), last[:cut])
    endpoint.core.close(now=0.0)
    endpoint.receive(last[cut:], endpoint.frame(TEXT, b"b"), last[:cut])  # above the mark
    endpoint.receive(last[cut:], endpoint.frame(TEXT, b"c"), endpoint.frame(CLOSE))
    assert endpoint.read() == ["a", "0123456789", "b"]
    assert endpoint.core.close_rcvd is not None


@roles
def test_closing_while_a_frame_was_read_half(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=1)
    data = endpoint.frame(TEXT, b"0123456789")
    endpoint.receive(data[:-3])
    assert endpoint.core.next_message() is NEED_MORE
    endpoint.core.close(now=0.0)
    endpoint.receive(data[-3:], endpoint.frame(TEXT, b"a") * 3)
    assert endpoint.read() == ["0123456789", "a", "a", "a"]
    endpoint.receive(endpoint.frame(TEXT, b"b"), endpoint.frame(CLOSE))
    assert endpoint.read() == []
    assert endpoint.core.close_rcvd is not None


@roles
def test_who_reads_while_closing_gets_everything(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=1)
    endpoint.read_always()
    endpoint.core.close(now=0.0)
    endpoint.receive(endpoint.frame(TEXT, b"a") * 1000)
    assert len(endpoint.messages) == 1000


@roles
def test_what_breaks_the_rules_while_closing(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=0)
    endpoint.core.close(now=0.0)
    endpoint.receive(endpoint.frame(TEXT, b"a"))
    endpoint.receive(endpoint.frame(TEXT, b"b"), b"\x83")
    assert len(endpoint.sent()) == 1
    assert endpoint.read() == ["a"]
    assert endpoint.sent() == [EOF]


@roles
def test_a_close_of_ours_within_the_peers_message(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=0)
    endpoint.receive(endpoint.frame(TEXT, b"a", fin=False))
    endpoint.core.close(now=0.0)
    endpoint.receive(endpoint.frame(CONT, b"b"), endpoint.frame(CLOSE))
    endpoint.sent()
    assert endpoint.read(by_frame=True)[:1] == [("a", False)]


@roles
def test_memory_is_bounded_while_nobody_reads(role: Role) -> None:
    endpoint = Endpoint(role)
    frame = endpoint.frame(BINARY, bytes(1000))
    received = 0
    while not endpoint.core.is_paused:
        endpoint.receive(frame * 10)
        received += 10 * len(frame)
    assert received <= MAX_UNREAD_BYTES + 10 * len(frame)


def test_a_message_that_is_taken_is_not_kept() -> None:
    endpoint = Endpoint(Role.CLIENT)
    endpoint.read_always()
    endpoint.receive(endpoint.frame(TEXT, b"a"))
    assert not endpoint.core.has_unread
    assert endpoint.sent() == []
    assert Sent(TEXT, b"a") == Sent(1, b"a", True, 0)


# Control frames that nobody reads past.


@roles
@pytest.mark.parametrize("unread", [0, 1, 3])
def test_control_frames_do_not_fill_the_room_of_messages(role: Role, unread: int) -> None:
    endpoint = Endpoint(role, max_queue=None)
    endpoint.receive(endpoint.frame(TEXT, b"message") * unread)
    ping = endpoint.frame(PING, b"p" * 125)
    for _ in range(10):
        for _ in range(2500):  # more than 256 KB in all, ten times
            endpoint.receive(ping)
        endpoint.core.data_to_send()
    assert flow(endpoint) == []
    assert not endpoint.core.is_paused
    endpoint.receive(endpoint.frame(TEXT, b"after"))
    assert endpoint.read() == ["message"] * unread + ["after"]
    assert len(endpoint.hooks.pings) == 25_000


@roles
def test_a_message_that_is_cut_stays_behind_control_frames(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=None)
    ping = endpoint.frame(PING, b"p" * 125)
    first, cut = endpoint.frame(TEXT, b"first"), endpoint.frame(TEXT, b"x" * 1000)
    endpoint.receive(first, ping * 2500, cut[:500])
    assert not endpoint.core.is_paused
    endpoint.receive(cut[500:], ping, endpoint.frame(TEXT, b"last"))
    assert endpoint.read() == ["first", "x" * 1000, "last"]


@roles
def test_fragments_stay_together_when_control_frames_go(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=None)
    ping = endpoint.frame(PING, b"p" * 125)
    endpoint.receive(endpoint.frame(TEXT, b"one ", fin=False))
    assert endpoint.read() == []
    endpoint.receive(ping * 2500)
    endpoint.receive(endpoint.frame(CONT, b"two ", fin=False), ping * 2500)
    endpoint.receive(endpoint.frame(CONT, b"three"))
    assert endpoint.read() == ["one two three"]
    assert flow(endpoint) == []


@roles
def test_messages_that_fill_the_room_pause_with_control_frames_between(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=None)
    for _ in range(200):
        endpoint.receive(endpoint.frame(TEXT, b"x" * 1000), endpoint.frame(PING, b"p" * 125))
    assert not endpoint.core.is_paused
    for _ in range(60):
        endpoint.receive(endpoint.frame(TEXT, b"x" * 1000))
    assert endpoint.core.is_paused
    assert endpoint.read() == ["x" * 1000] * 260
    assert flow(endpoint) == ["pause", "resume"]


def test_who_looks_at_frames_gets_control_frames_however_many() -> None:
    endpoint = Endpoint(Role.SERVER)
    endpoint.core.looks_at_frames = True
    endpoint.receive(endpoint.frame(PING, b"p" * 125) * 2500)
    count = 0
    while endpoint.core.next_frame() is not NEED_MORE:
        count += 1
    assert count == 2500
