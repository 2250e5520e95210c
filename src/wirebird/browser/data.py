"""What messages are made of beside text: blobs and array buffers, which are bytes here.

Both are ``bytes``, with the attributes that the Web gives them; so they can be compared, sliced and
written like any bytes. File API, 3; ECMAScript, 25.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from ..core.types import BytesLike

__all__ = ["ArrayBuffer", "Blob", "scalar_values"]


class Blob(bytes):
    """Bytes that are read asynchronously on the Web, and at once here.

    Args:
        parts: str, which becomes UTF-8, and bytes-like, in order.
        type: a media type.
    """

    type: str

    def __new__(cls, parts: Iterable[str | BytesLike] = (), *, type: str = "") -> Self:
        if isinstance(parts, (str, bytes, bytearray, memoryview)):
            raise TypeError("parts must be an iterable of str or bytes-like, such as [data]")
        blob = super().__new__(
            cls,
            b"".join(
                scalar_values(part).encode() if isinstance(part, str) else bytes(part)
                for part in parts
            ),
        )
        is_plain = all(" " <= character <= "~" for character in type)
        blob.type = type.lower() if is_plain else ""
        return blob

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self)

    def slice(self, start: int = 0, end: int | None = None, contentType: str = "") -> Blob:
        """Return a part; positions below 0 count from the end."""
        return Blob([bytes(self)[start:end]], type=contentType)

    async def arrayBuffer(self) -> ArrayBuffer:
        """Return the bytes."""
        return ArrayBuffer(self)

    async def bytes(self) -> bytes:
        """Return the bytes."""
        return memoryview(self).tobytes()

    async def text(self) -> str:
        """Return the bytes as text; what is not UTF-8 becomes U+FFFD."""
        return self.decode("utf-8-sig", "replace")

    def __repr__(self) -> str:
        return f"<Blob of {len(self)} bytes{f', {self.type}' if self.type else ''}>"


class ArrayBuffer(bytes):
    """Bytes, under their name on the Web. They do not change here."""

    @property
    def byteLength(self) -> int:
        """How many bytes there are."""
        return len(self)

    def slice(self, start: int = 0, end: int | None = None) -> ArrayBuffer:
        """Return a part; positions below 0 count from the end."""
        return ArrayBuffer(bytes(self)[start:end])


def scalar_values(text: str) -> str:
    """Return text that can be UTF-8: a lone surrogate becomes U+FFFD. Infra Standard, 4.6.

    Args:
        text: two surrogates that belong together become the character that they stand for.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
