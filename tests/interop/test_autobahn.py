"""``autobahn-python``, both ways: permessage-brotli is its extension, and deflate everybody's."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.interop.peers import BIG_BINARY, BIG_TEXT, TEXTS, converse, echo_server, names

from wirebird.asyncio.client import connect
from wirebird.exceptions import ConnectionClosedError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it imports
    from autobahn.asyncio.websocket import (
        WebSocketClientFactory,
        WebSocketClientProtocol,
        WebSocketServerFactory,
        WebSocketServerProtocol,
    )
    from autobahn.websocket.compress import (
        PerMessageBrotliOffer,
        PerMessageBrotliOfferAccept,
        PerMessageBrotliResponseAccept,
        PerMessageDeflateOffer,
        PerMessageDeflateOfferAccept,
        PerMessageDeflateResponseAccept,
    )

OFFERS: dict[str, list[Any]] = {
    "brotli": [PerMessageBrotliOffer()],
    "brotli, bound": [PerMessageBrotliOffer(True, True)],
    "brotli, free": [PerMessageBrotliOffer(False, False)],
    "both": [PerMessageDeflateOffer(), PerMessageBrotliOffer()],
}


class TheirServer(WebSocketServerProtocol):  # type: ignore[misc]
    """Echoes, in fragments where it is asked to."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if payload == b"/fragments":
            self.beginMessage(isBinary=False)
            for part in (b"in ", b"", b"three"):
                self.beginMessageFrame(len(part))
                self.sendMessageFrameData(part)
            self.endMessage()
        else:
            self.sendMessage(payload, isBinary, fragmentSize=4000 if len(payload) > 9000 else None)


@contextlib.asynccontextmanager
async def their_server(**options: Any) -> AsyncIterator[str]:
    """Their echo server, which takes brotli before deflate."""

    def accept(offers: list[Any]) -> Any:
        for offer in offers:
            if isinstance(offer, PerMessageBrotliOffer):
                return PerMessageBrotliOfferAccept(offer, **options)
        for offer in offers:
            return PerMessageDeflateOfferAccept(offer)
        return None

    factory = WebSocketServerFactory()
    factory.protocol = TheirServer
    factory.setProtocolOptions(perMessageCompressionAccept=accept)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "options", [{}, {"request_no_context_takeover": True}, {"no_context_takeover": True}]
)
async def test_our_client_talks_to_their_server(options: dict[str, bool]) -> None:
    async with (
        their_server(**options) as uri,
        connect(uri, compression=("brotli", "deflate"), max_size=2**22) as client,
    ):
        assert names(client) == ["permessage-brotli"]
        await converse(client)


async def test_our_fallback_reaches_their_server() -> None:
    async with their_server() as uri, connect(uri, compression=("zstd", "deflate")) as client:
        assert names(client) == ["permessage-deflate"]
        await client.send("hello")
        assert await client.recv() == "hello"


async def test_our_limit_holds_for_their_server() -> None:
    async with their_server() as uri, connect(uri, compression="brotli", max_size=10_000) as client:
        await client.send(bytes(100_000))
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        assert raised.value.sent is not None
        assert raised.value.sent.code == 1009


class TheirClient(WebSocketClientProtocol):  # type: ignore[misc]
    """Puts what comes in a queue."""

    def __init__(self) -> None:
        super().__init__()
        self.came: asyncio.Queue[Any] = asyncio.Queue()

    def onOpen(self) -> None:
        self.came.put_nowait(self.websocket_extensions_in_use)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.came.put_nowait(payload if isBinary else payload.decode())

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.came.put_nowait((wasClean, code))


@contextlib.asynccontextmanager
async def their_client(port: int, offers: list[Any]) -> AsyncIterator[Any]:
    """Their client, connected; what it accepts is what it offers."""

    def accept(response: Any) -> Any:
        if type(response).__name__ == "PerMessageBrotliResponse":
            return PerMessageBrotliResponseAccept(response)
        return PerMessageDeflateResponseAccept(response)

    factory = WebSocketClientFactory(f"ws://localhost:{port}")
    factory.protocol = TheirClient
    factory.setProtocolOptions(
        perMessageCompressionOffers=offers, perMessageCompressionAccept=accept
    )
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(factory, "localhost", port)
    try:
        yield protocol
    finally:
        transport.close()
        await protocol.is_closed


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("order", [("brotli", "deflate"), ("deflate", "brotli")])
async def test_their_client_talks_to_our_server(offer: str, order: tuple[str, str]) -> None:
    async with (
        echo_server(compression=order, max_size=2**22) as server,
        their_client(server.port, OFFERS[offer]) as client,
    ):
        (extension,) = await client.came.get()
        chosen = order[0] if offer == "both" else "brotli"
        assert f"permessage-{chosen}" == extension.EXTENSION_NAME
        for text in [*TEXTS, BIG_TEXT]:
            client.sendMessage(text.encode(), fragmentSize=100_000)
            assert await client.came.get() == text
        for binary in [b"", BIG_BINARY]:
            client.sendMessage(binary, isBinary=True)
            assert await client.came.get() == binary
        client.sendMessage(b"/fragments")
        assert await client.came.get() == "in three"
        client.sendMessage(b"not compressed", doNotCompress=True)
        assert await client.came.get() == "not compressed"
        client.sendClose(1000)
        ended = await server.ended.get()
        assert (ended.code, ended.extensions) == (1000, [f"permessage-{chosen}"])
        assert await client.came.get() == (True, 1000)
