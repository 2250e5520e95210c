"""What both adapters do alike to connect: the order of addresses, errors, options of sockets."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from wirebird.dialing import TCPOptions, doing, failure, interleaved, timed_out

FOUR, SIX = socket.AF_INET, socket.AF_INET6


def info(family: int, host: str) -> Any:
    return family, socket.SOCK_STREAM, 6, "", (host, 80)


A, B, C = info(FOUR, "192.0.2.1"), info(FOUR, "192.0.2.2"), info(FOUR, "192.0.2.3")
X, Y = info(SIX, "2001:db8::1"), info(SIX, "2001:db8::2")


@pytest.mark.parametrize(
    ("infos", "expected"),
    [
        ([], []),
        ([A], [A]),
        ([A, B, C], [A, B, C]),
        ([X, Y, A, B, C], [X, A, Y, B, C]),
        ([A, B, X], [A, X, B]),
    ],
)
def test_families_take_turns(infos: list[Any], expected: list[Any]) -> None:
    assert interleaved(infos) == expected


def test_one_error_for_all_addresses() -> None:
    refused = OSError(errno.ECONNREFUSED, "no")
    unreachable = OSError(errno.ENETUNREACH, "no way")
    error = failure([(A, refused), (X, refused)])
    assert isinstance(error, ConnectionRefusedError)
    assert "192.0.2.1:80" in str(error)
    assert "[2001:db8::1]:80" in str(error)
    error = failure([(A, refused), (X, unreachable)])
    assert type(error) is OSError
    assert "refused" in str(error)
    assert "unreachable" in str(error)
    assert isinstance(failure([(A, TimeoutError())]), TimeoutError)
    group = failure([(A, refused), (X, unreachable)], all_errors=True)
    assert isinstance(group, ExceptionGroup)
    assert group.exceptions == (refused, unreachable)


def test_the_innermost_stage_is_noted() -> None:
    with pytest.raises(ConnectionRefusedError) as caught, doing("outer"), doing("inner"):
        raise ConnectionRefusedError
    assert caught.value.__notes__ == ["while inner"]


def test_what_was_done_when_time_was_up() -> None:
    cancelled = RuntimeError()  # stands for what a deadline sent
    cancelled.add_note("while waiting")
    exc = TimeoutError()
    exc.__cause__ = cancelled
    assert timed_out(exc).__notes__ == ["while waiting"]
    assert not hasattr(timed_out(TimeoutError()), "__notes__")


@pytest.mark.parametrize("keepalive", [(0, 1, 1), (1, 1, -1), (1, 2), (1, 2, 3, 4), ()])
def test_keepalive_that_no_system_takes(keepalive: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="tcp_keepalive"):
        TCPOptions(keepalive=keepalive).check()


@pytest.mark.parametrize("family", [FOUR, SIX])
def test_options_of_a_socket(family: int) -> None:
    with socket.socket(family) as sock:
        TCPOptions(False, (7, 8, 9)).apply(sock)
        assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 8
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 9
        TCPOptions(True, False).apply(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    with socket.socket(socket.AF_UNIX) as unix:
        TCPOptions(True, True).apply(unix)  # nothing to set
