"""Events and who listens to them. DOM Standard, 2 and 3; HTML Standard, 8.1.8 for handlers.

An event goes to the listeners that there were when it began, in the order in which they came, each
as long as it was not removed. An ``on...`` attribute is one of them, and keeps its place until it
is None. A listener that raises is told to the loop's exception handler, and the others go on. One
that is a coroutine function is run as a task, which nobody waits for.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any

from .errors import DOMException

__all__ = [
    "AbortController",
    "AbortSignal",
    "CloseEvent",
    "Event",
    "EventHandler",
    "EventTarget",
    "MessageEvent",
]


class Event:
    """Something that has happened.

    Args:
        type: such as "open".
        bubbles, cancelable: as the Web has them; nothing here makes use of them.
    """

    def __init__(self, type: str, *, bubbles: bool = False, cancelable: bool = False) -> None:
        self.type = type
        self.bubbles = bubbles
        self.cancelable = cancelable
        self.composed = False
        self.defaultPrevented = False
        self.isTrusted = False
        """Whether it was made by what it tells of, and not by a script."""
        self.target: EventTarget | None = None
        self.currentTarget: EventTarget | None = None
        self.timeStamp = time.monotonic() * 1000
        self._is_stopped = False
        self._is_under_way = False

    @property
    def eventPhase(self) -> int:
        """2 (AT_TARGET) while listeners are told, 0 (NONE) otherwise."""
        return 2 if self._is_under_way else 0

    def preventDefault(self) -> None:
        """Mark it, if it is cancelable."""
        self.defaultPrevented = self.defaultPrevented or self.cancelable

    def stopPropagation(self) -> None:
        """Do nothing: no event here goes to more than one target."""

    def stopImmediatePropagation(self) -> None:
        """Let no listener have it that has not had it yet."""
        self._is_stopped = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.type!r}>"


class MessageEvent(Event):
    """A message has come.

    Args:
        type: "message".
        data: str, Blob or ArrayBuffer; or whatever a script makes one of.
        origin: of whom it came from, such as "wss://example.com".
    """

    def __init__(
        self,
        type: str,
        *,
        data: Any = None,
        origin: str = "",
        lastEventId: str = "",
        bubbles: bool = False,
        cancelable: bool = False,
    ) -> None:
        super().__init__(type, bubbles=bubbles, cancelable=cancelable)
        self.data = data
        self.origin = origin
        self.lastEventId = lastEventId
        self.source = None
        self.ports: tuple[()] = ()


class CloseEvent(Event):
    """The connection has ended. WebSockets Standard, 6.

    Args:
        type: "close".
        wasClean: whether there was a closing handshake.
        code: that came; 1005 for a Close without one, 1006 for an end without a Close.
        reason: that came.
    """

    def __init__(
        self,
        type: str,
        *,
        wasClean: bool = False,
        code: int = 0,
        reason: str = "",
        bubbles: bool = False,
        cancelable: bool = False,
    ) -> None:
        super().__init__(type, bubbles=bubbles, cancelable=cancelable)
        self.wasClean = wasClean
        self.code = code
        self.reason = reason


class _Listener:
    """One that listens to one type of event."""

    __slots__ = ("callback", "capture", "is_attribute", "is_removed", "once")

    def __init__(self, callback: Any, capture: bool, once: bool, is_attribute: bool) -> None:
        self.callback = callback
        self.capture = capture
        self.once = once
        self.is_attribute = is_attribute
        self.is_removed = False


class EventTarget:
    """What events happen to."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[_Listener]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()  # of listeners that are coroutine functions

    def addEventListener(
        self,
        type: str,
        callback: Any,
        options: bool | Mapping[str, Any] | None = None,
        *,
        capture: bool = False,
        once: bool = False,
        passive: bool = False,
        signal: AbortSignal | None = None,
    ) -> None:
        """Have a listener told of events; doing it again changes nothing.

        Args:
            type: of the events.
            callback: called with each; or an object with ``handleEvent``; None for nothing.
            options: what follows, as a dict; or ``capture`` alone.
            capture: distinguishes listeners, and nothing else here.
            once: the listener is removed before it is called.
            passive: changes nothing here.
            signal: when it is aborted, the listener is removed.
        """
        if options is None or isinstance(options, bool):
            capture = capture or bool(options)
        else:
            capture = bool(options.get("capture", capture))
            once, signal = bool(options.get("once", once)), options.get("signal", signal)
        if signal is not None and not isinstance(signal, AbortSignal):
            raise TypeError(f"signal must be an AbortSignal, not {signal!r}")
        if callback is None or (signal is not None and signal.aborted):
            return
        if not callable(callback) and not hasattr(callback, "handleEvent"):
            raise TypeError(f"a listener must be callable or have handleEvent, not {callback!r}")
        if self._find(type, callback, capture) is not None:
            return
        self._listeners.setdefault(type, []).append(_Listener(callback, capture, once, False))
        if signal is not None:
            signal._add(lambda: self.removeEventListener(type, callback, capture))

    def removeEventListener(
        self, type: str, callback: Any, options: bool | Mapping[str, Any] | None = None
    ) -> None:
        """Tell a listener no more.

        Args:
            type, callback: as it was added.
            options: a dict with ``capture``, or that alone.
        """
        is_flag = options is None or isinstance(options, bool)
        capture = bool(options if is_flag else options.get("capture", False))  # type: ignore[union-attr]
        listener = self._find(type, callback, capture)
        if listener is not None:
            self._remove(type, listener)

    def dispatchEvent(self, event: Event) -> bool:
        """Tell all listeners of an event, now.

        Returns:
            Whether nobody called ``preventDefault`` on an event that is cancelable.

        Raises:
            DOMException: InvalidStateError: the event is being dispatched.
        """
        if event._is_under_way:
            raise DOMException("the event is being dispatched already", "InvalidStateError")
        event.isTrusted = False
        self._dispatch(event)
        return not event.defaultPrevented

    def _find(self, type: str, callback: Any, capture: bool) -> _Listener | None:
        for listener in self._listeners.get(type, ()):
            is_same = listener.callback == callback and listener.capture == capture
            if is_same and not listener.is_attribute:
                return listener
        return None

    def _remove(self, type: str, listener: _Listener) -> None:
        listener.is_removed = True
        listeners = self._listeners[type]
        listeners.remove(listener)
        if not listeners:
            del self._listeners[type]

    def _dispatch(self, event: Event) -> None:
        event.target = event.currentTarget = self
        event._is_under_way = True
        for listener in list(self._listeners.get(event.type, ())):
            if event._is_stopped:
                break
            if listener.is_removed:
                continue
            if listener.once:
                self._remove(event.type, listener)
            self._call(listener.callback, event)
        event.currentTarget = None
        event._is_under_way = event._is_stopped = False

    def _call(self, callback: Any, event: Event) -> None:
        try:
            handle = callback if callable(callback) else callback.handleEvent
            result = handle(event)
            if inspect.iscoroutine(result):
                task = asyncio.get_running_loop().create_task(result)
                self._tasks.add(task)
                task.add_done_callback(self._task_done)
        except Exception as exc:
            self._report(exc, callback)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._report(exc, task)

    def _report(self, exc: BaseException, source: object) -> None:
        context = {"message": f"a listener of {self!r} failed: {source!r}", "exception": exc}
        asyncio.get_running_loop().call_exception_handler(context)

    def _handler(self, type: str) -> Any:
        for listener in self._listeners.get(type, ()):
            if listener.is_attribute:
                return listener.callback
        return None

    def _set_handler(self, type: str, callback: Any) -> None:
        if not callable(callback):
            callback = None  # as on the Web, where anything else counts as null
        for listener in self._listeners.get(type, ()):
            if listener.is_attribute:
                if callback is None:
                    self._remove(type, listener)
                listener.callback = callback
                return
        if callback is not None:
            self._listeners.setdefault(type, []).append(_Listener(callback, False, False, True))


class EventHandler:
    """An ``on...`` attribute: a callable, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._type = name.removeprefix("on")

    def __get__(self, target: EventTarget | None, owner: type) -> Any:
        return self if target is None else target._handler(self._type)

    def __set__(self, target: EventTarget, callback: Callable[[Any], Any] | None) -> None:
        target._set_handler(self._type, callback)


class AbortSignal(EventTarget):
    """Says whether something is to be given up. DOM Standard, 3.2."""

    onabort = EventHandler()

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.reason: Any = None
        self._steps: dict[Callable[[], None], None] = {}  # in order

    def throwIfAborted(self) -> None:
        """Raise the reason, if it is aborted."""
        if self.aborted:
            raise self.reason

    def _add(self, step: Callable[[], None]) -> Callable[[], None]:
        self._steps[step] = None
        return step

    def _remove_step(self, step: Callable[[], None]) -> None:
        """Forget a step that is not wanted any more: a signal may live longer than that."""
        self._steps.pop(step, None)

    def _abort(self, reason: Any) -> None:
        if self.aborted:
            return
        self.aborted = True
        self.reason = reason
        steps, self._steps = self._steps, {}
        for step in steps:
            step()
        event = Event("abort")
        event.isTrusted = True
        self._dispatch(event)


class AbortController:
    """Gives something up. DOM Standard, 3.1."""

    def __init__(self) -> None:
        self.signal = AbortSignal()

    def abort(self, reason: BaseException | None = None) -> None:
        """Abort the signal.

        Args:
            reason: raised by what is given up; a DOMException AbortError by default.
        """
        if reason is None:
            reason = DOMException("it was aborted", "AbortError")
        self.signal._abort(reason)
