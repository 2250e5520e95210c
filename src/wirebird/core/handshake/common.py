"""What both roles ask of the other's head. RFC 6455, 4.1 and 4.2.1."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ...exceptions import InvalidHeader, InvalidUpgrade
from ..extensions.base import Extension, rsv_bits
from ..fields import Headers
from ..headers import parse_connection, parse_extension, parse_subprotocol, parse_upgrade
from ..types import ExtensionHeader, Subprotocol

__all__ = [
    "check_upgrade",
    "offered_extensions",
    "offered_subprotocols",
    "shares_reserved_bit",
    "single_value",
]

# What is longer is not worth the memory.
_MAX_REMEMBERED_CHARACTERS = 256

_USUAL_CONNECTION = [["Upgrade"], ["upgrade"]]
_USUAL_UPGRADE = [["websocket"], ["WebSocket"]]


def check_upgrade(headers: Headers, *, alone: bool) -> None:
    """Check that Connection and Upgrade speak of a WebSocket, in any case and over many lines.

    Args:
        headers: of the request or response.
        alone: whether no other protocol may stand beside it, as in a response.

    Raises:
        InvalidUpgrade: one of them does not.
        InvalidHeaderFormat: one of them is not a list.
    """
    if _is_usual_upgrade(headers):
        return
    options = [o for value in headers.get_all("Connection") for o in parse_connection(value)]
    if not any(option.lower() == "upgrade" for option in options):
        raise InvalidUpgrade("Connection", ", ".join(options) if options else None)
    protocols = [p for value in headers.get_all("Upgrade") for p in parse_upgrade(value)]
    matches = [protocol.lower() == "websocket" for protocol in protocols]
    if not any(matches) or (alone and len(matches) > 1):
        raise InvalidUpgrade("Upgrade", ", ".join(protocols) if protocols else None)


def _is_usual_upgrade(headers: Headers) -> bool:
    """Whether both are as nearly everybody sends them, so that there is nothing to parse."""
    return (
        headers.get_all("Connection") in _USUAL_CONNECTION
        and headers.get_all("Upgrade") in _USUAL_UPGRADE
    )


def single_value(headers: Headers, name: str, error: type[InvalidHeader] = InvalidHeader) -> str:
    """Return the value of a header that must be there once.

    Raises:
        InvalidHeader: it is not there, or more than once; or ``error``, if given.
    """
    values = headers.get_all(name)
    if not values:
        raise error(name)
    if len(values) > 1:
        raise error(name, f"there are {len(values)} of them, expected one")
    return values[0]


def offered_extensions(headers: Headers) -> list[ExtensionHeader]:
    """Return what all Sec-WebSocket-Extensions headers name, in order."""
    offered: list[ExtensionHeader] = []
    for value in headers.get_all("Sec-WebSocket-Extensions"):
        if len(value) > _MAX_REMEMBERED_CHARACTERS:
            offered += parse_extension(value)
        else:
            offered += [(name, list(params)) for name, params in _remembered_extensions(value)]
    return offered


@functools.lru_cache(maxsize=64)
def _remembered_extensions(value: str) -> list[ExtensionHeader]:
    """Parse an offer that the next client of the same kind will make again."""
    return parse_extension(value)


def offered_subprotocols(headers: Headers) -> list[Subprotocol]:
    """Return what all Sec-WebSocket-Protocol headers name, in order."""
    values = headers.get_all("Sec-WebSocket-Protocol")
    return [subprotocol for value in values for subprotocol in parse_subprotocol(value)]


def shares_reserved_bit(extension: Extension, accepted: Sequence[Extension]) -> bool:
    """Whether an extension would give a meaning to a bit that has one. RFC 6455, 9.

    One that did not say which bits it uses stands in nobody's way.
    """
    bits = _reserved_bits(extension)
    return any(bits & _reserved_bits(other) for other in accepted)


def _reserved_bits(extension: Extension) -> int:
    bits, _ = rsv_bits(extension)
    return 0 if bits == Extension.first_frame_rsv else bits
