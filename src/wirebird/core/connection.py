"""One endpoint of an open connection: bytes in, hooks out, bytes out. RFC 6455, 5 to 7.

It is driven and never acts by itself; time is told to it. **Messages are pulled, the rest is
pushed**: control frames are handled when they come, violations end the input, and what is left
are messages, which wait as bytes until somebody asks for them.

    receive_data, receive_eof     what came from the network
    next_message, next_fragment   what the application asks for
    send_*, ping, pong, close     what it says
    data_to_send                  what must go to the network now
    next_deadline                 when handle_deadline must be called at the latest

Every rule about the open connection is here or below, never in an adapter: what does not concern
messages (heartbeats, closing, failing, deadlines) is in ``lifecycle.py``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from ..exceptions import ProtocolError
from . import rules
from .frames import Frame
from .hooks import Hooks
from .lifecycle import Lifecycle, payload_of
from .outbound import SEND_EOF
from .rules import Opcode, State
from .state import Passage
from .types import BytesLike, Data, DataLike

__all__ = ["NEED_MORE", "SEND_EOF", "Connection", "Hooks", "NeedMore"]


class NeedMore(enum.Enum):
    """The type of ``NEED_MORE``."""

    NEED_MORE = "need more"


NEED_MORE: Final = NeedMore.NEED_MORE
"""There is no message yet; ask again when something has come."""

_RECEIVE_BYTES = 64 * 1024


class Connection(Lifecycle):
    """One endpoint of a connection whose opening handshake is done.

    Args:
        role: which end this is.
        extensions: negotiated, in order.
        max_size: of an incoming message in bytes, inflated; None for no limit; or a pair
            (of a message, of a frame).
        max_fragments: of an incoming message, empty ones counted; None for no limit.
        max_queue: complete unread frames above which reading pauses; or a pair (high, low);
            None for no mark. low is high // 4 when it is not given.
        ping_interval_s: seconds between two pings; None for none.
        ping_timeout_s: seconds of silence after a ping until the peer is given up (1011).
        close_timeout_s: seconds that the closing handshake may take; None for no limit.
        write_timeout_s: seconds without the peer taking anything until it is cut.
        hooks: are told what happens.
        random_bytes: where masking keys and the payloads of pings come from.
        now: the time, in seconds of the clock that all other calls use.
    """

    ends_with_input = False
    """Whether ``ConnectionClosed`` is raised once nothing can come, and not when TCP has ended."""
    looks_at_frames = False
    """Whether control frames that were handled are kept all the same, for ``next_frame``."""

    # From the network

    def receive_data(self, data: BytesLike, now: float) -> None:
        """Take bytes that came.

        Who waits for a message is served first; then what is left is looked at.
        """
        self._now = self._last_received = now
        self._inbound.received_bytes += len(data)
        if self._inbound.is_ended:
            self._discard(len(data))
            return
        self._inbound.feed(data)
        if not self._serve_reader():
            self.settle(now)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return room for bytes to come, for those who read into buffers."""
        if self._receive_buffer is None:
            self._receive_buffer = bytearray(_RECEIVE_BYTES)
        return memoryview(self._receive_buffer)

    def buffer_updated(self, nbytes: int, now: float) -> None:
        """Take as many bytes from the room that ``get_buffer`` gave."""
        assert self._receive_buffer is not None, "get_buffer() comes first"
        with memoryview(self._receive_buffer) as view:
            self.receive_data(view[:nbytes], now)

    def receive_eof(self, now: float) -> None:
        """Take the end of the stream. Complete messages before it can still be read."""
        if self._halves.inbound is State.CLOSED:
            return
        self._now = now
        self._inbound.scan()
        self._inbound.end()
        if self._inbound.violation is not None and not self._is_failed:
            self._fail_for(self._inbound.violation)  # there is nothing to wait for any more
        if self.close_rcvd is None and not self._is_failed:  # RFC 6455, 7.1.5: that is 1006
            self._set_failure(EOFError("unexpected end of stream: no close frame received"))
        self._halves.received(Passage.ENDED)
        self._send_eof()
        self._start_closing()
        self._serve_reader()

    def connection_lost(self, exc: BaseException | None, now: float) -> None:
        """Take the end of the TCP connection, whatever the reason."""
        self.receive_eof(now)
        is_cause_known = self.failure is not None and not isinstance(self.failure, EOFError)
        if exc is not None and self.close_rcvd is None and not is_cause_known:
            self.failure = exc
        self._outbound.discard()
        self._is_cut = True
        self._serve_reader()

    def settle(self, now: float) -> None:
        """Look at what nobody has read: answer pings and a Close, judge sizes and marks."""
        self._now = now
        self._inbound.scan()
        self._judge_violation()
        if self._meter is not None:
            self._judge_rates()
        if self._halves.public is not State.OPEN:
            # While closing we keep reading, up to the Close, but not keeping without bound.
            if not self._inbound.is_ended and self._inbound.is_above_mark:
                self._inbound.skip_ahead()
        elif (
            self._reader is None
            and not self.is_paused
            and self._inbound.is_above_mark
            and (self.looks_at_frames or not self._inbound.drop_controls())
        ):
            self.is_paused = True
            self._hooks.pause_reading()

    def _serve_reader(self) -> bool:
        """Serve whoever waits; return whether ``settle`` will be called for us later."""
        is_deferred = False
        while self._reader is not None and (self._read_on(self._is_by_frame) or self._is_over()):
            reader, self._reader = self._reader, None
            is_deferred = reader()
        return is_deferred

    def _discard(self, length: int) -> None:
        """Leave out what comes after the end, within bounds; then cut."""
        self._discarded += length
        if self._discarded > rules.MAX_DISCARDED_BYTES:
            self._abort()

    # To the application

    # What was not looked at on arrival is looked at now, so that a message which cannot be taken
    # fails the connection here: then, and when it raises, there may be something to send.

    def next_message(
        self, decode: bool | None = None, *, now: float | None = None
    ) -> Data | NeedMore:
        """Return the next message.

        Args:
            decode: True for str, False for bytes; None for str from Text and bytes from Binary.
            now: the time, from which a failure's deadline counts; None if it was just told.

        Returns:
            The message, or NEED_MORE.

        Raises:
            ConnectionClosed: there is no message any more, and TCP has ended.
        """
        if self._poll(False, now):
            try:
                return self._inbound.message.take(decode)
            except UnicodeDecodeError as exc:
                self._refuse(exc)
        return self._need_more()

    def next_fragment(
        self, decode: bool | None = None, *, now: float | None = None
    ) -> tuple[Data, bool] | NeedMore:
        """Return the next fragment of a message, and whether the message ends with it.

        Args:
            decode, now: as for ``next_message``.

        Returns:
            The fragment, or NEED_MORE.

        Raises:
            ConnectionClosed: there is none any more, and TCP has ended.
        """
        if self._poll(True, now):
            try:
                return self._inbound.message.take_fragment(decode)
            except UnicodeDecodeError as exc:
                self._refuse(exc)
        return self._need_more()

    def next_frame(self, *, now: float | None = None) -> Frame | NeedMore:
        """Return the next frame as it came, control frames too (they have been handled already).

        For those who look at frames instead of messages.

        Args:
            now: as for ``next_message``.

        Raises:
            ConnectionClosed: there is none any more, and TCP has ended.
        """
        control = self._inbound.next_control()
        if control is not None:
            return control
        if not self._poll(True, now):
            return self._need_more()
        message = self._inbound.message
        opcode = Opcode.CONT if message.is_begun or message.opcode is None else message.opcode
        fragment = self.next_fragment(decode=False)
        if fragment is NEED_MORE:
            return NEED_MORE
        data, fin = fragment
        assert isinstance(data, bytes)
        return Frame(opcode, data, fin)

    def wait(self, reader: Callable[[], bool], *, by_frame: bool = False) -> None:
        """Call ``reader`` once, when the next message or the end has come.

        Args:
            reader: returns whether it will go on reading later, and then call ``settle``.
            by_frame: do not wait for the end of a message, but for that of its next frame.
        """
        self._reader = reader
        self._is_by_frame = by_frame

    def stop_waiting(self) -> None:
        """Forget the reader that ``wait`` gave; what came for it can still be read."""
        self._reader = None

    def _poll(self, by_frame: bool, now: float | None) -> bool:
        """Read on; return whether there is something to take."""
        if now is not None:
            self._now = now
        return self._read_on(by_frame)

    def _need_more(self) -> NeedMore:
        """Say that there is nothing to take; raise at the end, when nothing more can come."""
        if self._is_over():
            raise self.close_exc
        return NEED_MORE

    def _is_over(self) -> bool:
        """Whether there is an end to tell a reader of, who has read all there was before."""
        return self._halves.public is State.CLOSED or (
            self.ends_with_input and self._inbound.is_ended
        )

    def _read_on(self, by_frame: bool) -> bool:
        try:
            is_ready = self._inbound.advance(by_frame=by_frame)
        except Exception as exc:  # of ours, or any at all of an extension
            self._refuse(exc)
            return False
        if not is_ready:
            self._judge_violation()
        if self.is_paused and self._inbound.is_below_mark:
            self._caught_up()
        return is_ready

    # From the application

    def send_text(self, data: DataLike, *, fin: bool = True, compress: bool | None = None) -> None:
        """Send a Text message, or the first fragment of one.

        Args:
            data: str, or UTF-8 as a bytes-like object.
            fin: whether it is all of the message.
            compress: False to leave it uncompressed.

        Raises:
            InvalidState: the connection is not OPEN.
            ProtocolError: another message is in progress.
            Exception: whatever an extension raises; the connection is failed then (1011).
        """
        self._send(Opcode.TEXT, data, fin, compress)

    def send_binary(
        self, data: DataLike, *, fin: bool = True, compress: bool | None = None
    ) -> None:
        """Send a Binary message, or the first fragment of one.

        Args:
            data: a bytes-like object; a str is sent as UTF-8.
            fin, compress, and what is raised: as for ``send_text``.
        """
        self._send(Opcode.BINARY, data, fin, compress)

    def send_fragment(self, data: DataLike, *, fin: bool) -> None:
        """Send the next fragment of the message in progress.

        Args:
            data: str or bytes-like.
            fin: whether the message ends with it.

        Raises:
            InvalidState: the connection is not OPEN.
            ProtocolError: no message is in progress.
        """
        self._send(Opcode.CONT, data, fin, None)

    def _send(self, opcode: Opcode, data: DataLike, fin: bool, compress: bool | None) -> None:
        self._check_open()
        payload = payload_of(data)
        try:
            if opcode is Opcode.CONT:
                self._outbound.send_continuation(payload, fin=fin)
            else:
                self._outbound.send_message(opcode, payload, fin=fin, compress=compress)
        except ProtocolError:
            raise  # it cannot be sent now, and nothing was
        except Exception as exc:  # of an extension: another may be ahead of the peer by now
            self._fail_for(exc)
            raise

    # To the network

    def data_to_send(self) -> list[bytes]:
        """Return what must go out now, in order; ``SEND_EOF`` means to half-close TCP."""
        return self._outbound.take()

    def network_holds(self, buffered: int, now: float) -> None:
        """Tell how many of these bytes the network has not taken yet, after giving it some."""
        if self._outbound.network_holds(buffered, now):
            self._hooks.deadline_changed()
