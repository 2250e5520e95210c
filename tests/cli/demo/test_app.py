"""One port: which path is what, who may connect, and the frames of a connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wirebird.cli.demo import app
from wirebird.cli.demo.app import Demo


@contextlib.asynccontextmanager
async def serving(demo: Demo | None = None) -> AsyncIterator[str]:
    """Serve; yield host and port."""
    async with (demo or Demo()).serve("127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def request(where: str, head: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request as it is; return status, headers and body."""
    host, port = where.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.replace("\n", "\r\n").encode() + b"\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    start, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = start.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


@pytest.mark.parametrize(
    ("start", "status"),
    [
        ("GET / HTTP/1.1", 200),
        ("HEAD / HTTP/1.1", 200),
        ("GET /main.js HTTP/1.1", 200),
        ("GET /nothing HTTP/1.1", 404),
        ("GET /../app.py HTTP/1.1", 404),
        ("POST / HTTP/1.1", 405),
        ("GET /room HTTP/1.1", 426),
        ("GET /echo HTTP/1.1", 426),
    ],
)
async def test_plain_requests(start: str, status: int) -> None:
    async with serving() as where:
        answer = await request(where, f"{start}\nHost: {where}\n")
        assert answer[0] == status
        if start.startswith("HEAD"):
            assert answer[2] == b""
            assert int(answer[1]["content-length"]) > 1000


async def test_the_echo() -> None:
    async with serving() as where, connect(f"ws://{where}/echo") as peer:
        for message in ("hello", b"\x00\xff", "", b"", "x" * 100_000):
            await peer.send(message)
            assert await peer.recv() == message
        await peer.send(["frag", "ments"])
        assert await peer.recv() == "fragments"


async def test_the_echo_compresses_and_the_room_does_not() -> None:
    async with serving() as where:
        async with connect(f"ws://{where}/echo") as peer:
            assert [extension.name for extension in peer.protocol.extensions] == [
                "permessage-deflate"
            ]
        async with connect(f"ws://{where}/room") as peer:
            assert peer.protocol.extensions == []


@pytest.mark.parametrize("path", ["/room", "/echo", "/frames"])
async def test_pages_of_other_servers_may_not_connect(path: str) -> None:
    async with serving() as where:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"ws://{where}{path}", origin="https://evil.example")  # type: ignore[arg-type]
        assert refusal.value.response.status_code == 403
        async with connect(f"ws://{where}{path}", origin=f"http://{where}"):  # type: ignore[arg-type]
            pass


@pytest.mark.parametrize("path", ["/room", "/echo", "/frames"])
async def test_a_name_that_was_made_to_lead_here_is_not_this_server(path: str) -> None:
    async with serving(Demo(names={"bird.example"})) as where:
        address, _, port = where.partition(":")
        for name, status in (("rebound.example", b"403"), ("bird.example", b"101")):
            reader, writer = await asyncio.open_connection(address, int(port))
            head = (
                f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nOrigin: http://{name}:{port}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            writer.write(head.encode())
            assert (await reader.readline()).split()[1] == status
            writer.transport.abort()


async def test_there_are_only_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_CONNECTIONS", 2)
    async with (
        serving() as where,
        connect(f"ws://{where}/echo") as first,
        connect(f"ws://{where}/room"),
    ):
        for path in ("/echo", "/room", "/frames"):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(f"ws://{where}{path}")
            assert refusal.value.response.status_code == 503
        assert (await request(where, f"GET / HTTP/1.1\nHost: {where}\n"))[0] == 200
        await first.send("still served")
        assert await first.recv() == "still served"


async def test_allowed_origins() -> None:
    async with serving(Demo(origins=["https://example.com"])) as where:
        async with connect(f"ws://{where}/echo", origin="https://example.com"):  # type: ignore[arg-type]
            pass
        async with connect(f"ws://{where}/echo"):
            pass
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{where}/echo", origin=f"http://{where}")  # type: ignore[arg-type]


async def join(where: str) -> tuple[ClientConnection, str]:
    """Enter the room; return the connection and the key to its frames."""
    peer = await connect(f"ws://{where}/room?name=Ann", ping_interval=None)
    return peer, json.loads(await peer.recv())["frames"]


async def frames(watcher: ClientConnection) -> list[dict[str, Any]]:
    """Read all frames until the server says that there are no more."""
    found: list[dict[str, Any]] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            message = json.loads(await watcher.recv())
            assert message["missed"] == 0
            found += message["frames"]
    assert watcher.close_code == 1000
    return found


async def test_the_frames_of_a_connection() -> None:
    async with serving() as where:
        peer, key = await join(where)
        async with connect(f"ws://{where}/frames?key={key}") as watcher:
            await (await peer.ping(b"hi"))
            await peer.send(['{"type":', ' "ping", "id": 1}'])
            await peer.recv()
            await peer.close(1000, "bye")
            seen = await frames(watcher)
    shown = [(f["from"], f["opcode"], f["fin"], f["length"], f["preview"]) for f in seen]
    assert shown[0][:3] == ("server", 1, True)
    assert shown[1:] == [
        ("client", 9, True, 2, "68 69"),
        ("server", 10, True, 2, "68 69"),
        ("client", 1, False, 8, '{"type":'),
        ("client", 0, False, 17, b' "ping", "id": 1}'.hex(" ")),
        ("client", 0, True, 0, ""),
        ("server", 1, True, 22, '{"type":"pong","id":1}'),
        ("client", 8, True, 5, "1000 bye"),
        ("server", 8, True, 5, "1000 bye"),
    ]
    assert [f["seq"] for f in seen] == [*range(1, len(seen) + 1)]


async def test_frames_are_told_to_who_has_the_key() -> None:
    async with serving() as where:
        peer, key = await join(where)
        for query in ("", "?key=", "?key=guess", f"?key={key}x", "?" + "&".join("abcdefghij")):
            async with connect(f"ws://{where}/frames{query}") as watcher:
                with pytest.raises(ConnectionClosed):
                    await watcher.recv()
                assert watcher.close_code == 1008
        await peer.close()


async def test_who_watches_again_goes_on_where_it_was() -> None:
    async with serving() as where:
        peer, key = await join(where)
        async with connect(f"ws://{where}/frames?key={key}&after=1") as watcher:
            await peer.close()
            assert [frame["seq"] for frame in await frames(watcher)] == [2, 3]


async def test_who_watches_is_not_expected_to_speak() -> None:
    async with serving() as where:
        peer, key = await join(where)
        async with connect(f"ws://{where}/frames?key={key}") as watcher:
            await watcher.send("hello?")
            with pytest.raises(ConnectionClosed):
                while True:
                    await watcher.recv()
            assert watcher.close_code == 1008
        await peer.send('{"type": "ping", "id": 1}')
        assert json.loads(await peer.recv())["type"] == "pong"
        await peer.close()


async def test_goodbye_shows_its_close_and_lets_nobody_in_any_more() -> None:
    demo = Demo()
    async with serving(demo) as where:
        peer, key = await join(where)
        async with connect(f"ws://{where}/frames?key={key}") as watcher:
            seen = asyncio.create_task(frames(watcher))
            waiting = asyncio.create_task(peer.wait_closed())
            await demo.say_goodbye()
            closes = [(f["from"], f["preview"]) for f in await seen if f["opcode"] == 8]
            assert closes == [
                ("server", "1001 the server is stopping"),
                ("client", "1001 the server is stopping"),
            ]
            await waiting
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"ws://{where}/room")
        assert refusal.value.response.status_code == 503
