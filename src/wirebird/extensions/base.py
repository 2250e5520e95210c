"""What an extension is, where users of ``websockets`` look for it."""

from __future__ import annotations

from ..core.extensions.base import ClientExtensionFactory, Extension, ServerExtensionFactory

__all__ = ["ClientExtensionFactory", "Extension", "ServerExtensionFactory"]
