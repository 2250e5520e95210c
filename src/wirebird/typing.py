"""The types of the public signatures, where users of ``websockets`` look for them."""

from __future__ import annotations

from .core.types import (
    BytesLike,
    ConnectionOption,
    Data,
    DataLike,
    ExtensionHeader,
    ExtensionName,
    ExtensionParameter,
    LoggerLike,
    Origin,
    PathLike,
    StatusLike,
    Subprotocol,
    UpgradeProtocol,
)

__all__ = [
    "BytesLike",
    "ConnectionOption",
    "Data",
    "DataLike",
    "ExtensionHeader",
    "ExtensionName",
    "ExtensionParameter",
    "LoggerLike",
    "Origin",
    "PathLike",
    "StatusLike",
    "Subprotocol",
    "UpgradeProtocol",
]
