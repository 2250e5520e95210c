"""Streams that never block, over pairs of sockets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import pytest
from tests.attacks.raw import MIB

from wirebird.sync.streams import SocketStream, Stream, TLSStream
from wirebird.sync.waiting import Deadline, drive, is_hung_up, read_waiter, wait_for


@pytest.fixture(params=["plain", "TLS", "TLS in TLS"])
def ends(
    request: pytest.FixtureRequest, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> Iterator[tuple[Stream, Stream]]:
    """Both ends of a stream."""
    one, other = socket.socketpair()
    with one, other:
        client: Stream = SocketStream(one)
        server: Stream = SocketStream(other)
        for _ in range(["plain", "TLS", "TLS in TLS"].index(request.param)):
            above = TLSStream(client, client_tls, server_hostname="localhost")
            below = TLSStream(server, server_tls)
            while not (above.shake_hands() & below.shake_hands()):
                pass
            client, server = above, below
        yield client, server


def test_nothing_has_come(ends: tuple[Stream, Stream]) -> None:
    client, server = ends
    assert client.receive() is None
    assert server.receive() is None
    assert not client.is_at_end


def test_what_the_network_does_not_take_waits(ends: tuple[Stream, Stream]) -> None:
    client, server = ends
    sent = [b"begin", b"", bytes(3 * MIB), b"x" * 100, b"y" * 20_000, b"end"]
    client.write(sent)
    assert client.taken_bytes == sum(map(len, sent))
    assert client.buffered_bytes > 0
    came = bytearray()
    while len(came) < client.taken_bytes:
        data = server.receive()
        came += data or b""
        client.flush()
    assert came == b"".join(sent)
    assert client.buffered_bytes == 0


def test_half_closing_comes_after_what_was_sent(ends: tuple[Stream, Stream]) -> None:
    client, server = ends
    client.write([bytes(MIB)])
    client.half_close()
    came = 0
    while (data := server.receive()) != b"":
        came += len(data or b"")
        client.flush()
    assert came == MIB
    assert server.receive() == b""


def test_what_is_discarded_is_not_sent(ends: tuple[Stream, Stream]) -> None:
    client, server = ends
    client.write([bytes(8 * MIB)])
    client.discard()
    assert client.buffered_bytes == 0
    client.shut_down()
    client.shut_down()
    came = 0
    while data := server.receive():
        came += len(data)
    assert came < 8 * MIB


def test_a_handshake_that_is_none(client_tls: ssl.SSLContext) -> None:
    one, other = socket.socketpair()
    with one, other:
        stream = TLSStream(SocketStream(one), client_tls, server_hostname="localhost")
        assert not stream.shake_hands()
        other.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(ssl.SSLError):
            stream.shake_hands()
        assert stream.version() is None  # of the ssl.SSLObject
        assert stream.getsockname() == one.getsockname()  # of the socket
        with pytest.raises(AttributeError):
            _ = stream.nothing_of_the_kind


# Waiting


def test_waiting_for_what_does_not_come() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert not wait_for(one, read=True, timeout=0)
        assert not read_waiter(one)(0.001)
        assert wait_for(one, read=True, write=True)
        assert not is_hung_up(one)
        other.close()
        assert wait_for(one, read=True)
        assert read_waiter(one)(None)
        assert is_hung_up(one)
        with pytest.raises(TimeoutError):
            drive(SocketStream(one), lambda: False, Deadline(0.001))


def test_deadlines() -> None:
    assert Deadline(None).remaining() is None
    assert Deadline(None).check() is None
    assert 0 < (Deadline(100).check() or 0) <= 100
    assert Deadline(-1).remaining() == 0
    with pytest.raises(TimeoutError):
        Deadline(0).check()
