"""Nothing is left of a connection when it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import logging
import weakref
from typing import Any

import pytest
from tests.asgi.serving import serving, talking
from tests.attacks.raw import RawPeer, request

from wirebird.asgi import connection_of, run_handler
from wirebird.asyncio.client import connect


async def plain(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close"})


async def raises(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    raise ZeroDivisionError


async def leaves(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def sends_late(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    with contextlib.suppress(OSError):
        await send({"type": "websocket.send", "text": "late"})


class Ignore:
    def on_message(self, ws: Any, message: Any) -> None: ...


async def callbacks(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await run_handler(scope, Ignore)


@pytest.mark.parametrize("app", [plain, refuses, raises, leaves, sends_late, callbacks])
@pytest.mark.parametrize("is_cut", [False, True])
async def test_connections_go_when_they_end(
    app: Any, is_cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest keeps what is logged, and with an exception all that its frames hold.
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "disabled", True)
    seen: list[weakref.ref[Any]] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        seen.append(weakref.ref(connection_of(scope)))
        await app(scope, receive, send)

    async with serving(watched) as running:
        for _ in range(3):
            with contextlib.suppress(Exception):
                if is_cut:
                    async with await RawPeer.connect(running.port) as peer:
                        await peer.send(request())
                        await peer.head()
                        peer.reset()
                else:
                    async with connect(running.uri(), proxy=None) as ws:
                        await ws.send("hello")
            while running.state.connections or running.state.tasks:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
        assert [ref() for ref in seen] == [None] * 3


async def test_whoever_copies_a_scope_has_the_same_connection() -> None:
    same: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        same.append(connection_of(copy.deepcopy(scope)) is connection_of(scope))
        await plain(scope, receive, send)

    async with talking(app):
        pass
    assert same == [True]
