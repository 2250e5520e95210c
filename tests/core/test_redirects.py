"""Redirects: where a client does not go, where it goes, and what it leaves behind."""

from __future__ import annotations

import pytest

from wirebird.core.fields import Headers, HeadersLike
from wirebird.core.http1 import Response
from wirebird.core.redirects import MAX_REDIRECTS, follow, headers_for, next_request
from wirebird.exceptions import InvalidStatus, InvalidURI, SecurityError

OLD = "ws://old.example/a/b?c"


def redirect(*locations: str, status: int = 302) -> Response:
    return Response(status, "", Headers([("Location", location) for location in locations]))


def go(
    location: str,
    uri: str = OLD,
    *,
    has_socket: bool = False,
    is_unix: bool = False,
    has_address: bool = False,
) -> str | None:
    return follow(
        redirect(location),
        uri,
        has_socket=has_socket,
        is_unix=is_unix,
        has_address=has_address,
    )


# Attacks.


@pytest.mark.parametrize(
    "location",
    [
        "ws://old.example/",
        "ws://new.example/",
        "http://old.example/",
        "HTTP://old.example/",
        "ws://old.example:443/",
    ],
)
def test_encryption_is_not_given_up(location: str) -> None:
    with pytest.raises(SecurityError, match="from wss to ws"):
        go(location, "wss://old.example/")


@pytest.mark.parametrize(
    "location",
    [
        "ftp://new.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/plain,x",
        "ws://",
        "ws:///",
        "ws:",
        "ws:x",
        "ws:/x",
        "///evil.example/",
        "////evil.example/",
        "https:///evil.example/",
        "ws://new.example/#fragment",
        "#fragment",
        "ws://new.example/a b",
        "/a b",
        "/a\tb",
        "/a\\b",
        "\\\\evil.example/",
        "/\\evil.example/",
        "ws://old.example\\@evil.example/",
        "w\ts://evil.example/",
        "/caf\xc3\xa9",
        "ws://caf\xe9.example/",
        "ws://new.example:0/",
        "ws://new.example:x/",
        "ws://[::1/",
        "//[::1/",
        "ws://[::1]evil/",
        "ws://user@new.example/",
    ],
)
def test_a_location_that_is_no_websocket_is_refused(location: str) -> None:
    with pytest.raises(InvalidURI):
        go(location)


@pytest.mark.parametrize("location", ["/c", "ws://new.example/", "wss://old.example/"])
def test_a_socket_that_was_given_is_used_up(location: str) -> None:
    with pytest.raises(ValueError, match="socket was given"):
        go(location, has_socket=True)


@pytest.mark.parametrize("is_unix", [False, True])
@pytest.mark.parametrize(
    "location",
    ["ws://new.example/", "wss://old.example/", "ws://old.example:81/", "//new.example/"],
)
def test_an_address_that_was_given_is_for_one_origin(location: str, is_unix: bool) -> None:
    with pytest.raises(ValueError, match="Unix socket" if is_unix else "host or port") as caught:
        go(location, is_unix=is_unix, has_address=not is_unix)
    assert "another origin" in str(caught.value)
    for same in "/c", "ws://old.example:80/c":
        assert go(same, is_unix=is_unix, has_address=not is_unix) is not None


CROSS = [
    ("ws://a.example/", "ws://b.example/"),
    ("ws://a.example/", "ws://a.example.b/"),
    ("ws://a.example/", "ws://a.example:81/"),
    ("ws://a.example/", "wss://a.example/"),
    ("ws://a.example:443/", "wss://a.example/"),
    ("ws://a.example/", "ws://sub.a.example/"),
]
SECRET = [("Authorization", "x"), ("COOKIE", "y"), ("cookie", "z"), ("proxy-authorization", "w")]


@pytest.mark.parametrize(("old", "new"), CROSS)
@pytest.mark.parametrize("kind", [list, Headers, dict])
def test_credentials_and_cookies_stay_within_the_origin(
    old: str, new: str, kind: type[list[tuple[str, str]]] | type[Headers] | type[dict[str, str]]
) -> None:
    headers: HeadersLike = kind([("X-A", "1"), *SECRET, ("X-B", "2")])
    before = repr(headers)
    left = headers_for(old, new, headers)
    assert list(Headers(left or {}).raw_items()) == [("X-A", "1"), ("X-B", "2")]
    assert repr(headers) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ws://a.example/", "ws://a.example/b"),
        ("ws://a.example/", "ws://A.EXAMPLE:80/"),
        ("wss://a.example:443/", "wss://a.example/"),
        ("ws://u:p@a.example/", "ws://a.example/"),
    ],
)
def test_within_an_origin_all_headers_go_along(old: str, new: str) -> None:
    assert headers_for(old, new, SECRET) is SECRET


def test_no_headers_remain_none() -> None:
    assert headers_for("ws://a.example/", "ws://b.example/", None) is None


def test_credentials_of_the_uri_stay_within_the_origin() -> None:
    uri = "ws://user:secret@old.example/"
    assert go("/b", uri) == "ws://user:secret@old.example/b"
    for location in "ws://new.example/b", "//new.example/b", "//new.example", "wss://old.example/":
        new_uri = go(location, uri)
        assert new_uri is not None
        assert "secret" not in new_uri


# Where it goes.


@pytest.mark.parametrize("status", range(100, 600))
def test_which_statuses_are_redirects(status: int) -> None:
    new_uri = follow(
        redirect("/x", status=status), OLD, has_socket=False, is_unix=False, has_address=False
    )
    if status in {300, 301, 302, 303, 307, 308}:
        assert new_uri == "ws://old.example/x"
    else:
        assert new_uri is None


@pytest.mark.parametrize("locations", [(), ("/x", "/y"), ("/x", "/x")])
def test_where_there_is_not_one_location_there_is_no_redirect(locations: tuple[str, ...]) -> None:
    response = redirect(*locations)
    assert follow(response, OLD, has_socket=True, is_unix=True, has_address=True) is None


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("ws://new.example/x?y", "ws://new.example/x?y"),
        ("wss://new.example:444/", "wss://new.example:444/"),
        ("http://new.example/x", "ws://new.example/x"),
        ("https://new.example/x", "wss://new.example/x"),
        ("HTTPS://new.example/x", "wss://new.example/x"),
        ("//new.example/x", "ws://new.example/x"),
        ("/x", "ws://old.example/x"),
        ("x", "ws://old.example/a/x"),
        ("../x", "ws://old.example/x"),
        ("../../../x", "ws://old.example/x"),
        ("?x", "ws://old.example/a/b?x"),
        ("", "ws://old.example/a/b?c"),
        ("/http://x/", "ws://old.example/http://x/"),
        ("ws://[::1]:81/", "ws://[::1]:81/"),
    ],
)
def test_where_a_location_leads(location: str, expected: str) -> None:
    assert go(location) == expected


def test_the_scheme_of_a_relative_location_is_kept() -> None:
    assert go("/x", "wss://old.example/") == "wss://old.example/x"
    assert go("//new.example/x", "wss://old.example/") == "wss://new.example/x"


def test_how_many_are_followed() -> None:
    assert MAX_REDIRECTS == 10


# The next request.


def test_the_next_request_of_a_client() -> None:
    given = {"has_socket": False, "is_unix": False, "has_address": False}
    headers = {"Authorization": "secret", "X-A": "b"}
    uri, kept = next_request(InvalidStatus(redirect("ws://new.example/")), OLD, headers, **given)
    assert uri == "ws://new.example/"
    assert kept is not None
    assert list(Headers(kept).raw_items()) == [("X-A", "b")]
    refusal = InvalidStatus(redirect(status=404))
    with pytest.raises(InvalidStatus) as caught:
        next_request(refusal, OLD, None, **given)
    assert caught.value is refusal
    leads_nowhere = InvalidStatus(redirect("ftp://x/"))
    with pytest.raises(InvalidURI) as invalid:
        next_request(leads_nowhere, OLD, None, **given)
    assert invalid.value.__cause__ is leads_nowhere
