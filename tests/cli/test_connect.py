"""``wirebird connect`` as a program: real processes, pipes, a terminal, and real servers.

The servers are of the ``websockets`` library, or plain sockets where the server is a bad one.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import dataclasses
import os
import signal
import ssl
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import Server, ServerConnection, serve

import wirebird.asyncio.server
from wirebird.asyncio import client
from wirebird.cli.connect import hang_up
from wirebird.core.handshake.key import accept_key

Handler = Callable[[ServerConnection], Awaitable[None]]

# Without it the program would wait a second for answers: the tests wait for none.
UNTIL_CLOSED = ("--wait", "inf")

EVIL = "\x1b[2Jred\x9b31m \u202egnp.exe\nnext\x07"
EVIL_SHOWN = "\\x1b[2Jred\\x9b31m \\u202egnp.exe\\nnext\\x07"


@dataclasses.dataclass
class Ended:
    """What a finished ``wirebird connect`` left."""

    code: int | None
    out: str
    err: str


async def echo(connection: ServerConnection) -> None:
    """Send back what comes."""
    async for message in connection:
        await connection.send(message)


def echo_of(count: int) -> Handler:
    """Send back that many messages, then close: nobody has to wait how long answers take."""

    async def handler(connection: ServerConnection) -> None:
        for _ in range(count):
            await connection.send(await connection.recv())

    return handler


@contextlib.asynccontextmanager
async def serving(handler: Handler = echo, **options: Any) -> AsyncIterator[tuple[Server, str]]:
    """Run a server; yield it and its URI."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        scheme = "wss" if options.get("ssl") else "ws"
        yield server, f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/path"


@contextlib.asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Run a server of plain bytes; yield its URI."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: no proxy, and nothing that would change colours."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return {**kept, "NO_COLOR": "", "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **more}


async def start(*arguments: str, **more: str) -> asyncio.subprocess.Process:
    """Start ``wirebird connect`` between three pipes."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wirebird", "connect", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**more),
    )


async def connect(*arguments: str, stdin: bytes = b"", **more: str) -> Ended:
    """Run ``wirebird connect`` with this input, to its end."""
    process = await start(*arguments, **more)
    out, err = await process.communicate(stdin)
    return Ended(process.returncode, out.decode(), err.decode())


# Pipes


async def test_lines_are_messages_and_messages_are_lines() -> None:
    async with serving(echo_of(6)) as (_, uri):
        ended = await connect(
            *UNTIL_CLOSED, uri, stdin="one\ntwo\r\n\n/close 4000\nünf\n".encode() + b"no end"
        )
    assert ended.out == "one\ntwo\n\n/close 4000\nünf\nno end\n"
    assert ended.code == 0
    assert f"connected to {uri}" in ended.err
    assert "closed by the peer with 1000 (OK); answered with 1000 (OK)" in ended.err


async def test_the_connection_is_closed_when_the_input_has_ended() -> None:
    async with serving() as (_, uri):
        ended = await connect("--wait", "0", uri, stdin=b"one\n")
    assert ended.code == 0
    assert "closed by us with 1000 (OK); answered with 1000 (OK)" in ended.err


async def test_payloads_stay_raw_in_a_pipe_but_on_one_line() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send(EVIL)
        await connection.send(b"\x00\xff\n")
        await connection.send("")

    async with serving(handler) as (_, uri):
        ended = await connect(*UNTIL_CLOSED, uri)
    assert ended.out == EVIL.replace("\n", "\\n") + "\n" + "00ff0a\n" + "\n"
    assert ended.code == 0


async def test_null_keeps_line_breaks() -> None:
    async with serving(echo_of(2)) as (_, uri):
        ended = await connect("-0", *UNTIL_CLOSED, uri, stdin=b"one\ntwo\r\n\0three\0")
    assert ended.out == "one\ntwo\r\n\0three\0"


async def test_binary_sends_what_is_not_utf8() -> None:
    async with serving(echo_of(1)) as (_, uri):
        ended = await connect("--binary", *UNTIL_CLOSED, uri, stdin=b"\xff\xfe\n")
    assert (ended.code, ended.out) == (0, "fffe\n")


async def test_input_that_is_not_utf8_is_refused() -> None:
    async with serving() as (_, uri):
        ended = await connect(uri, stdin=b"fine\nbad \xff\nnever\n")
    assert ended.code == 2
    assert ended.out in {"fine\n", ""}  # there is no waiting for answers after an error
    assert "line 2 of the input is not UTF-8, byte 5" in ended.err


async def test_quiet_and_verbose(tmp_path: Path) -> None:
    async with serving(echo_of(1)) as (_, uri):
        quiet = await connect("-q", *UNTIL_CLOSED, uri, stdin=b"x\n")
        verbose = await connect("-v", *UNTIL_CLOSED, uri, stdin=b"x\n")
    assert (quiet.out, quiet.err) == ("x\n", "")
    assert "> GET /path HTTP/1.1\n" in verbose.err
    assert "< HTTP/1.1 101 Switching Protocols\n" in verbose.err


async def test_regular_files_are_pipes_too(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"a\nb\n")
    async with serving(echo_of(2)) as (_, uri):
        with open(tmp_path / "in", "rb") as stdin, open(tmp_path / "out", "wb") as stdout:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "wirebird", "connect", *UNTIL_CLOSED, uri),
                stdin=stdin,
                stdout=stdout,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment(),
            )
            assert await process.wait() == 0
    assert (tmp_path / "out").read_bytes() == b"a\nb\n"


async def test_control_frames_are_told_with_the_closing_handshake() -> None:
    async def handler(connection: ServerConnection) -> None:
        assert await connection.recv() == "go"
        await (await connection.ping(b"are you there"))
        await connection.close(4001, EVIL)

    async with serving(handler) as (_, uri):
        process = await start(uri)
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        # The input stays open: the end is the peer's.
        _, err = await asyncio.gather(process.wait(), process.stderr.read())  # type: ignore[union-attr]
        process.stdin.close()
    lines = err.decode().splitlines()
    assert "< ping 13 B  are you there" in lines
    assert "> pong 13 B  are you there" in lines
    assert f"< close  4001 (private use) {EVIL_SHOWN}" in lines
    assert lines[-1].startswith(
        f"wirebird: closed by the peer with 4001 (private use) {EVIL_SHOWN}; answered with 4001"
    )
    assert process.returncode == 1


async def test_wait_goes_on_receiving_until_the_server_closes() -> None:
    async def handler(connection: ServerConnection) -> None:
        assert await connection.recv() == "go"
        for number in range(3):
            await (await connection.ping())
            await connection.send(str(number))

    async with serving(handler) as (_, uri):
        ended = await connect(*UNTIL_CLOSED, uri, stdin=b"go\n")
    assert (ended.code, ended.out) == (0, "0\n1\n2\n")
    assert "closed by the peer with 1000 (OK)" in ended.err


async def test_a_million_bytes_pass_both_ways() -> None:
    line = os.urandom(500_000).hex()
    async with serving(echo_of(1), max_size=None) as (_, uri):
        ended = await connect(*UNTIL_CLOSED, uri, stdin=f"{line}\n".encode())
    assert ended.out == f"{line}\n"


# Options


async def test_options_reach_the_server() -> None:
    seen: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        seen.append(connection)

    async with serving(handler, subprotocols=["two"], compression=None) as (_, uri):
        ended = await connect(
            *("-H", "X-One: 1", "--header", "Authorization:Bearer a:b", "--origin", "https://o.x"),
            *("--subprotocol", "one", "--subprotocol", "two", "--no-compress", *UNTIL_CLOSED, uri),
        )
    assert ended.code == 0
    (connection,) = seen
    request = connection.request
    assert request is not None
    assert request.path == "/path"
    assert request.headers["X-One"] == "1"
    assert request.headers["Authorization"] == "Bearer a:b"
    assert request.headers["Origin"] == "https://o.x"
    assert request.headers["Sec-WebSocket-Protocol"] == "one, two"
    assert "Sec-WebSocket-Extensions" not in request.headers
    assert "subprotocol two" in ended.err


async def test_compression_is_offered_by_default() -> None:
    async with serving(echo_of(0)) as (_, uri):
        ended = await connect(*UNTIL_CLOSED, uri)
    assert "permessage-deflate" in ended.err


@pytest.mark.parametrize(("accepted", "agreed"), [("bz", "b"), ("zb", "z"), ("z", "z")])
async def test_compressions_are_offered(accepted: str, agreed: str) -> None:
    names = {"b": "brotli", "z": "zstd"}

    async def echo(connection: wirebird.asyncio.server.ServerConnection) -> None:
        await connection.send(await connection.recv())

    compression = [names[name] for name in accepted]
    async with wirebird.asyncio.server.serve(echo, "localhost", 0, compression=compression) as ours:
        uri = f"ws://localhost:{ours.sockets[0].getsockname()[1]}"
        offers = ("--compression", "zstd", "--compression", "brotli")
        ended = await connect(*offers, *UNTIL_CLOSED, uri, stdin=b"hello\n")
    assert (ended.code, ended.out) == (0, "hello\n")
    assert f"permessage-{names[agreed]}" in ended.err


async def test_compressions_that_are_none() -> None:
    for names, why in [(["snappy"], "'snappy' is not one of"), (["zstd", "zstd"], "named twice")]:
        offers = [argument for name in names for argument in ("--compression", name)]
        ended = await connect(*offers, "ws://localhost:1")
        assert ended.code == 2
        assert why in ended.err


async def test_messages_longer_than_max_size_are_refused() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send(101 * "x")
        await connection.wait_closed()

    async with serving(handler) as (_, uri):
        ended = await connect("--max-size", "100", *UNTIL_CLOSED, uri)
    assert (ended.code, ended.out) == (1, "")
    assert "1009 (message too big)" in ended.err


async def test_tls(authority: trustme.CA, server_tls: ssl.SSLContext, tmp_path: Path) -> None:
    cacert = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cacert))
    async with serving(echo_of(1), ssl=server_tls) as (_, uri):
        trusting = await connect("--cacert", str(cacert), *UNTIL_CLOSED, uri, stdin=b"x\n")
        insecure = await connect("--insecure", *UNTIL_CLOSED, uri, stdin=b"x\n")
        careful = await connect(uri, stdin=b"x\n")
    assert (trusting.code, trusting.out) == (0, "x\n")
    assert (insecure.code, insecure.out) == (0, "x\n")
    assert (careful.code, careful.out) == (4, "")
    assert "cannot be trusted" in careful.err


# Exit codes


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["http://localhost"], "scheme"),
        (["ws://localhost/#fragment"], "fragment"),
        (["-H", "no colon", "ws://localhost"], "'Name: value'"),
        (["-H", "a b: c", "ws://localhost"], "'Name: value'"),
        (["-H", "a: b\r\nc: d", "ws://localhost"], "CR, LF or NUL"),
        (["--timeout", "soon", "ws://localhost"], "soon"),
        (["--timeout", "-1", "ws://localhost"], "-1"),
        (["--wait", "nan", "ws://localhost"], "nan"),
        (["--cacert", "/does/not/exist", "wss://localhost"], "does not exist"),
        (["--cacert", __file__, "wss://localhost"], "no certificates"),
        (["--subprotocol", "not a token", "ws://localhost"], "not a token"),
        (["--unknown", "ws://localhost"], "--unknown"),
        ([], "URI"),
    ],
)
async def test_wrong_usage_is_2(arguments: list[str], why: str) -> None:
    ended = await connect(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert why in ended.err
    assert "Traceback" not in ended.err


async def test_help_says_the_exit_codes() -> None:
    ended = await connect("--help")
    assert ended.code == 0
    for code in ("0  ", "1  ", "2  ", "3  ", "4  ", "130  ", "141  "):
        assert f"  {code}" in ended.out


EVIL_BYTES = b"\x1b[2J\x9b31m"


@pytest.mark.parametrize(
    ("head", "code"),
    [
        # A reason phrase, headers and a body: what of it is shown, and what is refused.
        (b"HTTP/1.1 403 " + EVIL_BYTES + b"\r\n\r\n", 3),
        (b"HTTP/1.1 403 \x9b31m\r\n\r\n", 3),
        (b"HTTP/1.1 " + EVIL_BYTES + b" No\r\n\r\n", 3),
        (b"HTTP/1.1 403 No\r\nX: " + EVIL_BYTES + b"\r\n\r\n", 3),
        (b"HTTP/1.1 403 No\r\nX-" + EVIL_BYTES + b": y\r\n\r\n", 3),
        (b"HTTP/1.1 403 No\r\n\r\n" + EVIL_BYTES * 100 + "\u202e\r\n".encode(), 3),
        (b"HTTP/1.1 101 No\r\nConnection: upgrade\r\nUpgrade: \x9b31m\r\n\r\n", 3),
        (
            b"HTTP/1.1 101 No\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: \x9b31m\r\n\r\n",
            3,
        ),
        # Redirects: what is wrong with them is the server's fault, and never wrong usage.
        (b"HTTP/1.1 302 No\r\nLocation: " + EVIL_BYTES + b"\r\n\r\n", 3),
        (b"HTTP/1.1 302 No\r\nLocation: ws://\x9b31m/\r\n\r\n", 4),
        (b"HTTP/1.1 302 No\r\nLocation: javascript:alert(1)\r\n\r\n", 4),
        (b"HTTP/1.1 302 No\r\nLocation: ws://[::1\r\n\r\n", 4),
        (b"HTTP/1.1 302 No\r\nLocation: ws://%s.invalid/\r\n\r\n" % (b"a" * 64), 4),
        (b"HTTP/1.1 302 No\r\nLocation: ws://a..b.invalid/\r\n\r\n", 4),
        (b"HTTP/1.1 302 No\r\nLocation: ws://u:s3cret@a.invalid/\r\n\r\n", 4),
        (b"HTTP/1.1 302 No\r\nLocation: /\r\n\r\n", 3),  # for ever
    ],
)
async def test_no_answer_reaches_the_terminal_unescaped(head: bytes, code: int) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)

    async with raw_server(talk) as uri:
        ended = await connect("-v", uri)
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert ended.err.startswith("wirebird: ")
    assert ended.err.count("\n") == 1
    assert len(ended.err) < 2000
    assert ended.err.removesuffix("\n").isprintable(), ended.err
    assert "s3cret" not in ended.err


def accept(head: bytes) -> bytes:
    """The header that answers the key in a request's head."""
    lines = head.decode().splitlines()
    (key,) = (line.split(": ")[1] for line in lines if line.startswith("Sec-WebSocket-Key"))
    return f"Sec-WebSocket-Accept: {accept_key(key)}\r\n".encode()


async def test_headers_of_the_peer_are_escaped() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 \x9b31m\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            + accept(head)
            + b"X: \x9b31m\xad\t\r\n\r\n\x88\x00"
        )
        await reader.read()

    async with raw_server(talk) as uri:
        ended = await connect("-v", *UNTIL_CLOSED, uri)
    assert ended.code == 0
    assert "< HTTP/1.1 101 \\x9b31m\n" in ended.err
    assert "< X: \\x9b31m\\xad\n" in ended.err
    assert all(line.isprintable() for line in ended.err.splitlines())


async def test_passwords_are_not_shown() -> None:
    async with serving(echo_of(0)) as (_, uri):
        ended = await connect(*UNTIL_CLOSED, uri.replace("://", "://ann:s3cret@"))
    assert ended.code == 0
    assert "connected to ws://ann:***@127.0.0.1:" in ended.err
    assert "s3cret" not in ended.err


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\n\x1b[31mno", "HTTP 403 Forbidden"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200 OK"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "Connection"),
        (b"SSH-2.0-OpenSSH_9.2 \x1b[31m\r\n", "opening handshake failed"),
        (b"", "opening handshake failed"),
    ],
)
async def test_a_refused_handshake_is_3(head: bytes, why: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)

    async with raw_server(talk) as uri:
        ended = await connect(uri)
    assert (ended.code, ended.out) == (3, "")
    assert why in ended.err
    assert "\x1b" not in ended.err


async def test_nobody_listening_is_4() -> None:
    async with raw_server(lambda reader, writer: asyncio.sleep(0)) as uri:
        pass  # now its port is free
    ended = await connect(uri)
    assert ended.code == 4
    assert "nobody listens there" in ended.err


async def test_an_unknown_host_is_4() -> None:
    ended = await connect("ws://does-not-exist.invalid/")
    assert ended.code == 4
    assert "cannot connect" in ended.err


async def test_a_timeout_is_4() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silence) as uri:
        ended = await connect("--timeout", "0.2", uri)
    assert ended.code == 4
    assert "no answer within 0.2 s" in ended.err


async def test_a_broken_connection_is_1() -> None:
    async def handler(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with serving(handler) as (_, uri):
        ended = await connect(*UNTIL_CLOSED, uri)
    assert ended.code == 1
    assert "without a closing handshake (1006)" in ended.err


async def test_ctrl_c_is_130_and_closes_the_connection() -> None:
    closed: list[int | None] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.send("here")
        await connection.wait_closed()
        closed.append(connection.close_code)

    async with serving(handler) as (_, uri):
        process = await start(uri)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGINT)
        # The input stays open: its reader must not hold up the end.
        await process.wait()
        _, err = await process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert closed == [1000]


async def test_nobody_reading_is_141() -> None:
    async with serving() as (_, uri):
        process = await start(uri)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x\n")
        assert await process.stdout.readline() == b"x\n"
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        process.stdin.write(b"y\n")
        await process.wait()
        assert process.stderr is not None
        err = await process.stderr.read()
        process.stdin.close()
    assert process.returncode == 141
    assert b"Traceback" not in err
    assert b"Exception" not in err


async def test_ctrl_c_is_heard_while_nobody_reads_the_output() -> None:
    answered = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        await connection.send("x" * 2**20)  # more than a pipe holds
        await (await connection.ping())
        answered.set()
        await connection.wait_closed()

    async with serving(handler) as (_, uri):
        reader, writer = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "wirebird", "connect", uri),
            stdin=asyncio.subprocess.PIPE,
            stdout=writer,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
        )
        os.close(writer)
        await answered.wait()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        os.close(reader)
    assert process.returncode == 130
    assert b"Traceback" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
async def test_output_that_cannot_be_written_is_1() -> None:
    async with serving() as (_, uri):
        with open("/dev/full", "wb") as full:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "wirebird", "connect", *UNTIL_CLOSED, uri),
                stdin=asyncio.subprocess.PIPE,
                stdout=full,
                stderr=asyncio.subprocess.PIPE,
                env=environment(),
            )
        _, err = await process.communicate(b"x\n")
    assert process.returncode == 1
    assert b"cannot write the output: No space left on device" in err
    assert b"Traceback" not in err


async def test_hanging_up_waits_little_for_a_peer_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wirebird.cli.connect.HANG_UP_WITHIN_S", 0.01)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\n")
        writer.write(accept(head) + b"\r\n")
        await reader.read()

    async with raw_server(talk) as uri:
        connection = await client.connect(uri, close_timeout=None, proxy=None)
        await hang_up(connection)
        await connection.wait_closed()
    assert connection.close_code == 1006


# A terminal


class Terminal:
    """``wirebird connect`` in a pseudo-terminal."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self.master = master
        self.process = process
        self.screen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    async def _read(self) -> bytes:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self.master, readable.set)
        try:
            async with asyncio.timeout(20):
                await readable.wait()
            return os.read(self.master, 65536)
        except OSError:
            return b""  # nothing for too long, or nobody has the other end any more
        finally:
            loop.remove_reader(self.master)

    async def until(self, text: str) -> str:
        """Read until ``text`` is on the screen; return what came since the last time."""
        while text not in self.screen:
            chunk = await self._read()
            assert chunk, f"{text!r} never came; what did: {self.screen!r}"
            self.screen += self._decoder.decode(chunk)
        before, found, self.screen = self.screen.partition(text)
        return before + found

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        os.write(self.master, line.encode() + b"\r")


@contextlib.asynccontextmanager
async def terminal(*arguments: str, **more: str) -> AsyncIterator[Terminal]:
    """Start ``wirebird connect`` in a pseudo-terminal."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (40, 160))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wirebird", "connect", *arguments),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(**more),
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(master)


async def test_a_conversation_at_the_prompt(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with (
        serving() as (_, uri),
        terminal(uri, XDG_STATE_HOME=str(state)) as screen,
    ):
        await screen.until("connected to")
        await screen.until("»")
        screen.type("hello")
        shown = await screen.until("  hello")
        assert "< text 5 B" in shown
        assert "\x1b[36m" in shown  # in colour
        screen.type("/binary 00 ff")
        await screen.until("< binary 2 B")
        await screen.until("00 ff")
        screen.type("/ping now")
        await screen.until("the round trip took")
        screen.type("/nonsense")
        await screen.until("no command /nonsense")
        screen.type("/close 4002 enough")
        await screen.until("closed by us with 4002 (private use) enough; answered with 4002")
        assert await screen.process.wait() == 1
    history = state / "wirebird" / "history"
    assert "+hello\n" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


async def test_a_terminal_gets_no_control_characters_of_the_peer(tmp_path: Path) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send(EVIL)
        await connection.close(4001, EVIL)

    async with (
        serving(handler) as (_, uri),
        terminal(uri, NO_COLOR="1", XDG_STATE_HOME=str(tmp_path)) as screen,
    ):
        shown = await screen.until(f"closed by the peer with 4001 (private use) {EVIL_SHOWN}")
        assert await screen.process.wait() == 1
    assert "< text 29 B" in shown
    assert f"  {EVIL_SHOWN}" in shown
    for part in ("\x1b[2Jred", "\x9b", "\u202e", "\x07"):
        assert part not in shown


@pytest.mark.parametrize(("key", "code"), [(b"\x04", 0), (b"\x03", 130)])
async def test_ctrl_d_and_ctrl_c_at_the_prompt(key: bytes, code: int, tmp_path: Path) -> None:
    async with serving() as (_, uri), terminal(uri, XDG_STATE_HOME=str(tmp_path)) as screen:
        await screen.until("»")
        os.write(screen.master, key)
        await screen.until("closed by us with 1000 (OK); answered with 1000 (OK)")
        assert await screen.process.wait() == code


async def test_a_terminal_that_lacks_a_character_shows_its_escape(tmp_path: Path) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("h\u00e9")

    master, slave = os.openpty()
    async with serving(handler) as (_, uri):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "wirebird", "connect", *UNTIL_CLOSED, uri),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env=environment(PYTHONIOENCODING="ascii", NO_COLOR="1"),
        )
        os.close(slave)
        await Terminal(master, process).until("h\\xe9")
        assert await process.wait() == 0
        os.close(master)
