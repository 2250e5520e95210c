"""Writing to pipes and files without holding up what else goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wirebird.cli.talk.outputs import Output


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Yield both ends of a pipe."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            with contextlib.suppress(OSError):
                os.close(end)


def read_all(descriptor: int) -> bytes:
    data = b""
    while chunk := os.read(descriptor, 65536):
        data += chunk
    return data


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_full_pipe_holds_up_nobody_and_gets_everything(blocking: bool) -> None:
    data = os.urandom(3 * 2**20)
    with pipe() as (reader, writer):
        os.set_blocking(writer, blocking)
        writing = asyncio.create_task(Output(writer).write(data))
        await asyncio.sleep(0)
        # We are here although nobody has read: a write that blocks would never let us come.
        assert not writing.done()
        reading = asyncio.create_task(asyncio.to_thread(read_all, reader))
        await writing
        os.close(writer)
        assert await reading == data


async def test_who_waits_can_be_cancelled() -> None:
    with pipe() as (reader, writer):
        output = Output(writer)
        writing = asyncio.create_task(output.write(bytes(2**20)))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        # Nothing of it is left in the loop.
        assert not asyncio.get_running_loop().remove_writer(writer)
        os.set_blocking(reader, False)
        while True:
            try:
                os.read(reader, 65536)
            except BlockingIOError:
                break
        await output.write(b"later")
        assert os.read(reader, 100) == b"later"


async def test_nobody_reads() -> None:
    with pipe() as (reader, writer):
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            await Output(writer).write(b"x")


async def test_nobody_reads_any_more_while_we_wait() -> None:
    with pipe() as (reader, writer):
        writing = asyncio.create_task(Output(writer).write(bytes(2**20)))
        await asyncio.sleep(0)
        assert not writing.done()
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            await writing


async def test_files(tmp_path: Path) -> None:
    data = os.urandom(3 * 2**20 + 1)
    with open(tmp_path / "file", "wb") as file:
        output = Output(file.fileno())
        for part in (data, b"", b"end"):
            await output.write(part)
    assert (tmp_path / "file").read_bytes() == data + b"end"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
async def test_a_disk_that_is_full() -> None:
    with (
        open("/dev/full", "wb", buffering=0) as file,
        pytest.raises(OSError, match="No space left"),
    ):
        await Output(file.fileno()).write(b"x")
