"""Clients that send frames which should not be: what they are answered, and what they cost."""

from __future__ import annotations

import asyncio
import zlib

import pytest
from tests.attacks.raw import (
    BINARY,
    CLOSE,
    CONT,
    DEFLATE,
    MIB,
    PING,
    TEXT,
    RawPeer,
    bystander,
    close_payload,
    echo_server,
    frame,
    memory,
    opened,
    port_of,
)

from wirebird.asyncio.server import Server, ServerConnection, serve
from wirebird.exceptions import ConnectionClosedError


async def refusal(server: Server, *data: bytes, headers: tuple[str, ...] = ()) -> tuple[int, str]:
    """Send frames; return code and reason of the Close that answers, which ends the stream."""
    async with await opened(port_of(server), *headers) as peer:
        await peer.send(*data)
        close = await peer.close_frame()
        assert await peer.rest() == b""
        return close.code, close.reason


def deflated(data: bytes) -> bytes:
    """Compress a message. RFC 7692, 7.2.1."""
    compressor = zlib.compressobj(wbits=-15)
    out = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return out.removesuffix(b"\x00\x00\xff\xff")


WRONG = {
    "not masked": (frame(TEXT, b"hi", mask=False), 1002),
    "not masked, empty": (frame(TEXT, mask=False), 1002),
    "reserved data opcode": (frame(3), 1002),
    "reserved control opcode": (frame(11), 1002),
    "RSV1 without an extension": (frame(TEXT, b"hi", rsv=4), 1002),
    "RSV2": (frame(TEXT, b"hi", rsv=2), 1002),
    "RSV3 on a ping": (frame(PING, b"hi", rsv=1), 1002),
    "fragmented ping": (frame(PING, fin=False), 1002),
    "long ping": (frame(PING, bytes(126)), 1002),
    "long ping, by its header alone": (frame(PING, length=126), 1002),
    "continuation of nothing": (frame(CONT, b"hi"), 1002),
    "message within a message": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "length with its first bit set": (b"\x82\xff\xff" + bytes(7), 1002),
    "UTF-8 that cannot be": (frame(TEXT, b"a\xc0\xafb"), 1007),
    "a surrogate": (frame(TEXT, "\ud800".encode("utf-8", "surrogatepass")), 1007),
    "a character cut off": (frame(TEXT, "é".encode()[:1]), 1007),
    "cut off by the last fragment": (
        frame(TEXT, "é".encode()[:1], fin=False) + frame(CONT, b""),
        1007,
    ),
    "Close with half a code": (frame(CLOSE, b"\x03"), 1002),
    "Close with a code of the API": (frame(CLOSE, close_payload(1005)), 1002),
    "Close with 1006": (frame(CLOSE, close_payload(1006)), 1002),
    "Close with a code of nobody": (frame(CLOSE, close_payload(999)), 1002),
    "Close with a reserved code": (frame(CLOSE, close_payload(2999)), 1002),
    "Close with a code too high": (frame(CLOSE, close_payload(5000)), 1002),
    "Close whose reason is not UTF-8": (frame(CLOSE, close_payload(1000) + b"\xff"), 1007),
    "long Close": (frame(CLOSE, close_payload(1000, "x" * 124)), 1002),
}


@pytest.mark.parametrize(("data", "code"), WRONG.values(), ids=WRONG)
async def test_what_breaks_the_protocol_is_refused(data: bytes, code: int) -> None:
    async with echo_server() as server:
        assert (await refusal(server, data))[0] == code


@pytest.mark.parametrize(("data", "code"), WRONG.values(), ids=WRONG)
async def test_byte_by_byte_too(data: bytes, code: int) -> None:
    async with echo_server() as server, await opened(port_of(server)) as peer:
        for at in range(len(data)):
            if not await peer.try_send(data[at : at + 1]):
                break  # it is refused before its end
            await asyncio.sleep(0)
        assert (await peer.close_frame()).code == code
        assert await peer.rest() == b""


async def test_bad_utf8_in_the_middle_of_a_message_is_refused_at_once() -> None:
    async with echo_server() as server, await opened(port_of(server)) as peer:
        # The frame claims more than ever comes: nobody waits for it.
        await peer.send(frame(TEXT, b"fine so far \xff", length=1000))
        close = await peer.close_frame()
        assert (close.code, close.reason) == (1007, "invalid start byte at position 12")


async def test_the_handler_learns_why() -> None:
    why: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def handler(connection: ServerConnection) -> None:
        with pytest.raises(ConnectionClosedError) as caught:
            await connection.recv()
        why.set_result(caught.value.__cause__)

    async with serve(handler, "127.0.0.1", 0) as server:
        assert (await refusal(server, frame(TEXT, b"\xff")))[0] == 1007
        assert isinstance(await why, UnicodeDecodeError)


# Too much.


async def test_a_message_that_is_too_big_is_refused_by_its_header() -> None:
    async with echo_server() as server, bystander(server):
        with memory() as used:
            code, reason = await refusal(server, frame(BINARY, length=2**62))
        assert (code, reason) == (
            1009,
            f"frame with {2**62} bytes exceeds limit of {MIB} bytes",
        )
        assert used.peak < MIB


async def test_a_huge_length_and_then_a_dribble_costs_what_came() -> None:
    async with (
        echo_server(max_size=None) as server,
        bystander(server),
        await opened(port_of(server)) as peer,
    ):
        with memory() as used:
            await peer.send(frame(BINARY, length=2**62))
            for _ in range(200):
                await peer.send(b"x")
                await asyncio.sleep(0)
            await peer.send(b"y" * 100_000)
        assert used.peak < MIB
        peer.reset()


async def test_endless_empty_fragments_are_refused() -> None:
    limit = 5000
    async with echo_server(max_fragments=limit) as server, bystander(server):
        with memory() as used:
            fragments = frame(CONT, fin=False) * 1000
            async with await opened(port_of(server)) as peer:
                await peer.send(frame(TEXT, fin=False))
                sent = 1
                while sent < limit:
                    assert await peer.try_send(fragments)
                    sent += 1000
                close = await peer.close_frame()
                assert close.code == 1009
                assert close.reason == "fragmented message exceeds limit of 5000 frames"
        assert used.peak < MIB


async def test_endless_tiny_fragments_are_refused_at_the_size_of_a_message() -> None:
    async with (
        echo_server(max_size=10_000) as server,
        bystander(server),
        await opened(port_of(server)) as peer,
    ):
        await peer.send(frame(BINARY, fin=False))
        with memory() as used:
            fragments = frame(CONT, b"x", fin=False) * 1000
            for _ in range(11):
                await peer.try_send(fragments)
            assert (await peer.close_frame()).code == 1009
        assert used.peak < MIB


async def test_fragments_cost_their_bytes_and_no_object_each() -> None:
    async with echo_server() as server, await opened(port_of(server)) as peer:
        fragments = frame(CONT, b"x", fin=False) * 1000
        await peer.send(frame(BINARY, fin=False))
        with memory() as used:
            for _ in range(10):
                await peer.send(fragments)
                await asyncio.sleep(0)
            await peer.send(frame(CONT))
            echoed = await peer.frame()
        assert echoed.payload == b"x" * 10_000
        assert used.peak < MIB


# Inflation bombs.


async def test_a_bomb_is_refused_at_the_limit_and_not_inflated() -> None:
    compressor = zlib.compressobj(wbits=-15)
    # Blocks that do not look back can be repeated: 64 of 16 MiB are 1 GiB.
    block = compressor.compress(bytes(16 * MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    bomb = block * 64
    assert len(bomb) < 1.1 * MIB
    async with echo_server() as server, bystander(server):
        with memory() as used:
            code, reason = await refusal(
                server, frame(BINARY, bomb[:-4], rsv=4), headers=(DEFLATE,)
            )
        assert (code, reason) == (1009, f"frame exceeds limit of {MIB} bytes")
        # What came, what of it was copied on the way, and what may be inflated.
        assert used.peak < 8 * MIB


async def test_a_bomb_in_fragments() -> None:
    bomb = deflated(bytes(100 * MIB))
    pieces = [bomb[at : at + 1000] for at in range(0, len(bomb), 1000)]
    data = frame(BINARY, pieces[0], rsv=4, fin=False)
    data += b"".join(frame(CONT, piece, fin=False) for piece in pieces[1:])
    async with echo_server() as server, bystander(server):
        with memory() as used:
            code, _ = await refusal(server, data, headers=(DEFLATE,))
        assert code == 1009
        assert used.peak < 8 * MIB


async def test_a_bomb_in_a_bomb_is_data() -> None:
    inner = deflated(bytes(MIB))
    async with echo_server() as server, await opened(port_of(server), DEFLATE) as peer:
        await peer.send(frame(BINARY, deflated(inner), rsv=4))
        echoed = await peer.frame()
        payload = echoed.payload
        if echoed.rsv & 4:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        assert payload == inner


async def test_many_small_compressed_messages_take_no_more_than_one() -> None:
    """Each inflates to the limit; they are inflated one by one, when they are asked for."""
    small = frame(BINARY, deflated(bytes(MIB)), rsv=4)
    count = 60
    received = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal received
        async for message in connection:
            assert len(message) == MIB
            received += 1

    async with serve(handler, "127.0.0.1", 0, compression="deflate") as server:
        async with await opened(port_of(server), DEFLATE + "; client_no_context_takeover") as peer:
            with memory() as used:
                for _ in range(count):
                    await peer.send(small)
                await peer.send(frame(CLOSE, close_payload(1000)))
                await peer.close_frame()
                assert await peer.rest() == b""
        server.close()
        await server.wait_closed()
    assert received == count
    assert used.peak < 8 * MIB


async def test_what_is_not_deflate_is_refused() -> None:
    async with echo_server() as server:
        code, _ = await refusal(server, frame(TEXT, b"\xff" * 10, rsv=4), headers=(DEFLATE,))
        assert code == 1002


# After the failure.


@pytest.mark.parametrize("is_reading", [True, False])
async def test_a_client_that_talks_on_after_its_failure_is_cut(is_reading: bool) -> None:
    async with (
        echo_server() as server,
        bystander(server),
        await opened(port_of(server)) as peer,
    ):
        await peer.send(frame(TEXT, b"hi", mask=False))
        if is_reading:
            # It can read the Close before anything is cut.
            assert (await peer.close_frame()).code == 1002
        flood = bytes(64 * 1024)
        sent = 0
        with memory() as used:
            while await peer.try_send(flood):
                sent += len(flood)
                assert sent < 64 * MIB, "it is not cut"
        # 1 MiB is read, and the kernels' buffers hold some more.
        assert used.peak < 2 * MIB


async def test_the_close_arrives_although_more_was_on_the_way() -> None:
    async with echo_server() as server, await opened(port_of(server)) as peer:
        # All of it is sent before the answer is read: less than 1 MiB, so nothing is cut.
        await peer.send(frame(TEXT, b"hi", mask=False), bytes(500_000))
        close = await peer.frame()
        assert (close.opcode, close.code) == (CLOSE, 1002)
        assert await peer.rest() == b""


async def test_what_follows_a_close_means_nothing() -> None:
    received = []

    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            received.append(message)

    async with serve(handler, "127.0.0.1", 0) as server, await opened(port_of(server)) as peer:
        await peer.send(
            frame(TEXT, b"before"),
            frame(CLOSE, close_payload(1000, "bye")),
            frame(TEXT, b"behind"),
            frame(PING, b"behind"),
            b"\xff" * 100,
        )
        close = await peer.frame()
        assert (close.opcode, close.code, close.reason) == (CLOSE, 1000, "bye")
        assert await peer.rest() == b""
    assert received == ["before"]


async def test_good_messages_before_a_bad_frame_are_delivered() -> None:
    async with echo_server() as server, await opened(port_of(server)) as peer:
        await peer.send(frame(TEXT, b"one"), frame(TEXT, b"two"), frame(TEXT, mask=False))
        assert [(await peer.frame()).payload for _ in range(2)] == [b"one", b"two"]
        assert (await peer.close_frame()).code == 1002


async def test_frames_from_many_hostile_clients_at_once() -> None:
    async with echo_server() as server, bystander(server):
        port = port_of(server)

        async def attack(data: bytes, code: int) -> None:
            async with await opened(port) as peer:
                await peer.send(data)
                assert (await peer.close_frame()).code == code

        async with asyncio.TaskGroup() as tasks:
            for data, code in WRONG.values():
                for _ in range(4):
                    tasks.create_task(attack(data, code))


async def test_bytes_that_are_no_frames() -> None:
    async with (
        echo_server() as server,
        bystander(server),
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.open()
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await peer.close_frame()).code == 1002
