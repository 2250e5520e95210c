"""Frames: the header's bytes, read and written by pure functions. RFC 6455, 5.2.

    0                   1                   2                   3
    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    F R R R opcode  M  length (7)  length (16 or 64, when 126 or 127)
    I S S S         A              masking key (32, when MASK)
    N V V V         S              payload
      1 2 3         K

``parse_header`` and ``serialize_header`` are what connections use. ``Frame`` is a frame as a
value: extensions take and return it, and people read it.
"""

from __future__ import annotations

import codecs
import dataclasses
import re
import secrets
import struct
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from ..exceptions import PayloadTooBig, ProtocolError
from .close import Close
from .masking import apply_mask
from .rules import CTRL_OPCODES, MAX_CONTROL_PAYLOAD_BYTES, Opcode
from .types import BytesLike

if TYPE_CHECKING:
    from .extensions.base import Extension

__all__ = ["FIN", "RSV1", "RSV2", "RSV3", "Frame", "Header", "parse_header", "serialize_header"]

FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
_MASK = 0x80
_OPCODES: dict[int, Opcode] = {int(opcode): opcode for opcode in Opcode}

_unpack_16 = struct.Struct("!H").unpack_from
_unpack_64 = struct.Struct("!Q").unpack_from
_pack_short = struct.Struct("!BB").pack
_pack_16 = struct.Struct("!BBH").pack
_pack_64 = struct.Struct("!BBQ").pack


class Header(NamedTuple):
    """What the first bytes of a frame say.

    ``rsv`` holds the reserved bits where they are in the first byte (0x40, 0x20, 0x10), ``length``
    the payload's length in bytes, ``key`` the masking key (b"" for a frame that is not masked),
    ``size`` the length of the header itself in bytes.
    """

    fin: bool
    rsv: int
    opcode: Opcode
    length: int
    key: bytes
    size: int


def parse_header(data: bytes | bytearray, at: int, *, masked: bool) -> Header | None:
    """Read the header of a frame, refusing it at the first byte that is wrong.

    Args:
        data: what came.
        at: where the frame begins in it, in bytes.
        masked: whether frames must be masked (from a client) or must not (from a server).

    Returns:
        The header, or None when more bytes are needed.

    Raises:
        ProtocolError: a reserved opcode, a wrong MASK bit, a control frame that is fragmented or
            longer than 125 bytes, or a 64-bit length with its first bit set (1002).
    """
    available = len(data) - at
    if available < 1:
        return None
    first = data[at]
    opcode = _OPCODES.get(first & 0x0F)
    if opcode is None:
        raise ProtocolError(f"invalid opcode: {first & 0x0F:#x}, expected 0-2 or 8-10")
    fin = first >= FIN
    is_control = opcode >= Opcode.CLOSE
    if is_control and not fin:  # RFC 6455, 5.5
        raise ProtocolError(f"fragmented control frame: {opcode.name} without FIN")
    if available < 2:
        return None
    second = data[at + 1]
    if (second >= _MASK) is not masked:  # RFC 6455, 5.1
        sender, must = ("client", "must") if masked else ("server", "must not")
        raise ProtocolError(f"incorrect masking: frames from a {sender} {must} be masked")
    length = second & 0x7F
    size = 2
    if is_control:
        if length > MAX_CONTROL_PAYLOAD_BYTES:  # RFC 6455, 5.5
            raise ProtocolError(
                f"control frame too long: {opcode.name} with more than "
                f"{MAX_CONTROL_PAYLOAD_BYTES} bytes"
            )
    elif length == 126:
        size = 4
        if available < size:
            return None
        (length,) = _unpack_16(data, at + 2)
    elif length == 127:
        size = 10
        if available > 2 and data[at + 2] >= 0x80:  # RFC 6455, 5.2
            raise ProtocolError("invalid payload length: the most significant bit must be 0")
        if available < size:
            return None
        (length,) = _unpack_64(data, at + 2)
    key = b""
    if masked:
        if available < size + 4:
            return None
        key = bytes(data[at + size : at + size + 4])
        size += 4
    return Header(fin, first & 0x70, opcode, length, key, size)


def serialize_header(fin: bool, rsv: int, opcode: int, length: int, key: bytes = b"") -> bytes:
    """Write the header of a frame.

    Args:
        fin: whether the message ends with this frame.
        rsv: the reserved bits, where they are in the first byte.
        opcode: 0-2 or 8-10.
        length: of the payload, in bytes.
        key: the masking key, 4 bytes, or b"" for a frame that is not masked.

    Returns:
        2 to 14 bytes, the shortest form there is (RFC 6455, 5.2).
    """
    first = (FIN if fin else 0) | rsv | opcode
    mask = _MASK if key else 0
    if length < 126:
        return _pack_short(first, mask | length) + key
    if length < 65536:
        return _pack_16(first, mask | 126, length) + key
    return _pack_64(first, mask | 127, length) + key


@dataclasses.dataclass
class Frame:
    """A frame as a value.

    Args:
        opcode: what it is.
        data: its payload, unmasked; any bytes-like object.
        fin, rsv1, rsv2, rsv3: the bits of its first byte.
    """

    opcode: Opcode
    data: BytesLike
    fin: bool = True
    rsv1: bool = False
    rsv2: bool = False
    rsv3: bool = False

    MAX_LOG_SIZE: ClassVar[int] = 75

    @property
    def rsv(self) -> int:
        """The reserved bits, where they are in the first byte."""
        return (self.rsv1 and RSV1) | (self.rsv2 and RSV2) | (self.rsv3 and RSV3)

    def __str__(self) -> str:
        """Show it as ``TEXT 'Hello' [5 bytes]``, shortened to fit a line of a log."""
        shown, is_text = self._payload_for_people()
        usual = {Opcode.TEXT: True, Opcode.BINARY: False, Opcode.CLOSE: True}.get(self.opcode)
        size = len(self.data)
        notes = [
            "" if is_text == usual or not size else "text" if is_text else "binary",
            f"{size} byte" if size == 1 else f"{size} bytes",
            "" if self.fin else "continued",
        ]
        return f"{self.opcode.name} {shown} [{', '.join(filter(None, notes))}]"

    def _payload_for_people(self) -> tuple[str, bool]:
        """Show the payload in at most ``MAX_LOG_SIZE`` characters, and say whether as text."""
        data = bytes(self.data)
        text = self._text_for_people(data)
        limit = self.MAX_LOG_SIZE
        if text is None:
            return _hexadecimal(data, limit), False
        if len(text) > limit:
            cut = limit // 3 - 1
            text = text[: 2 * cut] + "..." + text[-cut:]
        return text, True

    def _text_for_people(self, data: bytes) -> str | None:
        if not data:
            return "''"
        if self.opcode is Opcode.CLOSE:
            try:
                return str(Close.parse(data))
            except (ProtocolError, UnicodeDecodeError):
                return None
        if self.opcode in CTRL_OPCODES:
            # Four random bytes are UTF-8 too often.
            return repr(data.decode()) if _is_printable(data) else None
        # Binary frames often hold text, and fragments may be cut within a character.
        begins, ends = self.opcode is not Opcode.CONT, self.fin
        if len(data) <= 4 * self.MAX_LOG_SIZE:
            text = _as_text(data, begins, ends)
            return None if text is None else repr(text)
        head = _as_text(data[: 8 * self.MAX_LOG_SIZE // 3], begins, False)
        tail = _as_text(data[-4 * self.MAX_LOG_SIZE // 3 :], False, ends)
        return None if head is None or tail is None else repr(head + tail)

    def check(self) -> None:
        """Hold the bits and the length against the RFC, once extensions took theirs.

        Raises:
            ProtocolError: a reserved bit is set, or a control frame is fragmented or longer
                than 125 bytes (1002).
        """
        if self.rsv1 or self.rsv2 or self.rsv3:
            raise ProtocolError("reserved bits must be 0")
        if self.opcode in CTRL_OPCODES:
            if len(self.data) > MAX_CONTROL_PAYLOAD_BYTES:
                raise ProtocolError(f"control frame too long: {len(self.data)} bytes")
            if not self.fin:
                raise ProtocolError("fragmented control frame")

    @classmethod
    def parse(
        cls,
        read_exact: Callable[[int], Generator[None, None, bytes | bytearray]],
        *,
        mask: bool,
        max_size: int | None = None,
        extensions: Sequence[Extension] | None = None,
    ) -> Generator[None, None, Self]:
        """Read a frame, as a coroutine made of generators.

        Args:
            read_exact: reads that many bytes, yielding while they have not come.
            mask: whether the frame must be masked.
            max_size: what the payload may have, inflated too, in bytes.
            extensions: applied in reverse order.

        Raises:
            EOFError: the bytes end before the frame does.
            PayloadTooBig: the payload is longer than ``max_size`` (1009).
            ProtocolError: the frame breaks the protocol (1002).
        """
        head = bytearray()
        while (header := parse_header(head, 0, masked=mask)) is None:
            head += yield from read_exact(_bytes_missing(head))
        if max_size is not None and header.length > max_size:
            raise PayloadTooBig(header.length, max_size)
        data = yield from read_exact(header.length)
        if header.key:
            data = apply_mask(data, header.key)
        rsv = header.rsv
        frame = cls(
            header.opcode, data, header.fin, bool(rsv & RSV1), bool(rsv & RSV2), bool(rsv & RSV3)
        )
        for extension in reversed(extensions or ()):
            frame = extension.decode(frame, max_size=max_size)  # type: ignore[assignment]
        frame.check()
        return frame

    def serialize(self, *, mask: bool, extensions: Sequence[Extension] | None = None) -> bytes:
        """Write the frame.

        Args:
            mask: whether to mask it, with a key of its own.
            extensions: applied in order.

        Raises:
            ProtocolError: the frame breaks the protocol.
        """
        self.check()
        frame: Frame = self
        for extension in extensions or ():
            frame = extension.encode(frame)
        key = secrets.token_bytes(4) if mask else b""
        header = serialize_header(frame.fin, frame.rsv, frame.opcode, len(frame.data), key)
        return header + (apply_mask(frame.data, key) if mask else frame.data)


def _bytes_missing(head: bytearray) -> int:
    """How many bytes surely belong to a header of which ``head`` is the beginning."""
    if len(head) < 2:
        return 2 - len(head)
    extended = {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
    return 2 + extended + (4 if head[1] >= _MASK else 0) - len(head)


_is_printable = re.compile(rb"[\x09-\x0D\x20-\x7E]*").fullmatch
_has_controls = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\xad]").search


def _as_text(data: bytes, begins: bool, ends: bool) -> str | None:
    """Decode data if it looks like text.

    Args:
        data: the whole of a text, or a piece.
        begins, ends: whether it begins and ends where characters do; where it need not, the part
            of a character is shown as U+FFFD.
    """
    start = 0
    while not begins and start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    try:
        text, used = codecs.utf_8_decode(data[start:], "strict", ends)
    except UnicodeDecodeError:
        return None
    if _has_controls(text):
        return None
    rest = "\ufffd" if used < len(data) - start else ""
    return "\ufffd" * start + text + rest


def _hexadecimal(data: bytes, limit: int) -> str:
    if len(data) <= limit // 3:
        return data.hex(" ")
    cut = (limit // 3 - 1) // 3
    return f"{data[: 2 * cut].hex(' ')} ... {data[-cut:].hex(' ')}"
