"""UTF-8, checked as it comes and refused at the first byte that cannot be. RFC 6455, 8.1.

Python's incremental decoder waits for the end of a sequence only where a valid end is still
possible, with one exception: a surrogate (ED A0..BF) is refused at its third byte; here at its
second.
"""

from __future__ import annotations

import codecs

from .types import BytesLike

__all__ = ["Utf8Validator"]

_decoder = codecs.getincrementaldecoder("utf-8")


class Utf8Validator:
    """Checks a text that comes in pieces.

    Errors carry the position in the whole text, not in the piece.
    """

    __slots__ = ("_checked", "_decoder")

    def __init__(self) -> None:
        self._decoder = _decoder()
        self._checked = 0  # bytes of complete characters

    def feed(self, data: BytesLike, final: bool = False) -> None:
        """Check the next piece.

        Args:
            data: any bytes-like object.
            final: whether the text ends with it.

        Raises:
            UnicodeDecodeError: a byte cannot be there, or the text ends within a character;
                ``start`` is its position in the whole text.
        """
        pending = self._decoder.getstate()[0]
        try:
            self._decoder.decode(data, final)
        except UnicodeDecodeError as exc:
            raise self._at(exc.object, exc.start, exc.end, exc.reason) from None
        rest = self._decoder.getstate()[0]
        self._checked += len(pending) + len(data) - len(rest)
        if len(rest) == 2 and rest[0] == 0xED and rest[1] >= 0xA0:
            raise self._at(rest, 0, 1, "invalid continuation byte")

    def _at(self, data: bytes, start: int, end: int, reason: str) -> UnicodeDecodeError:
        exc = UnicodeDecodeError("utf-8", data, start, end, reason)
        exc.start = self._checked + start
        exc.end = self._checked + end
        return exc
