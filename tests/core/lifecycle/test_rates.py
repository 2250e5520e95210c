"""What comes is held against rates: closed for it, or throttled; and what is shed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.endpoint import BINARY, CLOSE, CONT, EOF, PING, TEXT, Endpoint

from wirebird.core.limits import Limits
from wirebird.core.rules import State
from wirebird.exceptions import LimitExceeded


def limited(limits: Limits, **arguments: Any) -> Endpoint:
    endpoint = Endpoint(**arguments)
    meter = limits.meter()
    assert meter is not None
    endpoint.core.limit_rates(meter)
    return endpoint


def paused(endpoint: Endpoint) -> list[str]:
    return endpoint.hooks.names("pause", "resume")


@pytest.mark.parametrize("is_read", [False, True])
def test_too_many_messages_fail_the_connection_and_those_that_came_are_read(is_read: bool) -> None:
    endpoint = limited(Limits(messages=(1, 2)))
    if is_read:
        endpoint.read_always()
    endpoint.receive(endpoint.frame(TEXT, b"a") * 2)
    assert endpoint.core.state is State.OPEN
    endpoint.receive(endpoint.frame(TEXT, b"a") * 2)
    sent = endpoint.sent()
    assert [frame.opcode for frame in sent] == [CLOSE, EOF.opcode]
    assert sent[0].payload == b"\x03\xf0too many messages a second"
    assert isinstance(endpoint.core.failure, LimitExceeded)
    assert ("limit", "messages") in endpoint.hooks.told
    if not is_read:
        assert endpoint.read() == ["a"] * 4
    endpoint.receive(endpoint.frame(TEXT, b"a") * 20)
    assert endpoint.hooks.told.count(("limit", "messages")) == 1


def test_tokens_come_back_with_time() -> None:
    endpoint = limited(Limits(frames=(2, 2)))
    for now in range(1, 100):
        endpoint.receive(endpoint.frame(PING) * 2, now=float(now))
    assert endpoint.core.state is State.OPEN
    endpoint.receive(endpoint.frame(PING), now=99.0)
    assert endpoint.core.failure is not None


def test_fragments_are_frames_and_no_messages() -> None:
    endpoint = limited(Limits(messages=(1, 1), frames=(1, 5)))
    endpoint.receive(endpoint.frame(TEXT, b"a", fin=False), endpoint.frame(CONT, fin=False) * 4)
    assert endpoint.core.state is State.OPEN
    endpoint.receive(endpoint.frame(CONT))
    assert endpoint.hooks.told[0] == ("limit", "frames")


def test_bytes_count_before_their_frame_is_whole() -> None:
    endpoint = limited(Limits(received_bytes=(1, 1000)))
    endpoint.receive(endpoint.frame(BINARY, bytes(5000))[:900])
    assert endpoint.core.state is State.OPEN
    endpoint.receive(bytes(101))
    assert endpoint.core.failure is not None


@pytest.mark.parametrize("is_read", [False, True])
def test_a_throttled_peer_waits_until_its_debt_is_over(is_read: bool) -> None:
    endpoint = limited(Limits(messages=(10, 10), over_rate="throttle"))
    if is_read:
        endpoint.read_always()
    endpoint.receive(endpoint.frame(TEXT, b"a") * 40, now=1.0)
    assert paused(endpoint) == ["pause"]
    assert endpoint.core.next_deadline() == 4.0
    if not is_read:
        assert len(endpoint.read()) == 40
    assert endpoint.core.is_paused
    endpoint.core.handle_deadline(3.9)
    assert endpoint.core.is_paused
    endpoint.core.handle_deadline(4.0)
    assert paused(endpoint) == ["pause", "resume"]
    endpoint.receive(endpoint.frame(TEXT, b"a"), now=4.1)
    assert paused(endpoint) == ["pause", "resume"]
    endpoint.receive(endpoint.frame(TEXT, b"a"), now=4.1)
    assert paused(endpoint) == ["pause", "resume", "pause"]
    assert endpoint.sent() == []


def test_a_throttled_peer_with_much_unread_waits_for_the_reader_too() -> None:
    endpoint = limited(Limits(messages=(10, 1), over_rate="throttle"), max_queue=4)
    endpoint.receive(endpoint.frame(TEXT, b"a") * 6)
    endpoint.core.handle_deadline(10.0)
    assert endpoint.core.is_paused
    endpoint.read()
    assert paused(endpoint) == ["pause", "resume"]


def test_silence_of_a_throttled_peer_means_nothing() -> None:
    limits = Limits(messages=(0.01, 1), over_rate="throttle")
    endpoint = limited(limits, ping_interval_s=1.0, ping_timeout_s=1.0)
    endpoint.receive(endpoint.frame(TEXT, b"a") * 2)
    for now in range(1, 20):
        endpoint.core.handle_deadline(float(now))
    assert endpoint.core.state is State.OPEN
    assert endpoint.core.is_paused


def test_closing_reads_on() -> None:
    endpoint = limited(Limits(messages=(0.01, 1), over_rate="throttle"))
    endpoint.receive(endpoint.frame(TEXT, b"a") * 2)
    endpoint.core.close(now=1.0)
    assert paused(endpoint) == ["pause", "resume"]
    endpoint.receive(endpoint.frame(CLOSE, b"\x03\xe8"), now=2.0)
    assert endpoint.core.close_rcvd is not None


def test_what_is_shed_is_not_held() -> None:
    endpoint = Endpoint()
    endpoint.receive(endpoint.frame(BINARY, bytes(1000)), endpoint.frame(BINARY, bytes(9000))[:-9])
    assert endpoint.core.held_bytes >= 9000
    endpoint.core.shed("memory", "short of memory", now=1.0)
    assert endpoint.sent()[0].payload == b"\x03\xf5short of memory"
    assert endpoint.core.held_bytes == 0
    assert endpoint.read() == []
    assert ("limit", "memory") in endpoint.hooks.told
    assert isinstance(endpoint.core.failure, LimitExceeded)


@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("payload", [b"a" * 100, b"a" * 10_000])
def test_what_is_held_is_known(payload: bytes, is_read: bool) -> None:
    endpoint = Endpoint()
    if is_read:
        endpoint.read_always()
    endpoint.receive(endpoint.frame(TEXT, payload)[:-1])
    assert len(payload) <= endpoint.core.held_bytes + 1 <= 2 * len(payload) + 100
    endpoint.core.send_binary(bytes(500))
    before = endpoint.core.held_bytes
    endpoint.sent()
    assert before - endpoint.core.held_bytes == 504
