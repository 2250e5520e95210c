"""Where the blocks of a zstd frame begin and end, without a look into them. RFC 8878, 3.1.1.

    frame  = magic number, header, blocks, [checksum]
    block  = 3 bytes (is it the last, its type, its size), content

A decompressor says neither where a message could end, nor how much it will give for what it gets.
The headers of blocks say both: a message ends between two blocks, and a block gives no more than
128 KB, nor more than the frame's window. So whoever feeds block after block can stop in time, and
knows at the end whether all has come. And the window that a frame wants is known before anything is
allocated for it.

Refused are what an endpoint has no use for: dictionaries, frames to be skipped, windows beyond
what was agreed on, and more blocks than a compressor could need for what they give.
"""

from __future__ import annotations

from ...exceptions import ProtocolError
from ..types import BytesLike

__all__ = ["MAX_BLOCK_BYTES", "ZstdBlocks"]

MAX_BLOCK_BYTES = 128 * 1024
"""What a block can give. RFC 8878, 3.1.1.2.4."""

_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_ID_BYTES = 0, 1, 2, 4
_CONTENT_SIZE_BYTES = 0, 2, 4, 8
_CHECKSUM_BYTES = 4

_RAW, _RLE, _COMPRESSED, _RESERVED = range(4)

# A block of a compressor gives some hundred bytes at least, the last one of a fragment aside.
_FREE_BLOCKS = 1024
_LEAST_BYTES_PER_BLOCK = 32

# What is being read.
_FRAME, _BLOCK, _CONTENT, _CHECKSUM = range(4)


class ZstdBlocks:
    """Follows the frames of one direction.

    Args:
        window_bits: base-2 logarithm of the largest window of a frame.
    """

    __slots__ = ("_blocks", "_checks", "_header", "_is_last", "_left", "_limit", "_most", "_state")

    def __init__(self, window_bits: int) -> None:
        self._most = 1 << window_bits
        self._limit = 0  # of the blocks of this frame, in bytes
        self._state = _FRAME
        self._header = b""  # as much as has come of the one that is being read
        self._left = 0  # of a block's content or a checksum, to come
        self._is_last = False  # the block that is being read ends its frame
        self._checks = False  # a checksum follows it
        self._blocks = 0  # since ``begin_fragment``

    @property
    def is_between_blocks(self) -> bool:
        """Whether a message can end here."""
        return self._state in (_FRAME, _BLOCK) and not self._header

    @property
    def is_between_frames(self) -> bool:
        """Whether a frame has ended here, or none has begun."""
        return self._state == _FRAME and not self._header

    def begin_fragment(self) -> None:
        """Count blocks anew."""
        self._blocks = 0

    def next_end(self, data: BytesLike, at: int, given: int) -> int:
        """Return where the next block, or the checksum behind the last one, ends in data.

        Args:
            data: what came of the frames, from any place on.
            at: where to go on in it.
            given: what the blocks of this fragment have given, in bytes.

        Returns:
            The end of the block, headers before it included; the end of data if it is not in it.

        Raises:
            ProtocolError: it is no zstd frame, or one that is refused (1002).
        """
        while at < len(data):
            if self._state == _FRAME:
                at = self._take_frame_header(data, at)
            elif self._state == _BLOCK:
                at = self._take_block_header(data, at, given)
                if self._state != _CONTENT:  # it is an empty one
                    return at
            else:
                taken = min(self._left, len(data) - at)
                self._left -= taken
                at += taken
                if not self._left:
                    self._end_content()
                return at
        return at

    def _take(self, data: BytesLike, at: int, size: int) -> int:
        """Add to the header that is being read, up to a size; return where it stands in data."""
        end = min(at + size - len(self._header), len(data))
        self._header += bytes(memoryview(data)[at:end])
        return end

    def _take_frame_header(self, data: BytesLike, at: int) -> int:
        if len(self._header) < 5:
            at = self._take(data, at, 5)
        if not self._header.startswith(_MAGIC[: len(self._header)]):
            raise ProtocolError("invalid compressed payload: not a zstd frame")
        if len(self._header) < 5:
            return at
        flags = self._header[4]
        is_single = flags & 0x20
        size_bytes = _CONTENT_SIZE_BYTES[flags >> 6] or (1 if is_single else 0)
        dictionary_bytes = _DICTIONARY_ID_BYTES[flags & 3]
        window_bytes = 0 if is_single else 1
        size = 5 + window_bytes + dictionary_bytes + size_bytes
        at = self._take(data, at, size)
        if len(self._header) < size:
            return at
        fields = self._header[5:]
        if any(fields[window_bytes : window_bytes + dictionary_bytes]):
            raise ProtocolError("invalid compressed payload: it refers to a dictionary")
        if is_single:  # RFC 8878, 3.1.1.1.2: then its window is as large as its content
            window = int.from_bytes(fields[dictionary_bytes:], "little")
            if size_bytes == 2:
                window += 256
        else:
            base = 1 << 10 + (fields[0] >> 3)
            window = base + (base >> 3) * (fields[0] & 7)
        if window > self._most:
            raise ProtocolError(
                f"invalid compressed payload: a window of {window} bytes, "
                f"at most {self._most} were agreed on"
            )
        self._limit = min(window, MAX_BLOCK_BYTES)
        self._checks = bool(flags & 4)
        self._header, self._state = b"", _BLOCK
        return at

    def _take_block_header(self, data: BytesLike, at: int, given: int) -> int:
        at = self._take(data, at, 3)
        if len(self._header) < 3:
            return at
        header = int.from_bytes(self._header, "little")
        self._header = b""
        kind, size = header >> 1 & 3, header >> 3
        if kind == _RESERVED or size > self._limit:
            raise ProtocolError("invalid compressed payload: not a zstd block")
        self._blocks += 1
        if self._blocks > _FREE_BLOCKS + given // _LEAST_BYTES_PER_BLOCK:
            raise ProtocolError("invalid compressed payload: too many blocks for what they give")
        self._is_last = bool(header & 1)
        self._left = 1 if kind == _RLE else size
        self._state = _CONTENT
        if not self._left:
            self._end_content()
        return at

    def _end_content(self) -> None:
        if self._state == _CONTENT and not self._is_last:
            self._state = _BLOCK
        elif self._state == _CONTENT and self._checks:
            self._state, self._left = _CHECKSUM, _CHECKSUM_BYTES
        else:
            self._state = _FRAME
