"""What a server answers, once hooks were asked."""

from __future__ import annotations

from typing import Any

import pytest

from wirebird.core.fields import Headers
from wirebird.core.handshake.answers import (
    checked,
    failed,
    response_to,
    shutting_down,
    too_late,
)
from wirebird.core.handshake.server import ServerHandshake
from wirebird.core.http1 import Request, Response

REQUEST = Request(
    "/",
    Headers(
        {
            "Host": "x",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version": "13",
        }
    ),
)


@pytest.mark.parametrize("returned", ["text", 200, b"", True])
def test_a_hook_returns_a_response_or_nothing(returned: Any) -> None:
    with pytest.raises(TypeError, match="expected a Response or None"):
        checked(returned)
    assert checked(None) is None
    response = ServerHandshake().reject(200, "fine")
    assert checked(response) is response


def test_the_request_decides_unless_a_hook_has() -> None:
    handshake = ServerHandshake()
    response = response_to(handshake, REQUEST, None, "mine")
    assert (response.status_code, response.headers["Server"]) == (101, "mine")
    other = handshake.reject(403, "no")
    assert response_to(handshake, REQUEST, other, None) is other
    assert "Server" not in other.headers


def test_what_is_wrong_on_this_side_is_not_told() -> None:
    handshake = ServerHandshake()
    error = KeyError("secret")
    response = failed(handshake, error)
    assert response.status_code == 500
    assert b"secret" not in response.body
    assert handshake.handshake_exc is error


def test_refusals_for_reasons_of_time() -> None:
    def status(response: Response) -> tuple[int, str]:
        return response.status_code, bytes(response.body).decode()

    assert status(shutting_down(ServerHandshake())) == (503, "The server is shutting down.\n")
    assert status(too_late(ServerHandshake(), None)) == (408, "The request took too long.\n")
    assert status(too_late(ServerHandshake(), REQUEST)) == (503, "The server took too long.\n")
