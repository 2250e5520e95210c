"""What a script may say when it closes. WebSockets Standard, 3.1, "close(code, reason)"."""

from __future__ import annotations

import math

from ..core.rules import MAX_REASON_BYTES
from .data import scalar_values
from .errors import DOMException

__all__ = ["checked_close"]


def checked_close(code: object, reason: str | None) -> tuple[int | None, str]:
    """Return the code and the reason for a Close; a reason without a code goes with 1000.

    Args:
        code: a number, which is clamped to 16 bits and rounded; None for none.
        reason: lone surrogates become U+FFFD; None for none.

    Raises:
        DOMException: InvalidAccessError for a code that is neither 1000 nor 3000-4999,
            SyntaxError for a reason of more than 123 bytes as UTF-8.
    """
    number = None if code is None else _clamped(code)
    if number is not None and number != 1000 and not 3000 <= number <= 4999:
        raise DOMException(
            f"a close code is 1000 or from 3000 to 4999, not {code!r}", "InvalidAccessError"
        )
    text = scalar_values(reason or "")
    if len(text.encode()) > MAX_REASON_BYTES:
        raise DOMException(
            f"a close reason has at most {MAX_REASON_BYTES} bytes as UTF-8", "SyntaxError"
        )
    return (1000 if number is None and text else number), text


def _clamped(code: object) -> int:
    """Convert to an unsigned short. Web IDL, 3.2.4.9, with [Clamp]."""
    try:
        number = float(code)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0
    except OverflowError:
        return 65535
    return 0 if math.isnan(number) else round(min(max(number, 0.0), 65535.0))
