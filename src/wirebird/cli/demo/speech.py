"""What is taken from a peer in the room, and in which form. Nothing it sends is trusted.

Names and texts become one line of characters that can be seen: white space of any kind is one
space, control characters, those that change the direction of what follows and those that show
nothing are left out, and no character carries a tower of marks.
"""

from __future__ import annotations

import dataclasses
import json
import random
import unicodedata

__all__ = [
    "MAX_NAME_CHARACTERS",
    "MAX_TEXT_CHARACTERS",
    "BadSpeech",
    "Ping",
    "Rename",
    "Say",
    "clean",
    "clean_name",
    "parse_speech",
    "pick_name",
]

MAX_NAME_CHARACTERS = 24
MAX_TEXT_CHARACTERS = 280

_MAX_MARKS = 3
_ZERO_WIDTH_JOINER = "\u200d"  # holds emoji together

# Letters and a symbol that are drawn as nothing: fillers of Hangul, and the empty Braille cell.
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")

_MANNERS = """
    Amber Brisk Calm Dapper Eager Early Gentle Keen Lucky Mellow Merry Nimble Patient Quick Quiet
    Rosy Silver Sunny Swift Tidy
"""
_BIRDS = """
    Avocet Bittern Curlew Dunnock Finch Godwit Heron Hoopoe Jackdaw Kestrel Lapwing Linnet Martin
    Oriole Osprey Pipit Plover Redstart Robin Siskin Starling Swallow Tern Wagtail Wren
"""


class BadSpeech(ValueError):
    """What a peer said is not understood or not allowed.

    Args:
        code: a word that programs can compare.
        text: a sentence for people.
        about: the type of the message, when it is known.
    """

    def __init__(self, code: str, text: str, about: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.about = about


@dataclasses.dataclass(frozen=True)
class Say:
    """A message to everybody."""

    text: str


@dataclasses.dataclass(frozen=True)
class Rename:
    """A new name for oneself."""

    name: str


@dataclasses.dataclass(frozen=True)
class Ping:
    """A question for the round-trip time; ``id`` comes back."""

    id: int


def parse_speech(message: str) -> Say | Rename | Ping:
    """Understand one message of a peer.

    Raises:
        BadSpeech: it is not JSON, not of a known type, or empty or too long.
    """
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        raise BadSpeech("not_json", "That was not JSON.") from None
    kind = event.get("type") if isinstance(event, dict) else None
    match kind:
        case "say":
            text = clean(_string(event, "text", kind), MAX_TEXT_CHARACTERS, kind)
            return Say(text)
        case "rename":
            return Rename(clean(_string(event, "name", kind), MAX_NAME_CHARACTERS, kind))
        case "ping":
            number = event.get("id")
            if type(number) is not int or not 0 <= number < 2**53:
                raise BadSpeech("bad_id", "A ping needs an id from 0 to 2^53 - 1.", kind)
            return Ping(number)
    raise BadSpeech("unknown_type", "The type must be say, rename or ping.")


def _string(event: dict[str, object], key: str, about: str) -> str:
    value = event.get(key)
    if not isinstance(value, str):
        raise BadSpeech("bad_text", f"{key} must be a string.", about)
    return value


def clean(text: str, limit: int, about: str | None = None) -> str:
    """Return text as one line of printable characters.

    Args:
        text: what came.
        limit: of characters (code points) in the result.
        about: the type of the message, for the error.

    Raises:
        BadSpeech: nothing is left of it, or more than ``limit``.
    """
    line = "".join(_printable(unicodedata.normalize("NFC", " ".join(text.split()))))
    # Where something was left out, others have become neighbours.
    line = unicodedata.normalize("NFC", " ".join(line.split()))
    if not line.strip(_ZERO_WIDTH_JOINER + " "):
        raise BadSpeech("empty", "There is nothing in it that can be shown.", about)
    if len(line) > limit:
        raise BadSpeech("too_long", f"At most {limit} characters, please.", about)
    return line


def _printable(text: str) -> list[str]:
    shown = []
    marks = _MAX_MARKS  # at the beginning there is nothing that could carry one
    for character in text:
        category = unicodedata.category(character)
        if category[0] == "M":
            marks += 1
            if marks > _MAX_MARKS:
                continue
        elif character != _ZERO_WIDTH_JOINER:
            # Cc control, Cf format, Cs surrogates, Co private, Cn unassigned.
            if category[0] == "C" or character in _BLANKS:
                continue
            # Not where something was left out, or the tower would go on; and a space carries none.
            marks = _MAX_MARKS if character == " " else 0
        shown.append(character)
    return shown


def clean_name(wanted: str | None, otherwise: str) -> str:
    """Return the name that somebody wants when it can be had, or else the other."""
    try:
        return clean(wanted or "", MAX_NAME_CHARACTERS)
    except BadSpeech:
        return otherwise


def pick_name(chance: random.Random) -> str:
    """Make up a name: of a bird, for who has none."""
    return f"{chance.choice(_MANNERS.split())} {chance.choice(_BIRDS.split())}"
