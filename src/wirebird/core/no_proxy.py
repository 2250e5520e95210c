"""Which servers are reached without the proxy that the system names: the rule of ``NO_PROXY``.

There is no standard; programs that read the variable agree on most of this. It is a list, separated
by commas or spaces, of

- ``*``, everything;
- a name, for that host and all below it, with or without a dot or ``*.`` before it;
- an IP address, for exactly that one, in whatever way it is written; an IPv6 address with a port
  is in brackets;
- a network as CIDR (``10.0.0.0/8``), for hosts that are given as an address: no name is looked up
  for it.

Any but ``*`` and a network may be followed by ``:port``. What is none of these matches nothing.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TypeAlias

__all__ = ["needs_no_proxy"]

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_match_entry = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:/]+))(?::(?P<port>[0-9]{1,5}))?"
).fullmatch


def needs_no_proxy(host: str, port: int, no_proxy: str) -> bool:
    """Return whether a list exempts a server.

    Args:
        host: in lower case, as IDNA; an IPv6 address without brackets.
        port: of the server.
        no_proxy: the list.
    """
    host = host.removesuffix(".")
    address = _address(host)
    return any(
        _matches(entry, host, address, port) for entry in no_proxy.lower().replace(",", " ").split()
    )


def _matches(entry: str, host: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    whole = _address(entry)
    if whole is not None:  # an IPv6 address without brackets looks like a name with ports
        return whole == address
    if "/" in entry:
        return address is not None and _is_within(address, entry)
    match = _match_entry(entry)
    if match is None or (match["port"] is not None and int(match["port"]) != port):
        return False
    name = match["ipv6"] or match["name"]
    if address is not None:
        return _address(name) == address
    name = _encode(name.removeprefix("*").lstrip(".").removesuffix("."))
    return bool(name) and (host == name or host.endswith("." + name))


def _address(text: str) -> _Address | None:
    """Return an address, as IPv4 where IPv6 only wraps it; None where the text is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_within(address: _Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _encode(name: str) -> str:
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return ""
