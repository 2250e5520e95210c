"""Where a request has its token, which browsers cannot put into a header.

``new WebSocket(url, protocols)`` takes an address and subprotocols, and sends cookies by itself. So
a token comes in ``Authorization`` from programs, and from pages as a subprotocol, a cookie, a
parameter of the query; or as the first message, once the connection is open. Each source says where
it looks; what it finds twice, or malformed, it refuses, and never chooses.

A **subprotocol** is a token of HTTP (RFC 9110, 5.6.2), as those of RFC 7515 are; others go as
base64url. It is taken out of the request, so that nobody chooses it, and the response does not
send it back.

A **cookie** comes with every page's connection, whoever wrote the page. So it is believed for the
server's own pages alone, unless ``origins`` says which pages are welcome.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import urllib.parse
from collections.abc import Callable
from typing import ClassVar

from ...exceptions import InvalidHeaderFormat, InvalidToken
from ..headers import build_subprotocol, parse_subprotocol
from ..http1 import Request
from ..redaction import hide_parameter, hide_subprotocol
from ..types import Data, Subprotocol

__all__ = [
    "AuthorizationHeader",
    "Cookie",
    "FirstMessage",
    "QueryParameter",
    "Source",
    "SubprotocolToken",
]

_MAX_FIELDS = 64
_base64url = re.compile(r"[A-Za-z0-9_-]*")
_token68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_PROTOCOLS = "Sec-WebSocket-Protocol"
# What taking a message apart raises, with json for example, when it is not as it should be.
_NO_SUCH_MESSAGE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class Source:
    """Looks for a token in a request."""

    is_ambient: ClassVar[bool] = False
    """Whether browsers send it by themselves, with the connections of any page."""

    def find(self, request: Request) -> str | None:
        """Return the token, or None where there is none.

        Raises:
            InvalidToken: there are several, or it is malformed.
        """
        raise NotImplementedError

    def hide(self, request: Request) -> None:
        """Take the token out of the request, where it would do harm."""


@dataclasses.dataclass(frozen=True)
class AuthorizationHeader(Source):
    """The header of that name, ``Authorization: Bearer TOKEN``; for programs. RFC 6750, 2.1.

    Args:
        scheme: in any case; the header of another scheme is none.
    """

    scheme: str = "Bearer"

    def find(self, request: Request) -> str | None:
        """See ``Source``."""
        values = request.headers.get_all("Authorization")
        if len(values) > 1:
            raise InvalidToken("there are several Authorization headers")
        scheme, _, token = values[0].partition(" ") if values else ("", "", "")
        if scheme.lower() != self.scheme.lower():
            return None
        token = token.strip(" ")
        if not _token68.fullmatch(token):
            raise InvalidToken("the Authorization header is malformed")
        return token


@dataclasses.dataclass(frozen=True)
class Cookie(Source):
    """A cookie. RFC 6265, 5.4.

    Args:
        name: of the cookie; one that begins with ``__Host-`` no other host can set.
    """

    name: str
    is_ambient: ClassVar[bool] = True

    def find(self, request: Request) -> str | None:
        """See ``Source``."""
        pairs = [
            pair.strip(" \t").partition("=")
            for value in request.headers.get_all("Cookie")
            for pair in value.split(";")
        ]
        values = [value for name, _, value in pairs if name == self.name]
        if len(values) > 1:  # a page of a neighbouring host may have set one of them
            raise InvalidToken(f"there are several cookies named {self.name}")
        return values[0].strip('"') or None if values else None


@dataclasses.dataclass(frozen=True)
class QueryParameter(Source):
    """A parameter of the query, ``wss://example.com/?token=TOKEN``; it lands in logs of proxies.

    Args:
        name: of the parameter; our own logs hide its value.
    """

    name: str = "token"

    def __post_init__(self) -> None:
        hide_parameter(self.name)

    def find(self, request: Request) -> str | None:
        """See ``Source``."""
        query = request.path.partition("?")[2]
        try:
            fields = urllib.parse.parse_qsl(query, max_num_fields=_MAX_FIELDS)
        except ValueError:
            raise InvalidToken("there are too many parameters") from None
        values = [value for name, value in fields if name == self.name]
        if len(values) > 1:
            raise InvalidToken(f"there are several parameters named {self.name}")
        return values[0] if values else None


@dataclasses.dataclass(frozen=True)
class SubprotocolToken(Source):
    """A subprotocol beside a marker: ``new WebSocket(url, ["chat", "bearer", token])``.

    The marker is left among what the client offers, and is chosen where nothing else is: browsers
    want an answer.

    Args:
        marker: that the token follows; or, where it is ``joined``, begins with.
        joined: marker and token are one subprotocol, as for Kubernetes: the marker
            ``base64url.bearer.authorization.k8s.io.`` and the token in base64url. The client must
            offer another subprotocol beside it.
        base64url: the token is encoded, without padding. RFC 4648, 5.
    """

    marker: str = "bearer"
    joined: bool = False
    base64url: bool = False

    def __post_init__(self) -> None:
        hide_subprotocol(self.marker, is_joined=self.joined)

    def find(self, request: Request) -> str | None:
        """See ``Source``."""
        token, rest = self._split(request)
        if token == "":
            raise InvalidToken(f"a token must follow {self.marker}")
        if token is not None and self.joined and not rest:
            raise InvalidToken("offer a subprotocol beside the token, which is none to speak")
        return token if token is None or not self.base64url else _decoded(token)

    def hide(self, request: Request) -> None:
        """See ``Source``."""
        token, rest = self._split(request)
        if token is not None:
            del request.headers[_PROTOCOLS]
            if rest:
                request.headers[_PROTOCOLS] = build_subprotocol(rest)

    def _split(self, request: Request) -> tuple[str | None, list[Subprotocol]]:
        """Return the token, and the subprotocols that are none."""
        try:
            offered = [
                item
                for value in request.headers.get_all(_PROTOCOLS)
                for item in parse_subprotocol(value)
            ]
        except InvalidHeaderFormat:  # its text has the token
            raise InvalidToken("the subprotocols are malformed") from None
        if self.joined:
            at = [n for n, item in enumerate(offered) if item.startswith(self.marker)]
        else:
            at = [n + 1 for n, item in enumerate(offered) if item == self.marker]
        if not at:
            return None, offered
        if len(at) > 1 or at[0] >= len(offered):
            raise InvalidToken(f"a token must follow the subprotocol {self.marker}, once")
        token = offered.pop(at[0])
        return token[len(self.marker) if self.joined else 0 :], offered


@dataclasses.dataclass(frozen=True)
class FirstMessage:
    """The first message on the connection, where the request has no token.

    Nothing is handed to the handler before it, and the connection is not among those of the
    server.

    Args:
        timeout_s: seconds that it may take; on asyncio with the check of it, which a thread
            cannot be made to give up.
        max_bytes: of the message.
        extract: told the message, returns the token, or None where there is none in it; by
            default the message, a Text, is the token.
    """

    timeout_s: float = 10.0
    max_bytes: int = 8192
    extract: Callable[[Data], str | None] | None = None

    def token_in(self, message: Data) -> str:
        """Return the token in a message.

        Raises:
            InvalidToken: there is none.
        """
        if self.extract is not None:
            try:
                token = self.extract(message)
            except _NO_SUCH_MESSAGE:
                token = None
        else:
            token = message if isinstance(message, str) else None
        if not isinstance(token, str) or not token:
            raise InvalidToken("there is no token in the first message")
        return token


def _decoded(token: str) -> str:
    try:
        if not _base64url.fullmatch(token):  # b64decode takes the other alphabet too
            raise binascii.Error
        padding = "=" * (-len(token) % 4)
        return base64.b64decode(token + padding, b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidToken("the token is not base64url") from None
