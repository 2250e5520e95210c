"""The parameters of permessage-deflate: their grammar, and what settings may be. RFC 7692, 7.1."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ...exceptions import DuplicateParameter, InvalidParameterName, InvalidParameterValue
from ..types import ExtensionParameter

__all__ = ["Parameters", "check_settings", "check_threshold", "check_window_bits"]

# RFC 7692, 7.1.2.1: decimal, without leading zeros.
_WINDOW_BITS = {str(bits): bits for bits in range(8, 16)}


class Parameters(NamedTuple):
    """The four parameters; True for client_max_window_bits without a value."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | Literal[True] | None = None

    @staticmethod
    def parse(params: Sequence[ExtensionParameter], *, is_offer: bool) -> Parameters:
        """Read what the peer sent, refusing the first parameter that is wrong. RFC 7692, 7.1."""
        return _parse(tuple((name, value) for name, value in params), is_offer)

    def serialize(self) -> list[ExtensionParameter]:
        """Write the parameters that are there."""
        return list(_serialize(*self))


# Peers of one kind all say the same, so what was made of it is remembered.


@functools.lru_cache(maxsize=64)
def _parse(params: tuple[ExtensionParameter, ...], is_offer: bool) -> Parameters:
    values: dict[str, int] = {}
    for name, value in params:
        if name not in Parameters._fields:
            raise InvalidParameterName(name)
        if name in values:
            raise DuplicateParameter(name)
        if value is None and (
            name.endswith("_no_context_takeover") or (is_offer and name == "client_max_window_bits")
        ):
            values[name] = True
        elif value in _WINDOW_BITS and name.endswith("_max_window_bits"):
            values[name] = _WINDOW_BITS[value]
        else:
            raise InvalidParameterValue(name, value)
    return Parameters(**values)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=64, typed=True)
def _serialize(*values: bool | int | None) -> list[ExtensionParameter]:
    return [
        (name, None if value is True else str(value))
        for name, value in zip(Parameters._fields, values, strict=True)
        if value
    ]


def check_window_bits(name: str, bits: int) -> None:
    """Raise ValueError if no window has this size."""
    if not 8 <= bits <= 15:
        raise ValueError(f"{name} must be between 8 and 15, got {bits}")


def check_settings(settings: Mapping[str, Any] | None, *, instead_of_wbits: str) -> None:
    """Raise ValueError or TypeError if ``zlib.compressobj`` would not take these settings."""
    if settings is None:
        return
    if "wbits" in settings:
        raise ValueError(f"compress_settings must not include wbits; set {instead_of_wbits}")
    zlib.compressobj(**settings)


def check_threshold(threshold: int) -> None:
    """Raise ValueError if no message has this size."""
    if threshold < 0:
        raise ValueError(f"threshold must not be negative, got {threshold}")
