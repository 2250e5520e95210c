"""One endpoint under test: frames built and read by code of its own, time as numbers, hooks noted.

What a peer would do stands here a second time, on purpose: a test that used the library's own
``serialize_header`` would agree with its mistakes.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from wirebird.core.close import Close
from wirebird.core.connection import NEED_MORE, SEND_EOF
from wirebird.core.hooks import Hooks
from wirebird.core.rules import Role
from wirebird.engine import connection_class
from wirebird.exceptions import ConnectionClosed

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"  # of the example in RFC 6455, 5.7
ROLES = [Role.SERVER, Role.CLIENT]


def xor(payload: bytes, key: bytes) -> bytes:
    """Mask, as RFC 6455, 5.3 words it."""
    return bytes(octet ^ key[i % 4] for i, octet in enumerate(payload))


def head(first: int, length: int, *, masked: bool, form: int | None = None) -> bytes:
    """The header of a frame; ``form`` is 7, 16 or 64 bits, the shortest by default."""
    mask = 0x80 if masked else 0
    if form is None:
        form = 7 if length < 126 else 16 if length < 2**16 else 64
    if form == 7:
        size = bytes([mask | length])
    elif form == 16:
        size = bytes([mask | 126]) + struct.pack("!H", length)
    else:
        size = bytes([mask | 127]) + struct.pack("!Q", length)
    return bytes([first]) + size + (KEY if masked else b"")


class Sent(NamedTuple):
    """A frame that an endpoint sent, as its peer reads it."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


def read_frames(data: bytes, *, masked: bool) -> list[Sent]:
    """Read frames that must be complete, masked as they must be, and in their shortest form."""
    frames = []
    while data:
        first, second = data[0], data[1]
        assert (second >= 0x80) is masked
        length, at = second & 0x7F, 2
        if length == 126:
            (length,) = struct.unpack_from("!H", data, 2)
            assert length >= 126
            at = 4
        elif length == 127:
            (length,) = struct.unpack_from("!Q", data, 2)
            assert length >= 2**16
            at = 10
        key = data[at : at + 4] if masked else b"\0\0\0\0"
        at += 4 if masked else 0
        payload = data[at : at + length]
        assert len(payload) == length, "a frame stops in the middle"
        frames.append(Sent(first & 0x0F, xor(payload, key), first >= 0x80, first & 0x70))
        data = data[at + length :]
    return frames


def close_payload(code: int, reason: str = "") -> bytes:
    """The payload of a Close frame."""
    return struct.pack("!H", code) + reason.encode()


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Cut data."""
    return (data[at : at + size] for at in range(0, len(data), size))


def draws() -> Callable[[int], bytes]:
    """A source of bytes that are the same in each run, and never twice the same in one."""
    numbers = itertools.count(1)
    return lambda length: b"".join(struct.pack("!I", next(numbers)) for _ in range(length // 4))


class Recorder(Hooks):
    """Notes what the connection tells."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []  # all but pings
        self.pings: list[bytes] = []

    def ping_received(self, payload: bytes) -> None:
        self.pings.append(payload)

    def pong_received(self, payload: bytes, latency_s: float) -> None:
        self.told.append(("pong", payload, latency_s))

    def close_received(self, close: Close) -> None:
        self.told.append(("close", close.code, close.reason))

    def failed(self, exc: BaseException) -> None:
        self.told.append(("failed", type(exc)))

    def limit_exceeded(self, limit: str) -> None:
        self.told.append(("limit", limit))

    def pause_reading(self) -> None:
        self.told.append(("pause",))

    def resume_reading(self) -> None:
        self.told.append(("resume",))

    def deadline_changed(self) -> None:
        self.told.append(("deadline",))

    def abort(self) -> None:
        self.told.append(("abort",))

    def names(self, *wanted: str) -> list[str]:
        """The names of what was told, of these names."""
        return [told[0] for told in self.told if told[0] in wanted]


class Endpoint:
    """A connection in a role, and the peer's hands.

    Args:
        role: of the connection; its peer has the other.
        arguments: for the connection.
    """

    def __init__(self, role: Role = Role.SERVER, **arguments: Any) -> None:
        self.role = role
        self.hooks = Recorder()
        self.messages: list[Any] = []  # what ``read_always`` got
        self.end: ConnectionClosed | None = None
        arguments.setdefault("hooks", self.hooks)
        arguments.setdefault("random_bytes", draws())
        make = connection_class(extensions=arguments.get("extensions", ()))
        self.core = make(role, **arguments)

    def frame(
        self,
        opcode: int,
        payload: bytes = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        form: int | None = None,
    ) -> bytes:
        """A frame as the peer sends it."""
        masked = self.role is Role.SERVER
        first = (0x80 if fin else 0) | rsv | opcode
        data = xor(payload, KEY) if masked else payload
        return head(first, len(payload), masked=masked, form=form) + data

    def head(self, first: int, length: int, form: int | None = None) -> bytes:
        """The beginning of a frame, as the peer sends it."""
        return head(first, length, masked=self.role is Role.SERVER, form=form)

    def receive(self, *data: bytes, now: float = 0.0, size: int | None = None) -> None:
        """Let bytes come, in pieces of ``size``."""
        whole = b"".join(data)
        for piece in in_pieces(whole, size or len(whole) or 1):
            self.core.receive_data(piece, now)

    def sent(self) -> list[Sent]:
        """The frames that go out; the end of the stream is an opcode of -1."""
        frames: list[Sent] = []
        data = b""
        masked = self.role is Role.CLIENT
        for chunk in self.core.data_to_send():
            if chunk == SEND_EOF:
                frames += read_frames(data, masked=masked)
                frames.append(EOF)
                data = b""
            else:
                data += chunk
        return frames + read_frames(data, masked=masked)

    def read_always(self, decode: bool | None = None, *, by_frame: bool = False) -> None:
        """Read whatever comes, as a callback handler does."""

        def read() -> bool:
            self.messages += self.read(decode, by_frame=by_frame)
            if self.end is None:
                self.core.wait(read, by_frame=by_frame)
            return False

        read()

    def read(self, decode: bool | None = None, *, by_frame: bool = False) -> list[Any]:
        """Read what there is; ``end`` is what was raised at the end."""
        pull: Callable[..., Any] = self.core.next_fragment if by_frame else self.core.next_message
        got = []
        try:
            while (value := pull(decode)) is not NEED_MORE:
                got.append(value)
        except ConnectionClosed as exc:
            self.end = exc
        return got


EOF = Sent(-1, b"")


class Outcome(NamedTuple):
    """What became of some bytes: it must be the same however they are cut and read."""

    messages: list[Any]
    sent: list[Sent]
    failure: type[BaseException] | None
    received: int | None
    """The code of the Close that came."""


def outcome(
    role: Role,
    data: bytes,
    *,
    size: int | None = None,
    is_waiting: bool = True,
    **arguments: Any,
) -> Outcome:
    """Feed bytes, and say what became of them.

    Args:
        role: of the endpoint.
        data: what comes.
        size: of the pieces in which it comes, in bytes; None for all at once.
        is_waiting: whether somebody waits for messages; else they are read at the end.
        arguments: for the connection.
    """
    endpoint = Endpoint(role, **arguments)
    if is_waiting:
        endpoint.read_always()
    endpoint.receive(data, size=size)
    messages = endpoint.messages if is_waiting else endpoint.read()
    core = endpoint.core
    return Outcome(
        messages,
        endpoint.sent(),
        None if core.failure is None else type(core.failure),
        None if core.close_rcvd is None else core.close_rcvd.code,
    )


def outcome_each_way(role: Role, data: bytes, **arguments: Any) -> Outcome:
    """Feed bytes whole, byte by byte and in threes, read at once and later: demand one outcome."""
    first = outcome(role, data, **arguments)
    for is_waiting in (True, False):
        for size in (None, 1, 3):
            other = outcome(role, data, size=size, is_waiting=is_waiting, **arguments)
            assert other == first, (size, is_waiting)
    return first
