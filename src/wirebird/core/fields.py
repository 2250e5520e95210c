"""Header fields: names without regard to case, several values under one name. RFC 9110, 5.

Order and spelling are kept for the wire, beside a table for look-ups. Text is ISO-8859-1, which
every sequence of bytes can be read as and written back from; what another encoding says is had
by ``value.encode("iso-8859-1").decode(...)``.

What goes in is checked, and what goes out is checked again: a name must be a token, and a value
must not hold a control character, so that no text of a user can end a line and begin another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Protocol, Self

from ..exceptions import UnsafeHeader

__all__ = [
    "Headers",
    "HeadersLike",
    "MultipleValuesError",
    "SupportsKeysAndGetItem",
    "check_header",
]

_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
# HTAB, SP, VCHAR and obs-text. RFC 9110, 5.5.
_is_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
_find_lines = re.compile(r"([^:]++):([^\r]*+)\r\n").findall


class MultipleValuesError(LookupError):
    """There are several values where one was asked for; ``get_all`` returns them."""

    def __str__(self) -> str:
        # As KeyError shows its key.
        return repr(self.args[0]) if len(self.args) == 1 else super().__str__()


class Headers(MutableMapping[str, str]):
    """The headers of a request or response, in order.

    It is a mapping as long as no name comes twice, with these differences: a name is found in
    any case, iteration yields names in lower case, and setting a name *adds* a value.

    Args:
        args: at most one mapping, iterable of pairs, or Headers.
        kwargs: further headers.

    Raises:
        UnsafeHeader: a name is not a token, or a value holds a control character.
    """

    __slots__ = ("_dict", "_list")

    def __init__(self, *args: HeadersLike, **kwargs: str) -> None:
        self._dict: dict[str, list[str]] = {}
        self._list: list[tuple[str, str]] = []
        self.update(*args, **kwargs)

    @classmethod
    def from_lines(cls, lines: str) -> Self:
        """Read headers whose grammar was checked already.

        Args:
            lines: each a name, a colon and a value; each ends with CRLF.
        """
        headers = cls.__new__(cls)
        headers._list = [(name, value.strip(" \t")) for name, value in _find_lines(lines)]
        headers._dict = {}
        for name, value in headers._list:
            headers._dict.setdefault(name.lower(), []).append(value)
        return headers

    def __str__(self) -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in self._list) + "\r\n"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._list!r})"

    def copy(self) -> Self:
        """Return headers that can be changed without changing these."""
        copy = type(self)()
        copy._dict = {name: values.copy() for name, values in self._dict.items()}
        copy._list = self._list.copy()
        return copy

    def serialize(self) -> bytes:
        """Write the headers, and the empty line after them.

        Raises:
            UnsafeHeader: ``set_insecure`` brought in what must not be sent.
        """
        for name, value in self._list:
            check_header(name, value)
        return str(self).encode("iso-8859-1")

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._dict

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    def __getitem__(self, key: str) -> str:
        values = self._dict[key.lower()]
        if len(values) > 1:
            raise MultipleValuesError(key)
        return values[0]

    def __setitem__(self, key: str, value: str) -> None:
        # Exactly what is checked is kept: a subclass of str may show another face later.
        key, value = str(key), str(value)
        check_header(key, value)
        self.set_insecure(key, value)

    def __delitem__(self, key: str) -> None:
        lowered = key.lower()
        del self._dict[lowered]
        self._list = [item for item in self._list if item[0].lower() != lowered]

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._dict == other._dict

    def clear(self) -> None:
        """Remove all headers."""
        self._dict = {}
        self._list = []

    def update(self, *args: HeadersLike, **kwargs: str) -> None:
        """Add the headers of a mapping, an iterable of pairs, or Headers.

        Raises:
            UnsafeHeader: a name is not a token, or a value holds a control character.
        """
        # Listed first, since headers may be added to themselves.
        listed = [list(arg.raw_items()) if isinstance(arg, Headers) else arg for arg in args]
        super().update(*listed, **kwargs)

    def get_all(self, key: str) -> list[str]:
        """Return all values of a header, in order; none when it is not there."""
        return self._dict.get(key.lower(), []).copy()

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """Iterate over the names, as they were spelled, and values, in order."""
        return iter(self._list)

    def set_insecure(self, key: str, value: str) -> None:
        """Add a header that was checked already; ``serialize`` refuses it if it was not."""
        self._dict.setdefault(key.lower(), []).append(value)
        self._list.append((key, value))


def check_header(name: str, value: str) -> None:
    """Check that a header can stand in a head.

    Raises:
        UnsafeHeader: the name is not a token, or the value holds a control character.
    """
    if not _is_token(name) or not _is_value(value):
        raise UnsafeHeader(name, value)


class SupportsKeysAndGetItem(Protocol):
    """What can be read like a dict of str."""

    def keys(self) -> Iterable[str]:
        """Return the names."""

    def __getitem__(self, key: str) -> str: ...


HeadersLike = Headers | Mapping[str, str] | Iterable[tuple[str, str]] | SupportsKeysAndGetItem
"""Taken wherever headers are expected."""
