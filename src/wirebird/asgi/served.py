"""What all WebSockets of one uvicorn server share.

A ``ServerConnection`` belongs to a ``Server``; this one listens to nothing, since uvicorn does, and
keeps uvicorn's books: the tasks that it waits for when it shuts down.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Any, ClassVar, NoReturn

from uvicorn.server import ServerState

from ..asyncio.gate import Gate
from ..asyncio.server import Server
from ..asyncio.server_tasks import AtOnce
from ..core.instrumentation import Instruments, watch_for
from ..core.limits import Limits
from ..core.rules import CloseCode
from ..exceptions import InvalidState

__all__ = ["Served"]


class Served(Server):
    """The server of all connections that uvicorn made with one ``ServerState``.

    Args:
        state: uvicorn's.
        limits: what is granted to clients; None for all they want.
        instrumentation: who is told of what happens.
    """

    _all: ClassVar[weakref.WeakKeyDictionary[ServerState, Served]] = weakref.WeakKeyDictionary()

    def __init__(
        self,
        state: ServerState,
        limits: Limits | None = None,
        instrumentation: Instruments = None,
    ) -> None:
        super().__init__(_uvicorn_does, _uvicorn_does, logging.getLogger("uvicorn.error"))
        self.handler_tasks = state.tasks
        # The request has come when a connection is made, and an application may think it over.
        self.at_once = AtOnce(server_header=None, open_timeout=None, handle=None)
        self.is_closing = False
        """uvicorn shuts down."""
        self._loop = asyncio.get_running_loop()
        self.watch = watch_for(instrumentation)
        if limits is not None:
            self.gate = Gate(self, limits)

    @classmethod
    def of(cls, state: ServerState, limits: Limits | None, instrumentation: Instruments) -> Served:
        """Return the server that belongs to a state of uvicorn's; it is made for the first."""
        served = cls._all.get(state)
        if served is None:
            served = cls._all[state] = cls(state, limits, instrumentation)
        return served

    def shut_down(self) -> None:
        """Open no more connections."""
        self.is_closing = True

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop in which uvicorn runs."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether new connections are accepted."""
        return not self.is_closing

    async def drain(self, *_: Any, **__: Any) -> int:
        """Not possible: uvicorn drains when it is asked to stop.

        Raises:
            InvalidState: always.
        """
        _uvicorn_does()

    def close(
        self,
        close_connections: bool = True,
        code: CloseCode | int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Not possible: uvicorn closes it.

        Raises:
            InvalidState: always.
        """
        _uvicorn_does()


def _uvicorn_does(*_: object) -> NoReturn:
    raise InvalidState("this server is uvicorn's: end it with should_exit, or a signal")
