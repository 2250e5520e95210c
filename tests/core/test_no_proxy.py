"""NO_PROXY: what it exempts, and what it does not."""

from __future__ import annotations

import pytest

from wirebird.core.no_proxy import needs_no_proxy


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("a.example", "*"),
        ("a.example", "b.example, *"),
        ("a.example", "a.example"),
        ("a.example", "A.Example"),
        ("a.example.", "a.example"),
        ("a.example", "a.example."),
        ("a.example", "b.example,a.example"),
        ("a.example", "b.example a.example"),
        ("a.example", " ,, a.example ,"),
        ("a.b.example", "b.example"),
        ("a.b.example", ".b.example"),
        ("a.b.example", "*.b.example"),
        ("b.example", ".b.example"),
        ("a.example", "a.example:8080"),
        ("xn--caf-dma.example", "café.example"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1:8080"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("10.1.2.3", "10.1.2.99/24"),
        ("::1", "::1"),
        ("::1", "0:0::1"),
        ("::1", "[::1]"),
        ("::1", "[::1]:8080"),
        ("fd00::5", "fd00::/8"),
        ("::ffff:10.0.0.1", "10.0.0.0/8"),
    ],
)
def test_exempt(host: str, no_proxy: str) -> None:
    assert needs_no_proxy(host, 8080, no_proxy)


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("a.example", ""),
        ("a.example", " , "),
        ("a.example", "."),
        ("a.example", "*."),
        ("a.example", "b.example"),
        ("notb.example", "b.example"),
        ("notb.example", ".b.example"),
        ("b.example", "a.b.example"),
        ("a.example", "a.example:80"),
        ("a.example", "a.example:"),
        ("a.example", "a.example:x"),
        ("a.example", "a.example/24"),
        ("a.example", "http://a.example"),
        ("a.example", "[a.example"),
        ("a.example", "a..é"),
        ("127.0.0.1", "0.0.1"),
        ("127.0.0.1", "1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "10.0.0.0/8"),
        ("127.0.0.1", "127.0.0.0/99"),
        ("127.0.0.1", "127.0.0.1:80"),
        ("::1", "[::1]:80"),
        ("::1", "127.0.0.0/8"),
        ("::1", "[::1"),
    ],
)
def test_not_exempt(host: str, no_proxy: str) -> None:
    assert not needs_no_proxy(host, 8080, no_proxy)


def test_a_long_list_takes_no_longer_than_it_must() -> None:
    assert not needs_no_proxy("a.example", 80, "*" * 100_000 + "," + "[" * 100_000)
