"""What a peer puts on the wire, right or wrong: frames, their lengths in any form, compression."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tests.core.endpoint import KEY, xor

from wirebird.core.rules import Role

if TYPE_CHECKING:
    from tests.differential.endpoints import Deflate, Other

SYNC = b"\0\0\xff\xff"


class Much(NamedTuple):
    """Data that is long, said shortly."""

    unit: Any
    times: int
    tail: Any = None


def whole(data: Any) -> Any:
    """What is meant by data that may be said shortly."""
    if isinstance(data, Much):
        return data.unit * data.times + (data.tail or type(data.unit)())
    return data


class Piece(NamedTuple):
    """A frame as a peer sends it."""

    first: int
    """Its first byte."""
    payload: bytes | Much = b""
    length: int | None = None
    """What the header claims, where that is not the payload's; 7 bits hold what fits."""
    form: int | None = None
    """7, 16 or 64 bits for the length; None for the shortest."""
    is_masked_right: bool = True
    how: str = "plain"
    """plain, or what a compressor made of the payload: deflated, truncated, twice, finished."""
    left_out: int = 0
    """How many of its last bytes do not come."""


Frames = list[Piece]


class Wire:
    """The peer's end: one compressor for all that it sends.

    Args:
        role: of the endpoint that receives.
        deflate: what was agreed on.
    """

    def __init__(self, role: Role, deflate: Deflate | Other | None) -> None:
        self.is_masked = role is Role.SERVER
        self.other = cast("Other", deflate) if hasattr(deflate, "name") else None
        self.deflate = None if self.other is not None else cast("Deflate | None", deflate)
        self.compressor = self.new_compressor()
        if self.other is not None:
            self.deflater = self.other.extension()._deflater

    def new_compressor(self) -> zlib._Compress:
        bits = 15 if self.deflate is None else max(9, self.deflate.remote_max_window_bits)
        return zlib.compressobj(wbits=-bits)

    def payload(self, piece: Piece) -> bytes:
        """The payload as it goes over the wire, not masked."""
        payload: bytes = whole(piece.payload)
        if piece.how == "plain":
            return payload
        if self.other is not None:
            return self.other_payload(self.other, payload, piece.how)
        if piece.how == "finished":
            other = self.new_compressor()
            return other.compress(payload) + other.flush()
        data = self.compressor.compress(payload) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
        if self.deflate is not None and self.deflate.remote_no_context_takeover:
            self.compressor = self.new_compressor()
        if piece.how == "truncated":
            return data[: len(data) // 2]
        if piece.how == "twice":
            return data + data
        if piece.how == "with its end":
            return data
        return data.removesuffix(SYNC)

    def other_payload(self, other: Other, payload: bytes, how: str) -> bytes:
        """The same, for brotli and zstd."""
        if how == "finished":
            return other.extension()._deflater.deflate(payload, True)
        data = self.deflater.deflate(payload, how != "with its end")
        if how == "truncated":
            return data[: len(data) // 2]
        return data + data if how == "twice" else data

    def data(self, frames: Frames) -> bytes:
        """The bytes of some frames."""
        return b"".join(map(self.frame, frames))

    def frame(self, piece: Piece) -> bytes:
        payload = self.payload(piece)
        is_masked = self.is_masked is piece.is_masked_right
        length = len(payload) if piece.length is None else piece.length
        mask = 0x80 if is_masked else 0
        form = piece.form
        if form is None or length >= 1 << form or (form == 7 and length > 125):
            form = 7 if length < 126 else 16 if length < 2**16 else 64
        if form == 7:
            size = bytes([mask | length])
        elif form == 16:
            size = bytes([mask | 126]) + struct.pack("!H", length)
        else:
            size = bytes([mask | 127]) + struct.pack("!Q", length)
        body = KEY + fast_xor(payload) if is_masked else payload
        data = bytes([piece.first]) + size + body
        return data[: len(data) - piece.left_out]


def fast_xor(payload: bytes) -> bytes:
    """Mask a payload that may be long."""
    if len(payload) < 64:
        return xor(payload, KEY)
    keys = (KEY * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(
        len(payload), "big"
    )
