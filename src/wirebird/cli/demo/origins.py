"""Which pages may connect: the defence against cross-site WebSocket hijacking.

A browser lets every page open a WebSocket to every server, and says in the Origin header which
page it is (RFC 6455, 10.2; RFC 6454). Other programs send no Origin, or any they like: for them
it protects nothing, and they are not asked.

That a page comes from the host that it connects to is not enough: whoever owns a name can serve
a page under it, and then have it resolve to this machine (DNS rebinding). So without a list of
origins, the host must be one that no stranger can own: an address, ``localhost``, or a name that
this server is known by.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Collection, Sequence

__all__ = ["is_allowed_origin", "normalize_origin"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


def normalize_origin(origin: str) -> str:
    """Return an origin in the form in which browsers send it.

    Args:
        origin: scheme, host and perhaps a port; a final slash is forgiven.

    Raises:
        ValueError: it is not an origin.
    """
    parts = urllib.parse.urlsplit(origin.strip().lower())
    try:
        port = parts.port
    except ValueError:
        port = -1
    default = _DEFAULT_PORTS.get(parts.scheme)
    beyond = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if default is None or not parts.hostname or beyond or port == -1:
        raise ValueError(f"{origin!r} is not an origin, such as https://example.com")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in {None, default} else f":{port}")


def is_allowed_origin(
    origins: Sequence[str],
    hosts: Sequence[str],
    allowed: Collection[str],
    names: Collection[str] = (),
) -> bool:
    """Tell whether a request may open a WebSocket.

    Args:
        origins: the values of its Origin headers.
        hosts: the values of its Host headers.
        allowed: normalized origins; when there are none, only the page's own server: the Origin
            must name the host and port that the Host header names.
        names: of this server, in lower case, beside addresses and ``localhost``.
    """
    if not origins:
        return True
    if len(origins) > 1 or len(hosts) != 1:
        return False
    try:
        origin = normalize_origin(origins[0])
        if allowed:
            return origin in allowed
        scheme = origin.partition("://")[0]
        return origin == normalize_origin(f"{scheme}://{hosts[0]}") and _is_own(origin, names)
    except ValueError:  # "null", of a sandboxed frame or a file; or no origin at all
        return False


def _is_own(origin: str, names: Collection[str]) -> bool:
    """Whether no stranger can have a page of this normalized origin."""
    host = urllib.parse.urlsplit(origin).hostname or ""
    # RFC 6761, 6.3: browsers resolve names below localhost to this machine, and never ask.
    if host == "localhost" or host.endswith(".localhost") or host in names:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
