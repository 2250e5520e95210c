"""Getting a TCP connection to a host: what both adapters do alike, each with its own way to wait.

A host may have several addresses. They are tried in turn, one family after the other, and the next
as soon as one has failed or has said nothing for ``ATTEMPT_DELAY_S``: who answers first is taken
(Happy Eyeballs, RFC 8305, 4 and 5). What went wrong keeps its class, so that a name that is not
known (``socket.gaierror``), a refusal (``ConnectionRefusedError``) and silence can be told apart,
and has a note that says where it was.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

__all__ = [
    "ATTEMPT_DELAY_S",
    "AddressInfo",
    "TCPOptions",
    "doing",
    "failure",
    "interleaved",
    "timed_out",
]

ATTEMPT_DELAY_S = 0.25  # RFC 8305, 5

AddressInfo = tuple[int, int, int, str, Any]
"""As ``socket.getaddrinfo`` returns it."""

# After so long without a byte the system asks, so often, and gives up after so many.
_USUAL_KEEPALIVE = (60, 15, 4)
_IDLE_NAMES = ("TCP_KEEPIDLE", "TCP_KEEPALIVE")  # the second on macOS


class TCPOptions(NamedTuple):
    """What a socket is told.

    Args:
        nodelay: small messages are sent at once (TCP_NODELAY).
        keepalive: True to have the system ask whether the peer's is still there; or how: (seconds
            of silence before, seconds between, how often). None leaves it as the system has it.
    """

    nodelay: bool = True
    keepalive: bool | tuple[int, int, int] | None = None

    def check(self) -> None:
        """Refuse what no system takes.

        Raises:
            ValueError: a number is below 1.
            TypeError: there are not three.
        """
        if isinstance(self.keepalive, tuple):
            if len(self.keepalive) != 3:
                raise TypeError("tcp_keepalive must be True, False, None or three numbers")
            if min(self.keepalive) < 1:
                raise ValueError(f"tcp_keepalive must be at least 1: got {self.keepalive}")

    def apply(self, sock: Any) -> None:
        """Tell a socket; those that a listening one accepts have it from there.

        Args:
            sock: with ``family`` and ``setsockopt``. One that is not of TCP is left alone.
        """
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(self.nodelay))
        if self.keepalive is None:
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(bool(self.keepalive)))
        if not self.keepalive:
            return
        how = self.keepalive if isinstance(self.keepalive, tuple) else _USUAL_KEEPALIVE
        idle_s, interval_s, count = how
        idle_name = next((name for name in _IDLE_NAMES if hasattr(socket, name)), "")
        for name, value in (
            (idle_name, idle_s),
            ("TCP_KEEPINTVL", interval_s),
            ("TCP_KEEPCNT", count),
        ):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), int(value))


def interleaved(infos: Sequence[AddressInfo]) -> list[AddressInfo]:
    """Return addresses in the order to try them in: families in turn. RFC 8305, 4."""
    families: dict[int, list[AddressInfo]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    queues = [iter(queue) for queue in families.values()]
    ordered: list[AddressInfo] = []
    while queues:
        for queue in list(queues):
            following = next(queue, None)
            if following is None:
                queues.remove(queue)
            else:
                ordered.append(following)
    return ordered


def failure(
    errors: Sequence[tuple[AddressInfo, OSError]], *, all_errors: bool = False
) -> OSError | ExceptionGroup[OSError]:
    """Return one error for all addresses that failed; of the same class where they agree.

    Args:
        errors: at least one.
        all_errors: make it an ExceptionGroup.
    """
    if all_errors:
        return ExceptionGroup("no address could be reached", [exc for _, exc in errors])
    numbers = {_number_of(exc) for _, exc in errors}
    text = "; ".join(f"{_shown(info)}: {_reason(exc)}" for info, exc in errors)
    if len(numbers) == 1 and None not in numbers:
        return OSError(*numbers, text)
    return OSError(text)


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Say in a note of an error what was being done, unless one says so already.

    Args:
        what: such as "looking up example.com".
    """
    try:
        yield
    except BaseException as exc:  # also a cancellation, of which a deadline makes a TimeoutError
        if not getattr(exc, "__notes__", None):
            exc.add_note(f"while {what}")
        raise


def timed_out(exc: TimeoutError) -> TimeoutError:
    """Return the error for an attempt that took too long, with the note of what it was doing.

    Args:
        exc: the network's, or that of a deadline, caused by the cancellation that it made.
    """
    error = TimeoutError("timed out during opening handshake")
    for source in (exc, exc.__cause__):
        for note in getattr(source, "__notes__", ()):
            error.add_note(note)
    return error


def _number_of(exc: OSError) -> int | None:
    if isinstance(exc, TimeoutError) and exc.errno is None:
        return errno.ETIMEDOUT
    return exc.errno


def _reason(exc: OSError) -> str:
    number = _number_of(exc)
    return str(exc) or type(exc).__name__ if number is None else os.strerror(number)


def _shown(info: AddressInfo) -> str:
    host, port = info[4][:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
