"""What a server answers to a request, once its user's hooks were asked.

Adapters wait for the request and ask the hooks, each in its own way; what comes of it is said here.
"""

from __future__ import annotations

import http
from typing import Any

from ..admission import Refusal
from ..http1 import Request, Response
from .server import ServerHandshake

__all__ = ["checked", "failed", "refused", "response_to", "shutting_down", "too_late"]


def checked(response: Any) -> Response | None:
    """Return what a hook returned.

    Raises:
        TypeError: it is neither a response nor None.
    """
    if response is not None and not isinstance(response, Response):
        raise TypeError(f"expected a Response or None, got {type(response).__name__}")
    return response


def response_to(
    handshake: ServerHandshake,
    request: Request,
    response: Response | None,
    server_header: str | None,
) -> Response:
    """Return the answer to a request.

    Args:
        handshake: that the request belongs to.
        request: of the client.
        response: that a hook wants instead of a WebSocket; None to decide by the request.
        server_header: value of Server; None for none.
    """
    if response is None:
        response = handshake.accept(request)
    if server_header is not None:
        response.replace_header("Server", server_header)
    return response


def failed(handshake: ServerHandshake, exc: Exception) -> Response:
    """Note that something on this side went wrong; the client learns nothing of it but 500."""
    handshake.handshake_exc = exc
    return handshake.reject(
        http.HTTPStatus.INTERNAL_SERVER_ERROR,
        "The WebSocket could not be opened. The server's log says more.\n",
    )


def shutting_down(handshake: ServerHandshake) -> Response:
    """Return the answer to who comes when the server is about to end."""
    return refused(handshake, Refusal.unavailable("draining", "The server is shutting down.\n"))


def refused(handshake: ServerHandshake, refusal: Refusal) -> Response:
    """Return the answer to who is not let in. RFC 9110, 10.2.3."""
    response = handshake.reject(refusal.status, refusal.text)
    response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response


def too_late(handshake: ServerHandshake, request: Request | None) -> Response:
    """Return the answer to what took too long: the request, or what hooks make of it.

    Args:
        handshake: that took too long.
        request: None when it has not come as a whole.
    """
    if request is None:
        return handshake.reject(http.HTTPStatus.REQUEST_TIMEOUT, "The request took too long.\n")
    return handshake.reject(http.HTTPStatus.SERVICE_UNAVAILABLE, "The server took too long.\n")
