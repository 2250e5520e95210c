"""Masking. RFC 6455, 5.3."""

from __future__ import annotations

import itertools
import random
import secrets
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import websockets.utils
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.masking import KeySource, apply_mask, masked_pieces, unmask

KEY = bytes.fromhex("37 fa 21 3d")
KEYS_PER_BLOCK = 64
CHUNK = 16_384
SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 125, 126]
SIZES += [n * CHUNK + d for n in (1, 2, 3) for d in (-5, -4, -1, 0, 1, 2, 3, 4, 5)]

keys = st.binary(min_size=4, max_size=4)
forms = st.sampled_from([bytes, bytearray, memoryview])


def naive(data: bytes, key: bytes, phase: int = 0) -> bytes:
    """The definition: octet i XOR octet i modulo 4 of the key."""
    return bytes(byte ^ key[(phase + i) % 4] for i, byte in enumerate(data))


def test_rfc_5_7() -> None:
    masked = bytes.fromhex("7f 9f 4d 51 58")
    assert apply_mask(b"Hello", KEY) == masked
    assert apply_mask(masked, KEY) == b"Hello"


@given(st.binary(), keys, forms, st.sampled_from([bytes, bytearray]))
def test_apply_mask(data: bytes, key: bytes, form: Any, key_form: Any) -> None:
    masked = apply_mask(form(data), key_form(key))
    assert type(masked) is bytes
    assert masked == naive(data, key)
    assert masked == websockets.utils.apply_mask(data, key)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", SIZES)
def test_apply_mask_to_all_sizes(size: int, form: Any) -> None:
    data = random.Random(size).randbytes(size)
    masked = apply_mask(form(data), KEY)
    assert type(masked) is bytes
    assert masked == naive(data, KEY)
    assert apply_mask(masked, KEY) == data


@pytest.mark.parametrize("size", [100, 2 * CHUNK + 3])
@pytest.mark.parametrize("key", [b"\x00\x00\x00\x00", b"\x00\x00\x00\x01", b"\x01\x00\x00\x00"])
def test_zeros_are_kept(key: bytes, size: int) -> None:
    for data in (bytes(size), b"\xff" * size):
        assert apply_mask(data, key) == naive(data, key)


def test_apply_mask_leaves_its_input() -> None:
    for size in (10, CHUNK + 10):
        data = bytearray(size)
        apply_mask(data, KEY)
        assert data == bytes(size)


@pytest.mark.parametrize("length", [0, 1, 3, 5, 8])
def test_apply_mask_wants_4_bytes_of_key(length: int) -> None:
    with pytest.raises(ValueError, match=f"^mask must contain 4 bytes, got {length}$"):
        apply_mask(b"Hello", bytes(length))


@given(st.binary(), st.binary(max_size=9), st.binary(max_size=9), keys)
def test_unmask(data: bytes, before: bytes, after: bytes, key: bytes) -> None:
    for phase in range(9):
        buffer = bytearray(before + data + after)
        assert unmask(buffer, len(before), len(data), key, phase) == naive(data, key, phase)
        assert buffer.startswith(before)
        assert buffer.endswith(after)


@pytest.mark.parametrize("phase", [0, 1, 2, 3, 4, 5, 2**33 + 3])
@pytest.mark.parametrize("size", SIZES)
def test_unmask_all_sizes(size: int, phase: int) -> None:
    data = random.Random(size).randbytes(size)
    buffer = bytearray(b"ab" + data + b"cd")
    assert unmask(buffer, 2, size, KEY, phase) == naive(data, KEY, phase % 4)
    assert buffer[:2] + buffer[-2:] == b"abcd"
    buffer += b"can grow: nothing holds it"


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5), keys)
def test_parts_make_up_the_payload(data: bytes, places: list[int], key: bytes) -> None:
    edges = sorted({0, len(data), *(min(place, len(data)) for place in places)})
    buffer = bytearray(data)
    parts = [
        unmask(buffer, start, end - start, key, start) for start, end in itertools.pairwise(edges)
    ]
    assert b"".join(parts) == apply_mask(data, key)


@pytest.mark.parametrize("size", SIZES)
def test_pieces_are_the_payload(size: int) -> None:
    data = random.Random(size).randbytes(size)
    pieces = list(masked_pieces(memoryview(data), KEY))
    assert b"".join(pieces) == naive(data, KEY)
    assert all(0 < len(piece) <= CHUNK for piece in pieces)


def peak_of(call: Callable[[], object]) -> int:
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_little_is_held_beside_the_result() -> None:
    data, target = bytes(10_000_000), bytearray(10_000_000)
    assert peak_of(lambda: apply_mask(data, KEY)) < 2 * len(data) + 8 * CHUNK
    assert peak_of(lambda: unmask(target, 0, len(data), KEY)) < len(data) + 8 * CHUNK
    assert peak_of(lambda: sum(map(len, masked_pieces(data, KEY)))) < 8 * CHUNK


# Keys.


class Random:
    """Counts, so that each draw is known."""

    def __init__(self) -> None:
        self.draws: list[int] = []
        self.given = b""

    def __call__(self, count: int) -> bytes:
        self.draws.append(count)
        block = random.Random(len(self.draws)).randbytes(count)
        self.given += block
        return block


def test_keys_are_the_random_bytes_in_order() -> None:
    draw = Random()
    source = KeySource(draw)
    assert draw.draws == []
    drawn = [source.next_key() for _ in range(3 * KEYS_PER_BLOCK)]
    assert all(type(key) is bytes and len(key) == 4 for key in drawn)
    assert b"".join(drawn) == draw.given
    assert draw.draws == [4 * KEYS_PER_BLOCK] * 3


def test_a_block_is_drawn_when_the_last_is_used_up() -> None:
    draw = Random()
    source = KeySource(draw)
    for blocks in (1, 2, 3):
        for _ in range(KEYS_PER_BLOCK):
            source.next_key()
            assert len(draw.draws) == blocks


def test_sources_do_not_share_keys() -> None:
    first, second = KeySource(), KeySource()
    drawn = {source.next_key() for source in (first, second) for _ in range(1000)}
    # 2,000 draws out of 2^32 meet once in 2,000 runs, and three times in 10^11 runs.
    assert len(drawn) >= 1997


def test_keys_come_from_the_operating_system() -> None:
    assert KeySource.__init__.__defaults__ == (secrets.token_bytes,)
