"""What comes in: one buffer, and two places in it.

    | read already |  frames ahead  |  what has come of the next  |
                   ^ _read          ^ _scan

The *scanner* looks at headers as soon as they come: it judges them, counts data frames, hands
control frames over, and stops at the first violation or at a Close. The *reader* comes behind it,
when somebody asks for a message: it unmasks, decodes and checks payloads. A frame costs no object
while it waits; what nobody asks for is the backpressure. RFC 6455, 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..exceptions import PayloadTooBig, ProtocolError
from .extensions.base import Extension, leaves_unmarked_alone, rsv_bits
from .frames import RSV1, RSV2, RSV3, Frame, Header, parse_header
from .masking import apply_mask, unmask
from .messages import MessageOrder, Reassembly, SizeLimits
from .rules import MAX_UNREAD_BYTES, Opcode
from .types import BytesLike

__all__ = ["Inbound", "Trace"]

Trace = Callable[[bool, Frame], None]
"""Told of each frame that goes by: whether it was sent, and the frame as its sender meant it."""

_COMPACT_BYTES = 64 * 1024


class Inbound:
    """The receiving half of an open connection.

    Args:
        masked: whether the peer must mask its frames: it is a client.
        extensions: negotiated, in order.
        limits: on the size of messages.
        max_fragments: of one message; None for no limit.
        marks: the (high, low) number of complete unread frames at which reading should pause and
            resume; None for no mark.
        on_control: called with opcode and payload of each control frame when it comes; what it
            raises is a violation.
    """

    def __init__(
        self,
        *,
        masked: bool,
        extensions: Sequence[Extension],
        limits: SizeLimits,
        max_fragments: int | None,
        marks: tuple[int | None, int | None],
        on_control: Callable[[Opcode, bytes], None],
    ) -> None:
        self.masked = masked
        self.extensions = tuple(reversed(extensions))
        self.limits = limits
        self.message = Reassembly()
        self.violation: Exception | None = None
        self.is_ended = False
        self.trace: Trace | None = None
        # What ever came; frames and what is in them once the scanner has passed them.
        self.received_bytes = 0
        self.frame_count = 0
        self.message_count = 0
        self.ping_count = 0
        self._order = MessageOrder(limits, max_fragments)
        self._high, self._low = marks
        self._on_control = on_control
        self._first_rsv = _union(rsv_bits(extension)[0] for extension in extensions)
        self._other_rsv = _union(rsv_bits(extension)[1] for extension in extensions)
        self._may_skip = all(map(leaves_unmarked_alone, extensions))
        self._is_plain = self._may_skip  # the message that is being read goes past the extensions
        # The reader has _buffer; the scanner has _ahead, the same object until ``skip_ahead``.
        self._buffer = self._ahead = bytearray()
        self._read = 0
        self._scan = 0
        self._scanned: Header | None = None  # the header before _scan ...
        self._scanned_at = 0  # ... and where it is
        self._unread_frames = 0  # data frames that the scanner has passed, the reader has not
        # The data frame that is being read.
        self._header: Header | None = None
        self._left = 0
        self._raw: bytearray | None = None  # payload of one that extensions must see whole

    # What comes

    def feed(self, data: BytesLike) -> None:
        """Take bytes from the network; after the end, they are left out."""
        if not self.is_ended:
            self._ahead += data

    def scan(self) -> None:
        """Look at the headers of all frames that have come."""
        while self._scan_one():
            pass
        if self._ahead is not self._buffer:
            gone = min(self._scan, len(self._ahead))
            del self._ahead[:gone]
            self._scan -= gone

    def end(self) -> None:
        """Leave out whatever else comes; complete frames before the end can still be read."""
        self.is_ended = True
        if self._ahead is not self._buffer:
            self._ahead = self._buffer
            self._scan = len(self._buffer)
            self._scanned = None
        else:
            del self._buffer[max(self._scan, self._read) :]

    def drop(self) -> None:
        """End the input, and leave out what was not read as well."""
        self._buffer.clear()
        self._read = self._unread_frames = 0
        self._header = self._raw = None
        self.message.reset()
        self.end()
        self._scan = 0

    def release(self) -> None:
        """Give back memory that holds nothing unread; never called while bytes come."""
        self._compact()

    def skip_ahead(self) -> None:
        """From here on, look at headers only: payloads that are not yet complete are left out."""
        if self._ahead is not self._buffer:
            return
        is_cut = self._scan > len(self._buffer)
        at = max(self._scanned_at if is_cut else self._scan, self._read)
        self._ahead = self._buffer[at:]
        del self._buffer[at:]
        self._scan -= at
        self._scanned = None
        if is_cut:
            self._unread_frames -= 1
            if self._header is not None and self._read == at:  # the reader was within it
                self._header = self._raw = None
                self.message.reset()
        self.scan()

    # Backpressure

    @property
    def unread_bytes(self) -> int:
        """How much waits to be read, headers included."""
        return len(self._buffer) - self._read

    @property
    def held_bytes(self) -> int:
        """How much of what came is held, payloads of messages in progress left out."""
        return len(self._buffer) + (0 if self._ahead is self._buffer else len(self._ahead))

    @property
    def gathered_bytes(self) -> int:
        """How much of a message in progress is held."""
        return self.message.held_bytes + (0 if self._raw is None else len(self._raw))

    @property
    def has_unread(self) -> bool:
        """Whether a message waits, or a complete frame of one, or what was not looked at yet."""
        if self.message.is_complete or self._complete_frames:
            return True
        return self._ahead is self._buffer and self._scan < len(self._buffer)

    @property
    def is_above_mark(self) -> bool:
        """Whether so much is unread that reading should pause."""
        if self.unread_bytes > MAX_UNREAD_BYTES:
            return True
        return self._high is not None and self._complete_frames > self._high

    @property
    def is_below_mark(self) -> bool:
        """Whether so little is unread that reading should resume."""
        if self.unread_bytes > MAX_UNREAD_BYTES // 4:
            return False
        return self._low is None or self._complete_frames <= self._low

    def drop_controls(self) -> bool:
        """Leave out the control frames among what is unread; return whether that made enough room.

        They have been handled, but their bytes stay until somebody reads past them: nobody does
        where an application only sends. It is enough if half of the room is free, or the next few
        pings would make us look at everything again.
        """
        if self._header is not None or self._ahead is not self._buffer:
            return False
        at, end = self._read, min(self._scan, len(self._buffer))
        kept = bytearray()
        while at < end:
            header = parse_header(self._buffer, at, masked=self.masked)
            assert header is not None, "the scanner has seen it"
            after = min(at + header.size + header.length, len(self._buffer))
            if header.opcode < Opcode.CLOSE:
                kept += self._buffer[at:after]
            at = after
        dropped = at - self._read - len(kept)
        self._buffer[self._read : at] = kept
        self._scan -= dropped
        self._scanned_at -= dropped  # of the last data frame, if it is cut
        self._scanned = None
        return not self.is_above_mark and self.unread_bytes <= MAX_UNREAD_BYTES // 2

    @property
    def _complete_frames(self) -> int:
        is_cut = self._ahead is self._buffer and self._scan > len(self._buffer)
        return self._unread_frames - is_cut

    # The scanner

    def _scan_one(self) -> bool:
        """Take the next frame's header, if it has come and nothing ended the input."""
        if self.is_ended:
            return False
        start = self._scan
        try:
            if self._scan < len(self._ahead):
                self._check_first_byte(self._ahead[self._scan])
            header = parse_header(self._ahead, self._scan, masked=self.masked)
            if header is None:
                return False
            end = self._scan + header.size + header.length
            if header.opcode >= Opcode.CLOSE:
                if end > len(self._ahead):
                    return False
                payload = self._control_payload(header, self._scan)
                self._passed(header, end)
                self._on_control(header.opcode, payload)
            else:
                self._order.check(header)
                self._passed(header, end)
                if self._ahead is self._buffer:
                    self._unread_frames += 1
        except Exception as exc:  # of ours, or any at all of an extension
            self.violation = exc
            self._scan, self._scanned = start, None  # it is no frame for those who read frames
            self.end()
            return False
        return True

    def _passed(self, header: Header, end: int) -> None:
        self._scanned, self._scanned_at = header, self._scan
        self._scan = end
        self.frame_count += 1
        if header.opcode is Opcode.PING:
            self.ping_count += 1
        elif header.fin and header.opcode < Opcode.CLOSE:
            self.message_count += 1

    def _check_first_byte(self, first: int) -> None:
        """RFC 6455, 5.2: a reserved bit means nothing unless an extension says what."""
        rsv = first & (RSV1 | RSV2 | RSV3)
        if rsv:
            allowed = self._first_rsv if first & 0x0F in (1, 2) else self._other_rsv
            if rsv & ~allowed:
                raise ProtocolError(f"reserved bits must be 0: got {rsv & ~allowed:#04x}")

    def _control_payload(self, header: Header, at: int) -> bytes:
        at += header.size
        payload = bytes(self._ahead[at : at + header.length])
        if header.key:
            payload = apply_mask(payload, header.key)
        if self.extensions:
            payload = bytes(self._decoded(header, payload).data)
        if self.trace is not None:
            self.trace(False, Frame(header.opcode, payload))
        return payload

    def limit_messages(self, max_message_bytes: int | None) -> int | None:
        """Change the limit for messages whose headers are still to come; return the one before."""
        before = self.limits
        self.limits = SizeLimits((max_message_bytes, before.max_frame_bytes))
        self._order.limit(self.limits)
        return before.max_message_bytes

    def _decoded(self, header: Header, payload: bytes, max_size: int | None = None) -> Frame:
        rsv = header.rsv
        bits = bool(rsv & RSV1), bool(rsv & RSV2), bool(rsv & RSV3)
        frame = Frame(header.opcode, payload, header.fin, *bits)
        for extension in self.extensions:
            frame = extension.decode(frame, max_size=max_size)
        frame.check()
        return frame

    # The reader

    def advance(self, *, by_frame: bool = False) -> bool:
        """Read on until a message is complete.

        Args:
            by_frame: stop at the end of each of its frames.

        Returns:
            Whether ``message`` has what was asked for; False when more bytes are needed, or when
            there is nothing more before the end or a violation.

        Raises:
            ProtocolError, PayloadTooBig, UnicodeDecodeError: the payload is wrong.
            Exception: an extension is.
        """
        message = self.message
        while not (message.is_complete or (by_frame and message.has_fragment)):
            if self._header is None and not self._next_header():
                return False
            if not self._read_payload():
                return False
        return True

    def next_control(self) -> Frame | None:
        """Return the next control frame before the next data frame, once the scanner had it.

        For those who look at frames; readers of messages pass over it. None when there is none.
        """
        if self._header is not None or self.message.is_complete:
            return None
        header = self._header_here()
        if header is None or header.opcode < Opcode.CLOSE:
            return None
        at = self._read + header.size
        payload = bytes(self._buffer[at : at + header.length])
        self._read = at + header.length
        return Frame(header.opcode, apply_mask(payload, header.key) if header.key else payload)

    def _header_here(self) -> Header | None:
        """The header at the reader's place, which the scanner must have passed."""
        if self._ahead is self._buffer:
            while self._read == self._scan:
                if not self._scan_one():
                    return None
            if self._read == self._scanned_at and self._scanned is not None:
                return self._scanned
        if self._read >= len(self._buffer):
            return None
        return parse_header(self._buffer, self._read, masked=self.masked)

    def _next_header(self) -> bool:
        while (header := self._header_here()) is not None:
            self._read += header.size
            if header.opcode < Opcode.CLOSE:
                self._header = header
                self._left = header.length
                if header.opcode is not Opcode.CONT:
                    self.message.opcode = header.opcode
                    self._is_plain = self._may_skip and not header.rsv
                self._raw = None if self._is_plain else bytearray()
                return True
            self._read += header.length
        self._compact()
        return False

    def _read_payload(self) -> bool:
        """Take what has come of the frame; return whether it is complete."""
        header = self._header
        assert header is not None
        piece = self._take_bytes(header)
        message = self.message
        is_complete = not self._left
        if self._raw is not None:
            if is_complete:
                self._add_decoded(header, bytes(self._raw) + piece if self._raw else piece)
            else:
                self._raw += piece
        elif is_complete and header.fin and header.opcode is not Opcode.CONT and not message.size:
            message.add_whole(header.opcode, piece)
        elif piece or is_complete:
            message.add(piece, final=is_complete and header.fin)
        self._compact()
        if is_complete:
            self._header = None
            message.has_fragment = True
            self._unread_frames -= 1
            if self.trace is not None and self._raw is None:
                data = message.tail(header.length)
                self.trace(False, Frame(header.opcode, data, header.fin))
        return is_complete

    def _take_bytes(self, header: Header) -> bytes:
        """Take what has come of a payload, unmasked: it is copied once."""
        start = self._read
        length = min(self._left, len(self._buffer) - start)
        phase = header.length - self._left
        self._read += length
        self._left -= length
        if header.key:
            return unmask(self._buffer, start, length, header.key, phase)
        with memoryview(self._buffer) as view:
            return bytes(view[start : start + length])

    def _add_decoded(self, header: Header, payload: bytes) -> None:
        limit = self.limits.left(self.message.size)
        try:
            frame = self._decoded(header, payload, limit)
            if limit is not None and len(frame.data) > limit:
                raise PayloadTooBig(len(frame.data), limit)
        except PayloadTooBig as exc:
            if self.message.size:
                exc.set_current_size(self.message.size)
            raise
        if self.trace is not None:
            self.trace(False, frame)
        if header.fin and header.opcode is not Opcode.CONT:
            self.message.add_whole(header.opcode, bytes(frame.data))
        else:
            self.message.add(frame.data, final=header.fin)

    def _compact(self) -> None:
        """Give back what was read."""
        read = self._read
        if read and (read >= len(self._buffer) or read > _COMPACT_BYTES):
            del self._buffer[:read]
            if self._ahead is self._buffer:
                self._scan -= read
                self._scanned_at -= read
            self._read = 0


def _union(bits: Iterable[int]) -> int:
    union = 0
    for some in bits:
        union |= some
    return union
