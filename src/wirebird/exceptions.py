"""Every error of Wirebird, with what it means on the wire.

``close_code`` is the code with which a connection is failed for it (RFC 6455, 7.4.1), and
``http_status`` the status with which an opening handshake is refused for it; ``None`` where the
peer is told nothing.

    WebSocketException
    ├── ConnectionClosed
    │   ├── ConnectionClosedOK
    │   └── ConnectionClosedError
    ├── InvalidURI
    ├── InvalidProxy
    ├── InvalidHandshake                     400
    │   ├── SecurityError
    │   │   ├── RequestLineTooLong           414
    │   │   ├── StatusLineTooLong
    │   │   ├── HeaderLineTooLong            431
    │   │   └── TooManyHeaders               431
    │   ├── ProxyError
    │   │   ├── InvalidProxyMessage
    │   │   └── InvalidProxyStatus
    │   ├── InvalidMessage
    │   │   └── InvalidProxyHeader
    │   ├── InvalidMethod                    405
    │   ├── InvalidProtocol                  505
    │   ├── InvalidStatus
    │   ├── InvalidHeader
    │   │   ├── InvalidHeaderFormat
    │   │   ├── InvalidHeaderValue
    │   │   │   ├── InvalidVersion           426
    │   │   │   └── UnsafeHeader             500
    │   │   ├── InvalidOrigin                403
    │   │   └── InvalidUpgrade               426
    │   ├── InvalidToken                     401
    │   └── NegotiationError
    │       ├── DuplicateParameter
    │       ├── InvalidParameterName
    │       └── InvalidParameterValue
    ├── ProtocolError                        1002
    ├── PayloadTooBig                        1009
    ├── TooManyFragments                     1009
    ├── LimitExceeded
    ├── InvalidState
    └── ConcurrencyError

Text that is not UTF-8 is Python's own ``UnicodeDecodeError`` (1007).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from .core.close import Close
    from .core.http1 import Response

__all__ = [
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
    "InvalidToken",
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
]


class WebSocketException(Exception):
    """Base class of all errors of Wirebird."""

    close_code: ClassVar[int | None] = None
    http_status: ClassVar[int | None] = None


class ConnectionClosed(WebSocketException):
    """The connection is closed: nothing can be sent any more, and nothing more will come.

    Args:
        rcvd: the Close that the peer sent, or None.
        sent: the Close that was sent to it, or None.
        rcvd_then_sent: when there were both, whether the peer's came first.
    """

    def __init__(
        self,
        rcvd: Close | None,
        sent: Close | None,
        rcvd_then_sent: bool | None = None,
    ) -> None:
        super().__init__(rcvd, sent, rcvd_then_sent)
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent

    def __str__(self) -> str:
        if self.rcvd is None and self.sent is None:
            return "no close frame received or sent"
        if self.rcvd is None:
            return f"sent {self.sent}; no close frame received"
        if self.sent is None:
            return f"received {self.rcvd}; no close frame sent"
        if self.rcvd_then_sent:
            return f"received {self.rcvd}; then sent {self.sent}"
        return f"sent {self.sent}; then received {self.rcvd}"

    @property
    def code(self) -> int:
        """The close code that came, or 1006; deprecated, as ``websockets`` has it."""
        warnings.warn(
            "ConnectionClosed.code is deprecated; use ConnectionClosed.rcvd.code",
            DeprecationWarning,
            stacklevel=2,
        )
        return 1006 if self.rcvd is None else self.rcvd.code

    @property
    def reason(self) -> str:
        """The close reason that came, or ""; deprecated, as ``websockets`` has it."""
        warnings.warn(
            "ConnectionClosed.reason is deprecated; use ConnectionClosed.rcvd.reason",
            DeprecationWarning,
            stacklevel=2,
        )
        return "" if self.rcvd is None else self.rcvd.reason


class ConnectionClosedOK(ConnectionClosed):
    """The connection ended properly: 1000, 1001 or no code was sent and received."""


class ConnectionClosedError(ConnectionClosed):
    """The connection ended with another code, or without a closing handshake (1006)."""


class InvalidURI(WebSocketException):
    """The URI is not one of a WebSocket. RFC 6455, 3."""

    def __init__(self, uri: str, msg: str) -> None:
        super().__init__(uri, msg)
        self.uri = uri
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.uri} isn't a valid URI: {self.msg}"


class InvalidProxy(WebSocketException):
    """The address of the proxy cannot be used."""

    def __init__(self, proxy: str, msg: str) -> None:
        super().__init__(proxy, msg)
        self.proxy = proxy
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.proxy} isn't a valid proxy: {self.msg}"


class InvalidHandshake(WebSocketException):
    """The opening handshake failed. RFC 6455, 4."""

    http_status: ClassVar[int | None] = 400


class SecurityError(InvalidHandshake):
    """The head of a request or response exceeds a limit, or a redirect is not safe to follow."""


class RequestLineTooLong(SecurityError):
    """The request line is longer than allowed."""

    http_status: ClassVar[int | None] = 414


class StatusLineTooLong(SecurityError):
    """The status line is longer than allowed."""


class HeaderLineTooLong(SecurityError):
    """A header line, or the head as a whole, is longer than allowed."""

    http_status: ClassVar[int | None] = 431


class TooManyHeaders(SecurityError):
    """There are more headers than allowed."""

    http_status: ClassVar[int | None] = 431


class ProxyError(InvalidHandshake):
    """The proxy did not open a way to the server.

    Attributes:
        may_recover: whether trying again can help: the server may come back, or the proxy was
            interrupted; not where the proxy says no.
    """

    may_recover: bool = False


class InvalidProxyMessage(ProxyError):
    """The proxy answered with something that is not an HTTP response."""


class InvalidProxyStatus(ProxyError):
    """The proxy refused the connection."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response
        self.may_recover = response.status_code in (500, 502, 503, 504)

    def __str__(self) -> str:
        return f"proxy rejected connection: HTTP {self.response.status_code:d}"


class InvalidMessage(InvalidHandshake):
    """What came is not an HTTP request or response; the cause says why."""


class InvalidProxyHeader(InvalidMessage):
    """What came before the request is not the header of the PROXY protocol that was expected.

    The connection is cut: it may be one on which HTTP is not what follows.
    """

    http_status: ClassVar[int | None] = None

    def __str__(self) -> str:
        return f"invalid PROXY protocol header: {super().__str__()}"


class InvalidMethod(InvalidHandshake):
    """The request does not use GET. RFC 6455, 4.2.1."""

    http_status: ClassVar[int | None] = 405

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method

    def __str__(self) -> str:
        return f"unsupported HTTP method: {self.method}"


class InvalidProtocol(InvalidHandshake):
    """The request does not use HTTP/1.1. RFC 6455, 4.2.1."""

    http_status: ClassVar[int | None] = 505

    def __init__(self, protocol: str) -> None:
        super().__init__(protocol)
        self.protocol = protocol

    def __str__(self) -> str:
        return f"unsupported HTTP version: {self.protocol}"


class InvalidStatus(InvalidHandshake):
    """The server answered with another status than 101. RFC 6455, 4.1."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"server rejected WebSocket connection: HTTP {self.response.status_code:d}"


class InvalidHeader(InvalidHandshake):
    """A header is missing, is there twice, or has no valid value."""

    def __init__(self, name: str, value: str | None = None) -> None:
        super().__init__(name, value)
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing {self.name} header"
        if self.value == "":
            return f"empty {self.name} header"
        return f"invalid {self.name} header: {self.value}"


class InvalidHeaderFormat(InvalidHeader):
    """A header does not follow its grammar.

    Args:
        name: of the header.
        error: what was expected.
        header: its value.
        pos: where in the value, in characters.
    """

    def __init__(self, name: str, error: str, header: str, pos: int) -> None:
        super().__init__(name, f"{error} at {pos} in {header}")
        self.args = name, error, header, pos  # what makes the same one again, as pickle does


class InvalidHeaderValue(InvalidHeader):
    """A header follows its grammar, but its value cannot be accepted."""


class InvalidVersion(InvalidHeaderValue):
    """The client asks for another version of the protocol than 13. RFC 6455, 4.4."""

    http_status: ClassVar[int | None] = 426


class UnsafeHeader(InvalidHeaderValue, ValueError):
    """A header that was to be sent could end its line, and begin another. RFC 9110, 5.5.

    It is a mistake on this side, where the text comes from: the peer is answered 500.
    """

    http_status: ClassVar[int | None] = 500

    def __str__(self) -> str:
        return (
            f"unsafe header {self.name!a}: {self.value!a}; expected a token as name, "
            f"and a value of ISO-8859-1 without control characters"
        )


class InvalidOrigin(InvalidHeader):
    """Requests from this origin are not allowed. RFC 6455, 10.2."""

    http_status: ClassVar[int | None] = 403

    def __init__(self, origin: str | None) -> None:
        super().__init__("Origin", origin)
        self.args = (origin,)


class InvalidUpgrade(InvalidHeader):
    """Upgrade or Connection do not ask for, or grant, a WebSocket."""

    http_status: ClassVar[int | None] = 426


class InvalidToken(InvalidHandshake):
    """A token, or what stands for one, is not valid (any more); the client is told why."""

    http_status: ClassVar[int | None] = 401


class NegotiationError(InvalidHandshake):
    """The peers do not agree on an extension or a subprotocol."""


class DuplicateParameter(NegotiationError):
    """A parameter of an extension is there twice."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"duplicate parameter: {self.name}"


class InvalidParameterName(NegotiationError):
    """An extension has no parameter of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"invalid parameter name: {self.name}"


class InvalidParameterValue(NegotiationError):
    """A parameter of an extension cannot have this value."""

    def __init__(self, name: str, value: str | None) -> None:
        super().__init__(name, value)
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing value for parameter {self.name}"
        if self.value == "":
            return f"empty value for parameter {self.name}"
        return f"invalid value for parameter {self.name}: {self.value}"


class ProtocolError(WebSocketException):
    """A frame, or the order of frames, breaks the protocol. RFC 6455, 5 and 7."""

    close_code: ClassVar[int | None] = 1002


class PayloadTooBig(WebSocketException):
    """A message is, or would be once inflated, longer than allowed. RFC 6455, 7.4.1.

    Args:
        size_or_message: length of the frame that goes too far, in bytes; None when it is not
            known, as while inflating.
        max_size: what was still allowed for this frame, in bytes.
        current_size: length of the fragments before it, in bytes; None where there were none.
    """

    close_code: ClassVar[int | None] = 1009

    def __init__(
        self,
        size_or_message: int | str | None,
        max_size: int | None = None,
        current_size: int | None = None,
    ) -> None:
        super().__init__(size_or_message, max_size, current_size)
        self.message = size_or_message if isinstance(size_or_message, str) else None
        self.size = None if isinstance(size_or_message, str) else size_or_message
        self.max_size = max_size
        self.current_size: int | None = None
        self.set_current_size(current_size)

    def __str__(self) -> str:
        if self.message is not None:
            return self.message
        size = "" if self.size is None else f"with {self.size} bytes "
        current = "" if self.current_size is None else f"after reading {self.current_size} bytes "
        return f"frame {size}{current}exceeds limit of {self.max_size} bytes"

    def set_current_size(self, current_size: int | None) -> None:
        """Say how many bytes of the message came before; the limit is then the message's."""
        if current_size is not None and self.max_size is not None:
            self.max_size += current_size
            self.current_size = current_size


class TooManyFragments(WebSocketException):
    """A message has more fragments than allowed."""

    close_code: ClassVar[int | None] = 1009

    def __init__(self, max_fragments: int) -> None:
        super().__init__(max_fragments)
        self.max_fragments = max_fragments

    def __str__(self) -> str:
        return f"fragmented message exceeds limit of {self.max_fragments} frames"


class LimitExceeded(WebSocketException):
    """A peer exceeds a limit of ``Limits``, and is closed for it with 1008 or 1013.

    Args:
        limit: its name.
        message: what is told to the peer.
    """

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(limit, message)
        self.limit = limit
        self.message = message

    def __str__(self) -> str:
        return self.message


class InvalidState(WebSocketException, AssertionError):
    """This cannot be sent in the connection's present state."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """Two tasks receive at once, or send in the middle of each other's fragments."""
