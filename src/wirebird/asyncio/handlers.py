"""Handlers whose methods are called with what happens, instead of coroutines that wait for it.

``serve(Handler, ...)`` and ``connect(uri, handler=Handler)`` take a class with ``on_message`` and
others (``Handler`` names them all), and make one of it for each connection. The methods are plain
functions, called in the event loop as bytes come: no task is woken, and the replies to all
messages of one read go out in one write. In return they must not block, and send with
``ws.send_nowait``.

Backpressure is what it is for coroutines, because nobody waits here either: while the peer does
not take what it was sent, messages are not asked for, and what is unread stops the reading.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..core.connection import NEED_MORE
from ..core.connection import Connection as Core
from ..core.rules import CloseCode
from ..core.types import Data
from ..exceptions import ConnectionClosed

if TYPE_CHECKING:
    from .connection import Connection
    from .python_base import Deliverer

__all__ = ["Callbacks", "Handler", "HandlerLike", "handler_maker"]

# A connection's messages are handed out in turns of at most so many; then it is others' turn.
_MESSAGES_PER_TURN = 64


class Handler:
    """What is called, and when; inheriting from it is optional, and each method as well.

    All are plain functions, called in the event loop's thread: first ``on_open``, last and exactly
    once ``on_close``. They may send (``ws.send_nowait``), close (``ws.close_nowait``) and start
    tasks. One that raises is logged, and its connection is closed with 1011.
    """

    def on_open(self, ws: Any) -> None:
        """The opening handshake is done.

        Args:
            ws: the ``ServerConnection`` or ``ClientConnection``, as in all methods.
        """

    def on_message(self, ws: Any, message: Data) -> None:
        """A message has come.

        Args:
            message: str from Text, bytes from Binary.
        """

    def on_fragment(self, ws: Any, data: Data, final: bool) -> None:
        """A fragment of a message has come. Where this is defined, ``on_message`` is not called.

        Args:
            data: str from Text, bytes from Binary; a character that two share is in the second.
            final: whether the message ends with it.
        """

    def on_close(self, ws: Any, code: int, reason: str) -> None:
        """The connection has ended: there is no other call after this one.

        Args:
            code: that came; 1005 for a Close without one, 1006 for an end without a Close.
            reason: that came; ``ws.protocol.close_exc`` says more.
        """

    def on_ping(self, ws: Any, payload: bytes) -> None:
        """A ping has come, and was answered. It may overtake messages that are not read yet."""

    def on_pong(self, ws: Any, payload: bytes) -> None:
        """A ping of ours was answered; ``ws.latency`` is how long that took."""

    def on_writable(self, ws: Any) -> None:
        """The peer has taken what was sent, after it did not keep up for a while."""


class _MessageHandler(Protocol):
    def on_message(self, ws: Any, message: Any, /) -> None: ...


class _FragmentHandler(Protocol):
    def on_fragment(self, ws: Any, data: Any, final: bool, /) -> None: ...


HandlerLike = type[_MessageHandler] | type[_FragmentHandler] | _MessageHandler | _FragmentHandler
"""A class with methods of ``Handler``, made for each connection, or one object for all."""


_METHODS = tuple(name for name in vars(Handler) if name.startswith("on_"))
_MESSAGE_METHODS = ("on_message", "on_fragment")


def handler_maker(handler: Any) -> Callable[[], Any] | None:
    """Return what makes a connection's handler: a class, or what returns the one for all.

    Args:
        handler: a class, to be called without arguments; or an object that all connections share.

    Returns:
        None for what has neither ``on_message`` nor ``on_fragment``, such as a coroutine function.

    Raises:
        TypeError: a method is a coroutine function.
    """
    if inspect.iscoroutinefunction(handler):
        return None
    if not any(callable(getattr(handler, name, None)) for name in _MESSAGE_METHODS):
        return None
    for name in _METHODS:
        method = getattr(handler, name, None)
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            raise TypeError(
                f"{name} must be a plain function, not a coroutine function: "
                f"start a task there for what has to wait"
            )
    return handler if isinstance(handler, type) else lambda: handler


class Callbacks:
    """Calls the methods of one connection's handler.

    Args:
        connection: whose messages they are given.
        make_handler: called when the connection is open.
    """

    __slots__ = (
        "_by_frame",
        "_connection",
        "_core",
        "_deliverer",
        "_handler",
        "_has_ended",
        "_is_closed",
        "_is_stopped",
        "_is_turn_scheduled",
        "_is_writable_due",
        "_make_handler",
        "_on_data",
        "is_delivering",
    )

    def __init__(self, connection: Connection, make_handler: Callable[[], Any]) -> None:
        self._connection = connection
        self._make_handler: Callable[[], Any] | None = make_handler
        self._core: Core
        self._handler: Any = None
        self._on_data: Callable[..., None]
        self._by_frame = False
        self._deliverer: Deliverer | None = None
        self._has_ended = False  # there are no messages any more
        self._is_stopped = False  # a method raised: no more messages are wanted
        self._is_closed = False
        self._is_turn_scheduled = False
        self._is_writable_due = False
        self.is_delivering = False
        """Whether messages are handed out just now; what is sent meanwhile goes out behind them."""

    # What the connection tells

    def open(self, core: Core) -> None:
        """The opening handshake is done; what came behind it is handed out as well."""
        assert self._make_handler is not None
        self._core = core
        make_handler, self._make_handler = self._make_handler, None
        try:
            self._handler = make_handler()
        except Exception:
            self._fail()
            return
        on_fragment = _method(self._handler, "on_fragment")
        self._by_frame = on_fragment is not None
        self._on_data = self._handler.on_message if on_fragment is None else on_fragment
        self._deliverer = self._connection._deliverer(self, self._on_data, self._by_frame)
        self._call("on_open")
        self._deliver()

    def ping_received(self, payload: bytes) -> None:
        """A ping has come."""
        self._call("on_ping", payload)

    def pong_received(self, payload: bytes) -> None:
        """A ping of ours was answered."""
        self._call("on_pong", payload)

    def network_drained(self) -> None:
        """The peer has taken what was sent."""
        self._is_writable_due = True
        self._schedule_turn()

    def connection_lost(self) -> None:
        """TCP has ended. What came before is still handed out."""
        if self._deliverer is not None:
            self._deliverer.is_over = True
        if self._has_ended or self._is_stopped:
            self._close()
        else:
            self._schedule_turn()

    # Messages

    def _deliver(self) -> bool:
        """Hand out messages, in order, as long as the peer takes what it is sent.

        Returns:
            Whether the rest is handed out later, and what is behind it is to be looked at then.
        """
        if self._deliverer is not None:
            return self._deliverer.deliver()
        ws, core, on_data, by_fragment = self._connection, self._core, self._on_data, self._by_frame
        take = core.next_fragment if by_fragment else core.next_message
        is_over = ws.connection_lost_waiter.done()
        now = ws.loop.time()
        self.is_delivering = True
        try:
            for _ in range(_MESSAGES_PER_TURN):
                is_slow = ws._is_writing_paused or ws._backlog is not None
                if self._is_stopped or (is_slow and not is_over):
                    return False
                try:
                    taken: Any = take(now=now)
                except ConnectionClosed:
                    self._has_ended = True
                    return False
                if taken is NEED_MORE:
                    core.wait(self._deliver, by_frame=by_fragment)
                    return False
                try:
                    if by_fragment:
                        on_data(ws, *taken)
                    else:
                        on_data(ws, taken)
                except Exception:
                    self._fail()
        except (KeyboardInterrupt, SystemExit):
            self._schedule_turn()  # if the loop goes on, so does the connection
            raise
        finally:
            self.is_delivering = False
        self._schedule_turn()
        return True

    def _schedule_turn(self) -> None:
        if not self._is_turn_scheduled:
            self._is_turn_scheduled = True
            self._connection.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Go on after others had their turn."""
        self._is_turn_scheduled = False
        ws = self._connection
        if self._is_writable_due and not ws._is_writing_paused and ws._backlog is None:
            self._is_writable_due = False
            self._call("on_writable")
        if not self._has_ended and not self._is_stopped:
            self._core.stop_waiting()
            if not self._deliver():
                ws._settle()
        ws._flush()
        if ws.connection_lost_waiter.done() and (self._has_ended or self._is_stopped):
            self._close()

    # Calls

    def _call(self, name: str, *arguments: Any) -> None:
        """Call a method, if there is one."""
        method = _method(self._handler, name)
        if method is None:
            return
        try:
            method(self._connection, *arguments)
        except Exception:
            self._fail()

    def _fail(self) -> None:
        """Close the connection for the exception that a method raised."""
        ws = self._connection
        ws.logger.error("connection handler failed", exc_info=True)
        ws._note_handler_failed(sys.exception())
        self._is_stopped = True
        if self._deliverer is not None:
            self._deliverer.is_stopped = True
        ws.close_nowait(CloseCode.INTERNAL_ERROR)

    def _close(self) -> None:
        """Say that the connection has ended, once, and let go of the handler."""
        if self._is_closed:
            return
        self._is_closed = True
        ws = self._connection
        try:
            self._call("on_close", ws.close_code, ws.close_reason)
        finally:
            self._handler = self._deliverer = None
            self._on_data = _ignore
            ws._callbacks_ended()


def _ignore(*_: object) -> None:
    """What comes after the end is nobody's."""


def _method(handler: Any, name: str) -> Callable[..., None] | None:
    """A handler's method; None where it has none, or the one of ``Handler`` that does nothing."""
    method = getattr(handler, name, None)
    is_default = getattr(method, "__func__", None) is getattr(Handler, name)
    return None if is_default or not callable(method) else method
