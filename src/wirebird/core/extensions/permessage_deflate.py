"""permessage-deflate: what the peers agree on, and which frames it concerns. RFC 7692, 6 and 7.

Each of four parameters bounds what one endpoint may do when it compresses:

    server_no_context_takeover    the server forgets its window after each message
    client_no_context_takeover    the client does
    server_max_window_bits=8..15  how far back the server refers, as a power of two
    client_max_window_bits[=8..15]  how far back the client refers; without a value, in an offer:
                                  the client can be told

The server answers an offer with parameters that ask at least as much of both; the client refuses
an answer that asks less of the server than it offered, or more of itself than it said it can do.

RSV1 in the first frame of a message says that the message is compressed; the endpoint that sends
chooses for each message. Fragments are cut from the compressed message, so only the first shows it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from ...exceptions import NegotiationError, ProtocolError
from ..frames import RSV1, Frame
from ..rules import CTRL_OPCODES, Opcode
from ..types import ExtensionName, ExtensionParameter
from .base import ClientExtensionFactory, Extension, ServerExtensionFactory
from .deflate_codec import Deflater, Inflater
from .deflate_parameters import Parameters, check_settings, check_threshold, check_window_bits

__all__ = [
    "ClientPerMessageDeflateFactory",
    "PerMessageDeflate",
    "ServerPerMessageDeflateFactory",
    "enable_client_permessage_deflate",
    "enable_server_permessage_deflate",
]

_NAME = ExtensionName("permessage-deflate")

_DEFAULT_WINDOW_BITS = 15  # where nothing was agreed


class PerMessageDeflate(Extension):
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
    first_frame_rsv = RSV1
    other_frame_rsv = 0
    may_skip = True

    # What most endpoints never need is the class's, or made when it is needed.
    threshold = 0
    compress_settings: Mapping[str, Any] = MappingProxyType({})
    _inflating = False  # whether the message that is coming is compressed
    _deflating = False  # whether the message that is going is

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

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Inflate a frame of a compressed message; others pass.

        Args:
            frame: as it was on the wire, unmasked.
            max_size: what its payload may have once inflated, in bytes.

        Raises:
            PayloadTooBig: it would have more (1009).
            ProtocolError: RSV1 in a continuation frame, or a payload that is no DEFLATE (1002).
        """
        if frame.opcode in CTRL_OPCODES:
            return frame
        if frame.opcode is not Opcode.CONT:
            self._inflating = frame.rsv1
        elif frame.rsv1:  # RFC 7692, 6.1
            raise ProtocolError("invalid reserved bit: RSV1 in a continuation frame")
        if not self._inflating:
            return frame
        data = self._inflater.inflate(frame.data, frame.fin, max_size)
        return Frame(frame.opcode, data, frame.fin, False, frame.rsv2, frame.rsv3)

    def encode(self, frame: Frame) -> Frame:
        """Compress a frame, unless its whole message is below the threshold."""
        if frame.opcode in CTRL_OPCODES:
            return frame
        is_first = frame.opcode is not Opcode.CONT
        if is_first:
            self._deflating = not frame.fin or len(frame.data) >= self.threshold
        if not self._deflating:
            return frame
        data = self._deflater.deflate(frame.data, frame.fin)
        return Frame(frame.opcode, data, frame.fin, is_first, frame.rsv2, frame.rsv3)


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
        return Parameters(
            self.server_no_context_takeover,
            self.client_no_context_takeover,
            self.server_max_window_bits,
            self.client_max_window_bits,
        ).serialize()

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
        _refuse_twice(accepted_extensions)
        answer = Parameters.parse(params, is_offer=False)
        if self.server_no_context_takeover and not answer.server_no_context_takeover:
            raise NegotiationError("expected server_no_context_takeover")
        server_bits = answer.server_max_window_bits
        if self.server_max_window_bits is not None:  # RFC 7692, 7.1.2.1
            if server_bits is None:
                raise NegotiationError(
                    f"expected server_max_window_bits of at most {self.server_max_window_bits}"
                )
            _check_at_most("server_max_window_bits", server_bits, self.server_max_window_bits)
        client_bits = answer.client_max_window_bits
        if self.client_max_window_bits is None:  # RFC 7692, 7.1.2.2
            if client_bits is not None:
                raise NegotiationError("unexpected client_max_window_bits: it was not offered")
        elif self.client_max_window_bits is not True:
            client_bits = client_bits or self.client_max_window_bits
            _check_at_most("client_max_window_bits", client_bits, self.client_max_window_bits)
        return PerMessageDeflate(
            answer.server_no_context_takeover,
            answer.client_no_context_takeover or self.client_no_context_takeover,
            server_bits or _DEFAULT_WINDOW_BITS,
            client_bits or _DEFAULT_WINDOW_BITS,
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
        _refuse_twice(accepted_extensions)
        offer = Parameters.parse(params, is_offer=True)
        answer = Parameters(
            offer.server_no_context_takeover or self.server_no_context_takeover,
            offer.client_no_context_takeover or self.client_no_context_takeover,
            _least(offer.server_max_window_bits, self.server_max_window_bits),
            self._limit_of_client(offer.client_max_window_bits),
        )
        return answer.serialize(), PerMessageDeflate(
            answer.client_no_context_takeover,
            answer.server_no_context_takeover,
            answer.client_max_window_bits or _DEFAULT_WINDOW_BITS,
            answer.server_max_window_bits or _DEFAULT_WINDOW_BITS,
            self.compress_settings,
            threshold=self.threshold,
        )

    def _limit_of_client(self, offered: int | Literal[True] | None) -> int | None:
        """What to answer as client_max_window_bits: nothing if it was not offered (7.1.2.2)."""
        if offered is None:
            if self.require_client_max_window_bits:
                raise NegotiationError("required client_max_window_bits: the offer is without it")
            return None
        return _least(None if offered is True else offered, self.client_max_window_bits)


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


def _check_at_most(name: str, answered: int, offered: int) -> None:
    if answered > offered:
        raise NegotiationError(f"unsupported {name}: {answered}, the offer was {offered}")


def _refuse_twice(accepted_extensions: Sequence[Extension]) -> None:
    if any(other.name == _NAME for other in accepted_extensions):
        raise NegotiationError(f"duplicate extension: {_NAME}")


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
