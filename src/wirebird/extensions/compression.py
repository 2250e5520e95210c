"""What ``compression=`` of ``connect`` and ``serve`` means, whichever adapter they belong to.

A name, or several in the order of preference, becomes factories that come behind those of the
user. A client offers them all, in this order, in one header; of those that are offered and that it
knows, a server takes the first in its own order. What an extra brings is looked for here, so that
it is missed where the connection is asked for, and not at the first message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ..core.extensions.base import ClientExtensionFactory, ServerExtensionFactory
from ..core.extensions.permessage_deflate import (
    enable_client_permessage_deflate,
    enable_server_permessage_deflate,
)

__all__ = ["COMPRESSIONS", "Compression", "client_extensions", "server_extensions"]

COMPRESSIONS = ("deflate", "brotli", "zstd")

Compression = str | Sequence[str] | None
"""A name of ``COMPRESSIONS``, several in the order of preference, or None."""

ClientFactories = Sequence[ClientExtensionFactory] | None
ServerFactories = Sequence[ServerExtensionFactory] | None
_Factories = TypeVar("_Factories")


def client_extensions(extensions: ClientFactories, compression: Compression) -> ClientFactories:
    """Return the factories that a client offers.

    Args:
        extensions: the user's; a compression that is among them stays as it is.
        compression: which others to offer, with the settings for most uses.

    Raises:
        ValueError: there is no compression of this name, or one is named twice.
        ImportError: the package that it needs is not installed.
    """
    return _enabled(extensions, compression, _enable_for_client)


def server_extensions(extensions: ServerFactories, compression: Compression) -> ServerFactories:
    """Return the factories with which a server answers; as ``client_extensions``."""
    return _enabled(extensions, compression, _enable_for_server)


def _enabled(
    extensions: _Factories,
    compression: Compression,
    enable: Callable[[str, _Factories], _Factories],
) -> _Factories:
    for name in _names(compression):
        extensions = enable(name, extensions)
    return extensions


def _names(compression: Compression) -> Sequence[str]:
    if compression is None:
        return ()
    names = [compression] if isinstance(compression, str) else list(compression)
    for name in names:
        if name not in COMPRESSIONS:
            raise ValueError(f"unsupported compression: {name}")
        if names.count(name) > 1:
            raise ValueError(f"compression named twice: {name}")
    return names


# The modules of the extras are imported when they are asked for.


def _enable_for_client(name: str, extensions: ClientFactories) -> ClientFactories:
    if name == "brotli":
        from .permessage_brotli import enable_client_permessage_brotli

        return enable_client_permessage_brotli(extensions)
    if name == "zstd":
        from .permessage_zstd import enable_client_permessage_zstd

        return enable_client_permessage_zstd(extensions)
    return enable_client_permessage_deflate(extensions)


def _enable_for_server(name: str, extensions: ServerFactories) -> ServerFactories:
    if name == "brotli":
        from .permessage_brotli import enable_server_permessage_brotli

        return enable_server_permessage_brotli(extensions)
    if name == "zstd":
        from .permessage_zstd import enable_server_permessage_zstd

        return enable_server_permessage_zstd(extensions)
    return enable_server_permessage_deflate(extensions)
