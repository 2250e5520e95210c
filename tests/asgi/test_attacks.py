"""What hostile clients do to ASGI applications: it costs little, and others are served."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from typing import Any

from tests.asgi.serving import Running, logged, serving
from tests.attacks.raw import (
    BINARY,
    CONT,
    DEFLATE,
    MIB,
    PING,
    TEXT,
    RawPeer,
    close_payload,
    frame,
    memory,
    opened,
    request,
)

from wirebird.asgi import WebSocketProtocol
from wirebird.asyncio.client import connect

START, BODY = "websocket.http.response.start", "websocket.http.response.body"


class Impatient(WebSocketProtocol):
    """Waits for nobody for long."""

    close_timeout_s = 0.05
    write_timeout_s = 0.05


class Strict(WebSocketProtocol):
    """Takes few fragments."""

    max_fragments = 100


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Send what comes back."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def bystander_is_served(running: Running) -> None:
    """Somebody else is served all the same."""
    async with asyncio.timeout(10), connect(running.uri(), proxy=None) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"


async def all_gone(running: Running) -> None:
    """Wait until uvicorn's books are empty."""
    while running.state.tasks or running.state.connections:
        await asyncio.sleep(0.001)


async def test_a_flood_to_an_application_that_does_not_receive() -> None:
    is_over = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/deaf":
            await echo(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await is_over.wait()

    async with serving(app) as running:
        peer = await RawPeer.connect(running.port)
        await peer.send(request(path="/deaf"))
        await peer.head()
        flood = frame(BINARY, bytes(1000)) * 1000

        async def send() -> None:
            while True:
                await peer.send(flood)

        with memory() as measured:
            sending = asyncio.create_task(send())
            (connection,) = running.state.connections
            while not connection.protocol.connection.is_paused:
                await asyncio.sleep(0)
            await bystander_is_served(running)
        assert measured.peak < 4 * MIB
        sending.cancel()
        peer.reset()
        is_over.set()


async def test_frames_before_the_application_has_answered_are_bounded() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        assert (await receive())["code"] == 1006

    async with serving(app) as running:
        peer = await RawPeer.connect(running.port)
        await peer.send(request())
        while not running.state.tasks:
            await asyncio.sleep(0)
        (connection,) = running.state.connections
        flood = frame(BINARY, bytes(10_000)) * 100
        sending = asyncio.create_task(peer.try_send(*[flood] * 20))
        while connection.transport.is_reading():
            await asyncio.sleep(0)
        assert connection.protocol.early_bytes < MIB
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        peer.reset()
        connection.shutdown()  # a client that is not read from is not seen to be gone


async def test_a_client_that_never_reads_stops_the_application() -> None:
    sent = 0
    raised: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        if scope["path"] != "/flood":
            await echo(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(10_000)})
                sent += 1
        except OSError as exc:
            raised.append(exc)

    class Patient(WebSocketProtocol):
        write_timeout_s = 0.3

    async with serving(app, ws=Patient) as running:
        peer = await RawPeer.connect(running.port, receive_buffer=4096)
        with memory() as measured:
            await peer.send(request(path="/flood"))
            await bystander_is_served(running)
            await all_gone(running)  # it was cut: it took nothing for too long
        assert measured.peak < 4 * MIB
        assert len(raised) == 1
        peer.close()
    assert 0 < sent < 2000


async def test_a_response_that_is_never_read() -> None:
    pieces = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal pieces
        await receive()
        await send({"type": START, "status": 400, "headers": []})
        with contextlib.suppress(OSError):
            while True:
                await send({"type": BODY, "body": bytes(10_000), "more_body": True})
                pieces += 1

    async with serving(app, ws=Impatient) as running:
        peer = await RawPeer.connect(running.port, receive_buffer=4096)
        with memory() as measured:
            await peer.send(request())
            while not running.state.tasks:
                await asyncio.sleep(0)
            await all_gone(running)
        peer.close()
    assert measured.peak < 4 * MIB
    assert 0 < pieces < 2000


async def test_a_long_response_that_is_read_slowly() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": START, "status": 400, "headers": []})
        await send({"type": BODY, "body": bytes(8 * MIB)})

    async with serving(app) as running:
        async with await RawPeer.connect(running.port, receive_buffer=4096) as peer:
            await peer.send(request())
            await peer.head()
            (connection,) = running.state.connections
            for _ in range(3):
                await peer.exactly(MIB)
                connection.handle_deadline()  # its time is over, but it takes some each time
                assert not connection.transport.is_closing()
            connection.handle_deadline()
            assert connection.transport.is_closing()
        await all_gone(running)


async def test_clients_that_stay_when_all_is_said() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/refused":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        if scope["path"] == "/closed":
            await send({"type": "websocket.close"})
        else:
            await receive()

    async with serving(app, ws=Impatient) as running:
        peers = []
        for path in ("/refused", "/closed", "/receives"):
            peers.append(await RawPeer.connect(running.port))
            await peers[-1].send(request(path=path))
            await peers[-1].head()
        await peers[-1].send(frame(8, close_payload(1000)))
        await all_gone(running)
        for peer in peers:
            peer.close()


async def test_what_is_wrong_in_the_bytes() -> None:
    wrong = {
        frame(BINARY, length=2**63 - 1): 1009,
        frame(BINARY, length=2**63): 1002,
        frame(TEXT, b"ok \xc3\x28"): 1007,
        frame(TEXT, b"\xed\xa0\x80", fin=False): 1007,
        frame(TEXT, b"no mask", mask=False): 1002,
        frame(CONT, b"of what?"): 1002,
        frame(PING, bytes(126)): 1002,
        frame(TEXT, b"rsv", rsv=4): 1002,
        frame(8, b"\x03"): 1002,
        frame(8, close_payload(1006)): 1002,
        frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) * 101: 1009,
        b"GET / HTTP/1.1\r\n\r\n": 1002,
    }
    codes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        codes.append((await receive())["code"])

    with logged() as log:
        async with serving(app, ws=Strict) as running:
            for data, code in wrong.items():
                async with await opened(running.port) as peer:
                    await peer.try_send(data)
                    assert (await peer.close_frame()).code == code, data[:20]
            await all_gone(running)
    assert codes == list(wrong.values())
    assert log.errors == []


async def test_a_bomb() -> None:
    compressor = zlib.compressobj(wbits=-15)
    bomb = compressor.compress(bytes(64 * MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    codes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        codes.append((await receive())["code"])

    async with serving(app, ws_max_size=MIB) as running:
        async with await opened(running.port, DEFLATE) as peer:
            with memory() as measured:
                await peer.send(frame(BINARY, bomb[:-4], rsv=4))
                assert (await peer.close_frame()).code == 1009
            assert measured.peak < 4 * MIB
        await all_gone(running)
    assert codes == [1009]


async def test_a_message_byte_by_byte_beside_others() -> None:
    async with serving(echo) as running, await opened(running.port) as peer:
        for byte in frame(TEXT, b"slow"):
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        await bystander_is_served(running)
        assert (await peer.frame()).payload == b"slow"


async def test_requests_that_are_abandoned() -> None:
    asked = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        await receive()
        assert (await receive())["code"] == 1006

    with logged() as log:
        async with serving(app) as running:
            for _ in range(50):
                peer = await RawPeer.connect(running.port)
                await peer.send(request())
                peer.reset()
            while asked < 1:
                await asyncio.sleep(0)
            await all_gone(running)
    assert log.errors == []


async def test_a_flood_of_small_messages_beside_others() -> None:
    async with serving(echo) as running, await opened(running.port) as peer:
        flood = frame(TEXT) * 10_000

        async def send() -> None:
            while True:
                await peer.send(flood)

        async def read() -> None:
            while await peer.fill():
                peer.buffer.clear()

        tasks = [asyncio.create_task(send()), asyncio.create_task(read())]
        for _ in range(3):
            await bystander_is_served(running)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
