"""The payload of a Close frame: a code and a reason. RFC 6455, 5.5.1 and 7.4."""

from __future__ import annotations

import dataclasses
import struct
from typing import Self

from ..exceptions import ProtocolError
from .rules import CLOSE_CODE_EXPLANATIONS, MAX_REASON_BYTES, CloseCode, is_wire_close_code

__all__ = ["Close", "shortened"]


@dataclasses.dataclass
class Close:
    """Code and reason of a Close frame.

    Args:
        code: 1000-1003, 1007-1014 or 3000-4999 on the wire; 1005 stands for an empty payload.
        reason: text for people, at most 123 bytes as UTF-8.
    """

    code: CloseCode | int
    reason: str

    def __str__(self) -> str:
        if 3000 <= self.code < 4000:
            explanation = "registered"
        elif 4000 <= self.code < 5000:
            explanation = "private use"
        else:
            explanation = CLOSE_CODE_EXPLANATIONS.get(self.code, "unknown")
        result = f"{int(self.code)} ({explanation})"
        return f"{result} {self.reason}" if self.reason else result

    @classmethod
    def parse(cls, data: bytes | bytearray) -> Self:
        """Read the payload of a Close frame.

        Raises:
            ProtocolError: one byte, or a code that must not be on the wire (1002).
            UnicodeDecodeError: the reason is not UTF-8 (1007).
        """
        if not data:
            return cls(CloseCode.NO_STATUS_RCVD, "")
        if len(data) == 1:
            raise ProtocolError("close frame too short: 1 byte, expected 0 or at least 2")
        (code,) = struct.unpack_from("!H", data)
        close = cls(code, data[2:].decode())
        close.check()
        return close

    def serialize(self) -> bytes:
        """Write the payload of a Close frame.

        Raises:
            ProtocolError: the code must not be on the wire, or the reason is too long.
        """
        self.check()
        return struct.pack("!H", self.code) + self.reason.encode()

    def check(self) -> None:
        """Hold the code and the length of the reason against the RFC.

        Raises:
            ProtocolError: the code must not be on the wire, or the reason is too long.
        """
        if not is_wire_close_code(self.code):
            raise ProtocolError(
                f"invalid close code: {int(self.code)}, expected 1000-1003, 1007-1014 or 3000-4999"
            )
        length = len(self.reason.encode())
        if length > MAX_REASON_BYTES:
            raise ProtocolError(
                f"close reason too long: {length} bytes, expected at most {MAX_REASON_BYTES}"
            )


def shortened(reason: str) -> str:
    """Cut a reason to what a Close frame can hold, between characters."""
    encoded = reason.encode(errors="replace")
    return encoded[:MAX_REASON_BYTES].decode(errors="ignore")
