"""Requests and responses, where users of ``websockets`` look for them."""

from __future__ import annotations

from .core.http1 import SERVER, USER_AGENT, Request, Response

__all__ = ["SERVER", "USER_AGENT", "Request", "Response"]
