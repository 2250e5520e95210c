"""One message to many, framed and compressed once; real peers read it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import pytest
import websockets.asyncio.client
from tests.asyncio.pair import raw_and_server
from tests.attacks.raw import TEXT, RawFrame, port_of
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection, broadcast, serve
from wirebird.core.rules import Opcode
from wirebird.extensions.permessage_zstd import ClientPerMessageZstdFactory
from wirebird.native.fanout import send_shared

# What clients ask for: context or none, windows of several sizes, no compression at all.
OFFERS: list[Any] = [
    None,
    ClientPerMessageDeflateFactory(),
    ClientPerMessageDeflateFactory(server_no_context_takeover=True),
    ClientPerMessageDeflateFactory(server_max_window_bits=9),
    ClientPerMessageDeflateFactory(server_max_window_bits=11, client_no_context_takeover=True),
    ClientPerMessageDeflateFactory(server_max_window_bits=9, server_no_context_takeover=True),
]


@pytest.mark.parametrize("seed", range(4))
async def test_broadcasts_between_own_messages_are_read_by_real_peers(seed: int) -> None:
    """What one compressor made for all is not in the window of the one that makes the next."""
    chance = random.Random(seed)
    words = ["".join(chance.choices("abcdef", k=12)) for _ in range(40)]
    opened: list[ServerConnection] = []
    all_here, done = asyncio.Event(), asyncio.Event()

    async def handler(ws: ServerConnection) -> None:
        opened.append(ws)
        if len(opened) == len(OFFERS):
            all_here.set()
        await done.wait()

    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(handler, "127.0.0.1", 0))
        clients = []
        for offer in OFFERS:
            extensions = None if offer is None else [offer]
            connecting = websockets.asyncio.client.connect(
                f"ws://127.0.0.1:{port_of(server)}",
                compression=None,
                extensions=extensions,
                proxy=None,
            )
            clients.append(await stack.enter_async_context(connecting))
        await all_here.wait()
        expected: dict[ServerConnection, list[str]] = {ws: [] for ws in opened}
        for _ in range(60):
            message = " ".join(chance.choices(words, k=chance.randrange(1, 60)))
            to = chance.choice([*opened, None, None])
            if to is None:
                broadcast(opened, message)
                for ws in opened:
                    expected[ws].append(message)
            else:
                await to.send(message)
                expected[to].append(message)
            if chance.random() < 0.2:
                await asyncio.sleep(0)
        for client, ws in zip(clients, opened, strict=True):
            assert [await client.recv() for _ in expected[ws]] == expected[ws]
        done.set()


@pytest.mark.parametrize("seed", range(3))
async def test_broadcasts_over_each_compression(seed: int) -> None:
    """Some with brotli, some with zstd, with a context or without; each begins where it is."""
    chance = random.Random(seed)
    ways: list[dict[str, Any]] = [
        *({"compression": name} for name in ("brotli", "brotli", "zstd", "zstd", "deflate", None)),
        {"compression": None, "extensions": [ClientPerMessageZstdFactory(True)]},
        {"compression": None, "extensions": [ClientPerMessageZstdFactory(False, False, 10)]},
    ]
    opened: list[ServerConnection] = []
    all_here, done = asyncio.Event(), asyncio.Event()

    async def handler(ws: ServerConnection) -> None:
        opened.append(ws)
        if len(opened) == len(ways):
            all_here.set()
        await done.wait()

    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            serve(handler, "127.0.0.1", 0, compression=("brotli", "zstd", "deflate"))
        )
        uri = f"ws://127.0.0.1:{port_of(server)}"
        clients = [await stack.enter_async_context(connect(uri, **way)) for way in ways]
        await all_here.wait()
        expected: dict[ServerConnection, list[str]] = {ws: [] for ws in opened}
        for _ in range(60):
            message = "".join(chance.choices("abcdef", k=chance.choice([0, 3, 50, 9000])))
            to = chance.choice([None, None, *opened])
            if to is None:
                assert send_shared(opened, Opcode.TEXT, message.encode()) == []
                for ws in opened:
                    expected[ws].append(message)
            else:
                await to.send(message)
                expected[to].append(message)
        for client, ws in zip(clients, opened, strict=True):
            assert [await client.recv() for _ in expected[ws]] == expected[ws]
        done.set()


async def test_who_is_served_alike_and_who_is_not() -> None:
    async with raw_and_server() as (peer, ws), raw_and_server() as (other_peer, other):
        fragments = asyncio.Event()

        async def slowly() -> Any:
            yield "begun "
            await fragments.wait()
            yield "ended"

        sending = asyncio.create_task(other.send(slowly()))
        assert (await other_peer.frame()).payload == b"begun "
        assert send_shared([ws, other], Opcode.TEXT, b"hi") == [other]
        assert await peer.frame() == RawFrame(TEXT, b"hi")
        fragments.set()
        await sending
        assert (await other_peer.frame()).payload == b"ended"


async def test_what_is_closed_is_left_out_and_what_is_foreign_is_left_to_others() -> None:
    stranger = object()
    async with raw_and_server() as (peer, ws):
        closing = asyncio.create_task(ws.close())
        await peer.close_frame()
        assert send_shared([ws, stranger], Opcode.BINARY, b"hi") == [stranger]
        peer.half_close()
        await closing


@pytest.mark.parametrize("size", [0, 125, 126, 2**13 - 1, 2**13, 2**16 - 1, 2**16, 200_000])
async def test_sizes(size: int) -> None:
    async with raw_and_server() as (peer, ws):
        broadcast([ws, ws], b"x" * size)
        for _ in range(2):
            assert (await peer.frame()).payload == b"x" * size


async def test_busy_polling_changes_nothing_but_the_time() -> None:
    async def echo(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    async with (
        serve(echo, "127.0.0.1", 0, busy_poll_us=50) as server,
        websockets.asyncio.client.connect(
            f"ws://127.0.0.1:{port_of(server)}", proxy=None
        ) as client,
    ):
        for number in range(100):
            await client.send(str(number))
            assert await client.recv() == str(number)
