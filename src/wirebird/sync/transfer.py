"""The bytes of a connection, between its core and its socket, and its end.

Everything that touches the core or the stream happens under one lock, which nobody holds while he
waits. Each byte that comes goes into the core at once, so who reads the socket matters little, with
one exception: while a thread waits for the socket in order to receive, nobody else may read it, or
the thread would sleep on. So a socket is either the reactor's, which then watches it, or it is on
loan to those who receive (see ``reactor.py``). Writing needs no such rule: a thread that waits for
the network to take something is woken in any case.

An end wakes everybody: it shuts the socket down, and the last one who waited for it closes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NoReturn

from ..core.connection import SEND_EOF, Connection
from ..core.rules import MAX_DISCARDED_BYTES, State
from ..exceptions import InvalidState
from ..protocol import Protocol
from .reactor import READ, WRITE, Reactor, reactor
from .streams import Stream
from .waiting import Deadline, is_hung_up, wait_for

__all__ = ["Transfer", "monotonic"]

monotonic = time.monotonic


class Transfer:
    """Moves the bytes of one connection.

    Args:
        stream: to the peer.
        protocol: the opening handshake, and what comes of it.
    """

    # What most connections never change is the class's, which costs each of them nothing.
    is_in_use = False  # see ``reactor.Watched``
    is_lent = False
    used_at = 0.0
    _core: Connection | None = None
    _reactor: Reactor | None = None  # once the connection is looked after
    _is_over = False  # TCP has ended
    _is_on_loan = True  # the socket is read by whoever receives
    _is_streaming = False
    _is_paused = False
    _has_eof = False
    _is_foreign = False  # it is that of the parent process
    _linger_until: float | None = None  # for a client that was refused
    _watched = 0
    _refused_bytes = 0

    def __init__(self, stream: Stream, protocol: Protocol) -> None:
        self.protocol = protocol
        self._stream = stream
        self._lock = threading.RLock()
        self._ended = threading.Event()
        # Who waits for the socket, and who for the network to take something. Sets, and not
        # counts: an interruption may come between any two steps, and what is taken back in a
        # ``finally`` may not have happened.
        self._waiting: set[object] = set()
        self._senders: set[object] = set()

    # Who waits for the socket, and who reads it

    def _stops_waiting(self, who: object) -> None:
        with self._lock:
            self._waiting.discard(who)
            if self._is_over and not self._waiting:
                self._stream.close()

    def _borrow(self) -> None:
        self.used_at = monotonic()
        if not self._is_on_loan:
            self._is_on_loan = True
            self._watch()

    def _lend(self) -> None:
        """Keep the socket for the next one who receives, until it is taken back."""
        self.used_at = monotonic()
        if not self.is_lent and self._reactor is not None and not self._is_over:
            self._reactor.lend(self)

    def _give_back(self) -> None:
        """Let the reactor read the socket, unless a thread is about to."""
        if self._is_on_loan and not self.is_in_use:
            self._is_on_loan = False
            self._watch()

    def _watch(self) -> None:
        """Tell the reactor what to look for."""
        if self._reactor is None or self._is_over:
            return
        wanted = 0
        if not (self._is_on_loan or self._is_paused or self._has_eof):
            wanted |= READ
        if self._stream.buffered_bytes and not self._senders:
            wanted |= WRITE
        if wanted != self._watched:
            before, self._watched = self._watched, wanted
            self._reactor.watch(self, self._stream.sock, before, wanted)

    def on_unused(self) -> None:
        """See ``reactor.Watched``."""
        with self._lock:
            self._give_back()

    def on_ready(self, events: int) -> None:
        """See ``reactor.Watched``."""
        with self._lock:
            if self._is_over:
                return
            if events & WRITE:
                self._flush_rest()
            if events & READ and self._watched & READ:
                self._read()

    # From the network

    def _read(self) -> bool:
        """Take what has come; return whether there was something, or the end."""
        if self._is_over or self._has_eof:
            return False
        try:
            data = self._stream.receive()
        except OSError as exc:
            self._lost(exc)
            return True
        if data is None:
            if self._stream.buffered_bytes:
                self._flush_rest()  # TLS may have waited for what came
            return False
        if data:
            self._take(data)
        if not data or self._stream.is_at_end:
            self._take_eof()
        self._flush()
        return True

    def _take(self, data: bytes) -> None:
        core = self._core
        if core is not None:
            core.receive_data(data, monotonic())
        elif self.protocol.eof_sent:  # what follows a refused handshake is left out
            self._refused_bytes += len(data)
            if self._refused_bytes > MAX_DISCARDED_BYTES:
                self._lost(None)
        else:
            self.protocol.configure(now=monotonic())  # it may open now
            try:
                self.protocol.receive_data(data)
            except Exception as exc:  # an extension of the user's, or a limit that is none
                self.protocol.handshake_exc = exc
                self._lost(exc)
            self._handshake_progressed()

    def _take_eof(self) -> None:
        if self._has_eof or self._is_over:
            return
        self._has_eof = True
        if self._core is not None:
            self._core.receive_eof(monotonic())
        else:
            self.protocol.receive_eof()
            self._handshake_progressed()
        self._watch()

    def _handshake_progressed(self) -> None:
        """Called when something came before the connection was open."""
        raise NotImplementedError

    # To the network

    def _flush(self) -> None:
        """Send all there is, as far as the network takes it; the rest when it takes more."""
        self._push()
        self._watch()

    def _push(self) -> None:
        """Send all there is, as far as the network takes it."""
        if self._is_over:
            return
        source = self.protocol if self._core is None else self._core
        try:
            while chunks := source.data_to_send():
                has_eof = SEND_EOF in chunks
                self._stream.write([chunk for chunk in chunks if chunk] if has_eof else chunks)
                if has_eof:
                    self._stream.half_close()
                self._look_at_network()  # which may have room for something that was put off
        except OSError as exc:
            self._cannot_write(exc)
            return
        if self._has_eof and not self._stream.buffered_bytes:
            self._lost(None)

    def _flush_rest(self) -> None:
        """Go on with what the network did not take before."""
        try:
            self._stream.flush()
        except OSError as exc:
            self._cannot_write(exc)
            return
        self._look_at_network()
        self._flush()

    def _look_at_network(self) -> None:
        """Tell the core what the network has not taken yet."""
        if self._core is not None:
            self._core.network_holds(self._stream.buffered_bytes, monotonic())

    def _cannot_write(self, exc: OSError) -> None:
        """The peer takes nothing any more; what it said before it went can still be read."""
        self._stream.discard()
        while self._core is not None and not self._core.is_paused:
            try:
                data = self._stream.receive()
            except OSError:
                break
            if not data:
                break
            self._core.receive_data(data, monotonic())
        self._lost(exc)

    def _wait_until_taken(self, mark: int) -> None:
        """Wait until the network has taken so many of all bytes.

        Raises:
            ConnectionClosed: the connection is lost meanwhile.
        """
        me = object()
        try:
            while True:
                try:
                    with self._lock:
                        if self._is_over:
                            break
                        if self._stream.taken_bytes - self._stream.buffered_bytes >= mark:
                            return
                        self._senders.add(me)
                        self._waiting.add(me)
                    wait_for(self._stream.sock, write=True)
                finally:
                    self._stops_waiting(me)
                with self._lock:
                    if not self._is_over:
                        self._flush_rest()
        finally:
            with self._lock:
                self._senders.discard(me)
                self._watch()
        self._raise_closed()

    # The beginning and the end

    def _read_until(self, is_done: Callable[[], bool], deadline: Deadline) -> None:
        """Read, in this thread, until the opening handshake has come so far.

        Raises:
            TimeoutError: it took too long.
        """
        while True:
            with self._lock:
                if self._stream.buffered_bytes:
                    self._flush_rest()
                has_read = self._read()
                if is_done() or self._is_over:
                    return
            if not has_read:  # nobody else knows the connection: it cannot end meanwhile
                wait_for(
                    self._stream.sock,
                    read=not self._has_eof,
                    write=self._stream.buffered_bytes > 0,
                    timeout=deadline.check(),
                )

    def _look_after(self) -> None:
        """Hand the connection to the reactor; the thread that opened it keeps the socket."""
        self._reactor = reactor()
        self._reactor.adopt(self)
        self._lend()
        self._reactor.keep_deadline(self)
        self._watch()

    def _opened(self) -> None:
        """Take the core connection from the protocol, which has opened it."""
        with self._lock:
            self._flush()  # what the protocol still has goes first
            self._core = self.protocol.connection
            if not self._is_over:
                self._look_after()
                self._flush()

    def _linger(self, timeout: float | None) -> None:
        """Refused: give the client time to read why."""
        with self._lock:
            if self._is_over:
                return
            if timeout is not None:
                self._linger_until = monotonic() + timeout
            self._look_after()
            self._give_back()

    def next_deadline(self) -> float | None:
        """See ``reactor.Watched``."""
        with self._lock:
            if self._is_over:
                return None
            return self._linger_until if self._core is None else self._core.next_deadline()

    def handle_deadline(self) -> None:
        """See ``reactor.Watched``."""
        with self._lock:
            if self._is_over:
                return
            if self._core is None:
                self._lost(None)
                return
            self._look_at_network()
            if self._core.is_paused and is_hung_up(self._stream.sock):
                self._is_paused = False  # up to the end: what is left before it is in the kernel
                self._watch()
            self._core.handle_deadline(monotonic())
            self._flush()

    def abandon(self, exc: BaseException) -> None:
        """See ``reactor.Watched``."""
        with self._lock:
            self._lost(exc)

    def _cut(self) -> None:
        """End the connection at once."""
        with self._lock:
            self._lost(None)

    def _lost(self, exc: BaseException | None) -> None:
        """End the connection, whatever the reason, and wake whoever waits."""
        if self._is_over:
            return
        if self._core is not None:
            self._core.connection_lost(exc, monotonic())
        if self._reactor is not None:
            self._reactor.forget(self, self._stream.sock, self._watched)
            self._watched = 0
        self._is_over = True
        self._stream.shut_down()
        if not self._waiting:
            self._stream.close()
        if self._core is None:
            self.protocol.receive_eof()
            self._handshake_progressed()
        self._connection_lost()
        self._ended.set()

    def _connection_lost(self) -> None:
        """Called once, at the end."""
        raise NotImplementedError

    def on_fork(self) -> None:
        """See ``reactor.Watched``. A thread of the parent's may have held the lock."""
        self._lock = threading.RLock()
        self._is_foreign = True
        self.is_in_use = self._is_streaming = False
        self._core = self._reactor = None
        self._is_over = True
        self._ended.set()
        self._stream.close()

    def _wait_for_end(self, timeout: float | None = None) -> bool:
        """Wait until TCP has ended, which the core's deadlines see to; return whether it has."""
        with self._lock:
            if not self._is_over:
                self._give_back()
        if self._lock._is_owned():  # type: ignore[attr-defined]
            return self._is_over  # in the middle of something: it cannot end before
        return self._ended.wait(timeout)

    def _raise_closed(self) -> NoReturn:
        """Wait until TCP has ended, and say how.

        Raises:
            ConnectionClosed: always, but for
            InvalidState: a connection that was never open, or that is another process's.
        """
        if self.protocol.connection is None or self._is_foreign:
            raise self._not_open()
        self._wait_for_end()
        raise self.protocol.close_exc

    def _not_open(self) -> InvalidState:
        if self._is_foreign:
            return InvalidState("connection was opened by the parent process, before a fork")
        return InvalidState(f"connection is {self.protocol.state.name.lower()}")

    @property
    def _is_open(self) -> bool:
        return self._core is not None and self._core.state is State.OPEN
