"""Connecting to hosts of which some addresses are dead, over real sockets.

What a name resolves to is made up, since nothing else can be relied on; the addresses are real:
one that refuses, one that takes no further connection (its queue is full), one that answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.attacks.raw import echo_server, port_of, uri_of

from wirebird.asyncio.client import connect
from wirebird.asyncio.dialing import dial, look_up
from wirebird.client import process_exception
from wirebird.testing import FakeClock

FOUR, SIX = "127.0.0.1", "::1"


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Make the name host.example have these addresses; each may have a port of its own."""
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def fake(host: Any, port: Any, **kwargs: Any) -> Any:
        if host != "host.example":
            return await real(host, port, **kwargs)
        found = []
        for address, other_port in addresses:
            found += await real(address, other_port, **kwargs)
        return found

    monkeypatch.setattr(loop, "getaddrinfo", fake)


@pytest.fixture
def dead() -> Iterator[tuple[str, int]]:
    """An address on ::1 where nobody listens."""
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind((SIX, 0))
        yield SIX, sock.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address on ::1 that answers no SYN: its queue is full."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket(socket.AF_INET6))
        full.bind((SIX, 0))
        full.listen(0)
        for _ in range(4):
            sock = stack.enter_context(socket.socket(socket.AF_INET6))
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        yield SIX, full.getsockname()[1]


def open_files() -> set[str]:
    """What the descriptors of this process are."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of this list
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
    return found


@contextlib.asynccontextmanager
async def leaks_nothing() -> AsyncIterator[None]:
    """Hold that no task and no descriptor is left."""
    # The loop's executor, which looks up names, and its threads have none of their own.
    await asyncio.get_running_loop().getaddrinfo(FOUR, 80)
    gc.collect()  # what other tests left
    before, tasks = open_files(), asyncio.all_tasks()
    yield
    # The other ends are in this process too, and need some turns to see that it is over.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while asyncio.all_tasks() - tasks or open_files() - before:
                await asyncio.sleep(0.001)
    assert asyncio.all_tasks() <= tasks
    assert not open_files() - before


async def test_one_that_refuses_and_one_that_answers(
    dead: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with echo_server() as server:
        resolves_to(monkeypatch, dead, (FOUR, port_of(server)))
        # It does not wait for a delay where the answer is no.
        async with connect("ws://host.example/", proxy=None, happy_eyeballs_delay=1000) as ws:
            assert ws.remote_address[0] == FOUR


async def test_one_that_is_silent_and_one_that_answers(
    silent: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((FOUR, 0)) as server:
        async with leaks_nothing():
            resolves_to(monkeypatch, silent, server.getsockname())
            sock = await dial("host.example", 80, happy_eyeballs_delay=0.01)
            assert sock.getpeername()[0] == FOUR
            sock.close()


async def test_one_that_refuses_after_one_that_is_silent(
    silent: tuple[str, int], dead: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with echo_server() as server:
        resolves_to(monkeypatch, silent, dead, (FOUR, port_of(server)))
        async with await connect("ws://host.example/", proxy=None, happy_eyeballs_delay=0.01) as ws:
            assert ws.remote_address[0] == FOUR


async def test_the_proxy_too_has_addresses(
    silent: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.asyncio.test_tunnel import proxy, socks5

    async with echo_server() as server, proxy() as way, socks5() as (port, _):
        for scheme, at in (("http", way.port), ("socks5h", port)):
            resolves_to(monkeypatch, silent, (FOUR, at))
            async with connect(
                uri_of(server), proxy=f"{scheme}://host.example", happy_eyeballs_delay=0.01
            ) as ws:
                await ws.send("hi")
                assert await ws.recv() == "hi"


async def test_all_refuse(dead: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    async with leaks_nothing():
        with socket.socket() as sock:
            sock.bind((FOUR, 0))
            resolves_to(monkeypatch, dead, sock.getsockname())
            with pytest.raises(ConnectionRefusedError) as caught:
                await connect("ws://host.example:81/", proxy=None)
        assert caught.value.__notes__ == ["while connecting to host.example, port 81"]
        assert process_exception(caught.value) is None
        with pytest.raises(ExceptionGroup):
            await connect("ws://host.example:81/", proxy=None, all_errors=True)


async def test_a_name_that_nobody_has() -> None:
    with pytest.raises(socket.gaierror) as caught:
        await connect("ws://nobody.invalid/", proxy=None)
    assert caught.value.__notes__ == ["while looking up nobody.invalid"]
    assert process_exception(caught.value) is None


async def test_nobody_answers_in_time(
    fake_clock: FakeClock, silent: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with leaks_nothing():
        resolves_to(monkeypatch, silent)
        with pytest.raises(TimeoutError, match="timed out during opening handshake") as caught:
            await connect("ws://host.example/", proxy=None, open_timeout=10)
        assert caught.value.__notes__ == ["while connecting to host.example, port 80"]


async def test_cancelled_while_two_attempts_go_on(
    silent: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with leaks_nothing():
        resolves_to(monkeypatch, silent, silent, silent)
        task = asyncio.ensure_future(dial("host.example", 80, happy_eyeballs_delay=0))
        while len(asyncio.all_tasks()) < 5:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_cancelled_at_any_turn(
    silent: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when one attempt has just won, and the other is being given up."""
    with socket.create_server((FOUR, 0)) as server:
        async with leaks_nothing():
            resolves_to(monkeypatch, silent, server.getsockname())
            has_connected = False
            turns = 0
            while not has_connected:
                task = asyncio.ensure_future(dial("host.example", 80, happy_eyeballs_delay=0))
                while not (is_begun := len(asyncio.all_tasks()) >= 4) and not task.done():
                    await asyncio.sleep(0)
                for _ in range(turns):
                    await asyncio.sleep(0)
                has_connected = not task.cancel()
                (outcome,) = await asyncio.gather(task, return_exceptions=True)
                if isinstance(outcome, socket.socket):
                    outcome.close()
                else:
                    assert isinstance(outcome, asyncio.CancelledError)
                turns += 1
            assert is_begun
            assert turns > 2


async def test_from_an_address_of_ours() -> None:
    async with echo_server() as server:
        async with connect(uri_of(server), proxy=None, local_addr=("127.0.0.2", 0)) as ws:
            assert ws.local_address[0] == "127.0.0.2"
        with pytest.raises(OSError, match="no local address of that family"):
            await connect(uri_of(server), proxy=None, local_addr=(SIX, 0))
        with pytest.raises(OSError):
            await connect(uri_of(server), proxy=None, local_addr=("192.0.2.77", 0))


async def test_a_family_that_the_host_has_not() -> None:
    async with echo_server() as server:
        with pytest.raises(socket.gaierror):
            await connect(uri_of(server), proxy=None, family=socket.AF_INET6)


async def test_an_address_with_a_zone() -> None:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(asyncio.Protocol, SIX, 0) as server:
        port = server.sockets[0].getsockname()[1]
        sock = await dial(f"::1%{socket.if_nametoindex('lo')}", port)
        sock.close()


@pytest.mark.parametrize("nodelay", [False, True])
async def test_options_of_the_connection(nodelay: bool) -> None:
    async with echo_server() as server:
        async with connect(
            uri_of(server), proxy=None, tcp_nodelay=nodelay, tcp_keepalive=(7, 8, 9)
        ) as ws:
            sock = ws.transport.get_extra_info("socket")
            assert bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is nodelay
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 9
        with pytest.raises(ValueError, match="tcp_keepalive"):
            connect(uri_of(server), tcp_keepalive=(0, 0, 0))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_not_looked_up(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> None:
        raise AssertionError("a thread would wait for it")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    ((_, _, _, _, address),) = await look_up(host, 80)
    assert address[:2] == (host, 80)
