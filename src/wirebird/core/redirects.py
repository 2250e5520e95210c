"""Whether a client follows a redirect, and what it takes along. RFC 9110, 15.4; RFC 6455, 4.1.

A server may send its clients elsewhere, but what was meant for one origin (credentials, cookies)
is not for another, encryption is not given up on the way, and a connection whose address was
chosen by the program (a socket, a path, a host or port beside the URI) is not taken elsewhere.
"""

from __future__ import annotations

import re
import urllib.parse

from ..exceptions import InvalidStatus, InvalidURI, SecurityError
from .fields import Headers, HeadersLike
from .http1 import Response
from .uri import WebSocketURI, parse_uri

__all__ = ["MAX_REDIRECTS", "follow", "headers_for", "next_request"]

MAX_REDIRECTS = 10  # how many a client follows for one connection

_has_scheme = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):").match
_STATUSES = frozenset({300, 301, 302, 303, 307, 308})
_SCHEMES = {"http": "ws", "https": "wss"}
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})


def follow(
    response: Response, uri: str, *, has_socket: bool, is_unix: bool, has_address: bool
) -> str | None:
    """Return where a response sends the client.

    Args:
        response: the one that refuses the handshake.
        uri: where the request went.
        has_socket: whether the program gave a connected socket.
        is_unix: whether the connection is over a Unix socket.
        has_address: whether the program gave a host or port to connect to instead of the URI's.

    Returns:
        The new URI; None when the response is no redirect, or does not say where to (or says
        it twice).

    Raises:
        InvalidURI: the response leads to what is not a WebSocket.
        SecurityError: the response leads from wss to ws.
        ValueError: the address that the program gave does not lead to the new URI.
    """
    locations = response.headers.get_all("Location")
    if response.status_code not in _STATUSES or len(locations) != 1:
        return None
    new_uri = _resolve(uri, locations[0])
    old, new = parse_uri(uri), parse_uri(new_uri)
    if has_socket:  # it is used up
        raise ValueError(f"cannot follow redirect to {new_uri}: the socket was given")
    if old.secure and not new.secure:
        raise SecurityError(f"cannot follow redirect from wss to ws: {new_uri}")
    if _origin(old) != _origin(new) and (is_unix or has_address):
        what = "a Unix socket" if is_unix else "a host or port"
        raise ValueError(f"cannot follow redirect to another origin, {new_uri}: {what} was given")
    return new_uri


def headers_for(old_uri: str, new_uri: str, headers: HeadersLike | None) -> HeadersLike | None:
    """Return those of a program's own headers that go along.

    Args:
        old_uri: where the last request went.
        new_uri: what ``follow`` returned.
        headers: sent with the last request; they are not changed.

    Returns:
        All of them within an origin; across origins, a copy without credentials and cookies.
    """
    if headers is None or _origin(parse_uri(old_uri)) == _origin(parse_uri(new_uri)):
        return headers
    items = Headers(headers).raw_items()
    return Headers([(name, value) for name, value in items if name.lower() not in _CREDENTIALS])


def next_request(
    exc: InvalidStatus,
    uri: str,
    headers: HeadersLike | None,
    *,
    has_socket: bool,
    is_unix: bool,
    has_address: bool,
) -> tuple[str, HeadersLike | None]:
    """Return where a client goes on after a refusal, and with which of its headers.

    Args:
        exc: the refusal.
        uri, headers: of the last request.
        has_socket, is_unix, has_address: as for ``follow``.

    Raises:
        InvalidStatus: the refusal, when it is no redirect.
        InvalidURI, SecurityError, ValueError: as for ``follow``.
    """
    try:
        new_uri = follow(
            exc.response, uri, has_socket=has_socket, is_unix=is_unix, has_address=has_address
        )
    except Exception as refusal:
        raise refusal from exc
    if new_uri is None:
        raise exc
    return new_uri, headers_for(uri, new_uri, headers)


def _resolve(uri: str, location: str) -> str:
    """Return ``location`` as an absolute URI of a WebSocket; http(s) stands for ws(s).

    User info of ``uri`` stays only where the location is relative, that is, within the origin.
    """
    # Checked before they are joined, since joining removes what makes it invalid.
    if not location.isascii() or not location.isprintable():
        raise InvalidURI(location, "Location must be printable ASCII")
    match = _has_scheme(location)
    if match is not None:  # then nothing is relative. RFC 3986, 5.2.2
        scheme = match.group(1).lower()
        return _SCHEMES.get(scheme, scheme) + location[match.end(1) :]
    if location.startswith("///"):
        raise InvalidURI(location, "host is missing")
    try:
        return urllib.parse.urljoin(uri, location)
    except ValueError as exc:
        raise InvalidURI(location, str(exc)) from exc


def _origin(uri: WebSocketURI) -> tuple[bool, str, int]:
    return uri.secure, uri.host, uri.port
