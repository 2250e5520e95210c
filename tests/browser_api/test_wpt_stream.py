"""web-platform-tests: WebSocketStream (``stream/tentative``)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.browser_api.peers import peers
from tests.browser_api.wpt import cases, serving, wpt

from wirebird.browser import AbortController, DOMException, WebSocketError, WebSocketStream

STREAM = "stream/tentative/"


@wpt(STREAM + "constructor.any.js")
async def test_the_constructor() -> None:
    with pytest.raises(TypeError):
        WebSocketStream()  # type: ignore[call-arg]
    with pytest.raises(DOMException) as raised:
        WebSocketStream("invalid:")
    assert raised.value.name == "SyntaxError"
    async with serving() as base, peers() as bad:
        stream = WebSocketStream(base + "/protocol", ["alpha", "beta"], proxy=None)
        info = await stream.opened
        assert stream.url == base + "/protocol"
        assert info.protocol == "alpha"
        assert await info.readable.read() == "alpha"
        stream.close()
        await stream.closed
        refused = WebSocketStream(bad + "/404", proxy=None)
        for future in (refused.opened, refused.closed):
            with pytest.raises(WebSocketError):
                await future


@wpt(STREAM + "abort.any.js")
async def test_abort() -> None:
    controller = AbortController()
    async with serving() as base, peers() as silent:
        waiting = WebSocketStream(silent + "/silence", signal=controller.signal, proxy=None)
        stream = WebSocketStream(base + "/echo", signal=controller.signal, proxy=None)
        info = await stream.opened
        controller.abort()
        for future in (waiting.opened, waiting.closed):
            with pytest.raises(DOMException) as raised:
                await future
            assert raised.value.name == "AbortError"
        with pytest.raises(DOMException):
            WebSocketStream(base, signal=controller.signal)
        await info.writable.write("connected")  # which is not touched
        assert await info.readable.read() == "connected"
        await info.writable.close()


@wpt(STREAM + "close.any.js")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"closeCode": 3456, "reason": "pizza"}, (3456, "pizza")),
        ({}, (1005, "")),
        ({"reason": ""}, (1005, "")),
        ({"reason": "why"}, (1000, "why")),
    ],
)
async def test_close(arguments: dict[str, Any], expected: tuple[int, str]) -> None:
    async with serving() as base:
        stream = WebSocketStream(base + "/echo", proxy=None)
        await stream.opened
        for code in (999, 1001, 2999, 5000):
            with pytest.raises(DOMException) as raised:
                stream.close(closeCode=code)
            assert raised.value.name == "InvalidAccessError"
        with pytest.raises(DOMException) as raised:
            stream.close(reason="." * 124)
        assert raised.value.name == "SyntaxError"
        stream.close(**arguments)
        assert tuple(await stream.closed) == expected


@wpt(STREAM + "close.any.js")
async def test_close_while_it_connects() -> None:
    async with peers() as base:
        stream = WebSocketStream(base + "/silence", proxy=None)
        stream.close()
        for future in (stream.opened, stream.closed):
            with pytest.raises(WebSocketError):
                await future


@cases("end", {STREAM + "websocket-error.any.js": ("abort", "cancel")})
async def test_errors_say_how_to_close(end: tuple[str, str]) -> None:
    assert WebSocketError("x", reason="why").closeCode == 1000
    assert WebSocketError("x").closeCode is None
    with pytest.raises(DOMException):
        WebSocketError("x", closeCode=1001)
    async with serving() as base:
        for method in end:
            for reason, expected in (
                (WebSocketError("x", closeCode=3333, reason="pie"), (3333, "pie")),
                (None, (1005, "")),
                ({"closeCode": 3456}, (1005, "")),
            ):
                stream = WebSocketStream(base + "/echo", proxy=None)
                info = await stream.opened
                side = info.writable if method == "abort" else info.readable
                await getattr(side, method)(reason)
                assert tuple(await stream.closed) == expected


@wpt(STREAM + "remote-close.any.js")
async def test_the_server_closes() -> None:
    async with serving() as base, peers() as raw:
        stream = WebSocketStream(base + "/close?code=4000&reason=robot", proxy=None)
        info = await stream.opened
        assert [message async for message in info.readable] == []
        assert tuple(await stream.closed) == (4000, "robot")
        with pytest.raises(DOMException) as raised:
            await info.writable.write("late")
        assert raised.value.name == "InvalidStateError"
        cut = WebSocketStream(raw + "/cut", proxy=None)
        info = await cut.opened
        assert await info.readable.read() == "one"
        for broken in (info.readable.read(), cut.closed, info.writable.write("late")):
            with pytest.raises(WebSocketError):
                await broken


@wpt(STREAM + "write.any.js")
async def test_writes() -> None:
    async with serving() as base:
        stream = WebSocketStream(base + "/echo", proxy=None)
        info = await stream.opened
        for sent, came in (
            ("å\ud800", "å\ufffd"),
            (b"\x00\x01", b"\x00\x01"),
            (b"", b""),
            ("", ""),
        ):
            await info.writable.write(sent)
            back = await info.readable.read()
            assert back == came
            assert isinstance(back, type(came))
        with pytest.raises(TypeError):
            await info.writable.write(1)  # type: ignore[arg-type]
        await info.writable.close()
        assert tuple(await stream.closed) == (1005, "")


@wpt(STREAM + "backpressure-send.any.js")
async def test_writing_waits_for_who_does_not_read() -> None:
    async with peers() as base:
        stream = WebSocketStream(base + "/no-reader", proxy=None, compression=None)
        info = await stream.opened
        size, written = 2**20, 0

        async def write() -> None:
            nonlocal written
            while True:
                await info.writable.write(bytes(size))
                written += 1

        writing = asyncio.create_task(write())
        before = -1
        while before != written:  # the kernel's buffers are full when nothing moves any more
            before = written
            done, _ = await asyncio.wait([writing], timeout=0.2)
            assert not done
        assert written < 64
        writing.cancel()


@wpt(STREAM + "backpressure-receive.any.js")
async def test_nothing_is_read_ahead() -> None:
    async with peers() as base:
        stream = WebSocketStream(base + "/flood", proxy=None, compression=None)
        info = await stream.opened
        connection = info.readable._connection
        assert await info.readable.read() == bytes(2**16)
        while not connection._core.is_paused:  # type: ignore[union-attr]
            await asyncio.sleep(0)
        for _ in range(200):
            assert await info.readable.read() == bytes(2**16)
        connection.transport.abort()


async def test_a_signal_keeps_no_stream_that_is_open_or_over() -> None:
    controller = AbortController()
    async with serving() as base, peers() as raw:
        stream = WebSocketStream(base + "/echo", signal=controller.signal, proxy=None)
        await stream.opened
        refused = WebSocketStream(raw + "/404", signal=controller.signal, proxy=None)
        with pytest.raises(WebSocketError):
            await refused.closed
        await asyncio.sleep(0)
        assert not controller.signal._steps
        stream.close()
        await stream.closed


async def test_readers_and_writers_lock_their_streams() -> None:
    async with serving() as base:
        stream = WebSocketStream(base + "/echo", proxy=None)
        info = await stream.opened
        readable, writable = info.readable, info.writable
        reader, writer = readable.getReader(), writable.getWriter()
        assert readable.locked
        assert writable.locked
        for refused in (readable.getReader, writable.getWriter):
            with pytest.raises(TypeError):
                refused()
        for locked in (
            *(readable.read(), readable.cancel(), anext(aiter(readable))),
            *(writable.write("x"), writable.close(), writable.abort()),
        ):
            with pytest.raises(TypeError, match="has this stream"):
                await locked
        waiting = asyncio.create_task(reader.read())
        await asyncio.sleep(0)
        with pytest.raises(TypeError):
            reader.releaseLock()
        await writer.ready
        await writer.write("hello")
        assert await waiting == ("hello", False)
        for lock, method in ((reader, reader.read), (writer, writer.close)):
            lock.releaseLock()
            lock.releaseLock()
            with pytest.raises(TypeError, match="released"):
                await method()
        with pytest.raises(TypeError, match="released"):
            _ = writer.ready
        assert not readable.locked
        assert not writable.locked
        await writable.getWriter().abort(WebSocketError(closeCode=3000))
        assert await readable.getReader().read() == (None, True)
        writable._writer = None
        late = writable.getWriter()
        with pytest.raises(DOMException):
            await late.ready
        with pytest.raises(DOMException):
            await late.write("late")
        assert (await stream.closed).closeCode == 3000


async def test_ready_waits_for_backpressure_and_fails_with_the_connection() -> None:
    async with peers() as raw:
        stream = WebSocketStream(raw + "/no-reader", proxy=None, compression=None)
        info = await stream.opened
        writer = info.writable.getWriter()
        writing = asyncio.create_task(writer.write(bytes(2**26)))
        await asyncio.sleep(0)
        ready = writer.ready
        await asyncio.sleep(0)
        assert not ready.done()
        assert stream._connection is not None
        stream._connection.transport.abort()
        for lost in (ready, writing):
            with pytest.raises(WebSocketError):
                await lost
