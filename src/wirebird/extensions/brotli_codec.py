"""One direction of permessage-brotli: payloads through brotli, without a word of negotiation.

A compressed message is one complete brotli stream (RFC 7932), from its header to its last block: no
message refers to another, and nothing is kept between two of them. Fragments are cut where the
compressor was flushed, so that each can be read when it comes; a receiver takes any cut.

What is not in brotli by itself:

- It is told how much it may give at once, so a bomb is cut while it swells.
- A message that stops within its stream is told from a complete one, and so is one that goes on
  behind its end.
- Windows of more than 16 MB are not in RFC 7932 ("large window brotli"); a stream that asks for one
  is refused. A smaller one takes memory as it fills, so no more than what ``max_size`` allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.types import BytesLike
from ..exceptions import PayloadTooBig, ProtocolError

try:
    import brotli
except ImportError:
    brotli = None

__all__ = ["BrotliDeflater", "BrotliInflater", "check_brotli"]

# How much is asked for at once: brotli's own steps grow up to 64 MB.
_PIECE_BYTES = 256 * 1024


def check_brotli() -> None:
    """Raise ImportError if brotli is missing, or is too old to stop where it is told to."""
    if brotli is None or not hasattr(brotli.Decompressor, "can_accept_more_data"):
        found = "it is not installed" if brotli is None else f"this is {brotli.__version__}"
        raise ImportError(
            f"permessage-brotli needs brotli 1.2 or newer, {found}: pip install 'wirebird[brotli]'"
        )


class BrotliDeflater:
    """Compresses the messages that one endpoint sends.

    Args:
        settings: keyword arguments for ``brotli.Compressor``.
    """

    __slots__ = ("_settings", "_stream")

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._stream: Any = None  # of a message in fragments

    def deflate(self, data: BytesLike, final: bool) -> bytes:
        """Compress a fragment so that its receiver needs no later one to read it.

        Args:
            data: any bytes-like object.
            final: whether the message ends with it.
        """
        stream = self._stream
        if stream is None:
            stream = brotli.Compressor(**self._settings)
        self._stream = None if final else stream
        compressed: bytes = stream.process(data)
        compressed += stream.finish() if final else stream.flush()
        return compressed


class BrotliInflater:
    """Decompresses the messages that one endpoint receives."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream: Any = None  # of a message that is coming

    def inflate(self, data: BytesLike, final: bool, max_size: int | None = None) -> bytes:
        """Decompress a fragment.

        Args:
            data: any bytes-like object.
            final: whether the message ends with it.
            max_size: what the result may have, in bytes; little more is ever held.

        Raises:
            PayloadTooBig: the result would be longer than ``max_size`` (1009).
            ProtocolError: the payload is not brotli, asks for too large a window, stops within its
                stream or goes on behind it (1002).
        """
        stream = self._stream
        if stream is None:
            stream = self._stream = brotli.Decompressor()
        try:
            inflated = _fed(stream, data, max_size)
        except brotli.error as exc:
            raise ProtocolError(f"invalid compressed payload: {exc}") from exc
        if final:
            self._stream = None
            if not stream.is_finished():
                raise ProtocolError("invalid compressed payload: the message stops within a stream")
        return inflated


def _fed(stream: Any, data: BytesLike, max_size: int | None) -> bytes:
    """Take data, and all that comes of it."""
    parts, size = [], 0
    while True:
        limit = _PIECE_BYTES if max_size is None else min(max_size - size + 1, _PIECE_BYTES)
        part: bytes = stream.process(data, output_buffer_limit=limit)
        parts.append(part)
        size += len(part)
        if max_size is not None and size > max_size:
            raise PayloadTooBig(None, max_size)
        # Where its buffer was full it has more to give, though it has taken all of data and would
        # take more; that it has not, it shows by giving nothing.
        if stream.is_finished() or not part:
            return part if len(parts) == 1 else b"".join(parts)
        data = b""
