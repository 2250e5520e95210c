"""What each codec does, whatever it compresses with: brotli, and zstd of either package."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.extensions.codecs import CODECS, Codec, with_zstd_of

from wirebird.exceptions import PayloadTooBig, ProtocolError

MIB = 2**20
NOISE = os.urandom(300_000)
MESSAGES = [b"", b"a", b"", b"hello " * 30, bytes(100_000), NOISE, b"hello " * 30, b'{"a": 1}']


@pytest.fixture(autouse=True)
def _package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    package = request.node.callspec.params["codec"].package
    if package:
        with_zstd_of(package, monkeypatch)


each_codec = pytest.mark.parametrize("codec", CODECS, ids=str)


@each_codec
def test_messages_one_behind_the_other(codec: Codec) -> None:
    deflater, inflater = codec.deflater(), codec.inflater()
    for message in MESSAGES * 2:
        for kind in (bytes, bytearray, memoryview):
            payload = deflater.deflate(kind(message), True)
            assert inflater.inflate(kind(payload), True, len(message)) == message


@each_codec
def test_a_fragment_can_be_read_before_the_next(codec: Codec) -> None:
    deflater, inflater = codec.deflater(), codec.inflater()
    for message in MESSAGES:
        third = len(message) // 3
        fragments = [message[:third], b"", message[third:], b""]
        for at, fragment in enumerate(fragments):
            final = at == len(fragments) - 1
            payload = deflater.deflate(fragment, final)
            assert inflater.inflate(payload, final, len(fragment)) == fragment


@each_codec
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    messages=st.lists(
        st.tuples(st.lists(st.binary(max_size=40), min_size=1), st.integers(1, 3000)), max_size=4
    ),
    cuts=st.lists(st.floats(0, 1), max_size=5),
)
def test_any_messages_cut_anywhere(
    codec: Codec, messages: list[tuple[list[bytes], int]], cuts: list[float]
) -> None:
    """Frames of the receiver need not be those of the sender: an intermediary may cut them anew."""
    deflater, inflater = codec.deflater(), codec.inflater()
    for fragments, times in messages:
        fragments = [fragment * times for fragment in fragments]
        payload = b"".join(
            deflater.deflate(fragment, at == len(fragments) - 1)
            for at, fragment in enumerate(fragments)
        )
        places = sorted(round(cut * len(payload)) for cut in cuts)
        inflated, begin = b"", 0
        for place in places:
            inflated += inflater.inflate(payload[begin:place], False, None)
            begin = place
        inflated += inflater.inflate(payload[begin:], True, None)
        assert inflated == b"".join(fragments)


@each_codec
def test_context(codec: Codec) -> None:
    """Only who keeps it makes the second of two equal messages shorter."""
    deflater = codec.deflater()
    message = os.urandom(500)
    first, second = deflater.deflate(message, True), deflater.deflate(message, True)
    assert (len(second) < 100) is codec.keeps_context
    assert (first == second) is not codec.keeps_context
    if not codec.keeps_context:
        assert codec.inflater().inflate(second, True) == message


@each_codec
@pytest.mark.parametrize("size", [0, 1, 1000, 128 * 1024, 1_000_000])
def test_the_limit_holds_to_the_byte(codec: Codec, size: int) -> None:
    payload = codec.deflater().deflate(bytes(size), True)
    assert len(codec.inflater().inflate(payload, True, size)) == size
    if size:
        with pytest.raises(PayloadTooBig) as raised:
            codec.inflater().inflate(payload, True, size - 1)
        assert str(raised.value) == f"frame exceeds limit of {size - 1} bytes"


@each_codec
def test_what_stops_early(codec: Codec) -> None:
    payload = codec.deflater().deflate(b"some words of it, " * 20 + NOISE[:50], True)
    for end in range(1, len(payload)):
        inflater = codec.inflater()
        if codec.keeps_context and end == 6:  # a header of a frame without a block is no message
            assert inflater.inflate(payload[:end], True, None) == b""
            continue
        with pytest.raises(ProtocolError, match=r"stops within a|invalid compressed"):
            inflater.inflate(payload[:end], True, None)


@each_codec
def test_what_goes_on_or_is_something_else(codec: Codec) -> None:
    payload = codec.deflater().deflate(b"some words", True)
    for wrong in (payload + b"\x99\x99\x99\x99", b"\xff" * 40, NOISE[:200], b"\x78\x9c" + payload):
        with pytest.raises(ProtocolError):
            codec.inflater().inflate(wrong, True, MIB)


@each_codec
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_an_error_or_another_message(codec: Codec, data: st.DataObject) -> None:
    payload = bytearray(codec.deflater().deflate(b"some words " * 100 + bytes(300), True))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        inflated = codec.inflater().inflate(payload, True, 5000)
    except (ProtocolError, PayloadTooBig):
        return
    assert len(inflated) <= 5000


@each_codec
def test_threads_do_not_meet(codec: Codec) -> None:
    """What is borrowed between messages is used by one at a time; both packages free the GIL."""
    failures: list[object] = []

    def talk(seed: int) -> None:
        deflater, inflater = codec.deflater(), codec.inflater()
        message = bytes([seed]) * 50_000 + NOISE[seed * 100 : seed * 100 + 20_000]
        for _ in range(10):
            if inflater.inflate(deflater.deflate(message, True), True) != message:
                failures.append(seed)

    threads = [threading.Thread(target=talk, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
