"""One direction of permessage-deflate: payloads through zlib, without a word of negotiation.

A compressed message is a run of DEFLATE blocks that ends with an empty stored block, of which the
last four bytes, always 00 00 FF FF, are left out (RFC 7692, 7.2.1). The receiver puts them back
(7.2.2). Both sides may keep their window from one message to the next ("context takeover").

What is not in zlib by itself:

- An inflater is told how much it may give, and never holds more: a bomb is cut while it swells.
- A block with BFINAL set ends a DEFLATE stream but not the message (7.2.3.4): the next block
  begins a new stream, with an empty window, in the same message or in a later one.
- A message that stops within a block is told from a complete one, so it is not taken as shorter.
- zlib cannot compress raw DEFLATE with a window of 8 bits. Without back-references the size of
  the window does not matter, so it is given 9 bits and Huffman coding alone.

A zlib object is made when first needed, and dropped after the message when its context is not
kept: an endpoint that never sees a compressed message holds none.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from ...exceptions import PayloadTooBig, ProtocolError
from ..rules import MAX_DEFLATE_STREAMS
from ..types import BytesLike

__all__ = ["Deflater", "Inflater"]

_TAIL = b"\x00\x00\xff\xff"
_FINAL_EMPTY_BLOCK = b"\x01\x00\x00\xff\xff"

# RFC 7692, 7.2.3.6: the beginning of an empty stored block, of which the tail is left out.
_EMPTY_MESSAGE = b"\x00"

# Once a stream ended in a payload, zlib copies what follows it: it gets no more than this at once.
_PIECE_BYTES = 16 * 1024


class Deflater:
    """Compresses the messages that one endpoint sends.

    Args:
        window_bits: base-2 logarithm of the largest distance of a back-reference, 8-15.
        keep_context: whether a message may refer to the messages before it.
        settings: keyword arguments for ``zlib.compressobj``, without ``wbits``.
    """

    __slots__ = ("_keep_context", "_settings", "_stream")

    def __init__(self, window_bits: int, keep_context: bool, settings: Mapping[str, Any]) -> None:
        self._keep_context = keep_context
        self._settings = dict(settings, wbits=-window_bits)
        if window_bits == 8:
            self._settings.update(wbits=-9, strategy=zlib.Z_HUFFMAN_ONLY)
        self._stream: zlib._Compress | None = None

    def deflate(self, data: BytesLike, final: bool) -> bytes:
        """Compress a fragment so that its receiver needs no later one to read it.

        Args:
            data: any bytes-like object.
            final: whether the message ends with it.
        """
        if len(data) == 0:  # no need of a stream: every fragment before ended at a byte boundary
            compressed = _EMPTY_MESSAGE if final else b""
        else:
            if self._stream is None:
                self._stream = zlib.compressobj(**self._settings)
            compressed = self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)
            if final:
                compressed = compressed[: -len(_TAIL)]
        if final and not self._keep_context:
            self._stream = None
        return compressed


class Inflater:
    """Decompresses the messages that one endpoint receives.

    Args:
        window_bits: base-2 logarithm of the largest distance of a back-reference, 8-15.
        keep_context: whether a message may refer to the messages before it.
    """

    __slots__ = ("_keep_context", "_stream", "_streams_ended", "_window_bits")

    def __init__(self, window_bits: int, keep_context: bool) -> None:
        self._window_bits = window_bits
        self._keep_context = keep_context
        self._stream: zlib._Decompress | None = None
        self._streams_ended = 0  # in this message

    def inflate(self, data: BytesLike, final: bool, max_size: int | None = None) -> bytes:
        """Decompress a fragment.

        Args:
            data: any bytes-like object.
            final: whether the message ends with it.
            max_size: what the result may have, in bytes; one byte more is ever held.

        Raises:
            PayloadTooBig: the result would be longer than ``max_size`` (1009).
            ProtocolError: the payload is not DEFLATE, refers to what the window does not hold,
                or stops within a block (1002).
        """
        try:
            inflated = self._feed(data, 0, max_size)
            if final:
                inflated += self._end_message(len(inflated), max_size)
        except zlib.error as exc:
            raise ProtocolError(f"invalid compressed payload: {exc}") from exc
        return inflated

    def _end_message(self, size: int, max_size: int | None) -> bytes:
        inflated = b""
        # A message may also stop where a stream ends, though 7.2.3.4 has it begin another block.
        if self._stream is not None or not self._streams_ended:
            inflated = self._feed(_TAIL, size, max_size)
            if not self._is_between_blocks():
                raise ProtocolError("invalid compressed payload: the message stops within a block")
        self._streams_ended = 0
        if not self._keep_context:
            self._stream = None
        return inflated

    def _feed(self, data: BytesLike, size: int, max_size: int | None) -> bytes:
        """Inflate data, ``size`` bytes of the fragment being there, over the ends of streams."""
        if len(data) == 0:
            return b""
        part, rest = self._feed_stream(data, size, max_size)
        if not rest:
            return part
        parts, size = [part], size + len(part)
        at, view = 0, memoryview(rest)
        while at < len(view):
            piece = view[at : at + _PIECE_BYTES]
            part, rest = self._feed_stream(piece, size, max_size)
            parts.append(part)
            size += len(part)
            at += len(piece) - len(rest)
        return b"".join(parts)

    def _feed_stream(self, data: BytesLike, size: int, max_size: int | None) -> tuple[bytes, bytes]:
        """Inflate data up to the end of the stream; return what it leaves too."""
        stream = self._stream
        if stream is None:
            stream = self._stream = zlib.decompressobj(wbits=-self._window_bits)
        if max_size is None:
            part = stream.decompress(data)
        else:
            part = stream.decompress(data, max(max_size - size, 0) + 1)  # 0 would be no limit
            if size + len(part) > max_size:
                raise PayloadTooBig(None, max_size)
        if not stream.eof:
            return part, b""
        self._end_stream()
        return part, stream.unused_data

    def _end_stream(self) -> None:
        self._stream = None
        self._streams_ended += 1
        if self._streams_ended > MAX_DEFLATE_STREAMS:
            raise ProtocolError(
                f"too many DEFLATE streams in a message: more than {MAX_DEFLATE_STREAMS}"
            )

    def _is_between_blocks(self) -> bool:
        """Whether the stream would take the next block; it is spoilt when no context is kept."""
        if self._stream is None:
            return True
        probe = self._stream.copy() if self._keep_context else self._stream
        try:
            given = probe.decompress(_FINAL_EMPTY_BLOCK, 1)
        except zlib.error:
            return False
        return probe.eof and not given and not probe.unused_data
