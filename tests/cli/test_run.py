"""``wirebird run`` as people start it: a process, its words, its exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator

import pytest
import trustme
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import ConnectionClosed

from wirebird.cli import main

APPLICATION = """
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from wirebird.asgi import connection_of

app = FastAPI()

@app.websocket("/{path:path}")
async def echo(websocket: WebSocket, path: str):
    await websocket.accept()
    await websocket.send_text(f"{websocket.url.path} {type(connection_of(websocket)).__name__}")
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect as exc:
        print("disconnected", exc.code, flush=True)

def make():
    return app
"""


class Run:
    """A running ``wirebird run``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""

    async def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().rstrip()

    async def stop(self, number: int) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 15)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command sets here for other processes does not stay."""
    monkeypatch.setenv("WIREBIRD_ORIGINS", "*")


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with an application in main.py."""
    (tmp_path / "main.py").write_text(APPLICATION)
    return tmp_path


@contextlib.asynccontextmanager
async def running(folder: pathlib.Path, *arguments: str) -> AsyncIterator[Run]:
    """Run the command until the block is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wirebird", "run", "--app-dir", str(folder), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    run = Run(process)
    try:
        assert (await run.line()).startswith("WebSockets by Wirebird, ")
        line = await run.line()
        assert process.stderr is not None
        assert line, (await process.stderr.read()).decode()
        run.url = line.rpartition(" ")[2].replace("http", "ws", 1)
        yield run
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_fastapi_application_until_sigterm(folder: pathlib.Path) -> None:
    async with running(folder, "main:app", "--port", "0") as run:
        async with connect(f"{run.url}a", proxy=None) as ws:
            assert await ws.recv() == "/a WebSocketProtocol"
            await ws.send("hello")
            assert await ws.recv() == "hello"
            run.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as caught:
                await ws.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1012
        assert await run.line() == "disconnected 1012"
        assert await asyncio.wait_for(run.process.wait(), 15) == -signal.SIGTERM


async def test_settings_reach_uvicorn(folder: pathlib.Path) -> None:
    arguments = ("--factory", "--root-path", "/root", "--ws-max-size", "10", "--port", "0")
    async with running(folder, "main:make", *arguments) as run:
        async with connect(f"{run.url}a", proxy=None) as ws:
            assert await ws.recv() == "/root/a WebSocketProtocol"
            await ws.send("x" * 11)
            with pytest.raises(ConnectionClosed) as caught:
                await ws.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009
        assert await run.stop(signal.SIGINT) == 0


async def test_tls(folder: pathlib.Path, authority: trustme.CA, client_tls: ssl.SSLContext) -> None:
    pem = folder / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    arguments = ("main:app", "--port", "0", "--cert", str(pem))
    async with running(folder, *arguments) as run:
        assert run.url.startswith("wss://")
        async with connect(run.url, proxy=None, ssl=client_tls) as ws:
            assert await ws.recv() == "/ WebSocketProtocol"


async def test_a_unix_socket(folder: pathlib.Path) -> None:
    path = folder / "socket"
    async with running(folder, "main:app", "--uds", str(path)) as run:
        assert run.url == str(path)
        async with unix_connect(str(path), "ws://localhost/") as ws:
            assert await ws.recv() == "/ WebSocketProtocol"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["main"], 2, "main:app is app in main.py"),
        (["main:app", "--key", "key.pem"], 2, "give --cert too"),
        (["main:app", "--cert", "/nowhere"], 1, "No such file"),
        (["main:app", "--port", "70000"], 2, "70000"),
        (["main:app", "--ws-max-size", "0"], 2, "0 is not in the range"),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *arguments]) == code
    assert said in capsys.readouterr().err


async def test_an_application_that_is_not_there(folder: pathlib.Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wirebird", "run", "main:nothing", "--app-dir", str(folder)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 3
    assert b'Attribute "nothing" not found in module "main"' in said
    assert b"Traceback" not in said


def test_without_uvicorn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["run", "main:app"]) == 1
    assert "pip install 'wirebird[asgi]'" in capsys.readouterr().err


async def status_of(url: str, origin: str | None, host: str | None = None) -> str:
    """The status of the answer to a request with this Origin, and this Host."""
    name, _, port = url.removeprefix("ws://").strip("/").partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    lines = [
        f"GET / HTTP/1.1\r\nHost: {host or name}:{port}",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    if origin is not None:
        lines.append(f"Origin: {origin}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status = (await reader.readline()).split()[1].decode()
    writer.transport.abort()
    return status


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
async def test_only_its_own_pages_may_connect(
    folder: pathlib.Path, arguments: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wirebird", "run", "--app-dir", str(folder)),
        *("main:app", "--port", port, *arguments),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        url = f"ws://127.0.0.1:{port}/"
        while True:
            try:
                assert await status_of(url, None) == "101"
                break
            except OSError:
                assert process.returncode is None
                await asyncio.sleep(0.1)
        assert await status_of(url, f"http://127.0.0.1:{port}") == "101"
        assert await status_of(url, f"http://localhost:{port}", "localhost") == "101"
        assert await status_of(url, "https://evil.example") == "403"
        assert await status_of(url, "null") == "403"
        # A name of a stranger's that was made to lead here: DNS rebinding.
        rebound = "rebound.example"
        assert await status_of(url, f"http://{rebound}:{port}", rebound) == "403"
    finally:
        process.terminate()
        await process.wait()


async def test_other_pages_that_may_connect(folder: pathlib.Path) -> None:
    arguments = ("--origin", "https://a.example/", "--origin", "https://b.example")
    async with running(folder, "main:app", "--port", "0", *arguments) as run:
        assert await status_of(run.url, "https://b.example") == "101"
        assert await status_of(run.url, None) == "101"
        assert await status_of(run.url, run.url.replace("ws", "http").strip("/")) == "403"
    async with running(folder, "main:app", "--port", "0", "--origin", "*") as run:
        assert await status_of(run.url, "https://evil.example") == "101"


def test_a_wrong_origin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "main:app", "--origin", "example.com"]) == 2
    assert "'example.com' is not an origin" in capsys.readouterr().err
