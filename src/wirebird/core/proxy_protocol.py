"""The header of the PROXY protocol, versions 1 and 2: who connects, said before the first byte.

A proxy that passes on TCP as it is cannot write HTTP headers. It writes one of its own before them,
and before TLS, once for each connection (HAProxy's ``proxy-protocol.txt``):

- version 1, a line of at most 107 bytes: ``PROXY TCP4 192.0.2.1 192.0.2.7 56324 443\\r\\n``;
- version 2, binary: a signature of 12 bytes, command, family, the length of what follows (2 bytes),
  the addresses, and perhaps fields (type, length, value), such as the name that TLS was asked for.

``LOCAL`` is a connection of the proxy's own, such as a health check. ``UNKNOWN``, or a family that
is not IP, means that the proxy does not say who is behind it; somebody may be. A server that
expects the header takes no connection without one, since whoever may leave it out may write it.

The parser never takes a byte beyond the header: ``wanted`` says how many may be read, so that what
follows can be TLS that somebody else reads. Version 2 claims up to 64 KB; more than
``MAX_PROXY_HEADER_BYTES`` is refused.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import re
import struct
from collections.abc import Iterator
from typing import NoReturn

from ..exceptions import InvalidProxyHeader
from .forwarded import Address
from .rules import MAX_PROXY_HEADER_BYTES
from .types import BytesLike

__all__ = ["ProxyHeader", "ProxyHeaderParser"]

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V1_START = b"PROXY "
_V1_MAX_BYTES = 107
_V2_START_BYTES = 16
_PORT = rb"(0|[1-9][0-9]{0,4})"
_v1_line = re.compile(
    rb"PROXY (?:UNKNOWN(?: [\x20-\x7e]*)?|(TCP[46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) "
    + _PORT
    + rb" "
    + _PORT
    + rb")\r\n"
)

# Families of version 2, with the length of both addresses; and the fields that mean something here.
_UNSPEC, _INET, _INET6, _UNIX = range(4)
_ADDRESSES_BYTES = {_UNSPEC: 0, _INET: 12, _INET6: 36, _UNIX: 216}
_LOCAL, _PROXY = range(2)
_ALPN, _AUTHORITY, _CRC32C, _SSL = 1, 2, 3, 0x20
_CLIENT_SSL = 1  # a bit of the first byte of _SSL


@dataclasses.dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a proxy said of a connection.

    Args:
        version: 1 or 2.
        source: of the client; None where the proxy does not say.
        destination: that the client connected to.
        fields: of version 2, as (type, value).
        is_local: the connection is the proxy's own: nobody is behind it.
    """

    version: int
    source: Address | None = None
    destination: Address | None = None
    fields: tuple[tuple[int, bytes], ...] = ()
    is_local: bool = False

    @property
    def is_secure(self) -> bool:
        """Whether the client speaks TLS with the proxy."""
        ssl = self._field(_SSL)
        return ssl is not None and bool(ssl[0] & _CLIENT_SSL)

    @property
    def authority(self) -> str | None:
        """The host that the client named to TLS (SNI), or None."""
        value = self._field(_AUTHORITY)
        return None if value is None else value.decode(errors="replace")

    @property
    def alpn(self) -> bytes | None:
        """The protocol that was agreed on within TLS, or None."""
        return self._field(_ALPN)

    def _field(self, kind: int) -> bytes | None:
        return next((value for found, value in self.fields if found == kind), None)


class ProxyHeaderParser:
    """Reads the header of one connection."""

    def __init__(self) -> None:
        self.header: ProxyHeader | None = None
        """The header, once all of it has come."""
        self._seen = bytearray()
        self._total = 0  # of version 2, once it is known

    @property
    def wanted(self) -> int:
        """How many bytes may be read without reading beyond the header; 0 when it is complete."""
        got = len(self._seen)
        if self.header is not None:
            return 0
        if got < len(_SIGNATURE):  # the shortest line of version 1 has 15 bytes
            return len(_SIGNATURE) - got
        if self._seen[0] == _SIGNATURE[0]:
            return (self._total or _V2_START_BYTES) - got
        return 1 if self._seen[-1] == 0x0D else min(2, _V1_MAX_BYTES - got)

    def feed(self, data: BytesLike) -> int:
        """Take what came; return how many bytes of it are the header's.

        Raises:
            InvalidProxyHeader: it is none, or a wrong one.
        """
        view = memoryview(data)
        at = 0
        while self.header is None and at < len(view):
            taken = view[at : at + self.wanted]
            self._seen += taken
            at += len(taken)
            self._look()
        return at

    def _look(self) -> None:
        """Judge what has come so far."""
        seen = self._seen
        if seen[0] == _SIGNATURE[0]:
            if not _SIGNATURE.startswith(seen[: len(_SIGNATURE)]):
                self._refuse("there is none")
            if len(seen) >= _V2_START_BYTES:
                self._look_at_v2(bytes(seen))
            return
        if not _V1_START.startswith(seen[: len(_V1_START)]):
            self._refuse("there is none")
        if seen.endswith(b"\r\n"):
            self.header = self._parse_v1(bytes(seen))
        elif b"\n" in seen:
            self._refuse("version 1, a line that does not end with CRLF")
        elif len(seen) >= _V1_MAX_BYTES:
            self._refuse(f"version 1, more than {_V1_MAX_BYTES} bytes")

    def _parse_v1(self, line: bytes) -> ProxyHeader:
        match = _v1_line.fullmatch(line)
        if match is None:
            self._refuse("version 1, a malformed line")
        family, *texts, source_port, destination_port = match.groups()
        if family is None:
            return ProxyHeader(1)
        kind = ipaddress.IPv4Address if family == b"TCP4" else ipaddress.IPv6Address
        try:
            source, destination = (kind(text.decode()) for text in texts)
        except ValueError:
            self._refuse("version 1, a malformed address")
        ports = int(source_port), int(destination_port)
        if max(ports) > 65535:
            self._refuse("version 1, a malformed port")
        return ProxyHeader(1, _address(source, ports[0]), _address(destination, ports[1]))

    def _look_at_v2(self, seen: bytes) -> None:
        version_and_command, family_and_transport, length = struct.unpack_from("!BBH", seen, 12)
        version, command = divmod(version_and_command, 16)
        family, transport = divmod(family_and_transport, 16)
        is_known = command == _LOCAL or (command == _PROXY and family <= _UNIX and transport <= 2)
        if version != 2 or not is_known:
            self._refuse("version 2, an unknown command or family")
        self._total = _V2_START_BYTES + length
        if self._total > MAX_PROXY_HEADER_BYTES:
            self._refuse(f"version 2, {self._total} bytes; at most {MAX_PROXY_HEADER_BYTES}")
        if len(seen) < self._total:
            return
        if command == _LOCAL:
            self.header = ProxyHeader(2, is_local=True)
            return
        fields_at = _V2_START_BYTES + _ADDRESSES_BYTES[family]
        if fields_at > self._total:
            self._refuse("version 2, truncated addresses")
        fields = tuple(self._fields(seen, fields_at))
        self.header = ProxyHeader(2, *_addresses(seen, family), fields)

    def _fields(self, seen: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        has_checksum = False
        while at < len(seen):
            if at + 3 > len(seen):
                self._refuse("version 2, a truncated field")
            kind, length = struct.unpack_from("!BH", seen, at)
            value = seen[at + 3 : at + 3 + length]
            if len(value) < length or (kind == _SSL and length < 5):
                self._refuse("version 2, a truncated field")
            if kind == _CRC32C:
                zeroed = seen[: at + 3] + bytes(length) + seen[at + 3 + length :]
                if has_checksum or value != struct.pack("!I", _crc32c(zeroed)):
                    self._refuse("version 2, a wrong checksum")
                has_checksum = True
            yield kind, value
            at += 3 + length

    def _refuse(self, why: str) -> NoReturn:
        raise InvalidProxyHeader(why)


def _address(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> Address:
    """Return an address, of IPv4 where that was mapped to IPv6. RFC 4291, 2.5.5.2."""
    mapped = None if ip.version == 4 else ip.ipv4_mapped
    return Address(str(ip if mapped is None else mapped), port)


def _addresses(seen: bytes, family: int) -> tuple[Address | None, Address | None]:
    if family not in (_INET, _INET6):
        return None, None
    kind = ipaddress.IPv4Address if family == _INET else ipaddress.IPv6Address
    size = 4 if family == _INET else 16
    source, destination, source_port, destination_port = struct.unpack_from(
        f"!{size}s{size}sHH", seen, _V2_START_BYTES
    )
    return _address(kind(source), source_port), _address(kind(destination), destination_port)


@functools.cache
def _crc32c_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def _crc32c(data: bytes) -> int:
    """Return the checksum of RFC 9260, appendix A."""
    table = _crc32c_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
