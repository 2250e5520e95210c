"""HTTP Basic authentication of the opening handshake. RFC 7617."""

from __future__ import annotations

import hmac
import http
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from ..core.fields import MultipleValuesError
from ..core.headers import build_www_authenticate_basic, parse_authorization_basic
from ..core.http1 import Request, Response
from ..exceptions import InvalidHeader

if TYPE_CHECKING:
    from .server import ServerConnection

__all__ = ["basic_auth"]

Check = Callable[[str, str], Awaitable[bool] | bool]


def basic_auth(
    realm: str = "",
    credentials: tuple[str, str] | Iterable[tuple[str, str]] | None = None,
    check_credentials: Check | None = None,
) -> Callable[[ServerConnection, Request], Awaitable[Response | None]]:
    """Make a ``process_request`` that asks for a name and a password.

    With the right ones the connection's ``username`` is set; otherwise the answer is 401.

    Args:
        realm: what they are for; ASCII.
        credentials: a pair (name, password), or several.
        check_credentials: told name and password, says whether they are right; may be
            asynchronous. One of this and ``credentials`` is needed.

    Raises:
        TypeError: ``credentials`` are not pairs of str.
        ValueError: both or neither of the two are given.
    """
    if (credentials is None) == (check_credentials is None):
        raise ValueError("provide either credentials or check_credentials")
    check = _checker(credentials) if check_credentials is None else check_credentials
    challenge = build_www_authenticate_basic(realm)

    async def process_request(connection: ServerConnection, request: Request) -> Response | None:
        def refuse(text: str) -> Response:
            response = connection.respond(http.HTTPStatus.UNAUTHORIZED, text)
            response.headers["WWW-Authenticate"] = challenge
            return response

        try:
            username, password = parse_authorization_basic(request.headers["Authorization"])
        except KeyError:
            return refuse("Missing credentials\n")
        except (InvalidHeader, MultipleValuesError):
            return refuse("Unsupported credentials\n")
        is_right = check(username, password)
        if isinstance(is_right, Awaitable):
            is_right = await is_right
        if not is_right:
            return refuse("Invalid credentials\n")
        connection.username = username
        return None

    return process_request


def _checker(credentials: Any) -> Check:
    if not isinstance(credentials, Iterable):
        raise TypeError(f"invalid credentials argument: {credentials!r}")
    pairs = list(credentials)
    if _is_pair(pairs):
        pairs = [tuple(pairs)]
    if not all(_is_pair(pair) for pair in pairs):
        raise TypeError("invalid credentials argument: expected pairs of str")
    passwords = dict(cast(list[tuple[str, str]], pairs))

    def check(username: str, password: str) -> bool:
        # The same work for names that there are and names that there are not.
        expected = passwords.get(username, "")
        is_equal = hmac.compare_digest(
            expected.encode(errors="surrogateescape"), password.encode(errors="surrogateescape")
        )
        return is_equal and username in passwords

    return check


def _is_pair(credentials: Any) -> bool:
    try:
        username, password = credentials
    except (TypeError, ValueError):
        return False
    return isinstance(username, str) and isinstance(password, str)
