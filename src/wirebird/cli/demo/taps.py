"""The frames of a connection, for who wants to see them.

Browsers show a page its messages, never its frames: no pings, no pongs, no fragments, no Close.
The server does see them, so it keeps the last few of each connection in the room, and tells
them over another connection to whoever knows the first one's key (only its own tab does).

What is kept is bounded, and shared by all who watch: each has a position, and who falls behind
what is kept is told how many frames it missed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from ...asyncio.server import ServerConnection
from ...exceptions import ConnectionClosed, ProtocolError
from ...frames import Close, CloseCode, Frame, Opcode

__all__ = ["FrameTap", "preview", "show"]

_KEPT = 256
_PREVIEW_CHARACTERS = 120
_PREVIEW_BYTES = 24


class FrameTap:
    """Keeps records of frames, and hands them on.

    A record is a dict, as the page gets it: ``seq`` (1, 2, ...), ``at`` (milliseconds since the
    tap was opened), ``from`` ("client" or "server"), ``opcode``, ``fin``, ``rsv`` (0-7),
    ``length`` (of the payload, in bytes), ``preview`` (of the payload, for people).

    Args:
        kept: how many records are kept.
        clock: the time, in seconds.
    """

    def __init__(self, kept: int = _KEPT, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._opened = clock()
        self._records: deque[dict[str, Any]] = deque(maxlen=kept)
        self._seq = 0
        self._finished = False
        self._changed = asyncio.Event()

    def record(self, sent: bool, frame: Frame) -> None:
        """Keep a record of a frame: the hook of a connection."""
        self._seq += 1
        self._records.append(
            {
                "seq": self._seq,
                "at": round((self._clock() - self._opened) * 1000),
                "from": "server" if sent else "client",
                "opcode": int(frame.opcode),
                "fin": frame.fin,
                "rsv": frame.rsv1 << 2 | frame.rsv2 << 1 | frame.rsv3,
                "length": len(frame.data),
                "preview": preview(frame),
            }
        )
        self._wake()

    def finish(self) -> None:
        """Say that no more frames will come."""
        self._finished = True
        self._wake()

    def _wake(self) -> None:
        # A new event each time: those who wait are woken once, and none has to reset it.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def follow(self, after: int = 0) -> AsyncIterator[tuple[list[dict[str, Any]], int]]:
        """Yield records as they come, and how many were missed before them; end with the tap.

        Args:
            after: the last ``seq`` that is known already.
        """
        while True:
            changed = self._changed
            records = [record for record in self._records if record["seq"] > after]
            if records:
                missed = records[0]["seq"] - after - 1
                after = records[-1]["seq"]
                yield records, missed
            elif self._finished:
                return
            else:
                await changed.wait()


def preview(frame: Frame) -> str:
    """Show a payload in a few characters: text as it is, a Close's code, anything else in hex."""
    if frame.opcode == Opcode.CLOSE:
        try:
            close = Close.parse(bytes(frame.data))
        except (ProtocolError, UnicodeDecodeError):
            pass  # it fails the connection; here it is shown as it is
        else:
            return f"{int(close.code)} {close.reason}".rstrip()
    if frame.opcode == Opcode.TEXT and not frame.rsv1:
        # A character is at most 4 bytes; a cut one at the end is beyond what is shown.
        head = bytes(frame.data[: 4 * _PREVIEW_CHARACTERS + 4])
        text = head.decode(errors="replace")
        return text if len(text) <= _PREVIEW_CHARACTERS else text[:_PREVIEW_CHARACTERS] + "…"
    head = bytes(frame.data[:_PREVIEW_BYTES])
    return head.hex(" ") + (" …" if len(frame.data) > _PREVIEW_BYTES else "")


async def show(connection: ServerConnection, tap: FrameTap, after: int = 0) -> None:
    """Send the records of a tap over a connection, until one of the two ends.

    Each message is ``{"frames": [record, ...], "missed": number}``. While one is being sent,
    records gather, and go out in the next one. Nothing is expected from the peer.

    Args:
        connection: who watches.
        tap: what is watched.
        after: the last ``seq`` that the peer knows already.
    """

    async def send_records() -> None:
        async for records, missed in tap.follow(after):
            await connection.send(json.dumps({"frames": records, "missed": missed}))

    async def expect_nothing() -> None:
        await connection.recv()
        await connection.close(CloseCode.POLICY_VIOLATION, "nothing is expected here")

    tasks = [asyncio.create_task(send_records()), asyncio.create_task(expect_nothing())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionClosed):
            raise outcome
