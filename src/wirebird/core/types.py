"""The types that the public signatures name; ``wirebird.typing`` shows them to users."""

from __future__ import annotations

import http
import logging
import os
from collections.abc import Sequence
from typing import Any, NewType

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

Data = str | bytes
"""A message: str for Text, bytes for Binary."""

BytesLike = bytes | bytearray | memoryview
"""Taken wherever bytes are expected."""

DataLike = str | bytes | bytearray | memoryview
"""Taken wherever a message is expected."""

LoggerLike = logging.Logger | logging.LoggerAdapter[Any]
"""Taken wherever a logger is expected."""

PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""Taken wherever a path of the file system is expected."""

StatusLike = http.HTTPStatus | int
"""Taken wherever an HTTP status is expected."""

Origin = NewType("Origin", str)
"""Value of an Origin header. RFC 6454."""

Subprotocol = NewType("Subprotocol", str)
"""Name of a subprotocol. RFC 6455, 1.9."""

ExtensionName = NewType("ExtensionName", str)
"""Name of an extension. RFC 6455, 9."""

ExtensionParameter = tuple[str, str | None]
"""Name and value of a parameter of an extension."""

ExtensionHeader = tuple[ExtensionName, Sequence[ExtensionParameter]]
"""One extension in a Sec-WebSocket-Extensions header."""

ConnectionOption = NewType("ConnectionOption", str)
"""One option in a Connection header. RFC 9110, 7.6.1."""

UpgradeProtocol = NewType("UpgradeProtocol", str)
"""One protocol in an Upgrade header. RFC 9110, 7.8."""
