"""TLS on the engine's own socket, against a peer that decides about every record and segment."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import pytest
from tests.attacks.raw import (
    BINARY,
    CLOSE,
    TEXT,
    close_payload,
    frame,
    port_of,
    request,
)

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import Server, ServerConnection, serve
from wirebird.engine import is_native_built
from wirebird.exceptions import ConnectionClosedError

pytestmark = pytest.mark.skipif(
    not is_native_built(), reason="the native engine is not built: `make test` builds it"
)

READ = 256 * 1024


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections run on the native engine and own their sockets."""
    monkeypatch.setenv("WIREBIRD_ENGINE", "native")
    monkeypatch.setenv("WIREBIRD_OWN_SOCKET", "1")


class TlsPeer:
    """A client whose ciphertext goes out when, and in the pieces that, a test says."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.plaintext = bytearray()
        self.is_ended = False
        self.is_notified = False  # by close_notify

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext) -> Self:
        """Connect, and do the TLS handshake."""
        peer = cls(*await asyncio.open_connection("127.0.0.1", port), context)
        while True:
            try:
                peer.tls.do_handshake()
            except ssl.SSLWantReadError:
                await peer.pass_on()
                await peer.take()
            else:
                await peer.pass_on()
                return peer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def take(self) -> None:
        """Take a segment."""
        data = await self.reader.read(READ)
        self.incoming.write(data)
        self.is_ended = not data

    def encrypted(self, plaintext: bytes) -> bytes:
        """A record of this, or several."""
        while plaintext:
            plaintext = plaintext[self.tls.write(plaintext) :]
        return self.outgoing.read()

    async def pass_on(self, ciphertext: bytes = b"") -> None:
        """Send these bytes, or what TLS has to say."""
        self.writer.write(ciphertext or self.outgoing.read())
        await self.writer.drain()

    async def send(self, plaintext: bytes) -> None:
        """Send plaintext."""
        await self.pass_on(self.encrypted(plaintext))

    async def receive(self, length: int) -> bytes:
        """Receive plaintext of this length, or what there is before the end."""
        while len(self.plaintext) < length and not self.is_ended:
            try:
                self.plaintext += (plaintext := self.tls.read(READ))
                self.is_notified = self.is_ended = not plaintext
            except ssl.SSLZeroReturnError:  # so it is said after our own close_notify
                self.is_notified = self.is_ended = True
            except ssl.SSLWantReadError:
                await self.take()
        taken = bytes(self.plaintext[:length])
        del self.plaintext[:length]
        return taken

    async def open(self, after: bytes = b"") -> None:
        """Do the opening handshake; ``after`` follows the request in the same record."""
        await self.send(request() + after)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await self.receive(1)
        assert head.startswith(b"HTTP/1.1 101 ")


Handler = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def served(
    handler: Handler, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, **kwargs: Any
) -> AsyncIterator[tuple[TlsPeer, Server]]:
    """A server with TLS, and a peer that has done the TLS handshake."""
    async with (
        serve(handler, "127.0.0.1", 0, ssl=server_tls, compression=None, **kwargs) as server,
        await TlsPeer.connect(port_of(server), client_tls) as peer,
    ):
        yield peer, server


async def echo(ws: ServerConnection) -> None:
    """Send back what comes."""
    async for message in ws:
        await ws.send(message)


def is_owned(transport: object) -> bool:
    """Whether a transport is a socket of the engine's, under TLS."""
    return type(transport).__module__ == "wirebird.native.tls"


async def test_both_ends_own_their_sockets_and_say_what_tls_says(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        serve(echo, "127.0.0.1", 0, ssl=server_tls) as listening,
        connect(f"wss://127.0.0.1:{port_of(listening)}", ssl=client_tls, proxy=None) as client,
    ):
        (server,) = listening.connections
        for ws in (client, server):
            assert is_owned(ws.transport)
            assert isinstance(ws.transport.get_extra_info("ssl_object"), ssl.SSLObject)
            assert ws.transport.get_extra_info("cipher")[1] == "TLSv1.3"
            assert ws.transport.get_extra_info("compression") is None
            assert ws.remote_address[0] == "127.0.0.1"
        assert client.transport.get_extra_info("sslcontext") is client_tls
        assert server.transport.get_extra_info("sslcontext") is server_tls
        peercert = client.transport.get_extra_info("peercert")
        assert ("DNS", "localhost") in peercert["subjectAltName"]
        assert server.transport.get_extra_info("peercert") is None
        assert client.remote_address == server.local_address


async def test_a_pause_of_the_transport_before_is_over(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    # With this limit, asyncio's transport pauses for the opening handshake itself.
    options: dict[str, Any] = {"write_limit": 0, "compression": None}
    async with (
        serve(echo, "127.0.0.1", 0, ssl=server_tls, **options) as server,
        connect(
            f"wss://127.0.0.1:{port_of(server)}", ssl=client_tls, proxy=None, **options
        ) as client,
    ):
        assert is_owned(client.transport)
        await client.send("there")
        assert await client.recv() == "there"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_messages_of_all_sizes_come_back(
    version: ssl.TLSVersion, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    client_tls.maximum_version = version
    try:
        async with served(echo, server_tls, client_tls, max_size=None) as (peer, _):
            await peer.open()
            assert peer.tls.version() == version.name.replace("_", ".")
            for size in (0, 1, 125, 16_380, 16_384, 16_385, 65_536, 300_000, 3_000_000):
                payload = bytes(range(251)) * (size // 251 + 1)
                message = frame(BINARY, payload[:size], mask=False)
                sending = asyncio.create_task(peer.send(frame(BINARY, payload[:size])))
                assert await peer.receive(len(message)) == message
                await sending
    finally:
        client_tls.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED


async def test_records_may_come_byte_by_byte_and_many_at_once(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with served(echo, server_tls, client_tls) as (peer, _):
        await peer.open()
        ciphertext = peer.encrypted(frame(TEXT, b"slow")) + peer.encrypted(frame(TEXT, b"er"))
        for i in range(len(ciphertext)):
            await peer.pass_on(ciphertext[i : i + 1])
            await asyncio.sleep(0)
        assert await peer.receive(10) == frame(TEXT, b"slow", mask=False) + frame(
            TEXT, b"er", mask=False
        )
        many = [frame(TEXT, b"%d" % i) for i in range(3000)]
        await peer.pass_on(b"".join(peer.encrypted(message) for message in many))
        expected = b"".join(frame(TEXT, b"%d" % i, mask=False) for i in range(3000))
        assert await peer.receive(len(expected)) == expected


async def test_what_follows_the_request_at_once_is_not_lost(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with served(echo, server_tls, client_tls) as (peer, _):
        early = peer.encrypted(request() + frame(TEXT, b"1")) + peer.encrypted(frame(TEXT, b"2"))
        third = peer.encrypted(frame(TEXT, b"3"))
        await peer.pass_on(early + third[:10])
        answer = await peer.receive(len(b"HTTP/1.1 101 "))
        assert answer == b"HTTP/1.1 101 "
        while not answer.endswith(b"\r\n\r\n"):
            answer += await peer.receive(1)
        assert await peer.receive(6) == b"\x81\x011\x81\x012"
        await peer.pass_on(third[10:])
        assert await peer.receive(3) == b"\x81\x013"


async def test_a_big_message_before_the_socket_is_ours_is_not_lost(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """More than asyncio's TLS hands over at once comes with the request."""
    payload = bytes(range(256)) * 2000
    async with served(echo, server_tls, client_tls) as (peer, _):
        sending = asyncio.create_task(peer.open(after=frame(BINARY, payload)))
        await sending
        expected = frame(BINARY, payload, mask=False)
        assert await peer.receive(len(expected)) == expected


async def test_the_peer_ends_by_close_notify_or_without(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    ended: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()

    async def handler(ws: ServerConnection) -> None:
        with pytest.raises(ConnectionClosedError):
            await ws.recv()
        ended.put_nowait((ws.close_code, is_owned(ws.transport)))

    for says_goodbye in (True, False):
        async with served(handler, server_tls, client_tls) as (peer, _):
            await peer.open()
            if says_goodbye:
                with pytest.raises(ssl.SSLWantReadError):
                    peer.tls.unwrap()
                await peer.pass_on()
            else:
                peer.writer.write_eof()
            assert await peer.receive(1) == b""
            assert peer.is_ended
            assert await ended.get() == (1006, True)


async def test_our_direction_ends_with_close_notify_and_the_peers_goes_on(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """So nobody waits for a moment, as over asyncio's transport, until TCP ends."""
    got: list[str | bytes] = []

    async def handler(ws: ServerConnection) -> None:
        closing = asyncio.create_task(ws.close())
        got.extend([message async for message in ws])
        await closing

    async with served(handler, server_tls, client_tls, close_timeout=None) as (peer, _):
        await peer.open()
        ours = frame(CLOSE, close_payload(1000), mask=False)
        assert await peer.receive(len(ours)) == ours
        await peer.send(frame(TEXT, b"late"))
        await peer.send(frame(CLOSE, close_payload(1000)))
        assert await peer.receive(1) == b""
        assert peer.is_notified
        assert await peer.reader.read() == b""  # TCP's end too, before we say anything
        peer.writer.close()
    assert got == ["late"]


async def test_a_record_that_was_changed_ends_the_connection_with_an_alert(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    ended: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()

    async def handler(ws: ServerConnection) -> None:
        assert await ws.recv() == "right"
        with pytest.raises(ConnectionClosedError) as raised:
            await ws.recv()
        assert isinstance(raised.value.__cause__, ssl.SSLError)
        ended.set_result(ws)

    async with served(handler, server_tls, client_tls) as (peer, _):
        await peer.open()
        right, wrong = peer.encrypted(frame(TEXT, b"right")), peer.encrypted(frame(TEXT, b"wrong"))
        await peer.pass_on(right + wrong[:-1] + bytes([wrong[-1] ^ 1]))
        with pytest.raises(ssl.SSLError, match=r"(?i)alert bad record mac"):
            await peer.receive(1)
        assert (await ended).close_code == 1006


async def test_a_peer_that_does_not_read_is_waited_for(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    payload = bytes(range(256)) * 256
    sent = 0

    async def handler(ws: ServerConnection) -> None:
        nonlocal sent
        for _ in range(400):
            await ws.send(payload)
            sent += 1

    async with served(handler, server_tls, client_tls) as (peer, server):
        await peer.open()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            await asyncio.sleep(0.05)
        assert sent < 400
        (ws,) = server.connections
        assert 0 < ws.transport.get_write_buffer_size() < 2 * 65_536 + 32_768
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        expected = frame(BINARY, payload, mask=False)
        for _ in range(400):
            assert await peer.receive(len(expected)) == expected


async def test_a_handler_that_does_not_receive_stops_the_peer(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    may_receive = asyncio.Event()
    received: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def handler(ws: ServerConnection) -> None:
        await may_receive.wait()
        count = 0
        while count < 300:
            assert await ws.recv() == bytes(65_536)
            count += 1
        received.set_result(count)

    async with served(handler, server_tls, client_tls) as (peer, server):
        await peer.open()
        sending = asyncio.create_task(peer.send(frame(BINARY, bytes(65_536)) * 300))
        done, _ = await asyncio.wait([sending], timeout=0.3)
        assert not done
        (ws,) = server.connections
        assert not ws.transport.is_reading()
        may_receive.set()
        assert await received == 300
        await sending


async def test_where_asyncio_differs_the_connection_stays_with_its_transport(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncio.sslproto._SSLProtocolTransport.__module__", "elsewhere")
    async with served(echo, server_tls, client_tls) as (peer, server):
        await peer.open()
        (ws,) = server.connections
        assert not is_owned(ws.transport)
        await peer.send(frame(TEXT, b"hi"))
        assert await peer.receive(4) == frame(TEXT, b"hi", mask=False)
