"""The frames of a connection, kept and handed on."""

from __future__ import annotations

import asyncio

import pytest

from wirebird.cli.demo.taps import FrameTap, preview
from wirebird.frames import Close, Frame, Opcode


def text(data: str) -> Frame:
    return Frame(Opcode.TEXT, data.encode())


async def gather(tap: FrameTap, after: int = 0) -> tuple[list[int], int]:
    """Return the numbers of the records that come, and how many were missed."""
    numbers, missed = [], 0
    async for records, missing in tap.follow(after):
        numbers += [record["seq"] for record in records]
        missed += missing
    return numbers, missed


async def test_a_record_says_what_the_frame_was() -> None:
    time = 10.0
    tap = FrameTap(clock=lambda: time)
    time = 10.25
    tap.record(False, Frame(Opcode.TEXT, b"hel", fin=False))
    tap.record(True, Frame(Opcode.PING, b"\x01\x02"))
    tap.finish()
    ((records, missed),) = [batch async for batch in tap.follow()]
    assert missed == 0
    assert records == [
        {
            "seq": 1,
            "at": 250,
            "from": "client",
            "opcode": 1,
            "fin": False,
            "rsv": 0,
            "length": 3,
            "preview": "hel",
        },
        {
            "seq": 2,
            "at": 250,
            "from": "server",
            "opcode": 9,
            "fin": True,
            "rsv": 0,
            "length": 2,
            "preview": "01 02",
        },
    ]


async def test_each_follower_gets_each_record_once() -> None:
    tap = FrameTap()
    tap.record(True, text("1"))
    followers = [asyncio.create_task(gather(tap)) for _ in range(2)]
    for number in range(2, 6):
        await asyncio.sleep(0)
        tap.record(True, text(str(number)))
    tap.finish()
    assert await asyncio.gather(*followers) == [([1, 2, 3, 4, 5], 0)] * 2


async def test_who_comes_again_goes_on_where_it_was() -> None:
    tap = FrameTap()
    for _ in range(5):
        tap.record(True, text(""))
    tap.finish()
    assert await gather(tap, after=3) == ([4, 5], 0)
    assert await gather(tap, after=5) == ([], 0)
    assert await gather(tap, after=1000) == ([], 0)


async def test_what_is_kept_is_bounded_and_the_rest_counted() -> None:
    tap = FrameTap(kept=10)
    for _ in range(25):
        tap.record(True, text(""))
    tap.finish()
    assert await gather(tap) == ([*range(16, 26)], 15)


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        (Frame(Opcode.TEXT, "grüß".encode()), "grüß"),
        (Frame(Opcode.TEXT, b"x" * 120), "x" * 120),
        (Frame(Opcode.TEXT, b"x" * 121), "x" * 120 + "…"),
        (Frame(Opcode.TEXT, "€".encode() * 1000), "€" * 120 + "…"),
        (Frame(Opcode.TEXT, memoryview(b"view")), "view"),
        (Frame(Opcode.TEXT, b"\xff"), "�"),
        (Frame(Opcode.TEXT, b"\x01\x02", rsv1=True), "01 02"),
        (Frame(Opcode.BINARY, b"\x00\xff"), "00 ff"),
        (Frame(Opcode.BINARY, bytes(25)), "00 " * 24 + "…"),
        (Frame(Opcode.CONT, b"ab"), "61 62"),
        (Frame(Opcode.PONG, b""), ""),
        (Frame(Opcode.CLOSE, Close(1001, "bye").serialize()), "1001 bye"),
        (Frame(Opcode.CLOSE, Close(1000, "").serialize()), "1000"),
        (Frame(Opcode.CLOSE, b""), "1005"),
        (Frame(Opcode.CLOSE, b"\x03"), "03"),
        (Frame(Opcode.CLOSE, b"\x03\xee"), "03 ee"),
        (Frame(Opcode.CLOSE, b"\x03\xe8\xff"), "03 e8 ff"),
    ],
)
def test_preview(frame: Frame, shown: str) -> None:
    assert preview(frame) == shown
