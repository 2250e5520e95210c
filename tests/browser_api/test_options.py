"""Options beyond the standard: what cannot work is said where the script is, and at once."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from wirebird.browser import WebSocket, WebSocketStream


def an_object(*_: Any) -> None:
    """Anything."""


@pytest.mark.parametrize("kind", [WebSocket, WebSocketStream])
@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"bogus": 1}, TypeError),
        ({"proxy_bogus": 1}, TypeError),
        ({"uri": "ws://localhost"}, TypeError),
        ({"subprotocols": ["chat"]}, TypeError),
        ({"create_connection": an_object}, TypeError),
        ({"handler": an_object}, TypeError),
        ({"ssl": 5}, TypeError),
        ({"open_timeout": "soon"}, TypeError),
        ({"ping_interval": "often"}, TypeError),
        ({"instrumentation": [5]}, TypeError),
        ({"additional_headers": {"X-Bad": "a\r\nb: c"}}, ValueError),
        ({"origin": "a\r\nb: c"}, ValueError),
        ({"max_queue": -1}, ValueError),
        ({"max_queue": "many"}, TypeError),
        ({"compression": "bogus"}, ValueError),
        ({"engine": "steam"}, ValueError),
        ({"slow_consumer": "bogus"}, ValueError),
        ({"proxy": "gopher://localhost"}, ValueError),
        ({"tcp_keepalive": (0, 1, 1)}, ValueError),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
async def test_what_cannot_work(kind: Any, wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        kind("wss://localhost:1/", **wrong)
    assert len(asyncio.all_tasks()) == 1, "nothing was begun"


async def test_what_can_work_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        options = {"host": "127.0.0.1", "port": port, "family": socket.AF_INET}
        ws = WebSocket("ws://example.com/", proxy=None, happy_eyeballs_delay=None, **options)
        ended = asyncio.Event()
        ws.onclose = lambda event: ended.set()
        ws.close()
        await ended.wait()
