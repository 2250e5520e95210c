"""The buffer, its scanner and its reader. RFC 6455, 5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.core.endpoint import BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, head, in_pieces, xor
from tests.core.third_party import Bounded, Broken, Marked, Rot, Twice

from wirebird.core.extensions.permessage_deflate import PerMessageDeflate
from wirebird.core.frames import RSV1, RSV2, RSV3, Frame
from wirebird.core.inbound import Inbound
from wirebird.core.messages import SizeLimits
from wirebird.core.rules import MAX_UNREAD_BYTES, Opcode
from wirebird.exceptions import PayloadTooBig, ProtocolError, TooManyFragments

MASKED = [False, True]


class Input(Inbound):
    """An inbound half, and what it handed over."""

    def __init__(
        self,
        *,
        masked: bool = False,
        extensions: Any = (),
        max_size: Any = None,
        max_fragments: int | None = None,
        marks: tuple[int | None, int | None] = (None, None),
        on_control: Callable[[Opcode, bytes], None] | None = None,
    ) -> None:
        self.controls: list[tuple[Opcode, bytes]] = []
        super().__init__(
            masked=masked,
            extensions=extensions,
            limits=SizeLimits(max_size),
            max_fragments=max_fragments,
            marks=marks,
            on_control=on_control or (lambda *told: self.controls.append(told)),
        )

    def take(self, *data: bytes, size: int | None = None) -> None:
        """Feed and scan."""
        whole = b"".join(data)
        for piece in in_pieces(whole, size or len(whole) or 1):
            self.feed(piece)
            self.scan()

    def messages(self) -> list[Any]:
        """Read what there is."""
        got = []
        while self.advance():
            got.append(self.message.take(None))
        return got


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = False
) -> bytes:
    first = (0x80 if fin else 0) | rsv | opcode
    return head(first, len(payload), masked=masked) + (xor(payload, KEY) if masked else payload)


def deflate() -> PerMessageDeflate:
    return PerMessageDeflate(False, False, 15, 15)


# Frames that may come.


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("masked", MASKED)
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 125, 126, 127, 65535, 65536, 70_003])
def test_lengths(length: int, masked: bool, size: int | None) -> None:
    if size == 1 and length > 1000:
        size = 997
    payload = bytes(at % 251 for at in range(length))
    inbound = Input(masked=masked)
    inbound.take(frame(BINARY, payload, masked=masked), b"\x82", size=size)
    assert inbound.has_unread
    assert inbound.messages() == [payload]
    assert inbound.violation is None


@pytest.mark.parametrize("form", [16, 64])
def test_a_length_need_not_be_in_its_shortest_form_to_be_read(form: int) -> None:
    """RFC 6455, 5.2 demands it of senders; refusing it helps nobody, and websockets does not."""
    inbound = Input()
    inbound.take(head(0x82, 3, masked=False, form=form) + b"abc")
    assert inbound.messages() == [b"abc"]


def test_the_example_of_the_rfc() -> None:
    """RFC 6455, 5.7."""
    inbound = Input(masked=True)
    inbound.take(bytes.fromhex("8185 37fa213d 7f9f4d5158"))
    assert inbound.messages() == ["Hello"]


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("masked", MASKED)
def test_control_frames_are_handed_over_as_they_come(masked: bool, size: int | None) -> None:
    def build(opcode: int, payload: bytes, fin: bool = True) -> bytes:
        return frame(opcode, payload, fin=fin, masked=masked)

    inbound = Input(masked=masked)
    inbound.take(
        build(TEXT, b"a", False),
        build(PING, b"p"),
        build(CONT, b"b"),
        build(PONG, bytes(125)),
        build(CLOSE, b""),
        size=size,
    )
    expected = [(Opcode.PING, b"p"), (Opcode.PONG, bytes(125)), (Opcode.CLOSE, b"")]
    assert inbound.controls == expected
    assert inbound.messages() == ["ab"]
    assert inbound.controls == expected  # once
    assert inbound.unread_bytes == 0


# Frames that may not.


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("masked", MASKED)
@pytest.mark.parametrize(
    ("first", "length", "match"),
    [
        *[(0x80 | opcode, 0, f"invalid opcode: {opcode:#x}") for opcode in (3, 4, 5, 6, 7)],
        *[(0x80 | opcode, 0, f"invalid opcode: {opcode:#x}") for opcode in (11, 12, 13, 14, 15)],
        *[(0x80 | TEXT | rsv, 0, "reserved bits must be 0") for rsv in (RSV1, RSV2, RSV3)],
        *[(0x80 | PING | rsv, 0, "reserved bits must be 0") for rsv in (RSV1, RSV2, RSV3)],
        *[(CLOSE, 0, "CLOSE without FIN"), (PING, 0, "PING without FIN")],
        *[(0x80 | PING, 126, "PING with more than 125"), (0x80 | CLOSE, 2**16, "CLOSE with more")],
        *[(TEXT, 2**63, "most significant bit"), (0x80 | CONT, 0, "no message has begun")],
    ],
)
def test_headers_that_break_the_rules(
    first: int, length: int, match: str, masked: bool, size: int | None
) -> None:
    """RFC 6455, 5.2, 5.4 and 5.5."""
    inbound = Input(masked=masked)
    good = frame(TEXT, b"before", masked=masked)
    inbound.take(good, head(first, length, masked=masked), bytes(10), size=size)
    assert isinstance(inbound.violation, ProtocolError)
    assert match in str(inbound.violation)
    assert inbound.is_ended
    assert inbound.messages() == ["before"]
    assert inbound.unread_bytes == 0


@pytest.mark.parametrize("masked", MASKED)
def test_the_mask_bit_must_be_that_of_the_role(masked: bool) -> None:
    """RFC 6455, 5.1."""
    for size in None, 1:
        inbound = Input(masked=masked)
        inbound.take(frame(TEXT, b"a", masked=not masked), size=size)
        assert "incorrect masking" in str(inbound.violation)


@pytest.mark.parametrize("data", [b"\xc3\x80", b"\xc9\x80", b"\xf0\x80", b"\x8f\x80", b"\xc1\xff"])
def test_what_is_told_does_not_depend_on_how_bytes_are_cut(data: bytes) -> None:
    told = set()
    for size in None, 1:
        inbound = Input()
        inbound.take(data, size=size)
        told.add(str(inbound.violation))
    assert len(told) == 1


def test_a_frame_is_refused_by_its_first_byte() -> None:
    for first in b"\x83", b"\x09", b"\xc1":
        inbound = Input()
        inbound.take(first)
        assert inbound.violation is not None


def test_sizes_are_judged_before_memory_is_taken() -> None:
    inbound = Input(max_size=2**20)
    inbound.take(head(0x82, 2**40, masked=False))
    assert isinstance(inbound.violation, PayloadTooBig)
    inbound.feed(bytes(1000))
    assert inbound.unread_bytes == 0


def test_too_many_fragments() -> None:
    inbound = Input(max_fragments=2)
    inbound.take(frame(TEXT, fin=False), frame(CONT, fin=False), frame(CONT))
    assert isinstance(inbound.violation, TooManyFragments)


def test_what_the_handler_of_control_frames_raises_is_a_violation() -> None:
    def refuse(opcode: Opcode, payload: bytes) -> None:
        payload.decode()

    inbound = Input(on_control=refuse)
    inbound.take(frame(TEXT, b"a"), frame(PING, b"\xff"), frame(TEXT, b"b"))
    assert isinstance(inbound.violation, UnicodeDecodeError)
    assert inbound.messages() == ["a"]
    assert not inbound.advance()


def test_a_handler_of_control_frames_may_read() -> None:
    got: list[Any] = []

    def read(opcode: Opcode, payload: bytes) -> None:
        got.append(opcode)
        while inbound.advance():
            got.append(inbound.message.take(None))

    inbound = Input(on_control=read)
    inbound.feed(frame(PING) + frame(TEXT, b"a") + frame(PONG) + frame(TEXT, b"b") + b"\x89\x04ab")
    assert inbound.messages() == []
    assert got == [Opcode.PING, "a", Opcode.PONG, "b"]
    inbound.feed(b"cd")
    inbound.scan()
    assert got[4:] == [Opcode.PING]
    assert inbound.controls == []


# The reader.


def test_the_reader_runs_ahead_of_the_scanner_when_it_is_asked_first() -> None:
    inbound = Input()
    inbound.feed(frame(TEXT, b"a") + frame(PING, b"p") + frame(TEXT, b"b") + frame(PING, b"q"))
    assert inbound.advance()
    assert inbound.controls == []  # it is behind
    assert inbound.message.take(None) == "a"
    assert inbound.advance()
    assert inbound.controls == [(Opcode.PING, b"p")]
    assert inbound.message.take(None) == "b"
    assert not inbound.advance()
    assert inbound.controls[1:] == [(Opcode.PING, b"q")]


def test_text_is_refused_in_the_middle_of_a_frame() -> None:
    inbound = Input(masked=True)
    whole = frame(TEXT, b"abc\xff" + bytes(1000), masked=True)
    inbound.feed(whole[:11])
    assert not inbound.advance()
    inbound.feed(whole[11:12])
    with pytest.raises(UnicodeDecodeError) as raised:
        inbound.advance()
    assert raised.value.start == 3


def test_by_frame() -> None:
    inbound = Input()
    inbound.take(frame(TEXT, b"a", fin=False), frame(CONT, b"", fin=False), b"\x80\x02b")
    for expected in ("a", False), ("", False):
        assert inbound.advance(by_frame=True)
        assert inbound.message.take_fragment(None) == expected
    assert not inbound.advance(by_frame=True)
    inbound.feed(b"c")
    assert inbound.advance(by_frame=True)
    assert inbound.message.take_fragment(None) == ("bc", True)


def test_a_large_frame_goes_through_a_small_buffer() -> None:
    inbound = Input(masked=True)
    payload = bytes(at % 251 for at in range(1_000_003))
    largest = 0
    for piece in in_pieces(frame(BINARY, payload, masked=True), 100_001):
        inbound.feed(piece)
        is_complete = inbound.advance()
        largest = max(largest, inbound.unread_bytes)
    assert is_complete
    assert inbound.message.take(None) == payload
    assert largest == 0


def test_what_was_read_is_given_back_while_more_waits() -> None:
    inbound = Input()
    inbound.take(*[frame(BINARY, bytes(1000))] * 200)
    for _ in range(100):
        assert inbound.advance()
        inbound.message.take(None)
    assert len(inbound._buffer) < 170_000
    assert len(inbound.messages()) == 100


# What is unread.


def test_what_is_unread() -> None:
    inbound = Input()
    assert not inbound.has_unread
    inbound.take(b"\x81")
    assert inbound.has_unread  # not looked at yet
    inbound.take(b"\x02a")
    assert not inbound.has_unread  # no message, and no complete frame of one
    inbound.take(b"b")
    assert inbound.has_unread
    assert inbound.advance()
    assert inbound.has_unread  # it was not taken
    inbound.message.take(None)
    assert not inbound.has_unread
    inbound.take(frame(TEXT, fin=False))
    assert inbound.has_unread  # a complete frame
    assert not inbound.advance()
    assert not inbound.has_unread


def test_marks_count_complete_frames() -> None:
    inbound = Input(marks=(4, 1))
    inbound.take(*[frame(TEXT, b"a")] * 4, b"\x81\x02a")
    assert not inbound.is_above_mark
    inbound.take(b"b")
    assert inbound.is_above_mark
    for is_below in False, False, False, True:
        assert inbound.is_below_mark is False
        assert inbound.advance()
        inbound.message.take(None)
        assert inbound.is_below_mark is is_below


def test_control_frames_do_not_count() -> None:
    inbound = Input(marks=(0, 0))
    inbound.take(*[frame(PING, b"a")] * 100)
    assert not inbound.is_above_mark
    assert inbound.is_below_mark
    inbound.take(frame(TEXT))
    assert inbound.is_above_mark


@pytest.mark.parametrize("marks", [(None, None), (16, 4)])
def test_marks_count_bytes(marks: tuple[int | None, int | None]) -> None:
    inbound = Input(marks=marks)
    inbound.take(head(0x82, 2**20, masked=False), bytes(MAX_UNREAD_BYTES - 10))
    assert inbound.unread_bytes == MAX_UNREAD_BYTES
    assert not inbound.is_above_mark
    inbound.take(b"a")
    assert inbound.is_above_mark
    assert not inbound.is_below_mark
    assert not inbound.advance()
    assert inbound.unread_bytes == 0
    assert inbound.is_below_mark
    inbound.take(bytes(MAX_UNREAD_BYTES // 4))
    assert inbound.is_below_mark
    inbound.take(b"a")
    assert not inbound.is_below_mark


# The end.


@pytest.mark.parametrize("rest", [b"", b"\x81", b"\x81\x05ab", b"\x01\x01a", b"\x89\x03a"])
def test_complete_messages_before_the_end_can_be_read(rest: bytes) -> None:
    inbound = Input()
    inbound.take(frame(TEXT, b"a"), frame(TEXT, b"b"), rest)
    inbound.end()
    inbound.feed(frame(TEXT, b"c"))
    inbound.scan()
    assert inbound.messages() == ["a", "b"]
    assert not inbound.has_unread
    assert inbound.violation is None


def test_dropping_what_is_unread() -> None:
    inbound = Input()
    inbound.take(frame(TEXT, b"a", fin=False), frame(CONT, b"b"), frame(TEXT, b"c"), b"\x81\x05a")
    assert inbound.advance()
    inbound.drop()
    assert (inbound.unread_bytes, inbound.has_unread, inbound.messages()) == (0, False, [])
    inbound.feed(frame(TEXT))
    assert inbound.messages() == []
    assert not inbound.is_above_mark


# Looking at headers only, while closing.


@pytest.mark.parametrize("masked", MASKED)
@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("cut", range(12))
def test_skipping_what_is_not_complete(cut: int, before: int, masked: bool) -> None:
    inbound = Input(masked=masked)
    good = [frame(TEXT, b"%d" % at, masked=masked) for at in range(before)]
    last = frame(BINARY, bytes(10), masked=masked)
    inbound.take(*good, last[:cut])
    inbound.skip_ahead()
    inbound.skip_ahead()  # again: nothing
    inbound.take(last[cut:], *[frame(BINARY, bytes(1000), masked=masked)] * 1000)
    assert inbound.unread_bytes <= 100
    inbound.take(frame(PING, b"p", masked=masked), size=1)
    assert inbound.controls == [(Opcode.PING, b"p")]
    assert len(inbound._ahead) == 0
    assert not inbound.is_above_mark
    assert inbound.messages() == [str(at) for at in range(before)]
    inbound.take(frame(CLOSE, masked=masked))
    inbound.end()
    assert inbound.messages() == []
    assert inbound.controls[1:] == [(Opcode.CLOSE, b"")]


@pytest.mark.parametrize("is_completed", [True, False])
def test_skipping_while_the_reader_is_within_a_frame(is_completed: bool) -> None:
    inbound = Input()
    inbound.take(frame(TEXT, b"a", fin=False), b"\x80\x05bcd")
    assert not inbound.advance()  # it has taken bcd
    if is_completed:
        inbound.take(b"ef", frame(TEXT, b"next"), b"\x81\x05xy")
    inbound.skip_ahead()
    inbound.take(b"zzz" if is_completed else b"ef", frame(TEXT, b"lost"), frame(PING, b"p"))
    assert inbound.messages() == (["abcdef", "next"] if is_completed else [])
    assert inbound.controls == [(Opcode.PING, b"p")]
    assert not inbound.has_unread


def test_skipping_still_judges() -> None:
    inbound = Input()
    inbound.take(frame(TEXT, b"a"))
    inbound.skip_ahead()
    inbound.take(frame(TEXT, b"b"), b"\x83")
    assert isinstance(inbound.violation, ProtocolError)
    assert inbound.messages() == ["a"]
    inbound.drop()
    assert inbound.messages() == []


def test_dropping_while_skipping() -> None:
    inbound = Input()
    inbound.take(frame(TEXT, b"a"), frame(TEXT, b"b"))
    inbound.skip_ahead()
    inbound.take(b"\x81")
    inbound.drop()
    assert inbound.messages() == []
    assert inbound.is_ended


# Control frames for those who look at frames.


@pytest.mark.parametrize("masked", MASKED)
def test_control_frames_in_their_place(masked: bool) -> None:
    inbound = Input(masked=masked)
    inbound.feed(frame(PING, b"p", masked=masked) + frame(TEXT, b"a", masked=masked))
    assert inbound.next_control() == Frame(Opcode.PING, b"p")
    assert inbound.controls == [(Opcode.PING, b"p")]
    assert inbound.next_control() is None
    assert inbound.advance()
    assert inbound.next_control() is None  # the message first
    inbound.message.take(None)
    assert inbound.next_control() is None
    inbound.take(frame(TEXT, b"b", masked=masked)[:-1])
    assert not inbound.advance()
    assert inbound.next_control() is None


# Extensions.


@pytest.mark.parametrize(
    ("first", "allowed"),
    [
        (0x80 | TEXT | RSV1, True),
        (0x80 | BINARY | RSV1, True),
        (0x80 | TEXT | RSV2, False),
        (0x80 | TEXT | RSV1 | RSV3, False),
        (0x80 | PING | RSV1, False),
    ],
)
def test_reserved_bits_of_permessage_deflate(first: int, allowed: bool) -> None:
    """RFC 7692, 6."""
    inbound = Input(extensions=[deflate()])
    inbound.take(bytes([first]))
    assert (inbound.violation is None) is allowed


def test_a_continuation_frame_is_not_marked_as_compressed() -> None:
    """RFC 7692, 6.1."""
    inbound = Input(extensions=[deflate()])
    inbound.take(frame(TEXT, b"", fin=False, rsv=RSV1), frame(CONT, b"\x00", rsv=RSV1))
    assert isinstance(inbound.violation, ProtocolError)


@pytest.mark.parametrize("size", [None, 1, 2])
@pytest.mark.parametrize("masked", MASKED)
def test_compressed_messages(masked: bool, size: int | None) -> None:
    """RFC 7692, 7.2.3."""
    hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00"
    inbound = Input(masked=masked, extensions=[deflate()])
    inbound.take(
        frame(TEXT, hello, rsv=RSV1, masked=masked),
        frame(TEXT, b"plain", masked=masked),
        frame(TEXT, hello[:3], rsv=RSV1, fin=False, masked=masked),
        frame(PING, b"p", masked=masked),
        frame(CONT, hello[3:], masked=masked),
        frame(TEXT, b"pl", fin=False, masked=masked),
        frame(CONT, b"ain", masked=masked),
        size=size,
    )
    assert inbound.messages() == ["Hello", "plain", "Hello", "plain"]
    assert inbound.controls == [(Opcode.PING, b"p")]


def test_a_compressed_frame_is_inflated_once_it_is_complete() -> None:
    inbound = Input(extensions=[deflate()], masked=True)
    data = frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=RSV1, masked=True)
    for octet in in_pieces(data[:-1], 1):
        inbound.feed(octet)
        assert not inbound.advance()
        assert inbound.message.size == 0
    inbound.feed(data[-1:])
    assert inbound.messages() == ["Hello"]


def test_the_limit_holds_for_what_is_inflated() -> None:
    bomb = PerMessageDeflate(False, False, 15, 15).encode(Frame(Opcode.BINARY, bytes(10_001)))
    for max_size in 10_001, (10_001, None), (None, 10_001), None:
        inbound = Input(extensions=[deflate()], max_size=max_size)
        inbound.take(frame(BINARY, bytes(bomb.data), rsv=RSV1))
        assert inbound.messages() == [bytes(10_001)]
    for max_size in 10_000, (10_000, None), (None, 10_000):
        inbound = Input(extensions=[deflate()], max_size=max_size)
        inbound.take(frame(BINARY, bytes(bomb.data), rsv=RSV1))
        assert inbound.violation is None  # as long as nobody asks
        with pytest.raises(PayloadTooBig, match="limit of 10000 bytes"):
            inbound.advance()


def test_the_limit_holds_over_compressed_fragments() -> None:
    codec = PerMessageDeflate(False, False, 15, 15)
    first = codec.encode(Frame(Opcode.BINARY, bytes(6000), fin=False))
    second = codec.encode(Frame(Opcode.CONT, bytes(5000)))
    for max_size, is_allowed in (11_000, True), (10_999, False):
        inbound = Input(extensions=[deflate()], max_size=max_size)
        inbound.take(frame(BINARY, bytes(first.data), fin=False, rsv=RSV1))
        inbound.take(frame(CONT, bytes(second.data)))
        if is_allowed:
            assert inbound.messages() == [bytes(11_000)]
        else:
            with pytest.raises(PayloadTooBig, match="after reading 6000 bytes exceeds limit of 10"):
                inbound.advance()


def test_third_party_extensions_in_reverse_order() -> None:
    inbound = Input(extensions=[Twice(), Rot()])
    inbound.take(frame(TEXT, b"NO", rsv=RSV2, fin=False), frame(PING, b"p"))
    inbound.take(frame(CONT, b"P", rsv=RSV2))
    assert inbound.messages() == ["ABABCC"]
    assert inbound.controls == [(Opcode.PING, b"pp")]


def test_an_extension_that_inherits_from_nothing() -> None:
    inbound = Input(extensions=[Marked()])
    inbound.take(frame(TEXT, b"a", rsv=RSV3, fin=False), frame(PING, b"p", rsv=RSV3))
    inbound.take(frame(CONT, b"b", rsv=RSV3))
    assert inbound.messages() == ["ab"]
    assert inbound.controls == [(Opcode.PING, b"p")]


def test_an_extension_with_a_mistake() -> None:
    inbound = Input(extensions=[Broken()])
    inbound.take(frame(TEXT, b"a"))
    with pytest.raises(LookupError):
        inbound.advance()
    inbound = Input(extensions=[Broken()])
    inbound.take(frame(PING, b"p"), frame(TEXT, b"a"))
    assert isinstance(inbound.violation, LookupError)
    assert inbound.controls == []


def test_bits_that_no_extension_took() -> None:
    inbound = Input(extensions=[Rot()])
    inbound.take(frame(TEXT, b"N", rsv=RSV2 | RSV3))
    with pytest.raises(ProtocolError, match="reserved bits must be 0"):
        inbound.advance()
    inbound = Input(extensions=[Rot()])
    inbound.take(frame(TEXT, b"N", rsv=RSV2), frame(PING, b"", rsv=RSV3))
    assert "reserved bits must be 0" in str(inbound.violation)
    assert inbound.messages() == ["A"]


def test_control_frames_that_an_extension_makes_too_long() -> None:
    inbound = Input(extensions=[Twice()])
    inbound.take(frame(PING, bytes(63)))
    assert "control frame too long" in str(inbound.violation)
    assert inbound.controls == []


def test_an_extension_that_does_not_look_at_limits() -> None:
    inbound = Input(extensions=[Twice()], max_size=10)
    inbound.take(frame(BINARY, bytes(5)), frame(BINARY, bytes(6)))
    assert inbound.advance()
    inbound.message.take(None)
    with pytest.raises(PayloadTooBig, match="frame with 12 bytes exceeds limit of 10 bytes"):
        inbound.advance()


def test_an_extension_that_inflates_a_later_fragment_too_far() -> None:
    inbound = Input(extensions=[Twice()], max_size=10)
    inbound.take(frame(BINARY, bytes(3), fin=False), frame(CONT, bytes(3)))
    with pytest.raises(PayloadTooBig, match="after reading 6 bytes exceeds limit of 10 bytes"):
        inbound.advance()


def test_an_extension_that_does() -> None:
    inbound = Input(extensions=[Bounded()], max_size=100)
    inbound.take(frame(BINARY, bytes(4), fin=False), frame(CONT, bytes(7)))
    with pytest.raises(PayloadTooBig, match="after reading 40 bytes exceeds limit of 100 bytes"):
        inbound.advance()


# The trace.


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("extensions", [[], [deflate()]])
def test_trace(extensions: list[Any], size: int | None) -> None:
    seen = []
    inbound = Input(extensions=extensions)
    inbound.trace = lambda is_sent, told: seen.append((is_sent, told))
    inbound.feed(frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONT, b"bc"))
    inbound.feed(frame(BINARY, b"\xff") + frame(BINARY))
    assert inbound.messages() == ["abc", b"\xff", b""]
    assert seen == [
        (False, Frame(Opcode.TEXT, b"a", False)),
        (False, Frame(Opcode.PING, b"p")),
        (False, Frame(Opcode.CONT, b"bc")),
        (False, Frame(Opcode.BINARY, b"\xff")),
        (False, Frame(Opcode.BINARY, b"")),
    ]


def test_the_trace_sees_frames_as_their_extension_decodes_them() -> None:
    seen: list[Frame] = []
    inbound = Input(extensions=[Twice()])
    inbound.trace = lambda sent, frame: seen.append(frame)
    inbound.take(frame(BINARY, b"ab"))
    assert inbound.messages() == [b"abab"]
    assert [bytes(frame.data) for frame in seen] == [b"abab"]


# What is held.


def test_what_is_read_is_not_held() -> None:
    inbound = Input()
    assert inbound.held_bytes == 0
    inbound.take(frame(TEXT, b"Hello"), frame(TEXT, b"again")[:4])
    assert inbound.held_bytes == 7 + 4
    assert inbound.messages() == ["Hello"]
    assert inbound.held_bytes == 0  # what has come of the last is in its message


def test_what_the_scanner_skipped_to_is_held_too() -> None:
    inbound = Input()
    inbound.take(frame(TEXT, b"Hello"))
    before = inbound.held_bytes
    inbound.skip_ahead()
    inbound.take(frame(PING, b"p")[:2])
    assert before <= inbound.held_bytes <= before + 2
