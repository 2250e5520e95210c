"""Sending without waiting, and what happens when the peer does not keep up.

``await send`` is its own limit: its caller waits. What never waits (``send_nowait``, ``broadcast``)
is bounded here instead: once the network holds more than ``write_limit``, messages are held back
as messages, and a policy says which of them are dropped when there are too many
(``core/backlog.py``). Order stays that of the calls, for those who wait too.

This is a part of ``Connection`` beside its engine's half.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..core.backlog import Backlog, Held, SlowConsumerPolicy
from ..core.close import Close
from ..core.connection import Connection as Core
from ..core.lifecycle import payload_of
from ..core.rules import CloseCode, Opcode, State
from ..core.types import BytesLike, DataLike
from ..exceptions import InvalidState
from ..protocol import Protocol
from .handlers import Callbacks

__all__ = ["NowaitSender", "held_message"]

# Messages that are sent soon go out together, up to this size.
_BATCH_BYTES = 64 * 1024
_SLOW_REASON = "slow consumer"


def held_message(message: DataLike, text: bool | None, compress: bool | None = None) -> Held:
    """Make a message that can be sent now or later, to one or to many.

    Args:
        message: str or bytes-like; what its owner may change is copied.
        text, compress: as for ``send``.

    Raises:
        TypeError: the message is of another type.
    """
    if not isinstance(message, (str, BytesLike)):
        raise TypeError(f"data must be str or bytes-like, not {type(message).__name__}")
    is_text = isinstance(message, str) if text is None else text
    opcode = Opcode.TEXT if is_text else Opcode.BINARY
    return Held(opcode, bytes(payload_of(message)), True, compress, None)


class NowaitSender:
    """What a connection sends without waiting. What it needs is its engine's half's."""

    protocol: Protocol
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _core: Core | None
    _backlog: Backlog | None
    _is_writing_paused: bool
    _is_flush_scheduled: bool

    _slow_consumer = SlowConsumerPolicy()
    _dropped = 0
    _callbacks: Callbacks | None = None  # what calls a handler's methods

    @property
    def dropped_messages(self) -> int:
        """How many messages the policy for slow consumers dropped, of those that nobody waits for.

        What was held back when the connection ended counts too.
        """
        return self._dropped + (0 if self._backlog is None else self._backlog.dropped)

    def send_nowait(
        self, message: DataLike, *, text: bool | None = None, compress: bool | None = None
    ) -> None:
        """Send a message soon, without waiting: replies to what came together go out together.

        When the peer does not keep up, ``slow_consumer`` says what happens.

        Args:
            message: str is sent as Text, bytes-like as Binary.
            text: True to send bytes-like (UTF-8) as Text, False to send str as Binary.
            compress: False to leave this message uncompressed.

        Raises:
            ConnectionClosed: the connection is closed or closing, also when ``slow_consumer``
                closes it for this message (1013). While it is closing, ``rcvd`` and ``sent`` are
                the Close frames so far: ConnectionClosedOK if there are both, with 1000, 1001 or
                no code, else ConnectionClosedError.
            InvalidState: the opening handshake is not done.
            TypeError: the message is of another type.
        """
        if isinstance(message, str):
            opcode = Opcode.BINARY if text is False else Opcode.TEXT
        elif isinstance(message, BytesLike):
            opcode = Opcode.TEXT if text else Opcode.BINARY
        else:
            raise TypeError(f"data must be str or bytes-like, not {type(message).__name__}")
        core = self._core
        if core is None or self._must_hold(core):
            self._send_now(held_message(message, text, compress))
            return
        try:
            if opcode is Opcode.TEXT:
                core.send_text(message, compress=compress)
            else:
                core.send_binary(message, compress=compress)
        except InvalidState:
            raise core.close_exc from None
        except Exception:
            self._flush()  # an extension that raises fails the connection
            raise
        self._flush_soon(core)

    def close_nowait(
        self, code: CloseCode | int = CloseCode.NORMAL_CLOSURE, reason: str = ""
    ) -> None:
        """Start the closing handshake soon, behind what was sent, without waiting for its end.

        What the peer sent before its Close is still received. Doing it again does nothing.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: at most 123 bytes as UTF-8.

        Raises:
            ProtocolError: the code or the reason cannot be sent.
            InvalidState: the opening handshake is not done.
        """
        core = self._core
        if core is None:
            raise InvalidState(f"connection is {self.protocol.state.name.lower()}")
        self._start_closing(core, code, reason)
        self._flush_soon(core)

    # For the rest of the connection

    def _start_closing(self, core: Core, code: CloseCode | int | None, reason: str) -> None:
        """Send what is held back, then a Close; None for one without a code."""
        if core.state is State.OPEN:
            if code is not None:
                Close(code, reason).serialize()  # what cannot be sent changes nothing
            self._release(is_closing=True)
        try:
            core.close(code, reason, now=self.loop.time())
        except InvalidState:
            pass  # it is closing already
        self._drop_backlog()  # what stands behind a fragmented message that will have no end

    def _send_now(self, held: Held) -> None:
        """Send a message to all intents at once; raises as ``send_nowait``."""
        core = self._open_core()
        if self._must_hold(core):
            self._hold(core, held)
        else:
            self._frame(held)

    async def _send_in_turn(
        self, opcode: Opcode, data: DataLike, fin: bool, compress: bool | None
    ) -> None:
        """Send a message behind those that are held back; return when it was begun.

        Raises:
            InvalidState: nothing can be sent any more.
        """
        core, backlog = self._core, self._backlog
        if core is None or backlog is None or core.state is not State.OPEN:
            raise InvalidState(f"connection is {self.protocol.state.name.lower()}")
        ticket: asyncio.Future[None] = self.loop.create_future()
        backlog.hold(Held(opcode, bytes(payload_of(data)), fin, compress, ticket))
        await ticket

    def _network_drained(self) -> None:
        """Send what was held back, and let a handler go on."""
        if self._backlog is not None:
            self._release()
        if self._callbacks is not None:
            self._callbacks.network_drained()

    def _release(self, *, is_closing: bool = False) -> None:
        """Send what is held back, as far as the network takes it; all of it before a Close.

        What is released at once before a Close is bounded: by the limit of what is held.
        """
        core, backlog = self._core, self._backlog
        if core is None or backlog is None:
            return
        if core.state is not State.OPEN:
            self._drop_backlog()
            return
        while len(backlog) and not core.is_sending_fragments:
            if (self._is_writing_paused and not is_closing) or self.transport.is_closing():
                break
            held = backlog.next()
            ticket = held.ticket
            if isinstance(ticket, asyncio.Future) and ticket.done():
                continue  # its sender does not wait any more
            try:
                self._frame(held)
            except Exception as exc:  # of an extension: the core failed the connection, and said so
                if isinstance(ticket, asyncio.Future):
                    ticket.set_exception(exc)
                self._drop_backlog()
                break
            if isinstance(ticket, asyncio.Future):
                ticket.set_result(None)
            if core.queued_bytes >= _BATCH_BYTES:
                self._flush()
        if not len(backlog) and self._backlog is backlog:
            self._dropped += backlog.dropped
            self._backlog = None
        self._flush()

    def _drop_backlog(self) -> None:
        """Drop what is held back: nothing can be sent any more."""
        backlog, self._backlog = self._backlog, None
        if backlog is None:
            return
        for ticket in backlog.clear():
            if isinstance(ticket, asyncio.Future) and not ticket.done():
                ticket.set_exception(InvalidState("connection is closing"))
        self._dropped += backlog.dropped

    # Parts of the above

    def _open_core(self) -> Core:
        core = self._core
        if core is None:
            raise InvalidState(f"connection is {self.protocol.state.name.lower()}")
        if core.state is not State.OPEN:
            raise core.close_exc
        return core

    def _must_hold(self, core: Core) -> bool:
        return self._backlog is not None or self._is_writing_paused or core.is_sending_fragments

    def _hold(self, core: Core, held: Held) -> None:
        if self._backlog is None:
            self._backlog = Backlog(self._slow_consumer)
        if self._backlog.hold(held):
            return
        self._drop_backlog()
        self._note_slow_consumer()
        now = self.loop.time()
        if core.is_sending_fragments:  # a Close may stand between fragments, but nothing behind it
            core.fail(CloseCode.TRY_AGAIN_LATER, _SLOW_REASON, now=now)
        else:
            core.close(CloseCode.TRY_AGAIN_LATER, _SLOW_REASON, now=now)
        self._flush()
        raise core.close_exc

    def _frame(self, held: Held) -> None:
        """Send a message; raises as ``send_nowait``."""
        core = self._open_core()
        send = core.send_text if held.opcode is Opcode.TEXT else core.send_binary
        send(held.payload, fin=held.fin, compress=held.compress)

    def _flush_soon(self, core: Core) -> None:
        """Give the network all there is, with whatever else is sent in this turn."""
        if core.queued_bytes >= _BATCH_BYTES:
            self._flush()
        elif not self._is_flush_scheduled and not (
            self._callbacks is not None and self._callbacks.is_delivering
        ):
            self._is_flush_scheduled = True
            self.loop.call_soon(self._flush)

    if TYPE_CHECKING:

        def _flush(self) -> None: ...

        def _note_slow_consumer(self) -> None: ...
