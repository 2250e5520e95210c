"""Bombs and worse in brotli and zstd: refused in time, at little cost, with the right code."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import brotli
import pytest
import zstandard
from tests.attacks.raw import (
    BINARY,
    CONT,
    MIB,
    PING,
    PONG,
    TEXT,
    RawPeer,
    bystander,
    echo_server,
    frame,
    memory,
    opened,
    port_of,
)

from wirebird.asyncio.server import Server

BROTLI = "Sec-WebSocket-Extensions: permessage-brotli"
ZSTD = "Sec-WebSocket-Extensions: permessage-zstd"
ZSTD_HEAD = b"\x28\xb5\x2f\xfd\x00\x00"  # a window of 1 KB


def zstd_of(data: bytes, window_log: int = 15, level: int = 3) -> bytes:
    settings = zstandard.ZstdCompressionParameters.from_level(level, window_log=window_log)
    packer = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    return packer.compress(data) + packer.flush()


def brotli_of(data: bytes) -> bytes:
    packed: bytes = brotli.compress(data, quality=1)
    return packed


each = pytest.mark.parametrize(
    ("offer", "packed"), [(BROTLI, brotli_of), (ZSTD, zstd_of)], ids=["brotli", "zstd"]
)
Packed = Callable[[bytes], bytes]


@functools.cache
def bomb(packed: Packed) -> bytes:
    return packed(bytes(100 * MIB))


@contextlib.asynccontextmanager
async def attacked() -> AsyncIterator[Server]:
    """A server that goes on serving others, whatever happens to it."""
    async with echo_server(compression=("brotli", "zstd")) as server, bystander(server):
        yield server


async def refusal(server: Server, offer: str, *data: bytes) -> tuple[int, str]:
    async with await opened(port_of(server), offer) as peer:
        await peer.send(*data)
        close = await peer.close_frame()
        assert await peer.rest() == b""
        return close.code, close.reason


@each
async def test_a_bomb_is_refused_at_the_limit(offer: str, packed: Packed) -> None:
    data = bomb(packed)
    assert len(data) < MIB
    async with attacked() as server:
        with memory() as used:
            code, reason = await refusal(server, offer, frame(BINARY, data, rsv=4))
        assert (code, reason) == (1009, f"frame exceeds limit of {MIB} bytes")
        assert used.peak < 8 * MIB


@each
async def test_a_bomb_in_fragments(offer: str, packed: Packed) -> None:
    data = bomb(packed)
    size = max(1, len(data) // 50)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    frames = frame(BINARY, pieces[0], rsv=4, fin=False)
    frames += b"".join(frame(CONT, piece, fin=False) for piece in pieces[1:])
    async with attacked() as server:
        with memory() as used:
            code, _ = await refusal(server, offer, frames)
        assert code == 1009
        assert used.peak < 8 * MIB


@each
async def test_many_messages_at_the_limit_are_inflated_one_by_one(
    offer: str, packed: Packed
) -> None:
    data = frame(TEXT, packed(b"a" * MIB), rsv=4)
    async with attacked() as server, await opened(port_of(server), offer) as peer:
        with memory() as used:
            for _ in range(20):
                await peer.send(data)
            for _ in range(20):
                echoed = await peer.frame()
                assert echoed.rsv & 4
                assert len(echoed.payload) < 4096
        assert used.peak < 12 * MIB


@each
async def test_what_is_not_what_it_says(offer: str, packed: Packed) -> None:
    message = packed(b"a message, and what else " * 20)
    wrong = [
        os.urandom(300),
        message[:-1],
        message + b"\xff\xff\xff\xff",
        b"\xff" * 100,
        bytes(100),
    ]
    async with attacked() as server:
        for payload in wrong:
            code, reason = await refusal(server, offer, frame(BINARY, payload, rsv=4))
            assert (code, reason.partition(":")[0]) == (1002, "invalid compressed payload")
        text = packed(b"\xc3\x28 is no UTF-8")
        assert (await refusal(server, offer, frame(TEXT, text, rsv=4)))[0] == 1007
        first = frame(BINARY, message[:9], rsv=4, fin=False)
        for after, code in [(frame(CONT, message[9:], rsv=4), 1002), (frame(PING, rsv=4), 1002)]:
            assert (await refusal(server, offer, first, after))[0] == code


async def conversed(peer: RawPeer, data: bytes, expected: bytes) -> None:
    await peer.send(data)
    echoed = await peer.frame()
    assert echoed.rsv & 4
    assert echoed.payload
    assert expected == b"" or len(echoed.payload) < len(expected) + 20


@each
async def test_control_frames_between_fragments(offer: str, packed: Packed) -> None:
    message = b"a message in fragments " * 10
    payload = packed(message)
    async with attacked() as server, await opened(port_of(server), offer) as peer:
        await peer.send(
            frame(BINARY, payload[:5], rsv=4, fin=False),
            frame(PING, b"between"),
            frame(CONT, b"", fin=False),
        )
        pong = await peer.frame()
        assert (pong.opcode, pong.payload, pong.rsv) == (PONG, b"between", 0)
        await conversed(peer, frame(CONT, payload[5:]), message)


async def test_large_windows_of_brotli_are_refused() -> None:
    """A header of RFC 7932 has 16 MB at most; behind 0x11 comes one of "large window brotli"."""
    async with attacked() as server:
        for bits in range(10, 63):
            header = bytes([0x11, bits]) + brotli_of(b"a")[1:]
            code, reason = await refusal(server, BROTLI, frame(BINARY, header, rsv=4))
            assert code == 1002
            assert reason.startswith("invalid compressed payload: brotli")


async def test_windows_of_zstd_beyond_what_was_agreed_on() -> None:
    async with attacked() as server:
        fits = zstd_of(b"a" * 200_000, window_log=17)
        async with await opened(port_of(server), ZSTD) as peer:
            await conversed(peer, frame(BINARY, fits, rsv=4), fits)
        for window_log, offer, most in [
            (18, ZSTD, 1 << 17),
            (30, ZSTD, 1 << 17),
            (16, f"{ZSTD}; client_max_window_bits", 1 << 15),
            (11, f"{ZSTD}; client_max_window_bits=10", 1 << 10),
        ]:
            head = ZSTD_HEAD[:5] + bytes([window_log - 10 << 3]) + b"\x19\x00\x00abc"
            code, reason = await refusal(server, offer, frame(BINARY, head, rsv=4))
            assert code == 1002
            assert reason == (
                f"invalid compressed payload: a window of {1 << window_log} bytes, "
                f"at most {most} were agreed on"
            )


async def test_a_context_that_may_not_be_kept() -> None:
    async with attacked() as server:
        open_frame = ZSTD_HEAD + b"\x18\x00\x00abc"
        offer = f"{ZSTD}; client_no_context_takeover"
        code, reason = await refusal(server, offer, frame(BINARY, open_frame, rsv=4))
        assert code == 1002
        assert "stops within a frame" in reason


async def test_blocks_and_frames_of_nothing() -> None:
    """They cost time and give nothing, so a message has few of them."""
    async with attacked() as server:
        for nothing in (ZSTD_HEAD + bytes(3) * 300_000, (ZSTD_HEAD + b"\x01\0\0") * 90_000):
            code, reason = await refusal(server, ZSTD, frame(BINARY, nothing, rsv=4))
            assert (code, reason.partition(": ")[2]) == (1002, "too many blocks for what they give")


async def test_what_zstd_refers_to_elsewhere() -> None:
    dictionary = zstandard.train_dictionary(2000, [os.urandom(40) * 9 for _ in range(200)])
    with_dictionary = zstandard.ZstdCompressor(dict_data=dictionary).compress(b"abc" * 100)
    skipped = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + zstd_of(b"abc")
    async with attacked() as server:
        for payload in (with_dictionary, skipped):
            code, reason = await refusal(server, ZSTD, frame(BINARY, payload, rsv=4))
            assert (code, reason.partition(":")[0]) == (1002, "invalid compressed payload")


RESIDENT = """
import resource, sys
import brotli, zstandard
from wirebird.exceptions import PayloadTooBig
from wirebird.extensions.brotli_codec import BrotliInflater
from wirebird.extensions.zstd_codec import ZstdInflater
limit = 1 << 20
bombs = {"brotli": brotli.compress(bytes(400 << 20), quality=1, lgwin=24),
         "zstd": zstandard.compress(bytes(400 << 20), 1)[:0]}
packer = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters.from_level(
    1, window_log=15)).compressobj()
bombs["zstd"] = packer.compress(bytes(400 << 20)) + packer.flush()
resource.setrlimit(resource.RLIMIT_AS, (int(open("/proc/self/statm").read().split()[0]) * 4096
                                        + (48 << 20),) * 2)
for name, inflater in [("brotli", BrotliInflater()), ("zstd", ZstdInflater(17, True))]:
    try:
        inflater.inflate(bombs[name], True, limit)
    except PayloadTooBig:
        print(name)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="it counts pages as Linux does")
def test_decoders_need_little_beside_what_they_give() -> None:
    """A bomb of 400 MB is met by a process that may have 48 MB more than it has."""
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["brotli", "zstd"]
