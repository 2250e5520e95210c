"""One message to many."""

from __future__ import annotations

from typing import Any

import pytest
from tests.attacks.raw import MIB
from tests.sync.pair import RawPeer, Thread, handed_over, port_of, uri_of

from wirebird.exceptions import ConcurrencyError
from wirebird.sync.client import connect
from wirebird.sync.server import ServerConnection, broadcast


@pytest.mark.parametrize(
    ("message", "text", "came"),
    [("x", None, "x"), (b"x", None, b"x"), (b"x", True, "x"), ("x", False, b"x")],
)
def test_everybody_gets_it(message: Any, text: bool | None, came: object) -> None:
    with handed_over() as (server, opened):
        clients = [connect(uri_of(server), proxy=None) for _ in range(3)]
        for _ in clients:
            opened.get(timeout=10)
        broadcast(server.connections, message, text=text, max_workers=2)
        assert [ws.recv(timeout=10) for ws in clients] == [came] * 3
        for ws in clients:
            ws.close()
        broadcast(server.all_connections, message)


def test_a_slow_one_delays_the_return_alone() -> None:
    with (
        handed_over() as (server, opened),
        RawPeer.connect(port_of(server), receive_buffer=4096) as slow,
        connect(uri_of(server), proxy=None, max_size=None) as quick,
    ):
        slow.open()
        connections = [opened.get(timeout=10) for _ in range(2)]
        message = bytes(8 * MIB)
        sending = Thread(broadcast, connections, message)
        assert quick.recv(timeout=10) == message
        assert sending.is_alive()
        assert slow.frame().payload == message
        sending.result()


@pytest.mark.parametrize("raises", [False, True])
def test_those_it_cannot_be_sent_to(raises: bool, caplog: pytest.LogCaptureFixture) -> None:
    with (
        handed_over() as (server, opened),
        connect(uri_of(server), proxy=None),
        connect(uri_of(server), proxy=None) as other,
    ):
        one, two = [opened.get(timeout=10) for _ in range(2)]
        busy, free = (one, two) if two.remote_address == other.local_address else (two, one)

        def fragments() -> Any:
            yield "a"
            if raises:
                with pytest.raises(ExceptionGroup) as caught:
                    broadcast([busy, free], "x", raise_exceptions=True)
                (error,) = caught.value.exceptions
                assert isinstance(error, ConcurrencyError)
            else:
                broadcast([busy, free], "x")
                assert "skipped broadcast: " in caplog.text

        busy.send(fragments())
        assert other.recv(timeout=10) == "x"


@pytest.mark.parametrize("message", [None, 1, ["x"]])
def test_other_messages_are_a_mistake(message: Any) -> None:
    with pytest.raises(TypeError, match="data must be str or bytes-like"):
        broadcast(list[ServerConnection](), message)
