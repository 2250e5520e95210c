"""The sans-I/O API of ``websockets`` for clients, and when a client connects again."""

from __future__ import annotations

import os
import random
import time
import traceback
from collections.abc import Callable, Generator, Sequence

from .core.extensions.base import ClientExtensionFactory
from .core.fields import HeadersLike
from .core.handshake.client import ClientHandshake
from .core.http1 import Request, Response
from .core.redaction import shown_headers, shown_target
from .core.retry import retry_after
from .core.rules import MAX_INTERIM_RESPONSES, MAX_MESSAGE_BYTES, State
from .core.types import LoggerLike, Origin, Subprotocol
from .core.uri import WebSocketURI
from .exceptions import (
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    ProxyError,
    SecurityError,
    StatusLineTooLong,
)
from .protocol import CLIENT, CONNECTING, Protocol

__all__ = ["ClientProtocol", "backoff", "delay_before_retry", "process_exception"]


class ClientProtocol(ClientHandshake, Protocol):
    """A client's endpoint, driven by its user.

    Args:
        uri: where to, as ``parse_uri`` returns it.
        origin, extensions, subprotocols: what to ask for in the opening handshake.
        state, max_size, logger, engine: as for ``Protocol``.
    """

    def __init__(
        self,
        uri: WebSocketURI,
        *,
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        state: State = CONNECTING,
        max_size: int | tuple[int | None, int | None] | None = MAX_MESSAGE_BYTES,
        logger: LoggerLike | None = None,
        engine: str | None = None,
    ) -> None:
        super().__init__(
            uri,
            origin=origin,
            extensions=extensions,
            subprotocols=subprotocols,
            side=CLIENT,
            state=state,
            max_size=max_size,
            logger=logger,
            engine=engine,
        )

    def make_request(
        self, additional_headers: HeadersLike | None, user_agent_header: str | None
    ) -> Request:
        """Return the request with what a user adds to it.

        Args:
            additional_headers: to add; they replace those of the same names.
            user_agent_header: value of User-Agent, unless it is among these; None for none.
        """
        request = self.connect()
        if additional_headers is not None:
            request.headers.update(additional_headers)
        if user_agent_header is not None:
            request.headers.setdefault("User-Agent", user_agent_header)
        return request

    def send_request(self, request: Request) -> None:
        """Send the request that ``connect`` made.

        Raises:
            ValueError: it holds what cannot stand in a head.
        """
        self._write(request.serialize())
        if self.debug:
            self.logger.debug(
                "> %s %s %s", request.method, shown_target(request.path), request.protocol
            )
            for header in shown_headers(request.headers.raw_items()):
                self.logger.debug("> %s: %s", *header)

    def _shake_hands(self) -> Generator[None, None, None]:
        try:
            response = yield from self._read_response()
        except StatusLineTooLong as exc:
            self._refuse(exc)
            return
        except Exception as exc:
            invalid = InvalidMessage("did not receive a valid HTTP response")
            invalid.__cause__ = exc
            self._refuse(invalid)
            return
        if self.debug:
            self.logger.debug("< HTTP/1.1 %d %s", response.status_code, response.reason_phrase)
            for header in shown_headers(response.headers.raw_items()):
                self.logger.debug("< %s: %s", *header)
        self._came(response)
        try:
            self.process_response(response)
        except InvalidHandshake as exc:
            response._exception = exc
            self._refuse(exc)
        else:
            self._open()

    def _read_response(self) -> Generator[None, None, Response]:
        """Read the response, past interim ones. RFC 9110, 15.2."""
        reader = self.reader
        for _ in range(MAX_INTERIM_RESPONSES + 1):
            response = yield from Response.parse(
                reader.read_line, reader.read_exact, reader.read_to_eof
            )
            if response.status_code == 101 or response.status_code >= 200:
                return response
        raise SecurityError(f"more than {MAX_INTERIM_RESPONSES} interim responses")

    def _refuse(self, exc: Exception) -> None:
        self.handshake_exc = exc
        self._send_eof()


def process_exception(exc: Exception) -> Exception | None:
    """Decide whether a client that failed to connect should try again.

    Returns:
        None to try again: the network failed (OSError, so also names that are not found and
        certificates that are not trusted; TimeoutError; an end of the stream within the
        response), or the server or a proxy may recover (500, 502, 503, 504). Otherwise the
        exception to raise.
    """
    if isinstance(exc, (OSError, TimeoutError)):
        return None
    if isinstance(exc, InvalidMessage) and isinstance(exc.__cause__, EOFError):
        return None
    if isinstance(exc, InvalidStatus) and exc.response.status_code in (500, 502, 503, 504):
        return None
    if isinstance(exc, ProxyError) and exc.may_recover:
        return None
    return exc


def delay_before_retry(
    exc: Exception,
    process_exception: Callable[[Exception], Exception | None],
    delays: Generator[float, None, None],
    logger: LoggerLike,
) -> float:
    """Return how long to wait until the next attempt to connect, in seconds.

    At least as long as the server asks for (Retry-After), up to ten minutes.

    Args:
        exc: why the last one failed.
        process_exception: says which exceptions are fatal, as the function of this name.
        delays: yields the waits.
        logger: is told.

    Raises:
        Exception: what ``process_exception`` returned, or raised.
    """
    try:
        fatal = process_exception(exc)
    except Exception as raised:
        fatal = raised
    if fatal is exc:
        raise exc
    if fatal is not None:
        raise fatal from exc
    delay = next(delays)
    if isinstance(exc, InvalidStatus):
        delay = max(delay, retry_after(exc.response, time.time()))
    what = "; ".join(line.strip() for line in traceback.format_exception_only(exc))
    logger.info("connect failed; reconnecting in %.1f seconds: %s", delay, what)
    return delay


BACKOFF_INITIAL_DELAY = float(os.environ.get("WIREBIRD_BACKOFF_INITIAL_DELAY", "5"))
BACKOFF_MIN_DELAY = float(os.environ.get("WIREBIRD_BACKOFF_MIN_DELAY", "3.1"))
BACKOFF_MAX_DELAY = float(os.environ.get("WIREBIRD_BACKOFF_MAX_DELAY", "90.0"))
BACKOFF_FACTOR = float(os.environ.get("WIREBIRD_BACKOFF_FACTOR", "1.618"))


def backoff(
    initial_delay: float = BACKOFF_INITIAL_DELAY,
    min_delay: float = BACKOFF_MIN_DELAY,
    max_delay: float = BACKOFF_MAX_DELAY,
    factor: float = BACKOFF_FACTOR,
) -> Generator[float, None, None]:
    """Yield how long to wait before each further attempt, in seconds. RFC 6455, 7.2.3.

    Args:
        initial_delay: the first wait is random, up to this: clients do not come back together.
        min_delay: the second wait.
        max_delay: no wait is longer.
        factor: by which the waits grow.
    """
    yield random.random() * initial_delay
    delay = min_delay
    while delay < max_delay:
        yield delay
        delay *= factor
    while True:
        yield max_delay
