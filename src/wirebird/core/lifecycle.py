"""The life of an open connection: heartbeats, the closing handshake, failing, deadlines.

This is the half of an endpoint where speed means nothing and every decision is made; engines share
it. Messages are in the other half, ``connection.py``. RFC 6455, 5.5 and 7.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Sequence

from ..exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    LimitExceeded,
    ProtocolError,
    WebSocketException,
)
from . import rules
from .close import Close, shortened
from .extensions.base import Extension
from .hooks import Hooks
from .inbound import Inbound, Trace
from .keepalive import Keepalive
from .messages import SizeLimits
from .meter import Meter
from .outbound import Outbound
from .rules import CloseCode, Opcode, Role, State
from .state import Halves, Passage
from .totals import Totals
from .types import DataLike

__all__ = ["Lifecycle", "payload_of"]


class Lifecycle:
    """What an endpoint does besides messages; ``Connection`` says what the arguments are.

    A subclass reads messages; it calls ``_judge_violation`` and ``_refuse`` for what it meets.
    Engines put their own halves in the place of ``_inbound_class`` and ``_outbound_class``.
    """

    _inbound_class = Inbound
    _outbound_class = Outbound
    _halves_class = Halves

    # What most connections never change is the class's, which costs each of them nothing.
    close_timeout_s: float | None = rules.CLOSE_TIMEOUT_S
    write_timeout_s: float | None = rules.WRITE_TIMEOUT_S
    close_rcvd: Close | None = None
    close_sent: Close | None = None
    close_rcvd_then_sent: bool | None = None
    failure: BaseException | None = None
    """Why the connection ended other than by a closing handshake; None if it did not."""
    is_paused = False
    _reader: Callable[[], bool] | None = None
    _is_by_frame = False
    _close_deadline: float | None = None
    _violation_deadline: float | None = None
    _meter: Meter | None = None  # of rates that are limited
    _throttle_deadline: float | None = None  # until then reading is paused for them
    _discarded = 0
    _is_eof_queued = False
    _is_failed = False
    _is_cut = False  # TCP was aborted, or is gone
    _receive_buffer: bytearray | None = None

    def __init__(
        self,
        role: Role,
        *,
        extensions: Sequence[Extension] = (),
        max_size: int | tuple[int | None, int | None] | None = rules.MAX_MESSAGE_BYTES,
        max_fragments: int | None = rules.MAX_FRAGMENTS,
        max_queue: int | tuple[int | None, int | None] | None = None,
        ping_interval_s: float | None = None,
        ping_timeout_s: float | None = None,
        close_timeout_s: float | None = rules.CLOSE_TIMEOUT_S,
        write_timeout_s: float | None = rules.WRITE_TIMEOUT_S,
        hooks: Hooks | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        now: float = 0.0,
    ) -> None:
        self.role = role
        if close_timeout_s != rules.CLOSE_TIMEOUT_S:
            self.close_timeout_s = close_timeout_s
        if write_timeout_s != rules.WRITE_TIMEOUT_S:
            self.write_timeout_s = write_timeout_s
        self._hooks = Hooks() if hooks is None else hooks
        self._halves = self._halves_class()
        self._keepalive = Keepalive(ping_interval_s, ping_timeout_s, now)
        self._inbound = self._inbound_class(
            masked=role is Role.SERVER,
            extensions=extensions,
            limits=_limits(max_size),
            max_fragments=max_fragments,
            marks=_marks(max_queue),
            on_control=self._control_received,
        )
        self._outbound = self._outbound_class(
            masked=role is Role.CLIENT, extensions=extensions, random_bytes=random_bytes
        )
        self._now = now
        self._last_received = now

    # What there is to know

    @property
    def state(self) -> State:
        """The public state: OPEN, CLOSING or CLOSED."""
        return self._halves.public

    @property
    def latency(self) -> float:
        """The last measured round-trip time, in seconds; 0.0 before the first."""
        return self._keepalive.latency_s

    @property
    def has_unread(self) -> bool:
        """Whether something waits that the next message may be made of."""
        return self._inbound.has_unread

    @property
    def is_drained(self) -> bool:
        """Whether nothing is left of what came but the message that is ready."""
        return not self._inbound.unread_bytes

    @property
    def is_sending_fragments(self) -> bool:
        """Whether the last fragment of a message is still to be sent."""
        return self._outbound.opcode_in_progress is not None

    @property
    def queued_bytes(self) -> int:
        """How much ``data_to_send`` would return."""
        return self._outbound.queued_bytes

    @property
    def held_bytes(self) -> int:
        """How much is held for this connection: unread, in progress, and not yet taken to send."""
        inbound = self._inbound
        return inbound.held_bytes + inbound.gathered_bytes + self._outbound.queued_bytes

    @property
    def totals(self) -> Totals:
        """What ever went by."""
        inbound, outbound = self._inbound, self._outbound
        return Totals(
            inbound.message_count,
            inbound.frame_count,
            inbound.received_bytes,
            inbound.ping_count,
            outbound.message_count,
            outbound.frame_count,
            outbound.sent_bytes,
        )

    @property
    def is_input_ended_by_peer(self) -> bool:
        """Whether the peer said that it will send nothing more: a Close or the end came."""
        return self._halves.inbound is not State.OPEN

    def limit_messages(self, max_message_bytes: int | None) -> int | None:
        """Change how big a message that comes may be; None for no limit.

        It holds for messages whose headers were not judged yet: those behind the one that is
        received next, if it is changed in the reader's own step.

        Returns:
            The limit before.
        """
        return self._inbound.limit_messages(max_message_bytes)

    @property
    def trace(self) -> Trace | None:
        """Told of each frame that goes by: ``trace(sent, frame)``.

        A frame that came is told of when it is handled: a control frame on arrival, a data frame
        when it is read.
        """
        return self._inbound.trace

    @trace.setter
    def trace(self, trace: Trace | None) -> None:
        self._inbound.trace = self._outbound.trace = trace

    @property
    def close_exc(self) -> ConnectionClosed:
        """A new exception that says how the connection ended, once it is CLOSED."""
        rcvd, sent = self.close_rcvd, self.close_sent
        is_ok = (
            rcvd is not None
            and sent is not None
            and rcvd.code in rules.OK_CLOSE_CODES
            and sent.code in rules.OK_CLOSE_CODES
        )
        kind = ConnectionClosedOK if is_ok else ConnectionClosedError
        exc = kind(rcvd, sent, self.close_rcvd_then_sent)
        exc.__cause__ = self.failure
        return exc

    # Pings and closing

    def ping(self, data: DataLike | None, now: float, *, is_awaited: bool = True) -> bytes:
        """Send a ping. RFC 6455, 5.5.2.

        Args:
            data: str or bytes-like, at most 125 bytes; None for four random bytes.
            is_awaited: whether somebody wants to know of its pong; then no other with the same
                payload may be under way.

        Returns:
            Its payload, by which its pong is known.

        Raises:
            InvalidState: nothing can be sent any more.
            ProtocolError: the payload is too long.
            ConcurrencyError: the pong for a ping with the same payload is still awaited.
        """
        self._check_not_ended()
        self._now = now
        if data is None:
            payload = self._outbound.keys.next_key()
            while self._keepalive.is_pending(payload):
                payload = self._outbound.keys.next_key()
        else:
            payload = bytes(payload_of(data))
        if is_awaited and len(payload) <= rules.MAX_CONTROL_PAYLOAD_BYTES:
            self._keepalive.sent(payload, now)
        self._outbound.send_control(Opcode.PING, payload)
        return payload

    def pong(self, data: DataLike = b"") -> None:
        """Send a pong that nobody asked for: a heartbeat in one direction. RFC 6455, 5.5.3.

        Args:
            data: str or bytes-like, at most 125 bytes.

        Raises:
            InvalidState: nothing can be sent any more.
            ProtocolError: the payload is too long.
        """
        self._check_not_ended()
        payload = payload_of(data)
        self._outbound.send_control(Opcode.PONG, payload)

    def close(
        self, code: int | None = CloseCode.NORMAL_CLOSURE, reason: str = "", *, now: float
    ) -> None:
        """Start the closing handshake. RFC 6455, 7.1.2.

        In the middle of a fragmented message of ours, it fails the connection instead (1011).

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999; None for a Close without one.
            reason: at most 123 bytes as UTF-8.

        Raises:
            InvalidState: the connection is not OPEN.
            ProtocolError: the code or the reason cannot be sent.
        """
        self._check_open()
        self._now = now
        if self.is_sending_fragments:
            self.fail(CloseCode.INTERNAL_ERROR, "close during fragmented message", now=now)
            return
        if code is None:
            if reason:
                raise ProtocolError("cannot send a close reason without a code")
            self._send_close(Close(CloseCode.NO_STATUS_RCVD, ""), b"")
        else:
            close = Close(code, reason)
            self._send_close(close, close.serialize())
        self._start_closing()
        if self.is_paused:
            self._resume()

    def fail(
        self,
        code: int,
        reason: str = "",
        *,
        now: float,
        cause: BaseException | None = None,
    ) -> None:
        """Fail the connection: Close, end of the stream, and no more input. RFC 6455, 7.1.7.

        Messages that came before can still be read. Doing it again does nothing.

        Args:
            code: to send; 1006 to send no Close.
            reason: cut to 123 bytes of UTF-8.
            cause: why, for ``failure``.

        Raises:
            ProtocolError: the code cannot be sent.
        """
        if self._is_failed:
            return
        self._now = now
        if self._halves.outbound is State.OPEN and code != CloseCode.ABNORMAL_CLOSURE:
            close = Close(code, shortened(reason))
            payload = close.serialize()
            try:
                self._send_close(close, payload)
            except Exception as exc:  # of an extension, which leaves no way to say why
                cause = exc if cause is None else cause
        self._is_failed = True
        if self.failure is None:
            self.failure = cause
        self._inbound.end()
        self._violation_deadline = None
        self._send_eof()
        self._start_closing()
        if self.is_paused:
            self._resume()
        if cause is not None:
            self._hooks.failed(cause)

    def _check_open(self) -> None:
        if self._halves.public is not State.OPEN:
            raise InvalidState(f"connection is {self._halves.public.name.lower()}")

    def _check_not_ended(self) -> None:
        if self._is_eof_queued:
            raise InvalidState(f"connection is {self._halves.public.name.lower()}")

    # Deadlines

    def next_deadline(self) -> float | None:
        """Return when ``handle_deadline`` must be called, or None. It may move later unasked."""
        if self._is_cut:
            return None
        earliest = self._outbound.stall_deadline(self.write_timeout_s)
        for deadline in (
            self._close_deadline,
            self._violation_deadline,
            self._throttle_deadline,
            self._keepalive.next_deadline(self._last_received, is_listening=not self.is_paused)
            if self._halves.public is State.OPEN
            else None,
        ):
            if deadline is not None and (earliest is None or deadline < earliest):
                earliest = deadline
        return earliest

    def handle_deadline(self, now: float) -> None:
        """Do what is due: ping, give up a silent peer, end a closing handshake, cut."""
        self._now = now
        if self._throttle_deadline is not None and now >= self._throttle_deadline:
            self._throttle_deadline = None
            if self.is_paused and not self._inbound.is_above_mark:
                self._resume()
        stall = self._outbound.stall_deadline(self.write_timeout_s)
        if self._close_deadline is not None and now >= self._close_deadline:
            self._set_failure(TimeoutError("timed out while closing connection"))
            self._abort()
        elif stall is not None and now >= stall:
            self._set_failure(
                TimeoutError(f"the peer took nothing for {self.write_timeout_s:g} seconds")
            )
            self._abort()
        elif self._violation_deadline is not None and now >= self._violation_deadline:
            assert self._inbound.violation is not None
            self._fail_for(self._inbound.violation)
        elif self._halves.public is State.OPEN:
            self._keep_alive(now)

    def _keep_alive(self, now: float) -> None:
        if not self.is_paused and self._keepalive.is_given_up(self._last_received, now):
            cause = TimeoutError("keepalive ping timeout")
            self.fail(CloseCode.INTERNAL_ERROR, str(cause), now=now, cause=cause)
        elif self._keepalive.ping_is_due(now):
            self._keepalive.heartbeat_sent(self.ping(None, now))

    # Control frames, closing and failing

    def _control_received(self, opcode: Opcode, payload: bytes) -> None:
        if opcode is Opcode.CLOSE:
            self._close_received(Close.parse(payload), payload)
        elif opcode is Opcode.PONG:
            for answered, latency in self._keepalive.answered(payload, self._now):
                self._hooks.pong_received(answered, latency)
        else:
            if not self._is_eof_queued:
                self._outbound.answer_ping(payload)
            self._hooks.ping_received(payload)

    def _close_received(self, close: Close, payload: bytes) -> None:
        """RFC 6455, 5.5.1 and 7.1.1: answer with the same code; the server ends TCP first."""
        self.close_rcvd = close
        self._halves.received(Passage.CLOSE)
        self._inbound.end()
        if self._halves.outbound is State.OPEN:
            self.close_rcvd_then_sent = True
            self._send_close(close, payload)
        elif self.close_sent is not None:
            self.close_rcvd_then_sent = False
        if self.role is Role.SERVER:
            self._send_eof()
        self._start_closing()
        if self.is_paused:
            self._resume()  # to see the end of the stream
        self._hooks.close_received(close)

    def _send_close(self, close: Close, payload: bytes) -> None:
        self._outbound.send_control(Opcode.CLOSE, payload)
        self.close_sent = close
        self._halves.sent(Passage.CLOSE)

    def _send_eof(self) -> None:
        if not self._is_eof_queued:
            self._is_eof_queued = True
            self._outbound.send_eof()
            self._halves.sent(Passage.ENDED)

    def _start_closing(self) -> None:
        if self._close_deadline is None and self.close_timeout_s is not None:
            self._close_deadline = self._now + self.close_timeout_s
            self._hooks.deadline_changed()

    def _judge_violation(self) -> None:
        """Fail for what the scanner found, at once or when the messages before it are read."""
        violation = self._inbound.violation
        if violation is None or self._is_failed:
            return
        if not self._inbound.has_unread:
            self._fail_for(violation)
        elif self._violation_deadline is None:
            self._violation_deadline = self._now + rules.VIOLATION_GRACE_S
            self._hooks.deadline_changed()

    def _refuse(self, exc: Exception) -> None:
        """Fail for a payload, and for whatever is behind it."""
        self._inbound.drop()
        self._fail_for(exc)

    def _fail_for(self, exc: Exception) -> None:
        if isinstance(exc, UnicodeDecodeError):
            code: int | None = CloseCode.INVALID_DATA
            reason = f"{exc.reason} at position {exc.start}"
        else:
            code = exc.close_code if isinstance(exc, WebSocketException) else None
            reason = "" if code is None else str(exc)  # what is wrong in here is not for the peer
        self.fail(code or CloseCode.INTERNAL_ERROR, reason, now=self._now, cause=exc)

    def _set_failure(self, exc: BaseException) -> None:
        if self.failure is None:
            self.failure = exc

    def _abort(self) -> None:
        if not self._is_cut:
            self._is_cut = True
            self._hooks.abort()

    # Reading

    def limit_rates(self, meter: Meter) -> None:
        """Hold what comes against rates.

        They are judged once for what one read brought, so that it costs a message nothing.

        Args:
            meter: of this connection alone.
        """
        self._meter = meter

    def shed(self, limit: str, message: str, *, now: float) -> None:
        """Fail the connection for what it costs, and leave out what was not read (1013).

        Args:
            limit: that was exceeded.
            message: for the peer.
        """
        self._inbound.drop()
        self._inbound.release()
        self._hooks.limit_exceeded(limit)
        exc = LimitExceeded(limit, message)
        self.fail(CloseCode.TRY_AGAIN_LATER, message, now=now, cause=exc)

    def _judge_rates(self) -> None:
        """Fail a connection whose peer exceeds its rates, or let the peer wait.

        Not while closing: what comes is left out then, up to the Close, and the time is bounded.
        """
        inbound, meter = self._inbound, self._meter
        if meter is None or inbound.is_ended or self._halves.public is not State.OPEN:
            return
        exceeded = meter.judge(
            self._now, inbound.message_count, inbound.frame_count, inbound.received_bytes
        )
        if exceeded is None:
            return
        self._hooks.limit_exceeded(exceeded.limit)
        if self._halves.public is not State.OPEN:
            return  # whoever was told has closed it
        if not meter.is_throttling:
            exc = LimitExceeded(exceeded.limit, f"too many {exceeded.limit} a second")
            self.fail(CloseCode.POLICY_VIOLATION, str(exc), now=self._now, cause=exc)
            return
        self._throttle_deadline = self._now + exceeded.wait_s
        if not self.is_paused:
            self.is_paused = True
            self._hooks.pause_reading()
        self._hooks.deadline_changed()

    def _caught_up(self) -> None:
        """Read on, now that little is unread, unless the peer is to wait."""
        if self._throttle_deadline is None:
            self._resume()

    def _resume(self) -> None:
        self.is_paused = False
        self._throttle_deadline = None
        self._last_received = self._now  # silence counts from here
        self._hooks.resume_reading()


@functools.lru_cache(maxsize=64)
def _limits(max_size: int | tuple[int | None, int | None] | None) -> SizeLimits:
    return SizeLimits(max_size)


@functools.lru_cache(maxsize=64)
def _marks(
    max_queue: int | tuple[int | None, int | None] | None,
) -> tuple[int | None, int | None]:
    high, low = max_queue if isinstance(max_queue, tuple) else (max_queue, None)
    if high is None:
        if low is None:
            return None, None
        high = low * 4
    low = high // 4 if low is None else low
    if not 0 <= low <= high:
        raise ValueError(f"max_queue must be at least 0, and low at most high: got {high}, {low}")
    return high, low


def payload_of(data: DataLike) -> bytes | bytearray:
    """Turn what a user sends into bytes; a view may have items of another size."""
    if isinstance(data, str):
        return data.encode()
    return bytes(data) if isinstance(data, memoryview) else data
