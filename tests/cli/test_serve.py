"""``wirebird serve`` as people start it: a process, its words, its exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator

import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wirebird.cli import main
from wirebird.cli.serve import port_to_open

URL = "Open "


class Served:
    """A running ``wirebird serve``."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    def socket_url(self, path: str) -> str:
        return self.url.replace("http", "ws", 1).rstrip("/") + path

    async def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 15)


@contextlib.asynccontextmanager
async def served(*arguments: str) -> AsyncIterator[Served]:
    """Run the command on a free port until the block is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wirebird", "serve", "--port", "0", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert URL in line, (await process.stderr.read()).decode()
        yield Served(process, line.partition(URL)[2].strip())
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 15)
        assert (await process.stderr.read()).decode() == ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def get(url: str, context: ssl.SSLContext | None = None) -> bytes:
    """Fetch a URL."""
    with urllib.request.urlopen(url, timeout=10, context=context) as response:
        body = response.read()
    assert isinstance(body, bytes)
    return body


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_it_is_stopped(number: int) -> None:
    async with served() as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert b"Wirebird" in await asyncio.to_thread(get, server.url)
        async with (
            connect(server.socket_url("/echo")) as echo,
            connect(server.socket_url("/room")) as room,
        ):
            await echo.send("hello")
            assert await echo.recv() == "hello"
            assert json.loads(await room.recv())["type"] == "welcome"
            stopping = asyncio.create_task(server.stop(number))
            for peer in (echo, room):
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        await peer.recv()
                assert peer.close_code == 1001
        assert await stopping == 0


async def test_a_second_ctrl_c_does_not_wait_for_a_peer_that_does_not_answer() -> None:
    async with served() as server:
        host, port = "127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2])
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        server.process.send_signal(signal.SIGINT)
        # Its Close says that the first signal has arrived; we do not answer it.
        assert (await reader.readexactly(4))[:1] == b"\x88"
        assert await server.stop() == -signal.SIGINT
        writer.transport.abort()


async def test_tls(
    authority: trustme.CA, client_tls: ssl.SSLContext, tmp_path: pathlib.Path
) -> None:
    identity = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in identity.cert_chain_pems))
    identity.private_key_pem.write_to_path(key)
    async with served("--cert", str(cert), "--key", str(key)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert b"Wirebird" in await asyncio.to_thread(get, server.url, client_tls)
        async with connect(server.socket_url("/echo"), ssl=client_tls) as peer:
            await peer.send("hello")
            assert await peer.recv() == "hello"


async def test_origin() -> None:
    async with served("--origin", "https://example.com/") as server:
        url = server.socket_url("/echo")
        async with connect(url, origin="https://example.com"):  # type: ignore[arg-type]
            pass
        with pytest.raises(InvalidStatus):
            await connect(url, origin=server.url.rstrip("/"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("0.0.0.0", "http://localhost:"), ("", "http://localhost:"), ("::1", "http://[::1]:")],
)
async def test_the_url_can_be_opened(host: str, expected: str) -> None:
    async with served("--host", host) as server:
        assert server.url.startswith(expected)
        assert b"Wirebird" in await asyncio.to_thread(get, server.url)


async def test_this_machine_may_be_called_by_its_name() -> None:
    name = socket.gethostname().lower()
    async with served() as server:
        port = server.url.rstrip("/").rpartition(":")[2]
        for host, status in ((name, b"101"), (f"not-{name}", b"403")):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
            writer.write(
                f"GET /echo HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            assert (await reader.readline()).split()[1] == status
            writer.transport.abort()


async def test_it_serves_although_nobody_reads_what_it_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wirebird", "serve", "--port", port),
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writer)
    for attempt in range(200):
        try:
            async with connect(f"ws://127.0.0.1:{port}/echo") as peer:
                await peer.send("hello")
                assert await peer.recv() == "hello"
            break
        except OSError:
            assert process.returncode is None, attempt
            await asyncio.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = await process.communicate()
    assert (process.returncode, error) == (0, b"")


def test_the_port_to_open_is_that_of_ipv4() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        ports = [listening.getsockname()[1] for listening in (four, six)]
        assert port_to_open([six, four]) == port_to_open([four, six]) == ports[0]
        assert port_to_open([six]) == ports[1]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command, which must end by itself; return exit code and error."""
    code = main(["serve", *arguments])
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err


def test_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error = refusal(capsys, "--port", str(port))
    assert code == 1
    assert f"port {port} of 127.0.0.1 is in use" in error
    assert "--port" in error


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("host.invalid", "cannot find the address"),
        ("192.0.2.1", "not an address of this machine"),
        ("a" * 64, "is not the name of a host"),
        ("a..b", "is not the name of a host"),
        ("\x1b[31m", "cannot find the address '\\x1b[31m'"),
    ],
)
def test_no_such_host(host: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = refusal(capsys, "--host", host)
    assert code == 1
    assert expected in error


def test_wrong_origin(capsys: pytest.CaptureFixture[str]) -> None:
    code, error = refusal(capsys, "--origin", "example.com")
    assert code == 2
    assert "'example.com' is not an origin" in error


def test_key_without_certificate(capsys: pytest.CaptureFixture[str]) -> None:
    code, error = refusal(capsys, "--key", "key.pem")
    assert code == 2
    assert "--cert" in error


def test_unreadable_certificate(
    authority: trustme.CA, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = authority.issue_cert("a.example"), authority.issue_cert("b.example")
    cert, key, junk = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "junk.pem"
    one.cert_chain_pems[0].write_to_path(cert)
    other.private_key_pem.write_to_path(key)
    junk.write_text("not PEM")
    missing = tmp_path / "missing.pem"
    for arguments, expected in [
        ([missing], f"--cert {missing}: No such file"),
        ([tmp_path], f"--cert {tmp_path}: Is a directory"),
        ([cert, missing], f"--key {missing}: No such file"),
        ([junk], f"no certificate and key in PEM form in {junk}"),
        ([cert], "give the key with --key"),
        ([cert, key], f"{key} is not the key of {cert}"),
    ]:
        options = [
            str(x) for pair in zip(["--cert", "--key"], arguments, strict=False) for x in pair
        ]
        code, error = refusal(capsys, *options)
        assert code == 1
        assert expected in error


def test_encrypted_key(
    authority: trustme.CA, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = authority.issue_cert("a.example")
    cert, key, encrypted = (tmp_path / name for name in ("cert.pem", "key.pem", "locked.pem"))
    identity.cert_chain_pems[0].write_to_path(cert)
    identity.private_key_pem.write_to_path(key)
    options = f"pkey -in {key} -out {encrypted} -aes256 -passout pass:x"
    subprocess.run(["openssl", *options.split()], check=True, timeout=30)
    code, error = refusal(capsys, "--cert", str(cert), "--key", str(encrypted))
    assert code == 1
    assert f"the key in {encrypted} is encrypted" in error


async def test_who_does_not_leave_in_time_is_cut() -> None:
    async with served("--drain", "0.1") as server:
        host, port = "127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2])
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        assert await server.stop(signal.SIGTERM) == 0
        assert server.process.stdout is not None
        assert b"Closed; 1 connections had to be cut." in await server.process.stdout.read()
        writer.transport.abort()
