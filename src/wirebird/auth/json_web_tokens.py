"""JSON Web Tokens (RFC 7519), checked by PyJWT; what can be got wrong is refused here first.

A token names its own algorithm, and may name ``none``, or one for which the server's public key is
as good as a shared secret (RFC 8725, 2.1). So the algorithms are the server's to say, they are of
one kind, and a token that never expires is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..core.handshake.token_auth import Verified
from ..exceptions import InvalidToken

__all__ = ["jwt_check"]


def jwt_check(
    key: Any,
    *,
    algorithms: Sequence[str],
    audience: str | Iterable[str] | None = None,
    issuer: str | Sequence[str] | None = None,
    leeway_s: float = 0,
    required: Sequence[str] = ("exp",),
) -> Callable[[str], Verified]:
    """Make a check of JSON Web Tokens, for ``token_auth``; the identity is the dict of claims.

    Args:
        key: that tokens are signed with: a shared secret for HS256, 384 and 512, else a public
            key, as PEM or an object of PyJWT or cryptography. Or a function that is told the
            token and returns the key; it must not wait.
        algorithms: such as ``["ES256"]``; no others are accepted. Those with a shared secret and
            those with a public key cannot be mixed.
        audience: that tokens must be for (``aud``); without it, those that name one are refused.
        issuer: that tokens must be from (``iss``).
        leeway_s: how many seconds clocks may differ.
        required: claims that there must be. Connections are closed at ``exp``.

    Raises:
        ImportError: PyJWT is not there: ``pip install 'wirebird[jwt]'``.
        TypeError: ``algorithms`` is not a list.
        ValueError: there is no algorithm, ``none`` is among them, or they are of both kinds;
            or the key is empty.
    """
    try:
        import jwt
    except ImportError as error:
        raise ImportError("jwt_check needs PyJWT: pip install 'wirebird[jwt]'") from error
    _check_algorithms(algorithms)
    if key is None or key in ("", b""):  # with which anybody could sign
        raise ValueError("the key is empty")
    algorithms = list(algorithms)
    options: Any = {"require": list(required)}

    def key_for(token: str) -> Any:
        try:
            return key(token)
        except LookupError as exc:  # the name of a key is what the client wrote
            raise InvalidToken("the token is not valid") from exc

    def check(token: str) -> Verified:
        try:
            claims = jwt.decode(
                token,
                key_for(token) if callable(key) else key,
                algorithms=algorithms,
                audience=audience,
                issuer=issuer,
                leeway=leeway_s,
                options=options,
            )
            expires_at = claims.get("exp")
            return Verified(claims, None if expires_at is None else float(expires_at) + leeway_s)
        except jwt.ExpiredSignatureError as exc:
            raise InvalidToken("the token has expired") from exc
        # JSON that is nested too deeply, and numbers that are none.
        except (jwt.InvalidTokenError, UnicodeError, RecursionError, OverflowError) as exc:
            raise InvalidToken("the token is not valid") from exc

    return check


def _check_algorithms(algorithms: Sequence[str]) -> None:
    if isinstance(algorithms, str):
        raise TypeError(f"algorithms must be a list, not one str: {algorithms!r}")
    if not algorithms:
        raise ValueError("say which algorithms tokens are signed with, such as ['ES256']")
    if any(algorithm.lower() == "none" for algorithm in algorithms):
        raise ValueError("the algorithm 'none' is no signature")
    if len({algorithm.startswith("HS") for algorithm in algorithms}) > 1:
        raise ValueError(
            "algorithms with a shared secret (HS...) and with a public key cannot be mixed: "
            "anybody could sign with the public key as the secret"
        )
