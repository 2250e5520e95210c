"""The load generator sees what is wrong, and the limit is right."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from benchmarks.programs import Programs, build
from benchmarks.servers import free_port
from tests import needs

from wirebird.asyncio.server import ServerConnection, serve

COMPILER = needs.Program("cc", "gcc")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the load generator is built on epoll"),
    pytest.mark.time_limit(60),
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The programs in C, compiled from what is there."""
    COMPILER.path()
    return build(tmp_path_factory.mktemp("programs"))


async def run_load(programs: Programs, *arguments: object) -> tuple[dict[str, Any], str]:
    """Run the load for a moment; return what it measured, or nothing, and what was wrong."""
    times = ("--seconds", "0.3", "--warm-up", "0.05")
    process = await asyncio.create_subprocess_exec(
        programs.load,
        *map(str, arguments),
        *times,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert (process.returncode == 0) == (error == b"")
    return (json.loads(out) if process.returncode == 0 else {}), error.decode()


@contextlib.asynccontextmanager
async def limit(programs: Programs, mode: str = "echo") -> AsyncIterator[tuple[str, ...]]:
    """The limit, while it runs; yields the arguments for the load that lead to it."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        programs.limit, mode, str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"READY\n"
        yield ("--port", str(port), "--pid", str(process.pid))
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--size", "0"),
        ("--size", "125"),
        ("--size", "126"),
        ("--size", "65535", "--connections", "3"),
        ("--size", "65536", "--binary"),
        ("--size", "3000000", "--depth", "2"),
        ("--depth", "300", "--connections", "7"),
    ],
    ids=" ".join,
)
async def test_the_limit_echoes(programs: Programs, arguments: tuple[str, ...]) -> None:
    """Frames of all three forms of length come back as they were, many or few at a time."""
    async with limit(programs) as place:
        measured, error = await run_load(programs, "echo", *place, *arguments)
    assert error == ""
    assert measured["per_s"] > 0


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ("handshake --connections 4", "per_s"),
        ("handshake --connections 4 --close", "per_s"),
        ("flood --connections 2", "flood_per_s"),
        ("never --size 10000", "messages_taken"),
        ("idle --connections 50", "connections"),
    ],
)
async def test_the_limit_passes_the_other_modes(
    programs: Programs, arguments: str, field: str
) -> None:
    """Each measures something."""
    async with limit(programs) as place:
        measured, error = await run_load(programs, *arguments.split(), *place)
    assert error == ""
    assert measured[field] > 0


async def test_the_limit_fans_out(programs: Programs) -> None:
    """Each message counts once for each receiver."""
    arguments = ("fanout", "--connections", "20", "--depth", "8")
    async with limit(programs, "fanout") as place:
        measured, error = await run_load(programs, *arguments, *place)
    assert error == ""
    assert measured["per_s"] > 0


def flip(message: str) -> str:
    """Change the last character."""
    return message[:-1] + chr(ord(message[-1]) ^ 1)


WRONG: list[tuple[Callable[[str], str | bytes], str]] = [
    (flip, "what came back is not what was sent"),
    (lambda message: message + "x", "what came back is not what was sent"),
    (lambda message: message[:-1], "too short"),
    (lambda message: message.encode(), "of the wrong type"),
]


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize(("change", "said"), WRONG, ids=["flipped", "longer", "shorter", "type"])
async def test_what_is_wrong_is_seen(
    programs: Programs, change: Callable[[str], str | bytes], said: str, deflate: bool
) -> None:
    """One message among many is not what was sent: the load says so and measures nothing."""

    async def almost(ws: ServerConnection) -> None:
        number = 0
        async for message in ws:
            assert isinstance(message, str)
            number += 1
            await ws.send(change(message) if number == 20 else message)

    compression = ["--deflate"] if deflate else []
    async with serve(almost, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        arguments = ("echo", "--port", port, "--size", "200", "--depth", "4", *compression)
        _, error = await run_load(programs, *arguments, "--seconds", "10")
    assert said in error


async def test_another_order_is_seen(programs: Programs) -> None:
    """Messages of the same size that change places are told from one another."""

    async def swap(ws: ServerConnection) -> None:
        while True:
            first, second = await ws.recv(), await ws.recv()
            await ws.send(second)
            await ws.send(first)

    async with serve(swap, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        _, error = await run_load(programs, "echo", "--port", port, "--depth", "4")
    assert "what came back is not what was sent" in error


async def test_compression_must_be_agreed_on(programs: Programs) -> None:
    """A figure for compressed messages is never one for others."""

    async def echo(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    async def echo_uncompressed(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message, compress=False)

    said = []
    for handler, compression in [(echo, None), (echo_uncompressed, "deflate"), (echo, "deflate")]:
        async with serve(handler, "127.0.0.1", 0, compression=compression) as server:
            port = server.sockets[0].getsockname()[1]
            said.append((await run_load(programs, "echo", "--port", port, "--deflate"))[1])
    assert "did not agree on compression" in said[0]
    assert "nothing came back compressed" in said[1]
    assert said[2] == ""
