"""The stream that parsers read from, where users of ``websockets`` look for it."""

from __future__ import annotations

from .core.streams import StreamReader

__all__ = ["StreamReader"]
