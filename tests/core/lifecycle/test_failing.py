"""Failing a connection, and when. RFC 6455, 7.1.7."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.endpoint import (
    CLOSE,
    CONT,
    EOF,
    PING,
    PONG,
    ROLES,
    TEXT,
    Endpoint,
    Sent,
    close_payload,
)
from tests.core.third_party import Failing

from wirebird.core.connection import NEED_MORE
from wirebird.core.rules import Opcode, Role, State
from wirebird.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    ProtocolError,
)

roles = pytest.mark.parametrize("role", ROLES)
WRONG = b"\x83"  # a reserved opcode
REASON = "invalid opcode: 0x3, expected 0-2 or 8-10"


def failure_sent(endpoint: Endpoint) -> bool:
    """Whether the connection was failed for WRONG now."""
    sent = endpoint.sent()
    if not sent:
        return False
    assert sent == [Sent(CLOSE, close_payload(1002, REASON)), EOF]
    return True


# By the application.


@roles
def test_failing(role: Role) -> None:
    endpoint = Endpoint(role)
    cause = ValueError("no")
    endpoint.receive(endpoint.frame(TEXT, b"a"), endpoint.frame(TEXT, b"b")[:-1], now=1.0)
    endpoint.core.fail(1008, "not here", now=2.0, cause=cause)
    assert endpoint.core.state is State.CLOSING
    assert endpoint.core.failure is cause
    assert endpoint.sent() == [Sent(CLOSE, close_payload(1008, "not here")), EOF]
    assert endpoint.hooks.told == [("deadline",), ("failed", ValueError)]
    assert endpoint.core.next_deadline() == 12.0
    endpoint.receive(endpoint.frame(TEXT, b"b")[-1:], endpoint.frame(PING))  # and no more input
    assert endpoint.sent() == []
    assert endpoint.read() == ["a"]  # it had come before
    endpoint.core.receive_eof(3.0)
    endpoint.read()
    assert type(endpoint.end) is ConnectionClosedError
    assert endpoint.end.__cause__ is cause


@roles
def test_failing_without_a_cause_has_none_later(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.fail(1011, now=0.0)
    endpoint.core.receive_eof(1.0)
    assert endpoint.core.failure is None
    assert endpoint.hooks.names("failed") == []


@roles
def test_failing_is_done_once(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"\xff"))
    endpoint.core.fail(1011, now=0.0, cause=ValueError())
    endpoint.core.fail(1008, now=1.0, cause=TypeError())
    assert endpoint.core.next_message() is NEED_MORE  # that would be a failure, too
    assert endpoint.sent() == [Sent(CLOSE, close_payload(1011)), EOF]
    assert endpoint.hooks.names("failed") == ["failed"]
    assert isinstance(endpoint.core.failure, ValueError)
    assert endpoint.core.next_deadline() == 10.0


@roles
def test_failing_without_a_close(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.fail(1006, now=0.0)
    assert endpoint.sent() == [EOF]
    assert endpoint.core.close_sent is None
    for call in endpoint.core.pong, lambda: endpoint.core.ping(None, 0.0):
        with pytest.raises(InvalidState, match="connection is closing"):
            call()


@roles
@pytest.mark.parametrize("code", [999, 1005, 1015])
def test_a_code_that_cannot_be_sent_changes_nothing(role: Role, code: int) -> None:
    endpoint = Endpoint(role)
    with pytest.raises(ProtocolError):
        endpoint.core.fail(code, now=0.0)
    assert (endpoint.core.state, endpoint.sent()) == (State.OPEN, [])
    endpoint.receive(WRONG)
    assert failure_sent(endpoint)


@roles
@pytest.mark.parametrize(
    ("reason", "sent"), [("x" * 200, "x" * 123), ("x" + "ž" * 62, "x" + "ž" * 61), ("\ud800", "?")]
)
def test_reasons_are_cut_between_characters(role: Role, reason: str, sent: str) -> None:
    endpoint = Endpoint(role)
    endpoint.core.fail(1011, reason, now=0.0)
    assert endpoint.sent()[0].payload == close_payload(1011, sent)


@roles
def test_failing_while_closing_sends_no_second_close(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.close(now=0.0)
    endpoint.receive(WRONG)
    assert endpoint.sent() == [Sent(CLOSE, close_payload(1000)), EOF]
    assert isinstance(endpoint.core.failure, ProtocolError)
    endpoint.core.receive_eof(0.0)
    endpoint.read()
    assert str(endpoint.end) == "sent 1000 (OK); no close frame received"


# A violation behind unread messages.


@roles
@pytest.mark.parametrize("size", [None, 1])
def test_it_fails_when_the_reader_gets_there(role: Role, size: int | None) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(
        endpoint.frame(TEXT, b"a"),
        endpoint.frame(TEXT, b"b"),
        endpoint.frame(PING, b"p"),
        WRONG,
        endpoint.frame(PING, b"lost"),
        size=size,
    )
    assert endpoint.sent() == [Sent(PONG, b"p")]
    assert endpoint.core.state is State.OPEN
    endpoint.core.send_text("it is open")
    assert len(endpoint.sent()) == 1
    assert [endpoint.core.next_message() for _ in range(2)] == ["a", "b"]
    assert not failure_sent(endpoint)
    assert endpoint.core.next_message() is NEED_MORE
    assert failure_sent(endpoint)
    assert endpoint.hooks.told == [("deadline",), ("deadline",), ("failed", ProtocolError)]


@roles
def test_it_fails_after_ten_seconds(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"a"), WRONG, now=5.0)
    endpoint.receive(b"more of it", now=6.0)
    endpoint.core.settle(7.0)
    assert endpoint.core.next_deadline() == 15.0
    endpoint.core.handle_deadline(14.9)
    assert not failure_sent(endpoint)
    endpoint.core.handle_deadline(15.0)
    assert failure_sent(endpoint)
    assert endpoint.core.next_deadline() == 25.0  # of the closing handshake
    assert endpoint.read() == ["a"]  # still
    endpoint.core.connection_lost(None, 16.0)
    endpoint.read()
    assert isinstance(endpoint.end, ConnectionClosedError)
    assert isinstance(endpoint.end.__cause__, ProtocolError)


@roles
def test_it_fails_when_the_stream_ends(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"a"), WRONG)
    endpoint.core.receive_eof(1.0)
    assert failure_sent(endpoint)
    assert isinstance(endpoint.core.failure, ProtocolError)
    assert endpoint.hooks.names("failed") == ["failed"]
    assert endpoint.read() == ["a"]
    assert endpoint.core.next_deadline() == 11.0


@roles
def test_it_fails_at_once_where_no_message_can_be_read_before_it(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"a", fin=False))
    assert endpoint.core.next_message() is NEED_MORE
    endpoint.receive(WRONG)
    assert failure_sent(endpoint)
    assert endpoint.core.next_fragment() == ("a", False)
    assert endpoint.core.next_fragment() is NEED_MORE


@roles
def test_an_unread_fragment_counts_as_a_message(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"a", fin=False), endpoint.frame(CONT)[:1], WRONG)
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"a", fin=False), WRONG)
    assert not failure_sent(endpoint)
    assert endpoint.core.next_fragment() == ("a", False)
    assert endpoint.core.next_fragment() is NEED_MORE
    assert failure_sent(endpoint)


@roles
def test_a_wrong_text_goes_before_what_is_behind_it(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"\xff"), endpoint.frame(TEXT, b"a"), WRONG)
    assert endpoint.core.next_message() is NEED_MORE
    assert endpoint.sent()[0].payload[:2] == close_payload(1007)
    assert endpoint.read() == []
    assert endpoint.hooks.names("failed") == ["failed"]


# What fails after the end.


@roles
@pytest.mark.parametrize("by_frame", [False, True])
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_wrong_text_that_is_read_after_the_end(role: Role, is_lost: bool, by_frame: bool) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"a"), endpoint.frame(TEXT, b"\xff"))
    endpoint.receive(endpoint.frame(CLOSE, close_payload(1000)))
    if is_lost:
        endpoint.core.connection_lost(None, 1.0)
    else:
        endpoint.core.receive_eof(1.0)
    endpoint.sent()
    assert len(endpoint.read(by_frame=by_frame)) == 1
    assert isinstance(endpoint.end, ConnectionClosedOK)  # it does not wait for what cannot come
    assert isinstance(endpoint.end.__cause__, UnicodeDecodeError)
    assert endpoint.hooks.names("failed", "abort") == ["failed"]
    assert endpoint.sent() == []
    assert endpoint.core.next_deadline() == (None if is_lost else 10.0)


@roles
def test_a_wrong_frame_that_is_read_after_the_end(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"\xff"))
    endpoint.core.connection_lost(None, 1.0)
    with pytest.raises(ConnectionClosedError):
        endpoint.core.next_frame()


@roles
def test_half_a_text_that_is_wrong_after_the_end(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"\xff" * 10)[:-1])
    endpoint.core.connection_lost(None, 1.0)
    assert endpoint.read() == []
    assert isinstance(endpoint.end, ConnectionClosedError)
    assert endpoint.core.next_deadline() is None


# When a pull fails the connection, time is told with it.


@roles
@pytest.mark.parametrize("pull", ["next_message", "next_fragment", "next_frame"])
def test_the_deadline_counts_from_the_pull(role: Role, pull: str) -> None:
    for payload, wrong in (b"\xff", b""), (b"a", WRONG):
        endpoint = Endpoint(role)
        endpoint.receive(endpoint.frame(TEXT, payload), wrong, now=1.0)
        core: Any = endpoint.core
        got = [getattr(core, pull)(now=8.0) for _ in range(2)]
        assert got[-1] is NEED_MORE
        assert core.next_deadline() == 18.0


# Extensions that fail.


@roles
def test_an_extension_that_fails_while_sending_fails_the_connection(role: Role) -> None:
    endpoint = Endpoint(role, extensions=[Failing(Opcode.TEXT, Opcode.CONT)])
    connection = endpoint.core
    connection.send_binary(b"tea", fin=False)
    with pytest.raises(LookupError, match="no word for CONT"):
        connection.send_fragment(b"milk", fin=True)
    assert connection.state is State.CLOSING
    assert isinstance(connection.failure, LookupError)
    assert endpoint.sent()[1:] == [Sent(CLOSE, close_payload(1011, "")), EOF]
    with pytest.raises(InvalidState):
        connection.send_text("tea")


@roles
def test_an_extension_that_fails_for_the_close_too_leaves_only_the_end(role: Role) -> None:
    endpoint = Endpoint(role, extensions=[Failing(Opcode.TEXT, Opcode.CLOSE)])
    with pytest.raises(LookupError, match="no word for TEXT"):
        endpoint.core.send_text("tea")
    assert endpoint.sent() == [EOF]
    assert endpoint.core.close_sent is None
    endpoint.core.connection_lost(None, 1.0)
    with pytest.raises(ConnectionClosedError):
        endpoint.core.next_message()


@roles
def test_the_wrong_order_of_fragments_fails_nothing(role: Role) -> None:
    connection = Endpoint(role).core
    with pytest.raises(ProtocolError, match="unexpected continuation frame"):
        connection.send_fragment(b"tea", fin=True)
    assert connection.state is State.OPEN
