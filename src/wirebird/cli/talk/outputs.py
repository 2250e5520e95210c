"""Where payloads go: a pipe, or anything else that can be written, and is no terminal.

A write to a pipe that is full holds up the whole program: until somebody reads, no ping would be
answered, and Ctrl-C would not be heard. So we wait for room as for the network, and write no
more at once than a pipe with room takes: POSIX promises that for ``PIPE_BUF`` bytes.
"""

from __future__ import annotations

import asyncio
import os
import select
import stat

__all__ = ["Output"]

_PIPE_BUF = getattr(select, "PIPE_BUF", 512)


class Output:
    """Writes bytes to a descriptor, and waits where it takes none.

    Args:
        descriptor: of the output.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._most = 2**20 if is_file else _PIPE_BUF
        # Windows has none: there, writes may hold us up.
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(descriptor, select.POLLOUT)

    async def write(self, data: bytes) -> None:
        """Write all of ``data``; when cancelled, a part of it.

        Raises:
            BrokenPipeError: nobody reads it any more.
            OSError: it cannot be written, as where the disk is full.
        """
        rest = memoryview(data)
        while rest:
            if self._poll is not None and not self._poll.poll(0):
                await self._room()
            try:
                written = os.write(self._descriptor, rest[: self._most])
            except BlockingIOError:  # somebody else who has it made it so
                await self._room()
            else:
                rest = rest[written:]

    async def _room(self) -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Event()
        loop.add_writer(self._descriptor, room.set)
        try:
            await room.wait()
        finally:
            loop.remove_writer(self._descriptor)
