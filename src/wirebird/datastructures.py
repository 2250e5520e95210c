"""Headers, where users of ``websockets`` look for them."""

from __future__ import annotations

from .core.fields import Headers, HeadersLike, MultipleValuesError, SupportsKeysAndGetItem

__all__ = ["Headers", "HeadersLike", "MultipleValuesError", "SupportsKeysAndGetItem"]
