"""What goes out. RFC 6455, 5 and 6.1."""

from __future__ import annotations

import array
from typing import Any

import pytest
from tests.core.endpoint import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Sent,
    read_frames,
    xor,
)
from tests.core.third_party import Rot, Twice

from wirebird.core.extensions.permessage_deflate import PerMessageDeflate
from wirebird.core.frames import RSV1, RSV2, Frame
from wirebird.core.outbound import SEND_EOF, Outbound
from wirebird.core.rules import Opcode
from wirebird.exceptions import ProtocolError

CONGESTED = 64 * 1024 + 1


def counting(length: int) -> bytes:
    return bytes(at % 251 for at in range(length))


def make(*, masked: bool = False, extensions: Any = ()) -> Outbound:
    return Outbound(masked=masked, extensions=extensions, random_bytes=counting)


def sent(outbound: Outbound) -> list[Sent]:
    return read_frames(b"".join(outbound.take()), masked=outbound.masked)


# Frames.


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 8191, 8192, 65535, 65536, 100_000])
def test_a_message(length: int, masked: bool) -> None:
    outbound = make(masked=masked)
    payload = counting(length)
    outbound.send_message(Opcode.BINARY, payload)
    chunks = outbound.take()
    assert read_frames(b"".join(chunks), masked=masked) == [Sent(BINARY, payload)]
    assert all(type(chunk) is bytes for chunk in chunks)
    if length < 8192:
        assert len(chunks) == 1  # joined with its header
    elif not masked:
        assert chunks[1] is payload  # not copied


def test_the_example_of_the_rfc() -> None:
    """RFC 6455, 5.7."""
    outbound = make()
    outbound.send_message(Opcode.TEXT, b"Hello")
    assert outbound.take() == [b"\x81\x05Hello"]
    outbound.send_message(Opcode.TEXT, b"Hel", fin=False)
    outbound.send_continuation(b"lo", fin=True)
    assert b"".join(outbound.take()) == b"\x01\x03Hel\x80\x02lo"


def test_each_frame_of_a_client_has_a_key_of_its_own() -> None:
    outbound = make(masked=True)
    for _ in range(3):
        outbound.send_message(Opcode.TEXT, b"same")
    first, second, third = outbound.take()
    keys = [chunk[2:6] for chunk in (first, second, third)]
    assert keys == [b"\0\1\2\3", b"\4\5\6\7", b"\x08\x09\x0a\x0b"]
    assert [xor(chunk[6:], chunk[2:6]) for chunk in (first, second, third)] == [b"same"] * 3


def test_bytes_are_kept_by_reference_and_nothing_else_is() -> None:
    outbound = make()
    payload = bytes(10_000)
    outbound.send_message(Opcode.BINARY, payload)
    assert outbound.take()[1] is payload
    for source in bytearray(10_000), bytearray(10):
        outbound.send_message(Opcode.BINARY, source)
        outbound.send_message(Opcode.BINARY, memoryview(source))
        source[:3] = b"abc"  # its owner goes on using it
        assert [frame.payload for frame in sent(outbound)] == [bytes(len(source))] * 2


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("extensions", [(), (Twice(),)])
@pytest.mark.parametrize(
    "view",
    [
        memoryview(array.array("I", [1, 2, 3])),
        memoryview(b"abcdefghijkl")[::3],
        memoryview(b"abcdefghijkl").cast("B", (3, 4)),
    ],
)
def test_views_count_in_bytes(view: memoryview, masked: bool, extensions: Any) -> None:
    outbound = make(masked=masked, extensions=extensions)
    outbound.send_message(Opcode.BINARY, view)
    expected = view.tobytes() * (2 if extensions else 1)
    assert sent(outbound) == [Sent(BINARY, expected)]


# Messages and their fragments. RFC 6455, 5.4.


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_fragments(opcode: Opcode) -> None:
    outbound = make()
    outbound.send_message(opcode, b"a", fin=False)
    assert outbound.opcode_in_progress is opcode
    outbound.send_continuation(b"", fin=False)
    assert outbound.opcode_in_progress is opcode
    outbound.send_continuation(b"c", fin=True)
    assert outbound.opcode_in_progress is None
    assert sent(outbound) == [
        Sent(opcode, b"a", False),
        Sent(CONT, b"", False),
        Sent(CONT, b"c", True),
    ]


def test_control_frames_between_fragments() -> None:
    outbound = make()
    outbound.send_message(Opcode.TEXT, b"a", fin=False)
    outbound.send_control(Opcode.PING, b"?")
    outbound.send_continuation(b"b", fin=True)
    assert [frame.opcode for frame in sent(outbound)] == [TEXT, PING, CONT]


def test_messages_do_not_mix() -> None:
    outbound = make()
    with pytest.raises(ProtocolError, match="unexpected continuation frame: no message is"):
        outbound.send_continuation(b"", fin=True)
    outbound.send_message(Opcode.TEXT, b"a", fin=False)
    for fin in True, False:
        with pytest.raises(ProtocolError, match="expected a continuation frame: a message is in"):
            outbound.send_message(Opcode.TEXT, b"b", fin=fin)
    assert sent(outbound) == [Sent(TEXT, b"a", False)]
    outbound.send_continuation(b"c", fin=True)
    outbound.send_message(Opcode.TEXT, b"d")
    assert len(sent(outbound)) == 2


@pytest.mark.parametrize("opcode", [Opcode.CLOSE, Opcode.PING, Opcode.PONG])
def test_control_frames_have_125_bytes_at_most(opcode: Opcode) -> None:
    outbound = make()
    outbound.send_control(opcode, bytes(125))
    with pytest.raises(ProtocolError, match="control frame too long: 126 bytes, expected at most"):
        outbound.send_control(opcode, bytes(126))
    assert sent(outbound) == [Sent(opcode, bytes(125))]


# Extensions.


def deflate() -> PerMessageDeflate:
    return PerMessageDeflate(False, False, 15, 15)


def test_compressed_messages() -> None:
    outbound = make(extensions=[deflate()])
    outbound.send_message(Opcode.TEXT, b"Hello")
    # RFC 7692, 7.2.3.1
    assert outbound.take() == [b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"]
    outbound.send_message(Opcode.TEXT, b"Hel", fin=False)
    outbound.send_control(Opcode.PING, b"?")
    outbound.send_continuation(b"lo", fin=True)
    assert [(frame.opcode, frame.rsv) for frame in sent(outbound)] == [
        *[(TEXT, RSV1), (PING, 0), (CONT, 0)]
    ]


def test_a_message_that_is_not_to_be_compressed() -> None:
    outbound = make(extensions=[deflate()])
    outbound.send_message(Opcode.TEXT, b"a", fin=False, compress=False)
    outbound.send_continuation(b"b", fin=True)
    outbound.send_message(Opcode.TEXT, b"c", compress=True)
    outbound.send_message(Opcode.TEXT, b"d")
    frames = sent(outbound)
    assert frames[:2] == [Sent(TEXT, b"a", False), Sent(CONT, b"b")]
    assert [frame.rsv for frame in frames[2:]] == [RSV1, RSV1]


def test_extensions_in_order_and_which_may_be_skipped() -> None:
    outbound = make(extensions=[Twice(), Rot()])
    outbound.send_message(Opcode.TEXT, b"AB")
    outbound.send_message(Opcode.TEXT, b"AB", compress=False)  # the peer would not get on
    assert sent(outbound) == [Sent(TEXT, b"NONO", True, RSV2), Sent(TEXT, b"NO", True, RSV2)]


def test_control_frames_are_never_skipped() -> None:
    outbound = make(extensions=[Twice()])
    outbound.send_message(Opcode.TEXT, b"a", fin=False, compress=False)
    outbound.send_control(Opcode.PING, b"b")
    outbound.send_continuation(b"c", fin=True)
    assert [frame.payload for frame in sent(outbound)] == [b"a", b"bb", b"c"]


def test_trace_shows_frames_as_they_are_meant() -> None:
    seen: list[tuple[bool, Frame]] = []
    outbound = make(extensions=[deflate()], masked=True)
    outbound.trace = lambda is_sent, frame: seen.append((is_sent, frame))
    outbound.send_message(Opcode.TEXT, bytearray(b"a"), fin=False)
    outbound.send_control(Opcode.PONG, b"b")
    assert seen == [(True, Frame(Opcode.TEXT, b"a", False)), (True, Frame(Opcode.PONG, b"b"))]


# The queue.


def test_the_queue_is_counted_taken_and_forgotten() -> None:
    outbound = make()
    outbound.send_message(Opcode.BINARY, bytes(10))
    outbound.send_message(Opcode.BINARY, bytes(10_000))
    outbound.send_eof()
    assert outbound.queued_bytes == 12 + 10_004
    assert outbound.take() == [b"\x82\x0a" + bytes(10), b"\x82\x7e\x27\x10", bytes(10_000), b""]
    assert SEND_EOF == b""
    assert outbound.queued_bytes == 0
    assert outbound.take() == []


def test_what_nobody_will_take() -> None:
    outbound = make()
    outbound.send_message(Opcode.BINARY, bytes(10))
    outbound.discard()
    assert (outbound.queued_bytes, outbound.take()) == (0, [])


# The network.


def test_a_network_that_takes_everything_has_no_deadline() -> None:
    outbound = make()
    assert outbound.stall_deadline(40.0) is None
    outbound.send_message(Opcode.BINARY, bytes(10))
    outbound.take()
    assert outbound.network_holds(0, 5.0) is False
    assert outbound.stall_deadline(40.0) is None


def test_a_network_that_holds_bytes() -> None:
    outbound = make()
    outbound.send_message(Opcode.BINARY, bytes(98))
    outbound.take()
    assert outbound.network_holds(100, 5.0) is True  # it begins to wait
    assert outbound.stall_deadline(40.0) == 45.0
    assert outbound.stall_deadline(None) is None
    assert outbound.network_holds(100, 10.0) is False  # nothing was taken
    assert outbound.stall_deadline(40.0) == 45.0
    assert outbound.network_holds(99, 20.0) is False  # a byte was
    assert outbound.stall_deadline(40.0) == 60.0
    assert outbound.network_holds(0, 30.0) is False
    assert outbound.stall_deadline(40.0) is None
    outbound.send_message(Opcode.BINARY, bytes(98))
    outbound.take()
    assert outbound.network_holds(1, 50.0) is True
    assert outbound.stall_deadline(40.0) == 90.0


def test_what_we_add_is_no_progress_of_the_peer() -> None:
    outbound = make()
    outbound.send_message(Opcode.BINARY, bytes(98))
    outbound.take()
    outbound.network_holds(100, 0.0)
    for now in range(1, 40):
        outbound.send_message(Opcode.BINARY, bytes(98))
        outbound.network_holds(100 * now, now)  # not yet given to the network
        outbound.take()
        outbound.network_holds(100 * now + 100, now)
        assert outbound.stall_deadline(40.0) == 40.0


# Pongs. RFC 6455, 5.5.3.


def test_each_ping_is_answered() -> None:
    outbound = make()
    for payload in b"", b"a", b"b", bytes(125):
        outbound.answer_ping(payload)
    assert [(frame.opcode, frame.payload) for frame in sent(outbound)] == [
        *[(PONG, b""), (PONG, b"a"), (PONG, b"b"), (PONG, bytes(125))]
    ]


def test_while_the_network_is_congested_only_the_latest_ping_is_answered_later() -> None:
    outbound = make()
    outbound.network_holds(CONGESTED - 1, 0.0)
    outbound.answer_ping(b"at once")
    outbound.network_holds(CONGESTED, 0.0)
    for payload in b"a", b"b", b"c":
        outbound.answer_ping(payload)
    assert sent(outbound) == [Sent(PONG, b"at once")]
    outbound.network_holds(CONGESTED, 1.0)
    assert outbound.take() == []
    outbound.network_holds(CONGESTED - 1, 2.0)
    assert sent(outbound) == [Sent(PONG, b"c")]
    outbound.network_holds(0, 3.0)
    assert outbound.take() == []


def test_no_pong_follows_the_end_of_the_stream() -> None:
    outbound = make()
    outbound.network_holds(CONGESTED, 0.0)
    outbound.answer_ping(b"a")
    outbound.send_control(Opcode.CLOSE, b"")
    outbound.send_eof()
    outbound.network_holds(0, 1.0)
    first, end = outbound.take()
    assert first[0] & 0x0F == CLOSE
    assert end == SEND_EOF
