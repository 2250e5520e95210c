"""Authentication by token, but for asking the user: which request is let in, and as whom. RFC 6750.

Sources are asked in turn, and the first token found counts: a wrong one is not made up for by
another. Without one, or with one that is not valid, the answer is 401; after the opening, for the
first message and for a token that expires, the connection is closed with ``close_code``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import http
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...exceptions import InvalidHeader, InvalidToken
from ..close import shortened
from ..headers import build_www_authenticate_bearer
from ..http1 import Request, Response
from ..origins import SameOrigin
from ..rules import CloseCode
from ..types import Subprotocol
from .common import offered_subprotocols
from .credentials import FirstMessage, Source, SubprotocolToken
from .server import ServerHandshake

__all__ = ["TokenAuth", "Verified", "at_once", "static_tokens"]


@dataclasses.dataclass(frozen=True)
class Verified:
    """What a check may return instead of an identity.

    Args:
        identity: whose token it is.
        expires_at: seconds since the epoch; the connection is closed then. None for never.
    """

    identity: Any
    expires_at: float | None = None


def at_once(answer: Any) -> Any:
    """Return what a check of the user's has answered.

    Raises:
        TypeError: it answers later; whatever that will be, it must not be taken for a yes.
    """
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError("the check is asynchronous, and nobody here can wait for it")
    return answer


class TokenAuth:
    """Reads tokens from requests, and refuses those that bring none, or wrong ones.

    Args:
        check: told a token, says whose it is; see ``token_auth``.
        sources: where tokens may be.
        realm: what they are for; ASCII.
        close_code: for connections that are open already: 1008, or 3000-4999.

    Raises:
        TypeError: something else is among the sources.
        ValueError: there is no source, or the realm or the code cannot be sent.
    """

    def __init__(
        self,
        check: Callable[[str], Any],
        sources: Iterable[Source | FirstMessage],
        realm: str,
        close_code: CloseCode | int,
    ) -> None:
        if not callable(check):
            raise TypeError(f"check must be a function, not {type(check).__name__}")
        self.check = check
        sources = list(sources)
        self._sources = [source for source in sources if isinstance(source, Source)]
        messages = [source for source in sources if isinstance(source, FirstMessage)]
        if len(self._sources) + len(messages) < len(sources):
            raise TypeError("sources must be a list of AuthorizationHeader(), Cookie(name), ...")
        if not sources or len(messages) > 1:
            raise ValueError("there must be a source of tokens, and at most one FirstMessage")
        self.first_message = messages[0] if messages else None
        """Where the token may come later, or None."""
        if close_code != CloseCode.POLICY_VIOLATION and not 3000 <= close_code < 5000:
            raise ValueError(f"close_code must be 1008 or 3000-4999, not {close_code}")
        self.close_code = close_code
        self._realm = realm
        build_www_authenticate_bearer(realm)

    def find(self, handshake: ServerHandshake, request: Request) -> str | Response | None:
        """Return the token of a request, None where there is none, or the response that refuses it.

        Args:
            handshake: that the request belongs to.
            request: without its token afterwards, where that could be sent back.
        """
        token: str | None = None
        try:
            for source in self._sources:
                if token is None:
                    token = source.find(request)
                    if token is not None and source.is_ambient:
                        _check_origin(handshake, request)
                source.hide(request)
                if isinstance(source, SubprotocolToken) and not source.joined:
                    _choose_marker(handshake, request, source)
        except InvalidToken as exc:
            return self.refuse(handshake, exc)
        except InvalidHeader as exc:
            return handshake.refuse(exc)
        return token

    def refuse(self, handshake: ServerHandshake, exc: InvalidToken | None = None) -> Response:
        """Return the response to a request with an invalid token, or None for without one."""
        handshake.handshake_exc = exc or InvalidToken("there is no token")
        if isinstance(exc, _WrongOrigin):
            return handshake.reject(http.HTTPStatus.FORBIDDEN, f"{exc}\n")
        why = handshake.handshake_exc
        response = handshake.reject(http.HTTPStatus.UNAUTHORIZED, f"Unauthorized: {why}\n")
        response.headers["WWW-Authenticate"] = build_www_authenticate_bearer(
            self._realm, None if exc is None else str(exc)
        )
        return response

    def farewell(self, exc: Exception) -> tuple[CloseCode | int, str]:
        """Return code and reason of the Close to whose first message led to an exception."""
        if isinstance(exc, InvalidToken):
            return self.close_code, shortened(str(exc))
        return CloseCode.INTERNAL_ERROR, ""  # what is wrong in here is not for the peer

    def admit(self, connection: Any, checked: Any, now: float) -> Verified:
        """Note on a connection whose it is.

        Args:
            connection: gets ``identity``, and ``username`` where the identity is a str, or has one
                as ``"sub"`` (RFC 7519, 4.1.2).
            checked: what the check returned.
            now: the time, in seconds since the epoch.

        Raises:
            InvalidToken: the check refused the token, or it has expired.
            TypeError: the check is asynchronous, and was not waited for.
        """
        checked = at_once(checked)
        verified = checked if isinstance(checked, Verified) else Verified(checked)
        identity = verified.identity
        if identity is None or identity is False:
            raise InvalidToken("the token is not valid")
        # Put this way round, it holds for what is no number too.
        if verified.expires_at is not None and not verified.expires_at > now:
            raise InvalidToken("the token has expired")
        connection.identity = identity
        name = identity.get("sub") if isinstance(identity, Mapping) else identity
        if isinstance(name, str):
            connection.username = name
        return verified


class _WrongOrigin(InvalidToken):
    """A cookie came from a page that is not the server's."""


def _check_origin(handshake: ServerHandshake, request: Request) -> None:
    """Refuse what browsers send for pages of others, unless ``origins`` says whose are welcome."""
    if handshake.origins is not None or "Origin" not in request.headers:
        return
    origins = request.headers.get_all("Origin")
    if len(origins) > 1 or not handshake.is_same_origin(SameOrigin(), origins[0], request.headers):
        raise _WrongOrigin("pages of this origin may not connect with a cookie")


def _choose_marker(handshake: ServerHandshake, request: Request, source: SubprotocolToken) -> None:
    """Let the marker be chosen where the server speaks no subprotocol."""
    if not handshake.available_subprotocols:
        marker = Subprotocol(source.marker)
        if marker in offered_subprotocols(request.headers):
            handshake.available_subprotocols = [marker]


def static_tokens(tokens: Mapping[str, Any] | Iterable[str]) -> Callable[[str], Any]:
    """Make a check of tokens that are known beforehand, which tells nothing by the time it takes.

    Args:
        tokens: with the identity of each; or without, then it is True.

    Raises:
        TypeError: tokens are not str; a single str is no list of them.
        ValueError: there is none, or an empty one.
    """
    if isinstance(tokens, str):
        raise TypeError("tokens must be a dict or a list of str, not one str")
    given = dict(tokens) if isinstance(tokens, Mapping) else dict.fromkeys(tokens, True)
    if not all(isinstance(token, str) for token in given):
        raise TypeError("tokens must be str")
    if not given or "" in given:
        raise ValueError("there must be tokens, none of them empty")
    # Digests are all of one length, so that not even that of a token is told.
    known = [(_digest(token), identity) for token, identity in given.items()]

    def check(token: str) -> Any:
        digest, found = _digest(token), None
        for expected, identity in known:
            if hmac.compare_digest(digest, expected):
                found = identity
        return found

    return check


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
