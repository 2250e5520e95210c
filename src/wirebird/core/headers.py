"""The grammar of the header fields of a handshake. RFC 9110, 5.6 and RFC 6455, 9.1.

    token          = 1*tchar
    quoted-string  = DQUOTE *( qdtext / quoted-pair ) DQUOTE
    list           = [ item ] *( OWS "," OWS [ item ] ), with at least one item
    extension      = token *( OWS ";" OWS token [ "=" ( token / quoted-string ) ] )

A scanner moves over the text and never back, so time is linear in what a peer sent. A value is
refused with the place in it, and never repaired.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from ..exceptions import InvalidHeaderFormat, InvalidHeaderValue
from .types import (
    ConnectionOption,
    ExtensionHeader,
    ExtensionName,
    ExtensionParameter,
    Subprotocol,
    UpgradeProtocol,
)

__all__ = [
    "build_authorization_basic",
    "build_extension",
    "build_host",
    "build_subprotocol",
    "build_www_authenticate_basic",
    "build_www_authenticate_bearer",
    "is_host_and_port",
    "parse_authorization_basic",
    "parse_connection",
    "parse_extension",
    "parse_forwarded",
    "parse_subprotocol",
    "parse_upgrade",
    "validate_subprotocols",
]

T = TypeVar("T")

_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_equals = re.compile("=")
_space = re.compile(r"[ \t]*+")
_token = re.compile(rf"{_TCHAR}++")
_protocol = re.compile(rf"{_TCHAR}++(?:/{_TCHAR}++)?+")
_quoted = re.compile(
    r'"((?:[\t\x20-\x21\x23-\x5b\x5d-\x7e\x80-\xff]++|\\[\t\x20-\x7e\x80-\xff])*+)"'
)
_quoted_pair = re.compile(r"\\(.)", re.DOTALL)
_token68 = re.compile(r"[A-Za-z0-9\-._~+/]++=*+")
_is_quotable = re.compile(r"[\t\x20-\x7e\x80-\xff]*+").fullmatch
_is_host = re.compile(r"[!$&-.0-;=A-Z\[\]_a-z~]++").fullmatch
# RFC 6750, 3: what error_description must not hold.
_undescribable = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_control = re.compile(r"[\x00-\x1f\x7f]")
# RFC 9112, 3.2: a host, as RFC 3986, 3.2.2 has it, and a port.
_host_and_port = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::[0-9]*)?")


class _Scanner:
    """A place in the value of a header."""

    __slots__ = ("at", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.at = 0

    def match(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        match = pattern.match(self.text, self.at)
        if match is None:
            self.fail(f"expected {expected}")
        self.at = match.end()
        return match

    def skip(self, char: str) -> bool:
        """Pass ``char`` and the space after it, if it is next."""
        if not self.text.startswith(char, self.at):
            return False
        self.at += 1
        self.skip_space()
        return True

    def skip_space(self) -> None:
        self.match(_space, "space")

    def take_token(self) -> str:
        return self.match(_token, "token").group()

    def fail(self, error: str) -> NoReturn:
        raise InvalidHeaderFormat(self.name, error, self.text, self.at)

    def take_list(self, take_item: Callable[[_Scanner], T]) -> list[T]:
        """Take all there is, as a list; empty elements do not count. RFC 9110, 5.6.1.2."""
        items: list[T] = []
        self.skip_space()
        while self.skip(","):
            pass
        while True:
            items.append(take_item(self))
            self.skip_space()
            if self.at < len(self.text) and not self.skip(","):
                self.fail("expected comma")
            while self.skip(","):
                pass
            if self.at == len(self.text):
                return items


def build_host(host: str, port: int, secure: bool, *, always_include_port: bool = False) -> str:
    """Return the value of a Host header.

    Args:
        host: a name, or an IP address, an IPv6 one without brackets.
        port: 1-65535.
        secure: whether the scheme is wss, whose default port is 443; that of ws is 80.
        always_include_port: whether the default port is written too.

    Raises:
        ValueError: ``host`` cannot stand in a header.
    """
    if not _is_host(host):
        raise ValueError(f"invalid host: {host!a}")
    if ":" in host and not host.startswith("["):
        ipaddress.IPv6Address(host)
        host = f"[{host}]"
    if always_include_port or port != (443 if secure else 80):
        host = f"{host}:{port:d}"
    return host


def is_host_and_port(value: str) -> bool:
    """Whether a value can be that of a Host header. RFC 9112, 3.2."""
    return _host_and_port.fullmatch(value) is not None


def parse_connection(header: str) -> list[ConnectionOption]:
    """Return the options of a Connection header. RFC 9110, 7.6.1.

    Raises:
        InvalidHeaderFormat: it is not a list of tokens.
    """
    return _Scanner("Connection", header).take_list(
        lambda scan: ConnectionOption(scan.take_token())
    )


def parse_upgrade(header: str) -> list[UpgradeProtocol]:
    """Return the protocols, each with its version if it has one, of an Upgrade header.

    Raises:
        InvalidHeaderFormat: it is not a list of protocols. RFC 9110, 7.8.
    """

    def take_protocol(scan: _Scanner) -> UpgradeProtocol:
        return UpgradeProtocol(scan.match(_protocol, "protocol").group())

    return _Scanner("Upgrade", header).take_list(take_protocol)


def parse_extension(header: str) -> list[ExtensionHeader]:
    """Return the extensions of a Sec-WebSocket-Extensions header. RFC 6455, 9.1.

    Returns:
        Pairs of a name and the parameters, which are pairs of a name and a value or None.

    Raises:
        InvalidHeaderFormat: it is not a list of extensions.
    """
    return _Scanner("Sec-WebSocket-Extensions", header).take_list(_take_extension)


def _take_extension(scan: _Scanner) -> ExtensionHeader:
    name = ExtensionName(scan.take_token())
    parameters: list[ExtensionParameter] = []
    scan.skip_space()
    while scan.skip(";"):
        parameters.append(_take_parameter(scan))
        scan.skip_space()
    return name, parameters


def _take_parameter(scan: _Scanner) -> ExtensionParameter:
    name = scan.take_token()
    scan.skip_space()
    if not scan.skip("="):
        return name, None
    if not scan.text.startswith('"', scan.at):
        return name, scan.take_token()
    start = scan.at
    value = _quoted_pair.sub(r"\1", scan.match(_quoted, "quoted string").group(1))
    if not _token.fullmatch(value):  # RFC 6455, 9.1
        scan.at = start
        scan.fail("expected token in quotes")
    return name, value


def build_extension(extensions: Sequence[ExtensionHeader]) -> str:
    """Return the value of a Sec-WebSocket-Extensions header; reverses ``parse_extension``."""
    return ", ".join(
        "; ".join([name, *(key if value is None else f"{key}={value}" for key, value in params)])
        for name, params in extensions
    )


def parse_subprotocol(header: str) -> list[Subprotocol]:
    """Return the subprotocols of a Sec-WebSocket-Protocol header. RFC 6455, 11.3.4.

    Raises:
        InvalidHeaderFormat: it is not a list of tokens.
    """
    scanner = _Scanner("Sec-WebSocket-Protocol", header)
    return scanner.take_list(lambda scan: Subprotocol(scan.take_token()))


def parse_forwarded(header: str) -> list[dict[str, str]]:
    """Return the elements of a Forwarded header, each by the names in it. RFC 7239, 4.

    Raises:
        InvalidHeaderFormat: it is not a list of such elements; or a name is twice in one.
    """
    return _Scanner("Forwarded", header).take_list(_take_forwarded)


def _take_forwarded(scan: _Scanner) -> dict[str, str]:
    element: dict[str, str] = {}
    while True:
        name = scan.take_token().lower()
        if name in element:
            scan.fail("expected another name")
        scan.match(_equals, "equals sign")
        if scan.text.startswith('"', scan.at):
            quoted = scan.match(_quoted, "quoted string").group(1)
            element[name] = _quoted_pair.sub(r"\1", quoted)
        else:
            element[name] = scan.take_token()
        scan.skip_space()
        if not scan.skip(";"):
            return element


def build_subprotocol(subprotocols: Sequence[Subprotocol]) -> str:
    """Return the value of a Sec-WebSocket-Protocol header; reverses ``parse_subprotocol``."""
    return ", ".join(subprotocols)


def validate_subprotocols(subprotocols: Sequence[Subprotocol]) -> None:
    """Check what a user gave as subprotocols.

    Raises:
        TypeError: it is not a list; a str, which is a sequence, is not one either.
        ValueError: one of them is not a token.
    """
    if not isinstance(subprotocols, Sequence) or isinstance(subprotocols, str):
        kind = type(subprotocols).__name__
        raise TypeError(f"subprotocols must be a list of str, got {kind}")
    for subprotocol in subprotocols:
        if not _token.fullmatch(subprotocol):
            raise ValueError(f"invalid subprotocol: {subprotocol!a}, expected a token")


def build_www_authenticate_basic(realm: str) -> str:
    """Return the value of a WWW-Authenticate header that asks for Basic credentials. RFC 7617, 2.

    Args:
        realm: what the credentials are for.

    Raises:
        ValueError: ``realm`` holds a control character, or one outside of ISO-8859-1.
    """
    return f'Basic realm={_quote_realm(realm)}, charset="UTF-8"'


def build_www_authenticate_bearer(realm: str, error: str | None = None) -> str:
    """Return the value of a WWW-Authenticate header that asks for a token. RFC 6750, 3.

    Args:
        realm: what the token is for; empty for nothing.
        error: what is wrong with the one that came; None where none came.

    Raises:
        ValueError: ``realm`` holds a control character, or one outside of ISO-8859-1.
    """
    params = [f"realm={_quote_realm(realm)}"] if realm else []
    if error is not None:
        described = _undescribable.sub("?", error)
        params += ['error="invalid_token"', f'error_description="{described}"']
    return " ".join(["Bearer", ", ".join(params)]).strip()


def _quote_realm(realm: str) -> str:
    if not _is_quotable(realm):
        raise ValueError(f"invalid realm: {realm!a}")
    escaped = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def parse_authorization_basic(header: str) -> tuple[str, str]:
    """Return the user name and password of an Authorization header. RFC 7617, 2.

    Bytes that are not UTF-8 become surrogates.

    Raises:
        InvalidHeaderFormat: it is not a scheme and credentials.
        InvalidHeaderValue: the scheme is not Basic, or the credentials are not a user name, a
            colon and a password in base64.
    """
    scan = _Scanner("Authorization", header)
    scheme = scan.take_token()
    if scheme.lower() != "basic":
        raise InvalidHeaderValue("Authorization", f"unsupported scheme: {scheme}")
    if not scan.skip(" "):
        scan.fail("expected space after scheme")
    credentials = scan.match(_token68, "base64").group()
    if scan.at < len(header):
        scan.fail("expected end")
    try:
        decoded = base64.b64decode(credentials, validate=True)
    except binascii.Error:
        raise InvalidHeaderValue("Authorization", "credentials are not base64") from None
    username, colon, password = decoded.decode(errors="surrogateescape").partition(":")
    if not colon:
        raise InvalidHeaderValue("Authorization", "credentials have no colon")
    return username, password


def build_authorization_basic(username: str, password: str) -> str:
    """Return the value of an Authorization header; reverses ``parse_authorization_basic``.

    Raises:
        ValueError: the user name has a colon, or one of both a control character, which
            RFC 7617, 2 forbids.
    """
    if ":" in username:
        raise ValueError("user name must not have a colon")
    if _control.search(username) or _control.search(password):
        raise ValueError("user name and password must not have control characters")
    decoded = f"{username}:{password}".encode(errors="surrogateescape")
    return "Basic " + base64.b64encode(decoded).decode()
