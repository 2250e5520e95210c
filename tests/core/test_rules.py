"""The rule tables, against the RFCs, against websockets, and with each other."""

from __future__ import annotations

from typing import Any

import pytest
import websockets.frames as peer
import websockets.protocol

from wirebird.core import rules
from wirebird.core.rules import (
    CLOSE_CODE_EXPLANATIONS,
    CTRL_OPCODES,
    DATA_OPCODES,
    EXTERNAL_CLOSE_CODES,
    OK_CLOSE_CODES,
    CloseCode,
    Opcode,
    Role,
    State,
    is_wire_close_code,
)


def members(enumeration: Any) -> dict[str, int]:
    return {member.name: member.value for member in enumeration}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Opcode, peer.Opcode),
        (CloseCode, peer.CloseCode),
        (Role, websockets.protocol.Side),
        (State, websockets.protocol.State),
    ],
)
def test_enumerations_have_the_names_and_numbers_of_websockets(ours: Any, theirs: Any) -> None:
    assert members(ours) == members(theirs)


@pytest.mark.parametrize(
    "name",
    [
        "CLOSE_CODE_EXPLANATIONS",
        "CTRL_OPCODES",
        "DATA_OPCODES",
        "EXTERNAL_CLOSE_CODES",
        "OK_CLOSE_CODES",
    ],
)
def test_tables_are_those_of_websockets(name: str) -> None:
    assert getattr(rules, name) == getattr(peer, name)


def test_opcodes() -> None:
    assert (*DATA_OPCODES, *CTRL_OPCODES) == tuple(Opcode)
    assert all(opcode < 8 for opcode in DATA_OPCODES)
    assert all(opcode >= 8 for opcode in CTRL_OPCODES)


def test_every_close_code_is_explained() -> None:
    assert list(CLOSE_CODE_EXPLANATIONS) == list(CloseCode)
    internal = {c for c, explanation in CLOSE_CODE_EXPLANATIONS.items() if "[int" in explanation}
    assert internal == {1005, 1006, 1015} == set(CloseCode) - EXTERNAL_CLOSE_CODES


def test_ok_close_codes() -> None:
    assert {1000, 1001, 1005} == OK_CLOSE_CODES


def test_close_codes_on_the_wire() -> None:
    allowed = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    assert {code for code in range(-10, 70_000) if is_wire_close_code(code)} == allowed


def test_limits_fit_each_other() -> None:
    assert rules.MAX_CONTROL_PAYLOAD_BYTES == 125
    assert rules.MAX_REASON_BYTES == 123
    assert rules.MAX_REQUEST_LINE_BYTES <= rules.MAX_HEAD_BYTES
    assert rules.MAX_HEADER_LINE_BYTES <= rules.MAX_HEAD_BYTES
    assert rules.MAX_FRAGMENTS > 65_536  # so many come in Autobahn's case 9.3.1
    assert rules.VIOLATION_GRACE_S <= rules.CLOSE_TIMEOUT_S < rules.WRITE_TIMEOUT_S


def test_all_names_exist() -> None:
    assert all(hasattr(rules, name) for name in rules.__all__)
