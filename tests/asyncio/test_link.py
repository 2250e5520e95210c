"""Links over asyncio's transports: what reaches the transport, and in which order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.asyncio.pair import pair, turns

from wirebird.asyncio.link import Link, TransportLink


class FakeTransport:
    """Notes what is done to it."""

    def __init__(self, *, can_write_eof: bool = True, closing: bool = False) -> None:
        self.done: list[Any] = []
        self.closing = closing
        self.error: Exception | None = None
        self._can_write_eof = can_write_eof

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def can_write_eof(self) -> bool:
        return self._can_write_eof

    def write_eof(self) -> None:
        if self.error is not None:
            raise self.error
        self.done.append("eof")

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")

    def get_write_buffer_size(self) -> int:
        return 42

    def get_extra_info(self, name: str) -> str:
        return f"extra {name}"


class FakeLoop:
    """Keeps what is to be called later."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.later.append((delay, callback))


def make(transport: FakeTransport) -> tuple[Link, FakeLoop]:
    loop = FakeLoop()
    return TransportLink(transport, loop), loop  # type: ignore[arg-type]


def test_one_chunk_goes_out_as_it_is() -> None:
    transport = FakeTransport()
    link, _ = make(transport)
    chunk = b"x" * 1_000_000
    link.write([chunk])
    assert transport.done[0] is chunk


def test_small_chunks_go_out_together() -> None:
    transport = FakeTransport()
    link, _ = make(transport)
    link.write([b"a", b"b" * 10, b"c"])
    assert transport.done == [b"a" + b"b" * 10 + b"c"]


def test_big_chunks_are_not_joined() -> None:
    transport = FakeTransport()
    link, _ = make(transport)
    big = b"b" * 200_000
    link.write([b"a", b"a", big, b"c"])
    assert transport.done == [b"aa", big, b"c"]
    assert transport.done[1] is big


def test_many_chunks_go_out_in_few_writes() -> None:
    transport = FakeTransport()
    link, _ = make(transport)
    link.write([b"x" * 16_384] * 65)
    assert b"".join(transport.done) == b"x" * 16_384 * 65
    assert len(transport.done) == 9


async def test_the_network_is_known_to_be_behind() -> None:
    # In some releases of Python a transport's writelines() fills its buffer and tells nobody.
    async with pair(write_limit=1000, max_size=None, compression=None) as (ours, theirs):
        sending = asyncio.ensure_future(ours.send(bytes(10_000_000)))
        await turns(20)
        assert not sending.done()  # nobody receives
        assert len(await theirs.recv()) == 10_000_000
        await sending


@pytest.mark.parametrize("is_peer_done", [True, False])
def test_half_close_over_tcp(is_peer_done: bool) -> None:
    transport = FakeTransport()
    link, _ = make(transport)
    link.half_close(is_peer_done=is_peer_done)
    assert transport.done == ["eof"]


@pytest.mark.parametrize("error", [OSError(), RuntimeError()])
def test_half_close_of_a_socket_that_is_gone(error: Exception) -> None:
    transport = FakeTransport()
    transport.error = error
    link, _ = make(transport)
    link.half_close(is_peer_done=False)
    assert transport.done == ["abort"]


def test_over_tls_one_whose_peer_is_done_is_closed() -> None:
    transport = FakeTransport(can_write_eof=False)
    link, _ = make(transport)
    link.half_close(is_peer_done=True)
    assert transport.done == ["close"]


def test_over_tls_a_peer_that_is_not_done_is_given_a_moment() -> None:
    transport = FakeTransport(can_write_eof=False)
    link, loop = make(transport)
    link.half_close(is_peer_done=False)
    assert transport.done == []
    ((delay, close),) = loop.later
    assert 0 < delay <= 1
    close()
    assert transport.done == ["close"]


def test_what_is_closing_is_left_alone() -> None:
    transport = FakeTransport(closing=True)
    link, _ = make(transport)
    link.half_close(is_peer_done=True)
    link.pause()
    link.resume()
    assert transport.done == []


def test_the_rest_is_passed_on() -> None:
    transport = FakeTransport()
    link, _ = make(transport)
    link.pause()
    link.resume()
    link.abort()
    assert transport.done == ["pause", "resume", "abort"]
    assert link.buffered_bytes() == 42
    assert link.get_extra_info("peername") == "extra peername"


async def test_a_real_transport_is_one() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        link = TransportLink(writer.transport, asyncio.get_running_loop())  # type: ignore[arg-type]
        link.write([b"a", b"b" * 70_000])
        link.half_close(is_peer_done=False)
        assert await reader.read() == b"a" + b"b" * 70_000
        link.abort()
        writer.close()


async def test_a_hang_up_can_be_seen_without_reading() -> None:
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=ours)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    link = TransportLink(writer.transport, asyncio.get_running_loop())  # type: ignore[arg-type]
    theirs.send(b"unread")
    assert not link.is_hung_up()
    theirs.close()
    assert link.is_hung_up()
    writer.close()
    await writer.wait_closed()
    assert not link.is_hung_up()  # it is not ours any more
