"""The payload of a Close frame. RFC 6455, 5.5.1, 7.1.5, 7.1.6 and 7.4."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import pytest
import websockets.exceptions
import websockets.frames as peer
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.close import Close
from wirebird.core.rules import CloseCode, is_wire_close_code
from wirebird.exceptions import ProtocolError

wire_codes = st.sampled_from([code for code in range(1000, 5000) if is_wire_close_code(code)])
reasons = st.text(max_size=30).filter(lambda reason: len(reason.encode("utf-8", "replace")) < 124)
reasons = reasons.filter(lambda reason: reason.isprintable() or reason.isascii())


@pytest.mark.parametrize("convert", [bytes, bytearray])
@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (b"", 1005, ""),
        (b"\x03\xe8", 1000, ""),
        (b"\x03\xe9bye", 1001, "bye"),
        (b"\x0b\xb8" + "žluť".encode(), 3000, "žluť"),
        (b"\x13\x87" + b"x" * 123, 4999, "x" * 123),
        (b"\x03\xe8\x00\n\x7f", 1000, "\x00\n\x7f"),
    ],
)
def test_parse(data: bytes, code: int, reason: str, convert: Any) -> None:
    close = Close.parse(convert(data))
    assert close == Close(code, reason)
    if data:
        assert close.serialize() == data


@given(wire_codes, reasons)
def test_round_trip(code: int, reason: str) -> None:
    data = Close(code, reason).serialize()
    assert data == struct.pack("!H", code) + reason.encode()
    assert Close.parse(data) == Close(code, reason)


@pytest.mark.parametrize("byte", [0, 3, 255])
def test_one_byte_is_too_short(byte: int) -> None:
    with pytest.raises(ProtocolError, match="1 byte, expected 0 or at least 2") as raised:
        Close.parse(bytes([byte]))
    assert raised.value.close_code == 1002


@pytest.mark.parametrize(
    "code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
)
def test_codes_that_are_not_for_the_wire(code: int) -> None:
    problem = f"invalid close code: {code}, expected 1000-1003, 1007-1014 or 3000-4999"
    with pytest.raises(ProtocolError) as raised:
        Close.parse(struct.pack("!H", code) + b"reason")
    assert str(raised.value) == problem
    with pytest.raises(ProtocolError) as raised:
        Close(code, "").serialize()
    assert str(raised.value) == problem


@pytest.mark.parametrize("code", [-1, 65536, 2**40])
def test_codes_that_have_no_room(code: int) -> None:
    with pytest.raises(ProtocolError, match=f"invalid close code: {code}"):
        Close(code, "").serialize()


def test_members_of_the_enumeration_are_shown_as_numbers() -> None:
    with pytest.raises(ProtocolError, match=r"^invalid close code: 1006, "):
        Close(CloseCode.ABNORMAL_CLOSURE, "").check()


@pytest.mark.parametrize("reason", [b"\xff", b"abc\xc3", b"\xed\xa0\x80", b"\xc0\x80"])
def test_reasons_that_are_not_utf_8(reason: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        Close.parse(b"\x03\xe8" + reason)


@pytest.mark.parametrize("reason", ["x" * 124, "ž" * 62, "x" * 10_000])
def test_reasons_that_are_too_long(reason: str) -> None:
    size = len(reason.encode())
    problem = f"close reason too long: {size} bytes, expected at most 123"
    for call in (Close(1000, reason).serialize, Close(1000, reason).check):
        with pytest.raises(ProtocolError) as raised:
            call()
        assert str(raised.value) == problem
    with pytest.raises(ProtocolError, match="close reason too long"):
        Close.parse(b"\x03\xe8" + reason.encode())


def test_check_takes_what_serialize_takes() -> None:
    Close(1000, "x" * 123).check()
    Close(4999, "ž" * 61).check()


@pytest.mark.parametrize("reason", ["", "because"])
@pytest.mark.parametrize(
    "code", [*CloseCode, 0, 999, 1004, 1016, 2999, 3000, 3999, 4000, 4999, 5000]
)
def test_str_is_that_of_websockets(code: int, reason: str) -> None:
    assert str(Close(code, reason)) == str(peer.Close(code, reason))


def test_fields_are_those_of_websockets() -> None:
    assert [f.name for f in dataclasses.fields(Close)] == [
        f.name for f in dataclasses.fields(peer.Close)
    ]


@given(st.binary(max_size=12) | st.builds(bytes.__add__, st.just(b"\x03\xe8"), st.binary()))
def test_parse_judges_as_websockets(data: bytes) -> None:
    def outcome(parse: Any) -> Any:
        try:
            close = parse(data)
        except (ProtocolError, websockets.exceptions.ProtocolError):
            return "ProtocolError"
        except UnicodeDecodeError:
            return "UnicodeDecodeError"
        return int(close.code), close.reason

    expected = outcome(peer.Close.parse)
    if len(data) > 125 and not isinstance(expected, str):
        # websockets leaves the length to the frame; here it is told here too.
        expected = "ProtocolError"
    assert outcome(Close.parse) == expected
