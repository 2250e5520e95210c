"""Which pages may connect: the defence against cross-site WebSocket hijacking.

A browser lets every page open a WebSocket to every server, and says in the Origin header which
page it is (RFC 6455, 10.2; RFC 6454). Other programs send no Origin, or any they like: for them
it protects nothing, and they are not asked.
"""

from __future__ import annotations

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
    origins: Sequence[str], hosts: Sequence[str], allowed: Collection[str]
) -> bool:
    """Tell whether a request may open a WebSocket.

    Args:
        origins: the values of its Origin headers.
        hosts: the values of its Host headers.
        allowed: normalized origins; when there are none, only the page's own server: the Origin
            must name the host and port that the Host header names.
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
        return origin == normalize_origin(f"{scheme}://{hosts[0]}")
    except ValueError:  # "null", of a sandboxed frame or a file; or no origin at all
        return False
