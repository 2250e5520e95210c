"""The server's half of the opening handshake: a request in, a response out. RFC 6455, 4.2.

``accept`` holds a request against the RFC and what the server was told to allow, in the order
of ``process_request``. What is wrong is an exception, and the exception's class says with which
HTTP status it is answered; nothing else does.
"""

from __future__ import annotations

import email.utils
import functools
import http
import re
from collections.abc import Callable, Sequence
from typing import Any

from ...exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderValue,
    InvalidMethod,
    InvalidOrigin,
    InvalidProtocol,
    InvalidUpgrade,
    InvalidVersion,
    NegotiationError,
    UnsafeHeader,
)
from ..extensions.base import Extension, ServerExtensionFactory
from ..fields import Headers, check_header
from ..forwarded import NOTHING_FORWARDED, Forwarded
from ..headers import build_extension, is_host_and_port, validate_subprotocols
from ..http1 import Request, Response
from ..origins import SameOrigin
from ..types import ExtensionHeader, Origin, StatusLike, Subprotocol
from .common import (
    check_upgrade,
    offered_extensions,
    offered_subprotocols,
    shares_reserved_bit,
    single_value,
)
from .key import accept_key

__all__ = ["ServerHandshake"]

# 16 bytes in base64. RFC 6455, 4.2.1. Some clients make up the text instead of the bytes, so that
# the last bits, which stand for nothing, may be any.
_is_key = re.compile(r"[A-Za-z0-9+/]{22}==").fullmatch


class ServerHandshake:
    """Accepts or refuses a request for a WebSocket.

    Args:
        origins: which values of Origin are acceptable: exact, patterns that match the whole
            of it, or ``SameOrigin``; None among them accepts requests without one. None instead
            of a list accepts every origin.
        extensions: what the server supports, in the order in which they are tried.
        subprotocols: what the server supports, the preferred one first.
        select_subprotocol: chooses instead of the method of this name; called with this object
            and the client's subprotocols.
        now: returns the time for Date, in seconds since the epoch; without it there is none.
        kwargs: for the next class in line.
    """

    # What is the class's, until it is known, costs a connection nothing.
    accept_called = False
    handshake_exc: Exception | None = None
    origin: Origin | None = None
    subprotocol: Subprotocol | None = None
    is_secure = False
    """Whether the connection that we see is one of TLS."""
    forwarded: Forwarded = NOTHING_FORWARDED
    """What trusted proxies tell of the request."""

    def __init__(
        self,
        *,
        origins: Sequence[Origin | re.Pattern[str] | SameOrigin | None] | None = None,
        extensions: Sequence[ServerExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        select_subprotocol: Callable[[Any, Sequence[Subprotocol]], Subprotocol | None]
        | None = None,
        now: Callable[[], float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.origins = origins
        self.available_extensions = extensions
        self.available_subprotocols = subprotocols
        self._choose_subprotocol = select_subprotocol
        self._now = now
        self.extensions: list[Extension] = []

    def accept(self, request: Request) -> Response:
        """Answer a request: 101, or the refusal that ``handshake_exc`` gives the reason for.

        The response can be changed before it is sent, to add headers for example.
        """
        self.accept_called = True
        try:
            accept, extensions, subprotocol = self.process_request(request)
            lines = (
                f"{self._date()}Upgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\n"
            )
            if extensions is not None:
                check_header("Sec-WebSocket-Extensions", extensions)
                lines += f"Sec-WebSocket-Extensions: {extensions}\r\n"
            if subprotocol is not None:
                check_header("Sec-WebSocket-Protocol", subprotocol)
                lines += f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
        except Exception as exc:
            request._exception = self.handshake_exc = exc
            return self.refuse(exc)
        return Response.from_lines(101, "Switching Protocols", lines)

    def refuse(self, exc: Exception) -> Response:
        """Return the response for a handshake that failed.

        Args:
            exc: an InvalidHandshake is told to the client, with the status of its class; of
                any other it learns nothing but 500.
        """
        if not isinstance(exc, InvalidHandshake) or isinstance(exc, UnsafeHeader):
            return self.reject(
                http.HTTPStatus.INTERNAL_SERVER_ERROR,
                "The WebSocket could not be opened. The server's log says more.\n",
            )
        text = f"The WebSocket could not be opened: {exc}"
        cause = exc.__cause__
        while cause is not None:
            text += f"; {cause}"
            cause = cause.__cause__
        status = http.HTTPStatus(exc.http_status or http.HTTPStatus.BAD_REQUEST)
        if isinstance(exc, InvalidUpgrade):
            text += ".\n\nThis address is for WebSocket clients; a browser cannot show it"
        response = self.reject(status, text + ".\n")
        if status == http.HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = "GET"
        if status == http.HTTPStatus.UPGRADE_REQUIRED:  # RFC 9110, 15.5.22
            response.headers["Upgrade"] = "websocket"
        if isinstance(exc, InvalidVersion):  # RFC 6455, 4.4
            response.headers["Sec-WebSocket-Version"] = "13"
        return response

    def reject(self, status: StatusLike, text: str) -> Response:
        """Return a response that refuses the connection.

        Args:
            status: an HTTP status.
            text: the body, for people.

        Raises:
            ValueError: there is no such status.
        """
        status = http.HTTPStatus(status)
        body = text.encode()
        headers = Headers.from_lines(self._date())
        headers["Connection"] = "close"
        headers["Content-Length"] = str(len(body))
        headers["Content-Type"] = "text/plain; charset=utf-8"
        return Response(status.value, status.phrase, headers, body)

    def _date(self) -> str:
        """Return the line with the time, if there is one."""
        return "" if self._now is None else _date_line(int(self._now()))

    def process_request(self, request: Request) -> tuple[str, str | None, str | None]:
        """Check a request, and choose extensions and a subprotocol. RFC 6455, 4.2.1 and 4.2.2.

        Returns:
            The values of Sec-WebSocket-Accept, -Extensions and -Protocol for the response, the
            last two None where there is nothing to say.

        Raises:
            InvalidMethod: the method is not GET (405).
            InvalidProtocol: the protocol is not HTTP/1.1 (505).
            InvalidUpgrade: a WebSocket is not asked for (426).
            InvalidVersion: the version is not 13 (426).
            InvalidOrigin: the origin is not acceptable (403).
            InvalidHandshake: anything else is wrong (400).
        """
        if request.method != "GET":
            raise InvalidMethod(request.method)
        if request.protocol != "HTTP/1.1":
            raise InvalidProtocol(request.protocol)
        headers = request.headers_now()
        host = single_value(headers, "Host")
        if not is_host_and_port(host):
            raise InvalidHeader("Host", host)
        check_upgrade(headers, alone=False)
        key = single_value(headers, "Sec-WebSocket-Key")
        if not _is_key(key):
            raise InvalidHeaderValue("Sec-WebSocket-Key", key)
        version = single_value(headers, "Sec-WebSocket-Version", InvalidVersion)
        if version != "13":
            raise InvalidVersion("Sec-WebSocket-Version", version)
        self.origin = self.process_origin(headers)
        extensions_header, self.extensions = self.process_extensions(headers)
        self.subprotocol = self.process_subprotocol(headers)
        return accept_key(key), extensions_header, self.subprotocol

    def process_origin(self, headers: Headers) -> Origin | None:
        """Return the request's origin, if it is acceptable. RFC 6455, 10.2.

        Raises:
            InvalidOrigin: it is not (403).
            InvalidHeader: there are several (400). RFC 6454, 7.3.
        """
        origin: Origin | None = None
        if "Origin" in headers:
            origin = Origin(single_value(headers, "Origin"))
        if self.origins is None:
            return origin
        for allowed in self.origins:
            if isinstance(allowed, SameOrigin):
                if origin is not None and self.is_same_origin(allowed, origin, headers):
                    return origin
            elif _allows(allowed, origin):
                return origin
        raise InvalidOrigin(origin)

    def is_same_origin(self, rule: SameOrigin, origin: str, headers: Headers) -> bool:
        """Whether an origin is that of the server's own pages, for a request with these headers.

        Raises:
            InvalidHeader: there is not one Host (400).
        """
        host = self.forwarded.host or single_value(headers, "Host")
        # Without TLS, and without a word of it from a proxy, the client may speak TLS all the same.
        scheme = self.forwarded.scheme or ("wss" if self.is_secure else None)
        return rule.allows(origin, host, scheme)

    def process_extensions(self, headers: Headers) -> tuple[str | None, list[Extension]]:
        """Choose from the extensions that the client offers, in its order. RFC 6455, 9.1.

        An offer that nobody takes is passed over; so is one of an extension that was chosen
        already, or that would use a reserved bit of one. Where the client offers several
        compressions, of which one can be used, the order is ours.

        Returns:
            The value of Sec-WebSocket-Extensions, None where there is none, and the extensions.

        Raises:
            InvalidHeaderFormat: the offers cannot be read (400).
        """
        if not self.available_extensions:
            return None, []
        answers: list[ExtensionHeader] = []
        accepted: list[Extension] = []
        chosen = set()
        for name, params in self._by_preference(offered_extensions(headers)):
            if name in chosen:
                continue
            for factory in self.available_extensions:
                if factory.name != name:
                    continue
                try:
                    answer, extension = factory.process_request_params(params, accepted)
                except NegotiationError:
                    continue
                if shares_reserved_bit(extension, accepted):
                    continue
                chosen.add(name)
                answers.append((name, answer))
                accepted.append(extension)
                break
        return (build_extension(answers) if answers else None), accepted

    def _by_preference(self, offers: list[ExtensionHeader]) -> list[ExtensionHeader]:
        """Put offers of compressions in our order, at the places where the client has them."""
        ours = [
            factory.name
            for factory in self.available_extensions or ()
            if getattr(factory, "is_compression", False)
        ]
        if len(ours) < 2 or len(offers) < 2:
            return offers
        wanted = sorted(
            (offer for offer in offers if offer[0] in ours), key=lambda offer: ours.index(offer[0])
        )
        in_our_order = iter(wanted)
        return [next(in_our_order) if offer[0] in ours else offer for offer in offers]

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Choose from the subprotocols that the client offers. RFC 6455, 4.2.2.

        Raises:
            InvalidHeaderFormat: the offers cannot be read (400).
            NegotiationError: the server insists on one that is not offered (400).
            ValueError: what was chosen is not a token (500).
        """
        subprotocol = self.select_subprotocol(offered_subprotocols(headers))
        if subprotocol is not None:
            validate_subprotocols([subprotocol])
        return subprotocol

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """Choose the first of the server's subprotocols that the client offers.

        Args:
            subprotocols: what the client offers.

        Returns:
            None when the server supports none, whatever the client offers.

        Raises:
            NegotiationError: the server supports some, and the client offers none of them (400).
        """
        if self._choose_subprotocol is not None:
            return self._choose_subprotocol(self, subprotocols)
        if not self.available_subprotocols:
            return None
        if not subprotocols:
            raise NegotiationError("missing subprotocol")
        offered = set(subprotocols)
        for subprotocol in self.available_subprotocols:
            if subprotocol in offered:
                return subprotocol
        supported = ", ".join(self.available_subprotocols)
        raise NegotiationError(f"invalid subprotocol; expected one of {supported}")


@functools.lru_cache(maxsize=1)
def _date_line(now_s: int) -> str:
    return f"Date: {email.utils.formatdate(now_s, usegmt=True)}\r\n"


def _allows(allowed: Origin | re.Pattern[str] | None, origin: Origin | None) -> bool:
    if isinstance(allowed, re.Pattern):
        return origin is not None and allowed.fullmatch(origin) is not None
    return allowed == origin
