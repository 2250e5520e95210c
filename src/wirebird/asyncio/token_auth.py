"""What of authentication by token happens after the opening: the first message, and expiry."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING

from ..core.handshake.credentials import FirstMessage
from ..core.handshake.token_auth import TokenAuth
from ..core.rules import CloseCode, State
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
    code, reason = auth.close_code, ""
    try:
        async with asyncio.timeout(auth.first_message.timeout_s):
            await _take_first_message(connection, auth, auth.first_message)
        return True
    except TimeoutError:
        reason = "authentication timed out"
    except InvalidToken as exc:
        reason = str(exc)
    except ConnectionClosed:
        pass
    except Exception:
        connection.logger.error("authentication failed", exc_info=True)
        code = CloseCode.INTERNAL_ERROR
    finally:
        waiting.discard(connection)
    await connection.close(code, reason.encode()[:120].decode(errors="ignore"))
    return False


async def _take_first_message(
    connection: ServerConnection, auth: TokenAuth, first: FirstMessage
) -> None:
    core = connection._core
    assert core is not None
    # Whoever is not known yet makes us keep no more than this.
    before = core.limit_messages(first.max_bytes)
    if before is not None and before < first.max_bytes:
        core.limit_messages(before)
    try:
        message = await connection.recv()
    finally:
        core.limit_messages(before)
    checked = auth.check(first.token_in(message))
    if inspect.isawaitable(checked):
        checked = await checked
    verified = auth.admit(connection, checked)
    if verified.expires_at is not None:
        connection._close_at(verified.expires_at, auth.close_code, "the token has expired")


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
