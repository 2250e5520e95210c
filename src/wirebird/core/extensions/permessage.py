"""What all per-message compressions share, whatever they compress with. RFC 7692, 5 and 6.

RSV1 in the first frame of a message says that the message is compressed; the endpoint that sends
chooses for each message. The compressed message is cut into frames, so only the first shows it, and
control frames between them are not concerned. One such extension is in use at a time, since they
all give a meaning to RSV1.

The payloads themselves are for two codecs to make and to read, one for each direction. They are
made when they are first needed: an endpoint that sees no compressed message holds none.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from ...exceptions import NegotiationError, ProtocolError
from ..frames import RSV1, Frame
from ..rules import CTRL_OPCODES, Opcode
from ..types import BytesLike, ExtensionName
from .base import Extension

__all__ = [
    "MessageDeflater",
    "MessageInflater",
    "PerMessageCompression",
    "check_threshold",
    "refuse_twice",
    "runs_by_codec",
]


class MessageDeflater(Protocol):
    """Compresses the messages that one endpoint sends."""

    def deflate(self, data: BytesLike, final: bool) -> bytes:
        """Compress a fragment so that its receiver needs no later one to read it.

        Args:
            data: any bytes-like object.
            final: whether the message ends with it.
        """


class MessageInflater(Protocol):
    """Decompresses the messages that one endpoint receives."""

    def inflate(self, data: BytesLike, final: bool, max_size: int | None = None) -> bytes:
        """Decompress a fragment.

        Args:
            data: any bytes-like object.
            final: whether the message ends with it.
            max_size: what the result may have, in bytes; little more is ever held.

        Raises:
            PayloadTooBig: the result would be longer than ``max_size`` (1009).
            ProtocolError: the payload is not what it should be, or not all of it (1002).
        """


class PerMessageCompression(Extension):
    """A compression at one endpoint, negotiated; "local" is this endpoint, "remote" its peer.

    Each kind says how its codecs are made, in ``_inflater`` and ``_deflater``.
    """

    first_frame_rsv = RSV1
    other_frame_rsv = 0
    may_skip = True

    # What most endpoints never need is the class's, or made when it is needed.
    threshold = 0
    """A message in one frame with fewer bytes is sent as it is."""
    _inflating = False  # whether the message that is coming is compressed
    _deflating = False  # whether the message that is going is

    @functools.cached_property
    def _inflater(self) -> MessageInflater:
        raise NotImplementedError

    @functools.cached_property
    def _deflater(self) -> MessageDeflater:
        raise NotImplementedError

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Inflate a frame of a compressed message; others pass.

        Args:
            frame: as it was on the wire, unmasked.
            max_size: what its payload may have once inflated, in bytes.

        Raises:
            PayloadTooBig: it would have more (1009).
            ProtocolError: RSV1 in a continuation frame, or a payload that cannot be read (1002).
        """
        if frame.opcode in CTRL_OPCODES:
            return frame
        if frame.opcode is not Opcode.CONT:
            self._inflating = frame.rsv1
        elif frame.rsv1:  # RFC 7692, 6.1
            raise ProtocolError("invalid reserved bit: RSV1 in a continuation frame")
        if not self._inflating:
            return frame
        data = self._inflater.inflate(frame.data, frame.fin, max_size)
        return Frame(frame.opcode, data, frame.fin, False, frame.rsv2, frame.rsv3)

    def encode(self, frame: Frame) -> Frame:
        """Compress a frame, unless its whole message is below the threshold."""
        if frame.opcode in CTRL_OPCODES:
            return frame
        is_first = frame.opcode is not Opcode.CONT
        if is_first:
            self._deflating = not frame.fin or len(frame.data) >= self.threshold
        if not self._deflating:
            return frame
        data = self._deflater.deflate(frame.data, frame.fin)
        return Frame(frame.opcode, data, frame.fin, is_first, frame.rsv2, frame.rsv3)

    # One message to many

    def sharing_key(self) -> Hashable:
        """Return what is equal for all that can be sent the same; None where nothing can be.

        It holds until anything else is sent.
        """
        return None

    def deflate_shared(self, data: bytes, key: Any) -> bytes:
        """Compress a whole message for all whose ``sharing_key`` is this."""
        raise NotImplementedError

    def was_shared(self) -> None:
        """Note that the peer is sent such a message: ours refer to none before it any more."""


def runs_by_codec(extension: Extension) -> bool:
    """Whether all that is particular about an extension is in its codecs.

    An engine may then treat its frames by itself, as ``PerMessageCompression`` does.
    """
    kind = type(extension)
    return (
        isinstance(extension, PerMessageCompression)
        and kind.decode is PerMessageCompression.decode
        and kind.encode is PerMessageCompression.encode
        and (kind.first_frame_rsv, kind.other_frame_rsv, kind.may_skip) == (RSV1, 0, True)
    )


def refuse_twice(name: ExtensionName, accepted_extensions: Sequence[Extension]) -> None:
    """Raise NegotiationError if the extension of this name was accepted already."""
    if any(other.name == name for other in accepted_extensions):
        raise NegotiationError(f"duplicate extension: {name}")


def check_threshold(threshold: int) -> None:
    """Raise ValueError if no message has this size."""
    if threshold < 0:
        raise ValueError(f"threshold must not be negative, got {threshold}")
