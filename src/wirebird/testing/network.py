"""A network in memory: servers that listen on it, clients that connect to them, no sockets.

Servers and connections are the real ones of ``wirebird.asyncio``, with the arguments that ``serve``
and ``connect`` have; only the transports under them are others. Nothing here waits for the
kernel, so a test runs the same each time, and under a ``FakeClock`` takes no time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast

from ..asyncio.client import ClientConnection, connect
from ..asyncio.handlers import HandlerLike
from ..asyncio.server import Server, ServerConnection, serve
from .pipes import CAPACITY, Wire
from .streams import MemoryStream
from .transports import MemoryTransport

__all__ = ["MemoryListener", "MemoryNetwork", "Pair", "memory_pair"]

_HOST = "127.0.0.1"
_FIRST_CLIENT_PORT = 49152  # RFC 6335, 6: the dynamic ports

_SERVE = set(inspect.signature(serve).parameters) - {"kwargs", "host", "port"}
_CONNECT = set(inspect.signature(connect).parameters) - {"kwargs"}


Accept = Callable[[Wire, "dict[str, Any]"], None]
"""Takes a connection that comes in, and what is known of it."""


class MemoryListener:
    """What ``loop.create_server`` would return, on a memory network.

    Args:
        accept: takes what comes in.
        on_close: called when it listens no more.
    """

    sockets: tuple[()] = ()

    def __init__(self, accept: Accept, on_close: Callable[[], None]) -> None:
        self.accept = accept
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._is_serving = False

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """See ``asyncio.Server``."""
        return self._loop

    def is_serving(self) -> bool:
        """See ``asyncio.Server``."""
        return self._is_serving

    async def start_serving(self) -> None:
        """See ``asyncio.Server``."""
        self._is_serving = True

    def close(self) -> None:
        """See ``asyncio.Server``."""
        self._is_serving = False
        self._on_close()

    async def wait_closed(self) -> None:
        """See ``asyncio.Server``."""


class MemoryNetwork:
    """A network in memory; its servers and clients are in one event loop.

    ::

        network = MemoryNetwork()
        async with network.serve(handler, "example.com"):
            async with network.connect("ws://example.com/") as ws:
                ...

    Args:
        capacity: how many bytes can be on the way in each direction of a connection; whoever
            sends more, to somebody who does not read, waits.
    """

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._listeners: dict[tuple[str, int], MemoryListener] = {}
        self._ports = itertools.count(_FIRST_CLIENT_PORT)
        self.wires: list[Wire] = []
        """Of each connection that was made, in order; to hold and cut them."""

    def serve(
        self,
        handler: Callable[[ServerConnection], Awaitable[None]] | HandlerLike,
        host: str = "localhost",
        port: int = 80,
        *,
        start_serving: bool = True,
        **kwargs: Any,
    ) -> Server:
        """Listen in memory, as ``wirebird.serve`` does on sockets.

        Args:
            handler, kwargs: as for ``serve``, except what is for sockets and TLS.
            host: the name by which clients know the server.
            port: to listen on.
            start_serving: False to begin with ``Server.start_serving``.

        Raises:
            TypeError: an argument is for sockets or TLS.
            OSError: when it starts, another server listens there (EADDRINUSE).
        """
        _refuse_unknown("serve", kwargs, _SERVE)
        server = serve(handler, **kwargs)

        def accept(wire: Wire, extra: dict[str, Any]) -> None:
            loop = asyncio.get_running_loop()
            transport = MemoryTransport(loop, wire.to_server, wire.to_client, extra)
            wire.server = server.make_connection()
            loop.call_soon(transport.start, wire.server)

        async def listen() -> MemoryListener:
            listener = self.listen(accept, host, port)
            if start_serving:
                await listener.start_serving()
            return listener

        server.create_server = cast(Any, listen)
        return server

    def listen(self, accept: Accept, host: str, port: int) -> MemoryListener:
        """Listen, and leave to somebody else what is done with connections.

        Args:
            accept: called with each wire that comes in, and what is known of it.
            host, port: by which clients know it.

        Raises:
            OSError: another server listens there (EADDRINUSE).
        """
        where = (host, port)
        if where in self._listeners:
            raise OSError(errno.EADDRINUSE, f"another server listens at {host}:{port}")
        listener = MemoryListener(accept, lambda: self._forget(where, listener))
        self._listeners[where] = listener
        return listener

    def connect(self, uri: str, **kwargs: Any) -> connect:
        """Connect in memory, as ``wirebird.connect`` does over sockets.

        Args:
            uri: ``ws://``, with the host and port of a server on this network.
            kwargs: as for ``connect``, except what is for sockets, TLS and proxies.

        Raises:
            TypeError: an argument is for sockets, TLS or proxies.
            ValueError: the URI is ``wss://``.
            ConnectionRefusedError: when it connects, nobody listens there.
        """
        _refuse_unknown("connect", kwargs, _CONNECT)
        if kwargs.get("proxy", True) not in (True, None):
            raise TypeError("a memory network has no proxies")
        connecting = _Connect(uri, **kwargs)
        connecting.network = self
        if connecting.ws_uri.secure:
            raise ValueError("a memory network has no TLS: use ws://, or real sockets")
        return connecting

    def stream_to(self, host: str, port: int) -> MemoryStream:
        """Open a way to a server, for a peer in the hands of a test.

        Raises:
            ConnectionRefusedError: nobody listens there.
        """
        wire, _ = self._wire_to(host, port)
        return MemoryStream(wire.to_client, wire.to_server)

    def _forget(self, where: tuple[str, int], listener: MemoryListener) -> None:
        if self._listeners.get(where) is listener:
            del self._listeners[where]

    def _wire_to(self, host: str, port: int) -> tuple[Wire, dict[str, Any]]:
        """Open a way to a server; say what the client may know of it."""
        listener = self._listeners.get((host, port))
        if listener is None or not listener.is_serving():
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {host}:{port}")
        if asyncio.get_running_loop() is not listener.get_loop():
            raise RuntimeError("a memory network has its servers and clients in one event loop")
        wire = Wire(self._capacity)
        self.wires.append(wire)
        server_name, client_name = (_HOST, port), (_HOST, next(self._ports))
        listener.accept(wire, {"sockname": server_name, "peername": client_name})
        return wire, {"sockname": client_name, "peername": server_name}


class _Connect(connect):
    """Opens its connections on a memory network."""

    network: MemoryNetwork
    wire: Wire

    async def _open(self) -> ClientConnection:
        await asyncio.sleep(0)
        if self.ws_uri.secure:  # after a redirect
            raise ValueError("a memory network has no TLS: use ws://, or real sockets")
        self.wire, extra = self.network._wire_to(self.ws_uri.host, self.ws_uri.port)
        connection = self._factory(self.ws_uri)
        loop = asyncio.get_running_loop()
        transport = MemoryTransport(loop, self.wire.to_client, self.wire.to_server, extra)
        transport.start(connection)
        return connection


def _refuse_unknown(function: str, kwargs: Mapping[str, Any], known: set[str]) -> None:
    for name in kwargs:
        if name not in known:
            raise TypeError(
                f"{function}() on a memory network takes no argument {name!r}: "
                f"there are no sockets and no TLS"
            )


class Pair(tuple[ClientConnection, ServerConnection]):
    """A client's connection and the server's end of it."""

    wire: Wire
    """What is between them."""

    @property
    def client(self) -> ClientConnection:
        """The client's connection."""
        return self[0]

    @property
    def server(self) -> ServerConnection:
        """The server's end of it."""
        return self[1]


@contextlib.asynccontextmanager
async def memory_pair(
    *,
    client: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
    uri: str = "ws://localhost/",
    capacity: int = CAPACITY,
    **both: Any,
) -> AsyncIterator[Pair]:
    """Two open connections, joined in memory; at the end both are closed.

    ::

        async with memory_pair(max_size=1000) as (client, server):
            await client.send("Hello")
            assert await server.recv() == "Hello"

    Args:
        client: arguments of ``connect``.
        server: arguments of ``serve``; ``handler`` may be among them, a class or an object with
            methods, not a coroutine function.
        uri: that the client connects to.
        capacity: how many bytes can be on the way in each direction; whoever sends more, to
            somebody who does not read, waits.
        both: arguments of both.

    Raises:
        InvalidHandshake: the opening handshake failed.
        TypeError: an argument is not known, or is for sockets or TLS.
    """

    async def stay(connection: ServerConnection) -> None:
        await connection.wait_closed()

    network = MemoryNetwork(capacity=capacity)
    for_server = {**both, **(server or {})}
    handler = for_server.pop("handler", stay)
    connecting = cast(_Connect, network.connect(uri, **{**both, **(client or {})}))
    where = connecting.ws_uri.host, connecting.ws_uri.port
    async with network.serve(handler, *where, **for_server), connecting as connection:
        assert connecting.wire.server is not None
        pair = Pair((connection, connecting.wire.server))
        pair.wire = connecting.wire
        try:
            yield pair
        except BaseException:
            pair.wire.cut()  # what failed is told at once, whatever state the ends are in
            raise
        if pair.wire.is_held:
            pair.wire.cut()
