"""The fixtures as users get them: by the entry point, in a project of their own."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

PLAIN = """
import asyncio
import socket

from wirebird import connect

async def echo(ws):
    async for message in ws:
        await ws.send(message)

def test_server_in_a_thread(ws_server):
    with ws_server(echo) as server, socket.create_connection((server.host, server.port)) as sock:
        sock.sendall(b"nonsense\\r\\n\\r\\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")

def test_clock(fake_clock, ws_pair):
    async def main():
        async with ws_pair() as (client, server):
            await asyncio.sleep(3600)
            await client.send("Hello")
            return await server.recv()

    assert fake_clock.run(main()) == "Hello"
    assert fake_clock.time() == 3600

def test_handler_that_fails(ws_server):
    async def handler(ws):
        assert await ws.recv() == "Hello"

    async def main(url):
        async with connect(url, proxy=None) as ws:
            await ws.send("Bye")
            await ws.wait_closed()

    with ws_server(handler) as server:
        asyncio.run(main(server.url))
"""

COROUTINES = """
import asyncio

import pytest
from wirebird import connect
from wirebird.testing import TEXT

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
async def pair(ws_pair):
    async with ws_pair() as pair:
        yield pair

async def test_pair(pair):
    client, server = pair
    await server.send("Hello")
    assert await client.recv() == "Hello"

async def test_clock(fake_clock, ws_pair):
    async with ws_pair(ping_interval=20, ping_timeout=20, close_timeout=10) as pair:
        pair.wire.hold()
        begin = fake_clock.time()
        await pair.client.wait_closed()
        assert 39 < fake_clock.time() - begin < 61

@pytest.mark.usefixtures("fake_clock")
async def test_clock_that_is_not_named():
    await asyncio.sleep(3600)

async def test_server_and_peer(ws_server, ws_peer):
    async with ws_server() as server, ws_peer(server.url) as peer:
        await peer.send_frame(TEXT, b"Hello", rsv=2)
        await peer.expect_close(1002)

async def test_script(ws_script):
    async def script(peer):
        await peer.accept()
        await peer.send_text("Hello")
        await peer.expect_close()

    async with ws_script(script) as server:
        async with connect(server.url, proxy=None, close_timeout=0.01) as ws:
            assert await ws.recv() == "Hello"

async def test_peer_that_is_disappointed(ws_server, ws_peer):
    async with ws_server() as server, ws_peer(server.url) as peer:
        await peer.send_text("Hello")
        await peer.expect_text("Bye")
"""


@pytest.fixture
def project(tmp_path: pathlib.Path) -> pathlib.Path:
    """A project whose environment has the entry point of this one."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        points = tomllib.load(file)["project"]["entry-points"]["pytest11"]
    lines = "".join(f"{name} = {module}\n" for name, module in points.items())
    info = tmp_path / "environment" / "installed_here-1.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(f"[pytest11]\n{lines}", encoding="utf-8")
    (info / "METADATA").write_text("Name: installed-here\nVersion: 1\n", encoding="utf-8")
    place = tmp_path / "project"
    place.mkdir()
    return place


def run(project: pathlib.Path, *arguments: str) -> str:
    """Run Python there, as one who has installed Wirebird."""
    paths = [str(project.parent / "environment"), str(ROOT / "src")]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_project_that_uses_the_fixtures(project: pathlib.Path) -> None:
    (project / "test_plain.py").write_text(PLAIN, encoding="utf-8")
    (project / "test_coroutines.py").write_text(COROUTINES, encoding="utf-8")
    output = run(project, "-X", "dev", "-m", "pytest", "-W", "error", "-p", "no:cacheprovider")
    assert "2 failed, 7 passed" in output, output
    assert "FAILED test_plain.py::test_handler_that_fails - AssertionError" in output
    assert "expected Text 'Bye', but came: Text 'Hello'" in output


def test_the_fixtures_are_listed_and_can_be_left_out(project: pathlib.Path) -> None:
    output = run(project, "-m", "pytest", "--fixtures")
    for name in ("ws_server", "ws_script", "ws_pair", "ws_peer", "fake_clock"):
        assert f"\n{name} -- " in output
    output = run(project, "-m", "pytest", "--fixtures", "-p", "no:wirebird")
    assert "ws_server" not in output


def test_the_plugin_imports_nothing_that_coverage_would_miss(project: pathlib.Path) -> None:
    program = "import sys, wirebird.testing.plugin; print(*sorted(sys.modules))"
    loaded = run(project, "-c", program).split()
    assert [name for name in loaded if name.startswith("wirebird")] == [
        "wirebird",
        "wirebird.testing",
        "wirebird.testing.plugin",
        "wirebird.version",
    ]
    assert "asyncio" not in loaded
