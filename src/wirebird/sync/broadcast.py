"""Sending one message to many connections, without a thread for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..core.failures import Failures
from ..core.rules import Opcode
from ..core.types import BytesLike, DataLike
from ..exceptions import ConcurrencyError, ConnectionClosed

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["broadcast"]


def broadcast(
    connections: Iterable[Connection],
    message: DataLike,
    *,
    raise_exceptions: bool = False,
    text: bool | None = None,
    **kwargs: Any,
) -> None:
    """Send a message to several connections.

    It is sent to all before anybody is waited for, so that a slow peer delays the return, and not
    the others' message. Connections that are not open are left out.

    Args:
        connections: to whom.
        message: str is sent as Text, bytes-like as Binary.
        raise_exceptions: whether to raise, at the end, what went wrong with some of them, instead
            of logging it.
        text: True to send bytes-like (UTF-8) as Text, False to send str as Binary.
        kwargs: have no effect: there is no pool of threads to be configured.

    Raises:
        TypeError: the message is of another type.
        ExceptionGroup: with ``raise_exceptions``, for those it could not be sent to.
    """
    if not isinstance(message, (str, *BytesLike.__args__)):
        raise TypeError(f"data must be str or bytes-like, not {type(message).__name__}")
    is_text = isinstance(message, str) if text is None else text
    opcode = Opcode.TEXT if is_text else Opcode.BINARY
    payload = message.encode() if isinstance(message, str) else bytes(message)
    failures = Failures(raises=raise_exceptions)
    slow: list[tuple[Connection, int]] = []
    for connection in list(connections):
        try:
            mark = _send_at_once(connection, opcode, payload)
        except Exception as exc:
            failures.add(connection, exc)
        else:
            if mark:
                slow.append((connection, mark))
    for connection, mark in slow:
        try:
            connection._wait_until_taken(mark)
        except ConnectionClosed as exc:
            failures.add(connection, _failed_to_write(exc))
    failures.finish()


def _send_at_once(connection: Connection, opcode: Opcode, payload: bytes) -> int:
    """Return the mark to wait for, 0 for none; or raise why it cannot be sent."""
    with connection._lock:
        if not connection._is_open:
            return 0
        if connection._is_sending_fragments:
            raise ConcurrencyError("sending a fragmented message")
        try:
            mark = connection._queue_frame(opcode, payload, True, None)
        except Exception as exc:
            raise _failed_to_write(exc) from exc
        if mark is None:
            raise _failed_to_write(connection.protocol.close_exc)
        connection._watch()
        return mark


def _failed_to_write(cause: Exception) -> RuntimeError:
    error = RuntimeError("failed to write message")
    error.__cause__ = cause
    return error


# Where users of websockets look for it.
broadcast.__module__ = "wirebird.sync.server"
