"""permessage-brotli: brotli in the place of DEFLATE, as autobahn-python has it.

No RFC describes it and no browser speaks it; what is on the wire is what autobahn-python's
extension of this name reads and writes, which the tests hold against it. Its parameters are the
first two of permessage-deflate's (RFC 7692, 7.1.1), without a value each:

    server_no_context_takeover    the server's messages do not refer to each other
    client_no_context_takeover    the client's do not

Since each message is one complete stream, both always hold, and so both are always said: a peer
that would keep its context learns that it must not.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..core.extensions.base import ClientExtensionFactory, Extension, ServerExtensionFactory
from ..core.extensions.deflate_parameters import Parameters
from ..core.extensions.permessage import PerMessageCompression, check_threshold, refuse_twice
from ..core.types import ExtensionName, ExtensionParameter
from ..exceptions import InvalidParameterName, NegotiationError
from .brotli_codec import BrotliDeflater, BrotliInflater, check_brotli

__all__ = [
    "ClientPerMessageBrotliFactory",
    "PerMessageBrotli",
    "ServerPerMessageBrotliFactory",
    "enable_client_permessage_brotli",
    "enable_server_permessage_brotli",
]

_NAME = ExtensionName("permessage-brotli")

# Of what brotli itself would do by default, quality 11 takes a millisecond for 100 bytes.
_QUALITY = 5
_WINDOW_BITS = 18

_PARAMETERS: list[ExtensionParameter] = [
    ("server_no_context_takeover", None),
    ("client_no_context_takeover", None),
]


class PerMessageBrotli(PerMessageCompression):
    """The extension at one endpoint, negotiated.

    Args:
        compress_settings: keyword arguments for ``brotli.Compressor``: ``quality`` (0-11),
            ``lgwin`` (10-24), ``mode``, ``lgblock``; it is kept as it is, and not to be changed
            any more.
        threshold: a message in one frame with fewer bytes is sent as it is.

    Raises:
        ImportError: brotli 1.2 or newer is not installed.
        ValueError: an argument is out of its range.
    """

    name = _NAME

    def __init__(
        self, compress_settings: Mapping[str, Any] | None = None, *, threshold: int = 0
    ) -> None:
        check_brotli()
        check_threshold(threshold)
        self.compress_settings = _DEFAULTS if compress_settings is None else compress_settings
        if threshold:
            self.threshold = threshold

    @functools.cached_property
    def _inflater(self) -> BrotliInflater:
        return BrotliInflater()

    @functools.cached_property
    def _deflater(self) -> BrotliDeflater:
        return BrotliDeflater(self.compress_settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(compress_settings={dict(self.compress_settings)})"

    def sharing_key(self) -> Hashable:
        """Return what is equal for all that compress alike."""
        return _NAME, *sorted(self.compress_settings.items())

    def deflate_shared(self, data: bytes, key: Hashable) -> bytes:
        """Compress a whole message for all whose ``sharing_key`` is this."""
        return BrotliDeflater(self.compress_settings).deflate(data, True)


_DEFAULTS: Mapping[str, Any] = MappingProxyType({"quality": _QUALITY, "lgwin": _WINDOW_BITS})


class _Factory:
    """What both roles have."""

    name = _NAME

    def __init__(
        self, *, quality: int = _QUALITY, window_bits: int = _WINDOW_BITS, threshold: int = 0
    ) -> None:
        check_brotli()
        check_threshold(threshold)
        if not 0 <= quality <= 11:
            raise ValueError(f"quality must be between 0 and 11, got {quality}")
        if not 10 <= window_bits <= 24:
            raise ValueError(f"window_bits must be between 10 and 24, got {window_bits}")
        self.quality = quality
        self.window_bits = window_bits
        self.threshold = threshold
        self._settings = MappingProxyType({"quality": quality, "lgwin": window_bits})

    def _extension(self) -> PerMessageBrotli:
        return PerMessageBrotli(self._settings, threshold=self.threshold)


class ClientPerMessageBrotliFactory(_Factory, ClientExtensionFactory):
    """Offers permessage-brotli to a server.

    Args:
        quality, window_bits, threshold: keyword-only, as for ``ServerPerMessageBrotliFactory``.

    Raises:
        ImportError: brotli 1.2 or newer is not installed.
        ValueError: an argument is out of its range.
    """

    def get_request_params(self) -> Sequence[ExtensionParameter]:
        """Return the parameters to offer."""
        return list(_PARAMETERS)

    def process_response_params(
        self,
        params: Sequence[ExtensionParameter],
        accepted_extensions: Sequence[Extension],
    ) -> PerMessageBrotli:
        """Take the server's answer.

        Args:
            params: the parameters it chose.
            accepted_extensions: what was accepted before, in order.

        Raises:
            NegotiationError: the answer is not one to our offer, or breaks its grammar.
        """
        refuse_twice(_NAME, accepted_extensions)
        answer = _parsed(params, is_offer=False)
        if not answer.server_no_context_takeover:
            raise NegotiationError("expected server_no_context_takeover")
        return self._extension()


class ServerPerMessageBrotliFactory(_Factory, ServerExtensionFactory):
    """Answers a client that offers permessage-brotli.

    Args:
        quality: of compression, from 0 (fast) to 11 (slow).
        window_bits: how far back a message may refer within itself, 10-24, as a power of two.
        threshold: a message in one frame with fewer bytes is sent as it is.

    Raises:
        ImportError: brotli 1.2 or newer is not installed.
        ValueError: an argument is out of its range.
    """

    is_compression = True

    def process_request_params(
        self,
        params: Sequence[ExtensionParameter],
        accepted_extensions: Sequence[Extension],
    ) -> tuple[list[ExtensionParameter], PerMessageBrotli]:
        """Take a client's offer.

        Args:
            params: the parameters it offers.
            accepted_extensions: what was accepted before, in order.

        Returns:
            The parameters to answer with, and the extension.

        Raises:
            NegotiationError: the offer breaks its grammar.
        """
        refuse_twice(_NAME, accepted_extensions)
        _parsed(params, is_offer=True)
        return list(_PARAMETERS), self._extension()


def enable_client_permessage_brotli(
    extensions: Sequence[ClientExtensionFactory] | None,
) -> Sequence[ClientExtensionFactory]:
    """Add permessage-brotli with the settings for most uses to a client's factories.

    Args:
        extensions: factories; where the extension is among them, they stay as they are.

    Raises:
        ImportError: brotli 1.2 or newer is not installed.
    """
    factories = extensions or []
    if any(factory.name == _NAME for factory in factories):
        return factories
    return [*factories, ClientPerMessageBrotliFactory()]


def enable_server_permessage_brotli(
    extensions: Sequence[ServerExtensionFactory] | None,
) -> Sequence[ServerExtensionFactory]:
    """Add permessage-brotli with the settings for most uses to a server's factories.

    Args:
        extensions: factories; where the extension is among them, they stay as they are.

    Raises:
        ImportError: brotli 1.2 or newer is not installed.
    """
    factories = extensions or []
    if any(factory.name == _NAME for factory in factories):
        return factories
    return [*factories, ServerPerMessageBrotliFactory()]


def _parsed(params: Sequence[ExtensionParameter], *, is_offer: bool) -> Parameters:
    """Read what the peer sent, which says nothing of windows."""
    for name, _ in params:
        if name.endswith("_max_window_bits"):
            raise InvalidParameterName(name)
    return Parameters.parse(params, is_offer=is_offer)
