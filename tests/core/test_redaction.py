"""What is logged of a head, and what is not."""

from __future__ import annotations

import pytest

from wirebird.core.redaction import hide_parameter, shown_header, shown_target


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
