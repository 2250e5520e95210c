"""The sans-I/O API of websockets for servers, and against its client."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import websockets.client
import websockets.extensions.permessage_deflate
import websockets.uri
from tests.engines import engine as engine

from wirebird.core.handshake.server import ServerHandshake
from wirebird.exceptions import (
    InvalidHeader,
    InvalidMessage,
    InvalidUpgrade,
    NegotiationError,
    RequestLineTooLong,
)
from wirebird.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from wirebird.frames import Frame, Opcode
from wirebird.http11 import Request
from wirebird.protocol import CLOSED, CONNECTING, OPEN, SEND_EOF, SERVER, Protocol
from wirebird.server import ServerProtocol
from wirebird.typing import Origin, Subprotocol

HEAD = (
    b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = bytes.fromhex("8185 37fa213d 7f9f4d5158")  # RFC 6455, 5.7


def request_of(protocol: ServerProtocol) -> Request:
    (request,) = protocol.events_received()
    assert isinstance(request, Request)
    return request


def opened(**arguments: Any) -> ServerProtocol:
    protocol = ServerProtocol(**arguments)
    protocol.receive_data(HEAD)
    protocol.send_response(protocol.accept(request_of(protocol)))
    return protocol


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("trailing", [b"", HELLO])
def test_accepting(size: int | None, trailing: bytes) -> None:
    protocol = ServerProtocol()
    assert isinstance(protocol, (ServerHandshake, Protocol))
    assert (protocol.side, protocol.state, protocol.connection) == (SERVER, CONNECTING, None)
    data = HEAD + trailing
    for at in range(0, len(data), size or len(data)):
        protocol.receive_data(data[at : at + (size or len(data))])
    request = request_of(protocol)
    assert (request.path, request.headers["Host"]) == ("/chat", "example.com")
    response = protocol.accept(request)
    assert (protocol.state, protocol.data_to_send()) == (CONNECTING, [])
    protocol.send_response(response)
    assert protocol.state is OPEN
    (answer,) = protocol.data_to_send()
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    hello: list[Any] = [Frame(Opcode.TEXT, b"Hello")]
    assert protocol.events_received() == (hello if trailing else [])
    protocol.receive_data(HELLO)
    assert protocol.events_received() == hello
    assert not protocol.close_expected()


def test_arguments_are_used() -> None:
    protocol = opened(
        state=CONNECTING,
        max_size=4,
        extensions=[ServerPerMessageDeflateFactory()],
        logger=logging.getLogger("mine"),
        engine="python",
    )
    assert protocol.logger.name == "mine"
    protocol.receive_data(HELLO)
    assert protocol.close_sent is not None
    assert protocol.close_sent.code == 1009
    assert ServerProtocol(state=OPEN).state is OPEN
    assert ServerProtocol().logger is logging.getLogger("wirebird.server")


def test_origins_and_subprotocols() -> None:
    protocol = ServerProtocol(
        origins=[Origin("https://a")],
        subprotocols=[Subprotocol("chat")],
        select_subprotocol=lambda server, offered: offered[-1],
    )
    head = HEAD[:-2] + b"Origin: https://a\r\nSec-WebSocket-Protocol: x, y\r\n\r\n"
    protocol.receive_data(head)
    protocol.send_response(protocol.accept(request_of(protocol)))
    assert (protocol.origin, protocol.subprotocol) == ("https://a", "y")


@pytest.mark.parametrize(
    ("old", "new", "status", "kind"),
    [
        (b"Upgrade: websocket", b"Upgrade: h2c", 426, InvalidUpgrade),
        (b"Host: example.com\r\n", b"", 400, InvalidHeader),
    ],
)
def test_refusing(
    old: bytes, new: bytes, status: int, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "wirebird.server"):
        protocol = ServerProtocol()
        protocol.receive_data(HEAD.replace(old, new))
        protocol.send_response(protocol.accept(request_of(protocol)))
    assert type(protocol.handshake_exc) is kind
    answer, end = protocol.data_to_send()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert end == SEND_EOF
    assert protocol.close_expected()
    assert (protocol.state, protocol.connection) == (CONNECTING, None)
    protocol.receive_data(b"what follows means nothing")
    protocol.receive_eof()
    protocol.receive_eof()
    assert (protocol.state, protocol.data_to_send()) == (CLOSED, [])
    assert "! invalid handshake" in caplog.messages
    assert any(message.startswith("connection rejected (") for message in caplog.messages)


def test_rejecting_is_up_to_the_user() -> None:
    protocol = ServerProtocol()
    protocol.receive_data(HEAD)
    request_of(protocol)
    protocol.send_response(protocol.reject(404, "not here\n"))
    answer, end = protocol.data_to_send()
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert answer.endswith(b"\r\n\r\nnot here\n")
    assert end == SEND_EOF
    assert protocol.handshake_exc is None


def test_a_mistake_on_our_side_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def choose(server: ServerProtocol, offered: Any) -> Subprotocol:
        raise RuntimeError("oops")

    protocol = opened(select_subprotocol=choose)
    assert isinstance(protocol.handshake_exc, RuntimeError)
    assert protocol.data_to_send()[0].startswith(b"HTTP/1.1 500 ")
    assert caplog.messages == ["opening handshake failed"]


def test_a_subprotocol_that_is_missing() -> None:
    protocol = opened(subprotocols=[Subprotocol("chat")])
    assert isinstance(protocol.handshake_exc, NegotiationError)
    assert protocol.data_to_send()[0].startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("data", "status", "kind"),
    [
        (b"GET " + b"x" * 9000, 414, RequestLineTooLong),
        (b"hello\r\n\r\n", 400, InvalidMessage),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400, InvalidMessage),
    ],
)
def test_what_is_no_request(data: bytes, status: int, kind: type[Exception]) -> None:
    protocol = ServerProtocol()
    protocol.receive_data(data)
    assert isinstance(protocol.handshake_exc, kind)
    answer, end = protocol.data_to_send()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert end == SEND_EOF
    assert protocol.events_received() == []


@pytest.mark.parametrize("data", [b"", b"GET / HT"])
def test_a_request_that_breaks_off(data: bytes) -> None:
    protocol = ServerProtocol()
    if data:
        protocol.receive_data(data)
    protocol.receive_eof()
    assert isinstance(protocol.handshake_exc, InvalidMessage)
    assert isinstance(protocol.handshake_exc.__cause__, EOFError)
    assert (protocol.state, protocol.data_to_send()) == (CLOSED, [SEND_EOF])
    with pytest.raises(AssertionError, match="connection was never open"):
        _ = protocol.close_exc
    assert protocol.close_code == 1006


def test_logs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "wirebird.server"):
        opened()
    assert caplog.messages[:2] == ["= connection is CONNECTING", "< GET /chat HTTP/1.1"]
    assert "< Host: example.com" in caplog.messages
    assert "> HTTP/1.1 101 Switching Protocols" in caplog.messages
    assert "> Upgrade: websocket" in caplog.messages
    assert caplog.messages[-1] == "connection open"


def test_with_the_client_of_websockets() -> None:
    factory: Any = websockets.extensions.permessage_deflate.ClientPerMessageDeflateFactory()
    client = websockets.client.ClientProtocol(
        websockets.uri.parse_uri("ws://example.com/chat"), extensions=[factory]
    )
    server = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()])

    def exchange() -> None:
        for data in client.data_to_send():
            server.receive_data(data) if data else server.receive_eof()
        for data in server.data_to_send():
            client.receive_data(data) if data else client.receive_eof()

    client.send_request(client.connect())
    exchange()
    server.send_response(server.accept(request_of(server)))
    exchange()
    assert client.handshake_exc is None
    assert [type(extension).__name__ for extension in server.extensions] == ["PerMessageDeflate"]
    client.events_received()
    client.send_text(b"Hello" * 100)
    exchange()
    assert server.events_received() == [Frame(Opcode.TEXT, b"Hello" * 100)]
    server.send_binary(b"reply")
    server.send_close(1000, "bye")
    for _ in range(3):
        exchange()
    events: list[Any] = client.events_received()
    assert bytes(events[0].data) == b"reply"
    assert (int(client.state), server.state) == (CLOSED, CLOSED)
    assert (client.close_code, server.close_code) == (1000, 1000)


@pytest.mark.parametrize("cut", [0, 1, 20, len(HEAD) - 1, len(HEAD)])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_head_may_come_in_any_pieces_with_frames_behind_it(kind: Any, cut: int) -> None:
    data = HEAD + HELLO
    server = ServerProtocol()
    for piece in data[:cut], data[cut:-3], data[-3:]:
        server.receive_data(kind(piece))
    request = request_of(server)
    assert (request.path, request.headers["Host"]) == ("/chat", "example.com")
    server.send_response(server.accept(request))
    assert server.events_received() == [Frame(Opcode.TEXT, b"Hello")]


def test_headers_that_were_changed_before_they_are_judged() -> None:
    server = ServerProtocol()
    server.receive_data(HEAD)
    request = request_of(server)
    del request.headers["Upgrade"]
    assert server.accept(request).status_code == 426
