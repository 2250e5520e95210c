"""Proxies, where users of ``websockets`` look for them; which one, the system says."""

from __future__ import annotations

from .core.no_proxy import needs_no_proxy
from .core.proxy import Proxy, choose_proxy, parse_proxy, prepare_connect_request
from .core.uri import WebSocketURI

__all__ = ["Proxy", "get_proxy", "parse_proxy", "prepare_connect_request"]


def get_proxy(uri: WebSocketURI) -> str | None:
    """Return the URI of the proxy that the system wants for a connection, or None.

    The system is the environment (``wss_proxy``, ``https_proxy``, ``all_proxy``, ``no_proxy``, ...;
    in lower case before upper case) or, where that names none, the settings of macOS and Windows.
    """
    # Imported late: it is slow, and not needed where no proxy is asked for.
    from urllib.request import getproxies, getproxies_environment, proxy_bypass

    environment = getproxies_environment()
    if environment:
        if needs_no_proxy(uri.host, uri.port, environment.get("no", "")):
            return None
        return choose_proxy(uri, environment)
    if proxy_bypass(f"{uri.host}:{uri.port}"):
        return None
    return choose_proxy(uri, getproxies())
