"""What the application says, and pings. RFC 6455, 5.4-5.6."""

from __future__ import annotations

import array
from typing import Any

import pytest
from tests.core.endpoint import (
    BINARY,
    CONT,
    PING,
    PONG,
    ROLES,
    TEXT,
    Endpoint,
    Sent,
)

from wirebird.core.connection import NEED_MORE
from wirebird.core.rules import Role
from wirebird.exceptions import ConcurrencyError, ProtocolError

roles = pytest.mark.parametrize("role", ROLES)
LIKE_BYTES = [bytes, bytearray, memoryview]


@roles
def test_messages(role: Role) -> None:
    endpoint = Endpoint(role)
    core = endpoint.core
    core.send_text("ž")
    core.send_binary("ž")
    for convert in LIKE_BYTES:
        core.send_text(convert(b"a"))
        core.send_binary(convert(b"\xff"))
    core.send_binary(memoryview(array.array("H", [0x4141, 0x4141])))
    assert core.queued_bytes > 0
    assert [frame[:2] for frame in endpoint.sent()] == [
        (TEXT, "ž".encode()),
        (BINARY, "ž".encode()),
        *[(TEXT, b"a"), (BINARY, b"\xff")] * 3,
        (BINARY, b"AAAA"),
    ]
    assert core.queued_bytes == 0


@roles
def test_fragments(role: Role) -> None:
    endpoint = Endpoint(role)
    core = endpoint.core
    core.send_text("a", fin=False)
    assert core.is_sending_fragments
    core.ping(b"p", 0.0)
    for send in core.send_text, core.send_binary:
        with pytest.raises(ProtocolError, match="a message is in progress"):
            send(b"x")
    core.send_fragment(memoryview(b"b"), fin=False)
    core.send_fragment("ž", fin=True)
    assert not core.is_sending_fragments
    with pytest.raises(ProtocolError, match="no message is in progress"):
        core.send_fragment(b"", fin=True)
    core.send_binary(b"c", fin=False)
    core.send_fragment(b"", fin=True)
    assert endpoint.sent() == [
        Sent(TEXT, b"a", False),
        Sent(PING, b"p"),
        Sent(CONT, b"b", False),
        Sent(CONT, "ž".encode()),
        Sent(BINARY, b"c", False),
        Sent(CONT, b""),
    ]


@roles
def test_text_that_cannot_be_utf_8(role: Role) -> None:
    endpoint = Endpoint(role)
    for send in endpoint.core.send_text, endpoint.core.send_binary, endpoint.core.pong:
        with pytest.raises(UnicodeEncodeError):
            send("\ud800")
    assert endpoint.sent() == []


# Pings and pongs.


@roles
def test_pings_and_their_pongs(role: Role) -> None:
    endpoint = Endpoint(role)
    core = endpoint.core
    assert core.ping("ž", 1.0) == "ž".encode()
    for at, convert in enumerate(LIKE_BYTES):
        assert core.ping(convert(b"%d" % at), 2.0) == b"%d" % at
    assert core.ping(b"", 3.0) == b""
    assert [frame.opcode for frame in endpoint.sent()] == [PING] * 5
    endpoint.receive(endpoint.frame(PONG, b"1"), now=5.0)
    assert endpoint.hooks.told == [
        *[("pong", "ž".encode(), 4.0), ("pong", b"0", 3.0), ("pong", b"1", 3.0)]
    ]
    assert core.latency == 3.0
    endpoint.receive(endpoint.frame(PONG, b"1"), endpoint.frame(PONG, b"unasked"), now=6.0)
    assert len(endpoint.hooks.told) == 3
    endpoint.receive(endpoint.frame(PONG), now=7.0)
    assert endpoint.hooks.told[3:] == [("pong", b"2", 5.0), ("pong", b"", 4.0)]


@roles
def test_a_ping_that_is_under_way(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.ping(b"a", 0.0)
    with pytest.raises(ConcurrencyError):
        endpoint.core.ping("a", 1.0)
    assert len(endpoint.sent()) == 1
    endpoint.receive(endpoint.frame(PONG, b"a"), now=2.0)
    endpoint.core.ping(b"a", 3.0)


@roles
def test_a_ping_that_nobody_waits_for(role: Role) -> None:
    endpoint = Endpoint(role)
    for _ in range(2):
        assert endpoint.core.ping(b"a", 0.0, is_awaited=False) == b"a"
    assert endpoint.sent() == [Sent(PING, b"a")] * 2
    endpoint.receive(endpoint.frame(PONG, b"a"))
    assert endpoint.hooks.told == []


@roles
def test_random_payloads_do_not_meet(role: Role) -> None:
    draws: list[Any] = [b"aaaa" * 64, b"aaaabbbb" + b"cccc" * 62]
    endpoint = Endpoint(role, random_bytes=lambda length: draws.pop(0)[:length])
    core = endpoint.core
    first = core.ping(None, 0.0)
    second = core.ping(None, 0.0)
    assert (first, second) == (b"aaaa", b"bbbb")
    assert [frame.payload for frame in endpoint.sent()] == [b"aaaa", b"bbbb"]


@roles
def test_control_frames_that_are_too_long(role: Role) -> None:
    endpoint = Endpoint(role)
    core = endpoint.core
    for call in core.pong, lambda data: core.ping(data, 0.0):
        with pytest.raises(ProtocolError, match="control frame too long"):
            call(bytes(126))
    core.pong(bytes(125))
    core.ping(bytes(125), 0.0)
    assert len(endpoint.sent()) == 2


@roles
def test_pongs_that_nobody_asked_for(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.pong()
    for convert in LIKE_BYTES:
        endpoint.core.pong(convert(b"a"))
    endpoint.core.pong("ž")
    assert endpoint.sent() == [
        Sent(PONG, b""),
        *[Sent(PONG, b"a")] * 3,
        Sent(PONG, "ž".encode()),
    ]


@roles
def test_pongs_while_the_network_is_congested(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.network_holds(2**17, 1.0)
    for payload in b"a", b"b", b"c":
        endpoint.receive(endpoint.frame(PING, payload))
    endpoint.core.network_holds(2**17 - 1, 2.0)
    assert endpoint.sent() == []
    endpoint.core.network_holds(2**16, 3.0)
    assert endpoint.sent() == [Sent(PONG, b"c")]


@roles
def test_a_flood_of_pings_is_not_read_into_messages(role: Role) -> None:
    endpoint = Endpoint(role, max_queue=1)
    endpoint.receive(endpoint.frame(PING, b"p") * 1000)
    assert endpoint.sent() == [Sent(PONG, b"p")] * 1000
    assert endpoint.core.next_message() is NEED_MORE
    assert endpoint.hooks.told == []
