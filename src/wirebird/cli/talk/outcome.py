"""How a conversation ended, as a sentence for people and an exit code for programs."""

from __future__ import annotations

import enum
import re
import ssl

from ...exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    ProxyError,
)

__all__ = [
    "Exit",
    "code_for_close",
    "code_for_failure",
    "explain_close",
    "explain_failure",
    "without_password",
]

_password = re.compile(r"(?<=://)([^/?#@:\s]*):[^/?#\s]*@")


class Exit(enum.IntEnum):
    """Exit codes of ``wirebird connect``; they are in its help."""

    OK = 0
    CLOSED_WITH_ERROR = 1
    USAGE = 2
    HANDSHAKE_REFUSED = 3
    CANNOT_CONNECT = 4
    INTERRUPTED = 130  # 128 + SIGINT, as shells count
    NOBODY_READS = 141  # 128 + SIGPIPE


def without_password(text: str) -> str:
    """Return a text with the password of each URI in it left out: what is shown may be kept."""
    return _password.sub(r"\1:***@", text)


def code_for_close(exc: ConnectionClosed) -> Exit:
    """Return the exit code for how an open connection ended."""
    return Exit.OK if isinstance(exc, ConnectionClosedOK) else Exit.CLOSED_WITH_ERROR


def explain_close(exc: ConnectionClosed) -> str:
    """Say how an open connection ended: who closed it, with which code, and what that means."""
    if exc.rcvd is None and exc.sent is None:
        why = f": {exc.__cause__}" if exc.__cause__ is not None and str(exc.__cause__) else ""
        return f"the connection broke without a closing handshake (1006){why}"
    if exc.rcvd is None:
        return f"closed by us with {exc.sent}; the peer sent no Close"
    if exc.sent is None:
        return f"closed by the peer with {exc.rcvd}; no answer could be sent"
    if exc.rcvd_then_sent:
        return f"closed by the peer with {exc.rcvd}; answered with {exc.sent}"
    return f"closed by us with {exc.sent}; answered with {exc.rcvd}"


def code_for_failure(exc: Exception) -> Exit:
    """Return the exit code for why there was no connection."""
    if isinstance(exc, InvalidHandshake) and not isinstance(exc, ProxyError):
        return Exit.HANDSHAKE_REFUSED
    return Exit.CANNOT_CONNECT


def explain_failure(exc: Exception, uri: str, timeout_s: float | None) -> str:
    """Say why there was no connection, and what can be done about it where that is known."""
    return without_password(_explain_failure(exc, uri, timeout_s))


def _explain_failure(exc: Exception, uri: str, timeout_s: float | None) -> str:
    if isinstance(exc, InvalidStatus):
        response = exc.response
        text = f"the server refused: HTTP {response.status_code} {response.reason_phrase}"
        body = bytes(response.body or b"").decode(errors="replace").strip()
        return f"{text}: {body[:500]}" if body else text
    if isinstance(exc, InvalidProxy | ProxyError):
        return f"the proxy opened no way to {uri}: {exc}"
    if isinstance(exc, InvalidHandshake):
        cause = f" ({exc.__cause__})" if exc.__cause__ is not None else ""
        return f"the opening handshake failed: {exc}{cause}"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {uri} cannot be trusted: {exc.verify_message}; "
            "--cacert FILE trusts another authority, --insecure everybody"
        )
    if isinstance(exc, TimeoutError):
        limit = "" if timeout_s is None else f" within {timeout_s:g} s"
        return f"cannot connect to {uri}: no answer{limit}; --timeout SECONDS waits longer"
    if isinstance(exc, ConnectionRefusedError):
        return f"cannot connect to {uri}: nobody listens there"
    return f"cannot connect to {uri}: {str(exc) or type(exc).__name__}"
