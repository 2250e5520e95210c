"""What of authentication by token happens after the opening, in the thread of the handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.handshake.token_auth import TokenAuth
from ..core.types import Data
from ..exceptions import ConnectionClosed, InvalidToken
from .transfer import monotonic

if TYPE_CHECKING:
    from .server_connection import ServerConnection

__all__ = ["is_let_in"]


def is_let_in(connection: ServerConnection, auth: TokenAuth) -> bool:
    """Receive the first message, and return whether it says who the client is; else close."""
    first = auth.first_message
    assert first is not None
    try:
        message = _first_message(connection, first.timeout_s)
        if message is None:
            return False
        connection._admit(auth, auth.check(first.token_in(message)))
        return True
    except Exception as exc:
        why = exc
        if not isinstance(exc, InvalidToken):
            connection.logger.error("authentication failed", exc_info=True)
    connection.close(*auth.farewell(why))
    return False


def _first_message(connection: ServerConnection, timeout_s: float) -> Data | None:
    """Receive a message; None when the connection ends before it.

    Raises:
        InvalidToken: it does not come in time.
    """
    core = connection._core
    assert core is not None
    # What comes right behind it must not be held against its limit.
    connection._took_notice = _settle_later
    try:
        return connection.recv(timeout_s)
    except ConnectionClosed:
        return None
    except TimeoutError:
        raise InvalidToken("authentication timed out") from None
    finally:
        del connection._took_notice
        with connection._lock:
            connection._first_message_came(core)
            core.settle(monotonic())
            connection._flush()


def _settle_later() -> bool:
    return True
