"""Messages: the order of their fragments, their limits, and putting them together again.

RFC 6455, 5.4 and 5.6. ``MessageOrder`` judges headers as they come; ``Reassembly`` takes the
payloads of frames that it has let through. They are two because headers are looked at when they
arrive, payloads when somebody asks for the message.
"""

from __future__ import annotations

import codecs

from ..exceptions import PayloadTooBig, ProtocolError, TooManyFragments
from .frames import Header
from .rules import Opcode
from .types import BytesLike, Data
from .utf8 import Utf8Validator

__all__ = ["MessageOrder", "Reassembly", "SizeLimits"]


class SizeLimits:
    """How long a message, and a single frame of it, may be.

    Args:
        max_size: of a message in bytes, None for no limit; or a pair (of a message, of a frame).
    """

    __slots__ = ("max_frame_bytes", "max_message_bytes")

    def __init__(self, max_size: int | tuple[int | None, int | None] | None) -> None:
        if isinstance(max_size, tuple):
            self.max_message_bytes, self.max_frame_bytes = max_size
        else:
            self.max_message_bytes, self.max_frame_bytes = max_size, None

    def left(self, current_size: int) -> int | None:
        """What the next frame may have, in bytes, when so much of its message came before."""
        if self.max_message_bytes is None:
            return self.max_frame_bytes
        left = self.max_message_bytes - current_size
        return left if self.max_frame_bytes is None else min(left, self.max_frame_bytes)


class MessageOrder:
    """Judges the headers of data frames, in the order in which they come.

    Args:
        limits: on the size of messages; judged before a byte of payload is kept.
        max_fragments: how many frames a message may have, empty ones counted; None for no limit.
    """

    __slots__ = ("_fragments", "_is_transformed", "_limits", "_max_fragments", "_size")

    def __init__(self, limits: SizeLimits, max_fragments: int | None) -> None:
        self._limits = limits
        self._max_fragments = max_fragments
        self._fragments = 0  # of the message that has begun; 0 between messages
        self._size = 0
        self._is_transformed = False

    def limit(self, limits: SizeLimits) -> None:
        """Judge by other limits from now on."""
        self._limits = limits

    def check(self, header: Header) -> None:
        """Take the header of the next data frame.

        Raises:
            ProtocolError: a continuation without a beginning, or a beginning within a message
                (1002; RFC 6455, 5.4).
            PayloadTooBig: the message would be longer than allowed (1009).
            TooManyFragments: it would have more frames than allowed (1009).
        """
        if header.opcode is Opcode.CONT:
            if not self._fragments:
                raise ProtocolError("unexpected continuation frame: no message has begun")
        elif self._fragments:
            raise ProtocolError(f"expected a continuation frame, got {header.opcode.name}")
        else:
            self._size = 0
            self._is_transformed = header.rsv != 0
        limit = self._limits.left(self._size)
        if limit is not None and header.length > self._allowed_on_the_wire(limit):
            raise PayloadTooBig(header.length, limit, self._size if self._fragments else None)
        self._fragments += 1
        if self._max_fragments is not None and self._fragments > self._max_fragments:
            raise TooManyFragments(self._max_fragments)
        if header.fin:
            self._fragments = 0
        elif not self._is_transformed:
            self._size += header.length

    def _allowed_on_the_wire(self, limit: int) -> int:
        # What does not compress grows a little. The exact limit holds for the inflated size.
        return limit + limit // 64 + 1024 if self._is_transformed else limit


class Reassembly:
    """One message as far as it has been read: fragments are folded into one growing buffer.

    Text is checked while it comes, and refused at the first byte that cannot be (RFC 6455, 8.1).
    """

    __slots__ = (
        "_buffer",
        "_decoder",
        "_validator",
        "_whole",
        "has_fragment",
        "is_begun",
        "is_complete",
        "opcode",
        "size",
    )

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.reset()

    def reset(self) -> None:
        """Forget what there is; the next frame begins a message."""
        self.opcode: Opcode | None = None
        self.is_complete = False
        self.has_fragment = False  # a frame is complete that was not taken yet
        self.is_begun = False  # a fragment was taken
        self.size = 0  # of what came, in bytes, fragments that were taken included
        self._whole: bytes | None = None
        self._validator: Utf8Validator | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        if self._buffer:
            self._buffer = bytearray()

    def add_whole(self, opcode: Opcode, payload: bytes) -> None:
        """Take a message that came in one frame, without copying it."""
        self.opcode = opcode
        self._whole = payload
        self.size = len(payload)
        self.is_complete = True

    def add(self, payload: BytesLike, *, final: bool) -> None:
        """Take the next piece: a frame, or the part of one that has come.

        Args:
            payload: unmasked and inflated.
            final: whether the message ends with it.

        Raises:
            UnicodeDecodeError: a text has a byte that cannot be there (1007).
        """
        if self.opcode is Opcode.TEXT:
            if self._validator is None:
                self._validator = Utf8Validator()
            self._validator.feed(payload, final)
        self._buffer += payload
        self.size += len(payload)
        self.is_complete = final

    @property
    def held_bytes(self) -> int:
        """How much of it is held."""
        return len(self._buffer) + (0 if self._whole is None else len(self._whole))

    def tail(self, length: int) -> bytes:
        """Return a copy of the last bytes that came."""
        if self._whole is not None:
            return self._whole
        return bytes(self._buffer[max(len(self._buffer) - length, 0) :])

    def take(self, decode: bool | None) -> Data:
        """Hand out the message, and begin anew.

        Args:
            decode: True for str, False for bytes, None for what the opcode says.

        Raises:
            UnicodeDecodeError: what is to be a str is not UTF-8 (1007).
        """
        payload: bytes | bytearray = self._buffer if self._whole is None else self._whole
        is_text = self.opcode is Opcode.TEXT
        must_check = self._whole is not None  # in pieces, it was checked as it came
        decoder = self._decoder
        self._buffer = bytearray()
        self.reset()
        if decode or (is_text and decode is None):
            return payload.decode() if decoder is None else decoder.decode(bytes(payload), True)
        if is_text and must_check:
            Utf8Validator().feed(payload, True)
        return bytes(payload)

    def take_fragment(self, decode: bool | None) -> tuple[Data, bool]:
        """Hand out what came since the last time, and whether the message ends with it.

        Args:
            decode: as in ``take``. A character whose bytes came in two pieces is in the second,
                also when the first was handed out as bytes.

        Raises:
            UnicodeDecodeError: what is to be a str is not UTF-8 (1007).
        """
        payload: bytes | bytearray = self._buffer if self._whole is None else self._whole
        final = self.is_complete
        data = bytes(payload)
        text: str | None = None
        if decode or self.opcode is Opcode.TEXT:
            if self._decoder is None:
                self._decoder = codecs.getincrementaldecoder("utf-8")()
            text = self._decoder.decode(data, final)
        self._buffer = bytearray()
        self.has_fragment = False
        self.is_begun = True
        if final:
            self.reset()
        return (data if text is None or decode is False else text), final
