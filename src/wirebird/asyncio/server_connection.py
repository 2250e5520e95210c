"""A server's connection: its opening handshake, with or without a task, and then the common half.

Where hooks of the user's may wait, a task opens the connection (``server_tasks.py``). Where none
can, the request is answered as it comes, and a task exists only once there is a handler to run.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from ..core.admission import Refusal
from ..core.handshake import answers
from ..core.handshake.token_auth import TokenAuth
from ..core.http1 import Request, Response
from ..core.rules import MAX_FRAGMENTS, WRITE_TIMEOUT_S, CloseCode, State
from ..core.types import StatusLike
from ..endpoint import ServerEndpoint
from ..http11 import SERVER
from ..server import ServerProtocol
from .connection import Connection
from .server_tasks import run_handler
from .token_auth import close_at

if TYPE_CHECKING:
    from .running_server import Server

__all__ = ["ProcessRequest", "ProcessResponse", "ServerConnection"]

# What a client may send behind a request that is not answered yet.
_MAX_EARLY_BYTES = 64 * 1024

ProcessRequest = Callable[
    ["ServerConnection", Request], Awaitable[Response | None] | Response | None
]
ProcessResponse = Callable[
    ["ServerConnection", Request, Response], Awaitable[Response | None] | Response | None
]


class ServerConnection(Connection, ServerEndpoint):
    """A server's connection.

    Iterating over it receives messages until it is closed; an end with 1000, 1001 or no code
    ends the iteration, any other raises ConnectionClosedError.

    Args:
        protocol: the opening handshake, and what comes of it.
        server: that it belongs to.
        ping_interval, ping_timeout, close_timeout: as for ``serve``.
        max_queue, write_limit, write_timeout, max_fragments: as for ``serve``.
    """

    protocol: ServerProtocol

    def __init__(
        self,
        protocol: ServerProtocol,
        server: Server,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
        write_timeout: float | None = WRITE_TIMEOUT_S,
        max_fragments: int | None = MAX_FRAGMENTS,
    ) -> None:
        super().__init__(
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
            write_timeout=write_timeout,
            max_fragments=max_fragments,
        )
        self.server = server
        self.username: str
        """Set by ``basic_auth``, and by ``token_auth`` where it is known."""
        self.identity: Any
        """Set by ``token_auth``: what its check returned."""
        self.handler: Callable[[ServerConnection], Awaitable[None]]
        """Set by ``route``."""
        self.handler_kwargs: Mapping[str, Any]
        """Set by ``route``."""

    _requested: asyncio.Future[None] | None = None  # for ``handshake``, which awaits the request
    _was_asked = False  # for its handshake
    _opening_deadline: float | None = None  # where no task opens the connection
    _refused_for: str | None = None  # why it was not opened, if that was said

    def respond(self, status: StatusLike, text: str) -> Response:
        """Make an HTTP response, for ``process_request`` and ``process_response`` to return.

        Args:
            status: of HTTP.
            text: the body; sent as UTF-8. Headers and body can be changed afterwards.
        """
        return self.protocol.reject(status, text)

    async def handshake(
        self,
        process_request: ProcessRequest | None = None,
        process_response: ProcessResponse | None = None,
        server_header: str | None = SERVER,
    ) -> None:
        """Do the opening handshake; ``state`` says afterwards whether it succeeded.

        Args:
            process_request, process_response, server_header: as for ``serve``.
        """
        assert not self._was_asked, "the handshake can be done once"
        self._was_asked = True
        if not self._is_request_over:
            self._requested = self.loop.create_future()
            await self._requested
            self._requested = None
        if self.request is None or self.protocol.eof_sent:
            return  # the client is gone, or was answered already
        response = await self._ask(process_request, self.request)
        response = self._response_to(self.request, response, server_header)
        changed = await self._ask(process_response, self.request, response)
        self._answer(response if changed is None else changed)

    def _response_to(
        self, request: Request, response: Response | None, server_header: str | None
    ) -> Response:
        """Say what to answer; ``response`` is what a hook wants."""
        self.response = answers.response_to(self.protocol, request, response, server_header)
        return self.response

    def _answer(self, response: Response) -> None:
        self.response = response
        if response.status_code == 101 and not self.server.is_opening:
            self._refused_for = "draining"
            self.response = answers.shutting_down(self.protocol)
        if self.state is State.CONNECTING and not self.protocol.eof_sent:
            self._respond(self.response)

    async def _ask(self, hook: Callable[..., Any] | None, *args: Any) -> Response | None:
        """Ask a hook of the user's for a response; an error of its own is answered 500."""
        if hook is None:
            return None
        try:
            response = hook(self, *args)
            if isinstance(response, Awaitable):
                response = await response
            return answers.checked(response)
        except Exception as exc:
            self.logger.error("%s failed", getattr(hook, "__name__", "hook"), exc_info=True)
            return answers.failed(self.protocol, exc)

    def _give_up(self) -> None:
        """Answer what took too long: the request, or what hooks of the user's make of it."""
        if self.state is not State.CONNECTING or self.protocol.eof_sent:
            return
        if self.protocol.cut_without_header():
            self.link.abort()
            return
        self._refused_for = "timeout"
        self._respond(answers.too_late(self.protocol, self.request))

    def _turn_away(self, refusal: Refusal, linger_s: float | None) -> None:
        """Answer a client that exceeds a limit.

        Args:
            refusal: what to say.
            linger_s: seconds to read it; None to cut the connection without saying it.
        """
        if self._core is not None or self.protocol.eof_sent:
            return
        self._was_asked = True
        self._refused_for = refusal.limit
        if linger_s is None:
            self._note_refused(refusal.limit, None)
            self.link.abort()
            return
        self._respond(answers.refused(self.protocol, refusal))
        self._linger_for(linger_s)

    def _shed(self) -> None:
        """Give back what is held for a connection; one that is not open yet is cut."""
        if self._core is not None:
            super()._shed()
            return
        if not self.protocol.eof_sent:
            self._was_asked = True
            self._refused_for = "memory"
            self._note_refused("memory", None)
        self.link.abort()

    def _respond(self, response: Response) -> None:
        self.link.resume()
        self.protocol.configure(now=self.loop.time())
        try:
            self.protocol.send_response(response)
        except ValueError as exc:  # something cannot stand in a head
            self.logger.error("opening handshake failed", exc_info=True)
            self.response = answers.failed(self.protocol, exc)
            self.protocol.send_response(self.response)
        if self.protocol.connection is not None:
            self._opened()
        else:
            status = (
                self.response.status_code if self.response is not None else response.status_code
            )
            self._refused_for = self._refused_for or str(status)
            self._note_refused(self._refused_for, status)
        self._flush()
        self._settle()

    def _handshake_progressed(self) -> None:
        for event in self.protocol.events_received():
            assert isinstance(event, Request)
            self.request = event
            self._request_came(event)
        if self.request is not None and self.protocol.early_bytes > _MAX_EARLY_BYTES:
            self.link.pause()  # until the request is answered
        if self.protocol.is_cut:
            self.link.abort()
        elif self._is_answered:
            self._flush()
        if not self._is_request_over:
            return
        if self._requested is not None:
            if not self._requested.done():
                self._requested.set_result(None)
        elif self._opening_deadline is not None:
            self._open_at_once()

    def _request_came(self, request: Request) -> None:
        gate = self.server.gate
        self._note("handshake_began", request)
        if gate is None:
            return
        gate.requested(self)
        client = self.protocol.forwarded.client
        if self._is_told_later and client is not None and client.host != "unknown":
            gate.identified(self, client)

    @property
    def _is_told_later(self) -> bool:
        """Whether a proxy is to tell the client's address, with the request or before it."""
        arrival = self.protocol.arrival
        return arrival is not None and arrival.is_told_later

    @property
    def _is_awaited(self) -> bool:
        """Whether something is owed to the client: it is open, or its request is not answered."""
        return self._core is not None or (self.request is not None and not self.protocol.eof_sent)

    @property
    def _is_answered(self) -> bool:
        """Whether what came was no request, and was answered; or the client is gone."""
        return self.protocol.handshake_exc is not None or self.protocol.has_eof

    @property
    def _is_request_over(self) -> bool:
        return self.request is not None or self._is_answered

    # Opening without a task, where no hook may have to wait

    def _open_at_once(self) -> None:
        """Answer the request, and start the handler if the connection is open now."""
        at_once = self.server.at_once
        if at_once is None or self._was_asked:
            return
        self._was_asked = True
        try:
            if self.request is not None:
                self._answer(self._response_to(self.request, None, at_once.server_header))
        except Exception:
            self.logger.error("opening handshake failed", exc_info=True)
            self.link.abort()
            return
        if self._core is None:
            self._linger()
            return
        self._opening_deadline = None
        self._deadlines.watch(self)  # the first ping may be due sooner than the handshake was
        if at_once.handle is not None:
            self._start_task(run_handler(at_once.handle, self))

    def _linger(self) -> None:
        """Refused: give the client time to read why."""
        if self.close_timeout is not None:
            self._linger_for(self.close_timeout)

    def _linger_for(self, seconds: float) -> None:
        self._opening_deadline = self.loop.time() + seconds
        self._deadlines.watch(self)

    def next_deadline(self) -> float | None:
        """See ``Watched``."""
        if self._opening_deadline is not None:
            return self._opening_deadline
        return super().next_deadline()

    def handle_deadline(self) -> None:
        """See ``Watched``."""
        if self._opening_deadline is None:
            super().handle_deadline()
        elif self._was_asked:
            self.link.abort()
        else:
            self._was_asked = True
            self._give_up()
            self._linger()

    def _opened(self) -> None:
        server = self.server
        if self._callbacks is not None:
            server._let_in(self)
        super()._opened()
        if server.gate is not None:
            server.gate.opened(self)

    def _callbacks_ended(self) -> None:
        self.server._connection_ended(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; start the task that goes from handshake to handler, if one must."""
        super().connection_made(transport)
        self.protocol.connected(self._get_extra_info)
        server = self.server
        self._ledger = server.ledger
        self._ledger.accepted += 1
        if server.watch is not None:
            self._instruments = server.watch
        server.opening.add(self)
        if server.gate is not None:
            address = None if self._is_told_later else self.remote_address
            if not server.gate.arrived(self, address):
                return
        at_once = server.at_once
        if at_once is None or type(self).handshake is not ServerConnection.handshake:
            self._start_task(server.handler(self))
        else:
            open_timeout = at_once.open_timeout
            self._opening_deadline = math.inf
            if open_timeout is not None:
                self._opening_deadline = self.loop.time() + open_timeout
                self._deadlines.watch(self)

    def _expect_first_message(self, auth: TokenAuth) -> None:
        if self._callbacks is not None:  # or everybody would be let in
            raise TypeError("FirstMessage needs a handler that is a coroutine function")
        super()._expect_first_message(auth)

    def _close_at(self, epoch_s: float, code: CloseCode | int, reason: str) -> None:
        close_at(self, epoch_s, code, reason)

    def _get_extra_info(self, name: str) -> Any:
        return self.link.get_extra_info(name)

    def _start_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._run_as_task(coroutine)
        self.server.handler_tasks.add(task)
        task.add_done_callback(self._handler_done)

    def _handler_done(self, task: asyncio.Task[None]) -> None:
        self.server.handler_tasks.discard(task)
        self._abandon()  # for a task that was cancelled before it began; else TCP has ended

    def _abandon(self) -> None:
        """Leave nothing behind of a connection whose task is over, unless it needs none."""
        if self._callbacks is None or self._core is None:
            self.link.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the transport, and wake whoever waits."""
        super().connection_lost(exc)
        if self._opening_deadline is not None:
            self._opening_deadline = None
            self._deadlines.forget(self)
        server = self.server
        if self._core is None:
            self._note_unopened()
        server._connection_opened(self)
        if server.gate is not None:
            server.gate.gone(self)
        if self._given_logger.isEnabledFor(logging.INFO):
            self.logger.info("connection closed")

    def _note_unopened(self) -> None:
        """Say of a connection that never was open why, unless that was said."""
        if self._refused_for is not None:
            return
        exc = self.protocol.handshake_exc
        if exc is None or isinstance(exc.__cause__, EOFError):
            self._note_refused("gone", None)
        else:
            self._note_refused("invalid", getattr(exc, "http_status", None))
