"""The server: handshakes, hooks, handlers, and its end."""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
import threading
import time
from typing import Any

import pytest
from tests.attacks.raw import CLOSE, MIB, TEXT, close_payload, frame, request
from tests.attacks.test_handshakes import REFUSED
from tests.sync.pair import (
    RawPeer,
    Thread,
    echo,
    handed_over,
    port_of,
    running,
    serving,
    uri_of,
)

from wirebird.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidStatus,
    ProtocolError,
)
from wirebird.http11 import Request, Response
from wirebird.sync.client import connect
from wirebird.sync.server import Server, ServerConnection, serve


def answer(port: int, *data: bytes) -> str:
    """Send bytes; return the head and body of the response, after which the stream ends."""
    with RawPeer.connect(port) as peer:
        peer.send(*data)
        return peer.rest().decode()


def status(text: str) -> int:
    """The status of a response."""
    found = re.match(r"HTTP/1\.1 (\d{3}) ", text)
    assert found, text
    return int(found[1])


# Handlers


def test_a_handler_that_returns_closes_its_connection() -> None:
    with serving(lambda ws: ws.send("hi")) as server, connect(uri_of(server), proxy=None) as ws:
        assert list(ws) == ["hi"]
        assert ws.close_code == 1000


def test_a_handler_that_fails_closes_its_connection_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: ServerConnection) -> None:
        raise KeyError("mine")

    with serving(fail) as server, connect(uri_of(server), proxy=None) as ws:
        with pytest.raises(ConnectionClosedError):
            ws.recv(timeout=10)
        assert ws.close_code == 1011
    (record,) = [one for one in caplog.records if one.message == "connection handler failed"]
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


def test_connections_are_listed_while_they_are_open() -> None:
    with handed_over() as (server, opened):
        assert server.connections == set()
        with connect(uri_of(server), proxy=None):
            connection = opened.get(timeout=10)
            assert server.connections == {connection}
        assert connection.wait_closed(10)
        assert server.connections == set()


def test_opening_and_closing_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO, "wirebird.server"),
        serving() as server,
        connect(uri_of(server), proxy=None),
    ):
        pass
    assert caplog.messages[0].startswith("server listening on 127.0.0.1:")
    assert caplog.messages[1] == "connection open"
    assert sorted(caplog.messages[2:]) == ["connection closed", "server closed", "server closing"]


# Handshakes


@pytest.mark.parametrize(("data", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_request_for_a_websocket_is_refused(data: bytes, expected: int) -> None:
    with serving(lambda _: pytest.fail("it is open")) as server:
        text = answer(port_of(server), data)
        assert status(text) == expected
        assert "\r\nConnection: close\r\n" in text


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half"])
def test_one_who_does_not_finish_is_answered_408(data: bytes) -> None:
    with serving(open_timeout=0.1) as server:
        assert status(answer(port_of(server), data)) == 408


def test_a_dribble_does_not_gain_time() -> None:
    with serving(open_timeout=0.2) as server, RawPeer.connect(port_of(server)) as peer:
        reading = Thread(peer.rest)
        for byte in request():
            if not reading.is_alive():
                break
            try:
                peer.send(bytes([byte]))
            except OSError:
                break
            time.sleep(0.01)
        assert status(reading.result().decode()) == 408


def test_one_who_takes_no_answer_is_cut() -> None:
    with serving(close_timeout=0.1) as server, RawPeer.connect(port_of(server)) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        peer.rest()  # ... and our half stays open
        wait_for_handlers(server)


def test_one_who_talks_on_after_the_refusal_is_cut() -> None:
    with serving(close_timeout=30) as server, RawPeer.connect(port_of(server)) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            while True:
                peer.send(bytes(MIB))
        wait_for_handlers(server)


@pytest.mark.parametrize("data", [b"", b"GET ", request()[:-2]])
def test_one_who_goes_away_reaches_nobody(data: bytes) -> None:
    with serving(lambda _: pytest.fail("it is open")) as server:
        for goes in (RawPeer.reset, lambda peer: peer.sock.close()):
            with RawPeer.connect(port_of(server)) as peer:
                peer.send(data)
                goes(peer)
        wait_for_handlers(server)


def test_messages_behind_the_request_are_the_first() -> None:
    with serving() as server, RawPeer.connect(port_of(server)) as peer:
        peer.send(request(), frame(TEXT, b"early"), frame(CLOSE, close_payload(1000)))
        assert peer.head().startswith("HTTP/1.1 101 ")
        assert peer.frame().opcode in (TEXT, CLOSE)


def wait_for_handlers(server: Server) -> None:
    """Wait until no thread of a handler is left."""
    deadline = time.monotonic() + 10
    while server.handler_threads:
        assert time.monotonic() < deadline
        time.sleep(0.001)


# Hooks


def test_process_request_may_answer() -> None:
    def process_request(ws: ServerConnection, asked: Request) -> Response | None:
        return ws.respond(200, "healthy\n") if asked.path == "/health" else None

    with serving(process_request=process_request) as server:
        text = answer(port_of(server), request(path="/health"))
        assert status(text) == 200
        assert text.endswith("\r\n\r\nhealthy\n")
        with connect(uri_of(server), proxy=None):
            pass


def test_process_response_may_change_or_replace() -> None:
    def process_response(ws: ServerConnection, asked: Request, given: Response) -> Response | None:
        given.headers["X-A"] = "b"
        return ws.respond(403, "no") if asked.path == "/no" else None

    with serving(process_response=process_response, server_header="mine") as server:
        with connect(uri_of(server), proxy=None) as ws:
            assert ws.response is not None
            assert ws.response.headers["X-A"] == "b"
            assert ws.response.headers["Server"] == "mine"
        with pytest.raises(InvalidStatus, match="403"):
            connect(uri_of(server, "/no"), proxy=None)


@pytest.mark.parametrize("name", ["process_request", "process_response"])
@pytest.mark.parametrize("returned", [KeyError("mine"), "no response"])
def test_a_hook_that_fails_is_answered_500(
    name: str, returned: object, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(*_: object) -> Any:
        if isinstance(returned, Exception):
            raise returned
        return returned

    with serving(**{name: hook}) as server:
        text = answer(port_of(server), request())
        assert status(text) == 500
        assert "mine" not in text
    assert "hook failed" in caplog.messages


def test_a_response_that_cannot_be_sent_is_answered_500() -> None:
    def process_response(_: ServerConnection, __: Request, given: Response) -> None:
        given.headers["X-A"] = "b\r\nX-C: d"

    with serving(process_response=process_response) as server:
        text = answer(port_of(server), request())
        assert status(text) == 500
        assert "X-C" not in text


def test_select_subprotocol_is_told_the_connection() -> None:
    def select(ws: ServerConnection, offered: Any) -> Any:
        assert isinstance(ws, ServerConnection)
        return offered[-1]

    with (
        serving(select_subprotocol=select) as server,
        connect(uri_of(server), proxy=None, subprotocols=["a", "b"]) as ws,
    ):
        assert ws.subprotocol == "b"


# Listening


def test_arguments_that_contradict_themselves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        for name, value in {"host": "x", "port": 1}.items():
            with pytest.raises(ValueError, match=f"{name} is incompatible with sock"):
                serve(echo, **{name: value}, sock=sock)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="missing path"):
        serve(echo, unix=True)
    with pytest.raises(ValueError, match="unsupported compression"):
        serve(echo, "127.0.0.1", 0, compression="gzip")


def test_on_a_socket_that_is_there() -> None:
    with running(serve(echo, sock=socket.create_server(("127.0.0.1", 0)))) as server:
        assert server.fileno() == server.socket.fileno()
        with connect(uri_of(server), proxy=None) as ws:
            ws.send("x")
            assert ws.recv(timeout=10) == "x"


def test_a_client_that_speaks_no_tls(server_tls: ssl.SSLContext) -> None:
    with serving(ssl=server_tls, open_timeout=0.2) as server:
        for data in (b"GET / HTTP/1.1\r\n\r\n", b""):
            with RawPeer.connect(port_of(server)) as peer:
                peer.send(data)
                assert not peer.rest().startswith(b"HTTP")
        wait_for_handlers(server)


def test_over_tls_a_client_that_is_refused_can_read_why(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with (
        serving(ssl=server_tls, process_request=lambda ws, _: ws.respond(403, "no")) as server,
        pytest.raises(InvalidStatus, match="403"),
    ):
        connect(f"wss://localhost:{port_of(server)}/", ssl=client_tls, proxy=None)


# The end


@pytest.mark.parametrize(
    ("kwargs", "code", "reason"),
    [({}, 1001, ""), ({"code": 1012, "reason": "restart"}, 1012, "restart")],
)
def test_shutdown_closes_connections(kwargs: Any, code: int, reason: str) -> None:
    server = serve(echo, "127.0.0.1", 0)
    accepting = Thread(server.serve_forever)
    clients = [connect(uri_of(server), proxy=None) for _ in range(5)]
    server.shutdown(**kwargs)
    accepting.result()
    for ws in clients:
        assert ws.wait_closed(10)
        assert (ws.close_code, ws.close_reason) == (code, reason)
    assert not server.handler_threads
    server.shutdown()  # nothing more
    assert server.fileno() == -1


def test_shutdown_may_let_connections_end_by_themselves() -> None:
    server = serve(echo, "127.0.0.1", 0)
    accepting = Thread(server.serve_forever)
    with connect(uri_of(server), proxy=None) as ws:
        ending = Thread(server.shutdown, close_connections=False)
        accepting.result()
        ws.send("still")
        assert ws.recv(timeout=10) == "still"
        assert ending.is_alive()
    ending.result()


def test_shutdown_again_closes_what_was_to_end_by_itself() -> None:
    server = serve(echo, "127.0.0.1", 0)
    accepting = Thread(server.serve_forever)
    with connect(uri_of(server), proxy=None) as ws:
        ending = Thread(server.shutdown, close_connections=False)
        accepting.result()
        again = [Thread(server.shutdown, code=4000 + n, reason="now") for n in range(3)]
        assert ws.wait_closed(10)
        assert ws.close_reason == "now"
    for thread in (ending, *again):
        thread.result()


def test_shutdown_with_what_cannot_be_sent() -> None:
    with serving() as server:
        with pytest.raises(ProtocolError):
            server.shutdown(code=1005)
        with connect(uri_of(server), proxy=None):
            pass


@pytest.mark.parametrize("close_connections", [False, True])
def test_handshakes_in_progress_are_refused(close_connections: bool) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def process_request(*_: object) -> None:
        asked.set()
        assert go_on.wait(10)

    server = serve(echo, "127.0.0.1", 0, process_request=process_request)
    accepting = Thread(server.serve_forever)
    refused = Thread(answer, port_of(server), request())
    assert asked.wait(10)
    ending = Thread(server.shutdown, close_connections)
    accepting.result()
    go_on.set()
    assert status(refused.result()) == 503
    ending.result()


def test_shutdown_of_a_server_that_never_served() -> None:
    with serve(echo, "127.0.0.1", 0) as server:
        pass
    server.serve_forever()  # returns at once
    assert server.fileno() == -1


def test_shutdown_by_a_handler_waits_for_the_others_alone() -> None:
    def handler(ws: ServerConnection) -> None:
        for message in ws:
            if message == "stop":
                ws.server.shutdown()

    server = serve(handler, "127.0.0.1", 0)
    accepting = Thread(server.serve_forever)
    with connect(uri_of(server), proxy=None) as one, connect(uri_of(server), proxy=None) as other:
        one.send("stop")
        with pytest.raises(ConnectionClosedOK):
            other.recv(timeout=10)
        accepting.result()


def test_a_handler_that_does_not_notice_the_end_delays_it_and_nothing_else() -> None:
    go_on = threading.Event()

    def handler(_: ServerConnection) -> None:
        assert go_on.wait(10)

    server = serve(handler, "127.0.0.1", 0)
    accepting = Thread(server.serve_forever)
    ws = connect(uri_of(server), proxy=None)
    ending = Thread(server.shutdown)
    assert ws.wait_closed(10)  # the closing handshake needs no handler
    assert ending.is_alive()
    go_on.set()
    ending.result()
    accepting.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="descriptors run out in another way: Unix")
def test_it_goes_on_when_the_system_was_short_of_descriptors(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import resource

    with serving() as server:
        with connect(uri_of(server), proxy=None):
            pass
        wait_for_handlers(server)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        peer = socket.socket()
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        try:
            peer.connect(("127.0.0.1", port_of(server)))
            deadline = time.monotonic() + 10
            while not any("cannot accept" in message for message in caplog.messages):
                assert time.monotonic() < deadline
                time.sleep(0.001)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        with RawPeer(peer) as raw:
            raw.open()


def test_it_goes_on_when_the_system_was_short_of_threads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with serving() as server:
        with monkeypatch.context() as patched:
            patched.setattr(threading, "Thread", NoThread)
            with RawPeer.connect(port_of(server)) as peer:
                assert peer.rest() == b""
        with connect(uri_of(server), proxy=None):
            pass
    assert any("cannot start a thread" in message for message in caplog.messages)


def test_one_who_goes_away_while_a_hook_works() -> None:
    asked, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def process_request(*_: object) -> None:
        asked.set()
        assert go_on.wait(10)

    def handler(ws: ServerConnection) -> None:
        try:
            ws.recv(timeout=10)
        except Exception as exc:
            seen.append(type(exc).__name__)

    with serving(handler, process_request=process_request) as server:
        with RawPeer.connect(port_of(server)) as peer:
            peer.send(request())
            assert asked.wait(10)
            peer.reset()
        go_on.set()
        wait_for_handlers(server)
    assert seen in ([], ["ConnectionClosedError"])


@pytest.mark.parametrize("keepalive", [True, (7, 8, 9)])
def test_the_system_asks_whether_clients_are_there(keepalive: Any) -> None:
    seen: list[int] = []

    def handler(ws: ServerConnection) -> None:
        seen.append(ws.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        if keepalive is not True and hasattr(socket, "TCP_KEEPCNT"):
            assert ws.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 9
        ws.send("seen")

    with (
        serving(handler, tcp_keepalive=keepalive) as server,
        connect(uri_of(server), proxy=None) as ws,
    ):
        assert ws.recv() == "seen"
    assert seen == [1]


def test_a_keepalive_that_is_none_is_refused_before_we_listen() -> None:
    with pytest.raises(ValueError, match="tcp_keepalive"):
        serve(echo, "localhost", 0, tcp_keepalive=(0, 1, 1))
