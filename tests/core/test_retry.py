"""Retry-After, also from servers that mean no good."""

from __future__ import annotations

import pytest

from wirebird.core.fields import Headers
from wirebird.core.http1 import Response
from wirebird.core.retry import MAX_RETRY_AFTER_S, retry_after

NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("30", 30),
        (" 30 ", 30),
        ("999999999999", MAX_RETRY_AFTER_S),
        ("9" * 10_000, 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
        ("²", 0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sun, 06 Nov 1994 08:50:37 -0000", 60),
        ("Sun, 06 Nov 1994 08:48:37 GMT", 0),
        ("Sun, 06 Nov 9999 08:49:37 GMT", MAX_RETRY_AFTER_S),
        ("Sun, 99 Nov 1994 08:49:37 GMT", 0),
    ],
)
def test_how_long(value: str, expected: float) -> None:
    for status in 429, 503:
        assert retry_after(Response(status, "", Headers([("Retry-After", value)])), NOW) == expected


def test_when_nobody_asks() -> None:
    assert retry_after(Response(503, "", Headers()), NOW) == 0
    assert retry_after(Response(502, "", Headers([("Retry-After", "30")])), NOW) == 0
    twice = Headers([("Retry-After", "30"), ("Retry-After", "60")])
    assert retry_after(Response(503, "", twice), NOW) == 0
