"""What instrumentation is told, and what it cannot break."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from tests.attacks.raw import (
    CLOSE,
    PONG,
    TEXT,
    RawPeer,
    close_payload,
    echo,
    echo_server,
    frame,
    opened,
    port_of,
    raw_server,
    request,
    uri_of,
)

from wirebird import Instrumentation, Limits
from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.core.totals import Totals
from wirebird.exceptions import ConnectionClosed, InvalidStatus
from wirebird.testing import FakeClock


class Notes(Instrumentation):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.changed = asyncio.Event()

    def note(self, *what: Any) -> None:
        self.told.append(what)
        self.changed.set()

    async def until(self, *names: str) -> None:
        """Wait until it was told these, in order and nothing else."""
        while [what[0] for what in self.told] != list(names):
            self.changed.clear()
            await self.changed.wait()

    def handshake_began(self, connection: Any, request: Any) -> None:
        self.note("began", request.path)

    def connection_opened(self, connection: Any) -> None:
        self.note("opened", connection.state.name)

    def connection_refused(self, connection: Any, reason: str, status: int | None) -> None:
        self.note("refused", reason, status)

    def connection_closed(
        self, connection: Any, code: int, duration_s: float, totals: Totals
    ) -> None:
        assert 0 <= duration_s < 60
        self.note("closed", code, totals)

    def handler_failed(self, connection: Any, exc: BaseException) -> None:
        self.note("failed", str(exc))

    def slow_consumer(self, connection: Any) -> None:
        self.note("slow")

    def limit_exceeded(self, connection: Any, limit: str) -> None:
        self.note("limit", limit)

    def latency_measured(self, connection: Any, latency_s: float) -> None:
        assert latency_s >= 0
        self.note("latency")


async def test_both_ends_of_a_connection() -> None:
    theirs, ours = Notes(), Notes()
    async with echo_server(instrumentation=theirs, compression=None) as server:
        uri = uri_of(server, "/chat")
        async with connect(uri, proxy=None, instrumentation=[ours]) as client:
            await client.send("hello")
            await client.recv()
            await (await client.ping())
        await theirs.until("began", "opened", "closed")
    assert ours.told[:3] == [("began", "/chat"), ("opened", "OPEN"), ("latency",)]
    assert ours.told[3][:2] == ("closed", 1000)
    assert theirs.told[:2] == [("began", "/chat"), ("opened", "OPEN")]
    assert theirs.told[2][:2] == ("closed", 1000)
    totals = theirs.told[2][2]
    assert (totals.messages_received, totals.messages_sent, totals.pings_received) == (1, 1, 1)
    assert ours.told[3][2].bytes_sent == totals.bytes_received


async def test_refusals_at_both_ends() -> None:
    theirs, ours = Notes(), Notes()
    async with echo_server(instrumentation=theirs, origins=["http://good.example"]) as server:
        with pytest.raises(InvalidStatus):
            async with connect(uri_of(server), proxy=None, instrumentation=ours):
                pass
        async with await RawPeer.connect(port_of(server)) as peer:
            await peer.send(b"NONSENSE\r\n\r\n")
            await peer.rest()
        await theirs.until("began", "refused", "refused")
    assert theirs.told[1:] == [("refused", "403", 403), ("refused", "invalid", 400)]
    assert ours.told == [("began", "/"), ("refused", "403", 403)]


async def test_a_server_that_is_none() -> None:
    async def talk(peer: RawPeer) -> None:
        await peer.head()
        await peer.send(answers.pop())

    answers = [b"", b"NONSENSE\r\n\r\n"]
    async with raw_server(talk) as uri:
        for reason in ("invalid", "gone"):
            ours = Notes()
            with contextlib.suppress(Exception):
                async with connect(uri, proxy=None, instrumentation=ours):
                    pass
            assert ours.told == [("began", "/"), ("refused", reason, None)]


async def test_a_server_that_says_nothing(fake_clock: FakeClock) -> None:
    async def talk(peer: RawPeer) -> None:
        await peer.rest()

    ours = Notes()
    async with raw_server(talk) as uri:
        with pytest.raises(TimeoutError):
            async with connect(uri, proxy=None, instrumentation=ours):
                pass
    assert ours.told == [("began", "/"), ("refused", "timeout", None)]


async def failing(connection: ServerConnection) -> None:
    await connection.recv()
    raise ValueError("something")


async def test_handlers_that_fail() -> None:
    notes = Notes()
    async with serve(failing, "127.0.0.1", 0, instrumentation=notes) as server:
        async with await opened(port_of(server)) as peer:
            await peer.send(frame(TEXT, b"x"))
            assert (await peer.frame()).code == 1011
            await peer.send(frame(CLOSE, close_payload(1011)))
        await notes.until("began", "opened", "failed", "closed")
        assert notes.told[2] == ("failed", "something")


async def test_limits_that_are_exceeded() -> None:
    notes = Notes()
    async with echo_server(instrumentation=notes, limits=Limits(messages=(1, 2))) as server:
        async with await opened(port_of(server)) as peer:
            await peer.send(frame(TEXT, b"x") * 3)
            assert [(await peer.frame()).opcode for _ in range(3)] == [TEXT] * 3
            assert (await peer.frame()).code == 1008
        assert ("limit", "messages") in notes.told


async def test_slow_consumers() -> None:
    notes = Notes()

    async def flood(connection: ServerConnection) -> None:
        connection.pause_writing()  # as if the network took nothing
        with contextlib.suppress(ConnectionClosed):
            for _ in range(3):
                connection.send_nowait(bytes(600))
        connection.resume_writing()

    arguments: dict[str, Any] = {"instrumentation": notes, "slow_consumer_bytes": 1000}
    async with (
        serve(flood, "127.0.0.1", 0, **arguments) as server,
        connect(uri_of(server), proxy=None) as client,
    ):
        await client.wait_closed()
        assert client.close_code == 1013
        await notes.until("began", "opened", "slow", "closed")


class Broken(Instrumentation):
    """Raises whatever it is told."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("connection_", "handshake_", "latency_", "handler_", "limit_")):
            raise ZeroDivisionError(name)
        return super().__getattribute__(name)


async def test_its_errors_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes()
    arguments: dict[str, Any] = {"instrumentation": [Broken(), notes]}
    with caplog.at_level(logging.ERROR):
        async with echo_server(**arguments) as server:
            async with connect(uri_of(server), proxy=None, **arguments) as client:
                await client.send("hello")
                assert await client.recv() == "hello"
                await (await client.ping())
            async with await RawPeer.connect(port_of(server)) as peer:
                await peer.send(request("Upgrade: other").replace(b"GET", b"PUT"))
                await peer.rest()
    assert [what[0] for what in notes.told].count("closed") == 2
    assert "instrumentation failed: connection_opened" in caplog.text


class Ends(Instrumentation):
    """Ends the connection as soon as it is told of something.

    Args:
        event: of which.
        way: in which.
    """

    def __init__(self, event: str, way: str) -> None:
        def end(connection: Any, *_: Any) -> None:
            if way == "abort":
                connection.link.abort()
            else:
                connection.close_nowait(4000)

        setattr(self, event, end)


@pytest.mark.parametrize("way", ["close", "abort"])
@pytest.mark.parametrize("kind", ["task", "methods"])
@pytest.mark.parametrize(
    "event",
    [
        *("handshake_began", "connection_opened", "connection_refused", "connection_closed"),
        *("handler_failed", "limit_exceeded", "latency_measured", "slow_consumer"),
    ],
)
async def test_who_ends_the_connection_from_within(event: str, kind: str, way: str) -> None:
    """Whatever a hook does, the connection ends once and is counted once."""

    async def failing(connection: ServerConnection) -> None:
        await connection.ping()
        async for message in connection:
            connection.send_nowait(message)
            if message == "fail":
                raise ValueError("something")

    class Failing:
        def on_open(self, connection: Any) -> None:
            self.connection = connection

        def on_message(self, message: Any) -> None:
            self.connection.send_nowait(message)
            if message == "fail":
                raise ValueError("something")

    notes = Notes()
    arguments: dict[str, Any] = {
        "instrumentation": [Ends(event, way), notes],
        "limits": Limits(messages=(0.001, 3)),
        "close_timeout": 0.1,
        "logger": logging.getLogger("wirebird.quiet"),
    }
    handler: Any = failing if kind == "task" else Failing
    async with serve(handler, "127.0.0.1", 0, **arguments) as server:
        for text in (b"fail", b"flood"):
            async with await RawPeer.connect(port_of(server)) as peer:
                await peer.try_send(request())
                await peer.try_send(frame(PONG, b"x") + frame(TEXT, text) * 9)
                await peer.rest()
        while server.stats().opening or server.all_connections:
            await asyncio.sleep(0)
        stats = server.stats()
    assert stats.accepted == 2 == stats.opened + sum(stats.refused.values())
    assert stats.opened == sum(stats.closed.values())
    names = [what[0] for what in notes.told]
    assert names.count("opened") == names.count("closed") == stats.opened
    assert names.count("refused") == sum(stats.refused.values())


@pytest.mark.parametrize("wrong", [5, [object()], Notes, "notes"])
async def test_what_is_no_instrumentation(wrong: Any) -> None:
    with pytest.raises(TypeError):
        serve(echo, "127.0.0.1", 0, instrumentation=wrong)
    with pytest.raises(TypeError):
        connect("ws://localhost", instrumentation=wrong)


def test_each_method_does_nothing_until_it_is_overridden() -> None:
    plain = Instrumentation()
    plain.handshake_began(None, None)  # type: ignore[arg-type]
    plain.connection_opened(None)
    plain.connection_refused(None, "gone", None)
    plain.connection_closed(None, 1000, 1.0, Totals())
    plain.handler_failed(None, ValueError())
    plain.slow_consumer(None)
    plain.limit_exceeded(None, "messages")
    plain.latency_measured(None, 0.1)
    assert vars(plain) == {}
