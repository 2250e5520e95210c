"""The one thread of a process that looks after the connections that nobody is using right now.

It reads sockets that no thread is receiving from, so that pings are answered and closing
handshakes end; it writes what a send could not; and it keeps all deadlines. It starts with the
first connection, as a daemon, and stays. After a fork the child has none: it starts its own, and
connections that the parent had open are the parent's alone.

**Sockets are lent.** A thread that receives takes its socket out of the selector and reads it
itself, so that a round trip costs no change of threads; when it has a message, it keeps the socket,
since it will probably ask for the next. What was not used for some time is taken back here, by a
look at all that are lent, a few times per second and only while there are some.

Lock order: a connection's lock, then the reactor's. The reactor calls connections with none held.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time
from typing import Protocol

from ..core.schedule import Schedule

__all__ = ["READ", "WRITE", "Reactor", "Watched", "reactor"]

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

_LENT_S = 0.03  # so long unused, a lent socket is taken back, or up to twice as long
_FOREVER_S = 3600.0


class Watched(Protocol):
    """A connection, as the reactor knows it. It takes its own lock where it needs it."""

    is_in_use: bool
    """A thread is receiving."""
    used_at: float
    """When that began or ended, by ``time.monotonic``."""
    is_lent: bool
    """The reactor looks whether it is still used."""

    def on_ready(self, events: int) -> None:
        """Called when the socket can be read or written."""

    def on_unused(self) -> None:
        """Called when nobody has received for a while."""

    def next_deadline(self) -> float | None:
        """When it must be called, by ``time.monotonic``; None for never."""

    def handle_deadline(self) -> None:
        """Called at its deadline or a little later."""

    def abandon(self, exc: BaseException) -> None:
        """Called when something went wrong in here."""

    def on_fork(self) -> None:
        """Called in a child process: the connection is not its own."""


class Reactor:
    """Looks after connections; use ``reactor()``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        # Others than these look at changes only when they are called the next time.
        self._is_live = type(self._selector).__name__ in ("EpollSelector", "KqueueSelector")
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, READ)
        self._schedule: Schedule[Watched] = Schedule()
        self._lent: set[Watched] = set()
        self._sweep_at: float | None = None
        self._sleeps_until = 0.0
        self._connections: set[Watched] = set()
        self._thread = threading.Thread(target=self._run, name="wirebird", daemon=True)
        self._thread.start()

    # For connections, which hold their locks

    def adopt(self, connection: Watched) -> None:
        """Look after a connection until ``forget``."""
        with self._lock:
            self._connections.add(connection)

    def forget(self, connection: Watched, sock: socket.socket, events: int) -> None:
        """Let go of a connection.

        Args:
            connection, sock: that it had.
            events: that were watched.
        """
        with self._lock:
            self._connections.discard(connection)
            self._schedule.discard(connection)
            self._lent.discard(connection)
            self._change(connection, sock, events, 0)

    def watch(self, connection: Watched, sock: socket.socket, old: int, new: int) -> None:
        """Watch a socket for other events than before.

        Args:
            connection: to call.
            sock: of it.
            old, new: events; 0 for none.
        """
        with self._lock:
            self._change(connection, sock, old, new)

    def _change(self, connection: Watched, sock: socket.socket, old: int, new: int) -> None:
        if old == new:
            return
        if old:
            try:
                self._selector.unregister(sock)
            except (KeyError, ValueError):
                pass  # somebody has closed the socket behind our back
        if new:
            try:
                self._selector.register(sock, new, connection)
            except KeyError:  # and this is the next one with its number
                self._selector.unregister(sock.fileno())
                self._selector.register(sock, new, connection)
        if not self._is_live:
            self._wake()

    def keep_deadline(self, connection: Watched) -> None:
        """Call a connection at its next deadline, which may have become earlier."""
        when = connection.next_deadline()
        if when is not None:
            with self._lock:
                self._schedule.add(connection, when)
                self._wake_before(when)

    def lend(self, connection: Watched) -> None:
        """Leave a socket to whoever receives; look now and then whether somebody does."""
        with self._lock:
            connection.is_lent = True
            self._lent.add(connection)
            if self._sweep_at is None:
                self._sweep_at = time.monotonic() + _LENT_S
                self._wake_before(self._sweep_at)

    def _wake_before(self, when: float) -> None:
        if when < self._sleeps_until:
            self._sleeps_until = 0.0  # nobody else needs to wake it
            self._wake()

    def _wake(self) -> None:
        try:
            self._waker.send(b"\0")
        except (BlockingIOError, InterruptedError):
            pass  # it has been woken, and has not looked yet

    # In the thread

    def _run(self) -> None:
        while True:
            for key, events in self._selector.select(self._time_to_sleep()):
                if key.data is None:
                    self._drain_waker()
                else:
                    self._call(key.data, lambda c=key.data, e=events: c.on_ready(e))
            now = time.monotonic()
            self._sweep(now)
            with self._lock:
                due = self._schedule.pop_due(now)
            for connection in due:
                self._call(connection, lambda c=connection: self._judge_deadline(c))

    def _time_to_sleep(self) -> float:
        with self._lock:
            now = time.monotonic()
            until = now + _FOREVER_S
            for when in (self._schedule.next_time, self._sweep_at):
                if when is not None:
                    until = min(until, when)
            self._sleeps_until = until
            return max(0.0, until - now)

    def _drain_waker(self) -> None:
        try:
            while self._woken.recv(4096):
                pass
        except (BlockingIOError, InterruptedError):
            pass

    def _judge_deadline(self, connection: Watched) -> None:
        when = connection.next_deadline()
        if when is not None and when <= time.monotonic():
            connection.handle_deadline()
        self.keep_deadline(connection)

    def _sweep(self, now: float) -> None:
        """Take back sockets that were lent, and that nobody has used for a while."""
        if self._sweep_at is None or now < self._sweep_at:
            return
        unused: list[Watched] = []
        with self._lock:
            for connection in list(self._lent):
                if connection.used_at > now - _LENT_S:
                    continue
                # Who waits for long lends it again when the wait is over. It looks at `is_lent`
                # after it has cleared `is_in_use`, we the other way round: one sees the other.
                connection.is_lent = False
                if connection.is_in_use:
                    self._lent.discard(connection)
                    continue
                self._lent.discard(connection)
                unused.append(connection)
            self._sweep_at = now + _LENT_S if self._lent else None
        for connection in unused:
            self._call(connection, connection.on_unused)

    def _call(self, connection: Watched, what: object) -> None:
        """One of many: what is wrong with it must not stop the others."""
        assert callable(what)
        try:
            what()
        except BaseException as exc:  # SystemExit too: the thread is everybody's
            _logger.error("unexpected error in a connection", exc_info=True)
            try:
                connection.abandon(exc)
            except BaseException:
                _logger.error("unexpected error while a connection was cut", exc_info=True)

    # In a child process

    def leave(self) -> None:
        """Let go of everything without touching it: it is the parent's."""
        self._selector.close()
        self._waker.close()
        self._woken.close()
        for connection in list(self._connections):
            connection.on_fork()


_logger = logging.getLogger("wirebird")
_lock = threading.Lock()
_reactor: Reactor | None = None


def reactor() -> Reactor:
    """Return the reactor of this process; start it if there is none."""
    global _reactor
    if _reactor is None:
        with _lock:
            if _reactor is None:
                _reactor = Reactor()
    return _reactor


def _in_child() -> None:
    global _reactor, _lock
    _lock = threading.Lock()
    parents, _reactor = _reactor, None
    if parents is not None:
        parents.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
