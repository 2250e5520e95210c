"""The head of an HTTP/1.1 message, read strictly and within limits. RFC 9112, 2 to 6.

A request line or status line, headers, an empty line: every line ends with CRLF. What other
parsers may read in two ways is not read at all: LF alone, a folded line, a space before the
colon, a control character in a value, a body on a request. A request of another HTTP version is
read, so that the handshake can answer it.

``parse`` is a generator: it yields when it needs more bytes, and consumes exactly the message;
what follows stays in the stream. Limits are in ``rules.py``: a request line that exceeds its own
is answered 414, other lines, their number and the head as a whole 431.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
import warnings
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from ..exceptions import (
    HeaderLineTooLong,
    RequestLineTooLong,
    SecurityError,
    StatusLineTooLong,
    TooManyHeaders,
)
from ..version import version
from .fields import Headers, check_header
from .redaction import shown_header, shown_line, shown_target
from .rules import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADER_LINE_BYTES,
    MAX_HEADERS,
    MAX_REQUEST_LINE_BYTES,
)
from .types import BytesLike

__all__ = ["SERVER", "USER_AGENT", "Request", "Response", "chunk"]

_PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

USER_AGENT = f"Python/{_PYTHON_VERSION} wirebird/{version}"
"""What a client says it is, unless told otherwise."""

SERVER = USER_AGENT
"""What a server says it is, unless told otherwise."""

_is_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_target = re.compile(rb"[\x21-\x7e]+").fullmatch
_is_version = re.compile(rb"HTTP/[0-9]\.[0-9]").fullmatch
_is_status = re.compile(rb"[1-5][0-9]{2}").fullmatch
_is_text = re.compile(rb"[\t\x20-\x7e\x80-\xff]*").fullmatch
_is_length = re.compile(r"[0-9]{1,18}").fullmatch
_is_chunk_size = re.compile(rb"[0-9A-Fa-f]{1,15}").fullmatch

# A head as nearly every client sends it, by the same grammar, all at once.
_match_usual_head = re.compile(
    rb"GET [\x21-\x7e]++ HTTP/1\.1\r\n"
    rb"(?:[!#$%%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n){0,%d}+\r\n" % MAX_HEADERS
).match
_MAX_USUAL_BYTES = min(MAX_REQUEST_LINE_BYTES, MAX_HEADER_LINE_BYTES, MAX_HEAD_BYTES)

ReadLine: TypeAlias = Callable[[int, type[Exception]], Generator[None, None, bytes | bytearray]]
ReadExact: TypeAlias = Callable[[int], Generator[None, None, bytes | bytearray]]
ReadToEof: TypeAlias = ReadLine


class _Message:
    """Headers that are made when they are first asked for.

    Most are never asked for: as bytes in one piece they take a tenth of the memory.
    """

    _head: bytes | None = None

    if not TYPE_CHECKING:  # for a checker an attribute is there, or it is not

        def __getattr__(self, name: str) -> Any:
            head = self._head
            if head is not None:
                self._head = None
                given = vars(self)
                for key, value in self._read_head(head.decode("iso-8859-1")).items():
                    given.setdefault(key, value)
                if name in given:
                    return given[name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _read_head(self, head: str) -> dict[str, Any]:
        """Return the attributes that are in the head."""
        raise NotImplementedError

    def _kept_headers(self) -> Headers | None:
        """Return the headers that somebody may have changed; None where the head holds them."""
        try:
            headers: Headers = object.__getattribute__(self, "headers")
        except AttributeError:
            return None
        return headers


@dataclasses.dataclass
class Request(_Message):
    """A request for a WebSocket.

    Args:
        path: the request target, with the query; visible ASCII.
        headers: in order.
        method: a token; GET in a valid handshake.
        protocol: HTTP/1.1 in a valid handshake.
    """

    path: str
    headers: Headers
    method: str = "GET"
    protocol: str = "HTTP/1.1"

    _exception: Exception | None = None

    @property
    def exception(self) -> Exception | None:
        """Why the handshake failed; deprecated, as ``websockets`` has it."""
        return _deprecated_exception(self._exception, "Request", "ServerProtocol")

    @classmethod
    def parse_usual(cls, data: BytesLike) -> tuple[Self, int] | None:
        """Read a request that came at once and is as nearly all are; its headers are read later.

        Args:
            data: what came.

        Returns:
            The request and how many bytes of ``data`` it had; None to ask ``parse``.
        """
        match = _match_usual_head(data)
        if match is None or match.end() > _MAX_USUAL_BYTES:
            return None
        head: bytes = match.group()
        lowered = head.lower()
        if b"\ntransfer-encoding:" in lowered or b"\ncontent-length:" in lowered:
            return None
        request = cls.__new__(cls)
        request._head = head
        return request, len(head)

    def _read_head(self, head: str) -> dict[str, Any]:
        line, _, lines = head[:-2].partition("\r\n")
        return {"path": line.split(" ")[1], "headers": Headers.from_lines(lines)}

    def headers_now(self) -> Headers:
        """Return the headers; a copy, where nobody has asked for them yet."""
        kept = self._kept_headers()
        if kept is not None or self._head is None:
            return self.headers
        return Headers.from_lines(self._head.decode("iso-8859-1").partition("\r\n")[2][:-2])

    @classmethod
    def parse(cls, read_line: ReadLine) -> Generator[None, None, Self]:
        """Read a request.

        Args:
            read_line: generator function that reads a line, within a limit; that of a
                StreamReader.

        Raises:
            RequestLineTooLong: the request line exceeds its limit (414).
            HeaderLineTooLong: a header line, or the head, exceeds its limit (431).
            TooManyHeaders: there are more headers than allowed (431).
            ValueError: this is no HTTP/1.1 request, or one with a body (400).
            EOFError: the stream ended before the request did.
        """
        line = yield from _read_first_line(
            read_line, MAX_REQUEST_LINE_BYTES, RequestLineTooLong, "request line"
        )
        parts = line.split(b" ")
        if len(parts) != 3:
            raise ValueError(f"invalid request line: {_show(line, shown_target)}")
        method, target, protocol = parts
        if not _is_token(method):
            raise ValueError(f"invalid method: {_show(method)}, expected a token")
        if not _is_target(target):
            raise ValueError(
                f"invalid request target: {_show(target, shown_target)}, expected visible ASCII"
            )
        if not _is_version(protocol):
            raise ValueError(f"invalid protocol: {_show(protocol)}, expected HTTP/1.1")
        headers = yield from _parse_headers(read_line, MAX_HEAD_BYTES - len(line) - 2)
        _refuse_body(headers)
        return cls(target.decode(), headers, method.decode(), protocol.decode())

    def serialize(self) -> bytes:
        """Write the request.

        Raises:
            ValueError: the method, path, protocol or a header cannot stand in a head.
        """
        line = [self.method, self.path, self.protocol]
        checks = [_is_token, _is_target, _is_version]
        for text, is_valid, what in zip(line, checks, ["method", "path", "protocol"], strict=True):
            if not is_valid(text.encode("utf-8", "surrogatepass")):
                raise ValueError(f"invalid {what}: {text!a}, expected visible ASCII")
        return " ".join(line).encode() + b"\r\n" + self.headers.serialize()


@dataclasses.dataclass
class Response(_Message):
    """A response to a request for a WebSocket.

    Args:
        status_code: 101 when the connection is open; else an HTTP status.
        reason_phrase: text for people, ISO-8859-1.
        headers: in order.
        body: of a response that refuses the handshake.
    """

    status_code: int
    reason_phrase: str
    headers: Headers
    body: bytes | bytearray = b""

    _exception: Exception | None = None

    @property
    def exception(self) -> Exception | None:
        """Why the handshake failed; deprecated, as ``websockets`` has it."""
        return _deprecated_exception(self._exception, "Response", "ClientProtocol")

    @classmethod
    def from_lines(cls, status_code: int, reason_phrase: str, lines: str) -> Self:
        """Make a response without a body, whose headers are made of lines when they are asked for.

        Args:
            status_code, reason_phrase: as above.
            lines: as for ``Headers.from_lines``.
        """
        response = cls.__new__(cls)
        response.status_code = status_code
        response.reason_phrase = reason_phrase
        response._head = lines.encode("iso-8859-1")
        return response

    def _read_head(self, head: str) -> dict[str, Any]:
        return {"headers": Headers.from_lines(head)}

    def replace_header(self, name: str, value: str) -> None:
        """Set a header to one value, whatever it was.

        Raises:
            UnsafeHeader: the name is not a token, or the value holds a control character.
        """
        head = self._head
        kept = self._kept_headers()
        if kept is None and head is not None and f"{name}:".lower().encode() not in head.lower():
            check_header(name, value)
            self._head = head + f"{name}: {value}\r\n".encode("iso-8859-1")
            return
        if name in self.headers:
            del self.headers[name]
        self.headers[name] = value

    @classmethod
    def parse(
        cls,
        read_line: ReadLine,
        read_exact: ReadExact,
        read_to_eof: ReadToEof,
        proxy: bool = False,
    ) -> Generator[None, None, Self]:
        """Read a response, with its body.

        Args:
            read_line: generator function that reads a line, within a limit; that of a
                StreamReader, like the next two.
            read_exact: generator function that reads a number of bytes.
            read_to_eof: generator function that reads until the stream ends, within a limit.
            proxy: whether it is a proxy's answer to CONNECT: HTTP/1.0 will do, and what
                follows the head is not a body.

        Raises:
            StatusLineTooLong: the status line exceeds its limit.
            HeaderLineTooLong: a header line, or the head, exceeds its limit.
            TooManyHeaders: there are more headers than allowed.
            SecurityError: the body exceeds its limit.
            ValueError: this is no HTTP/1.1 response.
            EOFError: the stream ended before the response did.
        """
        line = yield from _read_first_line(
            read_line, MAX_HEADER_LINE_BYTES, StatusLineTooLong, "status line"
        )
        protocol, _, rest = line.partition(b" ")
        raw_status, space, raw_reason = rest.partition(b" ")
        if not space or not _is_version(protocol):
            raise ValueError(f"invalid status line: {_show(line)}")
        if protocol != b"HTTP/1.1" and not (proxy and protocol == b"HTTP/1.0"):
            raise ValueError(f"unsupported protocol: {_show(protocol)}, expected HTTP/1.1")
        if not _is_status(raw_status):
            raise ValueError(f"invalid status code: {_show(raw_status)}, expected 100-599")
        if not _is_text(raw_reason):
            raise ValueError(f"invalid reason phrase: {_show(raw_reason)}")
        headers = yield from _parse_headers(read_line, MAX_HEAD_BYTES - len(line) - 2)
        status = int(raw_status)
        body: bytes | bytearray = b""
        # RFC 9112, 6.3: these end with their head, whatever their headers say.
        if not proxy and status >= 200 and status not in (204, 304):
            body = yield from _read_body(headers, read_line, read_exact, read_to_eof)
        return cls(status, raw_reason.decode("iso-8859-1"), headers, body)

    def serialize(self) -> bytes:
        """Write the response.

        Raises:
            ValueError: the status, the reason phrase or a header cannot stand in a head.
        """
        status = f"{self.status_code:d}"
        if not _is_status(status.encode()):
            raise ValueError(f"invalid status code: {status}, expected 100-599")
        reason = self.reason_phrase.encode("iso-8859-1")
        if not _is_text(reason):
            raise ValueError(f"invalid reason phrase: {self.reason_phrase!a}")
        kept = self._kept_headers()
        if kept is None and self._head is not None:
            headers = self._head + b"\r\n"
        else:
            headers = self.headers.serialize()
        return b"HTTP/1.1 " + status.encode() + b" " + reason + b"\r\n" + headers + self.body


def chunk(data: bytes, *, is_last: bool = False) -> bytes:
    """Return a piece of a chunked body. RFC 9112, 7.1.

    Args:
        data: as it is; none is no chunk.
        is_last: whether the body ends with it.
    """
    written = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return written + b"0\r\n\r\n" if is_last else written


def _deprecated_exception(exc: Exception | None, owner: str, protocol: str) -> Exception | None:
    warnings.warn(
        f"{owner}.exception is deprecated; use {protocol}.handshake_exc",
        DeprecationWarning,
        stacklevel=3,
    )
    return exc


def _show(data: bytes | bytearray, hide: Callable[[str], str] = str) -> str:
    """Return bytes of a peer for an error message: escaped, at most some 100 of them.

    Args:
        data: of a head.
        hide: leaves out what is secret in them.
    """
    text = hide(bytes(data).decode("iso-8859-1"))
    return ascii(text[:100]) + ("..." if len(text) > 100 else "")


def _read_line(
    read_line: ReadLine, limit: int, too_long: type[Exception]
) -> Generator[None, None, bytes]:
    line = bytes((yield from read_line(limit, too_long)))
    # RFC 9112, 2.2, lets a parser take LF alone; parsers that differ in it can be played off
    # against each other.
    if not line.endswith(b"\r\n"):
        raise ValueError(f"line ends with LF alone, expected CRLF: {_show(line, shown_line)}")
    return line[:-2]


def _read_first_line(
    read_line: ReadLine, limit: int, too_long: type[Exception], what: str
) -> Generator[None, None, bytes]:
    try:
        return (yield from _read_line(read_line, limit, too_long))
    except EOFError as exc:
        raise EOFError(f"connection closed within the HTTP {what}") from exc


def _parse_headers(read_line: ReadLine, budget: int) -> Generator[None, None, Headers]:
    """Read headers and the empty line after them, ``budget`` bytes at most."""
    headers = Headers()
    for _ in range(MAX_HEADERS + 1):
        limit = min(MAX_HEADER_LINE_BYTES, budget)
        try:
            line = yield from _read_line(read_line, limit, HeaderLineTooLong)
        except EOFError as exc:
            raise EOFError("connection closed within the HTTP headers") from exc
        if not line:
            return headers
        budget -= len(line) + 2
        name, colon, value = line.partition(b":")
        # A name that is a token also rules out a folded line and a space before the colon.
        # RFC 9112, 5.1 and 5.2.
        if not colon or not _is_token(name):
            raise ValueError(
                f"invalid header line: {_show(line, shown_line)}, expected a token and a colon"
            )
        value = value.strip(b" \t")
        if not _is_text(value):
            hide = functools.partial(shown_header, name.decode())
            raise ValueError(f"invalid value of header {_show(name)}: {_show(value, hide)}")
        headers.set_insecure(name.decode(), value.decode("iso-8859-1"))
    raise TooManyHeaders(f"there are more than {MAX_HEADERS} headers")


def _refuse_body(headers: Headers) -> None:
    """Refuse a request with a body: what follows its head must be the WebSocket's."""
    if "Transfer-Encoding" in headers:
        raise ValueError("unsupported request body: Transfer-Encoding, expected no body")
    for value in headers.get_all("Content-Length"):
        if value != "0":  # which some clients send
            raise ValueError(f"unsupported request body: {value[:20]} bytes, expected no body")


def _read_body(
    headers: Headers, read_line: ReadLine, read_exact: ReadExact, read_to_eof: ReadToEof
) -> Generator[None, None, bytes | bytearray]:
    """Read the body of a response, as its headers delimit it. RFC 9112, 6.3."""
    codings = headers.get_all("Transfer-Encoding")
    lengths = set(headers.get_all("Content-Length"))
    if codings and lengths:
        raise ValueError("response has both Transfer-Encoding and Content-Length")
    if codings:
        if len(codings) > 1 or codings[0].lower() != "chunked":
            raise ValueError(f"unsupported Transfer-Encoding: {', '.join(codings)[:100]}")
        return (yield from _read_chunks(read_line, read_exact))
    if not lengths:
        return (yield from read_to_eof(MAX_BODY_BYTES, SecurityError))
    if len(lengths) > 1:
        raise ValueError("response has several values of Content-Length")
    (raw_length,) = lengths
    if not _is_length(raw_length):
        raise SecurityError(f"invalid Content-Length: {raw_length[:100]}")
    length = int(raw_length)
    if length > MAX_BODY_BYTES:
        raise SecurityError(f"body of {length} bytes, expected at most {MAX_BODY_BYTES}")
    return (yield from read_exact(length))


def _read_chunks(read_line: ReadLine, read_exact: ReadExact) -> Generator[None, None, bytearray]:
    """Read a chunked body and forget its trailer. RFC 9112, 7.1."""
    body = bytearray()
    # Extensions of chunks are bounded too, since they can be any longer than the chunks.
    framing = 0
    while True:
        line = yield from _read_line(read_line, MAX_HEADER_LINE_BYTES, SecurityError)
        framing += len(line)
        raw_size = line.partition(b";")[0]
        if not _is_chunk_size(raw_size):
            raise SecurityError(f"invalid chunk size: {_show(raw_size)}")
        size = int(raw_size, 16)
        if len(body) + size > MAX_BODY_BYTES or framing > MAX_BODY_BYTES:
            raise SecurityError(f"chunked body exceeds {MAX_BODY_BYTES} bytes")
        if size == 0:
            break
        body += yield from read_exact(size)
        if (yield from read_exact(2)) != b"\r\n":
            raise ValueError("chunk does not end with CRLF")
    yield from _parse_headers(read_line, MAX_HEAD_BYTES)
    return body
