"""HTTP Basic authentication of the opening handshake. RFC 7617."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..core.handshake.basic_auth import BasicAuth
from ..core.handshake.token_auth import at_once
from ..core.http1 import Request, Response

if TYPE_CHECKING:
    from .server_connection import ServerConnection

__all__ = ["basic_auth"]


def basic_auth(
    realm: str = "",
    credentials: tuple[str, str] | Iterable[tuple[str, str]] | None = None,
    check_credentials: Callable[[str, str], bool] | None = None,
) -> Callable[[ServerConnection, Request], Response | None]:
    """Make a ``process_request`` that asks for a name and a password.

    With the right ones the connection's ``username`` is set; otherwise the answer is 401.

    Args:
        realm: what they are for; ASCII.
        credentials: a pair (name, password), or several.
        check_credentials: told name and password, says whether they are right. One of this and
            ``credentials`` is needed.

    Raises:
        TypeError: ``credentials`` are not pairs of str.
        ValueError: both or neither of the two are given.
    """
    auth = BasicAuth(realm, credentials, check_credentials)

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        given = auth.read(request, connection.respond)
        if isinstance(given, Response):
            return given
        if not at_once(auth.check(*given)):
            return auth.refuse(connection.respond)
        connection.username = given[0]
        return None

    return process_request
