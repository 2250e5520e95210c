"""What an application receives and sends: the events of ASGI's WebSocket specification.

https://asgi.readthedocs.io/en/latest/specs/www.html#websocket

A conversation goes through these phases:

    ASKED    the application is told of the request; it accepts, refuses, or responds by itself
    OPEN     messages go to and fro
    DENYING  the application has begun a response of its own
    OVER     the application has closed, refused, or responded

The loss of the connection is not a phase: it can come in each. A message goes through ``receive``
or ``send`` and the connection's ``recv`` and ``send`` below them, which is no queue and no other
task: what the application does not ask for is the backpressure.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import ClientDisconnected

from ..core.handshake.application import denial
from ..core.rules import CloseCode, State
from ..core.types import BytesLike, Subprotocol
from ..exceptions import ConcurrencyError, ConnectionClosed
from .scope import log_answer

if TYPE_CHECKING:
    from .protocol import WebSocketProtocol

__all__ = ["Conversation", "Phase"]

Event = Mapping[str, Any]


class Phase(enum.Enum):
    """How far a conversation is; see above."""

    ASKED = enum.auto()
    OPEN = enum.auto()
    DENYING = enum.auto()
    OVER = enum.auto()


# Looked up once: these are compared for every message.
_OPEN = Phase.OPEN


class Conversation:
    """What an application and its connection say to each other.

    Args:
        connection: whose request is a valid one, and not answered yet.
        scope: that the application was given.
        logger: where uvicorn tells of answers.
    """

    __slots__ = (
        "_change",
        "_connection",
        "_denial",
        "_end",
        "_is_receiving",
        "_logger",
        "_scope",
        "_was_told",
        "is_gone",
        "phase",
    )

    def __init__(
        self, connection: WebSocketProtocol, scope: dict[str, Any], logger: logging.Logger
    ) -> None:
        self._connection = connection
        self._scope = scope
        self._logger = logger
        self.phase = Phase.ASKED
        self._was_told = False  # of the request
        self._is_receiving = False
        self.is_gone = False
        """The connection is lost, or was answered without the application."""
        self._end: dict[str, Any] | None = None  # what is received instead of messages
        self._change: asyncio.Future[None] | None = (
            None  # somebody waits for one of these to change
        )
        self._denial: tuple[int, Iterable[tuple[str, str]]] | None = (
            None  # that nothing was sent of
        )

    # What the connection tells

    def lost(self) -> None:
        """The connection is lost, or was answered by somebody else."""
        self.is_gone = True
        if self.phase is not _OPEN:
            self._ended(CloseCode.ABNORMAL_CLOSURE)
        self._wake()

    @property
    def is_answered(self) -> bool:
        """Whether the request was answered, if only in part."""
        return self.phase is not Phase.ASKED and self._denial is None

    # What the application receives

    async def receive(self) -> dict[str, Any]:
        """Receive the next event; after the last one, that one again."""
        if self.phase is not _OPEN or self._is_receiving:
            return await self._receive_in_time()
        self._is_receiving = True
        try:
            data = await self._connection.recv()
        except ConnectionClosed as exc:
            return self._disconnected(exc)
        except ConcurrencyError:
            return await self._receive_end()
        finally:
            self._is_receiving = False
            if self._change is not None:
                self._wake()
        if type(data) is str:
            return {"type": "websocket.receive", "text": data}
        return {"type": "websocket.receive", "bytes": data}

    async def _receive_in_time(self) -> dict[str, Any]:
        """Receive what there is instead of a message, or one after another task has received."""
        while True:
            if not self._was_told:
                self._was_told = True
                return {"type": "websocket.connect"}
            if self._end is not None:
                return dict(self._end)
            if self.phase is _OPEN and not self._is_receiving:
                return await self.receive()
            if self._change is None:
                self._change = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._change)

    async def _receive_end(self) -> dict[str, Any]:
        """Receive the end of a connection whose messages go to a handler's methods."""
        connection = self._connection
        if not connection._has_callbacks:
            raise RuntimeError("the connection's own recv is waiting for messages in another task")
        await connection.wait_closed()
        return self._disconnected(connection.protocol.close_exc)

    def _wake(self) -> None:
        change, self._change = self._change, None
        if change is not None and not change.done():
            change.set_result(None)

    def _disconnected(self, exc: ConnectionClosed) -> dict[str, Any]:
        """Say how the connection ended: with the Close of whoever closed it."""
        close = exc.rcvd
        if close is None or (exc.sent is not None and not exc.rcvd_then_sent):
            close = exc.sent
        if close is None:
            return self._ended(CloseCode.ABNORMAL_CLOSURE)
        return self._ended(close.code, close.reason)

    def _ended(self, code: int, reason: str = "") -> dict[str, Any]:
        if self._end is None:
            self._end = {"type": "websocket.disconnect", "code": int(code), "reason": reason}
        return dict(self._end)

    # What the application sends

    async def send(self, event: Event) -> None:
        """Send an event; a message waits while the client takes nothing.

        Raises:
            ClientDisconnected: the connection is closed or lost.
            RuntimeError: it is not this event's turn, there is no such event, or it has a header, a
                status or a subprotocol that cannot be sent.
            TypeError: a message is neither text nor bytes.
            ProtocolError: a close code or reason cannot be sent.
        """
        if self.phase is not _OPEN or event["type"] != "websocket.send":
            await self._send_seldom(event)
            return
        data = event.get("bytes")
        if data is None:
            data = event.get("text")
            if not isinstance(data, str):
                raise TypeError(_needs("websocket.send", "text", "str", data))
        elif not isinstance(data, BytesLike):
            raise TypeError(_needs("websocket.send", "bytes", "bytes-like", data))
        try:
            await self._connection.send(data)
        except ConnectionClosed as exc:
            raise ClientDisconnected from exc

    async def _send_seldom(self, event: Event) -> None:
        kind = event["type"]
        if self.phase is _OPEN and kind == "websocket.close":
            self._close(event)
        elif self.is_gone or self._connection.state is State.CLOSED:
            raise ClientDisconnected
        elif self.phase is Phase.ASKED and kind == "websocket.accept":
            self._accept(event)
        elif self.phase is Phase.ASKED and kind == "websocket.close":
            log_answer(self._logger, self._scope, "403")
            await self._deny(403, (), b"", has_more=False)
        elif self.phase is Phase.ASKED and kind == "websocket.http.response.start":
            self._start_denial(event)
        elif self.phase is Phase.DENYING and kind == "websocket.http.response.body":
            await self._send_body(event)
        else:
            raise RuntimeError(f"{kind} cannot be sent now: {_EXPECTED[self.phase]}")

    def _accept(self, event: Event) -> None:
        subprotocol = event.get("subprotocol")
        with _refusing(event):
            self._connection.prepare(
                _decoded(event), None if subprotocol is None else Subprotocol(subprotocol)
            )
        log_answer(self._logger, self._scope, "[accepted]")
        self._connection.open()
        self.phase = _OPEN
        self._wake()

    def _close(self, event: Event) -> None:
        """Close; there is nothing to wait for. What the client closed first is closed already."""
        code = event.get("code")
        code = CloseCode.NORMAL_CLOSURE if code is None else code
        reason = event.get("reason") or ""
        self._connection.close_nowait(code, reason)
        self.phase = Phase.OVER
        self._ended(code, reason)
        self._wake()

    # A response of the application's own: the ASGI extension "websocket.http.response".

    def _start_denial(self, event: Event) -> None:
        status = event["status"]
        headers = _decoded(event)
        # What cannot be sent is told to whoever says it. Nothing is sent before the first body.
        with _refusing(event):
            denial(status, headers).serialize()
        log_answer(self._logger, self._scope, str(status))
        self._denial = (status, headers)
        self.phase = Phase.DENYING

    async def _send_body(self, event: Event) -> None:
        body = event.get("body", b"")
        if not isinstance(body, BytesLike):
            raise TypeError(_needs("websocket.http.response.body", "body", "bytes-like", body))
        has_more = bool(event.get("more_body", False))
        if self._denial is None:
            await self._sending(self._connection.send_denial_body(bytes(body), has_more=has_more))
        else:
            (status, headers), self._denial = self._denial, None
            await self._deny(status, headers, bytes(body), has_more=has_more)
        if not has_more:
            self._over()

    async def _deny(
        self, status: int, headers: Iterable[tuple[str, str]], body: bytes, *, has_more: bool
    ) -> None:
        if not has_more:
            self._over()
        response = denial(status, headers, body, has_more=has_more)
        await self._sending(self._connection.deny(response, has_more=has_more))

    def _over(self) -> None:
        self.phase = Phase.OVER
        self._ended(CloseCode.ABNORMAL_CLOSURE)
        self._wake()

    async def _sending(self, sending: Any) -> None:
        try:
            await sending
        except ConnectionClosed as exc:
            raise ClientDisconnected from exc


_EXPECTED = {
    Phase.ASKED: "expected websocket.accept, websocket.close or websocket.http.response.start",
    Phase.OPEN: "expected websocket.send or websocket.close",
    Phase.DENYING: "expected websocket.http.response.body",
    Phase.OVER: "the WebSocket was closed, or refused, by the application",
}


@contextlib.contextmanager
def _refusing(event: Event) -> Iterator[None]:
    """Refuse an event with something in it that cannot be sent."""
    try:
        yield
    except ValueError as exc:
        raise RuntimeError(f"{event['type']} cannot be sent: {exc}") from exc


def _decoded(event: Event) -> list[tuple[str, str]]:
    """Return the headers of an event as text."""
    return [
        (bytes(name).decode("iso-8859-1"), bytes(value).decode("iso-8859-1"))
        for name, value in event.get("headers") or ()
    ]


def _needs(kind: str, key: str, expected: str, got: object) -> str:
    return f"{kind} needs {key} that is {expected}, not {type(got).__name__}"
