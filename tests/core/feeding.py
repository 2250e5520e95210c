"""Feeds a generator parser from a StreamReader: whole, byte by byte, or with trailing data."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

import pytest

from wirebird.core.streams import StreamReader

T = TypeVar("T")
Parser = Callable[[StreamReader], Generator[None, None, T]]

TRAILING = b"\x81\x02hi\r\n\r\nGET / HTTP/1.1\r\n\r\n"


class NeedsMore(Exception):
    """The parser waits, and nothing is left to feed."""


def feed(parser: Parser[T], pieces: Iterable[bytes], *, eof: bool = False) -> tuple[T, bytes]:
    """Return what the parser made of the pieces, and the bytes that it left.

    Raises:
        NeedsMore: it wants more than there is.
    """
    stream = StreamReader()
    generator = parser(stream)
    source: Iterator[bytes] = iter(pieces)
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value, stream.take_rest() + b"".join(source)
        piece = next(source, None)
        if piece is not None:
            stream.feed_data(piece)
        elif eof and not stream.eof:
            stream.feed_eof()
        else:
            raise NeedsMore


def in_bytes(data: bytes) -> list[bytes]:
    """Cut data into single bytes."""
    return [data[i : i + 1] for i in range(len(data))]


def parse_each_way(parser: Parser[T], data: bytes, *, to_eof: bool = False) -> T:
    """Parse data in every way, and demand one result and that trailing data is left alone.

    Args:
        parser: gets a stream.
        data: exactly what it should consume.
        to_eof: whether it should read until the stream ends, so that nothing can trail.
    """
    whole, rest = feed(parser, [data], eof=to_eof)
    assert rest == b""
    assert feed(parser, in_bytes(data), eof=to_eof) == (whole, b"")
    if not to_eof:
        assert feed(parser, [data + TRAILING]) == (whole, TRAILING)
        assert feed(parser, in_bytes(data + TRAILING)) == (whole, TRAILING)
        for end in range(len(data)):
            with pytest.raises(NeedsMore):
                feed(parser, [data[:end]])
    return whole


def refuse_each_way(
    parser: Parser[T], data: bytes, error: type[Exception], match: str, *, eof: bool = False
) -> None:
    """Demand that data is refused with the same error in every way that it can come."""
    for pieces in [data], in_bytes(data), *([] if eof else [[data + TRAILING]]):
        with pytest.raises(error, match=match) as caught:
            feed(parser, pieces, eof=eof)
        assert type(caught.value) is error
