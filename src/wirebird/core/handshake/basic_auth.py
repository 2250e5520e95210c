"""HTTP Basic authentication of the opening handshake, but for asking the user. RFC 7617."""

from __future__ import annotations

import hmac
import http
from collections.abc import Callable, Iterable
from typing import Any, cast

from ...exceptions import InvalidHeader
from ..fields import MultipleValuesError
from ..headers import build_www_authenticate_basic, parse_authorization_basic
from ..http1 import Request, Response
from ..types import StatusLike

__all__ = ["BasicAuth"]


class BasicAuth:
    """Reads credentials from requests, and refuses those that bring none, or wrong ones.

    Args:
        realm: what they are for; ASCII.
        credentials: a pair (name, password), or several.
        check_credentials: told name and password, says whether they are right. One of this and
            ``credentials`` is needed.

    Raises:
        TypeError: ``credentials`` are not pairs of str.
        ValueError: both or neither of the two are given.
    """

    def __init__(
        self,
        realm: str,
        credentials: tuple[str, str] | Iterable[tuple[str, str]] | None,
        check_credentials: Callable[[str, str], Any] | None,
    ) -> None:
        if (credentials is None) == (check_credentials is None):
            raise ValueError("provide either credentials or check_credentials")
        self.check: Callable[[str, str], Any] = (
            _checker(credentials) if check_credentials is None else check_credentials
        )
        """Says whether a name and a password are right, as the user's function does."""
        self._challenge = build_www_authenticate_basic(realm)

    def read(
        self, request: Request, respond: Callable[[StatusLike, str], Response]
    ) -> tuple[str, str] | Response:
        """Return name and password, or the response for a request without them.

        Args:
            request: of the client.
            respond: makes a response of a status and a text.
        """
        try:
            return parse_authorization_basic(request.headers["Authorization"])
        except KeyError:
            return self.refuse(respond, "Missing credentials\n")
        except (InvalidHeader, MultipleValuesError):
            return self.refuse(respond, "Unsupported credentials\n")

    def refuse(
        self,
        respond: Callable[[StatusLike, str], Response],
        text: str = "Invalid credentials\n",
    ) -> Response:
        """Return the response that asks for other credentials."""
        response = respond(http.HTTPStatus.UNAUTHORIZED, text)
        response.headers["WWW-Authenticate"] = self._challenge
        return response


def _checker(credentials: Any) -> Callable[[str, str], bool]:
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
