"""Errors by name, as the Web's interfaces raise them. Web IDL, 4.3 (DOMException)."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["DOMException"]


class DOMException(Exception):
    """An error that is known by its name.

    Args:
        message: for people.
        name: such as "SyntaxError", "InvalidAccessError", "InvalidStateError", "AbortError".
    """

    # Of the names that are raised here; newer ones have none (0). Web IDL, 2.8.1.
    _CODES: ClassVar = {
        "InvalidStateError": 11,
        "SyntaxError": 12,
        "InvalidAccessError": 15,
        "SecurityError": 18,
        "NetworkError": 19,
        "AbortError": 20,
    }

    def __init__(self, message: str = "", name: str = "Error") -> None:
        super().__init__(message)
        self.message = message
        self.name = name

    @property
    def code(self) -> int:
        """The number that the name had once; 0 for none."""
        return self._CODES.get(self.name, 0)

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name
