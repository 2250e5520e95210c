"""What is taken from a peer in the room."""

from __future__ import annotations

import json
import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.cli.demo.speech import (
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    BadSpeech,
    Ping,
    Rename,
    Say,
    clean,
    clean_name,
    parse_speech,
    pick_name,
)


@pytest.mark.parametrize(
    ("message", "speech"),
    [
        ({"type": "say", "text": "hello"}, Say("hello")),
        ({"type": "say", "text": " a\n\tb  "}, Say("a b")),
        ({"type": "say", "text": "x" * MAX_TEXT_CHARACTERS}, Say("x" * MAX_TEXT_CHARACTERS)),
        ({"type": "rename", "name": "Nils"}, Rename("Nils")),
        ({"type": "ping", "id": 0}, Ping(0)),
        ({"type": "ping", "id": 2**53 - 1}, Ping(2**53 - 1)),
    ],
)
def test_understood(message: object, speech: object) -> None:
    assert parse_speech(json.dumps(message)) == speech


@pytest.mark.parametrize(
    ("message", "code", "about"),
    [
        ("", "not_json", None),
        ("{", "not_json", None),
        ("[" * 4000, "not_json", None),
        ("1" * 4096, "unknown_type", None),
        ("1" * 5000, "not_json", None),
        ("[]", "unknown_type", None),
        ("null", "unknown_type", None),
        ("{}", "unknown_type", None),
        ('{"type": "shout"}', "unknown_type", None),
        ('{"type": ["say"]}', "unknown_type", None),
        ('{"type": "say"}', "bad_text", "say"),
        ('{"type": "say", "text": 1}', "bad_text", "say"),
        ('{"type": "say", "text": " \\u0000\\u202e"}', "empty", "say"),
        ('{"type": "say", "text": "\\ud800"}', "empty", "say"),
        ('{"type": "rename", "name": "\\u3164\\uffa0"}', "empty", "rename"),
        ('{"type": "rename", "name": "\\u2800 \\u200d\\ufe0f"}', "empty", "rename"),
        ('{"type": "rename", "name": "\\u034f\\u0301"}', "empty", "rename"),
        (json.dumps({"type": "say", "text": "x" * 281}), "too_long", "say"),
        (json.dumps({"type": "rename", "name": "x" * 25}), "too_long", "rename"),
        ('{"type": "rename", "name": null}', "bad_text", "rename"),
        ('{"type": "ping"}', "bad_id", "ping"),
        ('{"type": "ping", "id": true}', "bad_id", "ping"),
        ('{"type": "ping", "id": 1.5}', "bad_id", "ping"),
        ('{"type": "ping", "id": NaN}', "bad_id", "ping"),
        ('{"type": "ping", "id": -1}', "bad_id", "ping"),
        ('{"type": "ping", "id": 9007199254740992}', "bad_id", "ping"),
    ],
)
def test_refused(message: str, code: str, about: str | None) -> None:
    with pytest.raises(BadSpeech) as refusal:
        parse_speech(message)
    assert (refusal.value.code, refusal.value.about) == (code, about)
    assert str(refusal.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u0000b\u0007c", "abc"),
        ("a\u202eb\u2066c", "abc"),  # would turn around what follows on the page
        ("a\u2028b\u00a0c", "a b c"),
        ("e\u0301", "é"),
        ("e\u200b\u0301", "é"),
        ("a \u0301b", "a b"),
        ("x" + "\u0336" * 40, "x" + "\u0336" * 3),
        ("x" + ("\u0336" * 3 + "\u200b") * 20, "x" + "\u0336" * 3),
        ("x" + ("\u0336" * 3 + "\u3164") * 20, "x" + "\u0336" * 3),
        ("x" + ("\u0336" * 3 + "\u200d") * 3, "x" + "\u0336" * 3 + "\u200d" * 3),
        ("\u0336\u0336x", "x"),  # would strike through what stands before it on the page
        ("Ann\u3164", "Ann"),  # would look like another's name
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"),
        ("\ufeffhello", "hello"),
        ("<b>&amp;", "<b>&amp;"),
    ],
)
def test_cleaned(text: str, expected: str) -> None:
    assert clean(text, 100) == expected


@given(st.text(max_size=400))
def test_what_is_clean_is_one_short_printable_line(text: str) -> None:
    try:
        line = clean(text, MAX_TEXT_CHARACTERS)
    except BadSpeech:
        return
    assert 0 < len(line) <= MAX_TEXT_CHARACTERS
    assert line == " ".join(line.split())
    assert not {unicodedata.category(character) for character in line} & {"Cc", "Cs", "Co", "Zl"}
    line.encode()
    assert clean(line, MAX_TEXT_CHARACTERS) == line


@given(
    st.text(
        st.sampled_from("ax \u0336\u0301\u20dd\ufe0f\u200d\u200b\u2060\u3164\u2800"), max_size=80
    )
)
def test_nothing_carries_a_tower_of_marks(text: str) -> None:
    try:
        line = clean(text, 100)
    except BadSpeech:
        return
    seen = line.replace("\u200d", "")
    bases = [character for character in seen if unicodedata.category(character)[0] != "M"]
    assert bases
    assert unicodedata.category(seen[0])[0] != "M"
    towers = "".join("M" if unicodedata.category(c)[0] == "M" else " " for c in seen).split()
    assert max(map(len, towers), default=0) <= 3


@pytest.mark.parametrize("wanted", [None, "", "\u0000", "x" * 25])
def test_who_wants_no_usable_name_gets_another(wanted: str | None) -> None:
    assert clean_name(wanted, "Quiet Wren") == "Quiet Wren"


def test_who_wants_a_name_gets_it() -> None:
    assert clean_name(" Nils  Holgersson ", "Quiet Wren") == "Nils Holgersson"


def test_made_up_names_fit() -> None:
    chance = random.Random(1)
    names = {pick_name(chance) for _ in range(500)}
    assert len(names) > 100
    assert all(clean(name, MAX_NAME_CHARACTERS) == name for name in names)
