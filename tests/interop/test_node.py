"""Node's ``ws`` and ``websocket`` (WebSocket-Node), both ways."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests import needs
from tests.interop.peers import V1, V2, Ended, converse, echo_server, names

from wirebird.asyncio.client import connect
from wirebird.exceptions import ConnectionClosedError

SOURCES = pathlib.Path(__file__).parent / "node"
LIBRARIES = ["ws", "websocket"]


class Node:
    """Starts the peers of ``node/peer.js``.

    Args:
        path: of Node.
        packages: the folder beside the installed ``node_modules``.
    """

    def __init__(self, path: str, packages: pathlib.Path) -> None:
        self.path = path
        self.packages = packages

    @contextlib.asynccontextmanager
    async def run(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A peer, which has ended when the block is left."""
        process = await asyncio.create_subprocess_exec(
            *(self.path, str(SOURCES / "peer.js"), *arguments),
            env={**os.environ, "WIREBIRD_NODE": str(self.packages)},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            # Reads what is left, too, so that the pipe is closed while the loop runs.
            await process.communicate()

    async def client(self, *arguments: str) -> dict[str, Any]:
        """What a client saw, told when its connection has ended."""
        async with self.run("client", *arguments) as process:
            seen: dict[str, Any] = await next_line(process)
            return seen


async def next_line(process: asyncio.subprocess.Process) -> Any:
    """The next line of JSON that a peer printed; what it complained of is on the test's stderr."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line, "the peer ended without telling anything"
    return json.loads(line)


@pytest.fixture(scope="session")
def peers(node: str) -> Node:
    """The libraries, installed as the lock file says."""
    return Node(node, needs.npm_ci(SOURCES))


@pytest.mark.parametrize("library", LIBRARIES)
async def test_their_client_talks_to_our_server(peers: Node, library: str) -> None:
    async with echo_server(subprotocols=[V2, V1]) as server:
        seen = await peers.client(library, server.uri)
        ended = await server.ended.get()
    extensions = ["permessage-deflate"] if library == "ws" else []
    assert seen.pop("extensions").split(";")[:1] == (extensions or [""])
    # WebSocket-Node tells the code that came, and what came is the echo of its own.
    assert seen == {
        "echoed": 7,
        "commands": 2,
        "pong": "from node",
        "protocol": "v2",
        "code": 4000,
        "reason": "bye – é",
    }
    assert ended == Ended(4000, "bye – é", "v2", extensions)


async def test_ws_without_compression(peers: Node) -> None:
    async with echo_server(subprotocols=[V1]) as server:
        seen = await peers.client("ws", server.uri, "plain")
        ended = await server.ended.get()
    assert (seen["echoed"], seen["extensions"]) == (7, "")
    assert ended == Ended(4000, "bye – é", "v1", [])


@pytest.mark.parametrize("library", LIBRARIES)
async def test_their_client_hears_our_close_code(peers: Node, library: str) -> None:
    async with echo_server(subprotocols=[V1]) as server:
        seen = await peers.client(library, server.uri, "server-closes")
    assert (seen["echoed"], seen["code"], seen["reason"]) == (7, 4001, "because")


@pytest.mark.parametrize(
    ("library", "compression"), [("ws", "deflate"), ("ws", None), ("websocket", "deflate")]
)
async def test_our_client_talks_to_their_server(
    peers: Node, library: str, compression: str | None
) -> None:
    async with peers.run("server", library) as process:
        uri = f"ws://localhost:{await next_line(process)}/"
        async with connect(uri, compression=compression, subprotocols=[V1, V2]) as client:
            assert client.subprotocol == "v2"
            is_compressed = library == "ws" and compression
            assert names(client) == (["permessage-deflate"] if is_compressed else [])
            await converse(client)
            await client.close(4000, "bye – é")
        assert await next_line(process) == [4000, "bye – é"]


@pytest.mark.parametrize("library", LIBRARIES)
async def test_our_client_hears_their_close_code(peers: Node, library: str) -> None:
    async with peers.run("server", library) as process:
        uri = f"ws://localhost:{await next_line(process)}/"
        async with connect(uri, subprotocols=[V2]) as client:
            await client.send("/close 4001 because")
            with pytest.raises(ConnectionClosedError):
                await client.recv()
            assert (client.close_code, client.close_reason) == (4001, "because")
