"""What both roles ask of a head: tokens in any case and over many lines, and single values."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.core.handshake.factories import Small

from wirebird.core.fields import Headers
from wirebird.core.frames import RSV1, RSV2, RSV3
from wirebird.core.handshake.common import (
    check_upgrade,
    offered_extensions,
    offered_subprotocols,
    shares_reserved_bit,
    single_value,
)
from wirebird.exceptions import (
    InvalidHeader,
    InvalidHeaderFormat,
    InvalidUpgrade,
    InvalidVersion,
)


def heads(connection: list[str], upgrade: list[str]) -> Headers:
    lines = [("Connection", value) for value in connection]
    return Headers([*lines, *(("Upgrade", value) for value in upgrade)])


@pytest.mark.parametrize(
    ("connection", "upgrade", "name", "value"),
    [
        ([], ["websocket"], "Connection", None),
        (["close"], ["websocket"], "Connection", "close"),
        (["keep-alive", "close"], ["websocket"], "Connection", "keep-alive, close"),
        (["Upgraded"], ["websocket"], "Connection", "Upgraded"),
        (["Upgrade"], [], "Upgrade", None),
        (["Upgrade"], ["h2c"], "Upgrade", "h2c"),
        (["Upgrade"], ["h2c", "TLS/1.0"], "Upgrade", "h2c, TLS/1.0"),
        (["Upgrade"], ["websockets"], "Upgrade", "websockets"),
        (["Upgrade"], ["websocket/13"], "Upgrade", "websocket/13"),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_no_websocket_is_spoken_of(
    connection: list[str], upgrade: list[str], name: str, value: str | None, alone: bool
) -> None:
    with pytest.raises(InvalidUpgrade) as caught:
        check_upgrade(heads(connection, upgrade), alone=alone)
    assert (caught.value.name, caught.value.value) == (name, value)


@pytest.mark.parametrize("broken", ["", "a b", "(websocket)", "websocket;", "\xe9"])
def test_what_is_no_list_is_refused(broken: str) -> None:
    for headers in heads([broken], ["websocket"]), heads(["Upgrade"], [broken]):
        with pytest.raises(InvalidHeaderFormat):
            check_upgrade(headers, alone=False)


@pytest.mark.parametrize(
    ("connection", "upgrade"),
    [
        (["Upgrade"], ["websocket"]),
        (["upgrade"], ["WebSocket"]),
        (["keep-alive, UPGRADE"], ["WEBSOCKET"]),
        (["keep-alive", "Upgrade"], [", websocket ,"]),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_a_websocket_is_spoken_of(connection: list[str], upgrade: list[str], alone: bool) -> None:
    check_upgrade(heads(connection, upgrade), alone=alone)


@pytest.mark.parametrize("upgrade", [["h2c, websocket"], ["websocket", "h2c"], ["websocket"] * 2])
def test_other_protocols_may_stand_beside_it_in_a_request_alone(upgrade: list[str]) -> None:
    check_upgrade(heads(["Upgrade"], upgrade), alone=False)
    with pytest.raises(InvalidUpgrade):
        check_upgrade(heads(["Upgrade"], upgrade), alone=True)


def test_single_values() -> None:
    headers = Headers([("A", "1"), ("B", "2"), ("b", "2")])
    assert single_value(headers, "a") == "1"
    with pytest.raises(InvalidHeader, match="there are 2 of them"):
        single_value(headers, "B")
    with pytest.raises(InvalidHeader, match="missing C header"):
        single_value(headers, "C")
    for name in "B", "C":
        with pytest.raises(InvalidVersion):
            single_value(headers, name, InvalidVersion)


def test_offers_are_collected_from_all_lines() -> None:
    headers = Headers(
        [
            ("Sec-WebSocket-Extensions", "a; b=1, c"),
            ("Sec-WebSocket-Protocol", "x, y"),
            ("sec-websocket-extensions", "d"),
            ("sec-websocket-protocol", "z"),
        ]
    )
    assert offered_extensions(headers) == [("a", [("b", "1")]), ("c", []), ("d", [])]
    assert offered_subprotocols(headers) == ["x", "y", "z"]
    assert offered_extensions(Headers()) == []
    assert offered_subprotocols(Headers()) == []


@pytest.mark.parametrize(
    ("bits", "others", "expected"),
    [
        (RSV1, [], False),
        (RSV1, [RSV1], True),
        (RSV1, [RSV2, RSV3], False),
        (RSV1 | RSV2, [RSV3, RSV2], True),
        (0, [0, RSV1], False),
        (None, [RSV1, None], False),
        (RSV1, [None], False),
    ],
)
def test_reserved_bits_are_used_once(
    bits: int | None, others: list[int | None], expected: bool
) -> None:
    accepted = [Small("b", other) for other in others]
    assert shares_reserved_bit(Small("a", bits), accepted) is expected


@pytest.mark.parametrize("length", [1, 300])
def test_what_was_offered_can_be_changed_by_whoever_asked(length: int) -> None:
    headers = Headers(
        [("Sec-WebSocket-Extensions", f"a; b={'c' * length}"), ("Sec-WebSocket-Extensions", "d")]
    )
    expected = [("a", [("b", "c" * length)]), ("d", [])]
    for _ in range(2):
        offered = offered_extensions(headers)
        assert offered == expected
        for _, params in offered:
            cast(list[Any], params).append("changed")
        offered.clear()
