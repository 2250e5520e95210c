"""Each example is run as its users run it: as a program of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import pathlib
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
from wirebird.exceptions import ConnectionClosedOK

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
async def example(name: str, *arguments: str) -> AsyncIterator[Program]:
    """Run an example; it has ended when the block is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / name), *arguments), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


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
