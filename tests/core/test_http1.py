"""The HTTP/1.1 head: what is refused first, then what is read, then what is written."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest
import websockets.http11
import websockets.streams
from hypothesis import given
from hypothesis import strategies as st
from tests.core.feeding import (
    NeedsMore,
    feed,
    in_bytes,
    parse_each_way,
    refuse_each_way,
)

from wirebird.core import rules
from wirebird.core.fields import Headers
from wirebird.core.http1 import SERVER, USER_AGENT, Request, Response, chunk
from wirebird.core.streams import StreamReader
from wirebird.exceptions import (
    HeaderLineTooLong,
    RequestLineTooLong,
    SecurityError,
    StatusLineTooLong,
    TooManyHeaders,
    UnsafeHeader,
)
from wirebird.version import version

CONTROLS = [bytes([code]) for code in [*range(0x09), *range(0x0B, 0x20), 0x7F]]


def request(stream: StreamReader) -> Generator[None, None, Request]:
    return Request.parse(stream.read_line)


def response(stream: StreamReader) -> Generator[None, None, Response]:
    return Response.parse(stream.read_line, stream.read_exact, stream.read_to_eof)


def proxy_response(stream: StreamReader) -> Generator[None, None, Response]:
    return Response.parse(stream.read_line, stream.read_exact, stream.read_to_eof, proxy=True)


def get(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET / HTTP/1.1", *lines, b"", b""])


def ok(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", b""])


# Attacks: too much. The limits count the line's end.


def padded(prefix: bytes, suffix: bytes, size: int) -> bytes:
    return prefix + b"x" * (size - len(prefix) - len(suffix)) + suffix


def test_the_longest_request_line() -> None:
    line = padded(b"GET /", b" HTTP/1.1\r\n", rules.MAX_REQUEST_LINE_BYTES)
    result, rest = feed(request, [line + b"\r\n"])
    assert (len(result.path), rest) == (rules.MAX_REQUEST_LINE_BYTES - 15, b"")
    line = padded(b"GET /", b" HTTP/1.1\r\n", rules.MAX_REQUEST_LINE_BYTES + 1)
    refuse_each_way(request, line + b"\r\n", RequestLineTooLong, "8192 bytes")
    refuse_each_way(request, b"x" * 100_000, RequestLineTooLong, "8192 bytes")
    assert RequestLineTooLong.http_status == 414


def test_the_longest_status_line() -> None:
    line = padded(b"HTTP/1.1 101 ", b"\r\n", rules.MAX_HEADER_LINE_BYTES)
    result, rest = feed(response, [line + b"\r\n"])
    assert (len(result.reason_phrase), rest) == (rules.MAX_HEADER_LINE_BYTES - 15, b"")
    line = padded(b"HTTP/1.1 101 ", b"\r\n", rules.MAX_HEADER_LINE_BYTES + 1)
    refuse_each_way(response, line + b"\r\n", StatusLineTooLong, "8192 bytes")


@pytest.mark.parametrize("parse", [request, response])
def test_the_longest_header_line(
    parse: Callable[[StreamReader], Generator[None, None, Any]],
) -> None:
    start = b"GET / HTTP/1.1\r\n" if parse is request else b"HTTP/1.1 101 \r\n"
    line = padded(b"X: ", b"\r\n", rules.MAX_HEADER_LINE_BYTES)
    result, rest = feed(parse, [start + line + b"\r\n"])
    assert (len(result.headers["X"]), rest) == (rules.MAX_HEADER_LINE_BYTES - 5, b"")
    line = padded(b"X: ", b"\r\n", rules.MAX_HEADER_LINE_BYTES + 1)
    refuse_each_way(parse, start + line + b"\r\n", HeaderLineTooLong, "8192 bytes")
    refuse_each_way(parse, start + b"x" * 100_000, HeaderLineTooLong, "8192 bytes")
    assert HeaderLineTooLong.http_status == 431


@pytest.mark.parametrize("parse", [request, response])
def test_the_most_headers(parse: Callable[[StreamReader], Generator[None, None, Any]]) -> None:
    build = get if parse is request else lambda *lines: ok(*lines, status=b"101 ")
    result, rest = feed(parse, [build(*[b"A: b"] * rules.MAX_HEADERS)])
    assert (len(result.headers.get_all("a")), rest) == (rules.MAX_HEADERS, b"")
    flood = build(*[b"A: b"] * (rules.MAX_HEADERS + 1))
    refuse_each_way(parse, flood, TooManyHeaders, "more than 128")
    refuse_each_way(parse, build(*[b"A: b"] * 10_000), TooManyHeaders, "more than 128")
    assert TooManyHeaders.http_status == 431


@pytest.mark.parametrize("parse", [request, response])
def test_the_longest_head(parse: Callable[[StreamReader], Generator[None, None, Any]]) -> None:
    start = b"GET / HTTP/1.1\r\n" if parse is request else b"HTTP/1.1 101 \r\n"
    lines = padded(b"A: ", b"\r\n", 8000) * (rules.MAX_HEAD_BYTES // 8000)
    for more in 0, 1:
        room = rules.MAX_HEAD_BYTES - len(start + lines + b"\r\n") + more
        head = start + lines + padded(b"B: ", b"\r\n", room) + b"\r\n"
        assert len(head) == rules.MAX_HEAD_BYTES + more
        if more:
            refuse_each_way(parse, head, HeaderLineTooLong, "longer than 1 bytes")
        else:
            _, rest = feed(parse, [head])
            assert rest == b""


@pytest.mark.parametrize("body", [b"", b"spam", b"0\r\n\r\n"])
@pytest.mark.parametrize("length", [b"1048577", b"9" * 18])
def test_a_long_body_is_refused_before_it_comes(length: bytes, body: bytes) -> None:
    head = ok(b"Content-Length: " + length)
    refuse_each_way(response, head + body, SecurityError, "expected at most 1048576")


def test_the_longest_body() -> None:
    body = bytes(rules.MAX_BODY_BYTES)
    result, _ = feed(response, [ok(b"Content-Length: 1048576") + body])
    assert result.body == body
    result, _ = feed(response, [ok() + body], eof=True)
    assert result.body == body
    chunk = b"80000\r\n" + bytes(0x80000) + b"\r\n"
    head = ok(b"Transfer-Encoding: chunked")
    result, rest = feed(response, [head + chunk + chunk + b"0\r\n\r\n"])
    assert (result.body, rest) == (body, b"")
    for endless in [ok() + body + b"x", head + chunk + chunk + b"1\r\n"]:
        with pytest.raises(SecurityError):
            feed(response, [endless])


def test_extensions_of_chunks_are_bounded() -> None:
    chunk = padded(b"1;", b"\r\nx\r\n", 8000)
    with pytest.raises(SecurityError, match="chunked body exceeds"):
        feed(response, [ok(b"Transfer-Encoding: chunked"), *[chunk] * 150])


# Attacks: what two parsers may read in two ways.

MALFORMED: Mapping[bytes, str] = {
    # Lines.
    b"GET / HTTP/1.1\nHost: x\n\n": "ends with LF alone",
    b"GET / HTTP/1.1\r\nHost: x\n\r\n": "ends with LF alone",
    b"GET / HTTP/1.1\r\nHost: x\r\n\n": "ends with LF alone",
    b"GET / HTTP/1.1\r\nHost: x\r\rB: y\r\n\r\n": "invalid value",
    b"GET / HTTP/1.1\rHost: x\r\n\r\n": "invalid request line|invalid protocol",
    # Request lines.
    b"\r\n": "invalid request line",
    b"\r\nGET / HTTP/1.1\r\n\r\n": "invalid request line",
    b"GET /\r\n\r\n": "invalid request line",
    b"GET\r\n\r\n": "invalid request line",
    b"GET  / HTTP/1.1\r\n\r\n": "invalid request line",
    b"GET /  HTTP/1.1\r\n\r\n": "invalid request line",
    b"GET / HTTP/1.1 \r\n\r\n": "invalid request line",
    b" GET / HTTP/1.1\r\n\r\n": "invalid request line",
    b"GET /a b HTTP/1.1\r\n\r\n": "invalid request line",
    b"GET /\x09 HTTP/1.1\r\n\r\n": "invalid request target",
    b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n": "invalid request target",
    b"GET  HTTP/1.1\r\n\r\n": "invalid request target",
    b"GET\x09/ HTTP/1.1 x\r\n\r\n": "invalid method",
    b" / HTTP/1.1\r\n\r\n": "invalid method",
    b"G@T / HTTP/1.1\r\n\r\n": "invalid method",
    b"G\xc3\x89T / HTTP/1.1\r\n\r\n": "invalid method",
    b"GET / HTTP/1\r\n\r\n": "invalid protocol",
    b"GET / HTTP/11.1\r\n\r\n": "invalid protocol",
    b"GET / HTTP/1.10\r\n\r\n": "invalid protocol",
    b"GET / http/1.1\r\n\r\n": "invalid protocol",
    b"GET / HTTP/1.x\r\n\r\n": "invalid protocol",
    b"GET / RTSP/1.0\r\n\r\n": "invalid protocol",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\n": "LF alone",  # TLS
    # Header lines.
    get(b"Host: x", b" folded: y"): "invalid header line",
    get(b"Host: x", b"\tfolded"): "invalid header line",
    get(b" Host: x"): "invalid header line",
    get(b"Host : x"): "invalid header line",
    get(b"Host\x09: x"): "invalid header line",
    get(b": x"): "invalid header line",
    get(b":"): "invalid header line",
    get(b"Host"): "invalid header line",
    get(b"Ho st: x"): "invalid header line",
    get(b"H\xf6st: x"): "invalid header line",
    get(b"Host\0: x"): "invalid header line",
    get(b"(Host): x"): "invalid header line",
    **{get(b"X: a" + control + b"b"): "invalid value of header 'X'" for control in CONTROLS},
    # A body, where the first frame should be.
    get(b"Content-Length: 5"): "unsupported request body",
    get(b"Content-Length: 00"): "unsupported request body",
    get(b"Content-Length: +0"): "unsupported request body",
    get(b"Content-Length: -1"): "unsupported request body",
    get(b"Content-Length: 0, 0"): "unsupported request body",
    get(b"Content-Length:"): "unsupported request body",
    get(b"Content-Length: 0", b"content-length: 1"): "unsupported request body",
    get(b"Transfer-Encoding: chunked"): "unsupported request body",
    get(b"Transfer-Encoding: identity"): "unsupported request body",
    get(b"transfer-encoding: xchunked", b"Content-Length: 0"): "unsupported request body",
}


@pytest.mark.parametrize(("data", "match"), MALFORMED.items())
def test_a_malformed_request_is_refused(data: bytes, match: str) -> None:
    refuse_each_way(request, data, ValueError, match)


MALFORMED_RESPONSES: Mapping[bytes, str] = {
    b"HTTP/1.1 200 OK\n\n": "ends with LF alone",
    b"\r\n": "invalid status line",
    b"HTTP/1.1\r\n\r\n": "invalid status line",
    b"HTTP/1.1 200\r\n\r\n": "invalid status line",
    b"HTTP/1.1  200 OK\r\n\r\n": "invalid status code",
    b"HTTP/1.0 200 OK\r\n\r\n": "unsupported protocol",
    b"HTTP/2.0 200 OK\r\n\r\n": "unsupported protocol",
    b"HTTQ/1.1 200 OK\r\n\r\n": "invalid status line",
    b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n": "invalid status line",
    b"HTTP/1.1 20 OK\r\n\r\n": "invalid status code",
    b"HTTP/1.1 0200 OK\r\n\r\n": "invalid status code",
    b"HTTP/1.1 2000 OK\r\n\r\n": "invalid status code",
    b"HTTP/1.1 099 OK\r\n\r\n": "invalid status code",
    b"HTTP/1.1 600 OK\r\n\r\n": "invalid status code",
    b"HTTP/1.1 +20 OK\r\n\r\n": "invalid status code",
    b"HTTP/1.1 2\xb20 OK\r\n\r\n": "invalid status code",
    b"HTTP/1.1 200 O\0K\r\n\r\n": "invalid reason phrase",
    b"HTTP/1.1 200 O\rK\r\n\r\n": "invalid reason phrase",
    b"HTTP/1.1 200 O\x7fK\r\n\r\n": "invalid reason phrase",
    ok(b"Host : x"): "invalid header line",
    ok(b"X: x", b" folded"): "invalid header line",
    ok(b"Content-Length: 1", b"Transfer-Encoding: chunked"): "both",
    ok(b"Content-Length: 1", b"Content-Length: 2"): "several values",
    ok(b"Transfer-Encoding: gzip, chunked"): "unsupported Transfer-Encoding",
    ok(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"): "unsupported Transfer",
    ok(b"Transfer-Encoding: identity"): "unsupported Transfer-Encoding",
    ok(b"Transfer-Encoding: chunked") + b"1\r\nxy\r\n": "does not end with CRLF",
    ok(b"Transfer-Encoding: chunked") + b"1\nx\r\n": "LF alone",
    ok(b"Transfer-Encoding: chunked") + b"0\r\nX : y\r\n\r\n": "invalid header line",
}


@pytest.mark.parametrize(("data", "match"), MALFORMED_RESPONSES.items())
def test_a_malformed_response_is_refused(data: bytes, match: str) -> None:
    refuse_each_way(response, data, ValueError, match)


@pytest.mark.parametrize(
    "data",
    [
        *(ok(b"Content-Length: " + raw) for raw in [b"", b"-1", b"+1", b"1_0", b"0x1", b"1, 1"]),
        ok(b"Content-Length: " + b"9" * 19),
        ok(b"Content-Length: \xb2"),
        *(
            ok(b"Transfer-Encoding: chunked") + raw + b"\r\n"
            for raw in [b"", b"-1", b"+1", b" 1", b"1 ", b"0x1", b"g", b"1_0", b"f" * 16]
        ),
        ok(b"Transfer-Encoding: chunked") + b"f" * 15 + b"\r\n",
    ],
)
def test_a_length_that_is_none_is_refused(data: bytes) -> None:
    refuse_each_way(response, data, SecurityError, "Content-Length|chunk")


@pytest.mark.parametrize(
    ("parse", "data", "match"),
    [
        (request, b"", "within the HTTP request line"),
        (request, b"GET / HTTP/1.1", "within the HTTP request line"),
        (request, b"GET / HTTP/1.1\r\n", "within the HTTP headers"),
        (request, b"GET / HTTP/1.1\r\nHost: x\r\n", "within the HTTP headers"),
        (response, b"HTTP/1.1 101", "within the HTTP status line"),
        (response, b"HTTP/1.1 101 \r\nUp", "within the HTTP headers"),
        (response, ok(b"Content-Length: 5") + b"spam", "after 4 bytes, expected 5"),
        (response, ok(b"Transfer-Encoding: chunked") + b"5\r\nspam", "expected 5"),
        (response, ok(b"Transfer-Encoding: chunked") + b"0\r\n", "within the HTTP headers"),
    ],
)
def test_a_stream_that_ends_within_a_message(
    parse: Callable[[StreamReader], Generator[None, None, Any]], data: bytes, match: str
) -> None:
    refuse_each_way(parse, data, EOFError, match, eof=True)


def test_errors_show_what_came_escaped_and_in_part() -> None:
    data = b"GET \x1b[31m" + b"x" * 5000 + b" HTTP/1.1\r\n"
    with pytest.raises(ValueError) as caught:
        feed(request, [data])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


# Requests.

THE_RFC = (  # RFC 6455, 1.3
    b"GET /chat HTTP/1.1\r\n"
    b"Host: server.example.com\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Origin: http://example.com\r\n"
    b"Sec-WebSocket-Protocol: chat, superchat\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"\r\n"
)


def test_the_request_of_the_rfc() -> None:
    result = parse_each_way(request, THE_RFC)
    assert (result.method, result.path, result.protocol) == ("GET", "/chat", "HTTP/1.1")
    assert list(result.headers.raw_items()) == [
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Origin", "http://example.com"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Sec-WebSocket-Version", "13"),
    ]
    assert result.serialize() == THE_RFC


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (get(), Request("/", Headers())),
        (b"POST / HTTP/1.1\r\n\r\n", Request("/", Headers(), "POST")),
        (b"get / HTTP/1.1\r\n\r\n", Request("/", Headers(), "get")),
        (b"GET / HTTP/1.0\r\n\r\n", Request("/", Headers(), protocol="HTTP/1.0")),
        (b"PRI * HTTP/2.0\r\n\r\n", Request("*", Headers(), "PRI", "HTTP/2.0")),
        (b"GET /?a=b&c HTTP/1.1\r\n\r\n", Request("/?a=b&c", Headers())),
        (b"GET http://x/y HTTP/1.1\r\n\r\n", Request("http://x/y", Headers())),
        (get(b"A:b"), Request("/", Headers(A="b"))),
        (get(b"A: \t b c \t"), Request("/", Headers(A="b c"))),
        (get(b"A:"), Request("/", Headers(A=""))),
        (get(b"A: b:c"), Request("/", Headers(A="b:c"))),
        (get(b"A: b\tc"), Request("/", Headers(A="b\tc"))),
        (get(b"A: \xfc"), Request("/", Headers(A="ü"))),
        (get(b"!#$%&'*+-.^_`|~09aZ: b"), Request("/", Headers({"!#$%&'*+-.^_`|~09aZ": "b"}))),
        (get(b"A: 1", b"a: 2"), Request("/", Headers([("A", "1"), ("a", "2")]))),
        (get(b"Content-Length: 0"), Request("/", Headers({"Content-Length": "0"}))),
    ],
)
def test_request(data: bytes, expected: Request) -> None:
    assert parse_each_way(request, data) == expected


# Responses.

CHUNKED = (b"Transfer-Encoding: chunked", Headers({"Transfer-Encoding": "chunked"}))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            ok(b"Upgrade: websocket", status=b"101 Switching Protocols"),
            Response(101, "Switching Protocols", Headers(Upgrade="websocket")),
        ),
        (ok(status=b"101 "), Response(101, "", Headers())),
        (ok(status=b"101 a b\xfc"), Response(101, "a bü", Headers())),
        (ok(status=b"204 No Content"), Response(204, "No Content", Headers())),
        (
            ok(b"Content-Length: 5", status=b"304 Not Modified"),
            Response(304, "Not Modified", Headers({"Content-Length": "5"})),
        ),
        (
            ok(CHUNKED[0], status=b"103 Early Hints"),
            Response(103, "Early Hints", CHUNKED[1]),
        ),
        (ok(b"Content-Length: 0"), Response(200, "OK", Headers({"Content-Length": "0"}))),
        (
            ok(b"Content-Length: 4") + b"spam",
            Response(200, "OK", Headers({"Content-Length": "4"}), b"spam"),
        ),
        (
            ok(b"Content-Length: 04", b"Content-Length: 04", status=b"599 ") + b"spam",
            Response(599, "", Headers([("Content-Length", "04")] * 2), b"spam"),
        ),
        (
            ok(CHUNKED[0]) + b"4\r\nspam\r\n0000A;x=y\r\n0123456789\r\n0\r\n\r\n",
            Response(200, "OK", CHUNKED[1], b"spam0123456789"),
        ),
        (
            ok(b"Transfer-Encoding: Chunked") + b"0\r\nTrailer: x\r\n\r\n",
            Response(200, "OK", Headers({"Transfer-Encoding": "Chunked"}), b""),
        ),
    ],
)
def test_response(data: bytes, expected: Response) -> None:
    assert parse_each_way(response, data) == expected


@pytest.mark.parametrize("body", [b"", b"spam", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_response_without_a_length_ends_with_the_stream(body: bytes) -> None:
    result = parse_each_way(response, ok() + body, to_eof=True)
    assert result.body == body
    with pytest.raises(NeedsMore):
        feed(response, [ok() + body])


@pytest.mark.parametrize("protocol", [b"HTTP/1.0", b"HTTP/1.1"])
@pytest.mark.parametrize("header", [b"Via: x", b"Content-Length: 5", CHUNKED[0]])
def test_after_the_head_of_a_proxy_the_tunnel_begins(protocol: bytes, header: bytes) -> None:
    data = protocol + b" 200 Connection established\r\n" + header + b"\r\n\r\n"
    result = parse_each_way(proxy_response, data)
    assert (result.status_code, result.body) == (200, b"")


def test_a_proxy_of_another_version_is_refused() -> None:
    refuse_each_way(proxy_response, b"HTTP/1.2 200 OK\r\n\r\n", ValueError, "unsupported protocol")


# Writing.


@pytest.mark.parametrize(
    "text",
    ["", " ", "a b", "a\r\nX: y", "a\n", "\0", "a\x7f", "\t", "é", "\u2028", "\ud800", "a\x85b"],
)
@pytest.mark.parametrize("place", ["method", "path", "protocol"])
def test_nothing_can_be_smuggled_into_a_request_line(place: str, text: str) -> None:
    message = Request("/", Headers(Host="x"))
    setattr(message, place, text)
    with pytest.raises(ValueError) as caught:
        message.serialize()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("reason", ["a\r\nX: y", "a\n", "\0", "a\x7f", "\u2028", "\ud800"])
def test_nothing_can_be_smuggled_into_a_status_line(reason: str) -> None:
    with pytest.raises(ValueError):
        Response(200, reason, Headers()).serialize()


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 1000, "200", "200\r\nX: y"])
def test_a_status_is_a_number_of_three_digits(status: Any) -> None:
    with pytest.raises(ValueError):
        Response(status, "OK", Headers()).serialize()


@pytest.mark.parametrize("name", ["X\r\nY", "X:", ""])
def test_nothing_can_be_smuggled_into_headers(name: str) -> None:
    headers = Headers()
    headers.set_insecure(name, "value")
    for message in Request("/", headers), Response(200, "OK", headers):
        with pytest.raises(ValueError):
            message.serialize()


def test_how_a_response_is_written() -> None:
    message = Response(200, "Völlig OK", Headers(A="b"), b"spam\r\n")
    assert message.serialize() == b"HTTP/1.1 200 V\xf6llig OK\r\nA: b\r\n\r\nspam\r\n"
    assert Response(101, "", Headers()).serialize() == b"HTTP/1.1 101 \r\n\r\n"


def test_what_we_say_we_are() -> None:
    assert USER_AGENT == SERVER
    assert SERVER.startswith("Python/3.")
    assert SERVER.endswith(f" wirebird/{version}")


@pytest.mark.parametrize("message", [Request("/", Headers()), Response(200, "OK", Headers())])
def test_the_exception_of_a_message_is_deprecated(message: Request | Response) -> None:
    message._exception = exc = ValueError()
    with pytest.deprecated_call(match="handshake_exc"):
        assert message.exception is exc


# Any message, any bytes, and the reference.

NAMES = st.text(st.sampled_from("!#$%&'*+-.^_`|~09azAZ"), min_size=1, max_size=9).filter(
    lambda name: name.lower() not in {"content-length", "transfer-encoding"}
)
VALUES = st.text(st.characters(codec="iso-8859-1", exclude_categories=["Cc"]), max_size=20).map(
    lambda text: text.strip(" ")
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=10).map(Headers)
TARGETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
REQUESTS = st.builds(
    Request, TARGETS, HEADERS, NAMES, st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/9.9"])
)
REASONS = st.text(st.characters(codec="iso-8859-1", exclude_categories=["Cc"]))


@st.composite
def responses(draw: st.DrawFn) -> Response:
    status = draw(st.sampled_from([100, 101, 200, 204, 301, 304, 403, 426, 500, 599]))
    headers, body = draw(HEADERS), b""
    if status >= 200 and status not in (204, 304):
        body = draw(st.binary())
        headers["Content-Length"] = str(len(body))
    return Response(status, draw(REASONS), headers, body)


@given(REQUESTS, st.binary(), st.data())
def test_any_request_comes_back(message: Request, rest: bytes, data: st.DataObject) -> None:
    raw = message.serialize() + rest
    cut = data.draw(st.integers(0, len(raw)))
    result, left = feed(request, [raw[:cut], raw[cut:]])
    assert (result, left) == (message, rest)
    assert list(result.headers.raw_items()) == list(message.headers.raw_items())
    assert feed(request, in_bytes(raw)) == (message, rest)


@given(responses(), st.binary(), st.data())
def test_any_response_comes_back(message: Response, rest: bytes, data: st.DataObject) -> None:
    raw = message.serialize() + rest
    cut = data.draw(st.integers(0, len(raw)))
    assert feed(response, [raw[:cut], raw[cut:]]) == (message, rest)
    assert feed(response, in_bytes(raw)) == (message, rest)


@given(st.lists(st.binary(max_size=20)), st.binary())
def test_any_chunks_come_together(chunks: list[bytes], rest: bytes) -> None:
    raw = ok(CHUNKED[0])
    for piece in filter(None, chunks):
        raw += chunk(piece)
    result, left = feed(response, [raw, b"0\r\n\r\n", rest])
    assert (result.body, left) == (b"".join(chunks), rest)


FRAGMENTS = st.sampled_from(
    [
        *[b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\n", b"\r", b":", b"A", b"Host: x", b"\0"],
        *[b"HTTP/1.1 200 OK", b"Content-Length: ", b"0", b"5", b"Transfer-Encoding: chunked"],
    ]
)
HOSTILE = st.lists(st.one_of(FRAGMENTS, st.binary(max_size=3)), max_size=20).map(b"".join)


@pytest.mark.parametrize("parse", [request, response, proxy_response])
@given(HOSTILE)
def test_any_bytes_are_a_message_or_one_of_the_errors(
    parse: Callable[[StreamReader], Generator[None, None, Any]], data: bytes
) -> None:
    def outcome(pieces: list[bytes]) -> object:
        try:
            return feed(parse, pieces, eof=True)
        except (ValueError, EOFError, SecurityError) as exc:
            return type(exc)

    whole = outcome([data])
    assert outcome(in_bytes(data)) == whole
    if isinstance(whole, tuple):
        message, rest = whole
        assert data.endswith(rest)
        assert message.serialize()


# What is read at once, and made into headers later.

USUAL = get(b"Host: a", b"X:  1\t", b"x: \xfc", b"Empty:")


def usual(data: bytes) -> Request:
    found = Request.parse_usual(data)
    assert found is not None
    message, size = found
    assert size == len(data)
    return message


@pytest.mark.parametrize(
    "data",
    [
        USUAL[:-1],
        b"POST" + USUAL[3:],
        USUAL.replace(b"1.1", b"1.0"),
        get(b"Host : a"),
        get(b" folded"),
        get(b"A: \0"),
        get(b"A: b\nC: d"),
        get(b"content-Length: 0"),
        get(b"Content-Length:5"),
        get(b"TRANSFER-encoding: chunked"),
        get(*[b"A: b"] * (rules.MAX_HEADERS + 1)),
        get(*[b"A: " + b"b" * 1000] * 9),
    ],
)
def test_what_is_left_to_be_read_line_by_line(data: bytes) -> None:
    assert Request.parse_usual(data) is None


def test_the_most_headers_that_are_read_at_once() -> None:
    message = usual(get(*[b"A: b"] * rules.MAX_HEADERS))
    assert message.headers.get_all("a") == ["b"] * rules.MAX_HEADERS


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_follows_a_head_is_left_alone(kind: Callable[[bytes], Any]) -> None:
    found = Request.parse_usual(kind(USUAL + b"\x81\x00"))
    assert found is not None
    assert (found[0].headers["Host"], found[1]) == ("a", len(USUAL))


def test_a_request_that_is_read_later_is_like_any_other() -> None:
    expected, _ = feed(request, [USUAL])
    assert usual(USUAL) == expected
    assert expected == usual(USUAL)
    assert repr(usual(USUAL)) == repr(expected)
    assert dataclasses.asdict(usual(USUAL)) == dataclasses.asdict(expected)
    assert dataclasses.replace(usual(USUAL), path="/b").path == "/b"
    assert pickle.loads(pickle.dumps(usual(USUAL))) == expected
    assert copy.copy(usual(USUAL)) == copy.deepcopy(usual(USUAL)) == expected
    assert usual(USUAL).serialize() == expected.serialize()
    assert not hasattr(usual(USUAL), "no_such_thing")


def test_headers_that_were_asked_for_are_kept() -> None:
    message = usual(USUAL)
    assert "Y" not in message.headers_now()
    message.headers_now()["Y"] = "of nobody"
    message.headers["Y"] = "2"
    assert message.headers is message.headers is message.headers_now()
    assert message.headers.get_all("Y") == ["2"]


def test_headers_and_a_path_that_were_given_are_kept() -> None:
    message = usual(USUAL)
    message.headers = Headers(A="1")
    assert message.headers_now() == Headers(A="1")
    assert (message.path, message.headers) == ("/", Headers(A="1"))
    message = usual(USUAL)
    message.path = "/other"
    assert (message.headers["Host"], message.path) == ("a", "/other")


def written() -> Response:
    return Response.from_lines(101, "Switching", "A: 1\r\nServer-Timing: 2\r\n")


def test_a_response_made_of_lines_is_like_any_other() -> None:
    expected = Response(101, "Switching", Headers([("A", "1"), ("Server-Timing", "2")]))
    assert written().serialize() == expected.serialize()
    assert written() == expected
    assert repr(written()) == repr(expected)
    assert pickle.loads(pickle.dumps(written())) == expected
    message = written()
    message.headers["B"] = "2"
    message.status_code, message.body = 200, b"body"
    assert message.serialize().startswith(b"HTTP/1.1 200 Switching\r\nA: 1\r\n")
    assert message.serialize().endswith(b"\r\nB: 2\r\n\r\nbody")
    message = written()
    message.headers = Headers()
    assert message.serialize() == b"HTTP/1.1 101 Switching\r\n\r\n"


def test_a_header_is_replaced() -> None:
    for message in written(), Response(101, "", Headers(A="1")):
        for name, value in [("Server", "x"), ("server", "y"), ("a", "2")]:
            message.replace_header(name, value)
        assert message.headers.get_all("Server") == ["y"]
        assert message.headers.get_all("A") == ["2"]
        for value in "a\r\nB: c", "\0", "\u20ac":
            with pytest.raises(UnsafeHeader):
                message.replace_header("X", value)
        assert "B" not in message.headers
    message = written()
    with pytest.raises(UnsafeHeader):
        message.replace_header("X\r\nB", "c")
    assert message == written()


USUAL_FRAGMENTS = st.sampled_from(
    [
        *[b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b":", b"A: b\r\n"],
        *[
            b"Host: x",
            b"\0",
            b"\t",
            b"\xff",
            b"\x7f",
            b"Content-Length: 0\r\n",
            b"A:",
            b"Host: y\r\n",
        ],
    ]
)


@given(st.lists(st.one_of(USUAL_FRAGMENTS, st.binary(max_size=2)), max_size=9).map(b"".join))
def test_what_is_read_at_once_is_what_is_read_line_by_line(data: bytes) -> None:
    for raw in data, b"GET / HTTP/1.1\r\n" + data + b"\r\n", USUAL[:30] + data + USUAL[30:]:
        found = Request.parse_usual(raw)
        if found is not None:
            message, size = found
            expected, rest = feed(request, [raw])
            assert raw[size:] == rest
            assert list(message.headers_now().raw_items()) == list(expected.headers.raw_items())
            assert list(message.headers.raw_items()) == list(expected.headers.raw_items())
            assert (message, message.headers) == (expected, expected.headers)


def as_websockets(data: bytes) -> websockets.http11.Request:
    stream = websockets.streams.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    with pytest.raises(StopIteration) as stop:
        next(websockets.http11.Request.parse(stream.read_line))
    value = stop.value.value
    assert isinstance(value, websockets.http11.Request)
    return value


@given(HOSTILE)
def test_websockets_reads_each_accepted_request_in_the_same_way(data: bytes) -> None:
    for raw in data, b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n":
        try:
            result, _ = feed(request, [raw])
        except (ValueError, SecurityError, NeedsMore):
            continue
        theirs = as_websockets(raw)
        assert (result.method, result.path) == (theirs.method, theirs.path)
        assert list(result.headers.raw_items()) == list(theirs.headers.raw_items())


def test_chunks() -> None:
    """RFC 9112, 7.1."""
    assert chunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"
    assert chunk(b"") == b""
    assert chunk(b"", is_last=True) == b"0\r\n\r\n"
    assert chunk(b"ab", is_last=True) == b"2\r\nab\r\n0\r\n\r\n"
