"""Sending one message to many connections, without waiting for any of them."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..core.rules import State
from ..core.types import BytesLike, DataLike
from ..exceptions import ConcurrencyError

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["broadcast"]


def broadcast(
    connections: Iterable[Connection],
    message: DataLike,
    *,
    text: bool | None = None,
    raise_exceptions: bool = False,
) -> None:
    """Send a message to several connections at once.

    Connections that are not open are left out, and so are those in the middle of a fragmented
    message. There is no backpressure: what a peer does not take waits in its buffer.

    Args:
        connections: to whom.
        message: str is sent as Text, bytes-like as Binary.
        text: True to send bytes-like (UTF-8) as Text, False to send str as Binary.
        raise_exceptions: whether to raise, at the end, what went wrong with some of them, instead
            of logging it.

    Raises:
        TypeError: the message is of another type.
        ExceptionGroup: with ``raise_exceptions``, for those it could not be sent to.
    """
    if isinstance(message, str):
        payload: BytesLike = message.encode()
        is_text = text is not False
    elif isinstance(message, BytesLike):
        payload = bytes(message)
        is_text = text is True
    else:
        raise TypeError(f"data must be str or bytes-like, not {type(message).__name__}")
    exceptions: list[Exception] = []
    for connection in connections:
        if connection.state is not State.OPEN:
            continue
        try:
            _send_at_once(connection, payload, is_text)
        except Exception as exc:
            if raise_exceptions:
                exceptions.append(exc)
            else:
                connection.logger.warning(
                    "skipped broadcast: %s", traceback.format_exception_only(exc)[0].strip()
                )
    if exceptions:
        raise ExceptionGroup("skipped broadcast", exceptions)


def _send_at_once(connection: Connection, payload: BytesLike, is_text: bool) -> None:
    core = connection._core
    assert core is not None
    if core.is_sending_fragments:
        raise ConcurrencyError("sending a fragmented message")
    try:
        if is_text:
            core.send_text(payload)
        else:
            core.send_binary(payload)
        connection._flush()
        if connection._link_error is not None:
            raise connection._link_error
    except Exception as exc:
        raise RuntimeError("failed to write message") from exc


# Where users of websockets look for it.
broadcast.__module__ = "wirebird.asyncio.server"
