"""The URI of a WebSocket. RFC 6455, 3; RFC 3986 and, for other scripts, RFC 3987.

    ws-URI = "ws:" "//" [ user-info "@" ] host [ ":" port ] path [ "?" query ]

It is taken apart here, by the grammar's own delimiters, and not by ``urllib``, which removes
some characters, ignores others and raises errors of its own. What two parsers may read as two
different hosts (spaces, control characters, backslashes, text around brackets) is refused.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import urllib.parse
from typing import NamedTuple

from ..exceptions import InvalidURI

__all__ = ["WebSocketURI", "parse_uri"]

_split = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):"
    r"(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?P<fragment>\#.*)?",
    re.DOTALL,
).fullmatch
_forbidden = re.compile(r"[\x00-\x20\x7f\\]")
_is_name = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=]+").fullmatch
_is_port = re.compile(r"[0-9]{1,9}").fullmatch
# What a path or query may not hold: neither unreserved, nor a delimiter, nor "%".
_to_encode = re.compile(r"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_MAX_HOST_CHARS = 253  # RFC 1035, 2.3.4, as text
_MAX_LABEL_CHARS = 63  # RFC 1035, 2.3.4


@dataclasses.dataclass
class WebSocketURI:
    """A URI, taken apart.

    Args:
        secure: whether the scheme is wss.
        host: in lower case, as IDNA where it had to be; an IPv6 address without brackets.
        port: 1-65535; the scheme's when the URI had none.
        path: percent-encoded; may be empty.
        query: percent-encoded; may be empty.
        username: decoded; None when the URI had no user info.
        password: decoded; None when the URI had no user info.
    """

    secure: bool
    host: str
    port: int
    path: str
    query: str
    username: str | None = None
    password: str | None = None

    @property
    def resource_name(self) -> str:
        """The request target: path and query. RFC 6455, 3."""
        path = self.path or "/"
        return f"{path}?{self.query}" if self.query else path

    @property
    def user_info(self) -> tuple[str, str] | None:
        """User name and password, or None."""
        if self.username is None:
            return None
        return self.username, self.password or ""


class Parts(NamedTuple):
    """What any URI with an authority consists of, checked and normalized."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str
    username: str | None
    password: str | None


def parse_uri(uri: str) -> WebSocketURI:
    """Take a URI apart.

    Raises:
        InvalidURI: it is not the URI of a WebSocket.
    """
    try:
        parts = split_uri(uri)
        if parts.scheme not in ("ws", "wss"):
            raise ValueError("scheme must be ws or wss")
    except ValueError as exc:
        # Errors of codecs are a sentence about bytes: the cause keeps it.
        msg = "not UTF-8 or IDNA" if isinstance(exc, UnicodeError) else str(exc)
        raise InvalidURI(uri, msg) from exc
    secure = parts.scheme == "wss"
    port = parts.port if parts.port is not None else 443 if secure else 80
    return WebSocketURI(
        secure, parts.host, port, parts.path, parts.query, parts.username, parts.password
    )


def split_uri(uri: str) -> Parts:
    """Take any URI with an authority apart; what is wrong is said in a ValueError."""
    if _forbidden.search(uri):
        raise ValueError("spaces, control characters and backslashes must be percent-encoded")
    match = _split(uri)
    if match is None:
        raise ValueError("scheme is missing")
    if match["fragment"] is not None:  # RFC 6455, 3
        raise ValueError("there must be no fragment; a # in the path is written %23")
    user_info, at, address = (match["authority"] or "").rpartition("@")
    host, port = _split_address(address)
    username, password = _decode_user_info(user_info) if at else (None, None)
    return Parts(
        match["scheme"].lower(),
        host,
        port,
        _encode(match["path"]),
        _encode(match["query"] or ""),
        username,
        password,
    )


def _split_address(address: str) -> tuple[str, int | None]:
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":") or "%" in host:
            raise ValueError("an IPv6 address must be in brackets, without a zone")
        ipaddress.IPv6Address(host)
        host = host.lower()
        raw_port = rest[1:]
    else:
        host, _, raw_port = address.partition(":")
        host = _encode_host(host)
    if not raw_port:
        return host, None
    if not _is_port(raw_port) or not 0 < int(raw_port) < 65536:
        raise ValueError("port must be 1-65535")
    return host, int(raw_port)


def _encode_host(host: str) -> str:
    if not host:
        raise ValueError("host is missing")
    if len(host) > _MAX_HOST_CHARS:
        raise ValueError(f"host must have at most {_MAX_HOST_CHARS} characters")
    host = host.lower()
    if not host.isascii():
        host = host.encode("idna").decode()
    # After IDNA, since it maps some characters to delimiters.
    if not _is_name(host):
        raise ValueError("host must be a name or an IP address")
    # Python refuses to look such names up, with an error that does not say so.
    if not all(0 < len(label) <= _MAX_LABEL_CHARS for label in host.removesuffix(".").split(".")):
        raise ValueError(f"labels of the host must have 1-{_MAX_LABEL_CHARS} characters")
    return host


def _decode_user_info(user_info: str) -> tuple[str, str]:
    username, colon, password = user_info.partition(":")
    if not colon:
        raise ValueError("a user name needs a password")
    username = urllib.parse.unquote(username, errors="strict")
    if ":" in username:  # RFC 7617, 2
        raise ValueError("a user name must not have a colon")
    return username, urllib.parse.unquote(password, errors="strict")


def _encode(text: str) -> str:
    """Percent-encode what may not stand in a path or query, as UTF-8. RFC 3987, 3.1."""
    return _to_encode.sub(lambda match: urllib.parse.quote(match.group(), safe=""), text)
