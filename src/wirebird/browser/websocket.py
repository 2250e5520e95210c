"""The browser's WebSocket. WebSockets Standard, 3: https://websockets.spec.whatwg.org/

An object of this class lives in an event loop. A task of its own connects, takes messages, and
tells listeners of them; each event has a turn of the loop to itself. Another one, which is there
while something is to be sent, sends it and counts it as gone when the kernel has all of it.

What a WebSocket does on the wire is the client's (``wirebird.asyncio.client``).
"""

from __future__ import annotations

import asyncio
import logging
from array import array
from collections import deque
from collections.abc import Iterable
from typing import Any, ClassVar

from ..asyncio.client import ClientConnection
from ..core.rules import CloseCode
from ..core.types import BytesLike
from ..exceptions import ConnectionClosed, WebSocketException
from .closing import checked_close
from .connecting import Connecting, checked_protocols, connected, prepared
from .data import ArrayBuffer, Blob, scalar_values
from .errors import DOMException
from .events import CloseEvent, Event, EventHandler, EventTarget, MessageEvent
from .url import origin_of, websocket_url

__all__ = ["WebSocket"]

_BATCH_BYTES = 64 * 1024  # go to the kernel together
_logger = logging.getLogger("wirebird.client")


class WebSocket(EventTarget):
    """A WebSocket, with the interface that browsers give to scripts.

    It must be made where a loop runs; it then connects by itself.

    Args:
        url: ws, wss, http or https.
        protocols: a subprotocol, or several, the preferred one first.
        base: a URL that ``url`` may be relative to; browsers take the page's.
        options: beyond the standard: arguments of ``wirebird.asyncio.client.connect``, such as
            ``ssl``, ``origin``, ``additional_headers``, ``proxy`` and ``max_size``.

    Raises:
        DOMException: SyntaxError: the URL or a subprotocol cannot be used, or comes twice.
        TypeError, ValueError: an option cannot work.
        RuntimeError: no loop is running.
    """

    CONNECTING: ClassVar[int] = 0
    OPEN: ClassVar[int] = 1
    CLOSING: ClassVar[int] = 2
    CLOSED: ClassVar[int] = 3

    onopen = EventHandler()
    onmessage = EventHandler()
    onerror = EventHandler()
    onclose = EventHandler()

    def __init__(
        self,
        url: str,
        protocols: str | Iterable[str] = (),
        *,
        base: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._url = websocket_url(url, base)
        self._protocols = checked_protocols(protocols)
        self._loop = asyncio.get_running_loop()
        connecting = prepared(self._url, self._protocols, options)
        self._ready_state = self.CONNECTING
        self._binary_type = "blob"
        self._buffered_amount = 0
        self._unsent: deque[str | BytesLike | tuple[int | None, str]] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._connection: ClientConnection | None = None
        self._running = self._loop.create_task(self._run(connecting))
        self._running.add_done_callback(self._has_run)

    # What there is to know

    @property
    def url(self) -> str:
        """The URL that it connects to."""
        return self._url

    @property
    def readyState(self) -> int:
        """CONNECTING, OPEN, CLOSING or CLOSED."""
        return self._ready_state

    @property
    def bufferedAmount(self) -> int:
        """How many bytes of messages were sent, and are not yet with the kernel.

        What is sent after the end counts too, and goes nowhere.
        """
        return self._buffered_amount

    @property
    def extensions(self) -> str:
        """What was agreed on, as in the response; empty for none."""
        response = None if self._connection is None else self._connection.response
        if response is None or self._ready_state == self.CONNECTING:
            return ""
        return ", ".join(response.headers.get_all("Sec-WebSocket-Extensions"))

    @property
    def protocol(self) -> str:
        """The subprotocol that was agreed on; empty for none."""
        if self._connection is None or self._ready_state == self.CONNECTING:
            return ""
        return self._connection.subprotocol or ""

    @property
    def binaryType(self) -> str:
        """What binary messages come as: "blob" or "arraybuffer". Anything else is ignored."""
        return self._binary_type

    @binaryType.setter
    def binaryType(self, value: str) -> None:
        if value in ("blob", "arraybuffer"):
            self._binary_type = value

    # What scripts do

    def send(self, data: str | BytesLike | array[Any]) -> None:
        """Send a message soon; after the end, do nothing but count it.

        Args:
            data: str is sent as Text, where lone surrogates become U+FFFD; bytes-like (Blob,
                ArrayBuffer and ``array`` too) as Binary. What is not ``bytes`` is copied now.

        Raises:
            DOMException: InvalidStateError: it is still connecting.
            TypeError: it is neither.
        """
        message: str | bytes
        if isinstance(data, str):
            message = scalar_values(data)
            size = len(message) if message.isascii() else len(message.encode())
        else:
            message = data if type(data) is bytes else _copied(data)
            size = len(message)
        if self._ready_state == self.CONNECTING:
            raise DOMException("it is still connecting", "InvalidStateError")
        self._buffered_amount += size
        if self._ready_state == self.OPEN:
            self._put(message)

    def close(self, code: float | None = None, reason: str | None = None) -> None:
        """Close it, behind what was sent; while it connects, give that up.

        Args:
            code: 1000 or 3000-4999; None for none.
            reason: at most 123 bytes as UTF-8.

        Raises:
            DOMException: InvalidAccessError for the code, SyntaxError for the reason.
        """
        close = checked_close(code, reason)
        if self._ready_state == self.CONNECTING:
            self._ready_state = self.CLOSING
            self._running.cancel()
        elif self._ready_state == self.OPEN:
            self._ready_state = self.CLOSING
            self._put(close)

    def __repr__(self) -> str:
        names = ("CONNECTING", "OPEN", "CLOSING", "CLOSED")
        return f"<{type(self).__name__} {self._url} {names[self._ready_state]}>"

    # Sending

    def _put(self, item: str | BytesLike | tuple[int | None, str]) -> None:
        self._unsent.append(item)
        if self._sending is None:
            self._sending = self._loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        """Send what there is to send. A message is gone when the kernel has all of it."""
        connection = self._connection
        assert connection is not None
        size = 0
        try:
            while self._unsent:
                item = self._unsent.popleft()
                if isinstance(item, tuple):
                    start_closing(connection, *item)
                    continue
                await connection.send(item)
                size += len(item.encode() if isinstance(item, str) else item)
                if not self._unsent or size > _BATCH_BYTES:
                    await flushed(connection)
                    self._buffered_amount -= size
                    size = 0
        except ConnectionClosed:
            self._unsent.clear()  # never to be sent: it stays counted
        except Exception as exc:
            self._loop.call_exception_handler(
                {"message": f"{self!r} cannot send", "exception": exc}
            )
            connection.transport.abort()
        finally:
            self._sending = None

    # Connecting and receiving

    async def _run(self, connecting: Connecting) -> None:
        """Go from connecting to the end."""
        try:
            connection = await connected(connecting, self._protocols)
        except Exception as exc:
            _logger.info("%s could not connect: %s", self._url, exc)
            self._end(has_failed=True)
            return
        connection.wanted_by(self)
        self._connection = connection
        self._ready_state = self.OPEN
        self._tell(Event("open"))
        try:
            await self._receive(connection)
        finally:
            connection.transport.abort()  # where the loop ends; else it has ended before

    def _has_run(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and self._ready_state == self.CLOSING and self._connection is None:
            self._end(has_failed=True)  # closed while it was connecting
        elif task.cancelled():
            self._ready_state = self.CLOSED  # the loop ends: nobody can be told
        elif (exc := task.exception()) is not None:
            context = {"message": f"{self!r} failed", "exception": exc}
            self._loop.call_exception_handler(context)

    async def _receive(self, connection: ClientConnection) -> None:
        origin = origin_of(self._url)
        try:
            while True:
                await asyncio.sleep(0)  # each event has a turn to itself
                message = await connection.recv()
                if self._ready_state == self.OPEN:
                    self._tell(MessageEvent("message", data=self._received(message), origin=origin))
        except ConnectionClosed as exc:
            self._end_with(exc)

    def _received(self, message: str | bytes) -> Any:
        if isinstance(message, str):
            return message
        return Blob([message]) if self._binary_type == "blob" else ArrayBuffer(message)

    def _peer_is_done(self) -> None:
        """The Close of the peer has been reached, or the connection has failed."""
        if self._ready_state == self.OPEN:
            self._ready_state = self.CLOSING

    def _end_with(self, exc: ConnectionClosed) -> None:
        has_failed = has_violated(exc)
        if has_failed:
            _logger.info("%s failed: %s", self._url, exc.__cause__)
        if has_failed or exc.rcvd is None:
            self._end(has_failed=has_failed)
        else:
            self._end(
                wasClean=exc.sent is not None, code=int(exc.rcvd.code), reason=exc.rcvd.reason
            )

    def _end(
        self,
        *,
        has_failed: bool = False,
        wasClean: bool = False,
        code: int = 1006,
        reason: str = "",
    ) -> None:
        """Tell listeners of the end, in turns of their own."""
        self._ready_state = self.CLOSING
        self._loop.call_soon(self._tell_end, has_failed, wasClean, code, reason)

    def _tell_end(self, has_failed: bool, was_clean: bool, code: int, reason: str) -> None:
        self._ready_state = self.CLOSED
        if has_failed:
            self._tell(Event("error"))
        self._tell(CloseEvent("close", wasClean=was_clean, code=code, reason=reason))

    def _tell(self, event: Event) -> None:
        event.isTrusted = True
        self._dispatch(event)


def _copied(data: Any) -> bytes:
    try:
        return memoryview(data).tobytes()
    except TypeError:
        raise TypeError(f"data must be str or bytes-like, not {type(data).__name__}") from None


async def flushed(connection: ClientConnection) -> None:
    """Wait until the kernel has all that was sent.

    Raises:
        ConnectionClosed: the connection is lost meanwhile.
    """
    connection._flush()
    if connection._is_writing_paused:
        await connection._drain()


def start_closing(connection: ClientConnection, code: int | None, reason: str) -> None:
    """Start the closing handshake; None for a Close without a code."""
    core = connection._core
    assert core is not None
    connection._start_closing(core, code, reason)
    connection._flush()


def has_violated(exc: ConnectionClosed) -> bool:
    """Whether the connection was failed, and did not just end. RFC 6455, 7.1.7."""
    cause, sent = exc.__cause__, exc.sent
    if isinstance(cause, TimeoutError):  # no answer to a ping, or only none to our Close
        return sent is not None and sent.code == CloseCode.INTERNAL_ERROR
    return isinstance(cause, (WebSocketException, UnicodeDecodeError))
