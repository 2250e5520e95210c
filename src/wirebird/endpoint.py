"""What connections of all adapters have in common: what users ask about them, logs, traces.

How bytes and threads or tasks move is each adapter's own; here nothing waits.
"""

from __future__ import annotations

import logging
import time
import uuid
import weakref
from typing import Any, cast

from .core.connection import Connection
from .core.forwarded import Address, address_of
from .core.frames import Frame
from .core.handshake.token_auth import TokenAuth
from .core.hooks import Hooks
from .core.http1 import Request, Response
from .core.inbound import Trace
from .core.instrumentation import Watch
from .core.proxy_protocol import ProxyHeader
from .core.redaction import HIDDEN
from .core.rules import CloseCode, Opcode, State
from .core.stats import Ledger, ended_with
from .core.types import LoggerLike, Subprotocol
from .exceptions import WebSocketException
from .protocol import Protocol
from .server import ServerProtocol

__all__ = ["Endpoint", "ServerEndpoint"]


class Endpoint(Hooks):
    """One endpoint, as its user sees it; an adapter's connection inherits from it."""

    protocol: Protocol
    _core: Connection | None

    # What is the class's costs an idle connection nothing.
    _logger: LoggerLike | None = None
    _trace: Trace | None = None
    _instruments: Watch | None = None
    _ledger: Ledger | None = None  # of the server
    _opened_at = 0.0  # where somebody watches

    def _take_protocol(self) -> None:
        """Take over the logger of ``protocol``, once its arguments are known."""
        self._given_logger = self.protocol.logger
        self.protocol.logger = self.logger
        self.debug = self.protocol.debug
        self.request: Request | None = None
        """The request of the opening handshake."""
        self.response: Response | None = None
        """The response of the opening handshake."""
        self._apply_trace()

    def _calm_logger(self) -> None:
        """From the opening on the protocol logs nothing, and the connection seldom."""
        if not self.debug and self._logger is self.protocol.logger:
            self.protocol.logger, self._logger = self._given_logger, None

    @property
    def id(self) -> uuid.UUID:
        """Tells connections apart, in logs."""
        return self.protocol.id

    @property
    def logger(self) -> LoggerLike:
        """The logger that was given, or the default; its records have ``websocket``."""
        if self._logger is None:
            # A proxy, or the logger would keep the connection alive.
            self._logger = logging.LoggerAdapter(
                cast(logging.Logger, self._given_logger), {"websocket": weakref.proxy(self)}
            )
        return self._logger

    @logger.setter
    def logger(self, logger: LoggerLike) -> None:
        self._logger = self._given_logger = logger

    @property
    def state(self) -> State:
        """CONNECTING, OPEN, CLOSING or CLOSED. RFC 6455, 4.1 and 7.1."""
        return self.protocol.state

    @property
    def subprotocol(self) -> Subprotocol | None:
        """What was agreed on; None for none."""
        return self.protocol.subprotocol

    @property
    def latency(self) -> float:
        """The last measured round-trip time in seconds; 0.0 before the first."""
        return 0.0 if self._core is None else self._core.latency

    @property
    def close_code(self) -> int | None:
        """The code that came, 1005 for none, 1006 without a Close; None until CLOSED."""
        return self.protocol.close_code

    @property
    def close_reason(self) -> str | None:
        """The reason that came; None until CLOSED."""
        return self.protocol.close_reason

    @property
    def trace(self) -> Trace | None:
        """Told of each frame that goes by, as ``trace(sent: bool, frame: Frame)``.

        A control frame is told of when it comes, a data frame that came when it is read.
        """
        return self._trace

    @trace.setter
    def trace(self, trace: Trace | None) -> None:
        self._trace = trace
        self._apply_trace()

    def _apply_trace(self) -> None:
        has_listener = self._trace is not None or self.debug
        self.protocol.trace = self._frame_passed if has_listener else None
        if self._core is not None:
            self._core.trace = self.protocol.trace

    def _frame_passed(self, sent: bool, frame: Frame) -> None:
        if self.debug:
            self.logger.debug("%s %s", ">" if sent else "<", self._shown_frame(sent, frame))
        if self._trace is not None:
            try:
                self._trace(sent, frame)
            except Exception:  # it is a bystander: the connection goes on
                self.logger.error("trace failed", exc_info=True)

    def _shown_frame(self, sent: bool, frame: Frame) -> object:
        """Say what is logged of a frame."""
        return frame

    # What is counted, and told to those who watch

    def _note(self, event: str, *args: object) -> None:
        """Call a method of each ``Instrumentation``."""
        if self._instruments is not None:
            self._instruments.tell(event, self, *args)

    def _note_opened(self, now: float) -> None:
        if self._ledger is not None:
            self._ledger.opened += 1
        if self._instruments is not None:
            self._opened_at = now
            self._instruments.tell("connection_opened", self)

    def _note_refused(self, reason: str, status: int | None) -> None:
        if self._ledger is not None:
            self._ledger.refused[reason] += 1
        self._note("connection_refused", reason, status)

    def _note_ended(self, now: float, dropped: int) -> None:
        """Note that a connection which was open is over, and how many messages were dropped."""
        core = self._core
        if core is None or (self._ledger is None and self._instruments is None):
            return
        code = ended_with(core.close_rcvd, core.close_sent, core.close_rcvd_then_sent)
        totals = core.totals
        if self._ledger is not None:
            self._ledger.ended(code, totals, dropped)
        self._note("connection_closed", code, now - self._opened_at, totals)

    def _note_handler_failed(self, exc: BaseException | None) -> None:
        if self._ledger is not None:
            self._ledger.handlers_failed += 1
        self._note("handler_failed", exc)

    def _note_slow_consumer(self) -> None:
        if self._ledger is not None:
            self._ledger.slow_consumers += 1
        self._note("slow_consumer")

    # Hooks of the core

    def limit_exceeded(self, limit: str) -> None:
        """See ``Hooks``."""
        if self._ledger is not None:
            self._ledger.limits_exceeded[limit] += 1
        self._note("limit_exceeded", limit)

    def failed(self, exc: BaseException) -> None:
        """See ``Hooks``."""
        if isinstance(exc, (WebSocketException, UnicodeDecodeError, TimeoutError)):
            self.logger.debug("! failing the connection: %s", exc)
        else:
            self.logger.error("unexpected error; failing the connection", exc_info=exc)


class ServerEndpoint(Endpoint):
    """A server's endpoint: who the client is, behind whatever proxies are trusted."""

    protocol: ServerProtocol

    _first_message: TokenAuth | None = None  # who it is says the first message
    _is_token_next = False  # in the message that comes
    _limit_for_known: int | None = None  # of the messages behind that one, in bytes

    @property
    def client(self) -> Address:
        """The client's address, as trusted proxies tell it, else the peer's: (host, port).

        The host is an IP address as text, "unix" for a Unix socket, or what a proxy says instead,
        such as "unknown"; the port is None where it is not known.
        """
        told = self.protocol.forwarded.client
        if told is not None:
            return told
        return address_of(self._get_extra_info("peername"))

    @property
    def scheme(self) -> str:
        """How the client connects, as far as is known: "ws" or "wss"."""
        told = self.protocol.forwarded.scheme
        if told is not None:
            return told
        return "ws" if self._get_extra_info("ssl_object") is None else "wss"

    @property
    def host(self) -> str:
        """What the client asked for, with the port unless it is the usual one: "example.com"."""
        told = self.protocol.forwarded.host
        if told is not None or self.request is None:
            return told or ""
        return next(iter(self.request.headers.get_all("Host")), "")

    @property
    def proxy_header(self) -> ProxyHeader | None:
        """The header of the PROXY protocol that the connection began with, or None."""
        return self.protocol.proxy_header

    def _get_extra_info(self, name: str) -> Any:
        """What a transport says of "peername" and "ssl_object"."""
        raise NotImplementedError

    # Authentication by token

    def _expect_first_message(self, auth: TokenAuth) -> None:
        """Let the first message say who the client is.

        Whoever is not known yet makes us keep no more than that; in what comes with the request
        too, which is judged before anybody receives.
        """
        assert auth.first_message is not None
        self._limit_for_known = self.protocol.lower_limit(auth.first_message.max_bytes)
        self._first_message = auth
        self._is_token_next = True

    def _first_message_came(self, core: Connection) -> None:
        """Take what comes from now on as from anybody who is known."""
        self._is_token_next = False
        core.limit_messages(self._limit_for_known)

    def _shown_frame(self, sent: bool, frame: Frame) -> object:
        if self._is_token_next and not sent and frame.opcode < Opcode.CLOSE:
            return f"{frame.opcode.name} {HIDDEN} [{len(frame.data)} bytes]"
        return frame

    def _admit(self, auth: TokenAuth, checked: Any) -> None:
        """Let the client in as whom a check says, until the token expires.

        Raises:
            InvalidToken: the check refused it.
        """
        verified = auth.admit(self, checked, time.time())
        if verified.expires_at is not None:
            self._close_at(verified.expires_at, auth.close_code, "the token has expired")

    def _close_at(self, epoch_s: float, code: CloseCode | int, reason: str) -> None:
        """Close the connection at a time, in seconds since the epoch."""
        raise NotImplementedError
