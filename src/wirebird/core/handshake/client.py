"""The client's half of the opening handshake: a request out, a response in. RFC 6455, 4.1.

The server may grant only what was asked for; a response that grants anything else, or does not
prove that it answers this request, fails the connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...exceptions import InvalidHeader, InvalidHeaderValue, InvalidStatus, NegotiationError
from ..extensions.base import ClientExtensionFactory, Extension
from ..fields import Headers
from ..headers import (
    build_authorization_basic,
    build_extension,
    build_host,
    build_subprotocol,
    validate_subprotocols,
)
from ..http1 import Request, Response
from ..types import ExtensionName, ExtensionParameter, Origin, Subprotocol
from ..uri import WebSocketURI
from .common import (
    check_upgrade,
    offered_extensions,
    offered_subprotocols,
    shares_reserved_bit,
    single_value,
)
from .key import accept_key, generate_key

__all__ = ["ClientHandshake"]


class ClientHandshake:
    """Asks for a WebSocket, and checks the answer.

    Args:
        uri: where to, as ``parse_uri`` returns it.
        origin: value of Origin; None for none.
        extensions: what to offer, in the order of preference.
        subprotocols: what to offer, in the order of preference.
        kwargs: for the next class in line.
    """

    # What is the class's, until it is known, costs a connection nothing.
    handshake_exc: Exception | None = None
    subprotocol: Subprotocol | None = None

    def __init__(
        self,
        uri: WebSocketURI,
        *,
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.origin = origin
        self.available_extensions = extensions
        self.available_subprotocols = subprotocols
        self.key = generate_key()
        self.extensions: list[Extension] = []

    def connect(self) -> Request:
        """Return the request; it can be changed before it is sent, to add headers for example.

        Raises:
            ValueError: something of the URI, the origin or the offers cannot stand in a head.
        """
        uri = self.uri
        headers = Headers()
        headers["Host"] = build_host(uri.host, uri.port, uri.secure)
        if uri.user_info is not None:
            headers["Authorization"] = build_authorization_basic(*uri.user_info)
        if self.origin is not None:
            headers["Origin"] = self.origin
        headers["Upgrade"] = "websocket"
        headers["Connection"] = "Upgrade"
        headers["Sec-WebSocket-Key"] = self.key
        headers["Sec-WebSocket-Version"] = "13"
        if self.available_extensions:
            headers["Sec-WebSocket-Extensions"] = build_extension(
                [(offer.name, offer.get_request_params()) for offer in self.available_extensions]
            )
        if self.available_subprotocols:
            validate_subprotocols(self.available_subprotocols)
            headers["Sec-WebSocket-Protocol"] = build_subprotocol(self.available_subprotocols)
        return Request(uri.resource_name, headers)

    def process_response(self, response: Response) -> None:
        """Check the response, and take over what the server granted.

        Raises:
            InvalidStatus: the status is not 101; it may be a redirect.
            InvalidUpgrade: a WebSocket is not granted.
            InvalidHeader: Sec-WebSocket-Accept is missing, there twice, or not the answer to
                this request's key.
            NegotiationError: an extension or a subprotocol is granted that was not asked for.
        """
        if response.status_code != 101:
            raise InvalidStatus(response)
        headers = response.headers
        check_upgrade(headers, alone=True)
        accept = single_value(headers, "Sec-WebSocket-Accept")
        if accept != accept_key(self.key):
            raise InvalidHeaderValue("Sec-WebSocket-Accept", accept)
        self.extensions = self.process_extensions(headers)
        self.subprotocol = self.process_subprotocol(headers)

    def process_extensions(self, headers: Headers) -> list[Extension]:
        """Return the extensions that the server chose, in its order. RFC 6455, 9.1.

        Raises:
            NegotiationError: one was not offered, is there twice, has parameters that cannot
                be accepted, or uses a reserved bit of another.
            InvalidHeaderFormat: they cannot be read.
        """
        accepted: list[Extension] = []
        names = set()
        for name, params in offered_extensions(headers):
            if name in names:
                raise NegotiationError(f"extension accepted twice: {name}")
            names.add(name)
            accepted.append(self._take_extension(name, params, accepted))
        return accepted

    def _take_extension(
        self,
        name: ExtensionName,
        params: Sequence[ExtensionParameter],
        accepted: Sequence[Extension],
    ) -> Extension:
        for factory in self.available_extensions or ():
            if factory.name != name:
                continue
            try:
                extension = factory.process_response_params(params, accepted)
            except NegotiationError:
                continue
            if shares_reserved_bit(extension, accepted):
                raise NegotiationError(f"extension {name} uses a reserved bit of another")
            return extension
        if not self.available_extensions:
            raise NegotiationError("no extensions supported")
        answer = build_extension([(name, params)])
        raise NegotiationError(f"unsupported extension, or parameters of it: {answer}")

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Return the subprotocol that the server chose, if it did. RFC 6455, 4.1.

        Raises:
            NegotiationError: it was not offered.
            InvalidHeader: there are several.
        """
        subprotocols = offered_subprotocols(headers)
        if not subprotocols:
            return None
        if not self.available_subprotocols:
            raise NegotiationError("no subprotocols supported")
        if len(subprotocols) > 1:
            values = ", ".join(subprotocols)
            raise InvalidHeader("Sec-WebSocket-Protocol", f"multiple values: {values}")
        (subprotocol,) = subprotocols
        if subprotocol not in self.available_subprotocols:
            raise NegotiationError(f"unsupported subprotocol: {subprotocol}")
        return subprotocol
