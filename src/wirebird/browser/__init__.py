"""The browser's WebSocket API, for programs on asyncio.

``WebSocket`` follows the WebSockets Standard, ``WebSocketStream`` what Chromium has beyond it.
Names are written as they are there. Neither holds a rule of the protocol: both drive a connection
of ``wirebird.asyncio.client``.

    websocket.py  WebSocket; read this first
    stream.py     WebSocketStream
    locks.py      readers and writers of its streams
    connecting.py how both connect
    events.py     Event, EventTarget, AbortSignal
    data.py       Blob and ArrayBuffer, as bytes
    url.py        URLs as browsers read them
    closing.py    codes and reasons that scripts may close with
    errors.py     DOMException
"""

from .data import ArrayBuffer, Blob
from .errors import DOMException
from .events import (
    AbortController,
    AbortSignal,
    CloseEvent,
    Event,
    EventTarget,
    MessageEvent,
)
from .stream import WebSocketError, WebSocketStream
from .websocket import WebSocket

__all__ = [
    "AbortController",
    "AbortSignal",
    "ArrayBuffer",
    "Blob",
    "CloseEvent",
    "DOMException",
    "Event",
    "EventTarget",
    "MessageEvent",
    "WebSocket",
    "WebSocketError",
    "WebSocketStream",
]
