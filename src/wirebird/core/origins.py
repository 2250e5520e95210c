"""Which pages may connect: the defence against cross-site WebSocket hijacking.

A browser lets every page open a WebSocket to every server, and sends the cookies of that server
with the request. It says in the Origin header which page it is (RFC 6455, 10.2; RFC 6454). Other
programs send no Origin, or any they like: for them it protects nothing.

**The same origin** is that of the server's own pages: the Origin names the host and port that the
request is for. Where the connection is known to be secure (wss), so must be the page: anyone on
the way may write a page of ``http://``.

That a page comes from the host that it connects to may not be enough: whoever owns a name can serve
a page under it, and then have it resolve to a machine of somebody else (DNS rebinding). Such a page
gets no cookies of the server's, but it is inside of the network. So with ``hosts`` the host must be
one that no stranger can own: an address, ``localhost``, or a name that the server is known by.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Collection

from .types import Origin

__all__ = ["SameOrigin", "normalize_origin", "parse_origins"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


class SameOrigin:
    """Accepts the server's own pages, as an item of ``origins``: ``[SameOrigin(), None]``.

    Behind a reverse proxy, the host is what ``trusted_proxies`` make of it: name them, unless the
    proxy passes on the Host header.

    Args:
        hosts: names that the server is known by, without a port, beside addresses and
            ``localhost``; None for any name, which leaves servers that ask for no credentials
            open to DNS rebinding.
    """

    def __init__(self, hosts: Collection[str] | None = None) -> None:
        if isinstance(hosts, str):
            raise TypeError("hosts must be a list of str, not one str")
        self.hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    def __repr__(self) -> str:
        return f"SameOrigin({'' if self.hosts is None else f'hosts={sorted(self.hosts)!r}'})"

    def allows(self, origin: str, host: str, scheme: str | None = None) -> bool:
        """Tell whether a page of an origin belongs to the server.

        Args:
            origin: value of Origin.
            host: that was asked for, with the port unless it is the usual one.
            scheme: ws or wss; None where it is not known, for behind a proxy wss may look like ws.
        """
        try:
            page = normalize_origin(origin)
            page_scheme = page.partition("://")[0]
            if scheme == "wss" and page_scheme != "https":
                return False
            own = normalize_origin(f"{page_scheme}://{host}")
        except ValueError:  # "null", of a sandboxed frame or a file; or no origin at all
            return False
        return page == own and (self.hosts is None or _is_own(page, self.hosts))


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


def parse_origins(text: str) -> list[Origin | SameOrigin | None] | None:
    """Read ``origins`` of a server as people write them; programs, without Origin, are among them.

    Args:
        text: with spaces between: origins; ``same`` for the server's own pages under any name,
            ``same:NAME,NAME`` for those under addresses, ``localhost`` and these names; ``*`` for
            every page.

    Returns:
        None for every page.

    Raises:
        ValueError: something else is there, or nothing.
    """
    items = text.split()
    if not items:
        raise ValueError("there is no origin, such as https://example.com")
    if "*" in items:
        return None
    origins: list[Origin | SameOrigin | None] = [None]
    for item in items:
        word, colon, names = item.partition(":")
        if word == "same":
            hosts = [name for name in names.split(",") if name]
            origins.append(SameOrigin(hosts if colon else None))
        else:
            origins.append(Origin(normalize_origin(item)))
    return origins


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
