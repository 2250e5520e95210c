"""Pings, pongs and silent peers. RFC 6455, 5.5.2 and 5.5.3."""

from __future__ import annotations

import pytest

from wirebird.core.keepalive import Keepalive
from wirebird.exceptions import ConcurrencyError


def make(interval_s: float | None = 20.0, timeout_s: float | None = 5.0) -> Keepalive:
    return Keepalive(interval_s, timeout_s, now=100.0)


# Pongs.


def test_a_pong_is_matched_with_its_ping() -> None:
    keepalive = make()
    assert keepalive.latency_s == 0.0
    keepalive.sent(b"a", 101.0)
    assert keepalive.is_pending(b"a")
    assert keepalive.answered(b"a", 101.5) == [(b"a", 0.5)]
    assert keepalive.latency_s == 0.5
    assert not keepalive.is_pending(b"a")


@pytest.mark.parametrize("payload", [b"", b"other"])
def test_a_pong_that_nobody_asked_for_is_passed_over(payload: bytes) -> None:
    keepalive = make()
    keepalive.sent(b"a", 101.0)
    assert keepalive.answered(payload, 102.0) == []
    assert keepalive.latency_s == 0.0
    assert keepalive.is_pending(b"a")


def test_a_pong_answers_the_pings_before_its_own_too() -> None:
    keepalive = make()
    for at, payload in enumerate([b"a", b"b", b"c", b"d"]):
        keepalive.sent(payload, 100.0 + at)
    assert keepalive.answered(b"c", 110.0) == [(b"a", 10.0), (b"b", 9.0), (b"c", 8.0)]
    assert keepalive.latency_s == 8.0
    assert [keepalive.is_pending(payload) for payload in (b"a", b"b", b"c", b"d")] == [
        *[False, False, False, True]
    ]
    assert keepalive.answered(b"b", 111.0) == []


def test_one_payload_is_under_way_once() -> None:
    keepalive = make()
    keepalive.sent(b"", 101.0)
    with pytest.raises(ConcurrencyError, match="already waiting for a pong with the same data"):
        keepalive.sent(b"", 102.0)
    assert keepalive.answered(b"", 103.0) == [(b"", 2.0)]
    keepalive.sent(b"", 104.0)


# Heartbeats.


def test_a_ping_is_due_each_interval() -> None:
    keepalive = make()
    assert keepalive.next_deadline(100.0, is_listening=True) == 120.0
    assert not keepalive.ping_is_due(119.9)
    assert keepalive.ping_is_due(120.0)
    keepalive.sent(b"1", 120.0)
    keepalive.heartbeat_sent(b"1")
    keepalive.answered(b"1", 120.1)
    assert keepalive.next_deadline(120.1, is_listening=True) == 140.0
    assert not keepalive.ping_is_due(139.9)
    assert keepalive.ping_is_due(143.0)  # called late: the next counts from then
    assert keepalive.next_deadline(143.0, is_listening=False) == 163.0


def test_without_an_interval_there_is_nothing_to_do() -> None:
    keepalive = make(interval_s=None)
    assert not keepalive.ping_is_due(1e9)
    assert keepalive.next_deadline(100.0, is_listening=True) is None
    assert not keepalive.is_given_up(100.0, 1e9)


def test_a_peer_that_is_silent_after_a_ping_is_given_up() -> None:
    keepalive = make()
    assert not keepalive.is_given_up(100.0, 119.0)
    assert keepalive.ping_is_due(120.0)
    assert keepalive.next_deadline(100.0, is_listening=True) == 125.0
    assert not keepalive.is_given_up(100.0, 124.9)
    assert keepalive.is_given_up(100.0, 125.0)


def test_any_byte_counts_as_life() -> None:
    keepalive = make()
    assert keepalive.ping_is_due(120.0)
    assert keepalive.next_deadline(124.0, is_listening=True) == 129.0
    assert not keepalive.is_given_up(124.0, 128.9)
    assert keepalive.is_given_up(124.0, 129.0)


def test_a_pong_ends_the_wait() -> None:
    keepalive = make()
    assert keepalive.ping_is_due(120.0)
    keepalive.sent(b"1", 120.0)
    keepalive.heartbeat_sent(b"1")
    keepalive.answered(b"1", 121.0)
    assert not keepalive.is_given_up(121.0, 1e9)


def test_no_second_ping_while_the_first_is_awaited() -> None:
    keepalive = make(timeout_s=50.0)
    assert keepalive.ping_is_due(120.0)
    assert not keepalive.ping_is_due(140.0)
    assert keepalive.next_deadline(100.0, is_listening=True) == 160.0
    assert not keepalive.ping_is_due(160.0)
    assert keepalive.next_deadline(100.0, is_listening=True) == 170.0  # given up then


def test_while_reading_is_paused_silence_means_nothing() -> None:
    keepalive = make()
    assert keepalive.ping_is_due(120.0)
    assert keepalive.next_deadline(100.0, is_listening=False) == 140.0


# Without a time-out the pings go on: they keep the ways between us open.


def test_without_a_timeout_a_ping_goes_out_each_interval() -> None:
    keepalive = make(timeout_s=None)
    for beat in range(1, 100):
        now = 100.0 + 20.0 * beat
        assert keepalive.ping_is_due(now)
        payload = b"%d" % beat
        keepalive.sent(payload, now)
        keepalive.heartbeat_sent(payload)
        assert not keepalive.is_given_up(100.0, now)
        assert keepalive.next_deadline(100.0, is_listening=True) == now + 20.0
    pending = [beat for beat in range(1, 100) if keepalive.is_pending(b"%d" % beat)]
    assert pending == [99]  # what was not answered does not pile up
    assert keepalive.answered(b"98", 1e4) == []
    assert [payload for payload, _ in keepalive.answered(b"99", 1e4)] == [b"99"]


def test_pings_of_the_application_are_not_forgotten() -> None:
    keepalive = make(timeout_s=None)
    keepalive.sent(b"ours", 101.0)
    for payload in (b"1", b"2"):
        keepalive.sent(payload, 120.0)
        keepalive.heartbeat_sent(payload)
    assert keepalive.answered(b"2", 121.0) == [(b"ours", 20.0), (b"2", 1.0)]
    keepalive.sent(b"2", 122.0)  # the same payload again, of the application
    keepalive.sent(b"3", 140.0)
    keepalive.heartbeat_sent(b"3")
    assert keepalive.is_pending(b"2")
