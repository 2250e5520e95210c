"""UTF-8 that is checked as it comes. RFC 6455, 8.1, and RFC 3629."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.utf8 import Utf8Validator


@functools.cache
def oracle() -> tuple[frozenset[bytes], frozenset[bytes]]:
    """All characters as RFC 3629 lays out their bits, and all proper prefixes of them."""
    characters: set[bytes] = set()
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:  # surrogates are no characters
            continue
        if code < 0x80:
            characters.add(bytes([code]))
        elif code < 0x800:
            characters.add(bytes([0xC0 | code >> 6, 0x80 | code & 63]))
        elif code < 0x10000:
            characters.add(bytes([0xE0 | code >> 12, 0x80 | code >> 6 & 63, 0x80 | code & 63]))
        else:
            parts = code >> 18, code >> 12 & 63, code >> 6 & 63, code & 63
            characters.add(bytes([0xF0 | parts[0], *(0x80 | part for part in parts[1:])]))
    prefixes = {c[:size] for c in characters for size in range(1, len(c))}
    return frozenset(characters), frozenset(prefixes)


def accepts(pieces: Iterable[bytes], final: bool = False) -> bool:
    validator = Utf8Validator()
    try:
        for piece in pieces:
            validator.feed(piece)
        if final:
            validator.feed(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def in_bytes(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# Every beginning of a character, against the table: accepted while it can still become one.


def test_oracle() -> None:
    characters, prefixes = oracle()
    assert len(characters) == 0x110000 - 0x800
    assert not characters & prefixes
    assert all(c.decode() for c in list(characters)[:1000])


@pytest.mark.parametrize("split", [lambda data: [data], in_bytes], ids=["whole", "byte by byte"])
def test_every_beginning_of_up_to_3_bytes(split: Any) -> None:
    characters, prefixes = oracle()
    growing = [b""]
    for size in (1, 2, 3):
        longer = [start + bytes([byte]) for start in growing for byte in range(256)]
        for data in longer:
            assert accepts(split(data)) is (data in characters or data in prefixes), data
        growing = [data for data in longer if data in prefixes]
        assert len(growing) == len([p for p in prefixes if len(p) == size])


def test_every_beginning_of_4_bytes_at_the_edges() -> None:
    characters, prefixes = oracle()
    for start in prefixes:
        if len(start) == 3:
            for byte in b"\x00\x7f\x80\xbf\xc0\xff":
                data = start + bytes([byte])
                assert accepts([data]) is (data in characters), data


def test_no_text_ends_within_a_character() -> None:
    _, prefixes = oracle()
    for data in prefixes:
        if len(data) < 3 or data[2] in b"\x80\xbf":
            assert accepts([data])
            assert not accepts([data], final=True)
            assert not accepts([b"text", data], final=True)


@pytest.mark.parametrize("start", [b"", b"a", "é€😀".encode()])
def test_what_is_refused_is_refused_after_other_text_too(start: bytes) -> None:
    for data in (
        b"\x80",
        b"\xc0",
        b"\xc1",
        b"\xf5",
        b"\xff",
        b"\xe0\x9f",
        b"\xed\xa0",
        b"\xf4\x90",
    ):
        assert accepts([start, data[:-1]])
        assert not accepts([start, data[:-1], data[-1:]])
        assert not accepts([start + data])


# Positions: those that Python finds in the whole text.

BROKEN = [
    "café ☕ ".encode() + broken + after
    for broken in (
        b"\xff",
        b"\xc0\x80",
        b"\xe2\x28",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98\x28",
        b"\xf4\x90",
    )
    for after in (b"", b"more", "žluť".encode())
]


def error_of(data: bytes) -> UnicodeDecodeError:
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        return exc
    raise AssertionError("no error")


@pytest.mark.parametrize("data", BROKEN)
def test_positions_at_all_splits(data: bytes) -> None:
    expected = error_of(data)
    for split in range(len(data) + 1):
        validator = Utf8Validator()
        with pytest.raises(UnicodeDecodeError) as raised:
            for piece in (data[:split], data[split:]):
                validator.feed(piece)
        exc = raised.value
        assert (exc.encoding, exc.start, exc.end) == ("utf-8", expected.start, expected.end)
        assert exc.reason == expected.reason


@pytest.mark.parametrize("data", BROKEN)
def test_positions_byte_by_byte(data: bytes) -> None:
    expected = error_of(data)
    validator = Utf8Validator()
    with pytest.raises(UnicodeDecodeError) as raised:
        for piece in in_bytes(data):
            validator.feed(piece)
    assert (raised.value.start, raised.value.reason) == (expected.start, expected.reason)


@pytest.mark.parametrize("data", ["€".encode()[:2], "x😀".encode()[:-1], "žluť".encode()[:-1]])
def test_position_of_a_text_that_ends_within_a_character(data: bytes) -> None:
    expected = error_of(data)
    for split in range(len(data) + 1):
        validator = Utf8Validator()
        validator.feed(data[:split])
        with pytest.raises(UnicodeDecodeError, match="unexpected end of data") as raised:
            validator.feed(data[split:], True)
        assert (raised.value.start, raised.value.end) == (expected.start, expected.end)


def test_position_in_a_long_text() -> None:
    validator = Utf8Validator()
    for _ in range(1000):
        validator.feed("žluť ".encode())
    with pytest.raises(UnicodeDecodeError, match="position 7000") as raised:
        validator.feed(b"\xff")
    assert raised.value.start == 7000


# Texts.


@given(st.text(), st.lists(st.integers(0, 100), max_size=4))
def test_all_texts_at_all_splits(text: str, places: list[int]) -> None:
    data = text.encode()
    edges = sorted({0, len(data), *(min(place, len(data)) for place in places)})
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert accepts(pieces, final=True)
    assert accepts([data], final=True)


@given(st.binary(max_size=12), st.lists(st.integers(0, 12), max_size=4))
def test_all_bytes_are_judged_as_python_judges_the_whole(data: bytes, places: list[int]) -> None:
    edges = sorted({0, len(data), *(min(place, len(data)) for place in places)})
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not accepts(pieces, final=True)
    else:
        assert accepts(pieces, final=True)


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_any_bytes_like_object(convert: Any) -> None:
    validator = Utf8Validator()
    data = "€€".encode()
    for piece in (data[:2], data[2:4], b"", data[4:]):
        validator.feed(convert(piece))
    with pytest.raises(UnicodeDecodeError) as raised:
        validator.feed(convert(b"\xff"))
    assert raised.value.start == 6


def test_the_end_may_come_with_the_last_piece_or_alone() -> None:
    for pieces in ([("a", True)], [("a", False), ("", True)], [("", True)]):
        validator = Utf8Validator()
        for piece, final in pieces:
            validator.feed(piece.encode(), final)
