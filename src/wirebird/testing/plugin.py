"""The fixtures for pytest, as an entry point loads them: nothing else is imported with them.

``docs/testing.md`` shows them in use. They are plain functions, so they work with every plugin for
coroutine tests, and without one. A coroutine test that uses ``fake_clock`` runs on it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .clock import FakeClock
    from .network import Pair
    from .peer import Peer
    from .servers import LocalServer, ScriptedServer

__all__ = ["fake_clock", "ws_pair", "ws_peer", "ws_script", "ws_server"]


@pytest.fixture
def ws_server() -> type[LocalServer]:
    """Makes servers: ``async with ws_server(handler) as server``, or ``with`` in a thread."""
    from .servers import LocalServer

    return LocalServer


@pytest.fixture
def ws_script() -> type[ScriptedServer]:
    """Makes servers that do what a script does: ``async with ws_script(script) as server``."""
    from .servers import ScriptedServer

    return ScriptedServer


@pytest.fixture
def ws_pair() -> Callable[..., AbstractAsyncContextManager[Pair]]:
    """Makes pairs of connections: ``async with ws_pair() as (client, server)``."""
    from .network import memory_pair

    return memory_pair


@pytest.fixture
def ws_peer() -> Callable[..., AbstractAsyncContextManager[Peer]]:
    """Makes clients in the hands of the test: ``async with ws_peer(server.url) as peer``."""
    from .peer import open_peer

    return open_peer


@pytest.fixture
def fake_clock() -> FakeClock:
    """A fake clock, on which a coroutine test runs; others use ``fake_clock.run(main())``."""
    from .clock import FakeClock

    return FakeClock()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put coroutine tests on the fake clock they ask for, whatever runs them."""
    if not isinstance(item, pytest.Function) or "fake_clock" not in item.fixturenames:
        return
    given = getattr(item.obj, "hypothesis", None)
    if given is not None:
        if inspect.iscoroutinefunction(given.inner_test):
            given.inner_test = _on_clock(item, given.inner_test)
    elif inspect.iscoroutinefunction(item.obj):
        item.obj = _on_clock(item, item.obj)


def _on_clock(item: pytest.Function, test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        clock: Any = item.funcargs["fake_clock"]
        with clock.use():
            await test(*args, **kwargs)

    return run
