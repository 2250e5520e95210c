"""Hostile clients: bounded memory, bounded time, and everybody else is served meanwhile."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator

import pytest
from tests.attacks.raw import BINARY, DEFLATE, MIB, PING, TEXT, frame, memory, request
from tests.sync.pair import RawPeer, handed_over, port_of, raw_and_server, serving, uri_of

from wirebird.exceptions import ConnectionClosedError, PayloadTooBig
from wirebird.sync.client import connect
from wirebird.sync.server import Server


@contextlib.contextmanager
def bystander(server: Server) -> Iterator[None]:
    """Somebody else's connection, which must go on being served."""
    with connect(uri_of(server), proxy=None) as ws:
        for number in range(2):
            ws.send(str(number))
            assert ws.recv(timeout=10) == str(number)
            if not number:
                yield


def send_all(peer: RawPeer, data: bytes, limit: int) -> int:
    """Send the same again and again, until nobody takes it; return how much was taken."""
    peer.sock.settimeout(0.3)
    sent = 0
    with contextlib.suppress(OSError):
        while sent < limit:
            peer.send(data)
            sent += len(data)
    return sent


def test_many_who_do_not_finish_their_request() -> None:
    with serving(open_timeout=0.5) as server, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(RawPeer.connect(port_of(server))) for _ in range(50)]
        for peer in peers:
            peer.send(request()[:40])
        with bystander(server):
            for peer in peers:
                assert peer.rest().startswith(b"HTTP/1.1 408 ")


def test_pings_of_one_who_reads_no_pongs() -> None:
    with serving(compression=None, write_timeout=0.3) as server, bystander(server):
        with RawPeer.connect(port_of(server), receive_buffer=4096) as peer:
            peer.open()
            with memory() as used:
                send_all(peer, frame(PING, b"x" * 125) * 500, 16 * MIB)
        assert used.peak < 4 * MIB


def test_messages_of_one_who_reads_no_echo() -> None:
    with serving(compression=None, write_timeout=0.3) as server, bystander(server):
        with RawPeer.connect(port_of(server), receive_buffer=4096) as peer:
            peer.open()
            with memory() as used:
                sent = send_all(peer, frame(BINARY, bytes(60_000)), 256 * MIB)
        assert sent < 256 * MIB
        assert used.peak < 4 * MIB


def test_a_message_that_never_ends() -> None:
    with raw_and_server(max_size=MIB) as (peer, server):
        with memory() as used, pytest.raises(ConnectionClosedError) as caught:
            peer.send(frame(BINARY, b"", fin=False))
            for _ in range(100):
                with contextlib.suppress(OSError):
                    peer.send(frame(0, bytes(50_000), fin=False))
                with contextlib.suppress(TimeoutError):
                    server.recv(timeout=0)
            server.recv(timeout=10)
        assert isinstance(caught.value.__cause__, PayloadTooBig)
        assert used.peak < 6 * MIB


def test_what_becomes_big_when_it_is_inflated() -> None:
    compressor = zlib.compressobj(wbits=-15)
    block = compressor.compress(bytes(16 * MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    with raw_and_server(DEFLATE, compression="deflate") as (peer, server):
        peer.send(frame(BINARY, block * 16, rsv=4))
        with memory() as used, pytest.raises(ConnectionClosedError) as caught:
            server.recv(timeout=10)
        assert isinstance(caught.value.__cause__, PayloadTooBig)
        assert used.peak < 8 * MIB


def test_a_dribble_of_frames_does_not_stop_others() -> None:
    with handed_over() as (server, opened), contextlib.ExitStack() as stack:
        peers = [stack.enter_context(RawPeer.connect(port_of(server))) for _ in range(20)]
        for peer in peers:
            peer.open()
        connections = [opened.get(timeout=10) for _ in peers]
        for byte in frame(TEXT, b"slow")[:-1]:
            for peer in peers:
                peer.send(bytes([byte]))
        with connect(uri_of(server), proxy=None) as ws:
            other = opened.get(timeout=10)
            ws.send("quick")
            assert other.recv(timeout=10) == "quick"
        for connection in connections:
            with pytest.raises(TimeoutError):
                connection.recv(timeout=0)
        for peer in peers:
            peer.send(frame(TEXT, b"slow")[-1:])
        assert sorted(ws.recv(timeout=10) for ws in connections) == ["slow"] * 20
        for peer in peers:
            peer.reset()
