"""A server's connection: its opening handshake, and its life in the thread of its handler."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..core.handshake import answers
from ..core.http1 import Request, Response
from ..core.rules import MAX_FRAGMENTS, WRITE_TIMEOUT_S, CloseCode, State
from ..core.types import StatusLike
from ..endpoint import ServerEndpoint
from ..http11 import SERVER
from ..server import ServerProtocol
from .connection import Connection
from .streams import Stream, TLSStream
from .transfer import monotonic
from .waiting import Deadline

if TYPE_CHECKING:
    from .running_server import Server

__all__ = ["ProcessRequest", "ProcessResponse", "ServerConnection"]

ProcessRequest = Callable[["ServerConnection", Request], Response | None]
ProcessResponse = Callable[["ServerConnection", Request, Response], Response | None]


class ServerConnection(Connection, ServerEndpoint):
    """A server's connection.

    Iterating over it receives messages until it is closed; an end with 1000, 1001 or no code
    ends the iteration, any other raises ConnectionClosedError.

    Args:
        sock: connected to the client.
        protocol: the opening handshake, and what comes of it.
        server: that it belongs to.
        ping_interval, ping_timeout, close_timeout: as for ``serve``.
        max_queue, write_timeout, max_fragments: as for ``serve``.
    """

    protocol: ServerProtocol

    def __init__(
        self,
        sock: socket.socket | Stream,
        protocol: ServerProtocol,
        server: Server,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_timeout: float | None = WRITE_TIMEOUT_S,
        max_fragments: int | None = MAX_FRAGMENTS,
    ) -> None:
        super().__init__(
            sock,
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_timeout=write_timeout,
            max_fragments=max_fragments,
        )
        self.server = server
        self.username: str
        """Set by ``basic_auth``, and by ``token_auth`` where it is known."""
        self.identity: Any
        """Set by ``token_auth``: what its check returned."""
        self.handler: Callable[..., None]
        """Set by ``route``."""
        self.handler_kwargs: Mapping[str, Any]
        """Set by ``route``."""

    _expiry: tuple[float, CloseCode | int, str] | None = None  # of what let it in

    def respond(self, status: StatusLike, text: str) -> Response:
        """Make an HTTP response, for ``process_request`` and ``process_response`` to return.

        Args:
            status: of HTTP.
            text: the body; sent as UTF-8. Headers and body can be changed afterwards.
        """
        return self.protocol.reject(status, text)

    def handshake(
        self,
        process_request: ProcessRequest | None = None,
        process_response: ProcessResponse | None = None,
        server_header: str | None = SERVER,
        timeout: float | None = None,
    ) -> None:
        """Do the opening handshake; ``state`` says afterwards whether it succeeded.

        Args:
            process_request, process_response, server_header: as for ``serve``.
            timeout: seconds that the request may take; None for no limit.

        Raises:
            TimeoutError: it took longer, and was answered 408.
        """
        self.protocol.connected(self._get_extra_info)
        deadline = Deadline(timeout)
        try:
            self._read_until(lambda: self._is_request_over, deadline)
        except TimeoutError:
            self._respond(answers.too_late(self.protocol, self.request))
            raise TimeoutError("timed out while waiting for handshake request") from None
        if self.request is None:
            return  # the client is gone, or was answered already: that was not a request
        response = self._ask(process_request, self.request)
        self.response = answers.response_to(self.protocol, self.request, response, server_header)
        changed = self._ask(process_response, self.request, self.response)
        if changed is not None:
            self.response = changed
        if self.response.status_code == 101 and self.server.socket_closed.is_set():
            self.response = answers.shutting_down(self.protocol)
        self._respond(self.response)

    def _ask(self, hook: Callable[..., Any] | None, *args: Any) -> Response | None:
        """Ask a hook of the user's for a response; an error of its own is answered 500."""
        if hook is None:
            return None
        try:
            return answers.checked(hook(self, *args))
        except Exception as exc:
            self.logger.error("%s failed", getattr(hook, "__name__", "hook"), exc_info=True)
            return answers.failed(self.protocol, exc)

    def _respond(self, response: Response) -> None:
        with self._lock:
            if self.state is not State.CONNECTING or self.protocol.eof_sent or self._is_over:
                return
            self.protocol.configure(now=monotonic())
            try:
                self.protocol.send_response(response)
            except ValueError as exc:  # something cannot stand in a head
                self.logger.error("opening handshake failed", exc_info=True)
                self.response = answers.failed(self.protocol, exc)
                self.protocol.send_response(self.response)
            if self.protocol.connection is None:
                self._flush()
            else:
                self._opened()

    def _handshake_progressed(self) -> None:
        for event in self.protocol.events_received():
            assert isinstance(event, Request)
            self.request = event

    @property
    def _is_request_over(self) -> bool:
        """Whether a request has come; or what came was none, and was answered."""
        protocol = self.protocol
        return self.request is not None or protocol.handshake_exc is not None or protocol.has_eof

    def _get_extra_info(self, name: str) -> Any:
        if name == "peername":
            return self.remote_address
        return self._stream if isinstance(self._stream, TLSStream) else None

    # The end of what let it in

    def _close_at(self, epoch_s: float, code: CloseCode | int, reason: str) -> None:
        with self._lock:
            self._expiry = monotonic() + epoch_s - time.time(), code, reason
        if self._reactor is not None:  # or it asks once the connection is open
            self._reactor.keep_deadline(self)

    def next_deadline(self) -> float | None:
        """See ``reactor.Watched``."""
        when = super().next_deadline()
        if self._expiry is None or self.state is not State.OPEN:
            return when
        return self._expiry[0] if when is None else min(when, self._expiry[0])

    def handle_deadline(self) -> None:
        """See ``reactor.Watched``."""
        with self._lock:
            if self._expiry is not None and self._expiry[0] <= monotonic():
                _, code, reason = self._expiry
                self._expiry = None
                if self.state is State.OPEN:
                    self._start_closing(code, reason)
        super().handle_deadline()

    def _connection_lost(self) -> None:
        super()._connection_lost()
        if self._given_logger.isEnabledFor(logging.INFO):
            self.logger.info("connection closed")
