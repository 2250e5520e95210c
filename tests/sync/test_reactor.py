"""The thread that looks after everybody: one who fails does not take others along."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from tests.attacks.raw import PING, PONG, frame
from tests.sync.pair import raw_and_server

from wirebird.sync.reactor import READ, WRITE, reactor


class Fake:
    """Something watched, which notes what it is told."""

    is_in_use = False
    is_lent = False
    used_at = 0.0

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure
        self.told = threading.Event()
        self.abandoned = threading.Event()
        self.deadline: float | None = None

    def on_ready(self, events: int) -> None:
        self.told.set()
        if self.failure is not None:
            raise self.failure

    def on_unused(self) -> None:
        self.told.set()

    def next_deadline(self) -> float | None:
        return self.deadline

    def handle_deadline(self) -> None:
        self.deadline = None
        self.on_ready(0)

    def abandon(self, exc: BaseException) -> None:
        assert exc is self.failure
        self.abandoned.set()
        if isinstance(exc, KeyError):
            raise exc

    def on_fork(self) -> None:
        raise AssertionError("there is no fork")


def test_there_is_one() -> None:
    assert reactor() is reactor()
    assert [thread.name for thread in threading.enumerate()].count("wirebird") == 1


@pytest.mark.parametrize("failure", [RuntimeError(), KeyError(), SystemExit()])
def test_one_who_fails_does_not_stop_it(
    failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        failing, other = Fake(failure), Fake()
        theirs.send(b"x")
        reactor().watch(failing, ours, 0, READ)
        assert failing.abandoned.wait(10)
        reactor().watch(failing, ours, READ, 0)
        failing.told.clear()
        failing.deadline = 0.0
        reactor().keep_deadline(failing)
        assert failing.told.wait(10)
        reactor().watch(other, ours, 0, WRITE)
        assert other.told.wait(10)
        reactor().forget(other, ours, WRITE)
    assert "unexpected error in a connection" in caplog.messages


def test_what_was_lent_and_is_not_used_is_taken_back() -> None:
    used, unused = Fake(), Fake()
    used.is_in_use = True
    for one in (used, unused):
        reactor().lend(one)
    assert unused.told.wait(10)
    assert not used.told.is_set()
    assert not used.is_lent
    assert not unused.is_lent


def test_a_socket_that_was_closed_behind_its_back_is_in_nobodys_way() -> None:
    watching = reactor()
    ours, theirs = socket.socketpair()
    gone, other = Fake(), Fake()
    watching.watch(gone, ours, 0, READ)
    number = ours.fileno()
    ours.close()
    others, peer = socket.socketpair()
    with theirs, others, peer:
        if others.fileno() != number:  # it must be the one with the same number
            os.dup2(others.fileno(), number)
            again = socket.socket(fileno=number)
        else:
            again = others
        with again:
            watching.watch(other, again, 0, READ)
            peer.send(b"x")
            assert other.told.wait(10)
            watching.forget(gone, ours, READ)
            watching.forget(other, again, READ)


def test_a_connection_whose_user_closed_its_socket_can_be_closed() -> None:
    with raw_and_server(close_timeout=0.05) as (peer, server):
        peer.send(frame(PING, b""))
        assert peer.frame().opcode == PONG
        server.socket.close()
        server.close()
        assert server.close_code == 1006
