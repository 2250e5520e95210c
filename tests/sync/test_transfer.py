"""Receiving, and who reads the socket: by the one who waits, else by the reactor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.attacks.raw import BINARY, CLOSE, MIB, PING, PONG, TEXT, close_payload, frame, memory
from tests.sync.pair import (
    RawPeer,
    Thread,
    pair,
    port_of,
    raw_and_server,
    raw_server,
    repeat,
    serving,
)

from wirebird.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    PayloadTooBig,
)
from wirebird.sync.client import connect
from wirebird.sync.connection import Connection
from wirebird.sync.reactor import reactor


def until(condition: object) -> None:
    """Wait until something is so."""
    assert callable(condition)
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def wait_until_receiving(connection: Connection) -> None:
    """Wait until a thread of the test is inside of ``recv``."""
    until(lambda: connection._waiting)


# Messages


def test_messages_of_all_kinds_and_sizes() -> None:
    with pair() as (client, server):
        for message in ("", "é", b"", b"\x00\xff", "x" * 70_000, b"y" * 900_000):
            client.send(message)
            assert server.recv(timeout=10) == message
        client.send("text")
        assert server.recv(timeout=10, decode=False) == b"text"
        client.send(b"bytes")
        assert server.recv(timeout=10, decode=True) == "bytes"


def test_many_messages_that_came_together() -> None:
    with raw_and_server() as (peer, server):
        peer.send(b"".join(frame(TEXT, b"%d" % i) for i in range(1000)))
        assert [server.recv(timeout=10) for _ in range(1000)] == [str(i) for i in range(1000)]


def test_a_message_that_comes_byte_by_byte() -> None:
    with raw_and_server() as (peer, server):
        receiving = Thread(server.recv)
        for byte in frame(TEXT, b"hello"):
            peer.send(bytes([byte]))
        assert receiving.result() == "hello"


def test_fragments_as_they_come() -> None:
    with raw_and_server() as (peer, server):
        peer.send(frame(TEXT, b"a", fin=False))
        fragments = server.recv_streaming()
        assert next(fragments) == "a"
        peer.send(frame(0, b"b", fin=False), frame(PING, b"!"), frame(0, b"c"))
        assert list(fragments) == ["b", "c"]
        peer.send(frame(BINARY, b"whole"))
        assert list(server.recv_streaming()) == [b"whole"]


def test_a_stream_of_fragments_must_be_used_to_its_end() -> None:
    with raw_and_server() as (peer, server):
        peer.send(frame(TEXT, b"a", fin=False), frame(0, b"b"), frame(TEXT, b"next"))
        fragments = server.recv_streaming()
        next(fragments)
        with pytest.raises(ConcurrencyError, match="cannot call recv while"):
            server.recv()
        with pytest.raises(ConcurrencyError, match="cannot call recv_streaming while"):
            next(server.recv_streaming())
        assert list(fragments) == ["b"]
        assert server.recv(timeout=10) == "next"


def test_the_end_within_a_stream_of_fragments() -> None:
    with raw_and_server() as (peer, server):
        peer.send(frame(TEXT, b"a", fin=False))
        fragments = server.recv_streaming()
        next(fragments)
        peer.reset()
        with pytest.raises(ConnectionClosedError):
            next(fragments)
        with pytest.raises(ConnectionClosedError):
            server.recv()


# Time


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_nothing_has_come_in_time(timeout: float) -> None:
    with pair() as (client, server):
        with pytest.raises(TimeoutError, match="timed out in"):
            server.recv(timeout=timeout)
        client.send("later")
        assert server.recv(timeout=10) == "later"


def test_what_has_come_is_there_without_time() -> None:
    with pair() as (client, server):
        for number in range(3):
            client.send(str(number))
        client.ping().wait(10)  # they are at the other end
        assert [server.recv(timeout=0) for _ in range(3)] == ["0", "1", "2"]
        with pytest.raises(TimeoutError):
            server.recv(timeout=0)


def test_the_end_is_seen_without_time() -> None:
    with pair() as (client, server):
        client.close()
        server.wait_closed()
        with pytest.raises(ConnectionClosedOK):
            server.recv(timeout=0)


def test_a_message_of_which_a_part_has_come_is_not_lost_with_the_time() -> None:
    with raw_and_server() as (peer, server):
        message = frame(TEXT, b"a", fin=False) + frame(0, b"bcd")
        peer.send(message[:-2])
        with pytest.raises(TimeoutError):
            server.recv(timeout=0.05)
        peer.send(message[-2:])
        assert server.recv(timeout=10) == "abcd"


# Threads


def test_only_one_thread_receives() -> None:
    with pair() as (client, server):
        receiving = Thread(server.recv)
        wait_until_receiving(server)
        with pytest.raises(ConcurrencyError, match="cannot call recv while another thread"):
            server.recv()
        with pytest.raises(ConcurrencyError, match="cannot call recv_streaming while"):
            next(server.recv_streaming())
        client.send("x")
        assert receiving.result() == "x"


def test_one_receives_while_others_send_and_ping() -> None:
    with pair() as (client, server):
        receiving = Thread(lambda: [client.recv() for _ in range(200)])
        senders = [Thread(repeat, 100, client.send, "up") for _ in range(2)]
        pongs = [client.ping() for _ in range(20)]
        for _ in range(200):
            server.send(server.recv(timeout=10))
        assert receiving.result() == ["up"] * 200
        for sender in senders:
            sender.result()
        assert all(pong.wait(10) for pong in pongs)


def test_close_wakes_who_receives() -> None:
    with pair() as (client, server):
        receiving = Thread(client.recv)
        wait_until_receiving(client)
        client.close(1000, "enough")
        with pytest.raises(ConnectionClosedOK, match="enough"):
            receiving.result()
        assert server.wait_closed(10)
        assert server.close_reason == "enough"


def test_close_wakes_who_receives_from_a_peer_that_does_not_answer() -> None:
    with raw_and_server(close_timeout=0.1) as (_, server):
        receiving = Thread(server.recv)
        wait_until_receiving(server)
        server.close()
        with pytest.raises(ConnectionClosedError):
            receiving.result()


def test_ctrl_c_leaves_recv_as_it_was() -> None:
    with pair() as (client, server):

        def interrupt() -> None:
            wait_until_receiving(server)
            signal.pthread_kill(main, signal.SIGINT)

        main = threading.get_ident()
        for _ in range(3):
            interrupting = Thread(interrupt)
            with pytest.raises(KeyboardInterrupt):
                server.recv()
            interrupting.result()
        client.send("still there")
        assert server.recv(timeout=10) == "still there"


# While nobody receives


def test_pings_are_answered_while_nobody_receives() -> None:
    with raw_and_server() as (peer, server):
        for payload in (b"1", b"2"):
            peer.send(frame(TEXT, b"unread"), frame(PING, payload))
            assert (peer.frame().opcode, payload) == (PONG, payload)
        assert [server.recv(timeout=0) for _ in range(2)] == ["unread"] * 2


def test_pings_are_answered_after_a_thread_has_received() -> None:
    with raw_and_server() as (peer, server):
        for _ in range(3):
            peer.send(frame(TEXT, b"x"))
            assert server.recv(timeout=10) == "x"
            peer.send(frame(PING, b"?"))
            assert peer.frame().opcode == PONG


def test_keepalive_goes_on_while_nobody_receives_and_while_a_thread_does() -> None:
    with raw_and_server(ping_interval=0.05, ping_timeout=5) as (peer, server):
        pings = 0
        receiving = None
        while pings < 6:
            received = peer.frame()
            assert received.opcode == PING
            peer.send(frame(PONG, received.payload))
            pings += 1
            if pings == 3:
                receiving = Thread(server.recv)
        assert receiving is not None
        peer.send(frame(TEXT, b"done"))
        assert receiving.result() == "done"
        assert server.latency > 0


@pytest.mark.parametrize("is_receiving", [False, True])
def test_a_silent_peer_is_given_up(is_receiving: bool) -> None:
    with raw_and_server(ping_interval=0.02, ping_timeout=0.05, close_timeout=0.1) as (_, server):
        receiving = Thread(server.recv) if is_receiving else None
        assert server.wait_closed(10)
        with pytest.raises(ConnectionClosedError, match="keepalive ping timeout") as caught:
            receiving.result() if receiving else server.recv()
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1011


def test_a_closing_handshake_ends_while_nobody_receives() -> None:
    with raw_and_server() as (peer, server):
        peer.send(frame(TEXT, b"last"), frame(CLOSE, close_payload(1001, "bye")))
        assert peer.close_frame().code == 1001
        assert peer.rest() == b""
        peer.sock.close()
        assert server.wait_closed(10)
        assert server.recv(timeout=0) == "last"
        with pytest.raises(ConnectionClosedOK, match="bye"):
            server.recv()


def test_what_nobody_receives_is_bounded() -> None:
    with raw_and_server(max_size=None) as (peer, server):
        peer.sock.settimeout(0.3)
        message = frame(BINARY, bytes(60_000))
        with memory() as used, pytest.raises(TimeoutError):
            for _ in range(64 * MIB // len(message)):
                peer.send(message)
        assert server._core is not None
        assert server._core.is_paused
        assert used.peak < 2 * MIB


def test_reading_goes_on_when_it_was_paused() -> None:
    with raw_and_server(max_queue=2, max_size=None) as (peer, server):
        count = 300
        sending = Thread(repeat, count, peer.send, frame(BINARY, bytes(10_000)))
        until(lambda: server._is_paused)
        assert [len(server.recv(timeout=10)) for _ in range(count)] == [10_000] * count
        sending.result()
        peer.send(frame(PING, b"still"))
        assert peer.frame().payload == b"still"


def test_a_peer_that_hangs_up_while_reading_is_paused_is_noticed() -> None:
    with raw_and_server(max_queue=1, ping_interval=0.05, ping_timeout=None) as (peer, server):
        peer.send(frame(TEXT, b"x") * 10)
        until(lambda: server._is_paused)
        peer.reset()
        assert server.wait_closed(10)


# Sending


def test_a_send_that_the_peer_does_not_take_blocks_until_it_does() -> None:
    message = bytes(8 * MIB)
    with raw_and_server(receive_buffer=4096) as (peer, server):
        sending = Thread(server.send, message)
        until(lambda: server._senders)
        peer.send(frame(TEXT, b"meanwhile"))
        assert server.recv(timeout=10) == "meanwhile"
        assert sending.is_alive()
        assert peer.frame().payload == message
        sending.result()


def test_whole_messages_of_many_threads_while_the_peer_is_slow() -> None:
    with raw_and_server(receive_buffer=4096) as (peer, server):
        letters = [bytes([letter]) * MIB for letter in b"abcd"]
        threads = [Thread(server.send, letter) for letter in letters]
        assert sorted(peer.frame().payload for _ in letters) == letters
        for thread in threads:
            thread.result()


def test_a_peer_that_takes_nothing_is_cut() -> None:
    with raw_and_server(receive_buffer=4096, write_timeout=0.2) as (_, server):
        with pytest.raises(ConnectionClosedError) as caught:
            server.send(bytes(32 * MIB))
        assert "took nothing" in str(caught.value.__cause__)


def test_the_rest_is_sent_though_the_sender_was_interrupted() -> None:
    with raw_and_server(receive_buffer=4096) as (peer, server):

        def interrupt() -> None:
            until(lambda: server._senders)
            signal.pthread_kill(main, signal.SIGINT)

        main = threading.get_ident()
        interrupting = Thread(interrupt)
        with pytest.raises(KeyboardInterrupt):
            server.send(bytes(8 * MIB))
        interrupting.result()
        assert len(peer.frame().payload) == 8 * MIB


def test_a_peer_that_is_gone_while_a_thread_sends() -> None:
    with raw_and_server(receive_buffer=4096) as (peer, server):
        sending = Thread(server.send, bytes(32 * MIB))
        until(lambda: server._senders)
        peer.reset()
        with pytest.raises(ConnectionClosedError):
            sending.result()


def test_what_the_peer_said_before_it_went_can_be_read_after_a_send_has_failed() -> None:
    with raw_and_server() as (peer, server):
        peer.send(frame(TEXT, b"last words"))
        peer.sock.close()
        with pytest.raises(ConnectionClosedError):
            for _ in range(10_000):
                server.send("x")
        assert server.recv(timeout=0) == "last words"


# Failures


def test_a_violation_is_answered_and_said() -> None:
    with raw_and_server(max_size=10) as (peer, server):
        receiving = Thread(server.recv)
        peer.send(frame(TEXT, b"x" * 11))
        assert peer.close_frame().code == 1009
        peer.sock.close()
        with pytest.raises(ConnectionClosedError) as caught:
            receiving.result()
        assert isinstance(caught.value.__cause__, PayloadTooBig)


def test_a_violation_while_nobody_receives() -> None:
    with raw_and_server() as (peer, server):
        peer.send(frame(3, b""))
        assert peer.close_frame().code == 1002
        peer.sock.close()
        assert server.wait_closed(10)


def test_a_peer_that_talks_on_after_its_failure_is_cut() -> None:
    with raw_and_server(close_timeout=30) as (peer, server):
        peer.send(frame(3, b""))
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            while True:
                peer.send(bytes(MIB))
        assert server.wait_closed(10)


# Processes


def test_a_process_ends_with_connections_open() -> None:
    program = """
import sys, threading
from wirebird.sync.client import connect
ws = connect(sys.argv[1], proxy=None)
threading.Thread(target=ws.recv, daemon=True).start()
other = connect(sys.argv[1], proxy=None)
other.send("x"); other.recv()
print("end")
"""
    with serving() as server:
        uri = f"ws://127.0.0.1:{port_of(server)}/"
        done = subprocess.run(
            [sys.executable, "-c", program, uri], capture_output=True, timeout=30, check=True
        )
        assert (done.stdout, done.stderr) == (b"end\n", b"")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here: run it on Unix")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_leaves_connections_to_the_parent() -> None:
    with serving() as server, connect(f"ws://127.0.0.1:{port_of(server)}", proxy=None) as ws:
        uri = f"ws://127.0.0.1:{port_of(server)}/"
        ws.send("before")
        assert ws.recv(timeout=10) == "before"
        receiving = Thread(ws.recv)
        wait_until_receiving(ws)
        read, write = os.pipe()
        child = os.fork()
        if not child:  # nothing of pytest may go on in here
            status = 1
            try:
                seen: list[object] = []
                for use in (ws.recv, lambda: ws.send("x"), ws.ping, ws.close):
                    try:
                        use()
                        seen.append("done")
                    except InvalidState as exc:
                        seen.append("refused" if "before a fork" in str(exc) else str(exc))
                with connect(uri, proxy=None) as own:
                    own.send("child")
                    seen.append(own.recv(timeout=10))
                    seen.append(own.ping().wait(10))
                os.write(write, repr(seen).encode())
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        os.close(write)
        told = os.read(read, 1000).decode()
        os.close(read)
        assert told == "['refused', 'refused', 'refused', 'done', 'child', True]"
        assert status == 0
        ws.send("after")
        assert receiving.result() == "after"


def test_no_thread_is_made_for_a_connection() -> None:
    with serving() as server:
        before = threading.active_count()
        connections = [connect(f"ws://127.0.0.1:{port_of(server)}", proxy=None) for _ in range(20)]
        for connection in connections:
            connection.send("x")
        assert [connection.recv(timeout=10) for connection in connections] == ["x"] * 20
        # The threads of the server's handlers, and no more.
        assert threading.active_count() - before == 20
        for connection in connections:
            connection.close()


def test_nothing_of_a_closed_connection_is_kept() -> None:
    with pair():
        assert len(reactor()._connections) == 2
    assert not reactor()._connections
    assert not reactor()._lent
    assert len(reactor()._schedule) == 0


def test_a_server_that_cuts_the_connection_while_a_thread_waits() -> None:
    def talk(peer: RawPeer) -> None:
        peer.accept()
        peer.reset()

    with raw_server(talk) as uri, connect(uri, proxy=None) as ws:
        with pytest.raises(ConnectionClosedError):
            ws.recv()
        assert ws.close_code == 1006
