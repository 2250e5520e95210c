"""Payloads through DEFLATE. RFC 7692, 7.2."""

from __future__ import annotations

import itertools
import random
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from tests.core.extensions.tiny_inflate import FinalBlock, NotDeflate, tiny_inflate

from wirebird.core.extensions.deflate_codec import Deflater, Inflater
from wirebird.core.rules import MAX_DEFLATE_STREAMS
from wirebird.exceptions import PayloadTooBig, ProtocolError

TAIL = b"\x00\x00\xff\xff"
ALL_WINDOWS = range(8, 16)

# The payloads of RFC 7692, 7.2.3.1 to 7.2.3.6.
HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")
HELLO_AGAIN = bytes.fromhex("f2 00 11 00 00")
HELLO_STORED = bytes.fromhex("00 05 00 fa ff 48 65 6c 6c 6f 00")
HELLO_FINAL = bytes.fromhex("f3 48 cd c9 c9 07 00 00")
HELLO_IN_TWO_BLOCKS = bytes.fromhex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00")
EMPTY = b"\x00"


def texts() -> st.SearchStrategy[bytes]:
    """Payloads in which much repeats, near and far."""
    words = st.sampled_from([b"wire", b"bird", b"\x00" * 300, b"\xff", bytes(range(256))])
    return st.lists(words | st.binary(max_size=40), max_size=12).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut data at these places, taken modulo its length."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)] or [b""]


def compressed(data: bytes, **settings: Any) -> bytes:
    """A message compressed by zlib as another implementation would do it."""
    stream = zlib.compressobj(**{"wbits": -15, **settings})
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def inflater(window_bits: int = 15, keep_context: bool = True) -> Inflater:
    return Inflater(window_bits, keep_context)


# The examples of the RFC, byte for byte.


def test_rfc_7_2_3_1_one_block() -> None:
    deflater = Deflater(15, True, {})
    assert deflater.deflate(b"Hello", True) == HELLO
    assert inflater().inflate(HELLO, True) == b"Hello"


def test_rfc_7_2_3_1_fragments() -> None:
    receiver = inflater()
    assert receiver.inflate(HELLO[:3], False) + receiver.inflate(HELLO[3:], True) == b"Hello"


def test_rfc_7_2_3_2_shared_window() -> None:
    deflater, receiver = Deflater(15, True, {}), inflater()
    assert deflater.deflate(b"Hello", True) == HELLO
    assert deflater.deflate(b"Hello", True) == HELLO_AGAIN
    assert receiver.inflate(HELLO, True) == b"Hello"
    assert receiver.inflate(HELLO_AGAIN, True) == b"Hello"


def test_rfc_7_2_3_2_window_not_shared() -> None:
    deflater, receiver = Deflater(15, False, {}), inflater(keep_context=False)
    for _ in range(2):
        assert deflater.deflate(b"Hello", True) == HELLO
        assert receiver.inflate(HELLO, True) == b"Hello"
    with pytest.raises(ProtocolError, match="too far back"):
        receiver.inflate(HELLO_AGAIN, True)


def test_rfc_7_2_3_3_stored_block() -> None:
    assert Deflater(15, True, {"level": 0}).deflate(b"Hello", True) == HELLO_STORED
    assert inflater().inflate(HELLO_STORED, True) == b"Hello"


@pytest.mark.parametrize("keep_context", [True, False])
def test_rfc_7_2_3_4_final_block(keep_context: bool) -> None:
    receiver = inflater(keep_context=keep_context)
    for _ in range(3):
        assert receiver.inflate(HELLO_FINAL, True) == b"Hello"
        assert receiver.inflate(HELLO, True) == b"Hello"


def test_rfc_7_2_3_5_two_blocks() -> None:
    deflater = Deflater(15, True, {})
    parts = deflater.deflate(b"He", False), deflater.deflate(b"llo", True)
    assert b"".join(parts) == HELLO_IN_TWO_BLOCKS
    assert inflater().inflate(HELLO_IN_TWO_BLOCKS, True) == b"Hello"


@pytest.mark.parametrize("keep_context", [True, False])
def test_rfc_7_2_3_6_empty(keep_context: bool) -> None:
    deflater, receiver = Deflater(15, keep_context, {}), inflater(keep_context=keep_context)
    for data in (b"", b"", b"Hello", b"", b"Hello"):
        payload = deflater.deflate(data, True)
        assert (payload == EMPTY) is (not data)
        assert receiver.inflate(payload, True) == data


# Round trips.


@given(
    st.lists(st.tuples(texts(), st.lists(st.integers(0, 5000), max_size=4)), max_size=5),
    st.sampled_from(ALL_WINDOWS),
    st.booleans(),
    st.fixed_dictionaries({}, optional={"level": st.integers(0, 9), "memLevel": st.integers(1, 9)}),
    st.lists(st.integers(0, 5000), max_size=4),
)
def test_round_trip(
    messages: list[tuple[bytes, list[int]]],
    window_bits: int,
    keep_context: bool,
    settings: dict[str, int],
    recut: list[int],
) -> None:
    deflater = Deflater(window_bits, keep_context, settings)
    receiver = Inflater(window_bits, keep_context)
    for data, places in messages:
        fragments = cut(data, places)
        parts = [deflater.deflate(f, False) for f in fragments[:-1]]
        parts.append(deflater.deflate(fragments[-1], True))
        # Fragments may be cut again on their way. RFC 7692, 6.1.
        *first, last = cut(b"".join(parts), recut)
        inflated = [receiver.inflate(f, False, len(data)) for f in first]
        room = len(data) - sum(map(len, inflated))
        assert b"".join([*inflated, receiver.inflate(last, True, room)]) == data


@given(texts(), st.lists(st.integers(0, 5000), max_size=4))
def test_each_fragment_is_readable_when_it_came(data: bytes, places: list[int]) -> None:
    deflater, receiver = Deflater(15, True, {}), inflater()
    *first, last = cut(data, places)
    for fragment in first:
        assert receiver.inflate(deflater.deflate(fragment, False), False) == fragment
    assert receiver.inflate(deflater.deflate(last, True), True) == last


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_any_bytes_like_object(convert: Any) -> None:
    assert Deflater(15, True, {}).deflate(convert(b"Hello"), True) == HELLO
    assert inflater().inflate(convert(HELLO), True) == b"Hello"
    assert inflater().inflate(convert(HELLO_FINAL[:-1] + HELLO), True) == b"HelloHello"


@pytest.mark.parametrize("size", [2040, 70_000, 1_000_003])
def test_large_messages(size: int) -> None:
    data = random.Random(size).randbytes(size)
    deflater, receiver = Deflater(12, True, {"memLevel": 5}), inflater(12)
    for _ in range(2):
        assert receiver.inflate(deflater.deflate(data, True), True, size) == data


# Windows.


@pytest.mark.parametrize("window_bits", ALL_WINDOWS)
@pytest.mark.parametrize("settings", [{}, {"memLevel": 5}, {"level": 1}, {"strategy": 3}])
def test_no_reference_exceeds_the_window(window_bits: int, settings: dict[str, int]) -> None:
    unit = random.Random(0).randbytes(250)
    data = unit * 2 + random.Random(1).randbytes(600) + unit * 2
    deflater = Deflater(window_bits, True, settings)
    payload = deflater.deflate(data, True) + TAIL + deflater.deflate(data, True) + TAIL
    read = tiny_inflate(payload)
    assert read.data == data * 2
    assert read.largest_distance <= 2**window_bits
    assert (read.largest_distance > 0) is (window_bits > 8 and settings.get("strategy") != 3)


def test_a_window_of_8_bits_still_compresses() -> None:
    payload = Deflater(8, True, {"strategy": zlib.Z_FIXED}).deflate(b"abcabcab" * 500, True)
    assert len(payload) < 4000 / 3
    assert zlib.decompressobj(-8).decompress(payload + TAIL) == b"abcabcab" * 500


def test_a_reference_beyond_the_window_is_refused() -> None:
    data = random.Random(2).randbytes(2000)
    sender = zlib.compressobj(wbits=-15)
    receiver = inflater(9)
    first, second = (
        (sender.compress(data) + sender.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
        for _ in range(2)
    )
    assert receiver.inflate(first, True) == data
    with pytest.raises(ProtocolError, match="too far back"):
        receiver.inflate(second, True)


# Streams that end before the message does. RFC 7692, 7.2.1 and 7.2.3.4.


def finished(data: bytes) -> bytes:
    """A whole DEFLATE stream, its last block final."""
    return zlib.compress(data, wbits=-15)


@pytest.mark.parametrize("keep_context", [True, False])
@given(places=st.lists(st.integers(0, 5000), max_size=4))
def test_many_streams_in_a_message(keep_context: bool, places: list[int]) -> None:
    payload = finished(b"one") + finished(b"") + finished(b"two" * 100) + compressed(b"three")
    receiver = inflater(keep_context=keep_context)
    for _ in range(2):
        *first, last = cut(payload, places)
        parts = [receiver.inflate(f, False) for f in first]
        parts.append(receiver.inflate(last, True))
        assert b"".join(parts) == b"one" + b"two" * 100 + b"three"


@pytest.mark.parametrize("keep_context", [True, False])
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(finished(b"Hello"), id="the message ends with the stream"),
        pytest.param(finished(b"Hello") + b"\x00", id="an empty block follows"),
        pytest.param(HELLO_STORED[:-1] + b"\x01", id="the last, empty block is final"),
        pytest.param(b"\x01" + HELLO_STORED[1:-1], id="a stored block is final"),
    ],
)
def test_ends_of_streams_at_the_end(payload: bytes, keep_context: bool) -> None:
    receiver = inflater(keep_context=keep_context)
    for _ in range(3):
        assert receiver.inflate(payload, True, 5) == b"Hello"


def test_a_final_block_empties_the_window() -> None:
    receiver = inflater()
    assert receiver.inflate(HELLO_FINAL, True) == b"Hello"
    with pytest.raises(ProtocolError, match="too far back"):
        receiver.inflate(HELLO_AGAIN, True)


def test_the_number_of_streams_is_bounded_per_message() -> None:
    receiver = inflater()
    payload = finished(b"") * MAX_DEFLATE_STREAMS
    for _ in range(2):
        half = len(payload) // 2
        assert (
            receiver.inflate(payload[:half], False) + receiver.inflate(payload[half:], True) == b""
        )
    with pytest.raises(ProtocolError, match="too many DEFLATE streams in a message"):
        receiver.inflate(payload + finished(b""), True)


def test_what_follows_a_stream_is_copied_in_pieces() -> None:
    data = random.Random(3).randbytes(100_000)
    payload = finished(b"a") + finished(b"b") + compressed(data)
    assert inflater().inflate(payload, True, 100_002) == b"ab" + data


# What is refused.


@pytest.mark.parametrize("keep_context", [True, False])
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HELLO[:-2], id="no end of block"),
        pytest.param(HELLO[:-1], id="no beginning of the empty block"),
        pytest.param(HELLO_STORED[:7], id="a stored block cut short"),
        pytest.param(HELLO_STORED[:3], id="the length of a stored block cut short"),
        pytest.param(HELLO_FINAL[:-2], id="a final block cut short"),
        pytest.param(HELLO_FINAL + b"\x02", id="a second block cut short"),
        pytest.param(HELLO + TAIL + b"\xff", id="a reserved kind of block"),
        pytest.param(b"\xff" * 20, id="garbage"),
        pytest.param(finished(b"Hello") + b"\xff", id="garbage after a final block"),
        pytest.param(b"\x00\x05\x00\x00\x00Hello\x00", id="a wrong length"),
    ],
)
def test_broken_payloads(payload: bytes, keep_context: bool) -> None:
    with pytest.raises(ProtocolError, match=r"^invalid compressed payload: "):
        inflater(keep_context=keep_context).inflate(payload, True)


@pytest.mark.parametrize("keep_context", [True, False])
def test_an_empty_message_is_no_compressed_one_after_others_either(keep_context: bool) -> None:
    receiver = inflater(keep_context=keep_context)
    receiver.inflate(HELLO, True)
    with pytest.raises(ProtocolError, match="stops within a block"):
        receiver.inflate(b"", True)


@given(texts(), st.data())
def test_a_message_cut_short_is_never_taken_as_a_shorter_one(data: bytes, draw: Any) -> None:
    payload = compressed(data)
    payload = payload[: draw.draw(st.integers(0, len(payload)))]
    receiver = inflater(keep_context=draw.draw(st.booleans()))
    try:
        expected = bytes(tiny_inflate(payload + TAIL).data)  # some parts are messages by themselves
    except NotDeflate:
        with pytest.raises(ProtocolError):
            receiver.inflate(payload, True)
    except FinalBlock:
        reject()
    else:
        assert receiver.inflate(payload, True) == expected


@given(st.binary(max_size=60), st.booleans(), st.booleans())
def test_whatever_comes_is_inflated_or_refused(
    payload: bytes, final: bool, keep_context: bool
) -> None:
    try:
        inflated = inflater(keep_context=keep_context).inflate(payload, final, 100)
    except (ProtocolError, PayloadTooBig):
        return
    assert len(inflated) <= 100
    if final:
        try:
            assert tiny_inflate(payload + TAIL).data == inflated
        except FinalBlock:
            reject()


# Bounds.


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("limit", [0, 1, 99, 100, 16_384, 99_999])
def test_limit(limit: int, final: bool) -> None:
    payload = compressed(b"\x00" * 100_000)
    with pytest.raises(PayloadTooBig) as raised:
        inflater().inflate(payload, final, limit)
    assert (raised.value.size, raised.value.max_size) == (None, limit)
    assert str(raised.value) == f"frame exceeds limit of {limit} bytes"
    assert len(inflater().inflate(payload, final, 100_000)) == 100_000


@given(texts(), st.integers(-3, 3))
def test_limit_is_exact(data: bytes, room: int) -> None:
    limit = max(0, len(data) + room)
    payload = compressed(data)
    if len(data) <= limit:
        assert inflater().inflate(payload, True, limit) == data
    else:
        with pytest.raises(PayloadTooBig):
            inflater().inflate(payload, True, limit)


def test_limit_that_nothing_is_left_of() -> None:
    with pytest.raises(PayloadTooBig):
        inflater().inflate(HELLO, True, -1)
    assert inflater().inflate(EMPTY, True, 0) == b""


def test_limit_counts_over_the_streams_of_a_frame() -> None:
    payload = finished(b"12345") * 4 + EMPTY
    assert inflater().inflate(payload, True, 20) == b"12345" * 4
    with pytest.raises(PayloadTooBig, match="limit of 19 bytes"):
        inflater().inflate(payload, True, 19)


def test_limit_holds_for_what_the_tail_brings() -> None:
    # Four bytes of a stored block are those that the receiver appends.
    payload = b"\x00\x04\x00\xfb\xff"
    with pytest.raises(PayloadTooBig):
        inflater().inflate(payload, True, 3)


@pytest.mark.parametrize("keep_context", [True, False])
def test_a_bomb_takes_no_memory(keep_context: bool) -> None:
    bomb = compressed(b"\x00" * 100_000_000)
    assert len(bomb) < 100_000
    limit = 200_000
    receiver = inflater(keep_context=keep_context)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooBig):
            receiver.inflate(bomb, True, limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Held for a moment: the result, in zlib's blocks and joined, the rest of the input, the stream.
    assert peak < 2 * limit + len(bomb) + 100_000


# Contexts are made when they are needed, and go when they are not.


@pytest.fixture
def streams_made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def counting(name: str, make: Any) -> Any:
        def make_and_count(**settings: Any) -> Any:
            made.append(name)
            return make(**settings)

        return make_and_count

    for name in ("compressobj", "decompressobj"):
        monkeypatch.setattr(zlib, name, counting(name, getattr(zlib, name)))
    return made


def test_no_stream_before_it_is_needed(streams_made: list[str]) -> None:
    deflater, receiver = Deflater(15, True, {}), inflater()
    deflater.deflate(b"", False)
    deflater.deflate(b"", True)
    receiver.inflate(b"", False)
    assert streams_made == []
    for _ in range(3):
        receiver.inflate(deflater.deflate(b"Hello", True), True)
    assert streams_made == ["compressobj", "decompressobj"]


def test_no_stream_after_the_message_without_context(streams_made: list[str]) -> None:
    deflater, receiver = Deflater(15, False, {}), inflater(keep_context=False)
    for count in (1, 2):
        for fragment, final in ((b"He", False), (b"llo", True)):
            receiver.inflate(deflater.deflate(fragment, final), final)
        assert streams_made == ["compressobj", "decompressobj"] * count
    tracemalloc.start()
    try:
        receiver.inflate(deflater.deflate(b"Hello", True), True)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak > 250_000 > 1000 > held
