"""The sans-I/O API of websockets for clients, against its server, and when a client comes again."""

from __future__ import annotations

import itertools
import logging
import random
from typing import Any

import pytest
import websockets.client
import websockets.extensions.permessage_deflate
import websockets.server
from tests.engines import engine as engine

from wirebird.client import ClientProtocol, backoff, process_exception
from wirebird.core.uri import parse_uri
from wirebird.exceptions import (
    InvalidHeaderValue,
    InvalidMessage,
    InvalidStatus,
    NegotiationError,
    SecurityError,
    StatusLineTooLong,
)
from wirebird.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from wirebird.frames import Frame, Opcode
from wirebird.http11 import Response
from wirebird.protocol import CLIENT, CLOSED, CONNECTING, OPEN, SEND_EOF
from wirebird.typing import Origin, Subprotocol

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
HELLO = b"\x81\x05Hello"


def make(**arguments: Any) -> ClientProtocol:
    protocol = ClientProtocol(parse_uri("ws://example.com/chat"), **arguments)
    protocol.key = KEY
    return protocol


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("trailing", [b"", HELLO])
def test_connecting(size: int | None, trailing: bytes) -> None:
    protocol = make()
    assert (protocol.side, protocol.state) == (CLIENT, CONNECTING)
    protocol.send_request(protocol.connect())
    (request,) = protocol.data_to_send()
    assert request.startswith(b"GET /chat HTTP/1.1\r\nHost: example.com\r\n")
    data = HEAD + trailing
    for at in range(0, len(data), size or len(data)):
        protocol.receive_data(data[at : at + (size or len(data))])
    assert protocol.state is OPEN
    assert protocol.handshake_exc is None
    response, *frames = protocol.events_received()
    assert isinstance(response, Response)
    assert response.status_code == 101
    assert frames == ([Frame(Opcode.TEXT, b"Hello")] if trailing else [])
    protocol.send_text(b"x")
    assert len(protocol.data_to_send()) == 1


def test_arguments_are_used() -> None:
    protocol = make(
        origin=Origin("https://a"),
        subprotocols=[Subprotocol("chat")],
        extensions=[ClientPerMessageDeflateFactory()],
        max_size=4,
        logger=logging.getLogger("mine"),
        engine="python",
    )
    protocol.send_request(protocol.connect())
    request = protocol.data_to_send()[0]
    assert b"Origin: https://a\r\n" in request
    assert b"Sec-WebSocket-Protocol: chat\r\n" in request
    assert b"permessage-deflate" in request
    protocol.receive_data(HEAD + HELLO)
    assert protocol.close_sent is not None
    assert protocol.close_sent.code == 1009
    assert make(state=OPEN).state is OPEN


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (HEAD.replace(b"s3pP", b"xxxx"), InvalidHeaderValue),
        (HEAD[:-2] + b"Sec-WebSocket-Protocol: chat\r\n\r\n", NegotiationError),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", InvalidStatus),
    ],
)
def test_answers_that_are_refused(data: bytes, kind: type[Exception]) -> None:
    for size in len(data), 1:
        protocol = make()
        for at in range(0, len(data), size):
            protocol.receive_data(data[at : at + size])
        assert type(protocol.handshake_exc) is kind
        (response,) = protocol.events_received()
        assert isinstance(response, Response)
        assert protocol.data_to_send() == [SEND_EOF]
        assert protocol.close_expected()
        protocol.receive_data(b"what follows means nothing")
        protocol.receive_eof()
        assert (protocol.state, protocol.data_to_send()) == (CLOSED, [])


@pytest.mark.parametrize(
    ("data", "kind", "cause"),
    [
        (b"220 smtp.example.com ESMTP\r\n", InvalidMessage, ValueError),
        (b"HTTP/1.1 101 X\r\n" + b"a: b\r\n" * 200 + b"\r\n", InvalidMessage, SecurityError),
        (b"HTTP/1.1 200 " + b"x" * 9000, StatusLineTooLong, None),
    ],
)
def test_what_is_no_response(data: bytes, kind: type[Exception], cause: Any) -> None:
    protocol = make()
    protocol.receive_data(data)
    assert type(protocol.handshake_exc) is kind
    if cause is not None:
        assert isinstance(protocol.handshake_exc.__cause__, cause)
    assert protocol.data_to_send() == [SEND_EOF]
    assert protocol.events_received() == []


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 10"])
def test_a_response_that_breaks_off(data: bytes) -> None:
    protocol = make()
    if data:
        protocol.receive_data(data)
    protocol.receive_eof()
    assert isinstance(protocol.handshake_exc, InvalidMessage)
    assert isinstance(protocol.handshake_exc.__cause__, EOFError)
    assert (protocol.state, protocol.data_to_send()) == (CLOSED, [SEND_EOF])
    assert process_exception(protocol.handshake_exc) is None


def test_an_answer_and_the_end_together() -> None:
    protocol = make()
    protocol.receive_data(HEAD + HELLO)
    protocol.receive_eof()
    assert protocol.state is CLOSED
    assert protocol.close_code == 1006
    assert len(protocol.events_received()) == 2


def test_logs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "wirebird.client"):
        protocol = make()
        protocol.send_request(protocol.connect())
        protocol.receive_data(HEAD)
    assert caplog.messages[:2] == ["= connection is CONNECTING", "> GET /chat HTTP/1.1"]
    assert "> Host: example.com" in caplog.messages
    assert "< HTTP/1.1 101 Switching Protocols" in caplog.messages
    assert "< Upgrade: websocket" in caplog.messages
    assert caplog.messages[-1] == "= connection is OPEN"


def test_with_the_server_of_websockets() -> None:
    factory: Any = websockets.extensions.permessage_deflate.ServerPerMessageDeflateFactory()
    server = websockets.server.ServerProtocol(extensions=[factory])
    client = make(extensions=[ClientPerMessageDeflateFactory()])

    def exchange() -> None:
        for data in client.data_to_send():
            server.receive_data(data) if data else server.receive_eof()
        for data in server.data_to_send():
            client.receive_data(data) if data else client.receive_eof()

    client.send_request(client.connect())
    exchange()
    request: Any = server.events_received()[0]
    server.send_response(server.accept(request))
    exchange()
    assert client.handshake_exc is None
    assert [type(extension).__name__ for extension in client.extensions] == ["PerMessageDeflate"]
    client.send_text(b"Hello" * 100)
    exchange()
    event: Any = server.events_received()[0]
    assert bytes(event.data) == b"Hello" * 100
    server.send_ping(b"p")
    server.send_binary(b"reply")
    exchange()
    client.send_close(1001)
    for _ in range(3):
        exchange()
    frames = [event for event in client.events_received() if isinstance(event, Frame)]
    assert [frame.opcode for frame in frames] == [Opcode.PING, Opcode.BINARY, Opcode.CLOSE]
    assert (client.state, int(server.state)) == (CLOSED, CLOSED)
    assert (client.close_code, server.close_code) == (1001, 1001)


# Trying again. RFC 6455, 7.2.3.


def status(code: int) -> InvalidStatus:
    protocol = make()
    protocol.receive_data(b"HTTP/1.1 %d Status\r\nContent-Length: 0\r\n\r\n" % code)
    assert isinstance(protocol.handshake_exc, InvalidStatus)
    return protocol.handshake_exc


def message(cause: Exception) -> InvalidMessage:
    exc = InvalidMessage("did not receive a valid HTTP response")
    exc.__cause__ = cause
    return exc


@pytest.mark.parametrize(
    ("exc", "is_tried_again"),
    [
        (OSError(), True),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (message(EOFError()), True),
        (message(ValueError()), False),
        *[(status(code), True) for code in (500, 502, 503, 504)],
        *[(status(code), False) for code in (200, 301, 400, 403, 404, 501, 505)],
        (NegotiationError(), False),
        (ValueError(), False),
    ],
)
def test_which_failures_are_tried_again(exc: Exception, is_tried_again: bool) -> None:
    assert process_exception(exc) is (None if is_tried_again else exc)


def test_the_waits_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.5)
    waits = list(itertools.islice(backoff(4.0, 1.0, 10.0, 2.0), 8))
    assert waits == [2.0, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_the_defaults_are_those_of_websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.5)
    ours = list(itertools.islice(backoff(), 12))
    assert ours == pytest.approx(list(itertools.islice(websockets.client.backoff(), 12)))
