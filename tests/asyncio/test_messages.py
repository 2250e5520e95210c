"""Messages from frames, for those who read frames by themselves."""

from __future__ import annotations

import asyncio

import pytest

from wirebird.asyncio.messages import Assembler
from wirebird.exceptions import ConcurrencyError, TooManyFragments
from wirebird.frames import BINARY, CONT, TEXT, Frame


async def test_messages_in_order() -> None:
    assembler = Assembler()
    assembler.put(Frame(TEXT, "café".encode()))
    assembler.put(Frame(BINARY, b"te", fin=False))
    assembler.put(Frame(CONT, b"a"))
    assert await assembler.get() == "café"
    assert await assembler.get() == b"tea"
    assembler.put(Frame(TEXT, b"tea"))
    assert await assembler.get(decode=False) == b"tea"
    assembler.put(Frame(BINARY, b"tea"))
    assert await assembler.get(decode=True) == "tea"


async def test_waiting_and_cancelling_loses_nothing() -> None:
    assembler = Assembler()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(assembler.get(), 0.001)
    waiting = asyncio.ensure_future(assembler.get())
    await asyncio.sleep(0)
    with pytest.raises(ConcurrencyError):
        await assembler.get()
    assembler.put(Frame(TEXT, b"tea"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await assembler.get() == "tea"


async def test_fragments_as_they_come() -> None:
    assembler = Assembler()
    pieces = assembler.get_iter()
    assembler.put(Frame(TEXT, b"caf\xc3", fin=False))
    assert await anext(pieces) == "caf"
    with pytest.raises(ConcurrencyError):
        await assembler.get()
    last = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0)
    assembler.put(Frame(CONT, b"\xa9"))
    assert await last == "é"
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)
    assembler.put(Frame(TEXT, b"tea"))
    assert await assembler.get() == "tea"


async def test_cancelling_loses_nothing_before_the_first_fragment() -> None:
    assembler = Assembler()
    first = asyncio.ensure_future(anext(assembler.get_iter()))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assembler.put(Frame(TEXT, b"te", fin=False))
    assembler.put(Frame(CONT, b"a"))
    assert [piece async for piece in assembler.get_iter()] == ["te", "a"]


async def test_the_end() -> None:
    assembler = Assembler()
    assembler.put(Frame(TEXT, b"tea"))
    assembler.close()
    assembler.close()
    assert await assembler.get() == "tea"
    with pytest.raises(EOFError):
        await assembler.get()
    with pytest.raises(EOFError):
        assembler.put(Frame(TEXT, b"tea"))


async def test_the_end_wakes_whoever_waits() -> None:
    assembler = Assembler()
    waiting = asyncio.ensure_future(assembler.get())
    await asyncio.sleep(0)
    assembler.close()
    with pytest.raises(EOFError):
        await waiting


async def test_marks() -> None:
    calls: list[str] = []
    assembler = Assembler(
        2, 1, pause=lambda: calls.append("pause"), resume=lambda: calls.append("resume")
    )
    for _ in range(4):
        assembler.put(Frame(TEXT, b"tea"))
    assert calls == ["pause"]
    for _ in range(3):
        await assembler.get()
    assert calls == ["pause", "resume"]
    for marks in [(1, 2), (4, -1)]:
        with pytest.raises(ValueError, match="max_queue"):
            Assembler(*marks)


async def test_what_is_no_message() -> None:
    assembler = Assembler()
    assembler.put(Frame(TEXT, b"\xff"))
    with pytest.raises(UnicodeDecodeError):
        await assembler.get()
    assembler = Assembler()
    assembler.put(Frame(TEXT, b"", fin=False))
    for _ in range(131_072):
        assembler.put(Frame(CONT, b"", fin=False))
    with pytest.raises(TooManyFragments):
        await assembler.get()
