"""How a WebSocket of the browser's API connects, and what a script may say about it.

What cannot work whatever the network does is refused at once, where the script is: an option that
there is not, or a value that makes no sense. Browsers have no options, and so no rule for them.
What goes wrong later is a connection that fails. WebSockets Standard, 2.1 and 3.1.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import ssl
from collections.abc import Iterable
from typing import Any, cast

from ..asyncio.client import ClientConnection, connect
from ..core.types import Subprotocol
from ..exceptions import ConnectionClosed, InvalidProxy, InvalidURI, ProtocolError
from ..proxy import parse_proxy
from .errors import DOMException
from .url import strict_url

__all__ = ["Connecting", "Connection", "checked_protocols", "connected", "prepared"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SECONDS = ("open_timeout", "ping_interval", "ping_timeout", "close_timeout", "write_timeout")


class Connection(ClientConnection):
    """A client's connection that says when its reader has reached the end."""

    _user: Any = None

    def wanted_by(self, user: Any) -> None:
        """Take whom to tell: it has a method ``_peer_is_done``."""
        self._user = user

    async def _raise_at_end(self, exc: ConnectionClosed) -> Any:
        if self._user is not None:
            self._user._peer_is_done()
        return await super()._raise_at_end(exc)


class _Connect(connect):
    """Connects as browsers do: a redirect is a failure. WebSockets Standard, 2.1."""

    def _redirect(self, exc: Any) -> None:
        raise exc

    def check(self) -> None:
        """Refuse what would fail whatever the network does.

        Raises:
            TypeError: there is no such option, or a value is of no type that it takes.
            ValueError: a value makes no sense.
        """
        for name, value in self.create_connection_kwargs.items():
            if name not in _OF_NETWORK:
                raise TypeError(f"there is no option {name!r}")
            is_tls = value is None or isinstance(value, (bool, ssl.SSLContext))
            if name in ("ssl", "proxy_ssl") and not is_tls:
                raise TypeError(f"{name} must be an SSLContext, not {value!r}")
        if isinstance(self.proxy, str):
            try:
                parse_proxy(self.proxy)
            except InvalidProxy as exc:
                raise ValueError(str(exc)) from exc
        connection = self._factory(self.ws_uri)  # it is not used, but looks at the rest
        connection.protocol._make_connection()
        connection.protocol.make_request(self.additional_headers, self.user_agent_header)


def _names_of(*methods: Any) -> set[str]:
    names = {name for method in methods for name in inspect.signature(method).parameters}
    return names - {"self", "protocol_factory"}


_TLS = _names_of(asyncio.BaseEventLoop.start_tls) - {"transport", "protocol", "sslcontext"}
_OF_NETWORK = (
    _names_of(asyncio.BaseEventLoop.create_connection)
    | {"unix", "path"}
    | {f"proxy_{name}" for name in _TLS | {"ssl"}}
)


Connecting = _Connect | InvalidURI
"""What ``connected`` awaits; or why it cannot."""


def prepared(url: str, protocols: list[Subprotocol], options: dict[str, Any]) -> Connecting:
    """Return what connects; nothing is done yet.

    Args:
        url: as ``websocket_url`` returns it. What is wrong with it even so is said later.
        protocols: to offer.
        options: arguments of ``connect``, but for what the API itself needs.

    Raises:
        TypeError: there is no such option, or a value is of no type that it takes.
        ValueError: a value makes no sense.
    """
    for name in ("handler", "create_connection", "subprotocols", "uri"):
        if name in options:
            raise TypeError(f"{name} is not for the browser's API")
    for name in _SECONDS:
        value = options.get(name)
        if value is not None and not isinstance(value, (int, float)):
            raise TypeError(f"{name} must be seconds or None, not {value!r}")
    # ``send`` waits until the kernel has the whole message: what is counted as not sent is exact.
    arguments = {"write_limit": 0, "create_connection": Connection, **options}
    try:
        connecting = _Connect(strict_url(url), subprotocols=protocols or None, **arguments)
    except InvalidURI as exc:
        return exc
    connecting.check()
    return connecting


async def connected(connecting: Connecting, protocols: list[Subprotocol]) -> Connection:
    """Return a connection that is open.

    Args:
        connecting: as ``prepared`` returns it.
        protocols: that are offered.

    Raises:
        ProtocolError: the server has chosen none of the protocols.
        Exception: as ``connect``.
    """
    if isinstance(connecting, InvalidURI):
        raise connecting
    connection = cast(Connection, await connecting)
    if protocols and connection.subprotocol is None:
        # RFC 6455 allows it, the WebSockets Standard does not (2.1).
        connection.transport.abort()
        raise ProtocolError("the server has chosen none of the subprotocols")
    return connection


def checked_protocols(protocols: str | Iterable[str]) -> list[Subprotocol]:
    """Return subprotocols as a list.

    Raises:
        DOMException: SyntaxError: one is no token (RFC 6455, 4.1), or comes twice.
    """
    names = [protocols] if isinstance(protocols, str) else [str(name) for name in protocols]
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise DOMException(f"{name!r} cannot be the name of a subprotocol", "SyntaxError")
    if len(set(names)) < len(names):
        raise DOMException("a subprotocol comes twice", "SyntaxError")
    return [Subprotocol(name) for name in names]
