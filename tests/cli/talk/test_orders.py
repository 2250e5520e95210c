"""What lines of the prompt order."""

from __future__ import annotations

import pytest

from wirebird.cli.talk.orders import (
    BadOrder,
    CloseIt,
    Help,
    Order,
    Ping,
    Pong,
    Send,
    parse_order,
)


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("hello", Send("hello")),
        (" /hello", Send(" /hello")),
        ("//hello", Send("/hello")),
        ("/binary 00 fF", Send(b"\x00\xff")),
        ("/binary", Send(b"")),
        ("/ping", Ping(None)),
        ("/ping are you there", Ping("are you there")),
        ("/ping " + 125 * "x", Ping(125 * "x")),
        ("/pong", Pong("")),
        ("/pong x", Pong("x")),
        ("/close", CloseIt(1000, "")),
        ("/close 4001", CloseIt(4001, "")),
        ("/close 1001 so long", CloseIt(1001, "so long")),
        ("/quit", CloseIt(1000, "")),
        ("/help", Help()),
    ],
)
def test_orders(line: str, order: Order) -> None:
    assert parse_order(line) == order


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/", "no command"),
        ("/foo bar", "//foo bar"),
        ("/binary 0", "hexadecimal"),
        ("/binary xy", "hexadecimal"),
        ("/ping " + 126 * "x", "at most 125 bytes, not 126"),
        ("/ping " + 63 * "é", "at most 125 bytes, not 126"),
        ("/close now", "1000-1014"),
        ("/close 1005", "1005"),
        ("/close 99", "99"),
        ("/close 1000 " + 124 * "x", "124 bytes"),
    ],
)
def test_bad_orders(line: str, why: str) -> None:
    with pytest.raises(BadOrder, match=why):
        parse_order(line)
