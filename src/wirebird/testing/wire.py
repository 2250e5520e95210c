"""Frames and heads as they are on the wire, right or wrong.

What the library does stands here a second time, on purpose: it knows the layout of RFC 6455, 5.2
and nothing of the library, so it can write what no library would, and does not share its mistakes.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import struct

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "KEY",
    "MASK",
    "PING",
    "PONG",
    "TEXT",
    "WireFrame",
    "accept_of",
    "close_payload",
    "key_of",
    "masked",
    "raw_frame",
    "request",
    "response",
]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = base64.b64encode(bytes(16)).decode()
"""The key of ``request``."""
MASK = b"\x37\xfa\x21\x3d"  # of the example in RFC 6455, 5.7

_NAMES = {
    CONT: "Continuation",
    TEXT: "Text",
    BINARY: "Binary",
    CLOSE: "Close",
    PING: "Ping",
    PONG: "Pong",
}
_SHOWN = 60  # characters of a payload


def accept_of(key: str) -> str:
    """The answer to a key. RFC 6455, 4.2.2."""
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


def key_of(head: str) -> str:
    """The key in the head of a request; "" if it has none."""
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "sec-websocket-key":
            return value.strip()
    return ""


def masked(payload: bytes, key: bytes = MASK) -> bytes:
    """Apply a masking key. RFC 6455, 5.3."""
    keys = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(
        len(payload), "big"
    )


def raw_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bool = True,
    length: int | None = None,
) -> bytes:
    """Write a frame, which need not be a valid one.

    Args:
        opcode: any of 0-15.
        payload: as it is meant; it is masked here.
        fin: the bit.
        mask: whether it is masked, as a client's must be.
        rsv: RSV1 is 4, RSV2 is 2, RSV3 is 1.
        length: that the header claims, when it is not that of the payload.
    """
    length = len(payload) if length is None else length
    first = fin << 7 | rsv << 4 | opcode
    bit = mask << 7
    if length < 126:
        header = struct.pack("!BB", first, bit | length)
    elif length < 2**16:
        header = struct.pack("!BBH", first, bit | 126, length)
    else:
        header = struct.pack("!BBQ", first, bit | 127, length)
    return header + (MASK + masked(payload) if mask else payload)


def close_payload(code: int | None, reason: str = "") -> bytes:
    """What a Close carries; None for nothing. RFC 6455, 5.5.1."""
    return b"" if code is None else struct.pack("!H", code) + reason.encode()


def request(*headers: str, path: str = "/", host: str = "127.0.0.1") -> bytes:
    """A proper request for a WebSocket, with further header lines."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return "".join(line + "\r\n" for line in lines).encode() + b"\r\n"


def response(key: str, *headers: str) -> bytes:
    """A proper answer to a request with this key, with further header lines."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_of(key)}",
        *headers,
    ]
    return "".join(line + "\r\n" for line in lines).encode() + b"\r\n"


@dataclasses.dataclass(frozen=True)
class WireFrame:
    """A frame as it was on the wire, unmasked.

    Args:
        opcode: 0-15.
        payload: unmasked.
        fin: the bit.
        rsv: RSV1 is 4, RSV2 is 2, RSV3 is 1.
        masked: whether it was.
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    masked: bool = False

    @property
    def code(self) -> int:
        """The code of a Close; 1005 for none."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else 1005

    @property
    def reason(self) -> str:
        """The reason of a Close; what is not UTF-8 in it is replaced."""
        return self.payload[2:].decode(errors="replace")

    @property
    def text(self) -> str:
        """The payload as UTF-8; what is not is replaced."""
        return self.payload.decode(errors="replace")

    def __str__(self) -> str:
        parts = [_NAMES.get(self.opcode, f"opcode {self.opcode}"), self._shown_payload()]
        if not self.fin:
            parts.append("(not final)")
        parts += [f"RSV{bit}" for bit, value in ((1, 4), (2, 2), (3, 1)) if self.rsv & value]
        return " ".join(part for part in parts if part)

    def _shown_payload(self) -> str:
        if self.opcode == CLOSE:
            return f"{self.code} {self.reason!r}" if self.reason else str(self.code)
        if self.opcode == TEXT and not self.rsv:
            return _short(repr(self.text), f" of {len(self.payload)} bytes")
        if not self.payload:
            return "empty"
        return _short(repr(self.payload), f" of {len(self.payload)} bytes")


def _short(text: str, rest: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...{rest}"
