"""The parameters of permessage-deflate: their grammar, and what settings may be. RFC 7692, 7.1.

permessage-zstd has the same four, with windows of other sizes.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ...exceptions import DuplicateParameter, InvalidParameterName, InvalidParameterValue
from ..types import ExtensionParameter
from .permessage import check_threshold

__all__ = ["WINDOW_BITS", "Parameters", "check_settings", "check_threshold", "check_window_bits"]

WINDOW_BITS = range(8, 16)
"""How large a window of DEFLATE may be agreed to be, as a power of two. RFC 7692, 7.1.2.1."""


class Parameters(NamedTuple):
    """The four parameters; True for client_max_window_bits without a value."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | Literal[True] | None = None

    @staticmethod
    def parse(
        params: Sequence[ExtensionParameter], *, is_offer: bool, window_bits: range = WINDOW_BITS
    ) -> Parameters:
        """Read what the peer sent, refusing the first parameter that is wrong. RFC 7692, 7.1."""
        return _parse(tuple((name, value) for name, value in params), is_offer, window_bits)

    def serialize(self) -> list[ExtensionParameter]:
        """Write the parameters that are there."""
        return list(_serialize(*self))


# Peers of one kind all say the same, so what was made of it is remembered.


@functools.lru_cache(maxsize=64)
def _parse(
    params: tuple[ExtensionParameter, ...], is_offer: bool, window_bits: range
) -> Parameters:
    values: dict[str, int] = {}
    sizes = _written(window_bits)
    for name, value in params:
        if name not in Parameters._fields:
            raise InvalidParameterName(name)
        if name in values:
            raise DuplicateParameter(name)
        if value is None and (
            name.endswith("_no_context_takeover") or (is_offer and name == "client_max_window_bits")
        ):
            values[name] = True
        elif value in sizes and name.endswith("_max_window_bits"):
            values[name] = sizes[value]
        else:
            raise InvalidParameterValue(name, value)
    return Parameters(**values)  # type: ignore[arg-type]


@functools.cache
def _written(window_bits: range) -> dict[str | None, int]:
    """RFC 7692, 7.1.2.1: decimal, without leading zeros."""
    return {str(bits): bits for bits in window_bits}


@functools.lru_cache(maxsize=64, typed=True)
def _serialize(*values: bool | int | None) -> list[ExtensionParameter]:
    return [
        (name, None if value is True else str(value))
        for name, value in zip(Parameters._fields, values, strict=True)
        if value
    ]


def check_window_bits(name: str, bits: int, window_bits: range = WINDOW_BITS) -> None:
    """Raise ValueError if no window has this size."""
    least, most = window_bits[0], window_bits[-1]
    if not least <= bits <= most:
        raise ValueError(f"{name} must be between {least} and {most}, got {bits}")


def check_settings(settings: Mapping[str, Any] | None, *, instead_of_wbits: str) -> None:
    """Raise ValueError or TypeError if ``zlib.compressobj`` would not take these settings."""
    if settings is None:
        return
    if "wbits" in settings:
        raise ValueError(f"compress_settings must not include wbits; set {instead_of_wbits}")
    zlib.compressobj(**settings)
