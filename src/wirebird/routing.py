"""Finding the handler for a request, by the rules of werkzeug's routing.

werkzeug comes with ``pip install wirebird[router]``; without it, only calling these needs it.
"""

from __future__ import annotations

import http
import urllib.parse
from typing import TYPE_CHECKING, Any

from .core.http1 import Request, Response

if TYPE_CHECKING:
    from werkzeug.routing import Map

__all__ = ["RequestRouter"]


class RequestRouter:
    """Finds the handler for a request, for connections of any adapter.

    Args:
        url_map: endpoints are handlers. Its rules are made rules for WebSockets.
        server_name: the host that clients see; None for their Host.
        url_scheme: "ws" or "wss", as clients see it.

    Raises:
        ImportError: werkzeug is not installed.
    """

    def __init__(
        self, url_map: Map, server_name: str | None = None, url_scheme: str = "ws"
    ) -> None:
        try:
            import werkzeug.routing  # noqa: F401
        except ImportError:
            raise ImportError("routing needs werkzeug: pip install wirebird[router]") from None
        self.url_map = url_map
        self.server_name = server_name
        self.url_scheme = url_scheme
        for rule in url_map.iter_rules():
            rule.websocket = True

    def get_server_name(self, connection: Any, request: Request) -> str:
        """Return the host that the client sees."""
        return request.headers["Host"] if self.server_name is None else self.server_name

    def redirect(self, connection: Any, url: str) -> Response:
        """Return the response that sends the client elsewhere."""
        response: Response = connection.respond(http.HTTPStatus.FOUND, f"Found at {url}")
        response.headers["Location"] = url
        return response

    def not_found(self, connection: Any) -> Response:
        """Return the response for a path without a handler."""
        response: Response = connection.respond(http.HTTPStatus.NOT_FOUND, "Not Found")
        return response

    def route_request(self, connection: Any, request: Request) -> Response | None:
        """Find the handler, or return the response that says why there is none."""
        from werkzeug.exceptions import HTTPException
        from werkzeug.routing import RequestRedirect

        hosts = request.headers.get_all("Host")
        if self.server_name is None and len(hosts) != 1:
            return None  # the handshake will refuse it
        path, _, query = request.path.partition("?")
        try:
            adapter = self.url_map.bind(
                server_name=self.get_server_name(connection, request), url_scheme=self.url_scheme
            )
            handler, kwargs = adapter.match(path_info=urllib.parse.unquote(path), query_args=query)
        except RequestRedirect as redirect:
            return self.redirect(connection, redirect.new_url)
        except HTTPException:
            return self.not_found(connection)
        connection.handler, connection.handler_kwargs = handler, kwargs
        return None
