"""A client's connection: its opening handshake, and then what all have in common."""

from __future__ import annotations

import socket

from ..client import ClientProtocol
from ..core.fields import HeadersLike
from ..core.http1 import Response
from ..core.rules import MAX_FRAGMENTS, WRITE_TIMEOUT_S
from ..http11 import USER_AGENT
from .connection import Connection
from .streams import Stream
from .waiting import Deadline

__all__ = ["ClientConnection"]


class ClientConnection(Connection):
    """A client's connection.

    Iterating over it receives messages until it is closed; an end with 1000, 1001 or no code
    ends the iteration, any other raises ConnectionClosedError.

    Args:
        sock: connected to the server.
        protocol: the opening handshake, and what comes of it.
        ping_interval, ping_timeout, close_timeout: as for ``connect``.
        max_queue, write_timeout, max_fragments: as for ``connect``.
    """

    protocol: ClientProtocol

    def __init__(
        self,
        sock: socket.socket | Stream,
        protocol: ClientProtocol,
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

    def handshake(
        self,
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        timeout: float | None = None,
    ) -> None:
        """Do the opening handshake.

        Args:
            additional_headers: to add to the request.
            user_agent_header: value of User-Agent; None for none.
            timeout: seconds that it may take; None for no limit.

        Raises:
            InvalidHandshake: the server refused, or its response cannot be accepted.
            TimeoutError: it took too long.
            ValueError: something cannot stand in a head.
        """
        deadline = Deadline(timeout)
        with self._lock:
            self.request = self.protocol.make_request(additional_headers, user_agent_header)
            self.protocol.send_request(self.request)
            self._flush()
        self._read_until(lambda: self._is_handshake_over, deadline)
        if self.protocol.handshake_exc is not None:
            raise self.protocol.handshake_exc

    @property
    def _is_handshake_over(self) -> bool:
        return self.protocol.connection is not None or self.protocol.handshake_exc is not None

    def _handshake_progressed(self) -> None:
        for event in self.protocol.events_received():
            assert isinstance(event, Response)
            self.response = event
        if self.protocol.connection is not None and self._core is None:
            self._opened()
