"""``websockets``, both ways."""

from __future__ import annotations

import ssl
from typing import Any, cast

import pytest
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.typing
from tests.interop.peers import V1, V2, Ended, converse, echo_server, names
from websockets.exceptions import ConnectionClosedError as TheirConnectionClosedError

from wirebird.asyncio.client import ClientConnection, connect
from wirebird.exceptions import ConnectionClosedError
from wirebird.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

DEFLATE = ["permessage-deflate"]
THEIR_V1_V2 = [websockets.typing.Subprotocol("v1"), websockets.typing.Subprotocol("v2")]
PARAMETERS: list[dict[str, Any]] = [
    {},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
    {"server_max_window_bits": 9, "client_max_window_bits": 9},
    {"server_max_window_bits": 15, "client_max_window_bits": 10},
]


async def their_echo(connection: websockets.asyncio.server.ServerConnection) -> None:
    """The echo server of the other library."""
    async for message in connection:
        if isinstance(message, str) and message.startswith("/close "):
            _, code, reason = message.split(" ", 2)
            await connection.close(int(code), reason)
        else:
            await connection.send(message)


def their_uri(server: websockets.asyncio.server.Server, scheme: str = "ws") -> str:
    """Where the other library's server listens."""
    return f"{scheme}://localhost:{next(iter(server.sockets)).getsockname()[1]}/"


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_their_client_talks_to_our_server(compression: str | None) -> None:
    async with echo_server(subprotocols=[V2, V1]) as server:
        async with websockets.asyncio.client.connect(
            server.uri, compression=compression, subprotocols=THEIR_V1_V2
        ) as client:
            # The same API, which is the point.
            await converse(cast(ClientConnection, client))
            await client.send("/fragments")
            assert [part async for part in client.recv_streaming()] == ["in ", "", "three", ""]
            await client.send("/ping")
            assert await client.recv() == "pong came"
            await client.close(4000, "bye – é")
        extensions = DEFLATE if compression else []
        assert await server.ended.get() == Ended(4000, "bye – é", "v2", extensions)


async def test_their_client_hears_our_close_code() -> None:
    async with echo_server() as server, websockets.asyncio.client.connect(server.uri) as client:
        await client.send("/close 4001 because")
        with pytest.raises(TheirConnectionClosedError):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4001, "because")


async def test_their_client_talks_to_our_server_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        echo_server(server_tls) as server,
        websockets.asyncio.client.connect(server.uri, ssl=client_tls) as client,
    ):
        await converse(cast(ClientConnection, client))


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_our_client_talks_to_their_server(compression: str | None) -> None:
    async with (
        websockets.asyncio.server.serve(
            their_echo, "localhost", 0, subprotocols=THEIR_V1_V2
        ) as server,
        connect(their_uri(server), compression=compression, subprotocols=[V1, V2]) as client,
    ):
        assert client.subprotocol == "v1"
        assert names(client) == (DEFLATE if compression else [])
        await converse(client)
        (connection,) = server.connections
        await client.close(4000, "bye – é")
        await connection.wait_closed()
        assert (connection.close_code, connection.close_reason) == (4000, "bye – é")


async def test_our_client_hears_their_close_code() -> None:
    async with (
        websockets.asyncio.server.serve(their_echo, "localhost", 0) as server,
        connect(their_uri(server)) as client,
    ):
        await client.send("/close 4001 because")
        with pytest.raises(ConnectionClosedError) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "because")
        assert (client.close_code, client.close_reason) == (4001, "because")


async def test_our_client_talks_to_their_server_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        websockets.asyncio.server.serve(their_echo, "localhost", 0, ssl=server_tls) as server,
        connect(their_uri(server, "wss"), ssl=client_tls) as client,
    ):
        await converse(client)


@pytest.mark.parametrize("parameters", PARAMETERS)
async def test_our_offer_of_compression(parameters: dict[str, Any]) -> None:
    offer = ClientPerMessageDeflateFactory(**parameters)
    async with (
        websockets.asyncio.server.serve(their_echo, "localhost", 0) as server,
        connect(their_uri(server), compression=None, extensions=[offer]) as client,
    ):
        assert names(client) == DEFLATE
        await converse(client)


@pytest.mark.parametrize("parameters", PARAMETERS)
async def test_our_answer_to_an_offer_of_compression(parameters: dict[str, Any]) -> None:
    answer = ServerPerMessageDeflateFactory(**parameters)
    async with (
        echo_server(compression=None, extensions=[answer]) as server,
        websockets.asyncio.client.connect(server.uri) as client,
    ):
        assert names(client) == DEFLATE
        await converse(cast(ClientConnection, client))
