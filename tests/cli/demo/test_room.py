"""The room, as its peers see it. They are clients of another library, or raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from wirebird.cli.demo.app import Demo
from wirebird.cli.demo.room import MESSAGES_AT_ONCE, TALK_AT_ONCE, Room


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def open_room(**options: Any) -> AsyncIterator[str]:
    """Serve a room; yield its URL."""
    options.setdefault("clock", Clock())
    options.setdefault("chance", random.Random(1))
    async with Demo(room=Room(**options)).serve("127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/room"


async def hear(peer: ClientConnection) -> dict[str, Any]:
    event = json.loads(await peer.recv())
    assert isinstance(event, dict)
    return event


async def say(peer: ClientConnection, **event: Any) -> None:
    await peer.send(json.dumps(event))


async def closed_with(peer: ClientConnection) -> int | None:
    """Read to the end; return the code of the Close."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await peer.recv()
    return peer.close_code


@contextlib.asynccontextmanager
async def two_peers(url: str) -> AsyncIterator[tuple[ClientConnection, ClientConnection]]:
    """Two peers, Ann and Bob, who have been welcomed and know of each other."""
    async with connect(f"{url}?name=Ann") as ann:
        assert (await hear(ann))["type"] == "welcome"
        async with connect(f"{url}?name=Bob") as bob:
            assert (await hear(bob))["type"] == "welcome"
            assert (await hear(ann))["type"] == "joined"
            yield ann, bob


async def test_welcome() -> None:
    async with open_room() as url, connect(f"{url}?name=Ann") as ann:
        welcome = await hear(ann)
        key = welcome.pop("frames")
        assert len(key) >= 20
        assert welcome == {
            "type": "welcome",
            "you": 1,
            "people": [{"id": 1, "name": "Ann"}],
            "history": [],
            "limits": {"name": 24, "text": 280, "history": 50},
        }


async def test_who_has_no_name_gets_one() -> None:
    async with open_room() as url, connect(f"{url}?name=%00") as peer:
        ((person),) = (await hear(peer))["people"]
        assert len(person["name"].split()) == 2


async def test_everybody_hears_what_is_said_and_the_speaker_too() -> None:
    async with open_room(wall_clock=lambda: 1700000000.5) as url, two_peers(url) as (ann, bob):
        await say(ann, type="say", text=" hello \n<b>Bob</b> ")
        said = {"id": 1, "name": "Ann", "text": "hello <b>Bob</b>", "at": 1700000000500}
        assert await hear(ann) == await hear(bob) == {"type": "said", **said}
        async with connect(url) as late:
            assert (await hear(late))["history"] == [said]


async def test_who_comes_goes_and_changes_its_name() -> None:
    async with open_room() as url, connect(f"{url}?name=Ann") as ann:
        await hear(ann)
        async with connect(f"{url}?name=Bob") as bob:
            assert [person["name"] for person in (await hear(bob))["people"]] == ["Ann", "Bob"]
            assert await hear(ann) == {"type": "joined", "id": 2, "name": "Bob"}
            await say(bob, type="rename", name="Bobby")
            renamed = {"type": "renamed", "id": 2, "name": "Bobby", "was": "Bob"}
            assert await hear(ann) == await hear(bob) == renamed
        assert await hear(ann) == {"type": "left", "id": 2, "name": "Bobby"}


async def test_who_vanishes_has_left() -> None:
    async with open_room() as url, two_peers(url) as (ann, bob):
        bob.transport.abort()
        assert await hear(ann) == {"type": "left", "id": 2, "name": "Bob"}


async def test_a_ping_is_answered_to_who_asked() -> None:
    async with open_room() as url, two_peers(url) as (ann, bob):
        await say(ann, type="ping", id=7)
        assert await hear(ann) == {"type": "pong", "id": 7}
        await say(ann, type="say", text="next")
        assert (await hear(bob))["type"] == "said"


async def test_nonsense_is_answered_and_costs_the_others_nothing() -> None:
    async with open_room() as url, two_peers(url) as (ann, bob):
        await ann.send("{")
        error = await hear(ann)
        assert (error["type"], error["code"], error["about"]) == ("error", "not_json", None)
        await say(ann, type="say", text="x" * 281)
        error = await hear(ann)
        assert (error["code"], error["about"]) == ("too_long", "say")
        await say(ann, type="say", text="still here")
        assert (await hear(bob))["text"] == "still here"


@pytest.mark.parametrize(
    ("message", "code"), [(b"binary", 1003), ("x" * 4097, 1009), ("x" * 2**21, 1009)]
)
async def test_what_ends_a_connection(message: str | bytes, code: int) -> None:
    async with open_room() as url, two_peers(url) as (ann, bob):
        await ann.send(message)
        assert await closed_with(ann) == code
        assert (await hear(bob))["type"] == "left"


async def test_who_talks_too_fast_is_told_and_a_flood_ends_with_1008() -> None:
    clock = Clock()
    async with open_room(clock=clock) as url, two_peers(url) as (ann, bob):
        for number in range(TALK_AT_ONCE + 1):
            await say(ann, type="say", text=str(number))
        heard = [await hear(ann) for _ in range(TALK_AT_ONCE + 1)]
        assert [event["type"] for event in heard] == ["said"] * TALK_AT_ONCE + ["error"]
        assert (heard[-1]["code"], heard[-1]["about"]) == ("too_fast", "say")
        clock.now += 1
        await say(ann, type="say", text="rested")
        assert (await hear(ann))["text"] == "rested"
        with contextlib.suppress(ConnectionClosed):
            for number in range(MESSAGES_AT_ONCE + 20):
                await say(ann, type="ping", id=number)
        assert await closed_with(ann) == 1008
        types = [(await hear(bob))["type"] for _ in range(TALK_AT_ONCE + 2)]
        assert types == ["said"] * (TALK_AT_ONCE + 1) + ["left"]


async def test_history_is_bounded() -> None:
    clock = Clock()
    async with open_room(clock=clock, history=3) as url, connect(url) as peer:
        await hear(peer)
        for number in range(5):
            clock.now += 1
            await say(peer, type="say", text=str(number))
            await hear(peer)
        async with connect(url) as late:
            assert [said["text"] for said in (await hear(late))["history"]] == ["2", "3", "4"]


async def test_a_full_room_says_so() -> None:
    async with open_room(capacity=2) as url, two_peers(url) as (ann, _):
        async with connect(url) as third:
            assert await closed_with(third) == 1013
        await say(ann, type="ping", id=1)
        assert (await hear(ann))["type"] == "pong"


async def test_a_peer_that_never_reads_is_put_out_and_the_others_do_not_wait() -> None:
    clock = Clock()
    async with open_room(clock=clock, max_unsent_bytes=64 * 1024) as url:
        host, port = "127.0.0.1", int(url.split(":")[2].split("/")[0])
        async with connect(f"{url}?name=Ann") as ann:
            await hear(ann)
            # Its receive buffer is small, and it reads nothing: what is sent to it stays with us.
            reader, writer = await asyncio.open_connection(host, port, limit=1024)
            writer.write(
                b"GET /room?name=Slow HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert (await hear(ann))["type"] == "joined"
            for number in itertools.count():
                clock.now += 1
                await say(ann, type="say", text=f"{number} {'€' * 270}")
                event = await asyncio.wait_for(hear(ann), 5)
                if event["type"] == "left":
                    break
            assert event == {"type": "left", "id": 2, "name": "Slow"}
            assert (await hear(ann))["text"].startswith(f"{number} ")
            writer.transport.abort()
            del reader


async def test_the_room_closes_with_1001() -> None:
    room = Room()
    async with Demo(room=room).serve("127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/room"
        async with two_peers(url) as (ann, bob):
            await room.close()
            assert [await closed_with(ann), await closed_with(bob)] == [1001, 1001]
            assert ann.close_reason == "the server is stopping"
