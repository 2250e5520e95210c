"""JSON Web Tokens: the ways in which others forge them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from wirebird.auth import InvalidToken, Verified, jwt_check, static_tokens

SECRET = "an example of a secret of so many bytes, which is 64 of them or more"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


A_DAY_S = 86400  # tokens are made when tests are collected, long before some run


def token(key: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A signed token; claims that are None are left out."""
    given = {"sub": "ann", "exp": int(time.time()) + A_DAY_S, **claims}
    return jwt.encode({n: v for n, v in given.items() if v is not None}, key, algorithm)


def forged(header: dict[str, Any], claims: dict[str, Any], key: bytes | None = None) -> str:
    """A token that no library would make."""

    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    signed = encode(json.dumps(header).encode()) + "." + encode(json.dumps(claims).encode())
    if key is None:
        return signed + "."
    return signed + "." + encode(hmac.digest(key, signed.encode(), hashlib.sha256))


def test_a_valid_token() -> None:
    check = jwt_check(SECRET, algorithms=["HS256"])
    expires_at = int(time.time()) + 60
    claims = {"sub": "ann", "exp": expires_at}
    assert check(jwt.encode(claims, SECRET, "HS256")) == Verified(claims, expires_at)
    assert jwt_check(PUBLIC, algorithms=["ES256"])(token(PRIVATE, "ES256")).identity["sub"] == "ann"
    assert jwt_check(lambda given: SECRET, algorithms=["HS256"])(token())


def test_leeway_holds_for_the_connection_too() -> None:
    expired = int(time.time()) - 5
    verified = jwt_check(SECRET, algorithms=["HS256"], leeway_s=60)(token(exp=expired))
    assert verified.expires_at == expired + 60


def test_a_token_without_an_end_is_none_unless_it_is_wanted() -> None:
    with pytest.raises(InvalidToken):
        jwt_check(SECRET, algorithms=["HS256"])(token(exp=None))
    check = jwt_check(SECRET, algorithms=["HS256"], required=["sub"])
    assert check(token(exp=None)) == Verified({"sub": "ann"}, None)


FOREVER = {"sub": "ann", "exp": 2**33}


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "a.b",
        "a.b.c",
        "\udc80.b.c",
        token() + "A",
        token("another secret that is long enough, too"),
        token(algorithm="HS512"),
        forged({"alg": "none"}, FOREVER),
        forged({"alg": "None", "typ": "JWT"}, FOREVER),
        forged({"typ": "JWT"}, FOREVER),
        forged({"alg": "HS256"}, FOREVER, b""),
        forged({"alg": "HS256", "jwk": {"kty": "oct", "k": ""}}, FOREVER, b""),
        forged({"alg": "HS256", "crit": ["x"], "x": 1}, FOREVER, SECRET.encode()),
        token(nbf=int(time.time()) + A_DAY_S),
        token(aud="others"),
        token(sub=7),
        jwt.encode(FOREVER, PRIVATE, "ES256"),
    ],
)
def test_a_bad_token(bad: str) -> None:
    with pytest.raises(InvalidToken, match=r"^the token is not valid$"):
        jwt_check(SECRET, algorithms=["HS256"])(bad)


def test_an_expired_token() -> None:
    with pytest.raises(InvalidToken, match=r"^the token has expired$"):
        jwt_check(SECRET, algorithms=["HS256"])(token(exp=int(time.time()) - 1))


def test_the_public_key_is_no_secret() -> None:
    """RFC 8725, 2.1: it is known to everybody, so nobody may sign with it."""
    bad = forged({"alg": "HS256"}, FOREVER, PUBLIC)
    with pytest.raises(InvalidToken):
        jwt_check(PUBLIC, algorithms=["ES256"])(bad)
    with pytest.raises(ValueError, match="cannot be mixed"):
        jwt_check(PUBLIC, algorithms=["ES256", "HS256"])


@pytest.mark.parametrize(
    ("wanted", "claims", "is_valid"),
    [
        ({"audience": "chat"}, {"aud": "chat"}, True),
        ({"audience": "chat"}, {"aud": ["mail", "chat"]}, True),
        ({"audience": "chat"}, {"aud": "mail"}, False),
        ({"audience": "chat"}, {}, False),
        ({"issuer": "https://id.example"}, {"iss": "https://id.example"}, True),
        ({"issuer": "https://id.example"}, {"iss": "https://evil.example"}, False),
        ({"issuer": "https://id.example"}, {}, False),
    ],
)
def test_for_whom_and_from_whom(wanted: Any, claims: Any, is_valid: bool) -> None:
    check = jwt_check(SECRET, algorithms=["HS256"], **wanted)
    if is_valid:
        assert check(token(**claims)).identity["sub"] == "ann"
    else:
        with pytest.raises(InvalidToken):
            check(token(**claims))


@pytest.mark.parametrize(
    ("algorithms", "error"),
    [
        ([], ValueError),
        ("HS256", TypeError),
        (["none"], ValueError),
        (["HS256", "NONE"], ValueError),
    ],
)
def test_algorithms_are_the_server_s_to_say(algorithms: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        jwt_check(SECRET, algorithms=algorithms)


def test_without_pyjwt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(ImportError, match=r"pip install 'wirebird\[jwt\]'"):
        jwt_check(SECRET, algorithms=["HS256"])
    assert static_tokens(["abc"])("abc")
