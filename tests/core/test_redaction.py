"""What is logged of a head, and what is not."""

from __future__ import annotations

import pytest

from wirebird.core.redaction import (
    hide_parameter,
    hide_subprotocol,
    shown_header,
    shown_headers,
    shown_line,
    shown_target,
)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/chat", "/chat"),
        ("/chat?room=5&page=a%20b", "/chat?room=5&page=a%20b"),
        ("/?token=SECRET", "/?token=<hidden>"),
        ("/?room=5&access_token=SECRET&x=1", "/?room=5&access_token=<hidden>&x=1"),
        ("/?Api-Key=SECRET=SECRET", "/?Api-Key=<hidden>"),
        ("/?%74oken=SECRET", "/?%74oken=<hidden>"),
        ("/?ticket=SECRET?token=SECRET", "/?ticket=<hidden>"),
        ("/?token=SECRET&token=SECRET", "/?token=<hidden>&token=<hidden>"),
        ("/?token", "/?token"),
        ("/?a=1;token=SECRET;b=SECRET&c=2", "/?a=1;token=<hidden>&c=2"),
        ("/?token=SECRET;SECRET&c=2", "/?token=<hidden>&c=2"),
        ("/?;token=SECRET", "/?;token=<hidden>"),
        ("/?a?token=SECRET", "/?a?token=<hidden>"),
        ("/?&&=1&", "/?&&=1&"),
    ],
)
def test_targets(target: str, expected: str) -> None:
    assert shown_target(target) == expected


def test_further_parameters() -> None:
    assert shown_target("/?zz9=visible") == "/?zz9=visible"
    hide_parameter("zz9")
    assert shown_target("/?zz9=SECRET&a=b") == "/?zz9=<hidden>&a=b"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Host", "example.com", "example.com"),
        ("X-Api-Key", "SECRET", "<hidden>"),
        ("X-Amz-Security-Token", "SECRET", "<hidden>"),
        ("X-Auth-Request-User", "SECRET", "<hidden>"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZQ==", "dGhlIHNhbXBsZQ=="),
        ("WWW-Authenticate", 'Bearer realm="a"', 'Bearer realm="a"'),
        ("Referer", "https://a.example/?token=SECRET", "https://a.example/?token=<hidden>"),
        ("Location", "wss://me:SECRET@a.example/", "wss://<hidden>@a.example/"),
        ("User-Agent", "Mozilla/5.0 (X11; a@b)", "Mozilla/5.0 (X11; a@b)"),
        ("AUTHORIZATION", "Bearer SECRET", "Bearer <hidden>"),
        ("Authorization", "SECRET", "<hidden>"),
        ("Proxy-Authorization", "Basic SECRET", "Basic <hidden>"),
        ("Cookie", "a=SECRET; b=SECRET", "a=<hidden>; b=<hidden>"),
        ("Cookie", "SECRET", "<hidden>"),
        ("Set-Cookie", "a=SECRET; Path=/", "a=<hidden>; Path=<hidden>"),
        ("Sec-WebSocket-Protocol", "chat, superchat", "chat, superchat"),
        ("Sec-WebSocket-Protocol", "graphql-transport-ws", "graphql-transport-ws"),
        ("Sec-WebSocket-Protocol", "chat, bearer, SECRET", "chat, bearer, <hidden>"),
        ("Sec-WebSocket-Protocol", "Bearer,SECRET.SECRET, chat", "Bearer,<hidden>, chat"),
        ("Sec-WebSocket-Protocol", "access_token, SECRET", "access_token, <hidden>"),
        (
            "Sec-WebSocket-Protocol",
            "base64url.bearer.authorization.k8s.io.SECRET, base64.binary.k8s.io",
            "<hidden>, base64.binary.k8s.io",
        ),
        ("Sec-WebSocket-Protocol", f"x, {'S' * 40}", "x, <hidden>"),
        ("Sec-WebSocket-Protocol", "Y" * 41, "<hidden>"),
    ],
)
def test_headers(name: str, value: str, expected: str) -> None:
    assert shown_header(name, value) == expected


def test_a_token_on_another_line_than_its_marker() -> None:
    name = "Sec-WebSocket-Protocol"
    lines = [(name, "chat, bearer"), ("Host", "a"), (name.lower(), "SECRET, b"), (name, "c")]
    assert list(shown_headers(lines)) == [
        (name, "chat, bearer"),
        ("Host", "a"),
        (name.lower(), "<hidden>, b"),
        (name, "c"),
    ]


def test_markers_that_do_not_tell_what_they_are() -> None:
    hide_subprotocol("v9.zz", is_joined=False)
    hide_subprotocol("zz9-", is_joined=True)
    shown = shown_header("Sec-WebSocket-Protocol", "v9.zz, SECRET, a, zz9-SECRET, b")
    assert shown == "v9.zz, <hidden>, a, <hidden>, b"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Host: a", "Host: a"),
        ("Host : a", "Host : a"),
        ("Host", "Host"),
        ("Authorization : Bearer SECRET", "Authorization : <hidden>"),
        ("Authorization\t:Bearer SECRET", "Authorization\t:Bearer <hidden>"),
        ("Cookie a=SECRET", "Cookie <hidden>"),
        (" Bearer SECRET", "  <hidden>"),
        ("\tSECRET: a", "\t <hidden>"),
        ("GET /?token=SECRET HTTP/1.1", "GET /?token=<hidden>"),
        ("GET /?a=1 HTTP/1.1", "GET /?a=1 HTTP/1.1"),
    ],
)
def test_lines_that_are_no_proper_ones(line: str, expected: str) -> None:
    assert shown_line(line) == expected
