"""Messages are pulled, what breaks the rules fails the connection. RFC 6455, 5, 7.1.7 and 8.1."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.endpoint import (
    BINARY,
    CONT,
    EOF,
    PING,
    PONG,
    ROLES,
    TEXT,
    Endpoint,
    Sent,
    close_payload,
    outcome,
    outcome_each_way,
)
from tests.core.third_party import Broken, Rot

from wirebird.core.close import Close
from wirebird.core.connection import NEED_MORE, Connection
from wirebird.core.extensions.permessage_deflate import PerMessageDeflate
from wirebird.core.frames import RSV1, RSV2, RSV3, Frame
from wirebird.core.rules import Opcode, Role, State
from wirebird.exceptions import ConnectionClosedError, PayloadTooBig, ProtocolError

roles = pytest.mark.parametrize("role", ROLES)


# What comes is what is read, however it is cut and whoever waits.


@roles
@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([(TEXT, b"Hello")], ["Hello"]),
        ([(BINARY, b"\x00\xff")], [b"\x00\xff"]),
        ([(TEXT, b""), (BINARY, b"")], ["", b""]),
        ([(TEXT, "ž€\U0001f426".encode())], ["ž€\U0001f426"]),
        ([(TEXT, b"x" * 126), (BINARY, b"y" * 300)], ["x" * 126, b"y" * 300]),
        ([(TEXT, b"Hel", False), (CONT, b"lo")], ["Hello"]),
        ([(TEXT, b"\xe2", False), (CONT, b"\x82", False), (CONT, b"\xac")], ["€"]),
        ([(BINARY, b"", False), (CONT, b"", False), (CONT, b"")], [b""]),
        ([(TEXT, b"", False), (CONT, b"a", False), (CONT, b""), (BINARY, b"b")], ["a", b"b"]),
    ],
)
def test_messages(role: Role, frames: list[Any], expected: list[Any]) -> None:
    peer = Endpoint(role)
    data = b"".join(peer.frame(opcode, payload, fin=not more) for opcode, payload, *more in frames)
    got = outcome_each_way(role, data)
    assert got == (expected, [], None, None)


@roles
def test_trailing_data_is_left_for_later(role: Role) -> None:
    for tail in b"\x81", Endpoint(role).head(0x82, 300)[:3], b"\x01":
        endpoint = Endpoint(role)
        endpoint.receive(endpoint.frame(TEXT, b"a"), tail)
        assert endpoint.read() == ["a"]
        assert endpoint.core.state is State.OPEN


@roles
def test_control_frames_within_a_message(role: Role) -> None:
    """RFC 6455, 5.4 and 5.5.2."""
    peer = Endpoint(role)
    data = (
        peer.frame(TEXT, b"a", fin=False)
        + peer.frame(PING, b"1")
        + peer.frame(CONT, b"b", fin=False)
        + peer.frame(PONG, b"nobody asked")
        + peer.frame(PING, bytes(125))
        + peer.frame(CONT, b"c")
    )
    got = outcome_each_way(role, data)
    assert got.messages == ["abc"]
    assert got.sent == [Sent(PONG, b"1"), Sent(PONG, bytes(125))]


@roles
@pytest.mark.parametrize("decode", [None, True, False])
def test_decode(role: Role, decode: bool | None) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"a"), endpoint.frame(BINARY, b"b"))
    endpoint.receive(endpoint.frame(TEXT, b"c", fin=False), endpoint.frame(CONT, b"d"))
    expected = {None: ["a", b"b", "cd"], True: ["a", "b", "cd"], False: [b"a", b"b", b"cd"]}
    assert endpoint.read(decode) == expected[decode]


@roles
def test_binary_that_is_asked_for_as_str_must_be_utf_8(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(BINARY, b"a\xff"), endpoint.frame(TEXT, b"b"))
    assert endpoint.core.next_message(True) is NEED_MORE
    assert endpoint.sent() == [
        Sent(8, close_payload(1007, "invalid start byte at position 1")),
        EOF,
    ]
    assert endpoint.core.next_message() is NEED_MORE


@roles
def test_buffers_that_are_read_into(role: Role) -> None:
    endpoint = Endpoint(role)
    data = endpoint.frame(TEXT, b"a") + endpoint.frame(PING, b"p")
    core = endpoint.core
    for octet in data:
        buffer = core.get_buffer(-1)
        buffer[0] = octet
        core.buffer_updated(1, 1.0)
    buffer = core.get_buffer(10)
    buffer[: len(data)] = data
    core.buffer_updated(len(data), 1.0)
    buffer[: len(data)] = bytes(len(data))  # what was taken is ours
    assert endpoint.read() == ["a", "a"]
    assert endpoint.sent() == [Sent(PONG, b"p")] * 2


def test_a_buffer_must_be_asked_for() -> None:
    with pytest.raises(AssertionError, match="get_buffer"):
        Connection(Role.SERVER).buffer_updated(1, 0.0)


# Violations.


def violations(role: Role) -> list[tuple[str, bytes, int, str]]:
    peer = Endpoint(role)
    text, huge = peer.frame(TEXT, b"a", fin=False), peer.head(0x82, 2**40)
    return [
        ("opcode 3", peer.frame(3), 1002, "invalid opcode: 0x3"),
        ("opcode 15", peer.frame(15), 1002, "invalid opcode: 0xf"),
        ("RSV1", peer.frame(TEXT, rsv=RSV1), 1002, "reserved bits must be 0: got 0x40"),
        ("RSV2", peer.frame(BINARY, rsv=RSV2), 1002, "reserved bits must be 0: got 0x20"),
        ("RSV3", peer.frame(PING, rsv=RSV3), 1002, "reserved bits must be 0: got 0x10"),
        ("cut ping", peer.frame(PING, fin=False), 1002, "fragmented control frame: PING"),
        ("cut close", peer.frame(8, fin=False), 1002, "fragmented control frame: CLOSE"),
        ("long ping", peer.head(0x89, 126), 1002, "control frame too long: PING"),
        ("long close", peer.head(0x88, 2**16), 1002, "control frame too long: CLOSE"),
        ("2**63", peer.head(0x82, 2**63), 1002, "invalid payload length"),
        ("2**64", peer.head(0x82, 2**64 - 1), 1002, "invalid payload length"),
        ("continuation", peer.frame(CONT), 1002, "unexpected continuation frame"),
        ("2 texts", text + peer.frame(TEXT), 1002, "expected a continuation frame, got TEXT"),
        ("2 binaries", text + peer.frame(BINARY), 1002, "expected a continuation frame, got BIN"),
        ("huge", huge, 1009, "frame with 1099511627776 bytes exceeds limit of 1048576 bytes"),
        ("huge next", text + peer.head(0x80, 2**20), 1009, "frame with 1048576 bytes after read"),
        ("close of 1 byte", peer.frame(8, b"a"), 1002, "close frame too short"),
        ("close 1005", peer.frame(8, close_payload(1005)), 1002, "invalid close code: 1005"),
        ("close reason", peer.frame(8, close_payload(1000) + b"\xff"), 1007, "invalid start byte"),
    ]


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("case", range(19))
@roles
def test_violations(role: Role, case: int, before: int) -> None:
    _, data, code, reason = violations(role)[case]
    good = Endpoint(role).frame(TEXT, b"good") * before
    got = outcome_each_way(role, good + data)
    assert got.messages == ["good"] * before
    close, end = got.sent
    assert close.opcode == 8
    assert close.payload[:2] == close_payload(code)
    assert close.payload[2:].decode().startswith(reason)
    assert end is EOF
    expected = {1002: ProtocolError, 1007: UnicodeDecodeError, 1009: PayloadTooBig}
    assert got.failure is expected[code]
    assert got.received is None


@roles
def test_frames_must_be_masked_by_clients_and_only_by_them(role: Role) -> None:
    """RFC 6455, 5.1."""
    other = Endpoint(Role.CLIENT if role is Role.SERVER else Role.SERVER)
    got = outcome_each_way(role, other.frame(TEXT, b"a"))
    assert got.sent[0].payload[2:].startswith(b"incorrect masking")


@roles
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff", "invalid start byte at position 0"),
        (b"ab\xc3(", "invalid continuation byte at position 2"),
        (b"ab\xc0\x80", "invalid start byte at position 2"),
        (b"\xed\xa0\x80", "invalid continuation byte at position 0"),
        (b"\xf4\x90\x80\x80", "invalid continuation byte at position 0"),
        (b"abc\xe2\x82", "unexpected end of data at position 3"),
    ],
)
def test_text_that_is_not_utf_8(role: Role, payload: bytes, reason: str) -> None:
    """RFC 6455, 8.1: whole, over fragments, and however it is cut."""
    peer = Endpoint(role)
    good = peer.frame(TEXT, b"good")
    data = [peer.frame(TEXT, payload)]
    for cut in range(len(payload) + 1):
        first, second = payload[:cut], payload[cut:]
        data.append(peer.frame(TEXT, first, fin=False) + peer.frame(CONT, second))
    for wrong in data:
        got = outcome_each_way(role, good + wrong + peer.frame(TEXT, b"lost"))
        assert got.messages == ["good"]
        assert got.sent == [Sent(8, close_payload(1007, reason)), EOF]
        assert got.failure is UnicodeDecodeError


@roles
@pytest.mark.parametrize("is_deflate_agreed_on", [False, True])
@pytest.mark.parametrize("fragments", [0, 1, 2])
def test_a_waiting_reader_refuses_text_at_its_first_wrong_byte(
    role: Role, fragments: int, is_deflate_agreed_on: bool
) -> None:
    """Also where messages may be compressed, and this one is not."""
    extensions = [PerMessageDeflate(False, False, 15, 15)] if is_deflate_agreed_on else []
    endpoint = Endpoint(role, extensions=extensions)
    endpoint.read_always()
    opcode = TEXT
    for _ in range(fragments):
        endpoint.receive(endpoint.frame(opcode, "é".encode(), fin=False))
        opcode = CONT
    whole = endpoint.frame(opcode, b"abc\xe2\xff" + bytes(100))
    wrong = len(whole) - 101
    endpoint.receive(whole[:wrong], size=1)
    assert endpoint.sent() == []
    endpoint.receive(whole[wrong : wrong + 1])
    reason = f"invalid continuation byte at position {3 + 2 * fragments}"
    assert endpoint.sent() == [Sent(8, close_payload(1007, reason)), EOF]


@roles
def test_text_that_nobody_waits_for_is_checked_when_it_is_read(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"\xff"), endpoint.frame(PING, b"p"))
    assert endpoint.sent() == [Sent(PONG, b"p")]
    assert endpoint.core.state is State.OPEN
    assert endpoint.read() == []
    assert endpoint.sent()[0].payload[:2] == close_payload(1007)
    assert endpoint.hooks.told == [("deadline",), ("failed", UnicodeDecodeError)]


# Limits.


@roles
@pytest.mark.parametrize("max_size", [10, (10, None), (10, 10), (None, 10)])
def test_sizes(role: Role, max_size: Any) -> None:
    peer = Endpoint(role)
    fits = outcome_each_way(role, peer.frame(BINARY, bytes(10)), max_size=max_size)
    assert fits.messages == [bytes(10)]
    too_big = outcome_each_way(role, peer.frame(BINARY, bytes(11)), max_size=max_size)
    assert (too_big.messages, too_big.failure) == ([], PayloadTooBig)
    assert too_big.sent[0].payload[:2] == close_payload(1009)
    two = [peer.frame(BINARY, bytes(6), fin=False) + peer.frame(CONT, bytes(n)) for n in (4, 5)]
    assert outcome_each_way(role, two[0], max_size=max_size).messages == [bytes(10)]
    is_allowed = max_size == (None, 10)
    got = outcome_each_way(role, two[1], max_size=max_size)
    assert (got.failure is None) is is_allowed
    assert got.messages == ([bytes(11)] if is_allowed else [])


def test_no_limit() -> None:
    endpoint = Endpoint(Role.CLIENT, max_size=None)
    endpoint.read_always(False)
    endpoint.receive(endpoint.frame(BINARY, bytes(2**21)), size=2**16)
    assert endpoint.messages == [bytes(2**21)]
    endpoint.receive(endpoint.head(0x82, 2**62))
    assert endpoint.core.state is State.OPEN


@roles
def test_the_number_of_fragments_counts_empty_ones(role: Role) -> None:
    peer = Endpoint(role)
    begin, more, end = peer.frame(TEXT, fin=False), peer.frame(CONT, fin=False), peer.frame(CONT)
    fits = outcome_each_way(role, (begin + more + end) * 3, max_fragments=3)
    assert fits.messages == ["", "", ""]
    got = outcome_each_way(role, begin + more + more + end, max_fragments=3)
    assert got.sent == [
        Sent(8, close_payload(1009, "fragmented message exceeds limit of 3 frames")),
        EOF,
    ]


# A waiting reader.


@roles
def test_a_waiting_reader_is_served_first_and_its_replies_go_first(role: Role) -> None:
    endpoint = Endpoint(role)
    core = endpoint.core

    def reply() -> bool:
        message = core.next_message()
        assert isinstance(message, str)
        core.send_text("re: " + message)
        core.wait(reply)
        return False

    core.wait(reply)
    frames = [endpoint.frame(TEXT, b"1"), endpoint.frame(PING, b"p"), endpoint.frame(TEXT, b"2")]
    endpoint.receive(*frames, endpoint.frame(8, close_payload(1000)))
    expected = [(TEXT, b"re: 1"), (PONG, b"p"), (TEXT, b"re: 2"), (8, close_payload(1000))]
    assert [(frame.opcode, frame.payload) for frame in endpoint.sent() if frame != EOF] == expected


@roles
def test_a_reader_that_goes_on_later_says_so_and_settles(role: Role) -> None:
    endpoint = Endpoint(role)
    core = endpoint.core
    core.wait(lambda: True)
    endpoint.receive(endpoint.frame(TEXT, b"1"), endpoint.frame(PING), endpoint.frame(TEXT, b"2"))
    assert endpoint.sent() == []  # it has not replied yet
    assert core.next_message() == "1"
    core.send_text("re: 1")
    core.settle(1.0)
    assert [frame.opcode for frame in endpoint.sent()] == [TEXT, PONG]
    assert endpoint.read() == ["2"]


@roles
def test_a_reader_is_called_once(role: Role) -> None:
    endpoint = Endpoint(role)
    calls = []

    def reader() -> bool:
        calls.append(endpoint.core.has_unread)
        return False

    endpoint.core.wait(reader)
    endpoint.receive(b"")
    endpoint.receive(endpoint.frame(PING), endpoint.frame(TEXT, b"1")[:-1])
    assert calls == []
    endpoint.receive(endpoint.frame(TEXT, b"1")[-1:])
    endpoint.receive(endpoint.frame(TEXT, b"2"))
    assert calls == [True]
    assert endpoint.read() == ["1", "2"]


@roles
@pytest.mark.parametrize("taken", range(12))
def test_a_read_that_is_given_up_keeps_what_came(role: Role, taken: int) -> None:
    endpoint = Endpoint(role)
    data = endpoint.frame(TEXT, b"ab", fin=False) + endpoint.frame(CONT, b"cd")
    endpoint.core.wait(lambda: pytest.fail("nobody waits"))
    taken = min(taken, len(data) - 1)
    endpoint.receive(data[:taken], size=1)
    endpoint.core.stop_waiting()
    endpoint.receive(data[taken:])
    assert endpoint.read() == ["abcd"]


@roles
def test_a_reader_is_told_of_the_end(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.read_always()
    endpoint.receive(endpoint.frame(8))
    assert endpoint.end is None  # TCP has not ended
    endpoint.core.receive_eof(1.0)
    assert isinstance(endpoint.end, Exception)


# Fragment by fragment, and frame by frame.


@roles
@pytest.mark.parametrize("size", [None, 1])
def test_streaming(role: Role, size: int | None) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(
        endpoint.frame(TEXT, b"a\xe2\x82", fin=False),
        endpoint.frame(PING, b"p"),
        endpoint.frame(CONT, b"\xacb", fin=False),
        endpoint.frame(CONT, b""),
        endpoint.frame(BINARY, b"c"),
        size=size,
    )
    assert endpoint.read(by_frame=True) == [
        *[("a", False), ("€b", False), ("", True), (b"c", True)]
    ]
    assert endpoint.sent() == [Sent(PONG, b"p")]


@roles
def test_fragments_are_served_as_they_come(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.read_always(by_frame=True)
    endpoint.receive(endpoint.frame(TEXT, b"a", fin=False))
    assert endpoint.messages == [("a", False)]
    endpoint.receive(endpoint.frame(CONT, b"b")[:-1])
    assert len(endpoint.messages) == 1
    endpoint.receive(endpoint.frame(CONT, b"b")[-1:])
    assert endpoint.messages[1:] == [("b", True)]


@roles
@pytest.mark.parametrize("decode", [None, True, False])
def test_fragments_and_messages_mix(role: Role, decode: bool | None) -> None:
    endpoint = Endpoint(role)
    core = endpoint.core
    endpoint.receive(endpoint.frame(TEXT, b"a\xe2", fin=False))
    assert core.next_message() is NEED_MORE
    assert core.next_fragment(decode) == (b"a\xe2" if decode is False else "a", False)
    assert core.next_fragment() is NEED_MORE
    endpoint.receive(endpoint.frame(CONT, b"\x82\xacb"), endpoint.frame(TEXT, b"c"))
    assert core.next_message() == "€b"
    assert core.next_fragment() == ("c", True)


@roles
def test_fragments_that_are_not_utf_8(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"a", fin=False), endpoint.frame(CONT, b"\xff"))
    assert endpoint.read(by_frame=True) == [("a", False)]
    assert endpoint.sent()[0].payload[:2] == close_payload(1007)
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"\xff"))
    assert endpoint.read(by_frame=True) == []
    assert endpoint.sent()[0].payload[:2] == close_payload(1007)


@roles
@pytest.mark.parametrize("size", [None, 1])
def test_frames(role: Role, size: int | None) -> None:
    endpoint = Endpoint(role)
    frames = [
        Frame(Opcode.TEXT, b"a\xe2", False),
        Frame(Opcode.PING, b"p"),
        Frame(Opcode.CONT, b"", False),
        Frame(Opcode.CONT, b"\x82\xac"),
        Frame(Opcode.PONG, b""),
        Frame(Opcode.BINARY, b""),
        Frame(Opcode.CLOSE, close_payload(1000, "bye")),
    ]
    data = [endpoint.frame(each.opcode, bytes(each.data), fin=each.fin) for each in frames]
    endpoint.receive(*data, size=size)
    got = []
    while (frame := endpoint.core.next_frame()) is not NEED_MORE:
        got.append(frame)
    assert got == frames
    endpoint.core.receive_eof(1.0)
    with pytest.raises(Exception, match="received 1000"):
        endpoint.core.next_frame()


@roles
def test_a_frame_that_is_not_utf_8_is_none(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.receive(endpoint.frame(TEXT, b"\xff"), endpoint.frame(TEXT, b"b"))
    assert endpoint.core.next_frame() is NEED_MORE
    assert endpoint.core.next_frame() is NEED_MORE


# Extensions.


@roles
def test_compression_in_both_directions(role: Role) -> None:
    ours, theirs = (PerMessageDeflate(False, False, 15, 15) for _ in range(2))
    endpoint = Endpoint(role, extensions=[ours])
    endpoint.read_always()
    texts = ["Hello" * 100, "", "Hello" * 100]
    for text in texts:
        frame = theirs.encode(Frame(Opcode.TEXT, text.encode()))
        endpoint.receive(endpoint.frame(TEXT, bytes(frame.data), rsv=RSV1), size=2)
        endpoint.core.send_text(text)
    endpoint.core.send_text("plain", compress=False)
    assert endpoint.messages == texts
    sent = endpoint.sent()
    assert [frame.rsv for frame in sent] == [RSV1, RSV1, RSV1, 0]
    back = [theirs.decode(Frame(Opcode.TEXT, frame.payload, rsv1=True)) for frame in sent[:3]]
    assert [bytes(frame.data).decode() for frame in back] == texts


@roles
def test_a_compressed_message_that_is_none(role: Role) -> None:
    def deflate() -> list[Any]:
        return [PerMessageDeflate(False, False, 15, 15)]

    data = Endpoint(role).frame(BINARY, b"\xff\xff", rsv=RSV1)
    for size in None, 1:
        got = outcome(role, data, size=size, extensions=deflate())
        assert got.failure is ProtocolError
        assert got.sent[0].payload[:2] == close_payload(1002)


@roles
def test_an_inflated_message_that_is_too_big(role: Role) -> None:
    bomb = PerMessageDeflate(False, False, 15, 15).encode(Frame(Opcode.BINARY, bytes(10**6)))
    data = Endpoint(role).frame(BINARY, bytes(bomb.data), rsv=RSV1)
    for is_waiting in True, False:
        extensions = [PerMessageDeflate(False, False, 15, 15)]
        got = outcome(role, data, is_waiting=is_waiting, extensions=extensions, max_size=10**6 - 1)
        assert got.failure is PayloadTooBig
        assert got.sent[0].payload[:2] == close_payload(1009)


@roles
def test_an_extension_of_a_third_party(role: Role) -> None:
    endpoint = Endpoint(role, extensions=[Rot()])
    endpoint.read_always()
    endpoint.receive(endpoint.frame(TEXT, b"N", rsv=RSV2, fin=False), endpoint.frame(PING, b"p"))
    endpoint.receive(endpoint.frame(CONT, b"O", rsv=RSV2), endpoint.frame(TEXT, b"AB"))
    assert endpoint.messages == ["AB"]
    assert endpoint.sent() == [
        Sent(PONG, b"p"),
        Sent(8, close_payload(1002, "not turned")),
        EOF,
    ]


@roles
@pytest.mark.parametrize("opcode", [TEXT, PING])
def test_an_extension_with_a_mistake_ends_the_connection(role: Role, opcode: int) -> None:
    endpoint = Endpoint(role, extensions=[Broken()])
    endpoint.core.receive_data(endpoint.frame(opcode, b"a") + endpoint.frame(TEXT, b"b"), 0.0)
    assert endpoint.core.next_message() is NEED_MORE
    assert endpoint.core.close_sent == Close(1011, "")  # what is wrong here is not for the peer
    assert isinstance(endpoint.core.failure, LookupError)
    endpoint.core.receive_eof(0.0)
    with pytest.raises(ConnectionClosedError) as raised:
        endpoint.core.next_message()
    assert isinstance(raised.value.__cause__, LookupError)


# What there is to know.


@roles
def test_trace(role: Role) -> None:
    endpoint = Endpoint(role)
    seen: list[tuple[bool, Opcode]] = []
    assert endpoint.core.trace is None
    trace = endpoint.core.trace = lambda sent, frame: seen.append((sent, frame.opcode))
    assert endpoint.core.trace is trace
    endpoint.receive(endpoint.frame(TEXT, b"a"), endpoint.frame(PING, b"p"))
    assert seen == [(False, Opcode.PING), (True, Opcode.PONG)]
    endpoint.read()
    assert seen[2:] == [(False, Opcode.TEXT)]


def test_defaults() -> None:
    core = Connection(Role.CLIENT)
    core.receive_data(b"\x89\x00", 0.0)
    (pong,) = core.data_to_send()
    assert pong[:2] == b"\x8a\x80"
    assert (core.state, core.latency, core.has_unread) == (State.OPEN, 0.0, False)
    assert core.next_deadline() is None
    core.receive_eof(0.0)
    with pytest.raises(ConnectionClosedError):
        core.next_message()


@roles
def test_whether_anything_is_left_behind_the_message_that_is_ready(role: Role) -> None:
    endpoint = Endpoint(role)
    drained: list[bool] = []

    def note() -> bool:
        drained.append(endpoint.core.is_drained)
        return False

    hello = endpoint.frame(TEXT, b"Hello")
    for data in (hello, hello + hello[:1], hello[1:] + hello):
        endpoint.core.wait(note)
        endpoint.receive(data)
        assert endpoint.core.next_message() == "Hello"
    assert drained == [True, False, False]


@roles
def test_readers_may_be_told_of_the_end_before_tcp_has_ended(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.ends_with_input = True
    endpoint.receive(endpoint.frame(TEXT, b"a"), endpoint.frame(8, close_payload(4000)))
    assert endpoint.core.next_message() == "a"
    with pytest.raises(ConnectionClosedError) as caught:
        endpoint.core.next_message()
    assert caught.value.rcvd == caught.value.sent == Close(4000, "")
    assert endpoint.core.state is State.CLOSING


@roles
def test_a_reader_that_waits_is_told_so_too(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.ends_with_input = True
    told: list[bool] = []

    def tell() -> bool:
        told.append(True)
        return False

    endpoint.core.wait(tell)
    endpoint.receive(endpoint.frame(9, b"ping"))
    assert not told
    endpoint.receive(endpoint.frame(8, close_payload(1000)))
    endpoint.core._serve_reader()
    assert told == [True]
    endpoint.core._serve_reader()
    assert told == [True]


@roles
def test_what_fails_a_connection_ends_its_input(role: Role) -> None:
    endpoint = Endpoint(role)
    endpoint.core.ends_with_input = True
    endpoint.receive(endpoint.frame(3, b""))
    with pytest.raises(ConnectionClosedError) as caught:
        endpoint.core.next_message()
    assert caught.value.rcvd is None
    assert caught.value.sent is not None
    assert caught.value.sent.code == 1002
