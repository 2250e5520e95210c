"""The ways in which the native engine runs: on each event loop, with sockets of its own or not."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop
from tests.attacks.raw import uri_of

from wirebird.asyncio.client import ClientConnection, connect
from wirebird.asyncio.server import Server, ServerConnection, serve
from wirebird.engine import is_native_built

__all__ = ["Way", "only", "served", "way"]

LIMIT_S = 30.0


@dataclasses.dataclass
class Way:
    """How a test runs."""

    new_loop: Callable[[], asyncio.AbstractEventLoop]
    owns_sockets: bool
    is_debugging: bool = False
    expects_unseen: bool = False
    unseen: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """What only the loop saw, where that is expected."""

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in a new loop, and fail for what only the loop saw."""

        async def limited() -> None:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: self.unseen.append(context)
            )
            async with asyncio.timeout(LIMIT_S):
                await main

        with asyncio.Runner(debug=self.is_debugging, loop_factory=self.new_loop) as runner:
            runner.run(limited())
        if not self.expects_unseen:
            assert self.unseen == []

    def check(self, connection: ServerConnection | ClientConnection) -> None:
        """Demand that a connection runs as this way says."""
        assert type(connection.protocol.connection).__module__ == "wirebird.native.connection"
        is_owned = type(connection.transport).__module__ == "wirebird.native.sockets"
        assert is_owned is self.owns_sockets


WAYS = {
    "own-asyncio": (asyncio.new_event_loop, True),
    "own-uvloop": (uvloop.new_event_loop, True),
    "transport-asyncio": (asyncio.new_event_loop, False),
    "transport-uvloop": (uvloop.new_event_loop, False),
}


def only(*names: str) -> pytest.MarkDecorator:
    """Run a test in these ways alone."""
    return pytest.mark.parametrize("way", names, indirect=True)


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Each way in which the native engine runs, for both ends of all connections of a test."""
    if not is_native_built():
        pytest.skip("the native engine is not built: a C compiler, then `make test` builds it")
    new_loop, owns_sockets = WAYS[request.param]
    monkeypatch.setenv("WIREBIRD_ENGINE", "native")
    monkeypatch.setenv("WIREBIRD_OWN_SOCKET", "1" if owns_sockets else "0")
    return Way(new_loop, owns_sockets)


Handler = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def served(handler: Handler, **kwargs: Any) -> AsyncIterator[tuple[Server, ClientConnection]]:
    """A server, and a client of it."""
    async with (
        serve(handler, "127.0.0.1", 0, **kwargs) as server,
        connect(uri_of(server), proxy=None, compression=None) as client,
    ):
        yield server, client
