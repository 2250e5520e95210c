"""The essentials again, on each event loop: asyncio's, the same in debug mode, uvloop."""

from __future__ import annotations

import asyncio
import pathlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from tests.asyncio.pair import pair, raw_and_server, turns
from tests.attacks.raw import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    close_payload,
    echo,
    echo_server,
    frame,
    opened,
    port_of,
    uri_of,
)

from wirebird.asyncio.client import connect, unix_connect
from wirebird.asyncio.server import broadcast, unix_serve
from wirebird.exceptions import ConnectionClosed, ConnectionClosedError

Run = Callable[[Coroutine[Any, Any, None]], None]


def debugging() -> asyncio.AbstractEventLoop:
    """A loop of asyncio in debug mode."""
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    return loop


LOOPS = {"asyncio": asyncio.new_event_loop, "debugging": debugging, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=list(LOOPS.values()), ids=list(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine in a loop, and fails for what only the loop saw."""

    def run_in_loop(coroutine: Coroutine[Any, Any, None]) -> None:
        unseen: list[dict[str, Any]] = []

        async def limited() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, seen: unseen.append(seen))
            async with asyncio.timeout(30):
                await coroutine

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(limited())
        assert unseen == []

    return run_in_loop


def test_messages_of_all_sizes(run: Run) -> None:
    async def main() -> None:
        async with echo_server(max_size=None) as server:
            async with connect(uri_of(server), proxy=None, max_size=None) as ws:
                for size in (0, 1, 125, 126, 65_535, 65_536, 3_000_000):
                    for message in ("x" * size, bytes(size)):
                        sending = asyncio.create_task(ws.send(message))
                        assert await ws.recv() == message
                        await sending
            assert ws.close_code == 1000

    run(main())


def test_many_messages_at_once(run: Run) -> None:
    async def main() -> None:
        async with echo_server() as server, connect(uri_of(server), proxy=None) as ws:

            async def send() -> None:
                for n in range(3000):
                    await ws.send(str(n))

            sending = asyncio.create_task(send())
            assert [await ws.recv() for _ in range(3000)] == [str(n) for n in range(3000)]
            await sending

    run(main())


def test_over_tls(run: Run, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def main() -> None:
        async with echo_server(ssl=server_tls) as server:
            uri = f"wss://localhost:{port_of(server)}/"
            async with connect(uri, proxy=None, ssl=client_tls) as ws:
                for message in ("hi", bytes(1_000_000)):
                    sending = asyncio.create_task(ws.send(message))
                    assert await ws.recv() == message
                    await sending
            assert ws.close_code == 1000
            async with connect(uri, proxy=None, ssl=client_tls) as ws:
                ws.transport.write(frame(TEXT, b"not masked", mask=False) + bytes(100_000))
                with pytest.raises(ConnectionClosedError, match="received 1002"):
                    await ws.recv()

    run(main())


def test_over_a_unix_socket(run: Run, tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        async with unix_serve(echo, path), unix_connect(path) as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"

    run(main())


def test_the_close_arrives_although_more_was_on_the_way(run: Run) -> None:
    async def main() -> None:
        async with echo_server() as server, await opened(port_of(server)) as peer:
            await peer.send(frame(TEXT, b"hi", mask=False), bytes(500_000))
            assert (await peer.frame()).code == 1002
            assert await peer.rest() == b""

    run(main())


def test_the_server_ends_tcp_first(run: Run) -> None:
    async def main() -> None:
        async with raw_and_server() as (peer, ws):
            await peer.send(frame(CLOSE, close_payload(1000)))
            assert (await peer.frame()).code == 1000
            assert await peer.rest() == b""
            assert not ws.connection_lost_waiter.done()
            peer.close()
            await ws.wait_closed()

    run(main())


def test_one_who_vanishes_is_given_up(run: Run) -> None:
    async def main() -> None:
        async with raw_and_server(ping_interval=0.02, ping_timeout=0.05, close_timeout=0.05) as (
            _,
            ws,
        ):
            with pytest.raises(ConnectionClosedError, match="keepalive ping timeout"):
                await ws.recv()

    run(main())


def test_one_who_resets_the_connection(run: Run) -> None:
    async def main() -> None:
        async with raw_and_server() as (peer, ws):
            receiving = asyncio.create_task(ws.recv())
            await turns()
            peer.reset()
            with pytest.raises(ConnectionClosedError):
                await receiving

    run(main())


def test_one_who_takes_nothing_is_cut(run: Run) -> None:
    async def main() -> None:
        async with raw_and_server(receive_buffer=4096, write_timeout=0.1) as (_, ws):
            sock = ws.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            with pytest.raises(ConnectionClosedError) as caught:
                while True:
                    await ws.send(bytes(100_000))
            assert str(caught.value.__cause__) == "the peer took nothing for 0.1 seconds"

    run(main())


def test_reading_pauses_and_goes_on(run: Run) -> None:
    async def main() -> None:
        async with raw_and_server(max_queue=2) as (peer, ws):
            sending = asyncio.create_task(peer.send(*(frame(BINARY, bytes(50_000)),) * 200))
            while ws.transport.is_reading():
                await asyncio.sleep(0)
            for _ in range(200):
                assert len(await ws.recv()) == 50_000
            await sending
            await peer.send(frame(PING, b"still here"))
            assert (await peer.frame()).opcode == PONG

    run(main())


def test_cancelling_loses_nothing(run: Run) -> None:
    async def main() -> None:
        async with raw_and_server(max_queue=None) as (peer, ws):
            count = 500
            await peer.send(*(frame(TEXT, b"%d" % n) for n in range(count)))
            received: list[object] = []

            async def receive() -> None:
                while len(received) < count:
                    received.append(await ws.recv())

            while len(received) < count:
                receiving = asyncio.create_task(receive())
                await turns(2)
                receiving.cancel()
                await asyncio.wait([receiving])
            assert received == [str(n) for n in range(count)]

    run(main())


def test_broadcasts_and_the_end_of_the_server(run: Run) -> None:
    async def main() -> None:
        async with echo_server() as server:
            clients = [await connect(uri_of(server), proxy=None) for _ in range(3)]
            broadcast(server.connections, "to all")
            server.close()
            for client in clients:
                assert [message async for message in client] == ["to all"]
                assert client.close_code == 1001
            await server.wait_closed()

    run(main())


@pytest.mark.parametrize(("way", "code"), [("close", 1000), ("abort", 1006)])
def test_the_end_while_messages_fly(run: Run, way: str, code: int) -> None:
    async def main() -> None:
        async with pair(close_timeout=1) as (client, server):

            async def flood() -> None:
                while True:
                    await server.send(bytes(1000))
                    await asyncio.sleep(0)

            flooding = asyncio.create_task(flood())
            await client.recv()
            if way == "close":
                await client.close()
            else:
                client.transport.abort()
                await client.wait_closed()
            assert client.close_code == code
            with pytest.raises(ConnectionClosed) as caught:
                await flooding
            assert isinstance(caught.value, ConnectionClosedError) is (way == "abort")

    run(main())


@pytest.mark.parametrize("has_tls", [False, True])
def test_a_header_of_the_proxy_protocol(
    run: Run, has_tls: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def scenario() -> None:
        told: dict[str, Any] = {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True}
        tls = server_tls if has_tls else None
        async with echo_server(ssl=tls, **told) as server:
            plain = socket.create_connection(("127.0.0.1", port_of(server)))
            plain.sendall(b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n")
            plain.setblocking(False)
            secure: dict[str, Any] = {"ssl": client_tls} if has_tls else {}
            uri = f"{'wss' if has_tls else 'ws'}://localhost/"
            async with connect(uri, sock=plain, proxy=None, **secure) as ws:
                await ws.send("x" * 300_000)
                assert await ws.recv() == "x" * 300_000
                (connection,) = server.connections
                assert connection.client == ("192.0.2.1", 56324)

    run(scenario())
