"""The proof that the peer speaks WebSocket. RFC 6455, 1.3.

A client sends 16 random bytes in base64; the server answers with a hash of that text and a
GUID, which no other kind of server would compute.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable

__all__ = ["GUID", "accept_key", "generate_key"]

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def generate_key(*, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Return a new value for Sec-WebSocket-Key.

    Args:
        random_bytes: draws that many random bytes; tests inject their own.
    """
    return base64.b64encode(random_bytes(16)).decode()


def accept_key(key: str) -> str:
    """Return the value of Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    digest = hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()
