"""The hot half of a connection, for the Python engine: receiving, sending, and the bytes between.

An engine brings a class like this one for each adapter; the cold half (``connection.py``) inherits
from it. Everything that is a decision is the core's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Literal, NoReturn, overload
from typing import Protocol as Protocol_

from ..core.backlog import Backlog
from ..core.connection import NEED_MORE, SEND_EOF, Connection
from ..core.rules import MAX_DISCARDED_BYTES, Opcode, State
from ..core.types import BytesLike, Data, DataLike
from ..exceptions import ConcurrencyError, ConnectionClosed, ConnectionClosedOK, InvalidState
from ..protocol import Protocol
from .link import Link
from .receive_buffer import receive_buffer
from .sending import MessageSender

__all__ = ["PythonConnectionBase"]

# A loop that receives, while messages wait, gives way to others after this many.
_MESSAGES_PER_TURN = 64
# Replies to messages that came together go out together, up to this size.
_BATCH_BYTES = 64 * 1024


class Deliverer(Protocol_):
    """Hands messages to a callback."""

    is_stopped: bool
    """No more messages are wanted."""
    is_over: bool
    """TCP has ended: nobody needs to wait for the peer any more."""

    def deliver(self) -> bool:
        """Hand out messages; return whether the rest is handed out later."""


class PythonConnectionBase(MessageSender, asyncio.BufferedProtocol):
    """Receives and sends for one connection.

    Args:
        protocol: the opening handshake, and what comes of it.
    """

    protocol: Protocol
    transport: asyncio.Transport
    link: Link

    # What most connections never change is the class's, which costs each of them nothing.
    _core: Connection | None = None
    _is_receiving = False
    _is_streaming = False
    _readable: asyncio.Future[None] | None = None
    _received_in_turn = 0
    _is_flush_scheduled = False
    _is_writing_paused = False
    _drain_waiters: list[asyncio.Future[None]] | None = None
    _backlog: Backlog | None = None  # what was not begun, while the network takes nothing
    _has_callbacks = False  # it hands messages to a handler's methods
    _refused_bytes = 0  # that came behind a request which was refused
    _link_error: Exception | None = None
    _held_bytes = 0  # by the link, when we last looked

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.loop = asyncio.get_running_loop()
        self.connection_lost_waiter: asyncio.Future[None] = self.loop.create_future()
        self._receive_buffer = receive_buffer(self.loop)

    # Receiving

    @overload
    async def recv(self, decode: Literal[True]) -> str: ...

    @overload
    async def recv(self, decode: Literal[False]) -> bytes: ...

    @overload
    async def recv(self, decode: bool | None = None) -> Data: ...

    async def recv(self, decode: bool | None = None) -> Data:
        """Receive the next message.

        Cancelling it, as a time-out does, loses nothing: the next call returns the message.
        Messages that came before the end are received after it.

        Args:
            decode: True for str, False for bytes; None for str from Text and bytes from Binary.

        Returns:
            The message.

        Raises:
            ConnectionClosed: there is no message any more; ConnectionClosedOK after a proper
                closing handshake, ConnectionClosedError otherwise.
            ConcurrencyError: another task is receiving.
        """
        core = self._start_receiving("recv")
        try:
            if self._received_in_turn >= _MESSAGES_PER_TURN:
                await self._give_way()
            self._received_in_turn += 1
            while (message := core.next_message(decode, now=self.loop.time())) is NEED_MORE:
                await self._wait_readable(core, by_frame=False)
        except ConnectionClosed as exc:
            await self._raise_at_end(exc)
        finally:
            self._is_receiving = False
        return message

    async def __aiter__(self) -> AsyncIterator[Data]:
        """Receive messages until the connection is closed.

        Raises:
            ConnectionClosedError: it did not end properly.
            ConcurrencyError: another task is receiving.
        """
        try:
            while True:
                yield await self.recv()
        except ConnectionClosedOK:
            return

    @overload
    def recv_streaming(self, decode: Literal[True]) -> AsyncIterator[str]: ...

    @overload
    def recv_streaming(self, decode: Literal[False]) -> AsyncIterator[bytes]: ...

    @overload
    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]: ...

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]:
        """Receive the next message fragment by fragment, as they come.

        The iterator must be used to its end; nothing else can be received before.

        Args:
            decode: as for ``recv``; a character that two fragments share is in the second.

        Raises:
            ConnectionClosed, ConcurrencyError: as for ``recv``.
        """
        core = self._start_receiving("recv_streaming")
        try:
            final = False
            while not final:
                if self._received_in_turn >= _MESSAGES_PER_TURN:
                    await self._give_way()
                self._received_in_turn += 1
                while (fragment := core.next_fragment(decode, now=self.loop.time())) is NEED_MORE:
                    await self._wait_readable(core, by_frame=True)
                data, final = fragment
                self._is_streaming = not final
                yield data
        except ConnectionClosed as exc:
            self._is_streaming = False  # nothing is left of it to be in the way
            await self._raise_at_end(exc)
        finally:
            self._is_receiving = False

    def _start_receiving(self, method: str) -> Connection:
        if self._is_receiving or self._is_streaming:
            if self._has_callbacks:
                raise ConcurrencyError(f"cannot call {method}: messages go to the handler")
            raise ConcurrencyError(
                f"cannot call {method} while another coroutine "
                f"is already running recv or recv_streaming"
            )
        if self._core is None:
            raise InvalidState(f"connection is {self.protocol.state.name.lower()}")
        self._is_receiving = True
        return self._core

    async def _wait_readable(self, core: Connection, *, by_frame: bool) -> None:
        """Wait until the core has something for the reader; it keeps it if we are cancelled."""
        self._flush()  # what was read may have failed the connection
        self._received_in_turn = 0
        self._readable = self.loop.create_future()
        core.wait(self._wake_reader, by_frame=by_frame)
        try:
            await self._readable
        finally:
            core.stop_waiting()
            self._readable = None

    def _wake_reader(self) -> bool:
        """Let the reader run first; what it leaves is looked at after its step."""
        assert self._readable is not None
        if not self._readable.done():
            self._readable.set_result(None)
        assert self._core is not None
        if not self._core.is_drained:
            self.loop.call_soon(self._settle)
        return True

    async def _raise_at_end(self, exc: ConnectionClosed) -> NoReturn:
        """Raise once TCP has ended."""
        await asyncio.shield(self.connection_lost_waiter)
        raise exc

    async def _give_way(self) -> None:
        """Let others run now and then. Nothing is taken yet, so being cancelled loses nothing."""
        self._received_in_turn = 0
        await asyncio.sleep(0)

    def _settle(self) -> None:
        if self._core is not None:
            self._core.settle(self.loop.time())
            self._flush()

    # Sending

    async def _send_frame(
        self, opcode: Opcode, data: DataLike, *, fin: bool = True, compress: bool | None = None
    ) -> None:
        """Send a message, or a fragment of one."""
        core = self._core
        try:
            if core is None:
                raise InvalidState(f"connection is {self.protocol.state.name.lower()}")
            if opcode is Opcode.CONT:
                core.send_fragment(data, fin=fin)
            elif self._backlog is not None:
                await self._send_in_turn(opcode, data, fin, compress)
            elif opcode is Opcode.TEXT:
                core.send_text(data, fin=fin, compress=compress)
            else:
                core.send_binary(data, fin=fin, compress=compress)
        except InvalidState:
            await self._raise_closed()
        except Exception:
            self._flush()  # an extension that raises fails the connection
            raise
        await self._sent()

    async def _sent(self) -> None:
        """Pass on what was queued, and wait while the network takes nothing."""
        core = self._core
        if core is not None and core.has_unread and core.queued_bytes < _BATCH_BYTES:
            # More messages came together with the one this may be the reply to.
            if not self._is_flush_scheduled:
                self._is_flush_scheduled = True
                self.loop.call_soon(self._flush)
        else:
            self._flush()
        if self._is_writing_paused:
            await self._drain()
        elif self.transport.is_closing():
            await asyncio.sleep(0)  # or who sends in a loop would never let the end be told

    async def _drain(self) -> None:
        """Wait until the network has taken enough.

        Raises:
            ConnectionClosed: the connection is lost meanwhile.
        """
        while self._is_writing_paused and not self.connection_lost_waiter.done():
            waiter = self.loop.create_future()
            if self._drain_waiters is None:
                self._drain_waiters = []
            self._drain_waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if self._drain_waiters is not None and waiter in self._drain_waiters:
                    self._drain_waiters.remove(waiter)
                raise
        if self.connection_lost_waiter.done():
            await self._raise_closed()

    async def _raise_closed(self) -> None:
        """Wait until TCP has ended, which the core's deadlines see to, and say how."""
        if self.protocol.state is State.CONNECTING:
            raise InvalidState("connection is connecting")
        await asyncio.shield(self.connection_lost_waiter)
        raise self.protocol.close_exc

    def _flush(self) -> None:
        """Give the network all there is."""
        self._is_flush_scheduled = False
        source = self.protocol if self._core is None else self._core
        while chunks := source.data_to_send():
            has_eof = SEND_EOF in chunks
            if has_eof:
                chunks = [chunk for chunk in chunks if chunk]
            if chunks and not self._written(chunks):
                return
            self._look_at_network()  # which may have room for something that was put off
            if has_eof:
                self.link.half_close(is_peer_done=self._is_peer_done)

    def _written(self, chunks: list[bytes]) -> bool:
        """Give chunks to the link; one that does not take them is of no use any more."""
        try:
            self.link.write(chunks)
        except Exception as exc:  # such as after the transport's write_eof()
            self._link_error = exc
            self.link.abort()
            return False
        return True

    def _look_at_network(self) -> None:
        """Tell the core what the network has not taken yet."""
        self._held_bytes = self.link.buffered_bytes()
        if self._core is not None:
            self._core.network_holds(self._held_bytes, self.loop.time())

    @property
    def _is_peer_done(self) -> bool:
        if self._core is None:
            return self.protocol.has_eof
        return self._core.is_input_ended_by_peer

    def _deliverer(
        self, callbacks: object, on_data: Callable[..., None], by_frame: bool
    ) -> Deliverer | None:
        """Return what hands messages to a callback faster; None where there is nothing faster."""
        return None

    def _run_as_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start the task of a handler."""
        return self.loop.create_task(coroutine)

    def _has_socket(self, transport: asyncio.Transport) -> None:
        """Told of each transport: one may be the engine's own."""

    def _take_socket(self) -> asyncio.Transport | None:
        """Take the socket from the transport; None where an engine leaves it there."""
        return None

    # asyncio.BufferedProtocol

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give room for bytes to come."""
        return self._receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take as many bytes from the room."""
        self.data_received(self._receive_buffer[:nbytes])

    def data_received(self, data: BytesLike) -> None:
        """Take bytes that came; whoever wants to keep them copies them."""
        core = self._core
        if core is not None:
            if self._held_bytes:
                self._look_at_network()
            core.receive_data(data, self.loop.time())
            if not self._is_flush_scheduled:
                self._flush()
            return
        if self.protocol.eof_sent:  # what follows a refused handshake is left out
            self._refused_bytes += len(data)
            if self._refused_bytes > MAX_DISCARDED_BYTES:
                self.link.abort()
            return
        self.protocol.configure(now=self.loop.time())  # it may open now
        try:
            self.protocol.receive_data(data)
        except Exception as exc:  # an extension of the user's, or a limit that is none
            self.protocol.handshake_exc = exc
            self.link.abort()
        self._handshake_progressed()

    def eof_received(self) -> bool:
        """Take the end of the stream; the transport then closes itself."""
        core = self._core
        if core is not None:
            core.receive_eof(self.loop.time())
        else:
            self.protocol.receive_eof()
            self._handshake_progressed()
        self._flush()
        return False

    def pause_writing(self) -> None:
        """Note that the network does not keep up."""
        self._is_writing_paused = True

    def resume_writing(self) -> None:
        """Note that the network has caught up."""
        self._is_writing_paused = False
        self._wake_senders()
        self._look_at_network()
        self._flush()
        if self._backlog is not None or self._has_callbacks:
            self._network_drained()

    def _wake_senders(self) -> None:
        """Let those who wait for the network look again."""
        waiters, self._drain_waiters = self._drain_waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    # What the other half does

    async def _send_in_turn(
        self, opcode: Opcode, data: DataLike, fin: bool, compress: bool | None
    ) -> None:
        """Send a message behind those that are held back."""
        raise NotImplementedError

    def _network_drained(self) -> None:
        """Called when the network has caught up."""
        raise NotImplementedError

    def _handshake_progressed(self) -> None:
        """Called when something came before the connection was open."""
        raise NotImplementedError
