"""What went wrong with some of many, when all of them were sent something."""

from __future__ import annotations

import traceback
from typing import Protocol

from .types import LoggerLike

__all__ = ["Failures"]


class _Logging(Protocol):
    @property
    def logger(self) -> LoggerLike: ...


class Failures:
    """Collects failures, to raise or to log them.

    Args:
        raises: whether to raise them at the end, and not to log each.
    """

    def __init__(self, *, raises: bool) -> None:
        self._raises = raises
        self._exceptions: list[Exception] = []

    def add(self, connection: _Logging, exc: Exception) -> None:
        """Take one, of a connection."""
        if self._raises:
            self._exceptions.append(exc)
        else:
            what = traceback.format_exception_only(exc)[0].strip()
            connection.logger.warning("skipped broadcast: %s", what)

    def finish(self) -> None:
        """Raise them, if that is wanted and there are any.

        Raises:
            ExceptionGroup: of all.
        """
        if self._exceptions:
            raise ExceptionGroup("skipped broadcast", self._exceptions)
