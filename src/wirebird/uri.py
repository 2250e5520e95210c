"""The URI of a WebSocket, where users of ``websockets`` look for it."""

from __future__ import annotations

from .core.uri import WebSocketURI, parse_uri

__all__ = ["WebSocketURI", "parse_uri"]
