"""When a server that is not available wants to be asked again: Retry-After. RFC 9110, 10.2.3."""

from __future__ import annotations

import datetime
import email.utils
import re

from .http1 import Response

__all__ = ["MAX_RETRY_AFTER_S", "retry_after"]

MAX_RETRY_AFTER_S = 600.0
"""No server can put its clients off for longer at a time."""

_is_seconds = re.compile(r"[0-9]{1,18}").fullmatch
_STATUSES = frozenset({429, 503})  # RFC 6585, 4; RFC 9110, 15.6.4


def retry_after(response: Response, now: float) -> float:
    """Return for how many seconds a response asks not to come back; 0 where it does not ask.

    Args:
        response: that refuses the handshake.
        now: seconds since 1970, for dates.
    """
    values = response.headers.get_all("Retry-After")
    if response.status_code not in _STATUSES or len(values) != 1:
        return 0.0
    value = values[0].strip()
    wait = float(value) if _is_seconds(value) else _until(value, now)
    return min(max(wait, 0.0), MAX_RETRY_AFTER_S)


def _until(value: str, now: float) -> float:
    try:
        date = email.utils.parsedate_to_datetime(value)
        if date.tzinfo is None:  # "-0000", or none
            date = date.replace(tzinfo=datetime.UTC)
        return date.timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0
