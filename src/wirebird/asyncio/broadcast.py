"""Sending one message to many connections: it is encoded once, and nobody waits for others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING

from ..core.backlog import Held
from ..core.failures import Failures
from ..core.rules import State
from ..core.types import DataLike
from ..exceptions import ConcurrencyError, ConnectionClosed
from .base import send_shared
from .nowait import held_message

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["broadcast", "broadcast_wait"]


def broadcast(
    connections: Iterable[Connection],
    message: DataLike,
    *,
    text: bool | None = None,
    raise_exceptions: bool = False,
) -> None:
    """Send a message to several connections at once.

    Connections that are not open are left out, and so are those in the middle of a fragmented
    message. Nobody waits for a peer that does not keep up: what happens to its messages is said by
    ``slow_consumer`` of ``serve`` and ``connect``, and by default its connection is closed (1013)
    when 4 MB wait for it.

    Args:
        connections: to whom.
        message: str is sent as Text, bytes-like as Binary.
        text: True to send bytes-like (UTF-8) as Text, False to send str as Binary.
        raise_exceptions: whether to raise, at the end, what went wrong with some of them, instead
            of logging it.

    Raises:
        TypeError: the message is of another type.
        ExceptionGroup: with ``raise_exceptions``, for those it could not be sent to. Those closed
            for being slow have ConnectionClosed in it.
    """
    held = held_message(message, text)
    failures = Failures(raises=raise_exceptions)
    for connection in send_shared(connections, held.opcode, held.payload):
        if connection.state is not State.OPEN:
            continue
        try:
            _send_at_once(connection, held, connection._send_now)
        except Exception as exc:
            failures.add(connection, exc)
    failures.finish()


async def broadcast_wait(
    connections: Iterable[Connection],
    message: DataLike,
    *,
    text: bool | None = None,
    raise_exceptions: bool = False,
) -> None:
    """Send a message to several connections at once, and wait until each has taken it.

    It is sent to all before anybody is waited for, so that a slow peer delays the return, and not
    the others' message. Waiting is what ``await send`` does: until the network holds no more than
    ``write_limit`` allows; ``slow_consumer`` does not apply.

    Args:
        connections, message, text, raise_exceptions: as for ``broadcast``.

    Raises:
        TypeError: the message is of another type.
        ExceptionGroup: with ``raise_exceptions``, for those it could not be sent to, or that were
            lost meanwhile (ConnectionClosed).
    """
    held = held_message(message, text)
    failures = Failures(raises=raise_exceptions)
    slow: list[tuple[Connection, Coroutine[object, object, None]]] = []
    for connection in list(connections):
        if connection.state is not State.OPEN:
            continue
        try:
            if connection._backlog is not None:
                _check_can_send(connection)
                slow.append((connection, connection._send_frame(held.opcode, held.payload)))
                continue
            _send_at_once(connection, held, connection._frame)
            if connection._is_writing_paused:
                slow.append((connection, connection._drain()))
        except Exception as exc:
            failures.add(connection, exc)
    outcomes = await asyncio.gather(*(waiting for _, waiting in slow), return_exceptions=True)
    for (connection, _), outcome in zip(slow, outcomes, strict=True):
        if isinstance(outcome, Exception):
            failures.add(connection, outcome)
    failures.finish()


def _check_can_send(connection: Connection) -> None:
    core = connection._core
    if core is not None and core.is_sending_fragments:
        raise ConcurrencyError("sending a fragmented message")


def _send_at_once(connection: Connection, held: Held, send: Callable[[Held], None]) -> None:
    _check_can_send(connection)
    try:
        send(held)
        connection._flush()
        if connection._link_error is not None:
            raise connection._link_error
    except ConnectionClosed:  # for this message: the policy for slow consumers
        raise
    except Exception as exc:
        raise RuntimeError("failed to write message") from exc


# Where users of websockets look for it.
broadcast.__module__ = "wirebird.asyncio.server"
broadcast_wait.__module__ = "wirebird.asyncio.server"
