"""What an application adds to the answer, or says instead."""

from __future__ import annotations

import pytest

from wirebird.core.fields import Headers
from wirebird.core.handshake.application import add_to_accepted, denial
from wirebird.core.handshake.server import ServerHandshake
from wirebird.core.http1 import Request, Response
from wirebird.core.types import Subprotocol
from wirebird.exceptions import UnsafeHeader


def accepted() -> Response:
    """The 101 to a good request."""
    headers = Headers(
        {
            "Host": "server.example.com",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
        }
    )
    return ServerHandshake().accept(Request("/chat", headers))


def test_headers_and_a_subprotocol_are_added_to_a_101() -> None:
    response = accepted()
    chosen = add_to_accepted(response, [("X-A", "1"), ("x-a", "2")], Subprotocol("chat"))
    assert response.headers.get_all("X-A") == ["1", "2"]
    assert response.headers["Sec-WebSocket-Protocol"] == chosen == "chat"


@pytest.mark.parametrize(
    ("headers", "subprotocol"),
    [
        ([("Sec-WebSocket-Accept", "x")], None),
        ([("connection", "close")], None),
        ([("UPGRADE", "h2c")], None),
        ([("Sec-WebSocket-Extensions", "permessage-deflate")], None),
        ([("Content-Length", "0")], None),
        ([("Transfer-Encoding", "chunked")], None),
        ([("x-a", "b\r\nc: d")], None),
        ([("x a", "b")], None),
        ([("Sec-WebSocket-Protocol", "a")], "b"),
        ([("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b")], None),
        ([], "a b"),
        ([], ""),
        ([("x-fine", "yes")], "a\r\nb: c"),
    ],
)
def test_what_cannot_be_added_leaves_a_101_as_it_was(
    headers: list[tuple[str, str]], subprotocol: str | None
) -> None:
    response = accepted()
    before = response.serialize()
    chosen = None if subprotocol is None else Subprotocol(subprotocol)
    with pytest.raises(ValueError):
        add_to_accepted(response, headers, chosen)
    assert response.serialize() == before


def test_a_denial() -> None:
    headers = [("Connection", "keep-alive"), ("Content-Length", "99"), ("A", "b"), ("A", "c")]
    response = denial(403, headers, b"no")
    assert response.serialize() == (
        b"HTTP/1.1 403 Forbidden\r\nA: b\r\nA: c\r\n"
        b"Connection: close\r\nContent-Length: 2\r\n\r\nno"
    )


def test_a_denial_in_pieces() -> None:
    assert denial(499, [], b"no", has_more=True).serialize() == (
        b"HTTP/1.1 499 \r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n"
    )
    response = denial(499, [("content-length", "9")], b"no", has_more=True)
    assert response.serialize() == (
        b"HTTP/1.1 499 \r\ncontent-length: 9\r\nConnection: close\r\n\r\nno"
    )


@pytest.mark.parametrize("status", [204, 304])
def test_a_denial_that_has_no_body(status: int) -> None:
    response = denial(status, [], b"this is none")
    assert response.serialize().endswith(b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("status", [-1, 0, 100, 101, 199, 600])
def test_a_denial_that_denies_nothing(status: int) -> None:
    with pytest.raises(ValueError, match="cannot be refused"):
        denial(status, [])


def test_a_denial_with_a_header_that_would_end_its_line() -> None:
    with pytest.raises(UnsafeHeader):
        denial(403, [("a", "b\r\n\r\n<script>")])
