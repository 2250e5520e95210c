"""One direction of permessage-zstd: payloads through zstd, without a word of negotiation.

The payloads of the compressed messages of one direction, one behind the other, are zstd frames as
RFC 8878 has them. A message ends between two blocks, with everything flushed. An endpoint that
keeps its context goes on with the same frame, whose window then holds the messages before; one that
does not ends its frame with each message. Both may end a frame when they like, which gives up the
context. A message of no bytes may have an empty payload.

``core.extensions.zstd_blocks`` finds the blocks. They are fed to the decompressor one by one, so
that a bomb is cut after the first block that exceeds the limit: at most 128 KB too late.
"""

from __future__ import annotations

from ..core.extensions.zstd_blocks import ZstdBlocks
from ..core.types import BytesLike
from ..exceptions import PayloadTooBig, ProtocolError
from .zstd_library import (
    Packer,
    Unpacker,
    borrow_packer,
    borrow_unpacker,
    give_back,
    zstd_errors,
)

__all__ = ["END_OF_FRAME", "ZstdDeflater", "ZstdInflater"]

END_OF_FRAME = b"\x01\x00\x00"
"""The last block of a frame, of no bytes. RFC 8878, 3.1.1.2."""


class ZstdDeflater:
    """Compresses the messages that one endpoint sends.

    Args:
        window_bits: base-2 logarithm of the window.
        keep_context: whether a message may refer to the messages before it.
        level: of zstd; more is slower, and smaller.
    """

    __slots__ = ("_keep_context", "_level", "_packer", "_window_bits", "is_within_frame")

    def __init__(self, window_bits: int, keep_context: bool, level: int) -> None:
        self._window_bits = window_bits
        self._keep_context = keep_context
        self._level = level
        self._packer: Packer | None = None
        self.is_within_frame = False  # the peer has seen a part of one

    def deflate(self, data: BytesLike, final: bool) -> bytes:
        """Compress a fragment so that its receiver needs no later one to read it.

        Args:
            data: any bytes-like object.
            final: whether the message ends with it.
        """
        if len(data) == 0 and (not self.is_within_frame or self._keep_context or not final):
            return b""
        if self._packer is None:
            self._packer = borrow_packer(self._level, self._window_bits)
        if self._keep_context or not final:
            self.is_within_frame = True
            return self._packer.block(data)
        packed = self._packer.last(data) if self.is_within_frame else self._packer.whole(data)
        self.drop_context()
        return packed

    def drop_context(self) -> None:
        """Begin a frame with the next message: the peer has seen the end of this one."""
        self.is_within_frame = False
        if self._packer is not None:
            give_back(self._packer)
            self._packer = None


class ZstdInflater:
    """Decompresses the messages that one endpoint receives.

    Args:
        window_bits: base-2 logarithm of the largest window.
        keep_context: whether a message may refer to the messages before it.
    """

    __slots__ = ("_blocks", "_keep_context", "_unpacker", "_window_bits")

    def __init__(self, window_bits: int, keep_context: bool) -> None:
        self._window_bits = window_bits
        self._keep_context = keep_context
        self._unpacker: Unpacker | None = None
        self._blocks = ZstdBlocks(window_bits)

    def inflate(self, data: BytesLike, final: bool, max_size: int | None = None) -> bytes:
        """Decompress a fragment.

        Args:
            data: any bytes-like object.
            final: whether the message ends with it.
            max_size: what the result may have, in bytes; 128 KB more are ever held.

        Raises:
            PayloadTooBig: the result would be longer than ``max_size`` (1009).
            ProtocolError: the payload is not zstd, asks for more than was agreed on, or stops
                within a block, or within a frame where no context is kept (1002).
        """
        parts, size, at = [], 0, 0
        view = memoryview(data)
        self._blocks.begin_fragment()
        while at < len(view):
            end = self._blocks.next_end(view, at, size)
            part = self._fed(view[at:end])
            at = end
            size += len(part)
            if max_size is not None and size > max_size:
                raise PayloadTooBig(None, max_size)
            parts.append(part)
        if final:
            self._check_end()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fed(self, data: memoryview) -> bytes:
        unpacker = self._unpacker
        if unpacker is None:
            unpacker = self._unpacker = borrow_unpacker(self._window_bits)
        try:
            part = unpacker.feed(data)
        except zstd_errors() as exc:
            raise ProtocolError(f"invalid compressed payload: {exc}") from exc
        if self._blocks.is_between_frames:
            self._unpacker = None
            give_back(unpacker)
        return part

    def _check_end(self) -> None:
        if not self._blocks.is_between_blocks:
            raise ProtocolError("invalid compressed payload: the message stops within a block")
        if not self._keep_context and not self._blocks.is_between_frames:
            raise ProtocolError(
                "invalid compressed payload: the message stops within a frame, "
                "although no context may be kept"
            )
