"""Where a request has its token: what is found, and what is refused instead of chosen."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from wirebird.core.fields import Headers
from wirebird.core.handshake.credentials import (
    AuthorizationHeader,
    Cookie,
    FirstMessage,
    QueryParameter,
    Source,
    SubprotocolToken,
)
from wirebird.core.http1 import Request
from wirebird.exceptions import InvalidToken

PROTOCOLS = "Sec-WebSocket-Protocol"
KUBERNETES = SubprotocolToken("base64url.bearer.authorization.k8s.io.", joined=True, base64url=True)
K = KUBERNETES.marker


def request(*lines: tuple[str, str], path: str = "/") -> Request:
    return Request(path, Headers(list(lines)))


@pytest.mark.parametrize(
    ("source", "asked", "expected"),
    [
        (AuthorizationHeader(), request(), None),
        (AuthorizationHeader(), request(("Authorization", "Bearer a.b-c_~+/=")), "a.b-c_~+/="),
        (AuthorizationHeader(), request(("authorization", "bEARER  abc")), "abc"),
        (AuthorizationHeader(), request(("Authorization", "Basic abc")), None),
        (AuthorizationHeader("Token"), request(("Authorization", "token abc")), "abc"),
        (Cookie("sid"), request(), None),
        (Cookie("sid"), request(("Cookie", "a=b; sid=abc; c")), "abc"),
        (Cookie("sid"), request(("Cookie", 'xsid=b; sid="a=c"')), "a=c"),
        (Cookie("sid"), request(("Cookie", "a=b"), ("Cookie", "sid=abc")), "abc"),
        (Cookie("sid"), request(("Cookie", "sid=; SID=a")), None),
        (QueryParameter(), request(), None),
        (QueryParameter(), request(path="/?room=1&token=a%2Bb+c"), "a+b c"),
        (QueryParameter("t"), request(path="/?token=1&t=2"), "2"),
        (QueryParameter(), request(path="/?token="), None),
        (SubprotocolToken(), request(), None),
        (SubprotocolToken(), request((PROTOCOLS, "chat, bear, x")), None),
        (SubprotocolToken(), request((PROTOCOLS, "chat, bearer, a.b.c")), "a.b.c"),
        (SubprotocolToken(), request((PROTOCOLS, "bearer"), (PROTOCOLS, "abc, chat")), "abc"),
        (SubprotocolToken("jwt", base64url=True), request((PROTOCOLS, "jwt, w6ktXw")), "é-_"),
        (KUBERNETES, request((PROTOCOLS, f"{K}YWJj, v4.channel.k8s.io")), "abc"),
        (KUBERNETES, request((PROTOCOLS, "v4.channel.k8s.io")), None),
    ],
)
def test_found(source: Source, asked: Request, expected: str | None) -> None:
    assert source.find(asked) == expected


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        (
            AuthorizationHeader(),
            request(("Authorization", "Bearer a"), ("Authorization", "Bearer a")),
        ),
        (AuthorizationHeader(), request(("Authorization", "Bearer"))),
        (AuthorizationHeader(), request(("Authorization", "Bearer a b"))),
        (AuthorizationHeader(), request(("Authorization", "Bearer é"))),
        # A page of a neighbouring host may have set the other.
        (Cookie("sid"), request(("Cookie", "sid=a; sid=b"))),
        (Cookie("sid"), request(("Cookie", "sid=a"), ("Cookie", "sid=a"))),
        (QueryParameter(), request(path="/?token=a&token=b")),
        (QueryParameter(), request(path="/?" + "a=b&" * 65)),
        (SubprotocolToken(), request((PROTOCOLS, "chat, bearer"))),
        (SubprotocolToken(), request((PROTOCOLS, "bearer, a, bearer, b"))),
        (SubprotocolToken(), request((PROTOCOLS, "bearer, SECRET, @"))),
        (SubprotocolToken(base64url=True), request((PROTOCOLS, "bearer, a"))),
        (SubprotocolToken(base64url=True), request((PROTOCOLS, "bearer, _w"))),
        (SubprotocolToken(base64url=True), request((PROTOCOLS, "bearer, a+b"))),
        (KUBERNETES, request((PROTOCOLS, f"{K}YWJj"))),
        (KUBERNETES, request((PROTOCOLS, f"{K}YWJj, {K}YWJj, x"))),
    ],
)
def test_refused(source: Source, asked: Request) -> None:
    with pytest.raises(InvalidToken) as caught:
        source.find(asked)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "offered", "left"),
    [
        (SubprotocolToken(), "chat, bearer, abc", ["chat, bearer"]),
        (SubprotocolToken(), "bearer, abc", ["bearer"]),
        (SubprotocolToken(), "chat", ["chat"]),
        (KUBERNETES, f"{K}YWJj, v4.channel.k8s.io", ["v4.channel.k8s.io"]),
    ],
)
def test_hidden(source: Source, offered: str, left: list[str]) -> None:
    asked = request((PROTOCOLS, offered), ("Host", "a"))
    source.hide(asked)
    assert asked.headers.get_all(PROTOCOLS) == left
    assert asked.headers["Host"] == "a"


@pytest.mark.parametrize(
    ("extract", "message", "expected"),
    [
        (None, "abc", "abc"),
        (None, b"abc", None),
        (lambda message: json.loads(message)["token"], '{"token": "abc"}', "abc"),
        (lambda message: json.loads(message)["token"], '{"token": 1}', None),
        (lambda message: json.loads(message)["token"], "[]", None),
        (lambda message: json.loads(message)["token"], "{}", None),
        (lambda message: json.loads(message)["token"], "no JSON", None),
        (lambda message: message.decode(), b"abc", "abc"),
        (lambda message: message.decode(), b"\xff", None),
    ],
)
def test_first_messages(extract: Any, message: Any, expected: str | None) -> None:
    first = FirstMessage(extract=extract)
    if expected is None:
        with pytest.raises(InvalidToken, match="no token in the first message"):
            first.token_in(message)
    else:
        assert first.token_in(message) == expected


def test_only_cookies_are_sent_by_browsers_for_any_page() -> None:
    assert Cookie("a").is_ambient
    assert not any(
        kind.is_ambient for kind in (AuthorizationHeader, QueryParameter, SubprotocolToken)
    )


def test_a_base64url_token_is_what_pages_write() -> None:
    token = "geheim – é"
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    source = SubprotocolToken(base64url=True)
    assert source.find(request((PROTOCOLS, f"bearer, {encoded}"))) == token
