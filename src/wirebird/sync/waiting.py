"""Waiting for a socket, no longer than allowed; the interpreter's lock is free meanwhile."""

from __future__ import annotations

import math
import select
import socket
import time
from collections.abc import Callable

from .streams import Stream

__all__ = ["Deadline", "drive", "is_hung_up", "read_waiter", "wait_for"]

# Linux alone tells of a peer that half-closed; of one that reset, all who have poll(2) do.
_POLL_HANG_UP = getattr(select, "POLLRDHUP", 0)


class Deadline:
    """The end of a time that several steps share.

    Args:
        timeout: seconds; None for no end.
    """

    __slots__ = ("when",)

    def __init__(self, timeout: float | None) -> None:
        self.when = None if timeout is None else time.monotonic() + timeout

    def remaining(self) -> float | None:
        """Return how many seconds are left, at least 0; None without an end."""
        return None if self.when is None else max(0.0, self.when - time.monotonic())

    def at_most(self, timeout: float) -> Deadline:
        """Return the earlier of this one and the end of so many seconds."""
        earlier = Deadline(timeout)
        if self.when is not None and earlier.when is not None and self.when < earlier.when:
            return self
        return earlier

    def check(self) -> float | None:
        """Return how many seconds are left.

        Raises:
            TimeoutError: none are.
        """
        remaining = self.remaining()
        if remaining == 0:
            raise TimeoutError("timed out")
        return remaining


def wait_for(
    sock: socket.socket, *, read: bool = False, write: bool = False, timeout: float | None = None
) -> bool:
    """Wait until a socket can be read or written, or is at its end; return whether it can."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
        return bool(poll.poll(None if timeout is None else math.ceil(timeout * 1000)))
    ready = select.select([sock] if read else [], [sock] if write else [], [sock], timeout)
    return any(ready)


def read_waiter(sock: socket.socket) -> Callable[[float | None], bool]:
    """Return a function that waits, so many seconds, until a socket can be read: for one thread."""
    if not hasattr(select, "poll"):
        return lambda timeout: wait_for(sock, read=True, timeout=timeout)
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    wait = poll.poll
    return lambda timeout: bool(wait(None if timeout is None else math.ceil(timeout * 1000)))


def is_hung_up(sock: socket.socket) -> bool:
    """Whether it is known, without reading, that the peer ended or cut the connection."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sock, _POLL_HANG_UP)
    return bool(poll.poll(0))


def drive(stream: Stream, step: Callable[[], bool], deadline: Deadline) -> None:
    """Call ``step`` until it returns True and all that it wrote was sent.

    It is called whenever something may have come.

    Raises:
        TimeoutError: that took too long.
        OSError: the network failed.
    """
    while True:
        is_done = step()
        stream.flush()
        is_writing = stream.buffered_bytes > 0
        if is_done and not is_writing:
            return
        remaining = deadline.check()
        wait_for(stream.sock, read=not is_done, write=is_writing, timeout=remaining)
