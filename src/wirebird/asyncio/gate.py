"""The limits of a server, where its connections meet them.

``core.admission`` says who may connect, ``core.budget`` who must go for lack of memory; here they
are told of connections and of time, and what they say is done. Who is turned away gets a short
answer, and a moment to read it; when many are at once, most are cut without one, since that too
would be something to be had for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..core.admission import Admission, Refusal
from ..core.budget import Budget
from ..core.limits import Limits

if TYPE_CHECKING:
    from .running_server import Server
    from .server_connection import ServerConnection

__all__ = ["Gate"]

# So many may read at once why they were turned away, each for so long.
_MAX_TURNED_AWAY = 128
_TURNED_AWAY_S = 1.0
# Between two looks at the memory of all connections; or so many times as long as a look takes,
# which is done in slices, so that nobody waits for it.
_LOOK_S = 0.1
_LOOK_SHARE = 20
_SLICE = 500


class Gate:
    """Holds the connections of a server against its limits.

    Args:
        server: whose.
        limits: of it.
    """

    def __init__(self, server: Server, limits: Limits) -> None:
        self.limits = limits
        self.admission = Admission(limits)
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._turned_away: set[ServerConnection] = set()
        max_bytes = limits.memory_bytes
        self._budget: Budget[ServerConnection] | None = None
        if max_bytes is not None:
            self._budget = Budget(max_bytes)
        self._look: asyncio.Handle | None = None

    # Connections

    def arrived(self, connection: ServerConnection, address: Any) -> bool:
        """Let in a connection, or turn it away.

        Args:
            connection: which was accepted.
            address: of the client; None if it is not known yet.
        """
        refusal = self.admission.enter(connection, address, self._loop.time())
        if refusal is not None:
            self.turn_away(connection, refusal)
            return False
        self._watch_memory()
        overdue: Any = self.admission.overdue()
        if overdue is not None:
            self.turn_away(
                overdue, Refusal.unavailable("handshakes", "There are too many handshakes.\n")
            )
        return True

    def identified(self, connection: ServerConnection, address: Any) -> bool:
        """Count a connection under the address of its client, or turn it away.

        Args:
            connection: that came by a proxy.
            address: which the proxy told.
        """
        refusal = self.admission.identify(connection, address, self._loop.time())
        if refusal is not None:
            self.turn_away(connection, refusal)
        return refusal is None

    def requested(self, connection: ServerConnection) -> None:
        """Note that the request of a connection has come."""
        self.admission.came_in(connection)

    def opened(self, connection: ServerConnection) -> None:
        """Hold what comes against the rates, from here on."""
        meter = self.limits.meter()
        if meter is not None and connection._core is not None:
            connection._core.limit_rates(meter)

    def gone(self, connection: ServerConnection) -> None:
        """Note that TCP has ended."""
        self.admission.leave(connection, self._loop.time())
        self._turned_away.discard(connection)

    def turn_away(self, connection: ServerConnection, refusal: Refusal) -> None:
        """Answer a connection, and end it soon; or end it at once."""
        if len(self._turned_away) < _MAX_TURNED_AWAY:
            self._turned_away.add(connection)
            connection._turn_away(refusal, _TURNED_AWAY_S)
        else:
            connection._turn_away(refusal, None)

    # Memory

    def _watch_memory(self) -> None:
        """Look now and then at what is held for all connections, while there are any."""
        if self._budget is not None and self._look is None:
            self._look = self._loop.call_later(_LOOK_S, self._begin_look)

    def stop(self) -> None:
        """Look no more: all connections are gone."""
        if self._look is not None:
            self._look.cancel()

    def _begin_look(self) -> None:
        server = self._server
        self._look_on(iter([*server.all_connections, *server.opening]), [], 0.0)

    def _look_on(
        self,
        left: Iterator[ServerConnection],
        seen: list[tuple[ServerConnection, int]],
        took_s: float,
    ) -> None:
        """Look at some connections, and at the others in the next turns of the loop."""
        began = self._loop.time()
        part = [(connection, connection.held_bytes) for connection in islice(left, _SLICE)]
        seen += part
        took_s += self._loop.time() - began
        if len(part) == _SLICE:
            self._look = self._loop.call_soon(self._look_on, left, seen, took_s)
            return
        assert self._budget is not None
        for connection in self._budget.judge(seen):
            connection._shed()
        self.admission.is_out_of_memory = self._budget.is_exceeded
        self._look = None
        if seen:
            wait_s = max(_LOOK_S, took_s * _LOOK_SHARE)
            self._look = self._loop.call_later(wait_s, self._begin_look)
