"""Who may connect, told of time and addresses; no socket."""

from __future__ import annotations

import http
import sys

import pytest

from wirebird.core.admission import Admission, address_key
from wirebird.core.limits import Limits


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        (("192.0.2.1", 1), ("192.0.2.1", 2), True),
        ("192.0.2.1", ("192.0.2.1", 2), True),
        (("192.0.2.1", 1), ("192.0.2.2", 1), False),
        (("2001:db8::1", 1, 0, 0), ("2001:db8::ffff:ffff:ffff:ffff", 9, 0, 0), True),
        (("2001:db8::1", 1, 0, 0), ("2001:db8:0:1::1", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), ("fe80::2%eth1", 1, 0, 3), True),
        (("::ffff:192.0.2.1", 1, 0, 0), ("192.0.2.1", 1), True),
        ("not:an:address", "not:an:address", True),
    ],
)
def test_whose_an_address_is(one: object, other: object, are_same: bool) -> None:
    assert address_key(one) is not None
    assert (address_key(one) == address_key(other)) is are_same


@pytest.mark.parametrize("address", [None, "", b"", (), "@", 5, ("", 0)])
def test_what_is_nobodys_address_is_not_counted(address: object) -> None:
    admission = Admission(Limits(connections_per_address=1))
    assert admission.enter(1, address, 0.0) is None
    assert admission.enter(2, None if address == "@" else address, 0.0) is None


def test_the_prefix_of_ipv6_can_be_chosen() -> None:
    assert address_key("2001:db8::1", 128) != address_key("2001:db8::2", 128)
    assert address_key("2001:db8::1", 32) == address_key("2001:db8:9::2", 32)


def test_a_server_that_is_full_says_503() -> None:
    admission = Admission(Limits(connections=2))
    assert admission.enter("a", None, 0.0) is None
    assert admission.enter("b", None, 0.0) is None
    refusal = admission.enter("c", None, 0.0)
    assert refusal is not None
    assert (refusal.limit, refusal.status) == ("connections", http.HTTPStatus.SERVICE_UNAVAILABLE)
    admission.leave("a", 0.0)
    admission.leave("a", 0.0)  # it makes room once
    assert admission.enter("c", None, 0.0) is None
    assert admission.enter("d", None, 0.0) is not None


def test_who_was_refused_does_not_count() -> None:
    admission = Admission(Limits(connections_per_address=1))
    assert admission.enter("a", "192.0.2.1", 0.0) is None
    for guest in range(10):
        refusal = admission.enter(guest, "192.0.2.1", 0.0)
        assert refusal is not None
        assert refusal.status == http.HTTPStatus.TOO_MANY_REQUESTS
        admission.leave(guest, 0.0)
    assert len(admission) == 1
    assert admission.enter("b", "192.0.2.2", 0.0) is None
    admission.leave("a", 0.0)
    assert admission.enter("c", "192.0.2.1", 0.0) is None


def test_the_rate_of_an_address() -> None:
    admission = Admission(Limits(connection_rate_per_address=(0.5, 3)))

    def comes(now: float, address: str = "192.0.2.1") -> int | None:
        guest = object()
        refusal = admission.enter(guest, address, now)
        admission.leave(guest, now)
        return None if refusal is None else refusal.retry_after_s

    assert [comes(100.0) for _ in range(5)] == [None, None, None, 2, 2]
    assert comes(100.0, "192.0.2.2") is None
    assert comes(101.5) == 1
    assert comes(102.0) is None
    assert comes(102.0) == 2
    assert [comes(1000.0) for _ in range(4)] == [None, None, None, 2]


def test_the_oldest_handshake_makes_room() -> None:
    admission = Admission(Limits(handshakes=2))
    for guest in "abc":
        assert admission.enter(guest, None, 0.0) is None
        assert admission.overdue() == ("a" if guest == "c" else None)
    assert admission.overdue() is None
    admission.came_in("b")
    assert admission.enter("d", None, 0.0) is None
    assert admission.overdue() is None
    admission.leave("c", 0.0)
    assert admission.enter("e", None, 0.0) is None
    assert admission.overdue() is None
    assert admission.enter("f", None, 0.0) is None
    assert admission.overdue() == "d"


def test_a_client_behind_a_proxy_is_counted_when_it_is_known() -> None:
    admission = Admission(Limits(connections_per_address=1))
    assert admission.enter("a", None, 0.0) is None
    assert admission.enter("b", None, 0.0) is None
    assert admission.identify("a", "192.0.2.1", 0.0) is None
    assert admission.identify("a", "192.0.2.1", 0.0) is None  # once
    refusal = admission.identify("b", "192.0.2.1", 0.0)
    assert refusal is not None
    admission.leave("b", 0.0)
    admission.leave("a", 0.0)
    assert admission.enter("c", "192.0.2.1", 0.0) is None
    assert admission.identify("unknown", "192.0.2.1", 0.0) is None


def test_without_memory_nobody_comes_in() -> None:
    admission = Admission(Limits())
    admission.is_out_of_memory = True
    refusal = admission.enter("a", None, 0.0)
    assert refusal is not None
    assert (refusal.limit, refusal.status) == ("memory", 503)


def test_a_million_addresses_are_not_remembered() -> None:
    limits = Limits(
        connection_rate_per_address=(0.01, 2), connections_per_address=5, max_addresses=1000
    )
    admission = Admission(limits)
    for number in range(1_000_000):
        assert admission.enter(number, f"{number:x}", 0.0) is None
        admission.leave(number, 0.0)
    assert admission.remembered == 1000
    assert len(admission) == 0
    # The latest are those that are known.
    assert admission.enter("a", f"{999_999:x}", 0.0) is None
    assert admission.enter("b", f"{999_999:x}", 0.0) is not None


def test_addresses_are_forgotten_once_it_does_not_matter() -> None:
    admission = Admission(Limits(connection_rate_per_address=(1, 2)))
    for number in range(100):
        assert admission.enter(number, f"192.0.2.{number}", number / 1000) is None
        admission.leave(number, number / 1000)
    assert admission.remembered == 100
    assert admission.enter("late", "198.51.100.1", 10.0) is None
    admission.leave("late", 10.0)
    assert admission.remembered == 1


def test_nothing_is_kept_of_those_who_are_gone() -> None:
    admission = Admission(Limits(connections=5, connections_per_address=5, handshakes=5))
    empty = admission_size(admission)
    for number in range(1000):
        admission.enter(number, f"192.0.2.{number % 7}", 0.0)
        admission.leave(number, 0.0)
    assert admission.remembered == 0
    assert admission_size(admission) <= empty + 1000


def admission_size(admission: Admission) -> int:
    return sum(map(sys.getsizeof, vars(admission).values()))
