"""Pings, closing, sending by fragments, and what users ask about a connection."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.attacks.raw import CLOSE, MIB, PING, PONG, TEXT, close_payload, frame
from tests.sync.pair import Thread, handed_over, pair, port_of, raw_and_server, repeat

from wirebird.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    ProtocolError,
)
from wirebird.frames import Frame
from wirebird.protocol import Protocol, Side, State
from wirebird.sync.client import ClientConnection, connect
from wirebird.sync.connection import Connection
from wirebird.sync.server import ServerConnection

# Pings


def test_a_ping_is_an_event() -> None:
    with pair() as (client, _):
        pong = client.ping()
        assert isinstance(pong, threading.Event)
        assert pong.wait(10)
        assert 0 < client.latency < 10
        assert client.ping("payload").wait(10)
        assert client.ping(bytearray(b"payload")).wait(10)


def test_one_pong_answers_all_pings_before_it() -> None:
    with raw_and_server() as (peer, server):
        pongs = [server.ping(payload) for payload in ("a", "b", "c")]
        peer.send(frame(PONG, b"b"))
        assert pongs[0].wait(10)
        assert pongs[1].wait(10)
        assert not pongs[2].is_set()
        with pytest.raises(ConcurrencyError):
            server.ping("c")


@pytest.mark.parametrize("is_set", [False, True])
def test_the_end_may_set_the_event_too(is_set: bool) -> None:
    with raw_and_server() as (peer, server):
        pong = server.ping(ack_on_close=is_set)
        peer.reset()
        assert server.wait_closed(10)
        assert pong.is_set() is is_set


def test_a_pong_that_nobody_asked_for() -> None:
    with raw_and_server() as (peer, server):
        server.pong("beat")
        assert (peer.frame().opcode, server.state) == (PONG, State.OPEN)


@pytest.mark.parametrize("data", [1, ["x"], 0.5])
def test_other_payloads_are_a_mistake(data: Any) -> None:
    with pair() as (client, _):
        with pytest.raises(TypeError, match="data must be str or bytes-like"):
            client.ping(data)
        with pytest.raises(TypeError, match="data must be str or bytes-like"):
            client.pong(data)
        with pytest.raises(ProtocolError, match="126 bytes"):
            client.ping(b"x" * 126)
        assert client.ping().wait(10)


# Sending


@pytest.mark.parametrize(
    ("message", "text", "came"),
    [
        ("é", None, "é"),
        ("é", False, "é".encode()),
        ("é".encode(), True, "é"),
        (bytearray(b"x"), None, b"x"),
        (memoryview(b"x"), None, b"x"),
        (["a", "b"], None, "ab"),
        (["a", "b"], False, b"ab"),
        ([b"a", bytearray(b"b")], None, b"ab"),
        ([b"a", b"b"], True, "ab"),
        ({"a": 1, "b": 2}.keys(), None, "ab"),
    ],
)
def test_what_can_be_sent(message: Any, text: bool | None, came: object) -> None:
    with pair() as (client, server):
        client.send(iter(message) if isinstance(message, list) else message, text=text)
        assert server.recv(timeout=10) == came


def test_nothing_is_no_message() -> None:
    with pair() as (client, server):
        client.send([])
        client.send("after")
        assert server.recv(timeout=10) == "after"


@pytest.mark.parametrize("message", [None, 1, {"a": "b"}, [1]])
def test_what_cannot_be_sent_changes_nothing(message: Any) -> None:
    with pair() as (client, server):
        with pytest.raises(TypeError):
            client.send(message)
        client.send("after")
        assert server.recv(timeout=10) == "after"


@pytest.mark.parametrize("second", [b"bytes", 1])
def test_fragments_that_do_not_match_fail_the_connection(second: Any) -> None:
    with pair() as (client, server):
        with pytest.raises(TypeError):
            client.send(["text", second])
        with pytest.raises(ConnectionClosedError):
            server.recv(timeout=10)
        assert server.close_code == 1011


def test_an_iterator_that_raises_fails_the_connection() -> None:
    def fragments() -> Any:
        yield "one"
        raise KeyError("mine")

    with pair() as (client, server):
        with pytest.raises(KeyError, match="mine"):
            client.send(fragments())
        with pytest.raises(ConnectionClosedError):
            server.recv(timeout=10)
        assert server.close_code == 1011


def test_nobody_else_sends_between_fragments() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def fragments() -> Any:
        yield "one "
        begun.set()
        assert go_on.wait(10)
        yield "two"

    with pair() as (client, server):
        sending = Thread(client.send, fragments())
        assert begun.wait(10)
        for message in ("x", b"x", ["x"]):
            with pytest.raises(ConcurrencyError, match="cannot call send while another thread"):
                client.send(message)
        assert client.ping().wait(10)
        go_on.set()
        sending.result()
        assert server.recv(timeout=10) == "one two"
        client.send("free again")
        assert server.recv(timeout=10) == "free again"


def test_close_in_the_middle_of_a_message_fails_the_connection() -> None:
    with pair() as (client, server):

        def fragments() -> Any:
            yield "one"
            client.close()
            yield "two"

        with pytest.raises(ConnectionClosed):
            client.send(fragments())
        assert server.wait_closed(10)
        assert server.close_code == 1011


# Closing


def test_close_with_a_code_and_a_reason() -> None:
    with pair() as (client, server):
        client.close(4000, "bye – é")
        assert server.wait_closed(10)
        for connection in (client, server):
            assert (connection.close_code, connection.close_reason) == (4000, "bye – é")
            assert connection.state is State.CLOSED
            client.close(1000)  # nothing more
            for use in (connection.recv, connection.ping, connection.pong):
                with pytest.raises(ConnectionClosedError, match="4000"):
                    use()
            with pytest.raises(ConnectionClosedError, match="4000"):
                connection.send("x")


def test_what_cannot_be_sent_as_a_reason() -> None:
    with pair() as (client, _):
        with pytest.raises(ProtocolError):
            client.close(1005)
        with pytest.raises(ProtocolError):
            client.close(1000, "x" * 124)
        assert client.state is State.OPEN


def test_with_closes_and_says_1011_after_an_error() -> None:
    with raw_and_server() as (peer, server):
        with pytest.raises(KeyError), server:
            Thread(lambda: peer.send(frame(CLOSE, peer.close_frame().payload)))
            raise KeyError
        assert server.close_code == 1011


def test_messages_that_came_before_the_end_can_be_received_after_it() -> None:
    with pair() as (client, server):
        for number in range(5):
            client.send(str(number))
        client.close()
        assert list(server) == ["0", "1", "2", "3", "4"]


def test_iterating_ends_or_raises() -> None:
    with raw_and_server() as (peer, server):
        peer.send(frame(TEXT, b"x"), frame(CLOSE, close_payload(4000)))
        messages = iter(server)
        assert next(messages) == "x"
        peer.close_frame()
        peer.sock.close()
        with pytest.raises(ConnectionClosedError):
            next(messages)


@pytest.mark.parametrize("threads", [1, 4])
def test_close_by_many_threads_at_both_ends(threads: int) -> None:
    with pair() as (client, server):
        closing = [Thread(end.close) for end in (client, server) for _ in range(threads)]
        for thread in closing:
            thread.result()
        assert client.close_code == server.close_code == 1000


def test_wait_closed_says_whether_it_is() -> None:
    with pair() as (client, server):
        assert client.wait_closed(0) is False
        waiting = Thread(client.wait_closed)
        server.close()
        assert waiting.result() is True
        assert client.wait_closed(0) is True


def test_a_peer_that_answers_no_close_is_cut() -> None:
    with raw_and_server(close_timeout=0.05) as (_, server):
        server.close()
        assert server.close_code == 1006


# What users ask


def test_addresses_and_ids() -> None:
    with pair() as (client, server):
        assert client.local_address == server.remote_address
        assert client.remote_address == server.local_address
        assert client.id != server.id
        assert client.subprotocol is None
        assert client.request is not None
        assert client.response is not None
        assert server.request is not None
        assert server.request.path == client.request.path
        assert client.socket.fileno() > 0


def test_frames_can_be_watched() -> None:
    seen: list[tuple[bool, str]] = []
    with pair(compression=None) as (client, server):
        client.trace = lambda sent, frame: seen.append((sent, str(frame.opcode.name)))
        client.send("x")
        server.send(server.recv(timeout=10))
        client.recv(timeout=10)
        assert client.ping().wait(10)
        assert seen == [(True, "TEXT"), (False, "TEXT"), (True, "PING"), (False, "PONG")]


def test_who_watches_may_use_the_connection() -> None:
    with pair(compression=None) as (client, server):

        def watch(sent: bool, frame: Frame) -> None:
            if not sent and frame.opcode == PING:
                client.send("seen")
                client.close()  # it cannot end before this returns

        client.trace = watch
        server.ping()
        assert server.recv(timeout=10) == "seen"
        with pytest.raises(ConnectionClosedOK):
            server.recv(timeout=10)


def test_logs_tell_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "wirebird"), pair(compression=None) as (client, server):
        client.send("hello")
        assert server.recv(timeout=10) == "hello"
        ids = {record.websocket.id for record in caplog.records if hasattr(record, "websocket")}
        assert ids == {client.id, server.id}
        assert "> TEXT 'hello' [5 bytes]" in caplog.messages
        assert "< TEXT 'hello' [5 bytes]" in caplog.messages


# TLS


@contextlib.contextmanager
def tls_pair(
    *, server: dict[str, Any], client: dict[str, Any]
) -> Iterator[tuple[ClientConnection, ServerConnection]]:
    """As ``pair``, over TLS and without a limit of size."""
    with handed_over(**{"max_size": None, **server}) as (listening, opened):
        uri = f"wss://localhost:{port_of(listening)}/"
        with connect(uri, proxy=None, max_size=None, **client) as connection:
            yield connection, opened.get(timeout=10)


def test_over_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    with tls_pair(server={"ssl": server_tls}, client={"ssl": client_tls}) as (client, server):
        for message in ("x", bytes(5 * MIB)):
            sending = Thread(client.send, message)
            assert server.recv(timeout=20) == message
            sending.result()
        receiving = Thread(lambda: [client.recv() for _ in range(100)])
        threads = [Thread(repeat, 50, server.send, "y" * 999) for _ in range(2)]
        assert receiving.result() == ["y" * 999] * 100
        for thread in threads:
            thread.result()
        assert client.ping().wait(10)
        assert client.socket.cipher() is not None
        assert client.socket.getpeername() == server.local_address
        client.close(1000, "over")
        with pytest.raises(ConnectionClosedOK, match="over"):
            server.recv(timeout=10)


def test_over_tls_a_peer_that_takes_nothing_blocks_a_send(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with tls_pair(server={"ssl": server_tls, "max_size": None}, client={"ssl": client_tls}) as (
        client,
        server,
    ):
        message = bytes(8 * MIB)
        sending = Thread(repeat, 4, client.send, message)
        assert [server.recv(timeout=20) for _ in range(4)] == [message] * 4
        sending.result()


def test_over_tls_a_failure_can_be_read(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    limited = {"ssl": server_tls, "max_size": 10, "compression": None}
    with tls_pair(server=limited, client={"ssl": client_tls}) as (client, server):
        client.send("x" * 11)
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009
        assert server.wait_closed(10)


def test_a_connection_whose_handshake_was_done_elsewhere() -> None:
    ours, theirs = socket.socketpair()
    client = Connection(ours, Protocol(Side.CLIENT))
    server = Connection(theirs, Protocol(Side.SERVER))
    client.send("x")
    assert server.recv(timeout=10) == "x"
    client.close()
    assert server.wait_closed(10)
