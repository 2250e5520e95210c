"""A transport in memory does what asyncio's own does: each case runs over both."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from wirebird.testing import MemoryTransport, Wire


class Recorder(asyncio.Protocol):
    """Notes what a transport tells."""

    def __init__(self, *, keeps_open: bool = False) -> None:
        self.told: list[Any] = []
        self.received = bytearray()
        self.keeps_open = keeps_open
        self.has_ended = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.keeps_open

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(("lost", None if exc is None else type(exc)))
        self.has_ended.set()


class Buffered(asyncio.BufferedProtocol):
    """Takes what comes in small pieces."""

    def __init__(self) -> None:
        self.room = bytearray(10)
        self.pieces: list[bytes] = []

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        self.pieces.append(bytes(self.room[:nbytes]))


Join = Callable[[asyncio.BaseProtocol, asyncio.BaseProtocol], Any]


@contextlib.asynccontextmanager
async def in_memory(
    left: asyncio.BaseProtocol, right: asyncio.BaseProtocol
) -> AsyncIterator[tuple[asyncio.Transport, asyncio.Transport]]:
    """Two protocols joined in memory."""
    loop, wire = asyncio.get_running_loop(), Wire()
    first = MemoryTransport(loop, wire.to_client, wire.to_server)
    second = MemoryTransport(loop, wire.to_server, wire.to_client)
    first.start(left)
    second.start(right)
    try:
        yield first, second
    finally:
        for transport in (first, second):
            if not transport.is_closing():
                transport.abort()


@contextlib.asynccontextmanager
async def by_sockets(
    left: asyncio.BaseProtocol, right: asyncio.BaseProtocol
) -> AsyncIterator[tuple[asyncio.Transport, asyncio.Transport]]:
    """Two protocols joined by TCP."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        there = socket.create_connection(listening.getsockname())
        here, _ = listening.accept()
    first, _ = await loop.create_connection(lambda: left, sock=here)
    second, _ = await loop.create_connection(lambda: right, sock=there)
    try:
        yield first, second
    finally:
        for transport in (first, second):
            if not transport.is_closing():
                transport.abort()


@pytest.fixture(params=[in_memory, by_sockets])
def join(request: pytest.FixtureRequest) -> Join:
    """How two protocols are joined."""
    made: Join = request.param
    return made


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is so."""
    while not condition():
        await asyncio.sleep(0.001)


async def test_what_is_written_comes_and_not_within_the_call(join: Join) -> None:
    left, right = Recorder(), Recorder()
    async with join(left, right) as (here, _):
        here.write(b"Hel")
        here.writelines([b"l", bytearray(b"o")])
        assert right.received == b""
        await until(lambda: right.received == b"Hello")
        right.transport.write(b"back")
        await until(lambda: left.received == b"back")


async def test_a_buffered_protocol_is_asked_for_room(join: Join) -> None:
    left, right = Recorder(), Buffered()
    async with join(left, right) as (here, _):
        here.write(b"0123456789" * 2 + b"ab")
        await until(lambda: len(right.pieces) == 3)
        assert right.pieces == [b"0123456789", b"0123456789", b"ab"]


async def test_one_direction_ends_alone(join: Join) -> None:
    left, right = Recorder(), Recorder(keeps_open=True)
    async with join(left, right) as (here, there):
        here.write(b"last words")
        here.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            here.write(b"more")
        await until(lambda: right.told == ["eof"])
        assert right.received == b"last words"
        there.write(b"understood")
        await until(lambda: left.received == b"understood")
        there.close()
        await left.has_ended.wait()
        assert left.told == ["eof", ("lost", None)]
        assert right.told == ["eof", ("lost", None)]


async def test_close_sends_what_is_left(join: Join) -> None:
    left, right = Recorder(), Recorder()
    data = bytes(range(256)) * 40_000
    async with join(left, right) as (here, _):
        here.write(data)
        assert here.get_write_buffer_size() > 0
        here.close()
        assert here.is_closing()
        await right.has_ended.wait()
        assert right.received == data
        assert left.told == ["pause", "resume", ("lost", None)]
        assert right.told == ["eof", ("lost", None)]


async def test_abort_sends_nothing_more(join: Join) -> None:
    left, right = Recorder(), Recorder()
    async with join(left, right) as (here, there):
        there.pause_reading()
        here.write(bytes(20_000_000))
        here.abort()
        await left.has_ended.wait()
        there.resume_reading()
        await right.has_ended.wait()
        assert left.told == ["pause", ("lost", None)]
        assert len(right.received) < 20_000_000


async def test_writing_pauses_above_the_mark_and_resumes_below(join: Join) -> None:
    left, right = Recorder(), Recorder()
    async with join(left, right) as (here, there):
        here.set_write_buffer_limits(high=100_000, low=10)
        there.pause_reading()
        assert not there.is_reading()
        while "pause" not in left.told:
            assert here.get_write_buffer_size() <= 100_000
            here.write(bytes(60_000))
            await asyncio.sleep(0)
        assert here.get_write_buffer_size() > 100_000
        there.resume_reading()
        await until(lambda: "resume" in left.told)
        assert here.get_write_buffer_size() <= 10
        assert left.told == ["pause", "resume"]


@pytest.mark.parametrize(
    ("arguments", "marks"),
    [
        ({}, (16_384, 65_536)),
        ({"high": 100}, (25, 100)),
        ({"low": 100}, (100, 400)),
        ({"high": 0}, (0, 0)),
    ],
)
async def test_marks(join: Join, arguments: dict[str, int], marks: tuple[int, int]) -> None:
    async with join(Recorder(), Recorder()) as (here, _):
        here.set_write_buffer_limits(**arguments)
        assert here.get_write_buffer_limits() == marks
        with pytest.raises(ValueError):
            here.set_write_buffer_limits(high=1, low=2)


async def test_closing_with_something_unread_resets(join: Join) -> None:
    left, right = Recorder(), Recorder()
    async with join(left, right) as (here, there):
        there.pause_reading()
        here.write(b"never read")
        await asyncio.sleep(0.01)  # TCP's end has it
        there.close()
        await left.has_ended.wait()
        assert left.told == [("lost", ConnectionResetError)]


async def test_who_sends_to_somebody_gone_is_told(join: Join) -> None:
    left, right = Recorder(keeps_open=True), Recorder()
    async with join(left, right) as (here, there):
        there.close()
        await until(lambda: left.told == ["eof"])
        here.write(b"is anybody there?")
        await asyncio.sleep(0.01)
        here.write(b"hello?")
        await left.has_ended.wait()
        name, error = left.told[-1]
        assert name == "lost"
        assert issubclass(error, (BrokenPipeError, ConnectionResetError))


async def test_a_protocol_can_be_changed(join: Join) -> None:
    left, right, other = Recorder(), Recorder(), Recorder()
    async with join(left, right) as (here, there):
        there.set_protocol(other)
        assert there.get_protocol() is other
        here.write(b"for the other")
        await until(lambda: other.received == b"for the other")


async def test_what_is_no_bytes_is_refused(join: Join) -> None:
    async with join(Recorder(), Recorder()) as (here, _):
        with pytest.raises(TypeError):
            here.write("text")


class Failing(Recorder):
    """Cannot take anything."""

    def data_received(self, data: bytes) -> None:
        raise RuntimeError("cannot")


async def test_a_protocol_that_fails_ends_its_connection(join: Join) -> None:
    left, right = Recorder(), Failing()
    unseen: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unseen.append(context))
    async with join(left, right) as (here, _):
        here.write(b"x")
        await left.has_ended.wait()
        await right.has_ended.wait()
    assert right.told == [("lost", RuntimeError)]
    assert [type(context["exception"]) for context in unseen] == [RuntimeError]


# What only a wire in memory can do.


async def test_what_is_held_does_not_arrive_until_it_is_released() -> None:
    left, right, wire = Recorder(), Recorder(), Wire(capacity=10)
    loop = asyncio.get_running_loop()
    here = MemoryTransport(loop, wire.to_client, wire.to_server)
    there = MemoryTransport(loop, wire.to_server, wire.to_client)
    here.start(left)
    there.start(right)
    wire.hold()
    assert wire.is_held
    here.write(b"0123456789abc")
    here.close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert right.received == b""
    assert (here.get_write_buffer_size(), wire.to_server.bytes_on_the_way) == (3, 10)
    assert not there.is_hung_up()
    wire.release()
    await right.has_ended.wait()
    assert right.received == b"0123456789abc"
    assert wire.to_server.bytes_sent == 13
    await left.has_ended.wait()


async def test_the_end_is_seen_without_reading() -> None:
    left, right, wire = Recorder(), Recorder(), Wire()
    loop = asyncio.get_running_loop()
    here = MemoryTransport(loop, wire.to_client, wire.to_server)
    there = MemoryTransport(loop, wire.to_server, wire.to_client)
    here.start(left)
    there.start(right)
    there.pause_reading()
    here.write(b"unread")
    here.close()
    await left.has_ended.wait()
    assert there.is_hung_up()
    assert right.told == []
    there.resume_reading()
    await right.has_ended.wait()
    assert right.received == b"unread"


async def test_a_cut_resets_both_ends_behind_what_has_come() -> None:
    left, right, wire = Recorder(), Recorder(), Wire()
    loop = asyncio.get_running_loop()
    here = MemoryTransport(loop, wire.to_client, wire.to_server)
    here.start(left)
    MemoryTransport(loop, wire.to_server, wire.to_client).start(right)
    here.write(b"before")
    wire.cut()
    here.write(b"after")
    await left.has_ended.wait()
    await right.has_ended.wait()
    assert right.received == b"before"
    assert right.told == [("lost", ConnectionResetError)]
    assert left.told == [("lost", BrokenPipeError)]


def test_a_wire_holds_something() -> None:
    with pytest.raises(ValueError, match="capacity must be at least 1"):
        Wire(capacity=0)
