"""A WebSocket as uvicorn makes and ends it: the class for its setting ``ws``.

uvicorn reads a request; where that asks for a WebSocket, it makes one of these, and gives it the
transport (``connection_made``) and the head, written anew (``data_received``). From there it is a
``ServerConnection``: it judges the request, and takes the socket when the application has accepted.
One task runs the application, as the connection's own, which the native engine resumes itself.

uvicorn's ``ServerState`` is kept as its own classes keep it: ``connections`` has those whose TCP
connection lives, ``tasks`` the applications that run. ``shutdown`` is how it asks us to end.
"""

from __future__ import annotations

import asyncio
import functools
import http
import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState

from ..asyncio.server import ServerConnection
from ..core.backlog import SLOW_CONSUMER_BYTES, SlowConsumerPolicy
from ..core.close import Close
from ..core.handshake.application import add_to_accepted
from ..core.http1 import Response
from ..core.instrumentation import Instruments
from ..core.limits import Limits
from ..core.origins import SameOrigin, parse_origins
from ..core.rules import MAX_FRAGMENTS, WRITE_TIMEOUT_S, CloseCode, State
from ..core.types import Origin, Subprotocol
from ..exceptions import ConnectionClosed, ConnectionClosedError, InvalidState
from ..extensions.permessage_deflate import enable_server_permessage_deflate
from ..server import ServerProtocol
from .conversation import Conversation, Phase
from .scope import make_scope
from .served import Served

__all__ = ["WebSocketProtocol"]

_DEFLATE = enable_server_permessage_deflate(None)


def _origins_of_environment() -> Sequence[Origin | SameOrigin | None] | None:
    """Return what ``wirebird run --origin`` has left there for the processes it starts."""
    text = os.environ.get("WIREBIRD_ORIGINS")
    return None if text is None else _parsed_origins(text)


_parsed_origins = functools.lru_cache(maxsize=1)(parse_origins)


class WebSocketProtocol(ServerConnection):
    """A connection of a WebSocket under uvicorn.

    What uvicorn has no setting for is an attribute of the class: a subclass may say otherwise, and
    be given to uvicorn in its place.

    Args:
        config: uvicorn's; what is used of it are the settings that begin with ``ws_``,
            ``root_path`` and ``limit_concurrency``.
        server_state: uvicorn's; what all connections of a server share.
        app_state: that the application set in its lifespan; each connection has a copy.
        _loop: not used: uvicorn makes connections in their loop.
    """

    engine: str | None = None
    """"python" or "native"; None for the default."""
    origins: Sequence[Origin | re.Pattern[str] | SameOrigin | None] | None = None
    """Whose pages may connect, as for ``serve``; None for all, unless ``WIREBIRD_ORIGINS`` says."""
    close_timeout_s: float | None = 10
    """How long a closing handshake may take."""
    write_limit: int | tuple[int, int | None] = 2**15
    """Bytes in the transport's buffer above which the application's ``send`` waits."""
    write_timeout_s: float | None = WRITE_TIMEOUT_S
    """How long a client may take nothing until it is cut."""
    max_fragments: int | None = MAX_FRAGMENTS
    """Of an incoming message (1009)."""
    slow_consumer = "close"
    """What happens to messages of ``broadcast`` and ``send_nowait`` that a client does not take."""
    slow_consumer_bytes: int | None = SLOW_CONSUMER_BYTES
    """Of such messages that may wait for one client."""

    limits: Limits | None = None
    """What all clients, an address and a connection may have, as for ``serve``."""
    instrumentation: Instruments = None
    """Who is told of what happens, as for ``serve``."""

    server: Served
    _conversation: Conversation | None = None
    _callbacks_over: asyncio.Future[None] | None = None
    _untaken_bytes = 0  # of a response that refuses, when we last looked

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.config = config
        self.app_state = app_state
        self._server_state = server_state
        protocol = ServerProtocol(
            origins=_origins_of_environment() if self.origins is None else self.origins,
            extensions=_DEFLATE if config.ws_per_message_deflate else None,
            max_size=config.ws_max_size,
            logger=logging.getLogger("uvicorn.error"),
            engine=self.engine,
            now=None,  # uvicorn has a Date of its own
        )
        super().__init__(
            protocol,
            Served.of(server_state, self.limits, self.instrumentation),
            ping_interval=config.ws_ping_interval or None,
            ping_timeout=config.ws_ping_timeout or None,
            close_timeout=self.close_timeout_s,
            max_queue=config.ws_max_queue,
            write_limit=self.write_limit,
            write_timeout=self.write_timeout_s,
            max_fragments=self.max_fragments,
        )
        self._slow_consumer = SlowConsumerPolicy(self.slow_consumer, self.slow_consumer_bytes)

    # From uvicorn

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, which another protocol has read the request from."""
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the transport."""
        self._server_state.connections.discard(self)
        super().connection_lost(exc)
        self.server._connection_ended(self)
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.lost()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return this one: whoever copies a scope does not mean the connection."""
        return self

    def shutdown(self) -> None:
        """End soon: uvicorn shuts down. A request that is not answered yet is refused (503)."""
        self.server.shut_down()
        if self._core is not None:
            self.close_nowait(CloseCode.SERVICE_RESTART)
        elif self.protocol.eof_sent:
            self.transport.close()  # it has had its answer
        elif self._conversation is None or not self._conversation.is_answered:
            self._refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, "The server is shutting down.\n")

    # The opening handshake

    def _open_at_once(self) -> None:
        """Judge the request, which is here, and ask the application."""
        if self._was_asked:
            if self._conversation is not None and self.protocol.has_eof:
                self._conversation.lost()
            return
        self._was_asked = True
        if self.request is None:  # what came was answered already, or is gone
            self._linger()
            return
        self.response = self.protocol.accept(self.request)
        if self.response.status_code != 101:
            self._respond(self.response)
            self._linger()
        elif not self.server.is_serving():
            self._refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, "The server is shutting down.\n")
        elif self._is_full():
            self._refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections.\n")
        else:
            logger = logging.getLogger("uvicorn.error")
            try:
                scope = make_scope(self, self.request)
            except Exception:  # raised from here, uvicorn would forget us, and we would stay
                logger.exception("The request cannot be told to the application\n")
                self._refuse(http.HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")
                return
            self._conversation = Conversation(self, scope, logger)
            # Soon, and not now: an eager task would take the socket before uvicorn lets go of it.
            self.loop.call_soon(self._start, scope, logger)

    def _is_full(self) -> bool:
        """Whether there are more connections or tasks than uvicorn was told to have."""
        limit, state = self.config.limit_concurrency, self._server_state
        return limit is not None and (len(state.connections) > limit or len(state.tasks) >= limit)

    def _start(self, scope: dict[str, Any], logger: logging.Logger) -> None:
        if self._conversation is not None and not self.protocol.eof_sent:
            self._start_task(self._run(self._conversation, scope, logger))

    def prepare(self, headers: Iterable[tuple[str, str]], subprotocol: Subprotocol | None) -> None:
        """Add to the response that opens the connection what the application wants in it.

        Raises:
            ValueError: it cannot be sent.
        """
        assert self.response is not None
        self.protocol.subprotocol = add_to_accepted(self.response, headers, subprotocol)

    def open(self) -> None:
        """Open the connection.

        Raises:
            ValueError: a header that uvicorn adds to responses cannot be sent.
        """
        assert self.response is not None
        self._opening_deadline = None
        self._respond(self.response)
        if self._core is None:
            self._linger()
            raise ValueError("a header that uvicorn adds to responses cannot be sent")
        self.server._let_in(self)

    async def deny(self, response: Response, *, has_more: bool) -> None:
        """Send a response that refuses the connection; see ``ServerProtocol.send_response``.

        Raises:
            ConnectionClosed: the connection is lost meanwhile.
        """
        self._add_headers(response)
        self.response = response
        self.link.resume()
        self.protocol.send_response(response, has_more=has_more)
        await self._sent_denial(has_more)

    async def send_denial_body(self, data: bytes, *, has_more: bool) -> None:
        """Send more of the body of such a response; raises as ``deny``."""
        self.protocol.send_body(data, has_more=has_more)
        await self._sent_denial(has_more)

    async def _sent_denial(self, has_more: bool) -> None:
        self._flush()
        if has_more:
            self._expect_progress()
            if self._is_writing_paused:
                await self._drain()
        else:
            self.link.resume()
            self._linger()

    # A client that takes nothing of a response, or stays when it has all of it, is cut.

    def _expect_progress(self) -> None:
        self._untaken_bytes = self.link.buffered_bytes()
        if self.write_timeout_s is not None:
            self._opening_deadline = self.loop.time() + self.write_timeout_s
            self._deadlines.watch(self)

    def _linger(self) -> None:
        self._untaken_bytes = self.link.buffered_bytes()
        super()._linger()

    def handle_deadline(self) -> None:
        """See ``Watched``."""
        if self._opening_deadline is not None and (
            self.link.buffered_bytes() < self._untaken_bytes
        ):
            self._expect_progress()
        else:
            super().handle_deadline()

    def _refuse(self, status: http.HTTPStatus, text: str) -> None:
        """Answer without the application."""
        self._respond(self.respond(status, text))
        self._linger()
        if self._conversation is not None:
            self._conversation.lost()

    def _respond(self, response: Response) -> None:
        self._add_headers(response)
        super()._respond(response)

    def _add_headers(self, response: Response) -> None:
        """Add what uvicorn says in every response: Date, Server, and what its user wants."""
        for name, value in self._server_state.default_headers:
            response.headers.set_insecure(name.decode("iso-8859-1"), value.decode("iso-8859-1"))

    # The application

    async def _run(
        self, conversation: Conversation, scope: dict[str, Any], logger: logging.Logger
    ) -> None:
        """Run the application, and end the connection in the way that it has left open."""
        code = CloseCode.INTERNAL_ERROR
        try:
            app: Any = self.config.loaded_app
            result = await app(scope, conversation.receive, conversation.send)
            code = CloseCode.NORMAL_CLOSURE
            if conversation.phase is Phase.ASKED and not conversation.is_gone:
                logger.error("ASGI callable returned without completing handshake.")
            elif result is not None:
                logger.error("ASGI callable should return None, but returned '%s'.", result)
        except ClientDisconnected:
            pass
        except GeneratorExit:
            raise
        except BaseException:
            # All of them, as uvicorn does: an application that exits ends itself, and no other.
            logger.exception("Exception in ASGI application\n")
        self._application_ended(conversation, code)

    def _application_ended(self, conversation: Conversation, code: CloseCode) -> None:
        if self.connection_lost_waiter.done():
            return
        if self._core is not None:
            is_closing = self.state is not State.OPEN
            self.close_nowait(code)
            if is_closing and self.server.is_closing and code is CloseCode.INTERNAL_ERROR:
                self.link.abort()  # uvicorn has waited long enough
        elif self.protocol.eof_sent:
            pass  # it has had its answer
        elif conversation.is_answered:
            self.link.abort()  # the client must not take what it has of the response for all of it
        else:
            self._refuse(http.HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")

    def _handler_done(self, task: asyncio.Task[None]) -> None:
        self.server.handler_tasks.discard(task)
        if self._core is None and not self.protocol.eof_sent:
            self.link.abort()  # it was cancelled before it began

    # Callbacks instead of what the application receives

    async def run_callbacks(self, make_handler: Callable[[], Any]) -> None:
        """Hand messages to the methods of a handler, until the connection has ended.

        Args:
            make_handler: makes it.

        Raises:
            InvalidState: the connection is not open yet.
            ConcurrencyError: something else is receiving.
        """
        core = self._start_receiving("run_callbacks")
        self._callbacks_over = self.loop.create_future()
        self._use_callbacks(make_handler)
        assert self._callbacks is not None
        self._callbacks.open(core)
        self._settle()
        await asyncio.shield(self._callbacks_over)

    def _callbacks_ended(self) -> None:
        super()._callbacks_ended()
        if self._callbacks_over is not None and not self._callbacks_over.done():
            self._callbacks_over.set_result(None)

    # The application is told of the end when it comes; deadlines see to what TCP does after it.

    def _opened(self) -> None:
        super()._opened()
        assert self._core is not None
        self._core.ends_with_input = True

    def close_received(self, close: Close) -> None:
        """See ``Hooks``."""
        super().close_received(close)
        self._tell_of_end()

    def failed(self, exc: BaseException) -> None:
        """See ``Hooks``."""
        super().failed(exc)
        self._tell_of_end()

    def _tell_of_end(self) -> None:
        """Let a reader look again, soon: we may be in the middle of what has come."""
        if self._core is not None:
            self.loop.call_soon(self._core._serve_reader)

    async def _raise_at_end(self, exc: ConnectionClosed) -> Any:
        raise exc

    async def _raise_closed(self) -> None:
        if self._core is not None:
            raise self._core.close_exc
        if self._is_answered or self.connection_lost_waiter.done():
            raise ConnectionClosedError(None, None)
        raise InvalidState("connection is connecting")
