"""Wirebird: WebSocket for Python.

The public names, each imported when it is first used: ``import wirebird`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .version import version as __version__

if TYPE_CHECKING:
    from .asyncio.client import ClientConnection, connect, unix_connect
    from .asyncio.handlers import Handler
    from .asyncio.router import Router, route, unix_route
    from .asyncio.server import (
        Server,
        ServerConnection,
        basic_auth,
        broadcast,
        broadcast_wait,
        serve,
        unix_serve,
    )
    from .client import ClientProtocol
    from .core.instrumentation import Instrumentation
    from .core.limits import Limits
    from .core.origins import SameOrigin
    from .core.stats import Stats
    from .datastructures import Headers, HeadersLike, MultipleValuesError
    from .exceptions import (
        ConcurrencyError,
        ConnectionClosed,
        ConnectionClosedError,
        ConnectionClosedOK,
        DuplicateParameter,
        HeaderLineTooLong,
        InvalidHandshake,
        InvalidHeader,
        InvalidHeaderFormat,
        InvalidHeaderValue,
        InvalidMessage,
        InvalidMethod,
        InvalidOrigin,
        InvalidParameterName,
        InvalidParameterValue,
        InvalidProtocol,
        InvalidProxy,
        InvalidProxyHeader,
        InvalidProxyMessage,
        InvalidProxyStatus,
        InvalidState,
        InvalidStatus,
        InvalidToken,
        InvalidUpgrade,
        InvalidURI,
        InvalidVersion,
        LimitExceeded,
        NegotiationError,
        PayloadTooBig,
        ProtocolError,
        ProxyError,
        RequestLineTooLong,
        SecurityError,
        StatusLineTooLong,
        TooManyFragments,
        TooManyHeaders,
        UnsafeHeader,
        WebSocketException,
    )
    from .frames import Close, CloseCode, Frame, Opcode
    from .http11 import Request, Response
    from .protocol import Protocol, Side, State
    from .server import ServerProtocol
    from .typing import (
        Data,
        ExtensionName,
        ExtensionParameter,
        LoggerLike,
        Origin,
        StatusLike,
        Subprotocol,
    )

__all__ = [
    "ClientConnection",
    "ClientProtocol",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Data",
    "DuplicateParameter",
    "ExtensionName",
    "ExtensionParameter",
    "Frame",
    "Handler",
    "HeaderLineTooLong",
    "Headers",
    "HeadersLike",
    "Instrumentation",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyHeader",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidToken",
    "InvalidURI",
    "InvalidUpgrade",
    "InvalidVersion",
    "LimitExceeded",
    "Limits",
    "LoggerLike",
    "MultipleValuesError",
    "NegotiationError",
    "Opcode",
    "Origin",
    "PayloadTooBig",
    "Protocol",
    "ProtocolError",
    "ProxyError",
    "Request",
    "RequestLineTooLong",
    "Response",
    "Router",
    "SameOrigin",
    "SecurityError",
    "Server",
    "ServerConnection",
    "ServerProtocol",
    "Side",
    "State",
    "Stats",
    "StatusLike",
    "StatusLineTooLong",
    "Subprotocol",
    "TooManyFragments",
    "TooManyHeaders",
    "UnsafeHeader",
    "WebSocketException",
    "__version__",
    "basic_auth",
    "broadcast",
    "broadcast_wait",
    "connect",
    "route",
    "serve",
    "unix_connect",
    "unix_route",
    "unix_serve",
]

_MODULES = {
    ".asyncio.client": (
        "ClientConnection",
        "connect",
        "unix_connect",
    ),
    ".asyncio.handlers": ("Handler",),
    ".asyncio.router": (
        "Router",
        "route",
        "unix_route",
    ),
    ".asyncio.server": (
        "Server",
        "ServerConnection",
        "basic_auth",
        "broadcast",
        "broadcast_wait",
        "serve",
        "unix_serve",
    ),
    ".client": ("ClientProtocol",),
    ".core.origins": ("SameOrigin",),
    ".core.instrumentation": ("Instrumentation",),
    ".core.limits": ("Limits",),
    ".core.stats": ("Stats",),
    ".datastructures": (
        "Headers",
        "HeadersLike",
        "MultipleValuesError",
    ),
    ".exceptions": (
        "ConcurrencyError",
        "ConnectionClosed",
        "ConnectionClosedError",
        "ConnectionClosedOK",
        "DuplicateParameter",
        "HeaderLineTooLong",
        "InvalidHandshake",
        "InvalidHeader",
        "InvalidHeaderFormat",
        "InvalidHeaderValue",
        "InvalidMessage",
        "InvalidMethod",
        "InvalidOrigin",
        "InvalidParameterName",
        "InvalidParameterValue",
        "InvalidProtocol",
        "InvalidProxy",
        "InvalidProxyHeader",
        "InvalidProxyMessage",
        "InvalidProxyStatus",
        "InvalidState",
        "InvalidStatus",
        "InvalidURI",
        "InvalidUpgrade",
        "InvalidVersion",
        "LimitExceeded",
        "NegotiationError",
        "PayloadTooBig",
        "ProtocolError",
        "ProxyError",
        "RequestLineTooLong",
        "SecurityError",
        "StatusLineTooLong",
        "TooManyFragments",
        "TooManyHeaders",
        "UnsafeHeader",
        "WebSocketException",
    ),
    ".frames": (
        "Close",
        "CloseCode",
        "Frame",
        "Opcode",
    ),
    ".http11": (
        "Request",
        "Response",
    ),
    ".protocol": (
        "Protocol",
        "Side",
        "State",
    ),
    ".server": ("ServerProtocol",),
    ".typing": (
        "Data",
        "ExtensionName",
        "ExtensionParameter",
        "LoggerLike",
        "Origin",
        "StatusLike",
        "Subprotocol",
    ),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


# ``import wirebird`` is enough for ``wirebird.frames.CloseCode``, as it is in websockets once it is
# in use.
_SUBMODULES = {
    *("asyncio", "auth", "client", "datastructures", "exceptions", "extensions", "frames"),
    *("headers", "http11", "protocol", "proxy", "server", "streams", "typing", "uri", "utils"),
}


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
