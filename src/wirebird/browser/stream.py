"""WebSocketStream: a WebSocket with backpressure, read and written as streams.

It is what Chromium implements beyond the standard, and the explainer at
https://github.com/ricea/websocketstream-explainer tells of. Nothing is read ahead of who reads,
beside what the client's marks allow (``max_queue``), and a write ends when the kernel has it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, NamedTuple

from ..core.rules import State
from ..core.types import BytesLike, Subprotocol
from ..exceptions import ConnectionClosed
from .closing import checked_close
from .connecting import Connecting, Connection, checked_protocols, connected, prepared
from .data import scalar_values
from .errors import DOMException
from .events import AbortSignal
from .locks import ReadableStreamDefaultReader, WritableStreamDefaultWriter
from .url import websocket_url
from .websocket import flushed, start_closing

__all__ = [
    "ReadableStream",
    "WebSocketCloseInfo",
    "WebSocketError",
    "WebSocketOpenInfo",
    "WebSocketStream",
    "WritableStream",
]


class WebSocketError(DOMException):
    """Why a ``WebSocketStream`` has ended; or, given to ``abort`` and ``cancel``, how to end it.

    Args:
        message: for people.
        closeCode: 1000 or 3000-4999; None for none, which is 1000 where there is a reason.
        reason: at most 123 bytes as UTF-8.

    Raises:
        DOMException: InvalidAccessError for the code, SyntaxError for the reason.
    """

    def __init__(self, message: str = "", *, closeCode: float | None = None, reason: str = ""):
        super().__init__(message, "WebSocketError")
        self.closeCode, self.reason = checked_close(closeCode, reason)

    @classmethod
    def _ended(cls, message: str, code: int | None, reason: str) -> WebSocketError:
        """Make one that says how a connection has ended: any code may have come."""
        error = cls(message)
        error.closeCode, error.reason = code, reason
        return error


class WebSocketOpenInfo(NamedTuple):
    """What came of the opening handshake."""

    readable: ReadableStream
    writable: WritableStream
    extensions: str
    protocol: str


class WebSocketCloseInfo(NamedTuple):
    """How the connection was closed."""

    closeCode: int
    reason: str


class WebSocketStream:
    """A WebSocket that is read and written as streams.

    It must be made where a loop runs; it then connects by itself::

        stream = WebSocketStream("ws://localhost:8765")
        opened = await stream.opened
        await opened.writable.write("Hello")
        async for message in opened.readable: ...

    Args:
        url: ws, wss, http or https.
        protocols: a subprotocol, or several, the preferred one first.
        signal: gives up connecting when it is aborted; later it does nothing.
        base: a URL that ``url`` may be relative to.
        options: beyond Chromium: arguments of ``wirebird.asyncio.client.connect``.

    Raises:
        DOMException: SyntaxError: the URL or a subprotocol cannot be used, or comes twice.
        TypeError, ValueError: an option cannot work.
        BaseException: the reason of a signal that is aborted already.
    """

    def __init__(
        self,
        url: str,
        protocols: str | Iterable[str] = (),
        *,
        signal: AbortSignal | None = None,
        base: str | None = None,
        **options: Any,
    ) -> None:
        self._url = websocket_url(url, base)
        names = checked_protocols(protocols)
        if signal is not None:
            signal.throwIfAborted()
        loop = asyncio.get_running_loop()
        connecting = prepared(self._url, names, options)
        self._opened: asyncio.Future[WebSocketOpenInfo] = loop.create_future()
        self._closed: asyncio.Future[WebSocketCloseInfo] = loop.create_future()
        self._connection: Connection | None = None
        self._why: BaseException | None = None  # connecting is given up
        self._running = loop.create_task(self._run(connecting, names))
        self._running.add_done_callback(self._has_run)
        if signal is not None:
            step = signal._add(lambda: self._give_up(signal.reason))
            self._opened.add_done_callback(lambda _: signal._remove_step(step))

    @property
    def url(self) -> str:
        """The URL that it connects to."""
        return self._url

    @property
    def opened(self) -> asyncio.Future[WebSocketOpenInfo]:
        """What to await for the streams.

        Raises:
            WebSocketError: it could not connect, or was closed before.
            BaseException: the reason of the signal.
        """
        return asyncio.shield(self._opened)

    @property
    def closed(self) -> asyncio.Future[WebSocketCloseInfo]:
        """What to await for the end.

        Raises:
            WebSocketError: there was no closing handshake; or as ``opened``.
        """
        return asyncio.shield(self._closed)

    def close(self, closeCode: float | None = None, reason: str = "") -> None:
        """Close it, behind what was written; while it connects, give that up.

        Args:
            closeCode: 1000 or 3000-4999; None for none.
            reason: at most 123 bytes as UTF-8.

        Raises:
            DOMException: InvalidAccessError for the code, SyntaxError for the reason.
        """
        close = checked_close(closeCode, reason)
        if self._connection is not None:
            start_closing(self._connection, *close)
        else:
            self._give_up(WebSocketError("it was closed while it was connecting"))

    def _give_up(self, why: BaseException) -> None:
        if not self._opened.done() and self._why is None:
            self._why = why
            self._running.cancel()

    async def _run(self, connecting: Connecting, protocols: list[Subprotocol]) -> None:
        try:
            connection = await connected(connecting, protocols)
        except Exception as exc:
            error = WebSocketError("it could not connect")
            error.__cause__ = exc
            self._refuse(error)
            return
        self._connection = connection
        response = connection.response
        assert response is not None
        writable = WritableStream(connection)
        self._opened.set_result(
            WebSocketOpenInfo(
                ReadableStream(connection),
                writable,
                ", ".join(response.headers.get_all("Sec-WebSocket-Extensions")),
                connection.subprotocol or "",
            )
        )
        try:
            await connection.wait_closed()
        finally:
            connection.transport.abort()  # where the loop ends; else it has ended before
        end = connection.protocol.close_exc
        if end.rcvd is None or end.sent is None:
            _reject(self._closed, _error_of(end))
        else:
            self._closed.set_result(WebSocketCloseInfo(int(end.rcvd.code), end.rcvd.reason))

    def _has_run(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._refuse(exc)
        elif self._why is not None:
            self._refuse(self._why)
        elif not self._closed.done():  # the loop ends
            self._opened.cancel()
            self._closed.cancel()

    def _refuse(self, exc: BaseException) -> None:
        for future in (self._opened, self._closed):
            if not future.done():
                _reject(future, exc)


class ReadableStream:
    """The messages that come: str from Text, bytes from Binary.

    One can be iterated over once at a time; leaving the iteration does not close the connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reader: ReadableStreamDefaultReader | None = None

    @property
    def locked(self) -> bool:
        """Whether a reader has it."""
        return self._reader is not None

    def getReader(self) -> ReadableStreamDefaultReader:
        """Lock it, and return who reads it from now on.

        Raises:
            TypeError: it is locked.
        """
        self._check()
        self._reader = ReadableStreamDefaultReader(self)
        return self._reader

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Receive messages until the connection is closed.

        Raises:
            WebSocketError: there was no closing handshake.
        """
        while True:
            message = await self.read()
            if message is None:
                return
            yield message

    async def read(self) -> str | bytes | None:
        """Receive the next message; None after a closing handshake.

        Raises:
            WebSocketError: there was none.
            ConcurrencyError: another task is reading.
            TypeError: it is locked.
        """
        self._check()
        return await self._read()

    async def _read(self) -> str | bytes | None:
        try:
            return await self._connection.recv()
        except ConnectionClosed as exc:
            if exc.rcvd is None or exc.sent is None:
                raise _error_of(exc) from exc
            return None

    async def cancel(self, reason: object = None) -> None:
        """Read no more, and close the connection.

        Args:
            reason: a WebSocketError says with which code and reason.

        Raises:
            TypeError: it is locked.
        """
        self._check()
        await self._cancel(reason)

    def _check(self) -> None:
        if self.locked:
            raise TypeError("a reader has this stream")

    async def _cancel(self, reason: object) -> None:
        await _close_for(self._connection, reason)


class WritableStream:
    """Where messages are written to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._writer: WritableStreamDefaultWriter | None = None

    @property
    def locked(self) -> bool:
        """Whether a writer has it."""
        return self._writer is not None

    def getWriter(self) -> WritableStreamDefaultWriter:
        """Lock it, and return who writes it from now on.

        Raises:
            TypeError: it is locked.
        """
        self._check()
        self._writer = WritableStreamDefaultWriter(self)
        return self._writer

    async def write(self, chunk: str | BytesLike) -> None:
        """Send a message, and wait until the kernel has it.

        Args:
            chunk: str is sent as Text, where lone surrogates become U+FFFD; bytes-like as Binary.

        Raises:
            DOMException: InvalidStateError: the connection is closing, or closed.
            WebSocketError: it was lost.
            TypeError: it is neither str nor bytes-like; or the stream is locked.
        """
        self._check()
        await self._write(chunk)

    async def _write(self, chunk: str | BytesLike) -> None:
        with self._raising_by_name():
            await self._connection.send(scalar_values(chunk) if isinstance(chunk, str) else chunk)
            await flushed(self._connection)

    async def _flush(self) -> None:
        with self._raising_by_name():
            core = self._connection._core
            if core is not None and self._connection.state is not State.OPEN:
                raise core.close_exc
            await flushed(self._connection)

    @contextlib.contextmanager
    def _raising_by_name(self) -> Iterator[None]:
        """Raise the errors of the Web for a connection that is closed, or lost."""
        try:
            yield
        except ConnectionClosed as exc:
            if exc.rcvd is None or exc.sent is None:
                raise _error_of(exc) from exc
            raise DOMException("the connection is closed", "InvalidStateError") from exc

    async def close(self) -> None:
        """Close the connection, behind what was written.

        Raises:
            TypeError: it is locked.
        """
        self._check()
        await self._close(None)

    async def abort(self, reason: object = None) -> None:
        """Write no more, and close the connection.

        Args:
            reason: a WebSocketError says with which code and reason.

        Raises:
            TypeError: it is locked.
        """
        self._check()
        await self._close(reason)

    def _check(self) -> None:
        if self.locked:
            raise TypeError("a writer has this stream")

    async def _close(self, reason: object) -> None:
        await _close_for(self._connection, reason)


async def _close_for(connection: Connection, reason: object) -> None:
    code, text = None, ""
    if isinstance(reason, WebSocketError):
        code, text = reason.closeCode, reason.reason
    start_closing(connection, code, text)
    await connection.wait_closed()


def _error_of(exc: ConnectionClosed) -> WebSocketError:
    close = exc.rcvd
    code, reason = (1006, "") if close is None else (int(close.code), close.reason)
    error = WebSocketError._ended("the connection was not closed cleanly", code, reason)
    error.__cause__ = exc
    return error


def _reject(future: asyncio.Future[Any], exc: BaseException) -> None:
    future.set_exception(exc)
    future.exception()  # nobody has to look at it
