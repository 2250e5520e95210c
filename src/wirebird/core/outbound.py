"""What goes out: frames, in order, until somebody takes them to the network. RFC 6455, 5 and 6.1.

Small payloads are joined with their headers, big ones are passed on as they are. Only exact
``bytes`` are kept by reference: the owner of a bytearray may change it before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..exceptions import ProtocolError
from .extensions.base import Extension, may_skip
from .frames import Frame, serialize_header
from .inbound import Trace
from .masking import KeySource, apply_mask, masked_pieces
from .rules import MAX_CONTROL_PAYLOAD_BYTES, Opcode
from .types import BytesLike

__all__ = ["SEND_EOF", "Outbound"]

SEND_EOF = b""
"""In the list of what to send: close the sending direction of the TCP connection."""

_JOIN_BYTES = 8 * 1024
_CONGESTED_BYTES = 64 * 1024


class Outbound:
    """The sending half of an open connection.

    Args:
        masked: whether to mask frames: this is a client.
        extensions: negotiated, in order.
        random_bytes: where masking keys come from.
    """

    def __init__(
        self,
        *,
        masked: bool,
        extensions: Sequence[Extension],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.masked = masked
        self.extensions = tuple(extensions)
        self.keys = KeySource(random_bytes)
        self.trace: Trace | None = None
        self.opcode_in_progress: Opcode | None = None  # of a message whose last fragment is not out
        self._is_skipping = False  # that message goes past the extensions
        self._chunks: list[bytes] = []
        self.queued_bytes = 0
        self.sent_bytes = 0  # that were ever queued
        self.frame_count = 0
        self.message_count = 0
        self._flushed = 0  # of these, how many the network has taken
        self._progress_at = 0.0
        self._buffered = 0
        self._postponed_pong: bytes | None = None

    # Frames

    def send_message(
        self, opcode: Opcode, payload: BytesLike, *, fin: bool = True, compress: bool | None = None
    ) -> None:
        """Queue a message, or the first fragment of one.

        Args:
            opcode: TEXT or BINARY.
            payload: UTF-8 for TEXT.
            fin: whether it is all of the message.
            compress: False to leave out extensions that allow it.

        Raises:
            ProtocolError: another message is in progress (RFC 6455, 5.4).
        """
        if self.opcode_in_progress is not None:
            raise ProtocolError("expected a continuation frame: a message is in progress")
        if not fin:
            self.opcode_in_progress = opcode
        self._is_skipping = compress is False
        self._queue(opcode, payload, fin)

    def send_continuation(self, payload: BytesLike, *, fin: bool) -> None:
        """Queue the next fragment of the message in progress.

        Raises:
            ProtocolError: none is in progress (RFC 6455, 5.4).
        """
        if self.opcode_in_progress is None:
            raise ProtocolError("unexpected continuation frame: no message is in progress")
        if fin:
            self.opcode_in_progress = None
        self._queue(Opcode.CONT, payload, fin)

    def send_control(self, opcode: Opcode, payload: BytesLike) -> None:
        """Queue a control frame.

        Raises:
            ProtocolError: the payload is longer than 125 bytes (RFC 6455, 5.5).
        """
        if len(payload) > MAX_CONTROL_PAYLOAD_BYTES:
            raise ProtocolError(
                f"control frame too long: {len(payload)} bytes, "
                f"expected at most {MAX_CONTROL_PAYLOAD_BYTES}"
            )
        self._queue(opcode, payload, True)

    def answer_ping(self, payload: bytes) -> None:
        """Queue a pong; while the peer takes nothing, keep only the latest. RFC 6455, 5.5.3."""
        if self._buffered > _CONGESTED_BYTES:
            self._postponed_pong = payload
        else:
            self.send_control(Opcode.PONG, payload)

    def _queue(self, opcode: Opcode, payload: BytesLike, fin: bool) -> None:
        rsv = 0
        is_last = fin
        if isinstance(payload, memoryview):
            payload = payload.tobytes()  # its items may be longer than a byte
        if self.trace is not None:
            self.trace(True, Frame(opcode, bytes(payload), fin))
        if self.extensions:
            frame = Frame(opcode, payload, fin)
            for extension in self.extensions:
                is_control = opcode >= Opcode.CLOSE
                if not (self._is_skipping and may_skip(extension)) or is_control:
                    frame = extension.encode(frame)
            payload, rsv, fin, opcode = frame.data, frame.rsv, frame.fin, frame.opcode
        length = len(payload)
        key = self.keys.next_key() if self.masked else b""
        header = serialize_header(fin, rsv, opcode, length, key)
        self.sent_bytes += len(header) + length
        self.frame_count += 1
        if is_last and opcode < Opcode.CLOSE:
            self.message_count += 1
        self.queued_bytes += len(header) + length
        if length < _JOIN_BYTES:
            self._chunks.append(header + (apply_mask(payload, key) if key else payload))
            return
        self._chunks.append(header)
        if key:
            self._chunks += masked_pieces(payload, key)
        else:
            self._chunks.append(payload if type(payload) is bytes else bytes(payload))

    # The queue

    def send_eof(self) -> None:
        """Queue the end of the stream; a pong that was put off is late now."""
        self._postponed_pong = None
        self._chunks.append(SEND_EOF)

    def discard(self) -> None:
        """Forget what was not sent: nobody will take it any more."""
        self._chunks.clear()
        self.queued_bytes = 0

    def take(self) -> list[bytes]:
        """Return what must go out now, in order, and forget it."""
        chunks, self._chunks = self._chunks, []
        self.queued_bytes = 0
        return chunks

    # The network

    def network_holds(self, buffered: int, now: float) -> bool:
        """Note how much of what was taken is not yet with the peer's network, in bytes.

        Returns:
            Whether it has begun to wait.
        """
        has_begun = buffered > 0 and not self._buffered
        flushed = self.sent_bytes - self.queued_bytes - buffered
        if flushed > self._flushed or not self._buffered:
            self._flushed = max(flushed, self._flushed)
            self._progress_at = now
        self._buffered = buffered
        if self._postponed_pong is not None and buffered <= _CONGESTED_BYTES:
            payload, self._postponed_pong = self._postponed_pong, None
            self.send_control(Opcode.PONG, payload)
        return has_begun

    def stall_deadline(self, write_timeout_s: float | None) -> float | None:
        """When a peer that takes nothing is to be cut; None while nothing waits for it."""
        if write_timeout_s is None or not self._buffered:
            return None
        return self._progress_at + write_timeout_s
