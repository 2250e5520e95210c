"""The order of fragments, the limits of messages, and putting them together. RFC 6455, 5.4, 5.6."""

from __future__ import annotations

from typing import Any

import pytest

from wirebird.core.frames import RSV1, Header
from wirebird.core.messages import MessageOrder, Reassembly, SizeLimits
from wirebird.core.rules import Opcode
from wirebird.exceptions import PayloadTooBig, ProtocolError, TooManyFragments

CONT, TEXT, BINARY = Opcode.CONT, Opcode.TEXT, Opcode.BINARY


def header(opcode: Opcode, length: int = 0, *, fin: bool = True, rsv: int = 0) -> Header:
    return Header(fin, rsv, opcode, length, b"", 2)


def order(max_size: Any = None, max_fragments: int | None = None) -> MessageOrder:
    return MessageOrder(SizeLimits(max_size), max_fragments)


# Limits on sizes.


@pytest.mark.parametrize(
    ("max_size", "current", "left"),
    [
        (None, 0, None),
        (None, 10, None),
        (10, 0, 10),
        (10, 4, 6),
        (10, 10, 0),
        ((10, None), 4, 6),
        ((None, 5), 1000, 5),
        ((10, 5), 4, 5),
        ((10, 5), 8, 2),
        ((None, None), 8, None),
    ],
)
def test_what_is_left_for_the_next_frame(max_size: Any, current: int, left: int | None) -> None:
    assert SizeLimits(max_size).left(current) == left


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_frame_of_just_the_limit(opcode: Opcode) -> None:
    judge = order(10)
    for _ in range(3):
        judge.check(header(opcode, 10))
    with pytest.raises(PayloadTooBig) as raised:
        judge.check(header(opcode, 11))
    assert str(raised.value) == "frame with 11 bytes exceeds limit of 10 bytes"


@pytest.mark.parametrize("fin", [True, False])
def test_fragments_are_added_up(fin: bool) -> None:
    judge = order(10)
    judge.check(header(TEXT, 6, fin=False))
    judge.check(header(CONT, 4, fin=fin))
    judge = order(10)
    judge.check(header(TEXT, 6, fin=False))
    judge.check(header(CONT, 0, fin=False))
    with pytest.raises(PayloadTooBig) as raised:
        judge.check(header(CONT, 5, fin=fin))
    assert str(raised.value) == (
        "frame with 5 bytes after reading 6 bytes exceeds limit of 10 bytes"
    )


def test_each_message_begins_at_nought() -> None:
    judge = order(10)
    for _ in range(3):
        judge.check(header(TEXT, 9, fin=False))
        judge.check(header(CONT, 1))


def test_a_limit_for_frames() -> None:
    judge = order((100, 10))
    judge.check(header(TEXT, 10, fin=False))
    for _ in range(9):
        judge.check(header(CONT, 10, fin=False))
    with pytest.raises(PayloadTooBig):
        judge.check(header(CONT, 1))
    with pytest.raises(PayloadTooBig):
        order((100, 10)).check(header(TEXT, 11))
    with pytest.raises(PayloadTooBig):
        order((None, 10)).check(header(TEXT, 11))


@pytest.mark.parametrize("length", [2**31, 2**32, 2**40, 2**63 - 1])
def test_a_huge_length_is_refused_as_it_is_declared(length: int) -> None:
    order(None).check(header(BINARY, length))
    with pytest.raises(PayloadTooBig) as raised:
        order(2**20).check(header(BINARY, length))
    assert raised.value.size == length


def test_a_transformed_message_may_be_a_little_longer_on_the_wire() -> None:
    allowed = 6400 + 100 + 1024
    order(6400).check(header(TEXT, allowed, rsv=RSV1))
    with pytest.raises(PayloadTooBig):
        order(6400).check(header(TEXT, allowed + 1, rsv=RSV1))
    judge = order(6400)
    for opcode, rsv in [(TEXT, RSV1), (CONT, 0), (CONT, 0)]:  # its sizes say nothing yet
        judge.check(header(opcode, 6400, fin=False, rsv=rsv))
    judge.check(header(CONT, 0))
    with pytest.raises(PayloadTooBig):  # the next message is not transformed
        judge.check(header(TEXT, 6401))


# The number of fragments.


def test_empty_fragments_count() -> None:
    judge = order(max_fragments=3)
    for _ in range(2):
        judge.check(header(TEXT, fin=False))
        judge.check(header(CONT, fin=False))
        judge.check(header(CONT))
    judge.check(header(TEXT, fin=False))
    judge.check(header(CONT, fin=False))
    judge.check(header(CONT, fin=False))
    with pytest.raises(TooManyFragments, match="exceeds limit of 3 frames"):
        judge.check(header(CONT))


def test_any_number_of_fragments() -> None:
    judge = order(max_fragments=None)
    judge.check(header(TEXT, fin=False))
    for _ in range(200_000):
        judge.check(header(CONT, fin=False))
    judge.check(header(CONT))


def test_a_message_in_one_frame_has_one_fragment() -> None:
    judge = order(max_fragments=1)
    judge.check(header(TEXT, 1))
    judge.check(header(TEXT, 1, fin=False))
    with pytest.raises(TooManyFragments):
        judge.check(header(CONT, 1))


# Their order. RFC 6455, 5.4.


@pytest.mark.parametrize("fin", [True, False])
def test_a_continuation_of_nothing(fin: bool) -> None:
    with pytest.raises(ProtocolError, match="unexpected continuation frame: no message has begun"):
        order().check(header(CONT, fin=fin))
    judge = order()
    judge.check(header(TEXT, fin=False))
    judge.check(header(CONT))
    with pytest.raises(ProtocolError, match="unexpected continuation"):
        judge.check(header(CONT, fin=fin))


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("second", [TEXT, BINARY])
@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_a_beginning_within_a_message(first: Opcode, second: Opcode, fin: bool) -> None:
    judge = order()
    judge.check(header(first, 1, fin=False))
    with pytest.raises(ProtocolError) as raised:
        judge.check(header(second, 1, fin=fin))
    assert str(raised.value) == f"expected a continuation frame, got {second.name}"


# Putting them together.


def whole(opcode: Opcode, payload: bytes) -> Reassembly:
    message = Reassembly()
    message.add_whole(opcode, payload)
    return message


def pieces(opcode: Opcode, *payloads: bytes, final: bool = True) -> Reassembly:
    message = Reassembly()
    message.opcode = opcode
    for at, payload in enumerate(payloads):
        message.add(payload, final=final and at == len(payloads) - 1)
    return message


TEXTS = ["", "a", "žluťoučký kůň", "\u20ac\U0001f426"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("decode", [None, True, False])
def test_messages(text: str, opcode: Opcode, decode: bool | None) -> None:
    payload = text.encode()
    is_str = decode or (decode is None and opcode is TEXT)
    expected = text if is_str else payload
    octets = [payload[at : at + 1] for at in range(len(payload))] or [b""]
    for message in whole(opcode, payload), pieces(opcode, payload), pieces(opcode, *octets):
        assert message.is_complete
        assert message.size == len(payload)
        taken = message.take(decode)
        assert taken == expected
        assert type(taken) is type(expected)
        assert (message.opcode, message.is_complete, message.size) == (None, False, 0)
        assert message.tail(5) == b""


@pytest.mark.parametrize("decode", [None, True, False])
@pytest.mark.parametrize(
    ("payload", "start"),
    [(b"\xff", 0), (b"ab\xc3", 2), (b"a\xed\xa0\x80", 1), (b"\xc0\x80", 0), (b"abc\xf5", 3)],
)
def test_a_text_that_is_not_utf_8_is_refused_whole_or_in_pieces(
    payload: bytes, start: int, decode: bool | None
) -> None:
    with pytest.raises(UnicodeDecodeError) as raised:
        whole(TEXT, payload).take(decode)
    assert raised.value.start == start
    with pytest.raises(UnicodeDecodeError) as raised:
        pieces(TEXT, *(bytes([octet]) for octet in payload))
    assert raised.value.start == start


@pytest.mark.parametrize(
    ("payload", "taken"), [(b"a\xc3\xa9\xff..", 3), (b"\xed\xa0\x80", 1), (b"\xe2\x28", 1)]
)
def test_pieces_of_a_text_are_refused_at_the_first_wrong_byte(payload: bytes, taken: int) -> None:
    message = pieces(TEXT, payload[:taken], final=False)
    with pytest.raises(UnicodeDecodeError):
        message.add(payload[taken : taken + 1], final=False)


def test_binary_is_only_refused_when_it_is_asked_for_as_str() -> None:
    assert whole(BINARY, b"\xff").take(None) == b"\xff"
    with pytest.raises(UnicodeDecodeError):
        whole(BINARY, b"\xff").take(True)
    with pytest.raises(UnicodeDecodeError):
        pieces(BINARY, b"a", b"\xff").take(True)


def test_what_is_handed_out_belongs_to_the_taker() -> None:
    source = bytearray(b"abc")
    message = pieces(BINARY, bytes(source), final=False)
    message.add(memoryview(b"def"), final=True)
    taken = message.take(None)
    message.opcode = BINARY
    message.add(b"xyz", final=True)
    assert taken == b"abcdef"


def test_a_whole_message_is_not_copied() -> None:
    payload = bytes(1000)
    assert whole(BINARY, payload).take(None) is payload


@pytest.mark.parametrize(
    ("length", "expected"), [(0, b""), (2, b"ef"), (6, b"abcdef"), (8, b"abcdef")]
)
def test_tail(length: int, expected: bytes) -> None:
    assert pieces(BINARY, b"abc", b"def").tail(length) == expected
    assert whole(BINARY, b"abc").tail(length) == b"abc"


def test_reset() -> None:
    message = pieces(TEXT, b"abc\xc3", final=False)
    message.reset()
    message.opcode = TEXT
    message.add(b"d", final=True)
    assert message.take(None) == "d"


# Fragment by fragment.


@pytest.mark.parametrize("decode", [None, True, False])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_whole_message_is_one_fragment(opcode: Opcode, decode: bool | None) -> None:
    is_str = decode or (decode is None and opcode is TEXT)
    message = whole(opcode, "é".encode())
    assert message.take_fragment(decode) == ("é" if is_str else "é".encode(), True)
    assert message.opcode is None
    assert not message.is_begun


def test_a_character_that_two_fragments_share_is_in_the_second() -> None:
    message = pieces(TEXT, b"a\xe2\x82", final=False)
    message.has_fragment = True
    assert message.take_fragment(None) == ("a", False)
    assert (message.is_begun, message.has_fragment) == (True, False)
    message.add(b"\xac", final=False)
    assert message.take_fragment(None) == ("€", False)
    message.add(b"", final=True)
    assert message.take_fragment(None) == ("", True)
    assert not message.is_begun


def test_fragments_as_bytes_are_as_they_came() -> None:
    message = pieces(TEXT, b"a\xe2", final=False)
    assert message.take_fragment(False) == (b"a\xe2", False)
    message.add(b"\x82\xac", final=True)
    assert message.take_fragment(False) == (b"\x82\xac", True)


@pytest.mark.parametrize("first", [None, True, False])
def test_fragments_first_and_the_rest_as_a_message(first: bool | None) -> None:
    message = pieces(TEXT, b"a\xe2\x82", final=False)
    message.take_fragment(first)
    message.add(b"\xacb", final=True)
    assert message.take(None) == "€b"
    message = pieces(TEXT, b"a\xe2\x82", final=False)
    message.take_fragment(first)
    message.add(b"\xacb", final=True)
    assert message.take(False) == b"\xacb"


def test_str_after_bytes() -> None:
    message = pieces(TEXT, b"a\xe2\x82", final=False)
    assert message.take_fragment(False) == (b"a\xe2\x82", False)
    message.add(b"\xacb", final=True)
    assert message.take_fragment(None) == ("€b", True)


def test_binary_fragments_as_str() -> None:
    message = pieces(BINARY, b"\xc3", final=False)
    assert message.take_fragment(True) == ("", False)
    message.add(b"\xa9", final=False)
    assert message.take_fragment(True) == ("é", False)
    message.add(b"\xc3", final=True)
    with pytest.raises(UnicodeDecodeError):
        message.take_fragment(True)


@pytest.mark.parametrize("decode", [None, True, False])
def test_a_whole_text_that_is_not_utf_8_as_a_fragment(decode: bool | None) -> None:
    with pytest.raises(UnicodeDecodeError):
        whole(TEXT, b"\xff").take_fragment(decode)
