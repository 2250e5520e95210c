"""Helpers, where users of ``websockets`` look for them."""

from __future__ import annotations

import socket

from .core.handshake.key import GUID, accept_key, generate_key
from .core.masking import apply_mask

__all__ = ["GUID", "accept_key", "apply_mask", "generate_key", "get_socket_name"]


def get_socket_name(sock: socket.socket) -> str:
    """Show the address of a socket."""
    name = sock.getsockname()
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return str(name)
