"""Which pages may connect."""

from __future__ import annotations

import pytest

from wirebird.cli.demo.origins import is_allowed_origin, normalize_origin


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
    ("origins", "hosts", "allowed"),
    [
        ([], ["127.0.0.1:8765"], True),
        ([], [], True),
        (["http://127.0.0.1:8765"], ["127.0.0.1:8765"], True),
        (["http://LOCALHOST:8765"], ["localhost:8765"], True),
        (["https://example.com"], ["example.com"], True),
        (["https://example.com"], ["example.com:443"], True),
        (["http://[::1]:8765"], ["[::1]:8765"], True),
        (["http://192.168.7.7:8765"], ["192.168.7.7:8765"], True),
        (["http://room.localhost:8765"], ["room.localhost:8765"], True),
        # Names that a stranger owns, and that lead here: DNS rebinding.
        (["http://evil.example:8765"], ["evil.example:8765"], False),
        (["http://localhost.evil.example:8765"], ["localhost.evil.example:8765"], False),
        (["http://127.0.0.1.evil.example"], ["127.0.0.1.evil.example"], False),
        (["http://evillocalhost"], ["evillocalhost"], False),
        (["http://127.0.0.1:8766"], ["127.0.0.1:8765"], False),
        (["http://localhost:8765"], ["127.0.0.1:8765"], False),
        (["https://example.com"], ["example.com:80"], False),
        (["https://evil.example"], ["example.com"], False),
        (["https://sub.example.com"], ["sub.example.com"], False),
        (["https://example.com.evil.example"], ["example.com"], False),
        (["https://example.com@evil.example"], ["evil.example"], False),
        (["null"], ["example.com"], False),
        ([""], [""], False),
        (["http://a", "http://a"], ["a"], False),
        (["http://a"], ["a", "b"], False),
        (["http://a"], [], False),
    ],
)
def test_only_the_own_server(origins: list[str], hosts: list[str], allowed: bool) -> None:
    assert is_allowed_origin(origins, hosts, [], {"example.com"}) is allowed


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        ([], True),
        (["https://example.com"], True),
        (["https://example.com:443"], True),
        (["http://example.com"], False),
        (["http://127.0.0.1:8765"], False),
        (["null"], False),
    ],
)
def test_only_those_that_are_listed(origins: list[str], allowed: bool) -> None:
    assert is_allowed_origin(origins, ["127.0.0.1:8765"], ["https://example.com"]) is allowed
