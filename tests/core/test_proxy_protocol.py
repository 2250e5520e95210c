"""The header of the PROXY protocol: both versions, whole and byte by byte, and never beyond it."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.proxy_protocol import ProxyHeader, ProxyHeaderParser, _crc32c
from wirebird.core.rules import MAX_PROXY_HEADER_BYTES
from wirebird.exceptions import InvalidProxyHeader

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = (
    socket.inet_aton("192.0.2.1")
    + socket.inet_aton("198.51.100.7")
    + struct.pack("!HH", 56324, 443)
)
V6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    + struct.pack("!HH", 1, 2)
)
MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1") * 2 + struct.pack("!HH", 1, 2)


def v2(
    addresses: bytes = b"",
    fields: bytes = b"",
    *,
    command: int = 0x21,
    family: int = 0x11,
    length: int | None = None,
) -> bytes:
    """A header of version 2, which need not be a valid one."""
    rest = addresses + fields
    return SIGNATURE + struct.pack("!BBH", command, family, length or len(rest)) + rest


def field(kind: int, value: bytes) -> bytes:
    """A field of version 2."""
    return struct.pack("!BH", kind, len(value)) + value


def with_checksum(change: int = 0) -> bytes:
    """A header of version 2 with a checksum, right unless it is changed."""
    empty = v2(V4, field(1, b"h2") + field(3, bytes(4)))
    return empty[:-4] + struct.pack("!I", _crc32c(empty) ^ change)


SSL = field(0x20, b"\x01\0\0\0\0" + field(0x21, b"TLSv1.3"))
CLIENT, SERVER = ("192.0.2.1", 56324), ("198.51.100.7", 443)

GOOD = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", ProxyHeader(1, CLIENT, SERVER)),  # type: ignore[arg-type]
    (
        b"PROXY TCP6 2001:DB8::1 2001:db8::2 1 2\r\n",
        ProxyHeader(1, ("2001:db8::1", 1), ("2001:db8::2", 2)),  # type: ignore[arg-type]
    ),
    (
        b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 0 65535\r\n",
        ProxyHeader(1, ("192.0.2.1", 0), ("192.0.2.2", 65535)),  # type: ignore[arg-type]
    ),
    (b"PROXY UNKNOWN\r\n", ProxyHeader(1)),
    (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", ProxyHeader(1)),
    (v2(V4), ProxyHeader(2, CLIENT, SERVER)),  # type: ignore[arg-type]
    (v2(V4, family=0x12), ProxyHeader(2, CLIENT, SERVER)),  # type: ignore[arg-type]
    (v2(V6, family=0x21), ProxyHeader(2, ("2001:db8::1", 1), ("2001:db8::2", 2))),  # type: ignore[arg-type]
    (v2(MAPPED, family=0x21), ProxyHeader(2, ("192.0.2.1", 1), ("192.0.2.1", 2))),  # type: ignore[arg-type]
    (v2(bytes(216), family=0x31), ProxyHeader(2)),
    (v2(family=0), ProxyHeader(2)),
    (v2(fields=field(2, b"a"), family=0), ProxyHeader(2, fields=((2, b"a"),))),
    (v2(command=0x20, family=0), ProxyHeader(2, is_local=True)),
    (v2(b"whatever", command=0x20), ProxyHeader(2, is_local=True)),
    (v2(V4, command=0x20, family=0xFF), ProxyHeader(2, is_local=True)),  # which is not looked at
    (
        v2(V4, field(4, bytes(MAX_PROXY_HEADER_BYTES - 31))),
        ProxyHeader(2, CLIENT, SERVER, ((4, bytes(MAX_PROXY_HEADER_BYTES - 31)),)),  # type: ignore[arg-type]
    ),
    (
        with_checksum(),
        ProxyHeader(2, CLIENT, SERVER, ((1, b"h2"), (3, with_checksum()[-4:]))),  # type: ignore[arg-type]
    ),
]


@pytest.mark.parametrize(("data", "expected"), GOOD)
@pytest.mark.parametrize("behind", [b"", b"\x16\x03\x01\x02\0GET"])
def test_a_header_and_not_a_byte_more(data: bytes, expected: ProxyHeader, behind: bytes) -> None:
    parser = ProxyHeaderParser()
    assert parser.feed(data + behind) == len(data)
    assert parser.header == expected
    assert parser.wanted == 0
    assert parser.feed(behind) == 0


@pytest.mark.parametrize(("data", "expected"), GOOD)
def test_byte_by_byte(data: bytes, expected: ProxyHeader) -> None:
    parser = ProxyHeaderParser()
    for at in range(len(data)):
        assert parser.header is None
        assert 0 < parser.wanted <= len(data) - at  # whoever reads so much reads nothing else
        assert parser.feed(data[at : at + 1]) == 1
    assert parser.header == expected


@pytest.mark.parametrize(("data", "expected"), GOOD)
def test_reading_as_much_as_is_wanted(data: bytes, expected: ProxyHeader) -> None:
    parser, at = ProxyHeaderParser(), 0
    while wanted := parser.wanted:
        assert parser.feed(data[at : at + wanted]) == wanted
        at += wanted
    assert at == len(data)
    assert parser.header == expected


BAD = [
    (b"GET / HTTP/1.1\r\n", "there is none"),
    (b"\x16\x03\x01", "there is none"),
    (b"PROXX", "there is none"),
    (b"proxy TCP4", "there is none"),
    (b"\r\n\r\nGET", "there is none"),
    (b"\0", "there is none"),
    (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n", "does not end with CRLF"),
    (b"PROXY TCP4 192.0.2.1  198.51.100.7 56324 443\r\n", "a malformed line"),
    (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n", "a malformed line"),
    (b"PROXY TCP4 192.0.2.1 198.51.100.7 056324 443\r\n", "a malformed line"),
    (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n", "a malformed line"),
    (b"PROXY TCP5 192.0.2.1 198.51.100.7 56324 443\r\n", "a malformed line"),
    (b"PROXY UDP4 192.0.2.1 198.51.100.7 56324 443\r\n", "a malformed line"),
    (b"PROXY UNKNOWNS\r\n", "a malformed line"),
    (b"PROXY UNKNOWN \0\r\n", "a malformed line"),
    (b"PROXY\r\n", "there is none"),
    (b"PROXY \r\n1234567", "version 1"),
    (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 65536\r\n", "a malformed port"),
    (b"PROXY TCP4 192.0.2.01 198.51.100.7 56324 443\r\n", "a malformed address"),
    (b"PROXY TCP4 192.0.2.1 2001:db8::1 56324 443\r\n", "a malformed address"),
    (b"PROXY TCP6 192.0.2.1 192.0.2.2 56324 443\r\n", "a malformed address"),
    (b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n", "more than 107 bytes"),
    (b"PROXY UNKNOWN " + b"f" * 500, "more than 107 bytes"),
    (v2(V4, command=0x11), "an unknown command"),
    (v2(V4, command=0x31), "an unknown command"),
    (v2(V4, command=0x22), "an unknown command"),
    (v2(V4, family=0x41), "an unknown command"),
    (v2(V4, family=0x13), "an unknown command"),
    (v2(V4[:-1]), "truncated addresses"),
    (v2(V6[:-1], family=0x21), "truncated addresses"),
    (v2(bytes(215), family=0x31), "truncated addresses"),
    (v2(V4, b"\x01"), "a truncated field"),
    (v2(V4, b"\x01\0\x02a"), "a truncated field"),
    (v2(V4, field(0x20, b"\1")), "a truncated field"),
    (v2(V4, length=65535), "65551 bytes; at most 4096"),
    (v2(command=0x20, length=MAX_PROXY_HEADER_BYTES - 15), "4097 bytes; at most 4096"),
    (with_checksum(1), "a wrong checksum"),
    (with_checksum(1 << 31), "a wrong checksum"),
    (v2(V4, field(3, b"abc")), "a wrong checksum"),
    (v2(V4, field(3, bytes(4)) * 2), "a wrong checksum"),
]


@pytest.mark.parametrize(("data", "why"), BAD)
def test_others_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(InvalidProxyHeader, match=f"^invalid PROXY protocol header: .*{why}"):
        ProxyHeaderParser().feed(data)
    parser = ProxyHeaderParser()
    with pytest.raises(InvalidProxyHeader, match=why):
        for at in range(len(data)):
            parser.feed(data[at : at + 1])


def test_what_fields_tell() -> None:
    parser = ProxyHeaderParser()
    parser.feed(v2(V4, field(2, b"example.com") + SSL + field(1, b"http/1.1")))
    header = parser.header
    assert header is not None
    assert (header.is_secure, header.authority, header.alpn) == (True, "example.com", b"http/1.1")
    plain = ProxyHeader(2, fields=((0x20, b"\x06\0\0\0\0"),))
    assert (plain.is_secure, plain.authority, plain.alpn) == (False, None, None)


def test_the_checksum() -> None:
    # RFC 3720, B.4.
    assert _crc32c(bytes(32)) == 0x8A9136AA
    assert _crc32c(bytes(range(32))) == 0x46DD794E


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PROXY TCP4 1.1.1.1 ", SIGNATURE, SIGNATURE + b"\x21\x11\0"]),
)
def test_whatever_comes_it_is_bounded(data: bytes, start: bytes) -> None:
    parser = ProxyHeaderParser()
    try:
        used = parser.feed(start + data)
    except InvalidProxyHeader:
        return
    assert used <= MAX_PROXY_HEADER_BYTES
    assert (parser.header is None) is (parser.wanted > 0)
    if parser.header is None:
        assert used == len(start + data)
