"""The examples that the RFCs print, byte for byte over a raw socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator

import pytest
from tests.interop.peers import V1, V2, echo_server, names

from wirebird.asyncio.client import connect
from wirebird.typing import Origin

# RFC 6455, 1.2, with the subprotocols that our echo server knows.
REQUEST = b"""\
GET /chat HTTP/1.1\r
Host: server.example.com\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
Origin: http://example.com\r
Sec-WebSocket-Protocol: v1, v2\r
Sec-WebSocket-Version: 13\r
"""
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
KEY = bytes.fromhex("37fa213d")
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def masked(head: str, payload: bytes) -> bytes:
    """A frame of a client, with the key that the RFC uses; its head in hexadecimal."""
    key = KEY * (len(payload) // 4 + 1)
    return bytes.fromhex(head) + KEY + bytes(a ^ b for a, b in zip(payload, key, strict=False))


# RFC 6455, 5.7: what a client sends, and what an echo is. The frames of clients that the RFC
# prints without a mask are masked here, as 5.1 demands.
EXCHANGES = {
    "text": (bytes.fromhex("818537fa213d7f9f4d5158"), bytes.fromhex("810548656c6c6f")),
    "fragments": (
        masked("0183", b"Hel") + masked("8082", b"lo"),
        bytes.fromhex("810548656c6c6f"),
    ),
    "ping": (masked("8985", b"Hello"), bytes.fromhex("8a0548656c6c6f")),
    "256 bytes": (
        masked("82fe0100", bytes(range(256))),
        bytes.fromhex("827e0100") + bytes(range(256)),
    ),
    "64 KB": (
        masked("82ff0000000000010000", bytes(65536)),
        bytes.fromhex("827f0000000000010000") + bytes(65536),
    ),
    "close": (masked("8882", b"\x03\xe8"), bytes.fromhex("880203e8")),
}


@contextlib.asynccontextmanager
async def raw_connection(
    request: bytes,
) -> AsyncIterator[tuple[list[bytes], asyncio.StreamReader, asyncio.StreamWriter]]:
    """The lines of our server's answer to a request, and the stream behind it."""
    async with echo_server(subprotocols=[V1, V2], server_header=None) as server:
        reader, writer = await asyncio.open_connection("localhost", server.port)
        try:
            writer.write(request + b"\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            yield head.removesuffix(b"\r\n\r\n").split(b"\r\n"), reader, writer
        finally:
            writer.close()
            await writer.wait_closed()


async def test_the_opening_handshake() -> None:
    async with raw_connection(REQUEST) as (lines, _, _):
        date = [line for line in lines if line.startswith(b"Date: ")]
        assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
        assert sorted(set(lines[1:]) - set(date)) == [
            b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            b"Sec-WebSocket-Protocol: v1",
            b"Upgrade: websocket",
        ]


@pytest.mark.parametrize("name", EXCHANGES)
async def test_frames(name: str) -> None:
    sent, expected = EXCHANGES[name]
    async with raw_connection(REQUEST) as (_, reader, writer):
        writer.write(sent)
        assert await reader.readexactly(len(expected)) == expected
        if name == "close":
            # RFC 6455, 7.1.1: the server ends TCP first.
            assert await reader.read() == b""


async def test_frames_byte_by_byte() -> None:
    async with raw_connection(REQUEST) as (_, reader, writer):
        for name in ("text", "fragments", "ping", "256 bytes", "close"):
            sent, expected = EXCHANGES[name]
            for index in range(len(sent)):
                writer.write(sent[index : index + 1])
                await writer.drain()
                await asyncio.sleep(0)
            assert await reader.readexactly(len(expected)) == expected


@pytest.mark.parametrize(
    "sent",
    [
        # RFC 7692, 7.2.3.1: one compressed frame, and the same in two fragments.
        masked("c187", bytes.fromhex("f248cdc9c90700")),
        masked("4183", bytes.fromhex("f248cd")) + masked("8084", bytes.fromhex("c9c90700")),
        # 7.2.3.3: a block without compression.
        masked("c18b", bytes.fromhex("000500faff48656c6c6f00")),
        # 7.2.3.4: a block with the final bit.
        masked("c188", bytes.fromhex("f348cdc9c9070000")),
        # 7.2.3.5: two blocks.
        masked("c18d", bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", ""))),
    ],
)
async def test_compressed_frames(sent: bytes) -> None:
    async with raw_connection(REQUEST + DEFLATE) as (lines, reader, writer):
        assert any(line.startswith(DEFLATE.rstrip()) for line in lines)
        writer.write(sent)
        # Ours is compressed too: RSV1, and 7 bytes, the first time that "Hello" goes by.
        head = await reader.readexactly(2)
        assert head == b"\xc1\x07"
        assert await reader.readexactly(7) == bytes.fromhex("f248cdc9c90700")


async def test_a_context_is_kept_between_messages() -> None:
    async with raw_connection(REQUEST + DEFLATE) as (_, reader, writer):
        # RFC 7692, 7.2.3.2: the second "Hello" refers to the first.
        writer.write(masked("c187", bytes.fromhex("f248cdc9c90700")))
        assert await reader.readexactly(9) == bytes.fromhex("c107f248cdc9c90700")
        writer.write(masked("c185", bytes.fromhex("f200110000")))
        assert await reader.readexactly(7) == bytes.fromhex("c105f200110000")


async def test_what_our_client_asks() -> None:
    request: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    closing: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        request.set_result(head)
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        accept = base64.b64encode(hashlib.sha1(fields[b"Sec-WebSocket-Key"] + GUID).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
            # Frames in the same segment as the head, the last a Close.
            + bytes.fromhex("810548656c6c6f" + "010348656c" + "80026c6f" + "880203e8")
        )
        # Close in answer, masked, with the same code.
        closing.set_result(await reader.readexactly(8))
        writer.close()

    server = await asyncio.start_server(answer, "localhost", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with connect(
            f"ws://localhost:{port}/chat?room=1",
            compression=None,
            origin=Origin("http://example.com"),
            user_agent_header=None,
        ) as client:
            assert names(client) == []
            assert [message async for message in client] == ["Hello", "Hello"]
            assert client.close_code == 1000
    close = await closing
    assert close[:2] == b"\x88\x82"
    assert bytes(a ^ b for a, b in zip(close[2:6], close[6:], strict=False)) == b"\x03\xe8"
    lines = (await request).decode().split("\r\n")
    key = next(line for line in lines if line.startswith("Sec-WebSocket-Key: "))
    assert len(base64.b64decode(key.split(": ")[1], validate=True)) == 16
    assert lines[0] == "GET /chat?room=1 HTTP/1.1"
    assert sorted(line for line in lines[1:] if line and line != key) == [
        "Connection: Upgrade",
        f"Host: localhost:{port}",
        "Origin: http://example.com",
        "Sec-WebSocket-Version: 13",
        "Upgrade: websocket",
    ]
