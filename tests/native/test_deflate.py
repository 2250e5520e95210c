"""zlib from C does what the codec of the core does, with Python's module, to the byte.

Each case is given to both; what the core's codec must do is for its own tests to say.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.extensions import deflate_codec as core
from wirebird.core.rules import MAX_DEFLATE_STREAMS
from wirebird.exceptions import PayloadTooBig, ProtocolError

native: Any = pytest.importorskip(
    "wirebird.native.deflate",
    reason="the native engine was not built: setup.py build_ext --inplace, with a C compiler",
    exc_type=ImportError,
)
if not native.available():
    pytest.skip("zlib's C functions were not found: install libz", allow_module_level=True)

TAIL = b"\x00\x00\xff\xff"
STATM = Path("/proc/self/statm")

is_same_zlib = pytest.mark.skipif(
    native.version() != zlib.ZLIB_RUNTIME_VERSION,
    reason=f"Python has zlib {zlib.ZLIB_RUNTIME_VERSION}, the system {native.version()}",
)
needs_statm = pytest.mark.skipif(not STATM.exists(), reason=f"the system has no {STATM}")


class Inflates(Protocol):
    def inflate(self, data: bytes, final: bool, max_size: int | None = None) -> bytes: ...


Step = tuple[bytes, bool, int | None]
Outcome = bytes | tuple[type, str, int | None]


def texts() -> st.SearchStrategy[bytes]:
    """Payloads in which much repeats, near and far."""
    words = st.sampled_from([b"wire", b"bird", b"\x00" * 300, b"\xff", bytes(range(256))])
    return st.lists(words | st.binary(max_size=40), max_size=12).map(b"".join)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut data at these places, taken modulo its length."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)] or [b""]


def compressed(data: bytes, **settings: Any) -> bytes:
    """A message compressed by zlib as another implementation would do it."""
    stream = zlib.compressobj(**{"wbits": -15, **settings})
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def finished(data: bytes) -> bytes:
    """A whole DEFLATE stream, its last block final."""
    return zlib.compress(data, wbits=-15)


def as_steps(parts: Sequence[bytes], max_size: int | None = None) -> list[Step]:
    """One message, its fragments as they are."""
    return [(part, at == len(parts) - 1, max_size) for at, part in enumerate(parts)]


def outcomes(inflater: Inflates, steps: Iterable[Step]) -> list[Outcome]:
    """What each step gives, up to the first error, as which it is told."""
    result: list[Outcome] = []
    for data, final, max_size in steps:
        try:
            inflated = inflater.inflate(data, final, max_size)
        except (ProtocolError, PayloadTooBig) as exc:
            result.append((type(exc), str(exc), exc.close_code))
            break
        assert type(inflated) is bytes
        result.append(inflated)
    return result


def assert_alike(window_bits: int, keep_context: bool, steps: Sequence[Step]) -> list[Outcome]:
    """Give the steps to both; return what both give."""
    expected = outcomes(core.Inflater(window_bits, keep_context), steps)
    assert outcomes(native.Inflater(window_bits, keep_context), steps) == expected
    return expected


# What goes out.

settings_of_zlib = st.fixed_dictionaries(
    {},
    optional={
        "level": st.integers(-1, 9),
        "memLevel": st.integers(1, 9),
        "strategy": st.integers(0, 4),
        "method": st.just(zlib.DEFLATED),
        "zdict": st.sampled_from([b"", b"wirebird" * 3, bytes(300)]),
        "wbits": st.integers(9, 15),  # which does not count
    },
)
messages_in_fragments = st.lists(
    st.tuples(texts(), st.lists(st.integers(0, 5000), max_size=4)), max_size=5
)


@is_same_zlib
@given(messages_in_fragments, st.integers(8, 15), st.booleans(), settings_of_zlib)
def test_compresses_to_the_same_bytes(
    messages: list[tuple[bytes, list[int]]],
    window_bits: int,
    keep_context: bool,
    settings: dict[str, Any],
) -> None:
    ours = native.Deflater(window_bits, keep_context, settings)
    theirs = core.Deflater(window_bits, keep_context, settings)
    for data, places in messages:
        for part, final, _ in as_steps(cut(data, places)):
            assert ours.deflate(part, final) == theirs.deflate(part, final)


@given(messages_in_fragments, st.integers(8, 15), st.booleans(), settings_of_zlib)
def test_what_one_compresses_the_other_inflates(
    messages: list[tuple[bytes, list[int]]],
    window_bits: int,
    keep_context: bool,
    settings: dict[str, Any],
) -> None:
    settings.pop("zdict", None)
    deflater = native.Deflater(window_bits, keep_context, settings)
    for_core, for_native = core.Deflater(window_bits, keep_context, settings), deflater
    to_core = core.Inflater(window_bits, keep_context)
    to_native = native.Inflater(window_bits, keep_context)
    for data, places in messages:
        for part, final, _ in as_steps(cut(data, places)):
            # Each fragment can be read when it came.
            assert to_core.inflate(for_native.deflate(part, final), final, len(part)) == part
            assert to_native.inflate(for_core.deflate(part, final), final, len(part)) == part


@pytest.mark.parametrize("size", [50_000, 57_000, 65_535, 65_536, 70_000, 1_000_003])
@pytest.mark.parametrize("settings", [{}, {"level": 0}, {"memLevel": 1}, {"strategy": 4}])
@pytest.mark.parametrize("keep_context", [True, False])
def test_large_messages(size: int, settings: dict[str, int], keep_context: bool) -> None:
    noise = random.Random(size).randbytes(size)
    deflater = native.Deflater(12, keep_context, settings)
    receivers = native.Inflater(12, keep_context), core.Inflater(12, keep_context)
    for data in (noise, bytes(size), noise):
        payload = deflater.deflate(data, True)
        assert len(payload) < size * 9 / 8 + size / 32 + 64
        for receiver in receivers:
            assert receiver.inflate(payload, True, size) == data
            assert outcomes(receiver, [(b"\x00", True, 0)]) == [b""]


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_any_bytes_like_object(convert: Callable[[bytes], Any]) -> None:
    hello = native.Deflater(15, True, {}).deflate(convert(b"Hello"), True)
    assert hello == bytes.fromhex("f2 48 cd c9 c9 07 00")
    assert native.Inflater(15, True).inflate(convert(hello), True) == b"Hello"
    assert native.Deflater(15, True, {}).deflate(convert(b""), True) == b"\x00"


def test_what_is_no_bytes_like_object() -> None:
    for wrong in ("Hello", None, memoryview(b"Hello")[::2]):
        with pytest.raises((TypeError, BufferError)):
            native.Deflater(15, True, {}).deflate(wrong, True)
        with pytest.raises((TypeError, BufferError)):
            native.Inflater(15, True).inflate(wrong, True)


def test_reset_begins_a_context_that_refers_to_nothing_before() -> None:
    deflater, receiver = native.Deflater(15, True, {}), core.Inflater(15, True)
    first = deflater.deflate(b"Hello" * 50, True)
    assert receiver.inflate(first, True) == b"Hello" * 50
    # What another has compressed goes to the same peer.
    shared = core.Deflater(9, False, {}).deflate(b"to all", True)
    deflater.reset()
    assert receiver.inflate(shared, True) == b"to all"
    second = deflater.deflate(b"Hello" * 50, True)
    assert second == first
    assert receiver.inflate(second, True) == b"Hello" * 50
    assert len(deflater.deflate(b"Hello" * 50, True)) < len(first)


def test_reset_within_a_message() -> None:
    deflater, receiver = native.Deflater(15, True, {}), core.Inflater(15, True)
    deflater.reset()
    parts = [deflater.deflate(b"Hello", False)]
    deflater.reset()
    deflater.reset()
    parts.append(deflater.deflate(b"Hello", True))
    assert [receiver.inflate(part, at == 1) for at, part in enumerate(parts)] == [b"Hello"] * 2


# Arguments.


@pytest.mark.parametrize(
    "settings",
    [
        {"speed": 1},
        {"level": 10},
        {"level": -2},
        {"level": 3.0},
        {"level": "1"},
        {"memLevel": 0},
        {"memLevel": 10},
        {"strategy": -1},
        {"strategy": 5},
        {"method": 9},
        {"zdict": None},
        {"zdict": "Hello"},
    ],
)
def test_settings_that_zlib_does_not_take(settings: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as expected:
        zlib.compressobj(**settings, wbits=-15)
    with pytest.raises(expected.type):
        native.Deflater(15, True, settings)


@pytest.mark.parametrize("window_bits", [-15, 0, 7, 16, 2**40])
def test_windows_that_there_are_not(window_bits: int) -> None:
    with pytest.raises(ValueError, match="between 8 and 15"):
        native.Deflater(window_bits, True, {})
    with pytest.raises(ValueError, match="between 8 and 15"):
        native.Inflater(window_bits, True)


def test_settings_are_taken_when_they_are_given() -> None:
    dictionary = bytearray(b"wirebird" * 4)
    settings = {"zdict": dictionary}
    deflater = native.Deflater(15, False, settings)
    expected = core.Deflater(15, False, {"zdict": bytes(dictionary)}).deflate(b"wirebird", True)
    dictionary[:] = bytes(32)
    settings.clear()
    for _ in range(2):
        assert deflater.deflate(b"wirebird", True) == expected


# What comes in.


@st.composite
def conversations(draw: st.DrawFn) -> tuple[int, bool, list[Step]]:
    """Payloads of every kind, some of them spoilt, cut into fragments."""
    steps: list[Step] = []
    keep_context = draw(st.booleans())
    sender = zlib.compressobj(wbits=-draw(st.integers(9, 15)))
    for _ in range(draw(st.integers(1, 4))):
        payload = b""
        for kind in draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)):
            data = draw(texts())
            if kind == 0:
                payload += sender.compress(data) + sender.flush(zlib.Z_SYNC_FLUSH)
            elif kind == 1:
                payload += finished(data)
            elif kind == 2:
                payload += compressed(data, level=draw(st.integers(0, 9))) + TAIL
            elif kind == 3:
                payload += draw(st.binary(max_size=8))
            else:
                payload = payload.removesuffix(TAIL)
        payload = payload.removesuffix(TAIL)
        if payload and draw(st.integers(0, 3)) == 0:
            spoilt = bytearray(payload)
            spoilt[draw(st.integers(0, len(payload) - 1))] ^= 1 << draw(st.integers(0, 7))
            payload = bytes(spoilt)
        if draw(st.integers(0, 3)) == 0:
            payload = payload[: draw(st.integers(0, len(payload)))]
        max_size = draw(st.none() | st.integers(-1, 700) | st.integers(10_000, 2**60))
        places = draw(st.lists(st.integers(0, 5000), max_size=3))
        steps += as_steps(cut(payload, places), max_size)
    return draw(st.integers(8, 15)), keep_context, steps


@given(conversations())
def test_inflates_or_refuses_alike(conversation: tuple[int, bool, list[Step]]) -> None:
    assert_alike(*conversation)


@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans(), st.none() | st.integers(-2, 99))))
def test_garbage_is_refused_alike(steps: list[Step]) -> None:
    assert_alike(15, True, steps)


@pytest.mark.parametrize("keep_context", [True, False])
def test_every_payload_of_up_to_two_bytes(keep_context: bool) -> None:
    ends = {
        outcome[1] if isinstance(outcome, tuple) else "taken"
        for size in range(3)
        for payload in itertools.product(range(256), repeat=size)
        for outcome in assert_alike(15, keep_context, [(bytes(payload), True, 1000)])
    }
    assert {"taken", "invalid compressed payload: the message stops within a block"} < ends
    assert len(ends) > 4


PAYLOADS = [
    pytest.param(compressed(b"Hello" * 3 + bytes(range(256))), id="dynamic codes"),
    pytest.param(compressed(b"Hello Hello", strategy=zlib.Z_FIXED), id="fixed codes"),
    pytest.param(compressed(b"Hello Hello", level=0), id="stored"),
    pytest.param(finished(b"Hello" * 9) + finished(b"") + compressed(b"Hello"), id="streams"),
    pytest.param(finished(bytes(range(256)) * 2), id="a final block"),
    pytest.param(b"\x00\x04\x00\xfb\xff", id="a stored block of the tail itself"),
    pytest.param(compressed(b"Hello") + TAIL + compressed(b"Hello"), id="blocks of messages"),
]


@pytest.mark.parametrize("keep_context", [True, False])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_cut_short_at_every_byte(payload: bytes, keep_context: bool) -> None:
    refused = 0
    for end in range(len(payload) + 1):
        outcome = assert_alike(15, keep_context, as_steps([payload[:end]]))
        refused += isinstance(outcome[-1], tuple)
    assert 0 < refused <= len(payload)


@pytest.mark.parametrize("keep_context", [True, False])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_cut_in_two_at_every_byte(payload: bytes, keep_context: bool) -> None:
    whole = assert_alike(15, keep_context, as_steps([payload]))
    for place in range(len(payload) + 1):
        steps = as_steps([payload[:place], payload[place:]])
        parts = assert_alike(15, keep_context, [*steps, *steps])
        assert parts[0] + parts[1] == parts[2] + parts[3] == whole[0]  # type: ignore[operator]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_every_limit(payload: bytes) -> None:
    (whole,) = assert_alike(15, True, as_steps([payload]))
    for limit in range(-2, len(whole) + 2):
        (outcome,) = assert_alike(15, True, as_steps([payload], limit))
        assert (outcome == whole) is (limit >= len(whole))


@pytest.mark.parametrize("keep_context", [True, False])
def test_a_final_block_empties_the_window(keep_context: bool) -> None:
    hello_again = bytes.fromhex("f2 00 11 00 00")
    steps: list[Step] = [(finished(b"Hello"), True, None), (hello_again, True, None)]
    outcome = assert_alike(15, keep_context, steps)
    assert "invalid distance too far back" in outcome[-1][1]  # type: ignore[operator]


def test_the_number_of_streams_is_bounded_per_message() -> None:
    payload = finished(b"") * MAX_DEFLATE_STREAMS
    parts = cut(payload, [len(payload) // 2])
    assert assert_alike(15, True, as_steps(parts) * 2) == [b""] * 4
    for final in (True, False):
        (outcome,) = assert_alike(15, True, [(payload + finished(b""), final, None)])
        assert outcome[1] == "too many DEFLATE streams in a message: more than 1024"


class Bits:
    """A payload, bit by bit. RFC 1951, 3.1.1."""

    def __init__(self) -> None:
        self.bits: list[int] = []

    def add(self, value: int, size: int) -> None:
        self.bits += [value >> at & 1 for at in range(size)]

    def payload(self) -> bytes:
        assert len(self.bits) % 8 == 0
        return bytes(
            sum(bit << at for at, bit in enumerate(self.bits[i : i + 8]))
            for i in range(0, len(self.bits), 8)
        )


def block_that_ends_in_the_tail(end_of_block_bits: int) -> bytes:
    """A block in which 0 is the literal 0, 10 the literal 1, and so on, and ones alone its end."""
    bits = Bits()
    bits.add(0b100, 3)  # dynamic codes, not final
    bits.add(0, 5)  # 257 lengths of literals
    bits.add(0, 5)  # 1 of distances
    bits.add(19 - 4, 4)
    # Lengths are written in 5 bits, and a run of zeros in 1, with 7 more for how many.
    widths = {18: 1, **dict.fromkeys(range(16), 5)}
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    for symbol in order:
        bits.add(widths.get(symbol, 0), 3)

    def length(value: int) -> None:
        bits.bits += [1, *(value >> at & 1 for at in (3, 2, 1, 0))]

    for literal in range(end_of_block_bits):
        length(min(literal + 1, end_of_block_bits))
    zeros = 256 - end_of_block_bits
    while zeros:
        bits.add(0, 1)
        bits.add(min(zeros, 138) - 11, 7)
        zeros -= min(zeros, 138)
    length(end_of_block_bits)
    length(0)
    while len(bits.bits) % 8:
        bits.add(0, 1)  # literals
    return bits.payload()


@pytest.mark.parametrize("keep_context", [True, False])
@pytest.mark.parametrize("end_of_block_bits", range(9, 16))
def test_a_block_that_ends_within_the_last_byte(end_of_block_bits: int, keep_context: bool) -> None:
    # One bit or two of the next header are there, and the rest never comes.
    payload = block_that_ends_in_the_tail(end_of_block_bits)
    whole = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\x00")
    assert set(whole) == {0}
    (outcome,) = assert_alike(15, keep_context, as_steps([payload]))
    reason = "the message stops within a block"
    if end_of_block_bits < 14:
        reason = "Error -3 while decompressing data: invalid block type"
    assert outcome == (ProtocolError, f"invalid compressed payload: {reason}", 1002)


@pytest.mark.parametrize("size", range(65_400, 66_600, 100))
def test_a_fragment_gives_all_that_it_holds(size: int) -> None:
    payload = compressed(bytes(size))
    for place in range(-12, 0):
        assert_alike(15, True, as_steps([payload[:place], payload[place:]]))


@pytest.mark.parametrize("limit", [0, 1, 99, 65_535, 65_536, 65_537, 131_072, 999_999])
@pytest.mark.parametrize("final", [True, False])
def test_limits_of_large_messages(limit: int, final: bool) -> None:
    payload = compressed(b"\x00" * 1_000_000)
    (outcome,) = assert_alike(15, True, [(payload, final, limit)])
    assert outcome == (PayloadTooBig, f"frame exceeds limit of {limit} bytes", 1009)
    with pytest.raises(PayloadTooBig) as raised:
        native.Inflater(15, True).inflate(payload, final, limit)
    assert (raised.value.size, raised.value.max_size) == (None, limit)
    for enough in (1_000_000, 2**40, None):
        assert assert_alike(15, True, [(payload, final, enough)]) == [b"\x00" * 1_000_000]


# Streams are shared one after the other, and never what is in them.


def test_many_endpoints_at_once() -> None:
    chance = random.Random(4)
    words = [chance.randbytes(chance.randrange(60)) for _ in range(40)]

    class Pair:
        def __init__(self) -> None:
            self.bits, self.keep = chance.randint(8, 15), chance.random() < 0.5
            self.settings = {"memLevel": chance.choice([1, 5, 8]), "level": chance.choice([1, 6])}
            self.deflater = native.Deflater(self.bits, self.keep, self.settings)
            self.inflater = native.Inflater(self.bits, self.keep)
            self.model = core.Deflater(self.bits, self.keep, self.settings)

        def talk(self) -> None:
            data = b"".join(chance.choices(words, k=chance.randrange(20)))
            final = chance.random() < 0.6
            payload = self.deflater.deflate(data, final)
            if native.version() == zlib.ZLIB_RUNTIME_VERSION:
                assert payload == self.model.deflate(data, final)
            assert self.inflater.inflate(payload, final, len(data)) == data

    pairs = [Pair() for _ in range(30)]
    for _ in range(5000):
        at = chance.randrange(len(pairs))
        if chance.random() < 0.03:
            pairs[at] = Pair()  # the one before goes, perhaps within a message
        if chance.random() < 0.03:
            with pytest.raises(ProtocolError):
                native.Inflater(15, True).inflate(b"\xff" * 9, True)
        pairs[at].talk()


def test_threads() -> None:
    data = [random.Random(n).randbytes(500) * (n + 1) for n in range(4)]
    failures: list[BaseException] = []

    def talk(mine: bytes) -> None:
        try:
            deflater, inflater = native.Deflater(15, False, {}), native.Inflater(15, False)
            for _ in range(200):
                assert inflater.inflate(deflater.deflate(mine, True), True, len(mine)) == mine
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=talk, args=(mine,)) for mine in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# Memory.


def resident_bytes() -> int:
    """What of this process is in memory, C's part too."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grown_by(work: Callable[[], None], rounds: int) -> int:
    """How much memory so many rounds take, once what is kept for good is there."""
    for _ in range(rounds // 10):
        work()
    before = resident_bytes()
    for _ in range(rounds):
        work()
    return resident_bytes() - before


@needs_statm
@pytest.mark.parametrize("keep_context", [True, False])
def test_messages_leave_nothing(keep_context: bool) -> None:
    deflater, inflater = native.Deflater(12, keep_context, {}), native.Inflater(12, keep_context)
    data = random.Random(5).randbytes(200) * 5

    def work() -> None:
        assert inflater.inflate(deflater.deflate(data, True), True, 1000) == data

    assert grown_by(work, 20_000) < 1_000_000  # 50 bytes a message


@needs_statm
def test_endpoints_and_errors_leave_nothing() -> None:
    payload = compressed(bytes(300_000))

    def work() -> None:
        for bits in (9, 15):
            native.Deflater(bits, True, {"memLevel": 1, "zdict": b"Hello"}).deflate(b"a", False)
        with pytest.raises(PayloadTooBig):
            native.Inflater(15, True).inflate(payload, True, 100_000)
        with pytest.raises(ProtocolError):
            native.Inflater(15, True).inflate(payload[:-9], True)
        with pytest.raises(ValueError, match="Invalid"):
            native.Deflater(15, True, {"level": 10})

    assert grown_by(work, 1000) < 2_000_000  # a stream takes 7 KB at least


@needs_statm
def test_large_results_leave_nothing() -> None:
    noise = random.Random(6).randbytes(300_000)
    deflater, inflater = native.Deflater(15, False, {}), native.Inflater(15, False)

    def work() -> None:
        assert inflater.inflate(deflater.deflate(noise, True), True, 300_000) == noise

    assert grown_by(work, 100) < 3_000_000  # a tenth of one result each


@needs_statm
def test_many_streams_at_once_leave_little() -> None:
    hello = compressed(b"Hello")

    def work() -> None:
        held = [native.Inflater(15, True) for _ in range(100)]
        for inflater in held:
            inflater.inflate(hello, True)

    assert grown_by(work, 50) < 2_000_000  # a stream takes 40 KB, and there are 5,000


def test_a_bomb_is_cut_while_it_swells() -> None:
    stream = zlib.compressobj(wbits=-15)
    bomb = b"".join([stream.compress(bytes(1_000_000)) for _ in range(100)] + [stream.flush()])
    limit = 1_000_000
    receiver = native.Inflater(15, True)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooBig):
            receiver.inflate(bomb, True, limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert limit < peak < limit + 10_000
