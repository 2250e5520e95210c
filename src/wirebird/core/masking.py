"""Masking: payload XOR a key of four bytes, over and over. RFC 6455, 5.3.

The keys of a client must be unpredictable, a new one for every frame; they are drawn from the
operating system in blocks, since a system call for each frame would cost more than the frame.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from .types import BytesLike

__all__ = ["KeySource", "apply_mask", "masked_pieces", "unmask"]

# How much is turned into one integer at a time: what is held beside the result stays this small.
_CHUNK_BYTES = 16 * 1024
_KEYS_PER_BLOCK = 64


def apply_mask(data: BytesLike, mask: bytes | bytearray) -> bytes:
    """Mask or unmask a payload.

    Args:
        data: the payload, any bytes-like object; it is not changed.
        mask: the key, 4 bytes.

    Returns:
        The other form of the payload, of the same length.

    Raises:
        ValueError: the key does not have 4 bytes.
    """
    if len(mask) != 4:
        raise ValueError(f"mask must contain 4 bytes, got {len(mask)}")
    length = len(data)
    if length <= _CHUNK_BYTES:
        return _xor(data, mask, length)
    return b"".join(masked_pieces(data, mask))


def masked_pieces(data: BytesLike, mask: bytes | bytearray) -> Iterator[bytes]:
    """Mask or unmask a payload piece by piece: what is made of it is its only copy.

    Args:
        data, mask: as for ``apply_mask``.

    Yields:
        The other form of the payload, in pieces of at most 16 KB.
    """
    length = len(data)
    whole = length - length % _CHUNK_BYTES
    key_number = int.from_bytes(mask * (_CHUNK_BYTES // 4), "little") if whole else 0
    with memoryview(data) as view:
        for start in range(0, whole, _CHUNK_BYTES):
            number = int.from_bytes(view[start : start + _CHUNK_BYTES], "little") ^ key_number
            yield number.to_bytes(_CHUNK_BYTES, "little")
        if whole < length:
            yield _xor(view[whole:], mask, length - whole)


def unmask(
    buffer: bytearray, start: int, length: int, mask: bytes | bytearray, phase: int = 0
) -> bytes:
    """Return a part of a buffer unmasked: its only copy.

    Args:
        buffer: a long part is unmasked where it is, so that the buffer is changed.
        start: where in it the part begins, in bytes.
        length: of the part, in bytes.
        mask: the key, 4 bytes.
        phase: how many bytes of the payload came before the part.
    """
    turn = phase % 4
    key = mask[turn:] + mask[:turn]
    if length <= _CHUNK_BYTES:
        return _xor(buffer[start : start + length], key, length)
    at = start
    with memoryview(buffer) as view, view[start : start + length] as part:
        for piece in masked_pieces(part, key):
            view[at : at + len(piece)] = piece
            at += len(piece)
        return bytes(part)


def _xor(data: BytesLike, key: BytesLike, length: int) -> bytes:
    repeated = bytes(key) * (length // 4 + 1)
    number = int.from_bytes(data, "little") ^ int.from_bytes(repeated[:length], "little")
    return number.to_bytes(length, "little")


class KeySource:
    """Hands out masking keys, unpredictable and never twice the same draw.

    Args:
        random_bytes: draws that many random bytes; tests inject their own.
    """

    __slots__ = ("_block", "_next", "_random_bytes")

    def __init__(self, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._random_bytes = random_bytes
        self._block = b""
        self._next = 0

    def next_key(self) -> bytes:
        """Return the next key, 4 bytes."""
        start = self._next
        if start >= len(self._block):
            self._block = self._random_bytes(4 * _KEYS_PER_BLOCK)
            start = 0
        self._next = start + 4
        return self._block[start : start + 4]
