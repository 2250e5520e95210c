"""What of authentication by token happens after the opening, in the thread of the handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.handshake.credentials import FirstMessage
from ..core.handshake.token_auth import TokenAuth
from ..core.rules import CloseCode
from ..exceptions import ConnectionClosed, InvalidToken
from .waiting import Deadline

if TYPE_CHECKING:
    from .server_connection import ServerConnection

__all__ = ["is_let_in"]


def is_let_in(connection: ServerConnection, auth: TokenAuth, first: FirstMessage) -> bool:
    """Receive the first message, and return whether it says who the client is; else close."""
    code, reason = auth.close_code, ""
    try:
        _take_first_message(connection, auth, first)
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
    connection.close(code, reason.encode()[:120].decode(errors="ignore"))
    return False


def _take_first_message(connection: ServerConnection, auth: TokenAuth, first: FirstMessage) -> None:
    core = connection._core
    assert core is not None
    deadline = Deadline(first.timeout_s)
    with connection._lock:
        # Whoever is not known yet makes us keep no more than this.
        before = core.limit_messages(first.max_bytes)
        if before is not None and before < first.max_bytes:
            core.limit_messages(before)
    try:
        message = connection.recv(deadline.remaining())
    finally:
        with connection._lock:
            core.limit_messages(before)
    verified = auth.admit(connection, auth.check(first.token_in(message)))
    if verified.expires_at is not None:
        connection._close_at(verified.expires_at, auth.close_code, "the token has expired")
