"""Nothing is left of connections, messages, errors and cancelled calls: memory stays flat."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.attacks.raw import close_payload, echo, frame, opened, port_of, uri_of
from tests.core.endpoint import draws
from tests.native.ways import Way, served

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import serve
from wirebird.core.connection import NEED_MORE
from wirebird.core.extensions.permessage_deflate import PerMessageDeflate
from wirebird.core.rules import Opcode, Role, State
from wirebird.engine import connection_class, is_native_built
from wirebird.exceptions import ConnectionClosed, WebSocketException

pytestmark = pytest.mark.skipif(
    not is_native_built(), reason="the native engine is not built: a C compiler builds it"
)

PAGE = os.sysconf("SC_PAGE_SIZE")
SINGLETONS: list[Any] = [NEED_MORE, State.OPEN, State.CLOSED, Opcode.TEXT, Opcode.CONT, b"", ""]


def resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


def counts() -> list[int]:
    """How many objects there are, and references to some that live for ever."""
    gc.collect()
    return [len(gc.get_objects()), *map(sys.getrefcount, SINGLETONS)]


def hold_flat(work: Callable[[], None], times: int, *, slack: int = 4 * 2**20) -> None:
    """Demand that work done many times leaves nothing behind.

    Args:
        work: once.
        times: how often, after a tenth of it to warm up.
        slack: bytes by which the process may grow; less than a hundred for each time.
    """
    for _ in range(times // 10):
        work()
    before, memory = counts(), resident()
    for _ in range(times):
        work()
    after = counts()
    for name, was, now in zip(["objects", *map(repr, SINGLETONS)], before, after, strict=True):
        assert abs(now - was) < times // 20, f"{name}: {was} before, {now} after {times} times"
    assert resident() - memory < slack


def new(role: Role = Role.SERVER, **arguments: Any) -> Any:
    """A native connection."""
    return connection_class("native")(role, random_bytes=draws(), **arguments)


def deflate() -> list[PerMessageDeflate]:
    return [PerMessageDeflate(False, False, 9, 9)]


def framed(core: Any, first: int, payload: bytes = b"") -> bytes:
    """A frame from the peer."""
    mask = core.role is Role.SERVER
    return frame(first & 15, payload, fin=first >= 128, rsv=first >> 4 & 7, mask=mask)


MESSAGES: dict[str, list[tuple[int, bytes]]] = {
    "text": [(0x81, b"hello")],
    "text that is not ASCII": [(0x81, "é漢😀".encode())],
    "binary": [(0x82, bytes(300))],
    "big text": [(0x81, b"a" * 5000)],
    "big text that is not ASCII": [(0x81, "é".encode() * 3000)],
    "big binary": [(0x82, bytes(9000))],
    "fragments of text": [(0x01, "é".encode()[:1]), (0x89, b"p"), (0x80, "é".encode()[1:])],
    "fragments of binary": [(0x02, bytes(900)), (0x00, b""), (0x80, b"b")],
    "ping": [(0x89, b"ping"), (0x81, b"")],
    "pong": [(0x8A, b"pong"), (0x81, b"")],
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", list(MESSAGES))
def test_messages(role: Role, kind: str) -> None:
    core = new(role)
    data = b"".join(framed(core, *piece) for piece in MESSAGES[kind])
    half = len(data) // 2

    def work() -> None:
        for decode in (None, False):
            core.receive_data(data[:half], 0.0)
            core.next_message(decode)
            core.receive_data(data[half:], 0.0)
            while (message := core.next_message(decode)) is not NEED_MORE:
                if isinstance(message, str):
                    core.send_text(message)
                else:
                    core.send_binary(bytearray(message))
        core.receive_data(data, 0.0)
        while core.next_frame() is not NEED_MORE:
            pass
        core.receive_data(data, 0.0)
        while core.next_fragment() is not NEED_MORE:
            pass
        core.data_to_send()

    hold_flat(work, 10_000)


@pytest.mark.parametrize("kind", ["text", "binary", "big text", "fragments of binary"])
def test_compressed_messages(kind: str) -> None:
    core = new(extensions=deflate())
    peer = new(Role.CLIENT, extensions=deflate())
    pieces = MESSAGES[kind]

    def work() -> None:
        for first, payload in pieces:
            fin = first >= 128
            if first & 15:
                peer.send_binary(payload, fin=fin)
            else:
                peer.send_fragment(payload, fin=fin)
        core.receive_data(b"".join(peer.data_to_send()), 0.0)
        core.send_binary(core.next_message())
        peer.receive_data(b"".join(core.data_to_send()), 0.0)
        assert peer.next_message() is not NEED_MORE

    hold_flat(work, 10_000)


WRONG: dict[str, list[tuple[int, bytes]]] = {
    "a reserved bit": [(0xF1, b"a")],
    "a reserved opcode": [(0x83, b"a")],
    "too big": [(0x82, bytes(10_001))],
    "too big together": [(0x02, bytes(9_000)), (0x80, bytes(9_000))],
    "too many fragments": [(0x02, b"")] + [(0x00, b"")] * 9,
    "a continuation of nothing": [(0x80, b"a")],
    "a message within another": [(0x01, b"a"), (0x81, b"a")],
    "not UTF-8": [(0x81, b"a\xff")],
    "not UTF-8 in fragments": [(0x01, b"a\xe2"), (0x80, b"(")],
    "not UTF-8, and big": [(0x81, b"a" * 5000 + b"\xff")],
    "UTF-8 that ends too early": [(0x01, b"a"), (0x80, b"\xe2\x82")],
    "a fragmented ping": [(0x09, b"a")],
    "a long ping": [(0x89, bytes(126))],
    "a close of one byte": [(0x88, b"a")],
    "a wrong close code": [(0x88, close_payload(1005))],
    "a close": [(0x88, close_payload(1000, "bye"))],
    "a broken stream": [(0xC1, b"\xff\xff\xff")],
    "half a frame": [(0x82, bytes(10))],
}


@pytest.mark.parametrize("kind", list(WRONG))
def test_connections_and_their_ends(kind: str) -> None:
    pieces = WRONG[kind]

    def work() -> None:
        has_deflate = kind == "a broken stream"
        core = new(max_size=10_000, max_fragments=8, extensions=deflate() if has_deflate else ())
        data = b"".join(framed(core, *piece) for piece in pieces)
        core.receive_data(framed(core, 0x81, b"before"), 0.0)
        core.receive_data(data[:-1] if kind == "half a frame" else data, 0.0)
        core.wait(core.stop_waiting)
        for _ in range(3):
            core.next_message()
        try:
            core.send_text("\ud800")
        except (UnicodeEncodeError, WebSocketException):
            pass
        core.data_to_send()
        core.connection_lost(None, 1.0)
        with pytest.raises(ConnectionClosed):
            core.next_message()

    hold_flat(work, 3_000)


# Over sockets.


def hold_flat_in(way: Way, prepare: Any, times: int) -> None:
    """The same for work that is a coroutine."""

    async def main() -> None:
        # What is logged is kept by those who look at it, tracebacks and all.
        quiet = logging.Logger("quiet", level=logging.CRITICAL + 1)
        async with serve(echo, "127.0.0.1", 0, close_timeout=2, logger=quiet) as server:
            work = prepare(server)

            async def rest() -> None:
                async with asyncio.timeout(10):
                    while server.connections:
                        await asyncio.sleep(0.001)
                await asyncio.sleep(0.01)

            for _ in range(times // 5):
                await work()
            await rest()
            before, memory = counts(), resident()
            for _ in range(times):
                await work()
            await rest()
            after = counts()
            for was, now in zip(before, after, strict=True):
                assert abs(now - was) < times // 20 + 50, (before, after)
            assert resident() - memory < 4 * 2**20

    way.run(main())


@pytest.mark.parametrize("end", ["close", "abort", "reset", "violation"])
def test_connections_over_sockets(way: Way, end: str) -> None:
    def prepare(server: Any) -> Any:
        async def work() -> None:
            if end in ("reset", "violation"):
                peer = await opened(port_of(server))
                await peer.send(b"\xff\xff" if end == "violation" else frame(1, b"a"))
                await peer.frame()
                peer.reset()
                return
            async with connect(uri_of(server), proxy=None) as client:
                await client.send("a")
                await client.recv()
                if end == "abort":
                    client.transport.abort()

        return work

    hold_flat_in(way, prepare, 300)


def test_cancelled_receives_over_sockets(way: Way) -> None:
    async def main() -> None:
        async with served(echo) as (_, client):

            async def work() -> None:
                receiving = asyncio.ensure_future(client.recv())
                await asyncio.sleep(0)
                receiving.cancel()
                await asyncio.wait([receiving])
                await client.send("a")
                assert await client.recv() == "a"
                client.recv().close()

            for _ in range(200):
                await work()
            before, memory = counts(), resident()
            for _ in range(3_000):
                await work()
            for was, now in zip(before, counts(), strict=True):
                assert abs(now - was) < 150
            assert resident() - memory < 4 * 2**20

    way.run(main())
