"""Authentication by token, as a ``process_request`` for ``serve``, of asyncio and of threads alike.

The hook asks the user's check, and waits for it only where the check waits; a check that does not
makes a hook that threads can call. What becomes of the first message, and of a token that expires,
is up to the adapter, whose connection is told of both.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from ..core.handshake.credentials import (
    AuthorizationHeader,
    FirstMessage,
    Source,
    SubprotocolToken,
)
from ..core.handshake.token_auth import TokenAuth
from ..core.http1 import Request, Response
from ..core.rules import CloseCode
from ..exceptions import InvalidToken

__all__ = ["token_auth"]


def token_auth(
    check: Callable[[str], Any],
    sources: Iterable[Source | FirstMessage] = (AuthorizationHeader(), SubprotocolToken()),
    *,
    realm: str = "",
    close_code: CloseCode | int = CloseCode.POLICY_VIOLATION,
) -> Callable[[Any, Request], Awaitable[Response | None] | Response | None]:
    """Make a ``process_request`` that asks for a token, and sets the connection's ``identity``.

    A request without a token, or with one that is not valid, is answered 401. A cookie from a page
    that is not the server's own is answered 403, unless ``origins`` of ``serve`` says whose pages
    are welcome.

    Args:
        check: told the token, a str, returns the identity it belongs to, whatever that is; or a
            ``Verified``, which tells when it expires too. None and False refuse the token, so does
            raising ``InvalidToken``, whose text the client gets. It may be asynchronous, except
            under ``wirebird.sync``.
        sources: where the token may be, in this order; the first that there is counts.
        realm: what tokens are for; ASCII, empty for nothing.
        close_code: with which a connection is closed that is open already: when the first message
            is not a valid token or does not come, and when the token expires. 1008 or 3000-4999.

    Raises:
        TypeError: something else is among the sources.
        ValueError: there is no source, or the realm or the code cannot be sent.
    """
    auth = TokenAuth(check, sources, realm, close_code)

    def process_request(
        connection: Any, request: Request
    ) -> Awaitable[Response | None] | Response | None:
        token = auth.find(connection.protocol, request)
        if isinstance(token, Response):
            return token
        if token is None:
            if auth.first_message is None:
                return auth.refuse(connection.protocol)
            connection._expect_first_message(auth)
            return None
        try:
            checked = check(token)
        except InvalidToken as exc:
            return auth.refuse(connection.protocol, exc)
        if inspect.isawaitable(checked):
            return admit_later(connection, checked)
        return admit(connection, checked)

    async def admit_later(connection: Any, checked: Awaitable[Any]) -> Response | None:
        try:
            return admit(connection, await checked)
        except InvalidToken as exc:
            return auth.refuse(connection.protocol, exc)

    def admit(connection: Any, checked: Any) -> Response | None:
        try:
            connection._admit(auth, checked)
        except InvalidToken as exc:
            return auth.refuse(connection.protocol, exc)
        return None

    process_request.auth = auth  # type: ignore[attr-defined]
    return process_request
