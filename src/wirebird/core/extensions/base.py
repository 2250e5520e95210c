"""What an extension is to a connection, and how one is negotiated. RFC 6455, 9.

An extension sees each frame that is sent, in the order in which the extensions were negotiated,
and each frame that came, in the reverse order. A factory speaks for it in the opening handshake,
one kind for each role.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..frames import RSV1, RSV2, RSV3, Frame
from ..types import ExtensionName, ExtensionParameter

__all__ = ["ClientExtensionFactory", "Extension", "ServerExtensionFactory"]


class Extension:
    """A negotiated extension, at one endpoint of one connection.

    ``first_frame_rsv`` and ``other_frame_rsv`` are the reserved bits, where they are in a
    frame's first byte, that it gives a meaning to: in the first frame of a message, and in
    continuation and control frames. A frame with another bit set is refused before it is read.

    ``may_skip`` says that a message which ``encode`` never saw is one that the peer understands,
    so that a sender can ask for a message to be left as it is. Where it also has a bit for first
    frames, a message without that bit is not shown to ``decode``: its text is checked as it comes.

    One need not inherit from this class: what it does not say is as it is here.
    """

    name: ExtensionName
    first_frame_rsv: int = RSV1 | RSV2 | RSV3
    other_frame_rsv: int = RSV1 | RSV2 | RSV3
    may_skip: bool = False

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Turn a frame that came into what its sender meant.

        Args:
            frame: as it was on the wire, unmasked.
            max_size: what the result may have, in bytes.

        Raises:
            PayloadTooBig: the result would be longer than ``max_size`` (1009).
            ProtocolError: the frame breaks the rules of the extension (1002).
        """
        raise NotImplementedError

    def encode(self, frame: Frame) -> Frame:
        """Turn a frame into what is to be sent for it."""
        raise NotImplementedError


class ClientExtensionFactory:
    """Negotiates an extension for a client."""

    name: ExtensionName

    def get_request_params(self) -> Sequence[ExtensionParameter]:
        """Return the parameters to offer."""
        raise NotImplementedError

    def process_response_params(
        self,
        params: Sequence[ExtensionParameter],
        accepted_extensions: Sequence[Extension],
    ) -> Extension:
        """Take the server's answer.

        Args:
            params: the parameters it chose.
            accepted_extensions: what was accepted before, in order.

        Raises:
            NegotiationError: the answer cannot be accepted.
        """
        raise NotImplementedError


class ServerExtensionFactory:
    """Negotiates an extension for a server.

    ``is_compression`` says that it is one of those of which a connection has one at most; which of
    them that is, where a client offers several, the order of the server's factories says.
    """

    name: ExtensionName
    is_compression: bool = False

    def process_request_params(
        self,
        params: Sequence[ExtensionParameter],
        accepted_extensions: Sequence[Extension],
    ) -> tuple[list[ExtensionParameter], Extension]:
        """Take a client's offer.

        Args:
            params: the parameters it offers.
            accepted_extensions: what was accepted before, in order.

        Returns:
            The parameters to answer with, and the extension.

        Raises:
            NegotiationError: the offer cannot be accepted; the next one is tried.
        """
        raise NotImplementedError


def rsv_bits(extension: Extension) -> tuple[int, int]:
    """Return ``first_frame_rsv`` and ``other_frame_rsv``; who does not have them may use all."""
    return (
        getattr(extension, "first_frame_rsv", Extension.first_frame_rsv),
        getattr(extension, "other_frame_rsv", Extension.other_frame_rsv),
    )


def may_skip(extension: Extension) -> bool:
    """Return its ``may_skip``; who does not have it sees every message."""
    return getattr(extension, "may_skip", Extension.may_skip)


def leaves_unmarked_alone(extension: Extension) -> bool:
    """Whether a message whose first frame has no reserved bit is what its sender meant."""
    return may_skip(extension) and rsv_bits(extension)[0] != 0
