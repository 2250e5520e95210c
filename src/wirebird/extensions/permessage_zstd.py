"""permessage-zstd: zstd in the place of DEFLATE, between endpoints of Wirebird.

No RFC describes it and no browser speaks it. It is made after the model of permessage-deflate: the
four parameters have the same names, grammar and meaning (RFC 7692, 7.1; ``agreement.py`` in the
core), with windows of 10 to 24 bits. A window that is not spoken of has at most 17. What is in a
compressed message, ``zstd_codec.py`` says.

Windows are what both endpoints hold for each other, so each says how much it is ready to: both
factories name both windows, and a frame that wants more than was agreed on is refused before
anything is allocated for it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ..core.extensions.agreement import accepted, agreement, answer_to
from ..core.extensions.base import ClientExtensionFactory, Extension, ServerExtensionFactory
from ..core.extensions.deflate_parameters import Parameters, check_window_bits
from ..core.extensions.permessage import PerMessageCompression, check_threshold, refuse_twice
from ..core.types import ExtensionName, ExtensionParameter
from .zstd_codec import END_OF_FRAME, ZstdDeflater, ZstdInflater
from .zstd_library import check_zstd

__all__ = [
    "ClientPerMessageZstdFactory",
    "PerMessageZstd",
    "ServerPerMessageZstdFactory",
    "enable_client_permessage_zstd",
    "enable_server_permessage_zstd",
]

_NAME = ExtensionName("permessage-zstd")

WINDOW_BITS = range(10, 25)
"""How large a window may be agreed to be, as a power of two."""

_UNSPOKEN_WINDOW_BITS = 17  # where nothing was agreed
_LEVEL = 3


class PerMessageZstd(PerMessageCompression):
    """The extension at one endpoint, negotiated; "local" is this endpoint, "remote" its peer.

    Args:
        remote_no_context_takeover: whether the peer's messages do not refer to each other.
        local_no_context_takeover: whether ours do not.
        remote_max_window_bits: how far back the peer's messages refer, 10-24.
        local_max_window_bits: how far back ours do, 10-24.
        level: of compression, from 1 (fast) to 19 (slow).
        threshold: a message in one frame with fewer bytes is sent as it is.

    Raises:
        ImportError: there is no zstd.
        ValueError: an argument is out of its range.
    """

    name = _NAME

    def __init__(
        self,
        remote_no_context_takeover: bool,
        local_no_context_takeover: bool,
        remote_max_window_bits: int,
        local_max_window_bits: int,
        level: int = _LEVEL,
        *,
        threshold: int = 0,
    ) -> None:
        check_zstd()
        check_window_bits("remote_max_window_bits", remote_max_window_bits, WINDOW_BITS)
        check_window_bits("local_max_window_bits", local_max_window_bits, WINDOW_BITS)
        _check_level(level)
        check_threshold(threshold)
        self.remote_no_context_takeover = remote_no_context_takeover
        self.local_no_context_takeover = local_no_context_takeover
        self.remote_max_window_bits = remote_max_window_bits
        self.local_max_window_bits = local_max_window_bits
        self.level = level
        if threshold:
            self.threshold = threshold

    @functools.cached_property
    def _inflater(self) -> ZstdInflater:
        return ZstdInflater(self.remote_max_window_bits, not self.remote_no_context_takeover)

    @functools.cached_property
    def _deflater(self) -> ZstdDeflater:
        return ZstdDeflater(
            self.local_max_window_bits, not self.local_no_context_takeover, self.level
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}("
            f"remote_no_context_takeover={self.remote_no_context_takeover}, "
            f"local_no_context_takeover={self.local_no_context_takeover}, "
            f"remote_max_window_bits={self.remote_max_window_bits}, "
            f"local_max_window_bits={self.local_max_window_bits}, "
            f"level={self.level})"
        )

    def sharing_key(self) -> tuple[str, int, int, bool]:
        """Return what is equal for all that compress alike, and whose peers are within a frame."""
        return _NAME, self.local_max_window_bits, self.level, self._deflater.is_within_frame

    def deflate_shared(self, data: bytes, key: tuple[str, int, int, bool]) -> bytes:
        """Compress a whole message, as a frame, for all whose ``sharing_key`` is this."""
        packed = ZstdDeflater(self.local_max_window_bits, False, self.level).deflate(data, True)
        return END_OF_FRAME + packed if key[-1] else packed

    def was_shared(self) -> None:
        """Begin a frame with the next message."""
        self._deflater.drop_context()


class ClientPerMessageZstdFactory(ClientExtensionFactory):
    """Offers permessage-zstd to a server.

    Args:
        server_no_context_takeover: demand that the server's messages do not refer to each other.
        client_no_context_takeover: say that ours do not.
        server_max_window_bits: demand that the server refers no further back, 10-24.
        client_max_window_bits: say how far back our messages refer, 10-24; the server may ask for
            less.
        level: of compression, from 1 (fast) to 19 (slow).
        threshold: a message in one frame with fewer bytes is sent as it is.

    Raises:
        ImportError: there is no zstd.
        ValueError: an argument is out of its range.
    """

    name = _NAME

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int = 17,
        client_max_window_bits: int = 15,
        *,
        level: int = _LEVEL,
        threshold: int = 0,
    ) -> None:
        _check(server_max_window_bits, client_max_window_bits, level, threshold)
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.level = level
        self.threshold = threshold

    def get_request_params(self) -> Sequence[ExtensionParameter]:
        """Return the parameters to offer."""
        return _parameters_of(self).serialize()

    def process_response_params(
        self,
        params: Sequence[ExtensionParameter],
        accepted_extensions: Sequence[Extension],
    ) -> PerMessageZstd:
        """Take the server's answer.

        Args:
            params: the parameters it chose.
            accepted_extensions: what was accepted before, in order.

        Raises:
            NegotiationError: the answer is not one to our offer, or breaks its grammar.
        """
        refuse_twice(_NAME, accepted_extensions)
        answer = Parameters.parse(params, is_offer=False, window_bits=WINDOW_BITS)
        agreed = accepted(answer, _parameters_of(self), _UNSPOKEN_WINDOW_BITS)
        return PerMessageZstd(
            agreed.server_no_context_takeover,
            agreed.client_no_context_takeover,
            agreed.server_window_bits,
            agreed.client_window_bits,
            self.level,
            threshold=self.threshold,
        )


class ServerPerMessageZstdFactory(ServerExtensionFactory):
    """Answers a client that offers permessage-zstd.

    Args:
        server_no_context_takeover: say that our messages do not refer to each other.
        client_no_context_takeover: demand that the client's do not.
        server_max_window_bits: say how far back our messages refer, 10-24.
        client_max_window_bits: demand that the client refers no further back, 10-24, if its offer
            says that it can be told.
        level: of compression, from 1 (fast) to 19 (slow).
        threshold: a message in one frame with fewer bytes is sent as it is.

    Raises:
        ImportError: there is no zstd.
        ValueError: an argument is out of its range.
    """

    name = _NAME
    is_compression = True

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int = 15,
        client_max_window_bits: int = 15,
        *,
        level: int = _LEVEL,
        threshold: int = 0,
    ) -> None:
        _check(server_max_window_bits, client_max_window_bits, level, threshold)
        self.server_no_context_takeover = server_no_context_takeover
        self.client_no_context_takeover = client_no_context_takeover
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.level = level
        self.threshold = threshold

    def process_request_params(
        self,
        params: Sequence[ExtensionParameter],
        accepted_extensions: Sequence[Extension],
    ) -> tuple[list[ExtensionParameter], PerMessageZstd]:
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
        offer = Parameters.parse(params, is_offer=True, window_bits=WINDOW_BITS)
        answer = answer_to(offer, _parameters_of(self))
        agreed = agreement(answer, _UNSPOKEN_WINDOW_BITS)
        return answer.serialize(), PerMessageZstd(
            agreed.client_no_context_takeover,
            agreed.server_no_context_takeover,
            agreed.client_window_bits,
            agreed.server_window_bits,
            self.level,
            threshold=self.threshold,
        )


def enable_client_permessage_zstd(
    extensions: Sequence[ClientExtensionFactory] | None,
) -> Sequence[ClientExtensionFactory]:
    """Add permessage-zstd with the settings for most uses to a client's factories.

    Args:
        extensions: factories; where the extension is among them, they stay as they are.

    Raises:
        ImportError: there is no zstd.
    """
    factories = extensions or []
    if any(factory.name == _NAME for factory in factories):
        return factories
    return [*factories, ClientPerMessageZstdFactory()]


def enable_server_permessage_zstd(
    extensions: Sequence[ServerExtensionFactory] | None,
) -> Sequence[ServerExtensionFactory]:
    """Add permessage-zstd with the settings for most uses to a server's factories.

    Args:
        extensions: factories; where the extension is among them, they stay as they are.

    Raises:
        ImportError: there is no zstd.
    """
    factories = extensions or []
    if any(factory.name == _NAME for factory in factories):
        return factories
    return [*factories, ServerPerMessageZstdFactory()]


def _parameters_of(
    factory: ClientPerMessageZstdFactory | ServerPerMessageZstdFactory,
) -> Parameters:
    return Parameters(
        factory.server_no_context_takeover,
        factory.client_no_context_takeover,
        factory.server_max_window_bits,
        factory.client_max_window_bits,
    )


def _check(server_bits: int, client_bits: int, level: int, threshold: int) -> None:
    """Raise what is wrong with a factory's arguments, or that there is no zstd."""
    check_zstd()
    check_window_bits("server_max_window_bits", server_bits, WINDOW_BITS)
    check_window_bits("client_max_window_bits", client_bits, WINDOW_BITS)
    _check_level(level)
    check_threshold(threshold)


def _check_level(level: int) -> None:
    if not 1 <= level <= 19:
        raise ValueError(f"level must be between 1 and 19, got {level}")
