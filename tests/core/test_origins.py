"""Which pages may connect."""

from __future__ import annotations

import pytest

from wirebird.core.origins import SameOrigin, normalize_origin, parse_origins


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://example.com", "https://example.com"),
        ("HTTPS://Example.COM/", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("https://example.com:80", "https://example.com:80"),
        ("http://[::1]:8765", "http://[::1]:8765"),
        (" http://127.0.0.1:8765 ", "http://127.0.0.1:8765"),
    ],
)
def test_normalized(origin: str, expected: str) -> None:
    assert normalize_origin(origin) == expected


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "example.com",
        "ws://example.com",
        "file:///etc/passwd",
        "https://",
        "https://example.com/page",
        "https://example.com?x",
        "https://user@example.com",
        "https://example.com:http",
        "https://example.com:99999",
        "https://[::1",
    ],
)
def test_no_origin(origin: str) -> None:
    with pytest.raises(ValueError):
        normalize_origin(origin)


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://127.0.0.1:8765", "127.0.0.1:8765", True),
        ("http://LOCALHOST:8765", "localhost:8765", True),
        ("https://example.com", "example.com", True),
        ("https://example.com", "EXAMPLE.com:443", True),
        ("http://[::1]:8765", "[::1]:8765", True),
        ("http://192.168.7.7:8765", "192.168.7.7:8765", True),
        ("http://room.localhost:8765", "room.localhost:8765", True),
        # Names that a stranger owns, and that lead here: DNS rebinding.
        ("http://evil.example:8765", "evil.example:8765", False),
        ("http://localhost.evil.example:8765", "localhost.evil.example:8765", False),
        ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example", False),
        ("http://evillocalhost", "evillocalhost", False),
        ("http://127.0.0.1:8766", "127.0.0.1:8765", False),
        ("http://localhost:8765", "127.0.0.1:8765", False),
        ("https://example.com", "example.com:80", False),
        ("https://evil.example", "example.com", False),
        ("https://sub.example.com", "sub.example.com", False),
        ("https://example.com.evil.example", "example.com", False),
        ("https://example.com@evil.example", "evil.example", False),
        ("https://evil.example", "evil.example@example.com", False),
        ("null", "example.com", False),
        ("", "", False),
        ("http://a", "", False),
    ],
)
def test_only_the_own_server(origin: str, host: str, allowed: bool) -> None:
    assert SameOrigin(["Example.com"]).allows(origin, host) is allowed


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "allowed"),
    [
        ("https://any.example", "any.example", None, True),
        ("https://any.example", "any.example", "wss", True),
        ("https://any.example", "any.example", "ws", True),
        ("http://any.example", "any.example", None, True),
        ("http://any.example", "any.example", "ws", True),
        # Whoever is on the way writes pages of http, and they share the cookies of https.
        ("http://any.example", "any.example", "wss", False),
        ("http://any.example:443", "any.example:443", "wss", False),
        ("https://other.example", "any.example", "wss", False),
    ],
)
def test_any_name_and_schemes(origin: str, host: str, scheme: str | None, allowed: bool) -> None:
    assert SameOrigin().allows(origin, host, scheme) is allowed


def test_hosts_are_a_list() -> None:
    with pytest.raises(TypeError, match="list of str"):
        SameOrigin("example.com")
    assert repr(SameOrigin(["B.example", "a.example"])) == (
        "SameOrigin(hosts=['a.example', 'b.example'])"
    )
    assert repr(SameOrigin()) == "SameOrigin()"


def test_origins_as_people_write_them() -> None:
    assert parse_origins("https://a.example *") is None
    assert parse_origins("HTTPS://a.example/ http://b.example:80") == [
        None,
        "https://a.example",
        "http://b.example",
    ]
    origins = parse_origins("same same:a.example,B.example same:")
    assert repr(origins) == (
        "[None, SameOrigin(), SameOrigin(hosts=['a.example', 'b.example']), SameOrigin(hosts=[])]"
    )


@pytest.mark.parametrize(
    "text", ["", " ", "example.com", "https://a.example ws://b.example", "Same"]
)
def test_what_is_none_of_them(text: str) -> None:
    with pytest.raises(ValueError):
        parse_origins(text)
