"""The closing handshake, and how connections end. RFC 6455, 5.5.1 and 7."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.endpoint import (
    BINARY,
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
    outcome_each_way,
)

from wirebird.core.close import Close
from wirebird.core.connection import NEED_MORE
from wirebird.core.rules import MAX_DISCARDED_BYTES, Role, State
from wirebird.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    ProtocolError,
)

roles = pytest.mark.parametrize("role", ROLES)
SIZES = pytest.mark.parametrize("size", [None, 1])


def ended(endpoint: Endpoint) -> ConnectionClosed:
    """Read to the end, and return what is raised there."""
    with pytest.raises(ConnectionClosed) as raised:
        endpoint.core.next_message()
    with pytest.raises(ConnectionClosed) as again:
        endpoint.core.next_fragment()
    assert str(again.value) == str(raised.value)
    assert endpoint.core.state is State.CLOSED
    return raised.value


# The order of Close and the end of the stream.


@SIZES
@roles
def test_the_peer_closes(role: Role, size: int | None) -> None:
    """5.5.1: the Close is answered with its own code; 7.1.1: the server ends TCP first."""
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(CLOSE, close_payload(1001, "bye")), now=1.0, size=size)
    core = endpoint.core
    assert core.state is State.CLOSING
    assert core.is_input_ended_by_peer
    answer = Sent(CLOSE, close_payload(1001, "bye"))
    assert endpoint.sent() == ([answer, EOF] if role is Role.SERVER else [answer])
    assert core.next_message() is NEED_MORE
    core.receive_eof(2.0)
    assert endpoint.sent() == ([] if role is Role.SERVER else [EOF])
    exc = ended(endpoint)
    assert type(exc) is ConnectionClosedOK
    assert str(exc) == "received 1001 (going away) bye; then sent 1001 (going away) bye"
    assert (exc.rcvd_then_sent, exc.__cause__) == (True, None)
    assert endpoint.hooks.told == [("deadline",), ("close", 1001, "bye")]


@SIZES
@roles
def test_we_close(role: Role, size: int | None) -> None:
    endpoint = Endpoint(role)
    core = endpoint.core
    core.close(1000, "done", now=1.0)
    assert core.state is State.CLOSING
    assert not core.is_input_ended_by_peer
    assert endpoint.sent() == [Sent(CLOSE, close_payload(1000, "done"))]
    endpoint.receive(endpoint.frame(TEXT, b"late"), endpoint.frame(CLOSE), size=size)
    assert endpoint.sent() == ([EOF] if role is Role.SERVER else [])
    core.receive_eof(3.0)
    assert endpoint.read() == ["late"]
    exc = ended(endpoint)
    assert type(exc) is ConnectionClosedOK
    assert str(exc) == ("sent 1000 (OK) done; then received 1005 (no status received [internal])")
    assert exc.rcvd_then_sent is False


@roles
def test_both_close_at_the_same_time(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.close(3000, now=0.0)
    endpoint.receive(endpoint.frame(CLOSE, close_payload(4000)))
    end = [EOF] if role is Role.SERVER else []
    assert endpoint.sent() == [Sent(CLOSE, close_payload(3000)), *end]
    endpoint.core.receive_eof(1.0)
    exc = ended(endpoint)
    assert type(exc) is ConnectionClosedError
    assert (exc.rcvd, exc.sent) == (Close(4000, ""), Close(3000, ""))


@roles
def test_a_stream_that_ends_without_a_close(role: Role) -> None:
    """7.1.5: that is 1006."""
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"a"), endpoint.frame(TEXT, b"b")[:-1])
    endpoint.core.receive_eof(1.0)
    assert endpoint.sent() == [EOF]
    assert endpoint.read() == ["a"]
    exc = ended(endpoint)
    assert type(exc) is ConnectionClosedError
    assert str(exc) == "no close frame received or sent"
    assert isinstance(exc.__cause__, EOFError)
    assert str(exc.__cause__) == "unexpected end of stream: no close frame received"


@roles
def test_a_stream_that_ends_after_our_close(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.close(1000, now=0.0)
    endpoint.core.receive_eof(1.0)
    exc = ended(endpoint)
    assert str(exc) == "sent 1000 (OK); no close frame received"
    assert exc.rcvd_then_sent is None
    assert isinstance(exc.__cause__, EOFError)


@roles
@pytest.mark.parametrize("is_eof_first", [True, False])
def test_a_connection_that_is_lost(role: Role, is_eof_first: bool) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"a"))
    endpoint.core.send_text("never sent")
    if is_eof_first:
        endpoint.core.receive_eof(1.0)
    endpoint.core.connection_lost(ConnectionResetError("reset"), 2.0)
    assert endpoint.sent() == []
    assert endpoint.core.next_deadline() is None
    assert endpoint.read() == ["a"]
    assert isinstance(ended(endpoint).__cause__, ConnectionResetError)


@roles
def test_losing_tcp_after_the_handshake_is_no_failure(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(CLOSE))
    endpoint.core.connection_lost(ConnectionResetError(), 1.0)
    exc = ended(endpoint)
    assert type(exc) is ConnectionClosedOK
    assert exc.__cause__ is None


@roles
def test_a_failure_has_its_cause_when_tcp_is_lost_after_it(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(b"\xff")
    endpoint.core.connection_lost(ConnectionResetError(), 1.0)
    assert isinstance(ended(endpoint).__cause__, ProtocolError)


@roles
def test_the_end_comes_once(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.receive_eof(1.0)
    endpoint.core.receive_eof(2.0)
    endpoint.core.connection_lost(None, 3.0)
    endpoint.core.connection_lost(None, 4.0)
    assert endpoint.sent() == []
    assert endpoint.core.next_deadline() is None
    endpoint.core.handle_deadline(1e9)
    assert endpoint.hooks.names("abort") == []


@roles
def test_a_close_is_seen_although_the_stream_ended_with_it(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.wait(lambda: True)  # whoever was to settle has no time any more
    endpoint.receive(endpoint.frame(TEXT, b"a"), endpoint.frame(CLOSE, close_payload(1000)))
    assert endpoint.core.close_rcvd is None
    endpoint.core.receive_eof(0.0)
    assert endpoint.sent() == [Sent(CLOSE, close_payload(1000)), EOF]
    assert endpoint.read() == ["a"]
    assert type(ended(endpoint)) is ConnectionClosedOK


# Codes and reasons. RFC 6455, 7.4.


@roles
@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999])
def test_codes_that_come(role: Role, code: int) -> None:
    reason = "ž" * 61
    got = outcome_each_way(role, Endpoint(role).frame(CLOSE, close_payload(code, reason)))
    assert got.received == code
    assert got.sent[0] == Sent(CLOSE, close_payload(code, reason))


@roles
@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_codes_that_must_not_come(role: Role, code: int) -> None:
    got = outcome_each_way(role, Endpoint(role).frame(CLOSE, close_payload(code)))
    assert got.received is None
    reason = f"invalid close code: {code}, expected 1000-1003, 1007-1014 or 3000-4999"
    assert got.sent == [Sent(CLOSE, close_payload(1002, reason)), EOF]


@roles
def test_a_close_without_a_code(role: Role) -> None:
    got = outcome_each_way(role, Endpoint(role).frame(CLOSE))
    assert got.received == 1005
    assert got.sent[0] == Sent(CLOSE, b"")


@roles
@pytest.mark.parametrize(
    ("payload", "code"), [(b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8\xe2\x82", 1007)]
)
def test_payloads_of_a_close_that_must_not_come(role: Role, payload: bytes, code: int) -> None:
    got = outcome_each_way(role, Endpoint(role).frame(CLOSE, payload))
    assert got.received is None
    assert got.sent[0].payload[:2] == close_payload(code)


@roles
def test_codes_that_we_send(role: Role) -> None:
    for code, reason in (1000, ""), (1003, "no"), (3000, "x" * 123), (4999, "ž" * 61):
        endpoint = Endpoint(role)
        endpoint.core.close(code, reason, now=0.0)
        assert endpoint.sent() == [Sent(CLOSE, close_payload(code, reason))]
        assert endpoint.core.close_sent == Close(code, reason)
    endpoint = Endpoint(role)
    endpoint.core.close(None, now=0.0)
    assert endpoint.sent() == [Sent(CLOSE, b"")]
    assert endpoint.core.close_sent == Close(1005, "")


@roles
@pytest.mark.parametrize(
    ("code", "reason"),
    [(999, ""), (1004, ""), (1005, ""), (1006, ""), (1015, ""), (5000, ""), (1000, "x" * 124)],
)
def test_codes_that_we_do_not(role: Role, code: int, reason: str) -> None:
    endpoint = Endpoint(role)
    with pytest.raises(ProtocolError):
        endpoint.core.close(code, reason, now=0.0)
    with pytest.raises(ProtocolError, match="cannot send a close reason without a code"):
        endpoint.core.close(None, "why", now=0.0)
    with pytest.raises(UnicodeEncodeError):
        endpoint.core.close(1000, "\ud800", now=0.0)
    assert endpoint.core.state is State.OPEN
    assert endpoint.sent() == []
    assert endpoint.hooks.told == []
    endpoint.core.close(now=0.0)


# Around a Close.


@roles
def test_a_close_may_come_within_a_message(role: Role) -> None:
    data = Endpoint(role).frame(TEXT, b"a", fin=False) + Endpoint(role).frame(CLOSE)
    got = outcome_each_way(role, data)
    assert (got.messages, got.received, got.sent[0]) == ([], 1005, Sent(CLOSE, b""))


@roles
@SIZES
def test_what_comes_after_a_close_means_nothing(role: Role, size: int | None) -> None:
    """RFC 6455, 1.4."""
    endpoint = Endpoint(role)
    endpoint.receive(
        endpoint.frame(TEXT, b"before"),
        endpoint.frame(CLOSE),
        endpoint.frame(TEXT, b"after"),
        endpoint.frame(PING),
        endpoint.frame(CLOSE),
        b"\xff" * 100,
        size=size,
    )
    assert [frame.opcode for frame in endpoint.sent() if frame != EOF] == [CLOSE]
    assert endpoint.read() == ["before"]
    endpoint.core.receive_eof(0.0)
    assert type(ended(endpoint)) is ConnectionClosedOK


@roles
def test_what_comes_after_the_end_is_bounded(role: Role) -> None:
    """RFC 6455, 7.1.7: a failed connection is read on, or TCP would be reset, but not for ever."""
    for begin in b"\xff", Endpoint(role).frame(CLOSE):
        endpoint = Endpoint(role)
        endpoint.receive(begin)
        for _ in range(16):
            endpoint.receive(bytes(MAX_DISCARDED_BYTES // 16))
        assert endpoint.hooks.names("abort") == []
        endpoint.receive(b"a")
        endpoint.receive(b"a")
        assert endpoint.hooks.names("abort") == ["abort"]
        assert endpoint.core.next_deadline() is None


@roles
def test_messages_and_pings_are_taken_until_the_close_comes(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.read_always()
    endpoint.core.close(now=0.0)
    endpoint.receive(endpoint.frame(TEXT, b"a"), endpoint.frame(PING, b"p"))
    assert endpoint.messages == ["a"]
    assert endpoint.sent()[1:] == [Sent(PONG, b"p")]
    endpoint.receive(endpoint.frame(CLOSE), endpoint.frame(PING, b"q"))
    assert PONG not in [frame.opcode for frame in endpoint.sent()]


@roles
def test_closing_in_the_middle_of_our_message_fails(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.send_text("a", fin=False)
    assert endpoint.core.is_sending_fragments
    endpoint.core.close(1000, now=0.0)
    reason = "close during fragmented message"
    assert endpoint.sent()[1:] == [Sent(CLOSE, close_payload(1011, reason)), EOF]
    endpoint.core.receive_eof(0.0)
    exc = ended(endpoint)
    assert str(exc) == f"sent 1011 (internal error) {reason}; no close frame received"
    assert exc.__cause__ is None


@roles
@pytest.mark.parametrize("state", ["closing", "closed"])
def test_what_can_be_sent_after_a_close(role: Role, state: str) -> None:
    endpoint = Endpoint(role)
    core = endpoint.core
    core.send_text("a", fin=False)
    core.send_fragment("b", fin=True)
    core.close(now=0.0)
    if state == "closed":
        core.receive_eof(0.0)
    calls: list[Any] = [
        lambda: core.send_text("a"),
        lambda: core.send_binary(b"a"),
        lambda: core.send_fragment("a", fin=True),
        lambda: core.close(now=0.0),
    ]
    if state == "closed":
        calls += [lambda: core.ping(b"", 0.0), core.pong]
    else:  # RFC 6455, 5.5.1 forbids data frames
        core.ping(b"", 0.0)
        core.pong()
    for call in calls:
        with pytest.raises(InvalidState, match=f"connection is {state}"):
            call()
    frames = [frame.opcode for frame in endpoint.sent()]
    assert frames == [TEXT, CONT, CLOSE, *([EOF.opcode] if state == "closed" else [PING, PONG])]


@roles
def test_hooks_may_call_the_connection(role: Role) -> None:
    endpoint = Endpoint(role)

    def close_received(close: Close) -> None:
        assert endpoint.core.state is State.CLOSING
        assert endpoint.core.next_message() == "a"
        endpoint.core.fail(1011, now=0.0)
        endpoint.core.settle(0.0)

    endpoint.hooks.close_received = close_received  # type: ignore[method-assign]
    endpoint.receive(endpoint.frame(TEXT, b"a"), endpoint.frame(CLOSE), endpoint.frame(BINARY))
    assert endpoint.sent() == [Sent(CLOSE, b""), EOF]
    assert endpoint.core.next_message() is NEED_MORE
