"""Text of a peer, made safe for where it is shown.

A terminal obeys what it prints. A peer that may write control characters to it can move the
cursor over what was there before, change colours and titles, put text into the clipboard, or,
with some terminals, have commands typed. Characters that turn the direction of writing can make
one thing look like another. So on a terminal none of these is printed: each is shown as its
escape, as Python writes it, and a message never takes more than its line.

A backslash that the peer sent stays a single one: this is for reading, not for reading back.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["one_line", "printable"]

# Joiners have no effect outside of scripts and emoji that need them.
_HARMLESS_FORMATS = {"\u200c", "\u200d"}

# Controls (C0, DEL, C1), formats (bidirectional overrides, zero widths, tags), surrogates, and
# the separators of lines and paragraphs.
_UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}

# Most messages hold nothing but these, and need no look at each character.
_PLAIN = re.compile(r"[\x20-\x7e\xa1-\xac\xae-\u02ff]*")


def printable(text: str) -> str:
    """Return ``text`` with an escape for each character that a terminal might obey."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_shown, text))


def one_line(text: str) -> str:
    r"""Return ``text`` on one line, for a pipe: CR and LF become ``\r`` and ``\n``.

    Everything else stays as it came, since programs read it, and obey nothing.
    """
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _UNSAFE_CATEGORIES:
        return character
    if character in _HARMLESS_FORMATS:
        return character
    return character.encode("unicode_escape").decode("ascii")
