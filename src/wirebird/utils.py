"""The key of a handshake and masking, where users of ``websockets`` look for them."""

from __future__ import annotations

from .core.handshake.key import GUID, accept_key, generate_key
from .core.masking import apply_mask

__all__ = ["GUID", "accept_key", "apply_mask", "generate_key"]
