"""The sans-I/O API of ``websockets`` for servers."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

from .core.extensions.base import ServerExtensionFactory
from .core.handshake.arrival import Arrival
from .core.handshake.server import ServerHandshake
from .core.http1 import Request, Response, chunk
from .core.origins import SameOrigin
from .core.proxy_protocol import ProxyHeader
from .core.redaction import shown_headers, shown_target
from .core.rules import MAX_MESSAGE_BYTES, State
from .core.types import BytesLike, LoggerLike, Origin, Subprotocol
from .exceptions import InvalidHandshake, InvalidMessage, InvalidProxyHeader
from .protocol import _OVER, CONNECTING, SERVER, Protocol

__all__ = ["ServerProtocol"]


class ServerProtocol(ServerHandshake, Protocol):
    """A server's endpoint, driven by its user.

    Args:
        origins, extensions, subprotocols: what to accept in the opening handshake.
        select_subprotocol: chooses among the client's subprotocols; called with this object
            and these.
        state, max_size, logger, engine: as for ``Protocol``.
        now: returns the time for Date, in seconds since the epoch; None to send no Date.
    """

    arrival: Arrival | None = None
    """What takes the word of the proxies that the server is behind."""
    is_cut = False
    """The connection did not begin as it must: TCP is to be ended at once, without an answer."""
    _is_chunked = False  # the body of which more comes

    def __init__(
        self,
        *,
        origins: Sequence[Origin | re.Pattern[str] | SameOrigin | None] | None = None,
        extensions: Sequence[ServerExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        select_subprotocol: Callable[[ServerProtocol, Sequence[Subprotocol]], Subprotocol | None]
        | None = None,
        state: State = CONNECTING,
        max_size: int | tuple[int | None, int | None] | None = MAX_MESSAGE_BYTES,
        logger: LoggerLike | None = None,
        engine: str | None = None,
        now: Callable[[], float] | None = time.time,
    ) -> None:
        super().__init__(
            origins=origins,
            extensions=extensions,
            subprotocols=subprotocols,
            select_subprotocol=select_subprotocol,
            now=now,
            side=SERVER,
            state=state,
            max_size=max_size,
            logger=logger,
            engine=engine,
        )

    def connected(self, get_extra_info: Callable[[str], Any]) -> None:
        """Tell over what the connection came.

        Args:
            get_extra_info: says what "peername" and "ssl_object" are, as transports do.
        """
        if self.arrival is not None:
            self.arrival.peer = get_extra_info("peername")
        if self.origins is not None and get_extra_info("ssl_object") is not None:
            self.is_secure = True

    def receive_data(self, data: BytesLike) -> None:
        """See ``Protocol``."""
        if self.arrival is not None and self.connection is None:
            try:
                data = self.arrival.take(data)
            except InvalidProxyHeader as exc:
                self._cut(exc)
            if not len(data) or self.is_cut:
                return
        super().receive_data(data)

    def receive_eof(self) -> None:
        """See ``Protocol``."""
        self.cut_without_header()
        super().receive_eof()

    @property
    def proxy_header(self) -> ProxyHeader | None:
        """The header of the PROXY protocol that the connection began with, or None."""
        return None if self.arrival is None else self.arrival.header

    def cut_without_header(self) -> bool:
        """Give up to wait for the header of the PROXY protocol; False where none is due."""
        missing = None if self.arrival is None else self.arrival.missing()
        if missing is not None and not self.is_cut:
            self._cut(missing)
        return self.is_cut

    def _cut(self, exc: InvalidProxyHeader) -> None:
        assert self.arrival is not None
        self.is_cut = self.eof_sent = True
        self.handshake_exc = exc
        self._handshake = _OVER
        # Who says nothing may only look whether somebody listens, as health checks do.
        level = logging.WARNING if self.arrival.has_begun else logging.DEBUG
        self.logger.log(level, "connection cut: %s (peer: %r)", exc, self.arrival.peer)

    def accept(self, request: Request) -> Response:
        """Answer a request: 101, or the refusal that ``handshake_exc`` gives the reason for."""
        response = super().accept(request)
        exc = self.handshake_exc
        if exc is not None:
            if response.status_code != 500:
                self.logger.debug("! invalid handshake", exc_info=exc)
            else:
                self.logger.error("opening handshake failed", exc_info=exc)
        return response

    def send_response(self, response: Response, *, has_more: bool = False) -> None:
        """Send the response that ``accept`` or ``reject`` made; 101 opens the connection.

        Args:
            response: to send; any but 101 ends our direction.
            has_more: more of its body comes by ``send_body``.

        Raises:
            ValueError: it holds what cannot stand in a head.
        """
        self._write(response.serialize())
        if self.debug:
            self.logger.debug("> HTTP/1.1 %d %s", response.status_code, response.reason_phrase)
            for header in shown_headers(response.headers.raw_items()):
                self.logger.debug("> %s: %s", *header)
        if response.status_code == 101:
            self._open()
            self.logger.info("connection open")
        else:
            self.logger.info(
                "%s (%d %s)",
                "connection rejected" if self.accept_called else "HTTP response sent",
                response.status_code,
                response.reason_phrase,
            )
            if not has_more:
                self._send_eof()
            else:
                self._is_chunked = "Transfer-Encoding" in response.headers

    def send_body(self, data: bytes, *, has_more: bool = False) -> None:
        """Send more of the body of a response that was begun with ``has_more``."""
        if self._is_chunked:
            data = chunk(data, is_last=not has_more)
        if data:
            self._write(data)
        if not has_more:
            self._send_eof()

    def _take_usual_head(self, data: BytesLike) -> BytesLike:
        usual = Request.parse_usual(data)
        if usual is None:
            return data
        request, size = usual
        self._handshake = _OVER
        self._request_came(request)
        return memoryview(data)[size:]

    def _shake_hands(self) -> Generator[None, None, None]:
        try:
            request = yield from Request.parse(self.reader.read_line)
        except InvalidHandshake as exc:
            self._refuse(exc)
            return
        except EOFError as exc:
            self.handshake_exc = InvalidMessage("did not receive a valid HTTP request")
            self.handshake_exc.__cause__ = exc
            self.logger.debug("! no valid HTTP request", exc_info=exc)
            return
        except Exception as exc:
            invalid = InvalidMessage("did not receive a valid HTTP request")
            invalid.__cause__ = exc
            self._refuse(invalid)
            return
        self._request_came(request)

    def _request_came(self, request: Request) -> None:
        if self.debug:
            self.logger.debug(
                "< %s %s %s", request.method, shown_target(request.path), request.protocol
            )
            for header in shown_headers(request.headers.raw_items()):
                self.logger.debug("< %s: %s", *header)
        if self.arrival is not None:
            try:
                self.forwarded = self.arrival.read(request.headers)
            except InvalidHandshake as exc:
                self._refuse(exc)
                return
        self._came(request)

    def _refuse(self, exc: InvalidHandshake) -> None:
        """Answer something that is not a request."""
        self.handshake_exc = exc
        self.logger.debug("! no valid HTTP request", exc_info=exc)
        self.send_response(self.refuse(exc))
