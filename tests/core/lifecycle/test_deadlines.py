"""Time is told: heartbeats, silent peers, closing handshakes, peers that take nothing."""

from __future__ import annotations

import pytest
from tests.core.endpoint import CLOSE, EOF, PING, PONG, ROLES, TEXT, Endpoint, Sent, close_payload

from wirebird.core.rules import Role, State
from wirebird.exceptions import ConnectionClosedError, ConnectionClosedOK

roles = pytest.mark.parametrize("role", ROLES)


def make(role: Role, *, interval: float | None = 20.0, timeout: float | None = 5.0) -> Endpoint:
    return Endpoint(role, ping_interval_s=interval, ping_timeout_s=timeout, now=100.0, max_queue=1)


def ping_of(endpoint: Endpoint) -> bytes:
    """The payload of the one ping that goes out."""
    (ping,) = endpoint.sent()
    assert ping.opcode == PING
    return ping.payload


# Heartbeats.


@roles
def test_a_ping_goes_out_each_interval(role: Role) -> None:
    endpoint = make(role)
    for now in 120.0, 140.0, 160.0:
        assert endpoint.core.next_deadline() == now
        endpoint.core.handle_deadline(now - 0.1)
        assert endpoint.sent() == []
        endpoint.core.handle_deadline(now)
        assert endpoint.core.next_deadline() == now + 5.0
        endpoint.receive(endpoint.frame(PONG, ping_of(endpoint)), now=now + 1.0)
        assert endpoint.core.latency == 1.0


@roles
def test_a_silent_peer_is_given_up(role: Role) -> None:
    endpoint = make(role)
    endpoint.core.handle_deadline(120.0)
    ping_of(endpoint)
    endpoint.core.handle_deadline(124.9)
    assert endpoint.core.state is State.OPEN
    endpoint.core.handle_deadline(125.0)
    assert endpoint.sent() == [Sent(CLOSE, close_payload(1011, "keepalive ping timeout")), EOF]
    assert endpoint.hooks.told == [("deadline",), ("failed", TimeoutError)]
    assert endpoint.core.next_deadline() == 135.0
    endpoint.core.connection_lost(None, 126.0)
    endpoint.read()
    assert isinstance(endpoint.end, ConnectionClosedError)
    assert str(endpoint.end.__cause__) == "keepalive ping timeout"


@roles
def test_any_byte_is_life(role: Role) -> None:
    endpoint = make(role)
    endpoint.core.handle_deadline(120.0)
    data = endpoint.frame(TEXT, bytes(100))
    for at, octet in enumerate(data):
        now = 124.0 + 4.0 * at
        endpoint.receive(bytes([octet]), now=now)
        endpoint.core.handle_deadline(now)
        next_ping = 120.0 + 20 * ((now - 120) // 20 + 1)
        assert endpoint.core.next_deadline() == min(now + 5.0, next_ping)
    assert endpoint.core.state is State.OPEN
    endpoint.core.handle_deadline(now + 5.0)
    assert endpoint.core.state.name == "CLOSING"


@roles
def test_nothing_is_due_when_nothing_was_asked_for(role: Role) -> None:
    endpoint = Endpoint(role, now=100.0)
    assert endpoint.core.next_deadline() is None
    endpoint.core.handle_deadline(1e9)
    assert endpoint.sent() == []
    assert endpoint.hooks.told == []


@roles
def test_without_a_timeout_pings_go_on(role: Role) -> None:
    endpoint = make(role, timeout=None)
    for now in 120.0, 140.0, 160.0:
        assert endpoint.core.next_deadline() == now
        endpoint.core.handle_deadline(now)
        assert len(endpoint.sent()) == 1


@roles
def test_while_reading_is_paused_silence_is_our_own(role: Role) -> None:
    endpoint = make(role)
    endpoint.core.handle_deadline(120.0)
    endpoint.receive(endpoint.frame(TEXT) * 2, now=121.0)
    assert endpoint.core.is_paused
    assert endpoint.core.next_deadline() == 140.0
    endpoint.core.handle_deadline(1000.0)
    assert endpoint.core.state is State.OPEN
    endpoint.core.next_message(now=1010.0)
    endpoint.core.next_message()
    assert not endpoint.core.is_paused
    assert endpoint.core.next_deadline() == 1015.0  # silence counts from here
    endpoint.core.handle_deadline(1014.0)
    assert endpoint.core.state is State.OPEN
    endpoint.core.handle_deadline(1015.0)
    assert endpoint.core.state.name == "CLOSING"


@roles
def test_no_heartbeats_while_closing(role: Role) -> None:
    endpoint = make(role)
    endpoint.core.close(now=110.0)
    endpoint.sent()
    assert endpoint.core.next_deadline() == 120.0  # of the closing handshake
    endpoint.core.handle_deadline(119.0)
    assert endpoint.sent() == []


# The closing handshake.


@roles
@pytest.mark.parametrize("who", ["we", "they", "failed", "ended"])
def test_a_closing_handshake_that_does_not_end_is_cut(role: Role, who: str) -> None:
    endpoint = Endpoint(role, close_timeout_s=3.0)
    core = endpoint.core
    if who == "we":
        core.close(now=1.0)
    elif who == "they":
        endpoint.receive(endpoint.frame(CLOSE), now=1.0)
    elif who == "failed":
        core.fail(1011, now=1.0)
    else:
        core.receive_eof(1.0)
    assert endpoint.hooks.told[:1] == [("deadline",)]
    assert core.next_deadline() == 4.0
    core.handle_deadline(3.9)
    assert endpoint.hooks.names("abort") == []
    core.handle_deadline(4.0)
    core.handle_deadline(5.0)
    assert endpoint.hooks.names("abort") == ["abort"]
    assert core.next_deadline() is None
    core.connection_lost(None, 4.0)
    endpoint.read()
    kind = ConnectionClosedOK if who == "they" else ConnectionClosedError
    assert type(endpoint.end) is kind
    assert str(core.failure) == (
        "unexpected end of stream: no close frame received"
        if who == "ended"
        else "timed out while closing connection"
    )


@roles
def test_the_deadline_does_not_move_as_the_handshake_goes_on(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.close(now=1.0)
    endpoint.receive(endpoint.frame(TEXT), now=5.0)
    endpoint.receive(endpoint.frame(CLOSE), now=8.0)
    endpoint.core.receive_eof(9.0)
    assert endpoint.core.next_deadline() == 11.0
    assert endpoint.hooks.names("deadline") == ["deadline"]
    endpoint.core.connection_lost(None, 10.0)
    assert endpoint.core.next_deadline() is None


@roles
def test_no_limit_for_the_closing_handshake(role: Role) -> None:
    endpoint = Endpoint(role, close_timeout_s=None)
    endpoint.core.close(now=1.0)
    assert endpoint.core.next_deadline() is None
    assert endpoint.hooks.told == []


# A peer that takes nothing.


@roles
def test_a_peer_that_takes_nothing_is_cut(role: Role) -> None:
    endpoint = Endpoint(role, write_timeout_s=40.0)
    core = endpoint.core
    core.send_binary(bytes(1000))
    endpoint.sent()
    assert core.next_deadline() is None
    core.network_holds(1000, 2.0)
    assert endpoint.hooks.told == [("deadline",)]
    assert core.next_deadline() == 42.0
    core.network_holds(999, 30.0)
    assert core.next_deadline() == 70.0
    endpoint.receive(endpoint.frame(TEXT), now=69.0)  # it talks
    core.handle_deadline(69.9)
    assert endpoint.hooks.names("abort") == []
    core.handle_deadline(70.0)
    assert endpoint.hooks.names("abort") == ["abort"]
    assert core.next_deadline() is None
    core.connection_lost(None, 70.0)
    assert str(core.failure) == "the peer took nothing for 40 seconds"
    endpoint.read()
    assert isinstance(endpoint.end, ConnectionClosedError)


@roles
def test_a_peer_may_take_nothing_for_ever(role: Role) -> None:
    endpoint = Endpoint(role, write_timeout_s=None)
    endpoint.core.network_holds(1000, 1.0)
    assert endpoint.core.next_deadline() is None


@roles
def test_the_earliest_deadline_is_the_next(role: Role) -> None:
    endpoint = make(role)
    assert endpoint.core.next_deadline() == 120.0
    endpoint.core.network_holds(10, 70.0)
    assert endpoint.core.next_deadline() == 110.0
    endpoint.receive(endpoint.frame(TEXT), b"\x83", now=95.0)
    assert endpoint.core.next_deadline() == 105.0  # a violation behind an unread message
    endpoint.core.close(now=90.0)
    assert endpoint.core.next_deadline() == 100.0


@roles
def test_no_deadline_is_left_behind(role: Role) -> None:
    """Handled at each deadline, every connection comes to rest: no timer would spin."""
    for begin in range(6):
        endpoint = make(role)
        core = endpoint.core
        core.network_holds(10, 100.0)
        if begin == 1:
            endpoint.receive(endpoint.frame(TEXT), b"\x83", now=100.0)
        elif begin == 2:
            endpoint.receive(endpoint.frame(TEXT) * 2, now=100.0)
        elif begin == 3:
            core.close(now=100.0)
        elif begin == 4:
            core.fail(1011, now=100.0)
        elif begin == 5:
            core.receive_eof(100.0)
        now, rounds = 100.0, 0
        while (deadline := core.next_deadline()) is not None:
            assert deadline > now or rounds == 0
            now, rounds = deadline, rounds + 1
            core.handle_deadline(now)
            assert rounds < 10
        assert endpoint.hooks.names("abort") == ["abort"]
