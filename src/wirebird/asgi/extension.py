"""The ASGI extension ``wirebird``: the Wirebird connection under an application's WebSocket.

``scope["extensions"]["wirebird"]["connection"]`` is a ``ServerConnection``. ASGI knows how to
receive and how to send; what a connection can do beyond that is there: ``send_nowait``, pings and
``latency``, ``broadcast`` to many, callbacks in place of a loop that receives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..asyncio.handlers import HandlerLike, handler_maker
from .scope import EXTENSION

if TYPE_CHECKING:
    from .protocol import WebSocketProtocol

__all__ = ["connection_of", "run_handler"]


def connection_of(websocket: Any) -> WebSocketProtocol:
    """Return the Wirebird connection under a WebSocket of an ASGI application.

    It is open, and messages can be sent, once the application has accepted it.

    Args:
        websocket: FastAPI's or Starlette's ``WebSocket``, or anything else with a ``scope``; or the
            scope itself.

    Raises:
        LookupError: it is not served by ``wirebird.asgi``, but by another class of uvicorn's, by
            another server, or by a test client.
    """
    scope = websocket if isinstance(websocket, Mapping) else getattr(websocket, "scope", None)
    if not isinstance(scope, Mapping):
        raise TypeError(f"expected a scope, or what has one, not {type(websocket).__name__}")
    extension = (scope.get("extensions") or {}).get(EXTENSION)
    if extension is None:
        raise LookupError(
            "there is no Wirebird connection here; the application must be served with: "
            "uvicorn --ws wirebird.asgi:WebSocketProtocol"
        )
    connection: WebSocketProtocol = extension["connection"]
    return connection


async def run_handler(websocket: Any, handler: HandlerLike) -> None:
    """Give the messages of a WebSocket to the methods of a handler, until it is closed.

    No task is woken for a message, and nothing of ASGI is in the way: this is the fastest that an
    application can do. What it receives meanwhile is the end of the connection.

    Args:
        websocket: as for ``connection_of``; it has been accepted, and nothing else receives.
        handler: a class with ``on_message`` and others, made once for this connection, or one
            object with such methods; see ``wirebird.asyncio.handlers.Handler``.

    Raises:
        LookupError: as ``connection_of``.
        TypeError: the handler has no such methods, or one of them is a coroutine function.
        InvalidState: it has not been accepted.
        ConcurrencyError: something else is receiving.
    """
    make_handler = handler_maker(handler)
    if make_handler is None:
        raise TypeError("a handler has a method on_message, or on_fragment")
    await connection_of(websocket).run_callbacks(make_handler)
