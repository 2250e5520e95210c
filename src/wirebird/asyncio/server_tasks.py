"""The tasks of a server's connections: from the opening handshake to the end of the handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from ..core.rules import CloseCode
from .token_auth import is_let_in

if TYPE_CHECKING:
    from .server_connection import ServerConnection

__all__ = ["AtOnce", "CoroutineHandler", "run_connection", "run_handler"]

CoroutineHandler = Callable[["ServerConnection"], Awaitable[None]]


class AtOnce(NamedTuple):
    """What opening a connection without a task needs to know; see ``serve``."""

    server_header: str | None
    open_timeout: float | None
    handle: CoroutineHandler | None


async def run_connection(
    open_connection: Callable[[ServerConnection], Awaitable[None]],
    handle: CoroutineHandler | None,
    connection: ServerConnection,
) -> None:
    """Take a connection from its opening handshake to its end; nothing of it is left behind.

    Args:
        open_connection: does the opening handshake.
        handle: the user's handler; None where callbacks handle it, which need no task.
        connection: that is to be opened.
    """
    try:
        await open_connection(connection)
        if handle is None or connection._core is None:
            return
    except Exception:
        connection.logger.error("opening handshake failed", exc_info=True)
        return
    finally:
        if connection._core is None:
            connection._abandon()
    await run_handler(handle, connection)


async def run_handler(handle: CoroutineHandler, connection: ServerConnection) -> None:
    """Run the handler of a connection that is open, and close it.

    Nothing stands between this and the user's handler: each coroutine there costs each message.
    """
    server = connection.server
    if connection._first_message is not None and not await is_let_in(connection):
        return
    server._let_in(connection)
    code = CloseCode.INTERNAL_ERROR
    try:
        await handle(connection)
        code = CloseCode.NORMAL_CLOSURE
    except Exception as exc:
        connection.logger.error("connection handler failed", exc_info=True)
        connection._note_handler_failed(exc)
    finally:
        try:
            await connection.close(code)
        finally:
            server._connection_ended(connection)
            connection._abandon()
