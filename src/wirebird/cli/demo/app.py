"""The demonstration server: one port, and what each path on it is.

/           the page, over plain HTTP (`files.py`)
/room       the room, as WebSocket (`room.py`)
/frames     the frames of a connection in the room, as WebSocket (`taps.py`)
/echo       every message comes back, as WebSocket
"""

from __future__ import annotations

import asyncio
import http
import ssl as ssl_module
import urllib.parse
from collections.abc import Collection

from ...asyncio.server import Server, ServerConnection, serve
from ...core.origins import SameOrigin, normalize_origin
from ...exceptions import ConnectionClosed
from ...frames import CloseCode
from ...http11 import Request, Response
from .files import Files, secure
from .room import Room
from .taps import show

__all__ = ["Demo"]

_MAX_FIELDS = 8
# A full room with a watcher each, and as many echoes. Below the 1024 files that a process may
# often have open, so that there is an answer left for who comes then.
MAX_CONNECTIONS = 600
DRAIN_FRAMES_WITHIN_S = 1.0
CLOSE_TIMEOUT_S = 3.0  # who presses Ctrl-C waits for peers that do not answer


class Demo:
    """The services, and how a request finds them.

    Args:
        origins: whose pages may connect, normalized; empty for this server's own.
        names: what this server is called, beside its addresses and localhost.
        room: by default a new one.
        files: by default those of the page.
    """

    def __init__(
        self,
        *,
        origins: Collection[str] = (),
        names: Collection[str] = (),
        room: Room | None = None,
        files: Files | None = None,
    ) -> None:
        self.room = room or Room()
        self._files = files or Files.of_the_page()
        self._origins = origins
        self._own_pages = SameOrigin(names)
        self._watchers: set[asyncio.Task[None]] = set()
        self._closing = False
        self._handlers = {"/echo": self._echo, "/room": self._enter, "/frames": self._show}

    def serve(
        self, host: str | None, port: int | None, *, ssl: ssl_module.SSLContext | None = None
    ) -> Server:
        """Serve on a port; the result is awaited or entered, as that of `wirebird.serve`."""
        return serve(
            self.handle,
            host,
            port,
            process_request=self.process_request,
            close_timeout=CLOSE_TIMEOUT_S,
            ssl=ssl,
        )

    async def say_goodbye(self) -> None:
        """Close the room with 1001, before the server closes everything else.

        The tabs' watching connections go last, so that the page can show the Close it got.
        """
        self._closing = True
        await self.room.close()
        if self._watchers:
            await asyncio.wait(self._watchers, timeout=DRAIN_FRAMES_WITHIN_S)

    def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain requests; None where a WebSocket may be opened."""
        path, _ = _split(request.path)
        if path not in self._handlers:
            return self._files.respond(request)
        headers = request.headers
        full = len(connection.server.all_connections) >= MAX_CONNECTIONS
        if self._closing or full:
            why = "Too many connections.\n" if full else "Stopping.\n"
            return secure(connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, why))
        if not self._is_welcome(headers.get_all("Origin"), connection):
            text = "This origin may not connect; see wirebird serve --origin.\n"
            return secure(connection.respond(http.HTTPStatus.FORBIDDEN, text))
        if path == "/room" and "Sec-WebSocket-Extensions" in headers:
            # Without compression, the frames that the page shows are the bytes on the wire.
            del headers["Sec-WebSocket-Extensions"]
        return None

    def _is_welcome(self, origins: list[str], connection: ServerConnection) -> bool:
        """Whether what has these Origin headers may open a WebSocket: programs may, some pages."""
        if len(origins) != 1:
            return not origins
        if not self._origins:
            return self._own_pages.allows(origins[0], connection.host, connection.scheme)
        try:
            return normalize_origin(origins[0]) in self._origins
        except ValueError:
            return False

    async def handle(self, connection: ServerConnection) -> None:
        """Serve a connection, by its path."""
        assert connection.request is not None
        path, query = _split(connection.request.path)
        try:
            await self._handlers[path](connection, query)
        except ConnectionClosed:
            pass  # in an unfriendly way, but this is how connections end

    async def _echo(self, connection: ServerConnection, query: dict[str, str]) -> None:
        async for message in connection:
            await connection.send(message)

    async def _enter(self, connection: ServerConnection, query: dict[str, str]) -> None:
        await self.room.host(connection, query.get("name"))

    async def _show(self, connection: ServerConnection, query: dict[str, str]) -> None:
        tap = self.room.taps.get(query.get("key", ""))
        if tap is None:
            await connection.close(CloseCode.POLICY_VIOLATION, "no connection has this key")
            return
        after = query.get("after", "")[:15]
        watching = asyncio.current_task()
        assert watching is not None
        self._watchers.add(watching)
        try:
            await show(connection, tap, int(after) if after.isdecimal() else 0)
        finally:
            self._watchers.discard(watching)


def _split(target: str) -> tuple[str, dict[str, str]]:
    """Return the path of a request's target and the fields of its query."""
    path, _, query = target.partition("?")
    try:
        return path, dict(urllib.parse.parse_qsl(query, max_num_fields=_MAX_FIELDS))
    except ValueError:  # more fields than that
        return path, {}
