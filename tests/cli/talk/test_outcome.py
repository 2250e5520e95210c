"""Why a conversation ended or never began, in words and as an exit code."""

from __future__ import annotations

import ssl

import pytest

from wirebird.cli.talk.outcome import (
    Exit,
    code_for_close,
    code_for_failure,
    explain_close,
    explain_failure,
    without_password,
)
from wirebird.datastructures import Headers
from wirebird.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidMessage,
    InvalidProxy,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    ProxyError,
    SecurityError,
)
from wirebird.frames import Close
from wirebird.http11 import Response

URI = "wss://ann:s3cret@example.com/"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ws://example.com/a:b@c", "ws://example.com/a:b@c"),
        ("ws://example.com/?a:b@c", "ws://example.com/?a:b@c"),
        ("ws://ann:s3cret@example.com/", "ws://ann:***@example.com/"),
        ("ws://:s3cret@example.com/", "ws://:***@example.com/"),
        ("ws://ann:s3:cr@et@example.com/", "ws://ann:***@example.com/"),
        ("from http://a:b@c to ws://d:e@f", "from http://a:***@c to ws://d:***@f"),
        ("12:30@noon", "12:30@noon"),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    assert without_password(text) == shown


REFUSED = Response(403, "Forbidden", Headers(), b"  go away " + b"x" * 1000)


@pytest.mark.parametrize(
    ("exc", "code", "words"),
    [
        (InvalidStatus(REFUSED), Exit.HANDSHAKE_REFUSED, "HTTP 403 Forbidden: go away x"),
        (InvalidStatus(Response(404, "", Headers())), Exit.HANDSHAKE_REFUSED, "HTTP 404"),
        (InvalidUpgrade("Upgrade", None), Exit.HANDSHAKE_REFUSED, "opening handshake failed"),
        (InvalidMessage("no response"), Exit.HANDSHAKE_REFUSED, "no response"),
        (SecurityError("from wss to ws"), Exit.HANDSHAKE_REFUSED, "from wss to ws"),
        (ProxyError("nothing"), Exit.CANNOT_CONNECT, "the proxy opened no way to wss://ann:***@"),
        (InvalidProxy("http://u:s3cret@", "x"), Exit.CANNOT_CONNECT, "http://u:***@"),
        (InvalidURI("ws://u:s3cret@", "x"), Exit.CANNOT_CONNECT, "ws://u:***@"),
        (ssl.SSLCertVerificationError(), Exit.CANNOT_CONNECT, "cannot be trusted"),
        (TimeoutError(), Exit.CANNOT_CONNECT, "no answer within 2.5 s"),
        (ConnectionRefusedError(), Exit.CANNOT_CONNECT, "nobody listens there"),
        (OSError(), Exit.CANNOT_CONNECT, "OSError"),
        (OSError("unreachable"), Exit.CANNOT_CONNECT, "unreachable"),
    ],
)
def test_why_there_was_no_connection(exc: Exception, code: Exit, words: str) -> None:
    if isinstance(exc, ssl.SSLCertVerificationError):
        exc.verify_message = "self-signed certificate"
    shown = explain_failure(exc, URI, 2.5)
    assert words in shown
    assert "s3cret" not in shown
    assert len(shown) < 700
    assert code_for_failure(exc) is code


OK, LATER = Close(1000, ""), Close(1013, "later")


@pytest.mark.parametrize(
    ("exc", "code", "words"),
    [
        (ConnectionClosedOK(OK, OK, True), Exit.OK, "closed by the peer with 1000 (OK); answered"),
        (ConnectionClosedOK(OK, OK, False), Exit.OK, "closed by us with 1000 (OK); answered"),
        (ConnectionClosedError(LATER, None), Exit.CLOSED_WITH_ERROR, "no answer could be sent"),
        (ConnectionClosedError(None, LATER), Exit.CLOSED_WITH_ERROR, "the peer sent no Close"),
        (ConnectionClosedError(None, None), Exit.CLOSED_WITH_ERROR, "closing handshake (1006)"),
    ],
)
def test_how_it_was_closed(
    exc: ConnectionClosedOK | ConnectionClosedError, code: Exit, words: str
) -> None:
    assert words in explain_close(exc)
    assert code_for_close(exc) is code


def test_what_broke_it() -> None:
    exc = ConnectionClosedError(None, None)
    exc.__cause__ = ConnectionResetError("reset by the network")
    assert explain_close(exc).endswith("(1006): reset by the network")
