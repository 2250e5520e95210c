"""The sans-I/O API of ``websockets``: a facade over the core, with no rule of its own.

A protocol goes through the opening handshake and then drives a core connection. It keeps no time
and no keepalive: its user does, or an adapter, which asks for the core connection instead.
"""

from __future__ import annotations

import functools
import logging
import uuid
from collections.abc import Generator, Iterator
from typing import Any

from .core.close import Close
from .core.connection import NEED_MORE, SEND_EOF, Connection
from .core.extensions.base import Extension
from .core.frames import Frame
from .core.http1 import Request, Response
from .core.inbound import Trace
from .core.messages import SizeLimits
from .core.rules import MAX_MESSAGE_BYTES, CloseCode, Role, State
from .core.streams import StreamReader
from .core.types import BytesLike, LoggerLike, Origin, Subprotocol
from .engine import connection_class, engine_name
from .exceptions import ConnectionClosed, InvalidState

__all__ = ["SEND_EOF", "Event", "Protocol", "Side", "State"]

Side = Role
SERVER, CLIENT = Side.SERVER, Side.CLIENT
CONNECTING, OPEN, CLOSING, CLOSED = State

_OVER: Iterator[None] = iter(())  # in the place of a handshake that has nothing to read any more

Event = Request | Response | Frame
"""What ``events_received`` returns."""


class Protocol:
    """One endpoint of a WebSocket connection, driven by its user.

    Args:
        side: which end this is.
        state: OPEN when the opening handshake was done elsewhere.
        max_size: of an incoming message in bytes, None for no limit; or a pair (of a message,
            of a frame).
        logger: ``wirebird.client`` or ``wirebird.server`` by default.
        engine: name of the engine; None for the default.
    """

    # What is the class's, until it is known, costs a connection nothing.
    debug = False
    origin: Origin | None = None
    subprotocol: Subprotocol | None = None
    handshake_exc: Exception | None = None
    """Why the opening handshake failed; None if it did not."""
    connection: Connection | None = None
    """The core connection, once it is open."""
    trace: Trace | None = None
    """What the core connection gets as its ``trace``."""
    eof_sent = False
    _id: uuid.UUID | None = None
    _arguments: dict[str, Any] | None = None  # of the core connection, until it is made
    _is_pulled = False  # an adapter takes the messages from the core connection
    _is_over = False  # the handshake failed, and TCP has ended
    _has_eof = False
    _reader: StreamReader | None = None
    _handshake: Iterator[None] | None = None
    _events: list[Event] | None = None
    _writes: list[bytes] | None = None

    def __init__(
        self,
        side: Side,
        *,
        state: State = OPEN,
        max_size: int | tuple[int | None, int | None] | None = MAX_MESSAGE_BYTES,
        logger: LoggerLike | None = None,
        engine: str | None = None,
    ) -> None:
        self.side = side
        if logger is None:
            logger = _default_logger(side)
        self.logger: LoggerLike = logger
        self.extensions: list[Extension] = []
        self._engine = engine_name(engine)
        self._arguments = arguments = {"max_size": max_size}
        if logger.isEnabledFor(logging.DEBUG):
            self.debug = True
            self.trace = self._log_frame
        if state is OPEN:
            self._open()
            self._arguments = arguments  # it may be made anew
        elif self.debug:
            self.logger.debug("= connection is CONNECTING")

    @property
    def id(self) -> uuid.UUID:
        """Tells connections apart."""
        if self._id is None:
            self._id = uuid.uuid4()
        return self._id

    @id.setter
    def id(self, value: uuid.UUID) -> None:
        self._id = value

    @property
    def reader(self) -> StreamReader:
        """What came and was not read yet, before the connection is open."""
        if self._reader is None:
            self._reader = StreamReader()
            self._reader.eof = self._has_eof
        return self._reader

    # For adapters

    @property
    def early_bytes(self) -> int:
        """How much came behind a request that is not answered yet."""
        return 0 if self._reader is None else len(self._reader.buffer)

    @property
    def has_eof(self) -> bool:
        """Whether the stream that comes has ended."""
        return self._has_eof

    def configure(self, **arguments: Any) -> None:
        """Say with what arguments the core connection is to be made; its messages are pulled.

        One that was OPEN from the start is made anew: nothing has come or gone yet.

        Raises:
            InvalidState: the connection was made in the meantime.
        """
        if self._arguments is None:
            raise InvalidState(f"connection is {self.state.name.lower()}")
        self._arguments.update(arguments)
        self._is_pulled = True
        if self.connection is not None:
            self._make_connection()

    def lower_limit(self, max_message_bytes: int) -> int | None:
        """Let messages be no longer than that at first, if they may be longer.

        Returns:
            The limit before, for ``Connection.limit_messages``.

        Raises:
            InvalidState: the connection was made already.
        """
        if self._arguments is None:
            raise InvalidState(f"connection is {self.state.name.lower()}")
        limits = SizeLimits(self._arguments["max_size"])
        before = limits.max_message_bytes
        if before is None or before > max_message_bytes:
            self.configure(max_size=(max_message_bytes, limits.max_frame_bytes))
        return before

    # State

    @property
    def state(self) -> State:
        """State of the connection."""
        if self.connection is not None:
            return self.connection.state
        return CLOSED if self._is_over else CONNECTING

    @property
    def close_rcvd(self) -> Close | None:
        """The Close that came, or None."""
        return None if self.connection is None else self.connection.close_rcvd

    @property
    def close_sent(self) -> Close | None:
        """The Close that was sent, or None."""
        return None if self.connection is None else self.connection.close_sent

    @property
    def close_rcvd_then_sent(self) -> bool | None:
        """Whether the peer's Close came before ours was sent; None unless there were both."""
        return None if self.connection is None else self.connection.close_rcvd_then_sent

    @property
    def close_code(self) -> int | None:
        """The code that came, 1005 for none, 1006 without a Close; None until CLOSED."""
        if self.state is not CLOSED:
            return None
        return CloseCode.ABNORMAL_CLOSURE if self.close_rcvd is None else self.close_rcvd.code

    @property
    def close_reason(self) -> str | None:
        """The reason that came; None until CLOSED."""
        if self.state is not CLOSED:
            return None
        return "" if self.close_rcvd is None else self.close_rcvd.reason

    @property
    def close_exc(self) -> ConnectionClosed:
        """The exception for whoever goes on using the connection, once it is CLOSED.

        Raises:
            AssertionError: it is not CLOSED.
        """
        assert self.state is CLOSED, "connection isn't closed yet"
        assert self.connection is not None, "connection was never open"
        return self.connection.close_exc

    @property
    def parser_exc(self) -> BaseException | None:
        """Why the connection failed, or None."""
        return None if self.connection is None else self.connection.failure

    def close_expected(self) -> bool:
        """Whether TCP should end soon: set a time-out for it."""
        return self.state is CLOSING or (self.state is CONNECTING and self.eof_sent)

    # From the network

    def receive_data(self, data: BytesLike) -> None:
        """Take bytes that came; then call ``data_to_send`` and ``events_received``.

        Raises:
            EOFError: the stream has ended already.
        """
        if self.connection is not None:
            if self._has_eof:
                raise EOFError("stream has ended")
            self.connection.receive_data(data, 0.0)
            self._pull()
        elif self.eof_sent:
            return  # the handshake failed: the rest means nothing
        else:
            if self._handshake is None and self._reader is None:
                data = self._take_usual_head(data)
            if data:
                self.reader.feed_data(data)
                self._go_on()

    def receive_eof(self) -> None:
        """Take the end of the stream; then call ``data_to_send``. Doing it again does nothing."""
        if self._has_eof:
            return
        self._has_eof = True
        if self.connection is not None:
            self.connection.receive_eof(0.0)
            self._pull()
            return
        self.reader.eof = True
        self._go_on()
        if self.connection is None:
            self._send_eof()
            self._is_over = True

    # From the application

    def send_continuation(self, data: BytesLike, fin: bool) -> None:
        """Send the next fragment of the message in progress.

        Raises:
            ProtocolError: none is in progress.
            InvalidState: the connection is not OPEN.
        """
        self._opened().send_fragment(data, fin=fin)

    def send_text(self, data: BytesLike, fin: bool = True) -> None:
        """Send UTF-8 as a Text message, or as the first fragment of one.

        Raises:
            ProtocolError: another message is in progress.
            InvalidState: the connection is not OPEN.
        """
        self._opened().send_text(data, fin=fin)

    def send_binary(self, data: BytesLike, fin: bool = True) -> None:
        """Send a Binary message, or the first fragment of one; raises as ``send_text``."""
        self._opened().send_binary(data, fin=fin)

    def send_close(self, code: CloseCode | int | None = None, reason: str = "") -> None:
        """Start the closing handshake.

        Raises:
            ProtocolError: the code or the reason cannot be sent.
            InvalidState: the connection is not OPEN.
        """
        self._opened().close(code, reason, now=0.0)

    def send_ping(self, data: BytesLike) -> None:
        """Send a ping; its payload has at most 125 bytes."""
        self._opened().ping(data, 0.0, is_awaited=False)

    def send_pong(self, data: BytesLike) -> None:
        """Send a pong; its payload has at most 125 bytes."""
        self._opened().pong(data)

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        """Fail the connection. RFC 6455, 7.1.7.

        Raises:
            ProtocolError: the code cannot be sent.
        """
        if self.connection is None:
            self._send_eof()
        else:
            self.connection.fail(code, reason, now=0.0)

    # What is to be done

    def events_received(self) -> list[Event]:
        """Return what came: the request or response of the handshake, then frames."""
        events, self._events = self._events, None
        return [] if events is None else events

    def data_to_send(self) -> list[bytes]:
        """Return what must go to the network, in order; ``SEND_EOF`` means to half-close TCP."""
        given, self._writes = self._writes, None
        writes = [] if given is None else given
        if self.connection is not None:
            writes += self.connection.data_to_send()
            self.eof_sent = self.eof_sent or SEND_EOF in writes
        return writes

    # The opening handshake

    def _opened(self) -> Connection:
        if self.connection is None:
            raise InvalidState(f"connection is {self.state.name.lower()}")
        return self.connection

    def _open(self) -> None:
        """Make the core connection, and give it the bytes that came behind the head."""
        connection = self._make_connection()
        if self.debug:
            self.logger.debug("= connection is OPEN")
        assert self._arguments is not None
        now = self._arguments.get("now", 0.0)
        reader, self._reader, self._arguments = self._reader, None, None
        if reader is not None:
            self._has_eof = reader.eof
            if rest := reader.take_rest():
                connection.receive_data(rest, now)
        if self._has_eof:
            connection.receive_eof(now)
        self._pull()

    def _make_connection(self) -> Connection:
        assert self._arguments is not None
        make = connection_class(self._engine, self.extensions)
        connection = make(self.side, extensions=self.extensions, **self._arguments)
        connection.trace = self.trace
        connection.looks_at_frames = not self._is_pulled
        self.connection = connection
        return connection

    def _pull(self) -> None:
        """Take the frames at once: what a wrong payload makes us send must not wait for a call."""
        if self.connection is None or self._is_pulled:
            return
        try:
            while (frame := self.connection.next_frame()) is not NEED_MORE:
                self._came(frame)
        except ConnectionClosed:
            pass  # no more frames; the state says so

    def _log_frame(self, sent: bool, frame: Frame) -> None:
        self.logger.debug("%s %s", ">" if sent else "<", frame)

    def _came(self, event: Event) -> None:
        if self._events is None:
            self._events = []
        self._events.append(event)

    def _write(self, data: bytes) -> None:
        if self._writes is None:
            self._writes = []
        self._writes.append(data)

    def _take_usual_head(self, data: BytesLike) -> BytesLike:
        """Take a head that is here as a whole, if that is easier; return what is left."""
        return data

    def _go_on(self) -> None:
        """Go on with the handshake as far as the bytes allow."""
        if self._handshake is None:
            self._handshake = self._shake_hands()
        try:
            next(self._handshake)
        except StopIteration:
            self._handshake = _OVER

    def _shake_hands(self) -> Generator[None, None, None]:
        """Read the peer's head; what client and server do differently."""
        raise NotImplementedError
        yield

    def _send_eof(self) -> None:
        if not self.eof_sent:
            self.eof_sent = True
            self._write(SEND_EOF)


@functools.cache
def _default_logger(side: Side) -> logging.Logger:
    return logging.getLogger(f"wirebird.{side.name.lower()}")
