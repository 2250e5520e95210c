"""Fuzzes what reads a peer's head: requests, responses, and both halves of the handshake.

    python fuzz/fuzz_head.py [-max_total_time=60] [corpus]

needs atheris (``pip install atheris``), which nothing else does. The first two bytes of an input
say which parser reads the rest, into how large pieces it is cut, and whether small bytes in it
stand for the words of a head, which a fuzzer does not find by itself. What must hold:

- the parser returns, waits for more or raises one of the errors that it documents;
- pieces do not matter;
- what it accepted can be written, and is then read as the same;
- the handshake accepts or refuses it, and what it answers can be written and read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from typing import Any

import atheris

with atheris.instrument_imports():
    from wirebird.core.extensions.base import Extension, ServerExtensionFactory
    from wirebird.core.handshake.client import ClientHandshake
    from wirebird.core.handshake.server import ServerHandshake
    from wirebird.core.headers import parse_authorization_basic
    from wirebird.core.http1 import Request, Response
    from wirebird.core.streams import StreamReader
    from wirebird.core.types import ExtensionName, Subprotocol
    from wirebird.core.uri import parse_uri
    from wirebird.exceptions import InvalidHandshake, InvalidHeader, SecurityError

Parser = Callable[[StreamReader], Generator[None, None, Any]]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GRANTED = (
    b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
ASKED = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)

WORDS = [
    *[b"\r\n", b": ", b", ", b"; ", b"=", b'"', b" ", b"/", b"\r\n\r\n"],
    *[b"GET / HTTP/1.1\r\n", b"HTTP/1.1 101 OK\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 "],
    *[b"Host", b"Upgrade", b"Connection", b"websocket", b"keep-alive", b"Origin"],
    *[b"Sec-WebSocket-Key", b"Sec-WebSocket-Accept", b"Sec-WebSocket-Version: 13\r\n"],
    *[b"Sec-WebSocket-Extensions: ", b"Sec-WebSocket-Protocol: ", b"chat", b"Authorization: "],
    *[b"Basic eDp5", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"5\r\n", b"0"],
]


class Anything(ServerExtensionFactory):
    """Accepts every offer of x, and answers with its parameters."""

    name = ExtensionName("x")

    def process_request_params(self, params: Any, accepted_extensions: Any) -> Any:
        """Accept."""
        extension = Extension()
        extension.name = self.name
        return list(params), extension


def parse_request(stream: StreamReader) -> Generator[None, None, Request]:
    """Read a request."""
    return Request.parse(stream.read_line)


def parse_response(stream: StreamReader) -> Generator[None, None, Response]:
    """Read a response."""
    return Response.parse(stream.read_line, stream.read_exact, stream.read_to_eof)


def parse_proxy_response(stream: StreamReader) -> Generator[None, None, Response]:
    """Read a proxy's response."""
    return Response.parse(stream.read_line, stream.read_exact, stream.read_to_eof, proxy=True)


def outcome(parse: Parser, data: bytes, size: int) -> Any:
    """Return the message and the bytes after it, or the type of the error."""
    stream = StreamReader()
    parser = parse(stream)
    at = 0
    try:
        while True:
            next(parser)
            if at < len(data):
                stream.feed_data(data[at : at + size])
                at += size
            else:
                stream.feed_eof()
    except StopIteration as stop:
        return stop.value, stream.take_rest() + data[at:]
    except (ValueError, EOFError, SecurityError) as exc:
        return type(exc)


def check_request(request: Request) -> None:
    """Answer a request."""
    server = ServerHandshake(
        extensions=[Anything()], subprotocols=[Subprotocol("chat")], origins=[None]
    )
    response = server.accept(request)
    if response.status_code == 500:
        raise AssertionError("a request must not be the server's fault") from server.handshake_exc
    again, rest = outcome(parse_response, response.serialize(), 2**20)
    assert (again, rest) == (response, b"")
    for value in request.headers.get_all("Authorization"):
        try:
            parse_authorization_basic(value)
        except InvalidHeader:
            pass


def check_response(response: Response) -> None:
    """Take a response."""
    client = ClientHandshake(parse_uri("ws://x/"), subprotocols=[Subprotocol("chat")])
    client.key = KEY
    try:
        client.process_response(response)
    except InvalidHandshake:
        return
    assert client.subprotocol in (None, "chat")
    assert client.extensions == []


def test_one_input(data: bytes) -> None:
    """Hold what must hold for any bytes."""
    if len(data) < 2:
        return
    kind, size, rest = data[0] % 5, data[1] % 64 + 1, data[2:]
    if data[1] >= 128:
        words = (WORDS[byte] if byte < len(WORDS) else bytes([byte]) for byte in rest)
        rest = b"".join(words)
    parse: Parser = parse_request
    if kind == 1:
        parse = parse_response
    elif kind == 2:
        parse = parse_proxy_response
    elif kind == 3:  # so that the handshake is reached
        rest = ASKED + rest
    elif kind == 4:
        parse, rest = parse_response, GRANTED + rest
    whole = outcome(parse, rest, len(rest) or 1)
    assert outcome(parse, rest, size) == whole, "pieces matter"
    if isinstance(whole, type):
        return
    message, left = whole
    assert rest.endswith(left)
    if isinstance(message, Request):
        assert outcome(parse, message.serialize() + left, size) == (message, left)
        check_request(message)
    else:
        message.serialize()
        check_response(message)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
