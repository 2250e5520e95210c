"""No control character of a peer reaches a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.cli.talk.escape import one_line, printable


@given(st.text(alphabet=st.characters()))
def test_nothing_that_a_terminal_obeys_survives(text: str) -> None:
    shown = printable(text)
    assert {unicodedata.category(character) for character in shown} <= {
        *("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No"),
        *("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So"),
        *("Zs", "Co", "Cn"),
    } | ({"Cf"} if {"\u200c", "\u200d"} & set(shown) else set())
    assert len(shown.splitlines()) <= 1


def test_each_dangerous_character_is_escaped() -> None:
    controls = [*range(0x20), *range(0x7F, 0xA0)]
    directions = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    separators = [0x2028, 0x2029]
    invisible = [0x00AD, 0x200B, 0x2060, 0xFEFF, *range(0xE0020, 0xE0080)]
    for code in (*controls, *directions, *separators, *invisible, 0xD800, 0xDFFF):
        shown = printable(chr(code))
        assert shown.startswith("\\"), hex(code)
        assert shown.isascii()
        assert shown.isprintable()


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_what_is_harmless_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\U000e0041", "\\U000e0041"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("日本, ж, é", "日本, ж, é"),
        ("C:\\new", "C:\\new"),
    ],
)
def test_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_a_pipe_gets_one_line_and_nothing_else_is_changed(text: str) -> None:
    line = one_line(text)
    assert "\n" not in line
    assert "\r" not in line
    assert line == text.replace("\n", "\\n").replace("\r", "\\r")
