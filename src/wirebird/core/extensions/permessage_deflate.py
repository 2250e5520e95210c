"""permessage-deflate: what the peers agree on, and which frames it concerns. RFC 7692, 6 and 7.

``agreement.py`` says what the four parameters mean, ``permessage.py`` which frames are compressed
and how they are told from others, ``deflate_codec.py`` what is in them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from ..types import ExtensionName, ExtensionParameter
from .agreement import accepted, agreement, answer_to
from .base import ClientExtensionFactory, Extension, ServerExtensionFactory
from .deflate_codec import Deflater, Inflater
from .deflate_parameters import Parameters, check_settings, check_threshold, check_window_bits
from .permessage import PerMessageCompression, refuse_twice

__all__ = [
    "ClientPerMessageDeflateFactory",
    "PerMessageDeflate",
    "ServerPerMessageDeflateFactory",
    "enable_client_permessage_deflate",
    "enable_server_permessage_deflate",
]

_NAME = ExtensionName("permessage-deflate")

_DEFAULT_WINDOW_BITS = 15  # where nothing was agreed


class PerMessageDeflate(PerMessageCompression):
    """The extension at one endpoint, negotiated; "local" is this endpoint, "remote" its peer.

    Args:
        remote_no_context_takeover: whether the peer's messages do not refer to each other.
        local_no_context_takeover: whether ours do not.
        remote_max_window_bits: how far back the peer's messages refer, 8-15.
        local_max_window_bits: how far back ours do, 8-15.
        compress_settings: further keyword arguments for ``zlib.compressobj``, without ``wbits``;
            it is kept as it is, and not to be changed any more.
        threshold: a message in one frame with fewer bytes is sent as it is.

    Raises:
        ValueError: an argument is out of its range.
    """

    name = _NAME
    compress_settings: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        remote_no_context_takeover: bool,
        local_no_context_takeover: bool,
        remote_max_window_bits: int,
        local_max_window_bits: int,
        compress_settings: Mapping[str, Any] | None = None,
        *,
        threshold: int = 0,
    ) -> None:
        check_window_bits("remote_max_window_bits", remote_max_window_bits)
        check_window_bits("local_max_window_bits", local_max_window_bits)
        check_threshold(threshold)
        self.remote_no_context_takeover = remote_no_context_takeover
        self.local_no_context_takeover = local_no_context_takeover
        self.remote_max_window_bits = remote_max_window_bits
        self.local_max_window_bits = local_max_window_bits
        if compress_settings:
            self.compress_settings = compress_settings
        if threshold:
            self.threshold = threshold

    @functools.cached_property
    def _inflater(self) -> Inflater:
        return Inflater(self.remote_max_window_bits, not self.remote_no_context_takeover)

    @functools.cached_property
    def _deflater(self) -> Deflater:
        return Deflater(
            self.local_max_window_bits, not self.local_no_context_takeover, self.compress_settings
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}("
            f"remote_no_context_takeover={self.remote_no_context_takeover}, "
            f"local_no_context_takeover={self.local_no_context_takeover}, "
            f"remote_max_window_bits={self.remote_max_window_bits}, "
            f"local_max_window_bits={self.local_max_window_bits})"
        )


class ClientPerMessageDeflateFactory(ClientExtensionFactory):
    """Offers permessage-deflate to a server.

    Args:
        server_no_context_takeover: demand that the server's messages do not refer to each other.
        client_no_context_takeover: say that ours do not.
        server_max_window_bits: demand that the server refers no further back, 8-15.
        client_max_window_bits: say how far back our messages refer, 8-15, or only that the server
            may limit it (True); None forbids the server to.
        compress_settings: further keyword arguments for ``zlib.compressobj``, without ``wbits``.
        threshold: a message in one frame with fewer bytes is sent as it is.

    Raises:
        ValueError: an argument is out of its range.
    """

    name = _NAME

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | Literal[True] | None = True,
        compress_settings: dict[str, Any] | None = None,
        *,
        threshold: int = 0,
    ) -> None:
        if server_max_window_bits is not None:
            check_window_bits("server_max_window_bits", server_max_window_bits)
        if client_max_window_bits is not None and client_max_window_bits is not True:
            check_window_bits("client_max_window_bits", client_max_window_bits)
        check_settings(compress_settings, instead_of_wbits="client_max_window_bits")
        check_threshold(threshold)
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.compress_settings = compress_settings
        self.threshold = threshold

    def get_request_params(self) -> Sequence[ExtensionParameter]:
        """Return the parameters to offer."""
        return self._offer().serialize()

    def _offer(self) -> Parameters:
        return Parameters(
            self.server_no_context_takeover,
            self.client_no_context_takeover,
            self.server_max_window_bits,
            self.client_max_window_bits,
        )

    def process_response_params(
        self,
        params: Sequence[ExtensionParameter],
        accepted_extensions: Sequence[Extension],
    ) -> PerMessageDeflate:
        """Take the server's answer.

        Args:
            params: the parameters it chose.
            accepted_extensions: what was accepted before, in order.

        Raises:
            NegotiationError: the answer is not one to our offer, or breaks its grammar.
        """
        refuse_twice(_NAME, accepted_extensions)
        answer = Parameters.parse(params, is_offer=False)
        agreed = accepted(answer, self._offer(), _DEFAULT_WINDOW_BITS)
        return PerMessageDeflate(
            agreed.server_no_context_takeover,
            agreed.client_no_context_takeover,
            agreed.server_window_bits,
            agreed.client_window_bits,
            self.compress_settings,
            threshold=self.threshold,
        )


class ServerPerMessageDeflateFactory(ServerExtensionFactory):
    """Answers a client that offers permessage-deflate.

    Args:
        server_no_context_takeover: say that our messages do not refer to each other.
        client_no_context_takeover: demand that the client's do not.
        server_max_window_bits: say how far back our messages refer, 8-15.
        client_max_window_bits: demand that the client refers no further back, 8-15, if its offer
            says that it can be told.
        compress_settings: further keyword arguments for ``zlib.compressobj``, without ``wbits``.
        require_client_max_window_bits: decline offers of clients that cannot be told.
        threshold: a message in one frame with fewer bytes is sent as it is.

    Raises:
        ValueError: an argument is out of its range.
    """

    name = _NAME
    is_compression = True

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | None = None,
        compress_settings: dict[str, Any] | None = None,
        require_client_max_window_bits: bool = False,
        *,
        threshold: int = 0,
    ) -> None:
        if server_max_window_bits is not None:
            check_window_bits("server_max_window_bits", server_max_window_bits)
        if client_max_window_bits is not None:
            check_window_bits("client_max_window_bits", client_max_window_bits)
        elif require_client_max_window_bits:
            raise ValueError("require_client_max_window_bits needs client_max_window_bits")
        check_settings(compress_settings, instead_of_wbits="server_max_window_bits")
        check_threshold(threshold)
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.compress_settings = compress_settings
        self.require_client_max_window_bits = require_client_max_window_bits
        self.threshold = threshold

    def process_request_params(
        self,
        params: Sequence[ExtensionParameter],
        accepted_extensions: Sequence[Extension],
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Take a client's offer.

        Args:
            params: the parameters it offers.
            accepted_extensions: what was accepted before, in order.

        Returns:
            The parameters to answer with, and the extension.

        Raises:
            NegotiationError: the offer breaks its grammar, or cannot be told what it must be.
        """
        refuse_twice(_NAME, accepted_extensions)
        offer = Parameters.parse(params, is_offer=True)
        own = Parameters(
            self.server_no_context_takeover,
            self.client_no_context_takeover,
            self.server_max_window_bits,
            self.client_max_window_bits,
        )
        answer = answer_to(
            offer, own, require_client_max_window_bits=self.require_client_max_window_bits
        )
        agreed = agreement(answer, _DEFAULT_WINDOW_BITS)
        return answer.serialize(), PerMessageDeflate(
            agreed.client_no_context_takeover,
            agreed.server_no_context_takeover,
            agreed.client_window_bits,
            agreed.server_window_bits,
            self.compress_settings,
            threshold=self.threshold,
        )


def enable_client_permessage_deflate(
    extensions: Sequence[ClientExtensionFactory] | None,
) -> Sequence[ClientExtensionFactory]:
    """Add permessage-deflate with the settings for most uses to a client's factories.

    Args:
        extensions: factories; where the extension is among them, they stay as they are.
    """
    factories = extensions or []
    if any(factory.name == _NAME for factory in factories):
        return factories
    return [*factories, ClientPerMessageDeflateFactory(compress_settings={"memLevel": 5})]


def enable_server_permessage_deflate(
    extensions: Sequence[ServerExtensionFactory] | None,
) -> Sequence[ServerExtensionFactory]:
    """Add permessage-deflate with the settings for most uses to a server's factories.

    Windows of 12 bits and a memLevel of 5 take an eighth of the memory for most of the gain.

    Args:
        extensions: factories; where the extension is among them, they stay as they are.
    """
    factories = extensions or []
    if any(factory.name == _NAME for factory in factories):
        return factories
    default = ServerPerMessageDeflateFactory(
        server_max_window_bits=12,
        client_max_window_bits=12,
        compress_settings={"memLevel": 5},
    )
    return [*factories, default]
