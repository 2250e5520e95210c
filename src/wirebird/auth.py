"""HTTP Basic authentication, at the path that ``websockets`` has for it."""

from __future__ import annotations

__all__ = ["basic_auth"]  # noqa: F822 - made by __getattr__


def __getattr__(name: str) -> object:
    if name == "basic_auth":
        from .asyncio.server import basic_auth

        return basic_auth
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
