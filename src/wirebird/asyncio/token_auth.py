"""What of authentication by token happens after the opening: the first message, and expiry."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING

from ..core.rules import CloseCode, State
from ..core.types import Data
from ..exceptions import ConnectionClosed, InvalidToken

if TYPE_CHECKING:
    from .server_connection import ServerConnection

__all__ = ["close_at", "is_let_in"]

# No timer runs for longer; then the time is looked at anew, as a clock may have been set.
_LONGEST_TIMER_S = 3600.0


async def is_let_in(connection: ServerConnection) -> bool:
    """Receive the first message, and return whether it says who the client is; else close."""
    auth = connection._first_message
    assert auth is not None
    assert auth.first_message is not None
    waiting = connection.server.unauthenticated
    waiting.add(connection)
    try:
        async with asyncio.timeout(auth.first_message.timeout_s) as limit:
            message = await _first_message(connection)
            if message is None:
                return False
            checked = auth.check(auth.first_message.token_in(message))
            if inspect.isawaitable(checked):
                checked = await checked
            connection._admit(auth, checked)
        return True
    except Exception as exc:
        why = exc
        if isinstance(exc, TimeoutError) and limit.expired():
            why = InvalidToken("authentication timed out")
        elif not isinstance(exc, InvalidToken):
            connection.logger.error("authentication failed", exc_info=True)
    finally:
        waiting.discard(connection)
    await connection.close(*auth.farewell(why))
    return False


async def _first_message(connection: ServerConnection) -> Data | None:
    """Receive a message; None when the connection ends before it."""
    try:
        return await connection.recv()
    except ConnectionClosed:
        return None
    finally:
        assert connection._core is not None
        connection._first_message_came(connection._core)


def close_at(
    connection: ServerConnection, epoch_s: float, code: CloseCode | int, reason: str
) -> None:
    """Close a connection at a time.

    Args:
        connection: that may end before.
        epoch_s: seconds since the epoch.
        code, reason: of the Close.
    """

    timer: asyncio.TimerHandle | None = None

    def look() -> None:
        nonlocal timer
        left = epoch_s - time.time()
        if left > 0:
            timer = connection.loop.call_later(min(left, _LONGEST_TIMER_S), look)
        elif connection._core is None:
            connection.link.abort()
        elif connection.state is State.OPEN:
            connection.close_nowait(code, reason)

    def ended(_: asyncio.Future[None]) -> None:
        if timer is not None:
            timer.cancel()

    look()
    connection.connection_lost_waiter.add_done_callback(ended)
