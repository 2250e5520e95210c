"""Servers for tests: of real handlers, and of scripts that play a server.

Both listen on a free port of 127.0.0.1 and have its ``url``. With ``async with`` they run in the
event loop of the test; with plain ``with``, in a thread of their own, for tests of programs that
know no asyncio. What goes wrong in a handler or script is raised at the end of the block: a test
whose server failed has failed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

from ..asyncio.handlers import HandlerLike, handler_maker
from ..asyncio.server import Server, ServerConnection, serve
from ..exceptions import ConnectionClosed
from .network import MemoryListener, MemoryNetwork
from .peer import Peer
from .pipes import Wire
from .running import Runs
from .streams import Acceptor, MemoryStream, SocketStream, Stream

__all__ = ["LocalServer", "ScriptedServer", "echo"]


_CoroutineHandler = Callable[[ServerConnection], Awaitable[None]]


async def echo(connection: ServerConnection) -> None:
    """A handler that sends back what it receives."""
    async for message in connection:
        await connection.send(message)


class LocalServer(Runs):
    """A server on a free port of 127.0.0.1.

    ::

        async with LocalServer(handler) as server:  # or: with LocalServer(handler) as server
            async with connect(server.url) as ws:
                ...

    Args:
        handler: as for ``serve``; by default it sends back what it receives. What a coroutine
            handler raises is raised at the end of the block, unless it is a ConnectionClosed.
        kwargs: as for ``serve``, but ``close_timeout`` is 1 s by default: at the end of a test
            there is no use in waiting for clients that do not answer.
    """

    def __init__(
        self,
        handler: Callable[[ServerConnection], Awaitable[None]] | HandlerLike = echo,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self._handler = handler
        self._kwargs = {"host": "127.0.0.1", "port": 0, "close_timeout": 1, **kwargs}
        self.server: Server
        """What ``serve`` returned."""
        self.connections: list[ServerConnection] = []
        """Each connection that was handled by a coroutine handler, in order; closed ones too."""

    @property
    def host(self) -> str:
        """Where it listens."""
        return str(self.server.sockets[0].getsockname()[0])

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Its URL, without a slash at the end: ``ws://127.0.0.1:12345``, or ``wss://``."""
        scheme = "ws" if self._kwargs.get("ssl") is None else "wss"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    async def _start(self) -> None:
        handler = self._handler
        if handler_maker(handler) is None:
            self._handle = cast(_CoroutineHandler, handler)
            handler = self._noting
        self.server = await serve(handler, **self._kwargs)

    async def _close(self, *, is_failing: bool) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def _noting(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            await self._handle(connection)
        except (ConnectionClosed, asyncio.CancelledError):
            raise
        except Exception as exc:
            self.errors.append(exc)
            raise
        except BaseException as exc:  # what pytest.fail raises, for one
            self.errors.append(exc)
            await connection.close(1011)


class ScriptedServer(Runs):
    """A server that does with each connection what a script does.

    ::

        async def script(peer: Peer) -> None:
            await peer.accept()
            await peer.send_frame(TEXT, b"not masked, as it must be", length=2**40)
            await peer.expect_close(1009)

        async with ScriptedServer(script) as server:  # or with, in a thread
            async with connect(server.url) as ws:
                ...

    What goes wrong in the script is raised at the end of the block, unless it is that the client
    went away (OSError, EOFError). The end waits for scripts, except those that ``stall``.

    Args:
        script: called with a ``Peer`` for each connection, before the opening handshake.
        deadline, answers_pings: as for ``Peer``.
        network: in memory, to listen on as ``host`` and ``port``; None for a real socket.
        host, port: where it listens; port 0 is a free one.
    """

    def __init__(
        self,
        script: Callable[[Peer], Awaitable[None]],
        *,
        deadline: float = 5.0,
        answers_pings: bool = False,
        network: MemoryNetwork | None = None,
        host: str | None = None,
        port: int | None = None,
    ) -> None:
        super().__init__()
        self._script = script
        self._deadline = deadline
        self._answers_pings = answers_pings
        self._network = network
        self.host = host or ("127.0.0.1" if network is None else "localhost")
        """Where it listens."""
        self.port = port if port is not None else 0 if network is None else 80
        """Where it listens."""
        self._listening: socket.socket | MemoryListener
        self._acceptor: Acceptor | None = None
        self._scripts: dict[asyncio.Task[None], Peer] = {}

    @property
    def url(self) -> str:
        """Its URL, without a slash at the end: ``ws://127.0.0.1:12345``."""
        return f"ws://{self.host}:{self.port}"

    async def _start(self) -> None:
        if self._network is not None:
            self._listening = self._network.listen(self._accept_wire, self.host, self.port)
            await self._listening.start_serving()
            return
        self._listening = listening = socket.create_server((self.host, self.port))
        self.port = listening.getsockname()[1]
        self._acceptor = Acceptor(listening, lambda sock: self._begin(SocketStream(sock)))

    async def _close(self, *, is_failing: bool) -> None:
        if self._acceptor is not None:
            self._acceptor.stop()
        self._listening.close()
        scripts = set(self._scripts)
        for task, peer in self._scripts.items():
            if is_failing or peer.is_stalling:
                task.cancel()
        if scripts:
            _, left = await asyncio.wait(scripts, timeout=self._deadline)
            for task in left:
                self.errors.append(
                    AssertionError(
                        f"a script had not ended {self._deadline:g} s after the test: "
                        f"one that is meant to do nothing awaits peer.stall()"
                    )
                )
                task.cancel()
            await asyncio.wait(scripts)

    def _begin(self, stream: Stream) -> None:
        peer = Peer(stream, "server", deadline=self._deadline, answers_pings=self._answers_pings)
        task = asyncio.get_running_loop().create_task(self._play(peer))
        self._scripts[task] = peer
        # A task that is cancelled before its first step closes nothing.
        task.add_done_callback(lambda _: stream.close())
        task.add_done_callback(self._scripts.pop)

    def _accept_wire(self, wire: Wire, extra: dict[str, Any]) -> None:
        self._begin(MemoryStream(wire.to_server, wire.to_client))

    async def _play(self, peer: Peer) -> None:
        async with peer:
            try:
                await self._script(peer)
            except (OSError, EOFError, asyncio.CancelledError):
                pass  # one of both has gone away
            except BaseException as exc:
                self.errors.append(exc)
