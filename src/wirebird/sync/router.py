"""Serving different handlers at different paths, by the rules of werkzeug's routing.

werkzeug comes with ``pip install wirebird[router]``; without it, only calling these needs it.
"""

from __future__ import annotations

import ssl as ssl_module
from typing import TYPE_CHECKING, Any, Literal

from ..core.http1 import Request, Response
from ..core.types import PathLike
from ..routing import RequestRouter
from .server import Server, ServerConnection, serve
from .server_connection import ProcessRequest

if TYPE_CHECKING:
    from werkzeug.routing import Map

__all__ = ["Router", "route", "unix_route"]


def route(
    url_map: Map,
    *args: Any,
    server_name: str | None = None,
    ssl: ssl_module.SSLContext | Literal[True] | None = None,
    create_router: type[Router] | None = None,
    **kwargs: Any,
) -> Server:
    """Serve WebSockets, each path by a handler of its own.

    ::

        def channel(ws, name): ...

        with route(Map([Rule("/channel/<name>", endpoint=channel)]), "localhost", 8765) as server:
            server.serve_forever()

    Args:
        url_map: endpoints are handlers; what a rule captures is passed to them by name.
        args, kwargs: as for ``serve``. ``process_request`` is asked first.
        server_name: the host that clients see, for redirects; None for their Host.
        ssl: as for ``serve``; True when a proxy in front of the server does TLS.
        create_router: makes the router: a subclass of ``Router``.

    Raises:
        ImportError: werkzeug is not installed.
    """
    router = (Router if create_router is None else create_router)(
        url_map, server_name, "ws" if ssl is None else "wss"
    )
    if ssl is not None and ssl is not True:
        kwargs["ssl"] = ssl
    asked_first: ProcessRequest | None = kwargs.pop("process_request", None)

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        response = None if asked_first is None else asked_first(connection, request)
        return router.route_request(connection, request) if response is None else response

    return serve(router.handler, *args, process_request=process_request, **kwargs)


def unix_route(url_map: Map, path: PathLike | None = None, **kwargs: Any) -> Server:
    """Serve WebSockets on a Unix socket, each path by a handler of its own.

    Args:
        url_map: as for ``route``.
        path: of the socket.
        kwargs: as for ``route``.
    """
    return route(url_map, unix=True, path=path, **kwargs)


class Router(RequestRouter):
    """Finds the handler for a request, and calls it.

    Args:
        url_map: endpoints are handlers. Its rules are made rules for WebSockets.
        server_name: the host that clients see; None for their Host.
        url_scheme: "ws" or "wss", as clients see it.

    Raises:
        ImportError: werkzeug is not installed.
    """

    def handler(self, connection: ServerConnection) -> None:
        """Call the handler that was found."""
        connection.handler(connection, **connection.handler_kwargs)
