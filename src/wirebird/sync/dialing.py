"""Getting a TCP connection in a thread; ``wirebird.dialing`` says how it is done."""

from __future__ import annotations

import errno
import os
import selectors
import socket

from ..dialing import ATTEMPT_DELAY_S, AddressInfo, doing, failure, interleaved
from .waiting import Deadline

__all__ = ["dial"]

_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)


def dial(
    host: str,
    port: int,
    deadline: Deadline,
    *,
    source_address: tuple[str, int] | None = None,
    happy_eyeballs_delay: float | None = ATTEMPT_DELAY_S,
    timeout: float | None = None,
    all_errors: bool = False,
) -> socket.socket:
    """Return a socket that is connected.

    Args:
        host: a name or an address.
        port: of it.
        deadline: of all attempts; a name is looked up for as long as the system takes.
        source_address: to connect from.
        happy_eyeballs_delay: seconds after which the next address is tried beside those that have
            not answered yet; None to wait for each.
        timeout: seconds that this may take, where the deadline is later.
        all_errors: raise an ExceptionGroup of what failed, if several addresses did.

    Raises:
        socket.gaierror: the name is not known.
        ConnectionRefusedError: nobody listens at any of its addresses.
        TimeoutError: the deadline has passed.
        OSError: it cannot be reached.
    """
    if timeout is not None:
        deadline = deadline.at_most(timeout)
    with doing(f"looking up {host}"):
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    with doing(f"connecting to {host}, port {port}"), _Race(source_address) as race:
        waiting = interleaved(infos)
        while waiting or race.attempts:
            if waiting:
                race.start(waiting.pop(0))
            sock = race.wait(deadline, happy_eyeballs_delay if waiting else None)
            if sock is not None:
                return sock
        raise failure(race.errors, all_errors=all_errors)


class _Race:
    """Attempts that are under way.

    Args:
        source_address: to connect from.
    """

    def __init__(self, source_address: tuple[str, int] | None) -> None:
        self._source_address = source_address
        self._selector = selectors.DefaultSelector()
        self.attempts: dict[socket.socket, AddressInfo] = {}
        self.errors: list[tuple[AddressInfo, OSError]] = []

    def __enter__(self) -> _Race:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for sock in self.attempts:
            sock.close()

    def start(self, info: AddressInfo) -> None:
        """Try an address."""
        family, kind, proto, _, address = info
        try:
            sock = socket.socket(family, kind, proto)
        except OSError as exc:
            self.errors.append((info, exc))
            return
        try:
            sock.setblocking(False)
            if self._source_address is not None:
                sock.bind(self._source_address)
            number = sock.connect_ex(address)
            if number not in _UNDER_WAY:
                raise OSError(number, os.strerror(number))
        except OSError as exc:
            sock.close()
            self.errors.append((info, exc))
            return
        except BaseException:
            sock.close()
            raise
        self.attempts[sock] = info
        self._selector.register(sock, selectors.EVENT_WRITE)

    def wait(self, deadline: Deadline, delay: float | None) -> socket.socket | None:
        """Return the first that is connected; None when one has failed, or after the delay."""
        if not self.attempts:
            return None
        timeout = deadline.check()
        if delay is not None:
            timeout = delay if timeout is None else min(delay, timeout)
        for key, _ in self._selector.select(timeout):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            self._selector.unregister(sock)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            info = self.attempts.pop(sock)
            if number == 0:
                return sock
            sock.close()
            self.errors.append((info, OSError(number, os.strerror(number))))
        return None
