"""Authentication: who a client is, for ``process_request``.

``basic_auth`` is at the path that ``websockets`` has for it. ``token_auth`` is for tokens, wherever
a request may have one; read ``tokens.py`` first. ``jwt_check`` checks JSON Web Tokens.
"""

from __future__ import annotations

from ..core.handshake.credentials import (
    AuthorizationHeader,
    Cookie,
    FirstMessage,
    QueryParameter,
    Source,
    SubprotocolToken,
)
from ..core.handshake.token_auth import Verified, static_tokens
from ..exceptions import InvalidToken
from .json_web_tokens import jwt_check
from .tokens import token_auth

__all__ = [
    "AuthorizationHeader",
    "Cookie",
    "FirstMessage",
    "InvalidToken",
    "QueryParameter",
    "Source",
    "SubprotocolToken",
    "Verified",
    "basic_auth",
    "jwt_check",
    "static_tokens",
    "token_auth",
]


def __getattr__(name: str) -> object:
    if name == "basic_auth":
        from ..asyncio.server import basic_auth

        return basic_auth
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
