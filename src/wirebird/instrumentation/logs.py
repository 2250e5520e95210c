"""Log records that say which connection they are of, as JSON or as lines.

A record that a connection logs has the connection itself (``record.websocket``). Here its facts
become fields: id, addresses, path, state, close code. Nothing of them is secret: of the path, the
query is left out, and headers are not shown at all.

What a peer chose, such as the reason of a Close, may be in a message or in an exception. It cannot
pretend to be another record: JSON escapes it, and ``LineFormatter`` escapes control characters and
indents what is more than a line.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

__all__ = ["ConnectionFields", "JsonFormatter", "LineFormatter"]

_FIELDS = ("connection_id", "remote_address", "path", "state", "close_code")
# Control characters of ASCII and Latin 1, other ends of lines, and marks that turn text around.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class ConnectionFields(logging.Filter):
    """Gives each record the fields of its connection, for the format string of any formatter.

    They are ``connection_id``, ``remote_address``, ``path``, ``state`` and ``close_code``; ``None``
    where there is none. ::

        handler.addFilter(ConnectionFields())
        handler.setFormatter(logging.Formatter("%(connection_id)s %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; every record passes."""
        fields = _fields_of(getattr(record, "websocket", None))
        for name in _FIELDS:
            setattr(record, name, fields.get(name))
        return True


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, in ASCII.

    Its fields are ``time`` (ISO 8601, UTC), ``level``, ``logger``, ``event`` (the message), those
    of the connection as far as they are known (``connection_id``, ``remote_address``, ``path``,
    ``state``, ``close_code``), ``exception`` (its class), ``traceback``.

    Args:
        fields: further attributes of records to show, such as those given as ``extra``.
    """

    def __init__(self, *, fields: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._further = fields

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        shown: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            **_fields_of(getattr(record, "websocket", None)),
        }
        for name in self._further:
            if hasattr(record, name):
                shown[name] = getattr(record, name)
        if record.exc_info and record.exc_info[0] is not None:
            shown["exception"] = record.exc_info[0].__name__
            shown["traceback"] = self.formatException(record.exc_info)
        try:
            return json.dumps(shown, default=_shown, allow_nan=False)
        except (TypeError, ValueError, RecursionError):  # a key, a cycle, NaN: of a further field
            for name in self._further:
                if name in shown:
                    shown[name] = _shown(shown[name])
            return json.dumps(shown)


class LineFormatter(logging.Formatter):
    """Formats a record as a line of text that no peer can forge.

    Args:
        fmt: as for ``logging.Formatter``, with the fields of ``ConnectionFields``.
        datefmt: as for ``logging.Formatter``.
    """

    def __init__(
        self,
        fmt: str = "%(asctime)s %(levelname)s %(connection_id)s %(remote_address)s %(message)s",
        datefmt: str | None = None,
    ) -> None:
        super().__init__(fmt, datefmt)
        self._fields = ConnectionFields()

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        # A formatter leaves its text of an exception for the next one, in which ours is escaped.
        theirs, record.exc_text = record.exc_text, None
        try:
            return super().format(record)
        finally:
            record.exc_text = theirs

    def formatMessage(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        self._fields.filter(record)
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """See ``logging.Formatter``."""
        return "\n".join("    " + escaped(line) for line in super().formatException(ei).split("\n"))

    def formatStack(self, stack_info: str) -> str:
        """See ``logging.Formatter``."""
        return "\n".join("    " + escaped(line) for line in stack_info.split("\n"))


def escaped(text: str) -> str:
    """Show control characters as they are written in Python."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _shown(value: object) -> str:
    """Return what is no JSON as text."""
    try:
        return str(value)
    except Exception as exc:
        return f"<{type(value).__name__}, which raises {type(exc).__name__}>"


def _fields_of(connection: Any) -> dict[str, Any]:
    """What is known of a connection; nothing of one that is gone."""
    if connection is None:
        return {}
    fields: dict[str, Any] = {}
    try:
        fields["connection_id"] = str(connection.id)
        fields["state"] = connection.state.name
        if connection.request is not None:
            fields["path"] = connection.request.path.partition("?")[0]
        if connection.close_code is not None:
            fields["close_code"] = connection.close_code
        address = connection.remote_address
        if isinstance(address, tuple) and len(address) >= 2:
            host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
            fields["remote_address"] = f"{host}:{address[1]}"
        elif address:
            fields["remote_address"] = str(address)
    except (ReferenceError, AttributeError):  # it is gone, or has not begun
        pass
    return fields
