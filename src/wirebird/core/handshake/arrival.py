"""How a connection came to a server that is behind proxies, before its request is answered.

One for each connection of such a server. First the header of the PROXY protocol, where one must
come, then what the headers of the request tell: the address in the former takes the place of the
socket's peer for the latter.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ...exceptions import InvalidProxyHeader
from ..fields import Headers
from ..forwarded import Forwarded, TrustedProxies
from ..proxy_protocol import ProxyHeader, ProxyHeaderParser
from ..types import BytesLike

__all__ = ["Arrival", "proxies_of"]


def proxies_of(
    trusted: Collection[str] | None, headers: Collection[str], *, proxy_protocol: bool
) -> TrustedProxies | None:
    """Return the proxies that a server was told of, or None; arguments as those of ``serve``.

    Raises:
        TypeError, ValueError: one of them is wrong, or they contradict each other.
    """
    if trusted is not None:
        return TrustedProxies(trusted, headers)
    if proxy_protocol:
        raise ValueError("proxy_protocol needs trusted_proxies: the addresses it comes from")
    return None


class Arrival:
    """What proxies tell of a connection.

    Args:
        proxies: that are believed.
        proxy_protocol: whether they must begin with a header of the PROXY protocol.
    """

    __slots__ = ("_parser", "_proxies", "has_begun", "peer")

    def __init__(self, proxies: TrustedProxies, *, proxy_protocol: bool = False) -> None:
        self._proxies = proxies
        self._parser = ProxyHeaderParser() if proxy_protocol else None
        self.peer: Any = None
        """The socket's, as ``socket.getpeername`` returns it."""
        self.has_begun = False
        """Whether anything came in the place of the PROXY protocol's header."""

    @property
    def header(self) -> ProxyHeader | None:
        """The header of the PROXY protocol that has come."""
        return None if self._parser is None else self._parser.header

    @property
    def is_told_later(self) -> bool:
        """Whether a proxy which we trust is to tell the client's address; ``peer`` is not that."""
        return self._proxies.trusts(self.peer)

    @property
    def wanted(self) -> int:
        """How many bytes may be read without reading beyond that header; 0 where none is due."""
        return 0 if self._parser is None else self._parser.wanted

    def take(self, data: BytesLike) -> BytesLike:
        """Take the header of the PROXY protocol from what came; return what is behind it.

        Raises:
            InvalidProxyHeader: it is none, or nobody whom we trust sent it.
        """
        if self._parser is None or self._parser.header is not None:
            return data
        self.has_begun = True
        if not self._proxies.trusts(self.peer):
            raise InvalidProxyHeader(f"{self.peer!r} is not a trusted proxy")
        return memoryview(data)[self._parser.feed(data) :]

    def read(self, headers: Headers) -> Forwarded:
        """Return who the client is, and what it asked for, as far as that was told.

        Args:
            headers: of the request.

        Raises:
            InvalidHeader: the headers cannot be read (400).
        """
        header = self.header
        if header is None or header.is_local:
            return self._proxies.read(self.peer, headers)
        # Behind a proxy of TCP nobody but the client itself, or a proxy that is in the place of
        # the client, has written headers.
        told = self._proxies.read(header.source, headers)
        return Forwarded(
            told.client or header.source,
            told.scheme or ("wss" if header.is_secure else None),
            told.host,
        )

    def missing(self) -> InvalidProxyHeader | None:
        """Return what is wrong when nothing more comes; None where nothing is due."""
        if not self.wanted:
            return None
        return InvalidProxyHeader("it is incomplete" if self.has_begun else "there is none")
