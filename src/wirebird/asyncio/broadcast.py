"""Sending one message to many connections, without waiting for any of them."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..core.backlog import Held
from ..core.rules import State
from ..core.types import DataLike
from ..exceptions import ConcurrencyError, ConnectionClosed
from .nowait import held_message

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
    held = held_message(message, text)
    exceptions: list[Exception] = []
    for connection in connections:
        if connection.state is not State.OPEN:
            continue
        try:
            _send_at_once(connection, held)
        except Exception as exc:
            if raise_exceptions:
                exceptions.append(exc)
            else:
                connection.logger.warning(
                    "skipped broadcast: %s", traceback.format_exception_only(exc)[0].strip()
                )
    if exceptions:
        raise ExceptionGroup("skipped broadcast", exceptions)


def _send_at_once(connection: Connection, held: Held) -> None:
    core = connection._core
    assert core is not None
    if core.is_sending_fragments:
        raise ConcurrencyError("sending a fragmented message")
    try:
        connection._send_now(held)
        connection._flush()
        if connection._link_error is not None:
            raise connection._link_error
    except ConnectionClosed:  # for this message: the policy for slow consumers
        raise
    except Exception as exc:
        raise RuntimeError("failed to write message") from exc


# Where users of websockets look for it.
broadcast.__module__ = "wirebird.asyncio.server"
