"""The stream that parsers read from: limits, ends, and work that is linear in the bytes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.feeding import NeedsMore, feed, parse_each_way, refuse_each_way

from wirebird.core.streams import StreamReader
from wirebird.exceptions import SecurityError

Reader = Callable[[StreamReader], Generator[None, None, Any]]


def line(m: int) -> Reader:
    return lambda stream: stream.read_line(m, SecurityError)


def exact(n: int) -> Reader:
    return lambda stream: stream.read_exact(n)


def to_eof(m: int) -> Reader:
    return lambda stream: stream.read_to_eof(m, SecurityError)


# Attacks.


@pytest.mark.parametrize("data", [b"spam\n", b"spam", b"spam" * 1000, b"spameggs\n"])
def test_a_line_is_refused_once_it_is_longer_than_allowed(data: bytes) -> None:
    refuse_each_way(line(4), data, SecurityError, "longer than 4 bytes")


def test_an_endless_line_is_refused_before_more_than_the_limit_was_searched() -> None:
    stream = StreamReader()
    reader = stream.read_line(10, SecurityError)
    stream.feed_data(b"x" * 9)
    next(reader)
    stream.feed_data(b"x")
    with pytest.raises(SecurityError):
        next(reader)


class CountingBuffer(bytearray):
    """Counts the bytes that are searched."""

    searched = 0

    def find(
        self, sub: Any, start: SupportsIndex | None = 0, end: SupportsIndex | None = None, /
    ) -> int:
        assert start is not None
        self.searched += len(self) - int(start)
        return super().find(sub, start, end)


def test_a_dribbled_line_is_searched_once() -> None:
    stream = StreamReader()
    stream.buffer = buffer = CountingBuffer()
    reader = stream.read_line(10_000, SecurityError)
    for _ in range(5_000):
        next(reader)
        stream.feed_data(b"x")
    stream.feed_data(b"\n")
    with pytest.raises(StopIteration):
        next(reader)
    assert buffer.searched <= 5_001


@pytest.mark.parametrize("data", [b"spams", b"spam" * 1000])
def test_a_stream_is_refused_once_it_is_longer_than_allowed(data: bytes) -> None:
    refuse_each_way(to_eof(4), data, SecurityError, "longer than 4 bytes")


def test_a_stream_that_ends_together_with_too_many_bytes_is_refused_too() -> None:
    stream = StreamReader()
    stream.feed_data(b"spams")
    stream.feed_eof()
    with pytest.raises(SecurityError):
        next(stream.read_to_eof(4, SecurityError))


def test_limits_have_an_error_of_their_own() -> None:
    for reader in [StreamReader.read_line, StreamReader.read_to_eof]:
        stream = StreamReader()
        stream.feed_data(b"spam")
        with pytest.raises(RuntimeError):
            next(reader(stream, 3))


def test_a_negative_number_of_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        next(StreamReader().read_exact(-1))


# Lines, numbers of bytes, everything.


@pytest.mark.parametrize("data", [b"\n", b"\r\n", b"spam\n", b"spam\r\n", b"\xff\n", b"7654321\n"])
def test_read_line(data: bytes) -> None:
    assert parse_each_way(line(8), data) == data


@pytest.mark.parametrize("data", [b"", b"\n", b"spam", bytes(1000)])
def test_read_exact(data: bytes) -> None:
    assert parse_each_way(exact(len(data)), data) == data


@pytest.mark.parametrize("data", [b"", b"\n", b"spam", b"spameggs"])
def test_read_to_eof(data: bytes) -> None:
    assert parse_each_way(to_eof(8), data, to_eof=True) == data
    with pytest.raises(NeedsMore):
        feed(to_eof(8), [data])


@pytest.mark.parametrize(("reader", "data"), [(line(9), b"spam"), (line(9), b""), (exact(5), b"a")])
def test_a_stream_that_ends_too_early(reader: Reader, data: bytes) -> None:
    refuse_each_way(reader, data, EOFError, rf"after {len(data)} bytes", eof=True)


@given(st.lists(st.binary(max_size=30), max_size=20), st.data())
def test_lines_come_as_they_were_whatever_the_pieces(
    lines: list[bytes], data: st.DataObject
) -> None:
    lines = [line.replace(b"\n", b" ") + b"\n" for line in lines]
    text = b"".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    def read_all(stream: StreamReader) -> Generator[None, None, list[bytes]]:
        result = []
        while not (yield from stream.at_eof()):
            result.append(bytes((yield from stream.read_line(31))))
        return result

    assert feed(read_all, pieces, eof=True) == (lines, b"")


# Ends and rests.


def test_at_eof_waits_until_it_is_known() -> None:
    stream = StreamReader()
    question = stream.at_eof()
    next(question)
    stream.feed_data(b"spam")
    with pytest.raises(StopIteration) as stop:
        next(question)
    assert stop.value.value is False
    stream.discard()
    stream.feed_eof()
    with pytest.raises(StopIteration) as stop:
        next(stream.at_eof())
    assert stop.value.value is True


def test_nothing_comes_after_the_end() -> None:
    stream = StreamReader()
    stream.feed_eof()
    with pytest.raises(EOFError):
        stream.feed_data(b"spam")
    with pytest.raises(EOFError):
        stream.feed_eof()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_can_be_fed_and_the_rest_taken_as_bytes(kind: Callable[[bytes], bytes]) -> None:
    stream = StreamReader()
    stream.feed_data(kind(b"spam\neggs"))
    with pytest.raises(StopIteration) as stop:
        next(stream.read_line(8))
    assert stop.value.value == b"spam\n"
    rest = stream.take_rest()
    assert rest == b"eggs"
    assert type(rest) is bytes
    assert stream.take_rest() == b""
    stream.feed_data(b"more")  # it goes on
    assert stream.take_rest() == b"more"


def test_what_is_discarded_is_gone_and_the_stream_goes_on() -> None:
    stream = StreamReader()
    stream.feed_data(b"spam")
    stream.discard()
    assert not stream.buffer
    stream.feed_data(b"eggs")
    assert stream.take_rest() == b"eggs"
