"""Who a request comes from, as the reverse proxies on its way tell it. RFC 7239.

A server behind a proxy sees the proxy's address. Whom it serves, and what it was asked for, the
proxy writes into headers: ``Forwarded``, or the older ``X-Forwarded-For``, ``-Proto``, ``-Host``
and ``-Port``. Anybody can write them, so:

- They are read only when the peer of the socket is a **trusted proxy**. The one nearest to us wrote
  the last entry; while the address in an entry is a trusted proxy's too, that one wrote the entry
  before it. The first address that is not is the client's; what stands left of it the client wrote,
  and nobody reads it.
- A proxy that writes one of both families passes on what a client wrote in the other. So both in
  one request, from a trusted proxy, are answered 400, unless the server was told which headers its
  proxies write; then the others are not looked at.
- What cannot be read is answered 400, and not passed over: the address behind it may be one that
  was locked out. Each line is read by itself, so that a quote which a client left open does not
  swallow what a proxy added.

The scheme and the host are those of the entry in which the client's address is. Where
``X-Forwarded-Proto`` or ``-Host`` has as many values as ``-For``, it has one for each entry;
otherwise, as most proxies set it, the last one counts.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeVar

from ..exceptions import InvalidHeader
from .fields import Headers
from .headers import is_host_and_port, parse_forwarded
from .rules import MAX_PROXY_HOPS

__all__ = [
    "FORWARDED_HEADERS",
    "NOTHING_FORWARDED",
    "Address",
    "Forwarded",
    "TrustedProxies",
    "address_of",
]

T = TypeVar("T")

FORWARDED_HEADERS = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
)
"""What is read from trusted proxies, unless told otherwise."""

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# RFC 7239, 6: an address or a word instead of it, and a port or a word instead of it.
_node = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)|(unknown|_[A-Za-z0-9._\-]+))(?::([0-9]{1,5}|_[A-Za-z0-9._\-]+))?",
    re.IGNORECASE,
)
_zone = re.compile(r"(?<=[0-9A-Fa-f:.])%[A-Za-z0-9._~\-]+(?=\]|$)")
_is_port = re.compile(r"[0-9]{1,5}").fullmatch


class Address(NamedTuple):
    """Where a client is."""

    host: str
    """An IP address; or ``unknown``, ``unix``, or what a proxy says instead (``_hidden``)."""
    port: int | None
    """None where it is not known."""


@dataclasses.dataclass(frozen=True, slots=True)
class Forwarded:
    """What proxies tell of a request; None for what they do not.

    Args:
        client: who it comes from.
        scheme: ws or wss, as the client connects.
        host: that the client asked for, with the port unless it is the usual one.
    """

    client: Address | None = None
    scheme: str | None = None
    host: str | None = None


NOTHING_FORWARDED = Forwarded()


class TrustedProxies:
    """The proxies that are believed, and the headers that they write.

    Args:
        proxies: addresses and networks (``10.0.0.0/8``), or ``unix`` for whoever connects to a
            Unix socket.
        headers: which of ``FORWARDED_HEADERS`` the proxies write.

    Raises:
        TypeError: one of them is not a list.
        ValueError: an item is not an address, or not one of the headers.
    """

    def __init__(
        self, proxies: Collection[str | _IpNetwork], headers: Collection[str] = FORWARDED_HEADERS
    ) -> None:
        for name, given in (("trusted_proxies", proxies), ("forwarded_headers", headers)):
            if isinstance(given, str):
                raise TypeError(f"{name} must be a list, not one str: {given!r}")
        self._trusts_unix = "unix" in proxies
        self._networks = [_network_of(proxy) for proxy in proxies if proxy != "unix"]
        known = {name.lower(): name for name in FORWARDED_HEADERS}
        unknown = [name for name in headers if name.lower() not in known]
        if unknown:
            raise ValueError(
                f"unknown forwarded header: {unknown[0]!r}, expected some of "
                + ", ".join(FORWARDED_HEADERS)
            )
        self._headers = frozenset(known[name.lower()] for name in headers)

    def trusts(self, peer: Any) -> bool:
        """Tell whether a proxy is at an address.

        Args:
            peer: as ``socket.getpeername`` returns it; None is nobody's.
        """
        if isinstance(peer, tuple):
            return self._trusts_ip(str(peer[0]))
        return peer is not None and self._trusts_unix

    def read(self, peer: Any, headers: Headers) -> Forwarded:
        """Return what a request's headers tell, as far as they can be believed.

        Args:
            peer: who sent the request, as ``socket.getpeername`` returns it.
            headers: of the request.

        Raises:
            InvalidHeader: they cannot be read, or contradict each other (400).
        """
        present = [name for name in FORWARDED_HEADERS if name in self._headers and name in headers]
        if not present or not self.trusts(peer):
            return NOTHING_FORWARDED
        if present[0] != "Forwarded":
            return self._read_x_forwarded(headers, set(present))
        if len(present) > 1:
            raise InvalidHeader(
                "Forwarded", f"there is {present[1]} too; forwarded_headers can say which counts"
            )
        return self._read_forwarded(headers)

    def _read_forwarded(self, headers: Headers) -> Forwarded:
        entries = [
            entry for value in headers.get_all("Forwarded") for entry in parse_forwarded(value)
        ]
        at, client = self._walk(entries, lambda entry: _forwarded_node(entry.get("for", "unknown")))
        scheme, host = entries[-1 - at].get("proto"), entries[-1 - at].get("host")
        return Forwarded(
            client,
            None if scheme is None else _scheme("Forwarded", scheme),
            None if host is None else _host("Forwarded", host),
        )

    def _read_x_forwarded(self, headers: Headers, present: set[str]) -> Forwarded:
        def values(name: str) -> list[str]:
            if name not in present:
                return []
            # RFC 9110, 5.6.1.2: empty elements do not count.
            items = [item.strip(" \t") for item in ",".join(headers.get_all(name)).split(",")]
            return [item for item in items if item]

        nodes = values("X-Forwarded-For")
        at, client = 0, None
        if nodes:
            at, client = self._walk(nodes, _x_forwarded_node)

        def value(name: str, parse: Callable[[str, str], T]) -> T | None:
            found = values(name)
            if not found:
                return None
            return parse(name, found[-1 - at] if len(found) == len(nodes) else found[-1])

        scheme = value("X-Forwarded-Proto", _scheme)
        host = value("X-Forwarded-Host", _host)
        port = value("X-Forwarded-Port", _port)
        if port is not None:
            if host is None and len(headers.get_all("Host")) == 1:
                host = _host("Host", headers["Host"])
            host = _with_port(host, port, scheme)
        return Forwarded(client, scheme, host)

    def _walk(self, entries: Sequence[T], parse: Callable[[T], Address]) -> tuple[int, Address]:
        """Return how far from the end the client's entry is, and the address in it."""
        for at, entry in enumerate(reversed(entries)):
            address = parse(entry)
            if at + 1 == len(entries) or not self._trusts_ip(address.host):
                return at, address
            if at + 1 == MAX_PROXY_HOPS:
                break
        raise InvalidHeader("X-Forwarded-For or Forwarded", f"over {MAX_PROXY_HOPS} proxies")

    def _trusts_ip(self, host: str) -> bool:
        ip = _ip_of(host)
        return ip is not None and any(
            ip.version == network.version and ip in network for network in self._networks
        )


def _network_of(proxy: str | _IpNetwork) -> _IpNetwork:
    if proxy == "*":
        raise ValueError(
            "'*' would believe whatever a client writes; name the proxies' addresses, "
            "or 0.0.0.0/0 and ::/0 where nobody else can connect"
        )
    try:
        return ipaddress.ip_network(proxy)
    except ValueError as error:
        raise ValueError(f"not an address or network of a trusted proxy: {error}") from None


def address_of(peer: Any) -> Address:
    """Return the address of a socket's peer, in the form in which proxies' entries are returned.

    Args:
        peer: as ``socket.getpeername`` returns it.
    """
    if not isinstance(peer, tuple):
        return Address("unix", None)
    host, port = peer[:2]
    ip = _ip_of(str(host))
    return Address(str(host) if ip is None else str(ip), port)


def _ip_of(host: str) -> _IpAddress | None:
    """Return an IP address, IPv4 as such where it was mapped to IPv6. RFC 4291, 2.5.5.2."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return ip if ip.version == 4 or ip.ipv4_mapped is None else ip.ipv4_mapped


def _forwarded_node(text: str) -> Address:
    """Read a node of RFC 7239, 6."""
    match = _node.fullmatch(text)
    if match is None:
        raise InvalidHeader("Forwarded", f"not a node: {text}")
    v6, v4, word, port = match.groups()
    if word is not None:
        return Address(word.lower() if word[0] != "_" else word, _known_port("Forwarded", port))
    ip = _ip_of(v6 or v4)
    if ip is None or (v6 is not None) is not (":" in (v6 or v4)):
        raise InvalidHeader("Forwarded", f"not a node: {text}")
    return Address(str(ip), _known_port("Forwarded", port))


def _x_forwarded_node(text: str) -> Address:
    """Read an address as it stands in X-Forwarded-For: IPv6 with or without brackets, a port."""
    # A zone means something on the proxy's machine alone. RFC 4007, 6.
    without_zone, zones = _zone.subn("", text)
    if "%" not in without_zone:
        v6, v4, word, port = without_zone, None, None, None
        if match := _node.fullmatch(without_zone):
            v6, v4, word, port = match.groups()
        ip = _ip_of(v6 or v4 or "")
        if ip is not None and (ip.version == 6 or not zones):
            return Address(str(ip), _known_port("X-Forwarded-For", port))
        if word is not None and not word.startswith("_"):
            return Address("unknown", _known_port("X-Forwarded-For", port))
    raise InvalidHeader("X-Forwarded-For", f"not an address: {text}")


def _known_port(name: str, port: str | None) -> int | None:
    """Return a port; None where there is none, or a word in its place."""
    return None if port is None or port.startswith("_") else _port(name, port)


def _port(name: str, value: str) -> int:
    if not _is_port(value) or not 0 < int(value) < 65536:
        raise InvalidHeader(name, f"not a port: {value}")
    return int(value)


def _scheme(name: str, value: str) -> str:
    try:
        return _SCHEMES[value.lower()]
    except KeyError:
        raise InvalidHeader(name, f"not http or https: {value}") from None


def _host(name: str, value: str) -> str:
    if not is_host_and_port(value):
        raise InvalidHeader(name, f"not a host: {value}")
    return value


def _with_port(host: str | None, port: int, scheme: str | None) -> str | None:
    """Add a port to a host that has none, unless it is the usual one."""
    if host is None or re.search(r":[0-9]*$", host.rpartition("]")[2]):
        return host
    return host if port == {"ws": 80, "wss": 443}.get(scheme or "") else f"{host}:{port}"
