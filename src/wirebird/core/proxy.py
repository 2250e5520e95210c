"""The way through a proxy: its address, which one, and the request for a tunnel.

RFC 6455, 4.1, step 3: CONNECT of HTTP (RFC 9110, 9.3.6), or SOCKS, which is preferred.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping

from ..exceptions import (
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    ProxyError,
    SecurityError,
)
from .fields import Headers
from .headers import build_authorization_basic, build_host
from .http1 import USER_AGENT, Response
from .redaction import shown_uri
from .rules import MAX_INTERIM_RESPONSES
from .streams import StreamReader
from .types import BytesLike
from .uri import WebSocketURI, split_uri

__all__ = [
    "ConnectAnswer",
    "Proxy",
    "check_socks",
    "choose_proxy",
    "parse_proxy",
    "prepare_connect_request",
    "socks_failure",
]

# By scheme; 1080 is that of SOCKS in RFC 1928, 3.
_DEFAULT_PORTS = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}


@dataclasses.dataclass
class Proxy:
    """The address of a proxy.

    Args:
        scheme: http, https, socks4, socks4a, socks5 or socks5h; with the last two letters or
            "h", the proxy looks the server's name up.
        host: in lower case; an IPv6 address without brackets.
        port: 1-65535.
        username: decoded; None when there is no user info.
        password: decoded; None when there is no user info.
    """

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Its URL without credentials, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, and not HTTP."""
        return self.scheme.startswith("socks")

    @property
    def resolves_names(self) -> bool:
        """Whether it looks the server's name up, and not we."""
        return self.scheme in ("socks5h", "socks4a")

    @property
    def user_info(self) -> tuple[str, str] | None:
        """User name and password, or None."""
        if self.username is None:
            return None
        return self.username, self.password or ""


def parse_proxy(proxy: str) -> Proxy:
    """Take the URI of a proxy apart.

    Raises:
        InvalidProxy: it is not one; its password is not in the error.
    """
    try:
        parts = split_uri(proxy)
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError(f"scheme must be one of {', '.join(_DEFAULT_PORTS)}")
        if parts.path not in ("", "/") or parts.query:
            raise ValueError("there must be no path and no query")
    except ValueError as exc:
        msg = "not UTF-8 or IDNA" if isinstance(exc, UnicodeError) else str(exc)
        raise InvalidProxy(shown_uri(proxy), msg) from exc
    port = parts.port if parts.port is not None else _DEFAULT_PORTS[parts.scheme]
    return Proxy(parts.scheme, parts.host, port, parts.username, parts.password)


def choose_proxy(uri: WebSocketURI, proxies: Mapping[str, str]) -> str | None:
    """Return the URI of the proxy to use, or None.

    Args:
        uri: where to.
        proxies: the system's, by scheme, as ``urllib.request.getproxies`` returns them.
    """
    # One that is meant for WebSockets; then SOCKS; then those of HTTPS, which tunnel anyway; at
    # last the one for everything that has none of its own.
    schemes = ("wss", "socks", "https") if uri.secure else ("ws", "socks", "https", "http")
    for scheme in (*schemes, "all"):
        proxy = proxies.get(scheme, "").strip()
        if proxy:
            return _with_scheme(proxy, scheme)
    return None


def _with_scheme(proxy: str, key: str) -> str:
    """Return what a system says as a URI: many leave the scheme out, or say SOCKS in the key."""
    scheme, separator, rest = proxy.partition("://")
    if not separator:
        scheme, rest = "http", proxy
    if scheme == "socks" or (key == "socks" and scheme == "http"):
        scheme = "socks5h"
    return f"{scheme}://{rest}"


def check_socks(proxy: Proxy, host: str) -> None:
    """Refuse what SOCKS cannot carry, before anything is sent.

    Args:
        proxy: of SOCKS.
        host: of the server, as the proxy is told it.

    Raises:
        InvalidProxy: the credentials cannot be sent; they are not in the error.
        ProxyError: the address cannot be.
    """
    # RFC 1929, 2, has a byte for each length; a NUL ends the user of SOCKS4. That both are ASCII
    # is what python-socks wants.
    username, password = proxy.username or "", proxy.password or ""
    if not (username + password).isascii() or "\0" in username + password:
        raise InvalidProxy(proxy.address, "credentials for SOCKS must be ASCII without NUL")
    if len(username) > 255 or len(password) > 255:
        raise InvalidProxy(proxy.address, "credentials for SOCKS must have at most 255 characters")
    if proxy.scheme == "socks4" and ":" in host:
        raise ProxyError(f"SOCKS4 cannot reach IPv6 addresses such as {host}; SOCKS5 can")


def socks_failure(exc: Exception) -> ProxyError:
    """Return the error for what python-socks raised, which is its cause.

    Args:
        exc: what it raised, with the proxy's answer as ``error_code`` if there was one.
    """
    failure = ProxyError(f"failed to connect to SOCKS proxy: {exc}")
    code = getattr(exc, "error_code", None)
    # No answer: the proxy hung up, or sent what is none. RFC 1928, 6: general failure, network or
    # host unreachable, refused, expired; and the one that SOCKS4 has for all of these.
    if code is None:
        failure.may_recover = type(exc.__cause__).__name__ == "IncompleteReadError"
    else:
        failure.may_recover = code in (0x01, 0x03, 0x04, 0x05, 0x06, 0x5B)
    failure.__cause__ = exc
    return failure


def prepare_connect_request(
    proxy: Proxy, ws_uri: WebSocketURI, user_agent_header: str | None = USER_AGENT
) -> bytes:
    """Return the request for a tunnel.

    Args:
        proxy: whom it goes to.
        ws_uri: where the tunnel leads.
        user_agent_header: value of User-Agent; None for none.

    Raises:
        ValueError: something cannot stand in a head.
    """
    headers = Headers()
    headers["Host"] = build_host(ws_uri.host, ws_uri.port, ws_uri.secure)
    if user_agent_header is not None:
        headers["User-Agent"] = user_agent_header
    if proxy.user_info is not None:
        headers["Proxy-Authorization"] = build_authorization_basic(*proxy.user_info)
    target = build_host(ws_uri.host, ws_uri.port, ws_uri.secure, always_include_port=True)
    return f"CONNECT {target} HTTP/1.1\r\n".encode() + headers.serialize()


class ConnectAnswer:
    """Reads what a proxy answers to a request for a tunnel, as far as it has come."""

    def __init__(self) -> None:
        self._reader = StreamReader()
        self._response = self._read_response()

    def feed(self, data: BytesLike) -> bool:
        """Take bytes that came, empty ones for the end; return whether there is a tunnel now.

        Raises:
            InvalidProxyStatus: the proxy refuses.
            InvalidProxyMessage: it does not speak HTTP, or speaks on: the server speaks second,
                so what follows the answer is not the server's.
        """
        if data:
            self._reader.feed_data(data)
        elif not self._reader.eof:
            self._reader.feed_eof()
        try:
            next(self._response)
        except StopIteration as stop:
            response = stop.value
        except Exception as exc:
            invalid = InvalidProxyMessage("did not receive a valid HTTP response from proxy")
            invalid.may_recover = isinstance(exc, EOFError)
            raise invalid from exc
        else:
            return False
        if not 200 <= response.status_code < 300:
            raise InvalidProxyStatus(response)
        if self._reader.take_rest():
            raise InvalidProxyMessage("bytes follow the proxy's answer")
        return True

    def _read_response(self) -> Generator[None, None, Response]:
        """Read the answer, past interim ones. RFC 9110, 15.2."""
        reader = self._reader
        for _ in range(MAX_INTERIM_RESPONSES + 1):
            response = yield from Response.parse(
                reader.read_line, reader.read_exact, reader.read_to_eof, proxy=True
            )
            if response.status_code >= 200 or response.status_code == 101:
                return response
        raise SecurityError(f"more than {MAX_INTERIM_RESPONSES} interim responses")
