"""What an application is told about a request: the scope of ASGI's WebSocket specification.

https://asgi.readthedocs.io/en/latest/specs/www.html#websocket-connection-scope
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from uvicorn.protocols.utils import (
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)

from ..core.handshake.common import offered_subprotocols
from ..core.http1 import Request
from ..core.redaction import shown_target

if TYPE_CHECKING:
    from .protocol import WebSocketProtocol

__all__ = ["EXTENSION", "log_answer", "make_scope"]

EXTENSION = "wirebird"
"""The name of our ASGI extension, in ``scope["extensions"]``."""

_SPEC_VERSION = "2.4"


def make_scope(connection: WebSocketProtocol, request: Request) -> dict[str, Any]:
    """Return the scope of a connection whose request is a valid one.

    Args:
        connection: that is to be accepted or refused.
        request: for it, with headers as uvicorn read them.
    """
    config = connection.config
    transport = connection.transport
    raw_path, _, query = request.path.partition("?")
    root_path = config.root_path
    return {
        "type": "websocket",
        "asgi": {"version": config.asgi_version, "spec_version": _SPEC_VERSION},
        "http_version": "1.1",
        "scheme": "wss" if is_ssl(transport) else "ws",
        "server": get_local_addr(transport),
        "client": get_remote_addr(transport),
        "root_path": root_path,
        "path": root_path + unquote(raw_path),
        "raw_path": root_path.encode("ascii") + raw_path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": [
            (name.lower().encode("ascii"), value.encode("iso-8859-1"))
            for name, value in request.headers.raw_items()
        ],
        "subprotocols": offered_subprotocols(request.headers),
        "state": connection.app_state.copy(),
        "extensions": {
            "websocket.http.response": {},
            EXTENSION: {"connection": connection},
        },
    }


def log_answer(logger: logging.Logger, scope: Any, answer: str) -> None:
    """Log how the application answered a request, as uvicorn does.

    Args:
        logger: uvicorn's.
        scope: of the request; a proxy's headers may have changed its client.
        answer: "[accepted]", or the status.
    """
    if logger.isEnabledFor(logging.INFO):
        client, path = get_client_addr(scope), shown_target(get_path_with_query_string(scope))
        logger.info('%s - "WebSocket %s" %s', client, path, answer)
