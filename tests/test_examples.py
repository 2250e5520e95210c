"""Each example is run as its users run it: as a program of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import pathlib
import random
import re
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import pytest
from tests.chromium import Chromium

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from wirebird.sync.client import connect as threads_connect
from wirebird.typing import Subprotocol

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"


class Program:
    """An example that runs.

    Args:
        process: with its standard output in a pipe.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """The next line that it prints; empty at its end."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().rstrip()

    async def uri(self) -> str:
        """Where it serves, which a server prints first."""
        found = re.fullmatch(r"listening on port (\d+)", await self.line())
        assert found is not None
        return f"ws://localhost:{found[1]}/"


@contextlib.asynccontextmanager
async def example(name: str, *arguments: str, stderr: int | None = None) -> AsyncIterator[Program]:
    """Run an example; it has ended when the block is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / name), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def endless() -> AsyncIterator[bytes]:
    """The fragments of a message that does not end."""
    while True:
        yield bytes(1000)
        await asyncio.sleep(0.01)


def test_every_example_is_tested() -> None:
    source = pathlib.Path(__file__).read_text(encoding="utf-8")
    names = [path.name for path in EXAMPLES.glob("*.py")]
    assert names
    assert [name for name in names if f'example("{name}"' not in source] == []


async def test_the_programs_of_the_readme(tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert [program.count("8765") for program in programs] == [1, 1]
    for name, program in zip(("server.py", "client.py"), programs, strict=True):
        (tmp_path / name).write_text(program.replace("8765", port))
    server = await asyncio.create_subprocess_exec(sys.executable, str(tmp_path / "server.py"))
    try:
        soon = itertools.cycle([0.05])
        async for connection in connect(
            f"ws://localhost:{port}", reconnect_delays=lambda: (delay for delay in soon)
        ):
            await connection.close()  # it listens
            break
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, str(tmp_path / "client.py")), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await client.communicate()
        assert out == b"Hello\n"
        assert client.returncode == 0
    finally:
        server.terminate()
        await server.wait()


async def test_echo() -> None:
    async with (
        example("echo_server.py", "0") as server,
        example("echo_client.py", await server.uri()) as client,
    ):
        assert await client.line() == "received: 'Hello, world!'"
        assert re.fullmatch(r"round trip: \d+\.\d ms", await client.line())
        assert await client.line() == ""
        assert await client.process.wait() == 0


async def test_chat() -> None:
    async with example("chat.py", "0") as server:
        uri = await server.uri()
        async with connect(uri + "ann") as ann:
            assert await ann.recv() == "ann is here"
            async with connect(uri + "bob%20b") as bob:
                assert [await ann.recv(), await bob.recv()] == ["bob b is here"] * 2
                await ann.send("hi")
                assert [await ann.recv(), await bob.recv()] == ["ann: hi"] * 2
            assert await ann.recv() == "bob b has left"


async def test_metrics() -> None:
    async with example("metrics.py", "0", stderr=asyncio.subprocess.PIPE) as server:
        uri = await server.uri()
        async with connect(uri) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            text = await asyncio.to_thread(fetched, uri.replace("ws:", "http:") + "metrics")
            assert 'wirebird_messages_total{direction="received",server=""} 1.0' in text
            server.process.terminate()
            await client.wait_closed()
            assert client.close_code == 1012
        assert await server.line() == "0 connections were cut"
        assert await server.process.wait() == 0
        assert server.process.stderr is not None
        records = [json.loads(line) for line in (await server.process.stderr.read()).splitlines()]
        assert "connection open" in [record["event"] for record in records]


def fetched(url: str) -> str:
    """GET a text."""
    with urllib.request.urlopen(url, timeout=10) as response:
        text = response.read()
    assert isinstance(text, bytes)
    return text.decode()


async def test_callbacks() -> None:
    async with example("callbacks.py", "0") as server:
        uri = await server.uri()
        async with connect(uri) as one, connect(uri) as other:
            assert await one.recv() == "1 here; /quit to leave"
            assert await other.recv() == "2 here; /quit to leave"
            await one.send("hi")
            assert [await one.recv(), await other.recv()] == ["hi"] * 2
            await one.send("/quit")
            with pytest.raises(ConnectionClosedOK, match=r"1000 .* bye"):
                await one.recv()
            assert await other.recv() == "somebody has left (1000)"


async def test_broadcast() -> None:
    async with example("broadcast.py", "0") as server:
        uri = await server.uri()
        async with connect(uri) as one, connect(uri) as other:
            await one.send('{"subscribe": "weather"}')
            assert await one.recv() == '{"subscribed": "weather"}'
            await other.send('{"publish": "weather", "data": "rain"}')
            assert await other.recv() == '{"published": "weather", "to": 1}'
            assert await one.recv() == '{"topic": "weather", "data": "rain"}'
            for bad in ("no JSON", "[]", '{"publish": "weather"}', '{"subscribe": 1}'):
                await other.send(bad)
                assert str(await other.recv()).startswith('{"error": ')
            await one.send('{"unsubscribe": "weather"}')
            assert await one.recv() == '{"unsubscribed": "weather"}'
            await other.send('{"publish": "weather", "data": "sun"}')
            assert await other.recv() == '{"published": "weather", "to": 0}'


async def test_binary_streaming(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    given, fetched = tmp_path / "given", tmp_path / "fetched"
    given.write_bytes(random.Random(1).randbytes(3_000_000))
    digest = hashlib.sha256(given.read_bytes()).hexdigest()
    name = "binary_streaming.py"
    async with example("binary_streaming.py", "serve", str(folder), "0") as server:
        uri = await server.uri()
        async with example(name, "put", str(given), uri + "a.bin") as putting:
            assert await putting.line() == f"stored, SHA-256 {digest}"
        async with example(name, "get", uri + "a.bin", str(fetched)) as getting:
            assert await getting.line() == f"fetched, SHA-256 {digest}"
        assert fetched.read_bytes() == given.read_bytes()
        refusals = {
            ("put", str(given), uri + "a.bin"): "there is such a file",
            ("get", uri + "b.bin", str(tmp_path / "none")): "there is no such file",
            ("put", str(given), uri + "..%2Fa"): "a name has letters",
        }
        for arguments, why in refusals.items():
            async with example(name, *arguments, stderr=asyncio.subprocess.PIPE) as refused:
                _, errors = await refused.process.communicate()
                assert why in errors.decode()
                assert refused.process.returncode == 1
        # One that goes away in the middle leaves nothing behind.
        async with connect(uri + "half.bin", subprotocols=[Subprotocol("put")]) as half:
            sending = asyncio.create_task(half.send(endless()))
            while not any(path.is_dir() for path in folder.iterdir()):
                await asyncio.sleep(0.01)
            half.transport.abort()
            with pytest.raises(ConnectionClosedError):
                await sending
            while any(path.is_dir() for path in folder.iterdir()):
                await asyncio.sleep(0.01)
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


async def test_dashboard(chromium: Chromium) -> None:
    async with example("dashboard.py", "0") as server:
        uri = (await server.uri()).replace("ws://", "http://")
        async with chromium.page() as page:
            await page.goto(uri)
            await page.locator("#status", has_text="live").wait_for(timeout=10_000)
            await page.locator("#viewers output", has_text=re.compile("^1 ")).wait_for(
                timeout=10_000
            )
            drawn = await page.locator("#cpu path").get_attribute("d")
            assert drawn is not None
            assert drawn.startswith("M")
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            await asyncio.to_thread(urllib.request.urlopen, uri + "nothing")
        caught.value.close()


async def test_fastapi_chat() -> None:
    async with example("fastapi_chat.py", "0") as server:
        uri = await server.uri()
        async with (
            connect(f"{uri}rooms/lobby?name=Ann", proxy=None) as ann,
            connect(f"{uri}rooms/attic?name=Cem", proxy=None) as cem,
        ):
            assert await ann.recv() == "Ann is here"
            assert await cem.recv() == "Cem is here"
            async with connect(f"{uri}rooms/lobby?name=Bob", proxy=None) as bob:
                assert await ann.recv() == await bob.recv() == "Bob is here"
                await bob.send("hello")
                assert await ann.recv() == await bob.recv() == "Bob: hello"
                shown = await asyncio.to_thread(_get, uri.replace("ws://", "http://") + "rooms")
                assert shown == b'{"lobby":["Ann","Bob"],"attic":["Cem"]}'
            assert await ann.recv() == "Bob has left"
            server.process.terminate()
            with pytest.raises(ConnectionClosedError) as caught:
                await ann.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
    return body


async def test_reconnect() -> None:
    async def greet(connection: ServerConnection) -> None:
        assert await connection.recv() == "I am here"
        await connection.send("welcome")
        if len(greeted) == 0:
            greeted.append("lost")
            connection.transport.abort()
        elif len(greeted) == 1:
            greeted.append("closed")
        else:
            await connection.wait_closed()

    greeted: list[str] = []
    async with serve(greet, "localhost", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with example("reconnect.py", f"ws://localhost:{port}") as client:
            lines = [await client.line()]
            while "the server has closed the connection" not in lines:
                lines.append(await client.line())
            assert await client.line() == "received: 'welcome'"
    # What was sent before the connection was cut may have been lost with it.
    if lines[0] == "received: 'welcome'":
        lines.pop(0)
    assert lines[0].startswith("the connection was lost: ")
    assert lines[1:] == ["received: 'welcome'", "the server has closed the connection"]


async def test_http_on_the_same_port(chromium: Chromium) -> None:
    async with example("http_on_the_same_port.py", "0") as server:
        uri = (await server.uri()).replace("ws://", "http://")
        async with chromium.page() as page:
            await page.goto(uri)
            told = page.locator("time", has_text=re.compile(r"^\d\d:\d\d:\d\d$"))
            await told.wait_for(timeout=10_000)
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            await asyncio.to_thread(urllib.request.urlopen, uri + "nothing")
        caught.value.close()


async def test_threads() -> None:
    def visit(uri: str) -> str:
        with threads_connect(uri) as one, threads_connect(uri) as other:
            assert one.recv(timeout=10) == "prices follow; /stop ends the market"
            for message in other:
                if str(message).startswith("price: "):
                    break
            one.send("hi")
            while one.recv(timeout=10) != "you said: 'hi'":
                pass
            one.send("/stop")
            with pytest.raises(ConnectionClosedOK, match="the market is closed"):
                while True:
                    other.recv(timeout=10)
        return "done"

    async with example("threads.py", "0") as server:
        assert await asyncio.to_thread(visit, await server.uri()) == "done"
        assert await server.process.wait() == 0


async def test_compressions(tmp_path: pathlib.Path) -> None:
    messages = tmp_path / "messages"
    messages.write_text("".join(f'{{"event": "tick", "number": {n}}}\n' for n in range(300)))
    percents: list[dict[str, float]] = []
    async with example("compressions.py", str(messages)) as program:
        while line := await program.line():
            if re.fullmatch(r"\d+ messages, \d+ bytes", line):
                percents.append({})
                continue
            row = re.fullmatch(r"  (.{24}) +([\d.]+) % +\d+ ms( +\d+ KB)?", line)
            assert row is not None
            percents[-1][row[1].strip()] = float(row[2])
    alone, together = percents
    assert alone.keys() == together.keys()
    assert alone["deflate, as by default"] < alone["deflate, no context"]
    assert max(together.values()) < 25 < alone["brotli"]


async def test_authentication(chromium: Chromium) -> None:
    async with example("authentication.py", "0") as server:
        uri = await server.uri()
        assert await server.line() == "hello a program"
        with pytest.raises(InvalidStatus, match="401"):
            await connect(uri)
        async with chromium.page() as page:
            await page.goto(uri.replace("ws://", "http://"))
            await page.fill("input", "bob")
            await page.click("button")
            await page.locator("output", has_text="hello bob").wait_for(timeout=10_000)
