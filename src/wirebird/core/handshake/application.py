"""What an application says in the answer to a request: beside the 101, or in its place.

The opening handshake owns some headers of a 101, and how a response ends the connection is not for
the application to say either. RFC 6455, 4.2.2; RFC 9112, 6 and 9.6.
"""

from __future__ import annotations

import http
from collections.abc import Iterable

from ..fields import Headers, check_header
from ..headers import validate_subprotocols
from ..http1 import Response, chunk
from ..types import Subprotocol

__all__ = ["add_to_accepted", "denial"]

# What a response with 101 says by itself, or must not say. RFC 6455, 4.2.2; RFC 9110, 8.6.
_HANDSHAKE_HEADERS = {
    *("connection", "upgrade", "sec-websocket-accept", "sec-websocket-extensions"),
    *("content-length", "transfer-encoding"),
}
_SUBPROTOCOL = "Sec-WebSocket-Protocol"


def add_to_accepted(
    response: Response,
    headers: Iterable[tuple[str, str]],
    subprotocol: Subprotocol | None = None,
) -> Subprotocol | None:
    """Add what an application says to a 101, before it is sent.

    Args:
        response: with 101, as ``ServerHandshake.accept`` made it for a server without subprotocols.
        headers: to add; Sec-WebSocket-Protocol among them is as good as ``subprotocol``.
        subprotocol: that the application chose.

    Returns:
        The subprotocol.

    Raises:
        ValueError: a header is the handshake's own, or cannot stand in a head; or what was chosen
            is not one token. The response is as it was.
    """
    added = []
    for name, value in headers:
        if name.lower() in _HANDSHAKE_HEADERS:
            raise ValueError(f"the opening handshake itself says {name}")
        if name.lower() != _SUBPROTOCOL.lower():
            check_header(name, value)
            added.append((name, value))
        elif subprotocol is None:
            subprotocol = Subprotocol(value)
        else:
            raise ValueError("there is more than one subprotocol")
    if subprotocol is not None:
        validate_subprotocols([subprotocol])
        added.append((_SUBPROTOCOL, subprotocol))
    for name, value in added:
        response.headers.set_insecure(name, value)
    return subprotocol


def denial(
    status: int,
    headers: Iterable[tuple[str, str]],
    body: bytes = b"",
    *,
    has_more: bool = False,
) -> Response:
    """Return an application's own response, which refuses the connection.

    Args:
        status: 200-599; there need not be a name for it.
        headers: whatever an HTTP response may have. How its body is framed, and that it is the
            last on this connection, is said here.
        body: all of it, or its beginning.
        has_more: there is more of it: it is as long as ``headers`` say, or else chunked.

    Raises:
        ValueError: the status does not refuse, or a header cannot stand in a head.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"a WebSocket cannot be refused with the HTTP status {status}")
    response = Response(status, _phrase(status), Headers(), body)
    for name, value in headers:
        lowered = name.lower()
        if lowered in ("connection", "transfer-encoding") or (
            lowered == "content-length" and not has_more
        ):
            continue
        response.headers[name] = value
    response.headers["Connection"] = "close"
    if status in (204, 304):  # RFC 9112, 6.3: they have no body
        response.body = b""
    elif not has_more:
        response.headers["Content-Length"] = str(len(body))
    elif "Content-Length" not in response.headers:
        response.headers["Transfer-Encoding"] = "chunked"
        response.body = chunk(body)
    return response


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
