"""aiohttp, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from tests.interop.peers import BIG_BINARY, BIG_TEXT, V1, V2, Ended, converse, echo_server, names

from wirebird.asyncio.client import connect
from wirebird.exceptions import ConnectionClosedError

DEFLATE = ["permessage-deflate"]


class TheirServer:
    """An echo server of aiohttp.

    Args:
        compress: whether it takes an offer of permessage-deflate.
    """

    def __init__(self, compress: bool) -> None:
        self.compress = compress
        self.port = 0
        self.close_codes: asyncio.Queue[int | None] = asyncio.Queue()

    async def echo(self, request: web.Request) -> web.WebSocketResponse:
        """Handle one connection."""
        response = web.WebSocketResponse(compress=self.compress, protocols=("v2", "v1"))
        await response.prepare(request)
        async for message in response:
            if message.type is WSMsgType.BINARY:
                await response.send_bytes(message.data)
            elif message.data.startswith("/close "):
                _, code, reason = message.data.split(" ", 2)
                await response.close(code=int(code), message=reason.encode())
            else:
                await response.send_str(message.data)
        self.close_codes.put_nowait(response.close_code)
        return response

    @contextlib.asynccontextmanager
    async def run(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve on a free port; yields the URI."""
        application = web.Application()
        application.router.add_get("/", self.echo)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "localhost", 0, ssl_context=tls)
        await site.start()
        try:
            port = runner.addresses[0][1]
            yield f"{'wss' if tls else 'ws'}://localhost:{port}/"
        finally:
            await runner.cleanup()


async def converse_by_aiohttp(client: aiohttp.ClientWebSocketResponse) -> None:
    """Say everything to our server with aiohttp's client."""
    for text in ["Hello", "", "Zürich – 東京 🐦", "x" * 126, "x" * 65_536, BIG_TEXT]:
        await client.send_str(text)
        assert await client.receive_str() == text
    for binary in [b"", b"\x00\xff", BIG_BINARY]:
        await client.send_bytes(binary)
        assert await client.receive_bytes() == binary
    await client.send_str("/fragments")
    assert await client.receive_str() == "in three"
    await client.send_str("/ping")
    assert await client.receive_str() == "pong came"


@pytest.mark.parametrize("compress", [0, 9, 15])
async def test_their_client_talks_to_our_server(compress: int) -> None:
    async with echo_server(subprotocols=[V2, V1]) as server, aiohttp.ClientSession() as session:
        async with session.ws_connect(
            server.uri, compress=compress, protocols=("v1", "v2"), max_msg_size=2**24
        ) as client:
            assert client.protocol == "v2"
            assert bool(client.compress) == bool(compress)
            await converse_by_aiohttp(client)
            await client.ping(b"from aiohttp")
            await client.close(code=4000, message="bye – é".encode())
        extensions = DEFLATE if compress else []
        assert await server.ended.get() == Ended(4000, "bye – é", "v2", extensions)


async def test_their_client_hears_our_pong() -> None:
    async with (
        echo_server() as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(server.uri, autoping=False) as client,
    ):
        await client.ping(b"from aiohttp")
        message = await client.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"from aiohttp")


async def test_their_client_hears_our_close_code() -> None:
    async with (
        echo_server() as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(server.uri) as client,
    ):
        await client.send_str("/close 4001 because")
        message = await client.receive()
        assert message.type is WSMsgType.CLOSE
        assert (message.data, message.extra) == (4001, "because")


async def test_their_client_talks_to_our_server_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        echo_server(server_tls) as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(server.uri, ssl=client_tls, max_msg_size=2**24) as client,
    ):
        await converse_by_aiohttp(client)


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_our_client_talks_to_their_server(compression: str | None) -> None:
    server = TheirServer(compress=True)
    async with (
        server.run() as uri,
        connect(uri, compression=compression, subprotocols=[V1, V2], max_size=2**24) as client,
    ):
        assert names(client) == (DEFLATE if compression else [])
        assert client.subprotocol in {"v1", "v2"}
        await converse(client)
        await client.close(4000, "bye – é")
        assert await server.close_codes.get() == 4000


async def test_our_client_hears_their_close_code() -> None:
    async with TheirServer(compress=False).run() as uri, connect(uri) as client:
        assert names(client) == []
        await client.send("/close 4001 because")
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4001, "because")


async def test_our_client_talks_to_their_server_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        TheirServer(compress=True).run(server_tls) as uri,
        connect(uri, ssl=client_tls, max_size=2**24) as client,
    ):
        await converse(client)
