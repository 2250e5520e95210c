"""Connecting, redirects, and connecting again."""

from __future__ import annotations

import itertools
import logging
import pathlib
import socket
import ssl
from collections.abc import Generator
from typing import Any

import pytest
from tests.attacks.raw import CLOSE, TEXT, close_payload, frame, key_of, response
from tests.attacks.test_hostile_servers import ANSWERS, Answer
from tests.sync.pair import RawPeer, port_of, raw_server, running, serving, uri_of

from wirebird.exceptions import (
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    SecurityError,
)
from wirebird.http11 import USER_AGENT, Request, Response
from wirebird.sync.client import (
    ClientConnection,
    connect,
    reconnect,
    unix_connect,
    unix_reconnect,
)
from wirebird.sync.server import ServerConnection, unix_serve


def at_once() -> Generator[float, None, None]:
    yield from itertools.repeat(0)


# Connecting


def test_the_request() -> None:
    heads: list[str] = []

    def talk(peer: RawPeer) -> None:
        heads.append(peer.accept("Sec-WebSocket-Protocol: chat"))
        peer.send(frame(TEXT, b"first", mask=False), frame(CLOSE, close_payload(1000), mask=False))
        peer.close_frame()

    with (
        raw_server(talk) as uri,
        connect(
            uri + "path?query",
            proxy=None,
            origin="https://example.com",
            subprotocols=["chat"],
            compression=None,
            additional_headers={"X-A": "b"},
        ) as ws,
    ):
        assert ws.subprotocol == "chat"
        assert list(ws) == ["first"]
    (head,) = heads
    assert head.startswith("GET /path?query HTTP/1.1\r\n")
    for line in ("Origin: https://example.com", "X-A: b", f"User-Agent: {USER_AGENT}"):
        assert f"\r\n{line}\r\n" in head
    assert "Sec-WebSocket-Extensions" not in head


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"uri": "http://x/"}, InvalidURI),
        ({"uri": "ws://x/", "ssl": ssl.create_default_context()}, ValueError),
        ({"uri": "ws://x/", "compression": "gzip"}, ValueError),
        ({"uri": "ws://x/", "subprotocols": "chat"}, TypeError),
        ({"uri": "ws://x/", "engine": "steam"}, ValueError),
    ],
)
def test_arguments_that_contradict_themselves(kwargs: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        connect(**kwargs)


def test_the_connection_can_be_used_without_with() -> None:
    with serving() as server:
        ws = connect(uri_of(server), proxy=None)
        ws.send("x")
        assert ws.recv(timeout=10) == "x"
        ws.close()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        connect(f"ws://127.0.0.1:{port}", proxy=None)


def test_somewhere_else_than_the_uri_says() -> None:
    with serving() as server:
        address = ("127.0.0.1", port_of(server))
        with connect("ws://example.com/", address=address, proxy=None) as ws:
            assert ws.request is not None
            assert ws.request.headers["Host"] == "example.com"


def test_over_a_socket_that_is_connected() -> None:
    with serving() as server:
        sock = socket.create_connection(("127.0.0.1", port_of(server)))
        with connect("ws://example.com/", sock=sock) as ws:
            ws.send("x")
            assert ws.recv(timeout=10) == "x"


def test_a_socket_that_has_tls_already_is_a_mistake(client_tls: ssl.SSLContext) -> None:
    ours, theirs = socket.socketpair()
    secured = client_tls.wrap_socket(
        ours, server_hostname="localhost", do_handshake_on_connect=False
    )
    with theirs, pytest.raises(ValueError, match="must be a plain socket"):
        connect("wss://localhost/", sock=secured)


def test_over_a_unix_socket(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "socket"
    with running(unix_serve(lambda ws: ws.send(ws.recv()), path)):
        with unix_connect(path) as ws:
            ws.send("x")
            assert ws.recv(timeout=10) == "x"
        for ws in unix_reconnect(path):
            ws.send("y")
            assert ws.recv(timeout=10) == "y"
            break
    with pytest.raises(ValueError, match="a path or a socket"):
        unix_connect()


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 101 Switching"])
def test_a_server_that_says_nothing(begun: bytes) -> None:
    def talk(peer: RawPeer) -> None:
        peer.head()
        peer.send(begun)
        peer.rest()

    with (
        raw_server(talk) as uri,
        pytest.raises(TimeoutError, match="timed out during opening handshake"),
    ):
        connect(uri, proxy=None, open_timeout=0.1)


def test_a_server_that_says_nothing_of_tls(client_tls: ssl.SSLContext) -> None:
    with (
        raw_server(lambda peer: peer.rest()) as uri,
        pytest.raises(TimeoutError, match="timed out during opening handshake"),
    ):
        connect(uri.replace("ws:", "wss:"), ssl=client_tls, proxy=None, open_timeout=0.1)


@pytest.mark.parametrize(("answer", "error"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_not_right_is_refused(answer: Answer, error: type[Exception]) -> None:
    def talk(peer: RawPeer) -> None:
        peer.send(answer(peer.head()))
        peer.sock.shutdown(socket.SHUT_WR)
        peer.rest()

    with raw_server(talk) as uri:
        with pytest.raises(InvalidHandshake) as caught:
            connect(uri, proxy=None)
        assert type(caught.value) is error


def test_the_name_is_checked_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with serving(ssl=server_tls) as server:
        uri = f"wss://127.0.0.2:{port_of(server)}/"
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(uri, ssl=client_tls, proxy=None, address=("127.0.0.1", port_of(server)))
        with connect(
            uri,
            ssl=client_tls,
            server_hostname="localhost",
            proxy=None,
            address=("127.0.0.1", port_of(server)),
        ) as ws:
            ws.send("x")
            assert ws.recv(timeout=10) == "x"


def test_a_class_of_the_users() -> None:
    class Mine(ClientConnection):
        def greet(self) -> None:
            self.send("hi")

    with serving() as server:
        ws = connect(uri_of(server), proxy=None, create_connection=Mine)
        with ws:
            assert isinstance(ws, Mine)
            ws.greet()
            assert ws.recv(timeout=10) == "hi"


# Redirects


def to(location: str, status: int = 302) -> Any:
    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        assert isinstance(connection, ServerConnection)
        if request.path != "/":
            return None
        answer = connection.respond(status, "elsewhere")
        answer.headers["Location"] = location
        return answer

    return process_request


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_redirects_are_followed(status: int) -> None:
    with (
        serving(process_request=to("/new", status)) as server,
        connect(uri_of(server), proxy=None) as ws,
    ):
        assert ws.request is not None
        assert ws.request.path == "/new"


def test_too_many_redirects() -> None:
    with (
        serving(process_request=to("/")) as server,
        pytest.raises(SecurityError, match="more than 10 redirects"),
    ):
        connect(uri_of(server), proxy=None)


def test_a_refusal_that_is_no_redirect() -> None:
    with (
        serving(process_request=to("/new", 404)) as server,
        pytest.raises(InvalidStatus, match="404"),
    ):
        connect(uri_of(server), proxy=None)


def test_never_elsewhere_with_a_socket_or_an_address() -> None:
    with serving(process_request=to("ws://localhost:1/")) as server:
        address = ("127.0.0.1", port_of(server))
        with pytest.raises(ValueError, match="a host or port was given"):
            connect(uri_of(server), address=address, proxy=None)
        with pytest.raises(ValueError, match="the socket was given"):
            connect(uri_of(server), sock=socket.create_connection(address))


# Connecting again


def goodbye(ws: ServerConnection) -> None:
    ws.send("hello")


@pytest.mark.parametrize(
    "how",
    [
        lambda uri: reconnect(uri, proxy=None),
        lambda uri: connect(uri, proxy=None, legacy=False),
    ],
)
def test_it_connects_again_after_each_end(how: Any) -> None:
    with serving(goodbye) as server:
        seen = []
        for ws in how(uri_of(server)):
            seen += list(ws)
            if len(seen) == 3:
                break
        assert seen == ["hello"] * 3


def test_a_connection_is_iterated_over_for_its_messages() -> None:
    def twice(ws: ServerConnection) -> None:
        ws.send("one")
        ws.send("two")

    with serving(twice) as server:
        with connect(uri_of(server), proxy=None) as ws:
            assert list(ws) == ["one", "two"]
        for legacy in (None, True):
            assert list(connect(uri_of(server), proxy=None, legacy=legacy)) == ["one", "two"]
        ws = connect(uri_of(server), proxy=None)
        assert ws.recv(timeout=10) == "one"
        assert list(ws) == ["two"]
    with serving() as server:
        ws = connect(uri_of(server), proxy=None)
        ws.send("x")
        assert next(iter(ws)) == "x"
        ws.close()


def test_it_tries_again_after_passing_errors(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([b"", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", None])

    def talk(peer: RawPeer) -> None:
        head = peer.head()
        answer = next(answers)
        peer.send(response(key_of(head)) if answer is None else answer)
        if answer is None:
            peer.send(frame(CLOSE, close_payload(1000), mask=False))
            peer.close_frame()

    with caplog.at_level(logging.INFO, "wirebird.client"), raw_server(talk, 3) as uri:
        for ws in reconnect(uri, proxy=None, reconnect_delays=at_once):
            with pytest.raises(ConnectionClosedOK):
                ws.recv(timeout=10)
            break
    told = [message for message in caplog.messages if "reconnecting in 0.0 seconds" in message]
    assert len(told) == 2


def test_fatal_errors_end_it() -> None:
    with serving(process_request=to("/new", 404)) as server:
        with pytest.raises(InvalidStatus, match="404"):
            for _ in reconnect(uri_of(server), proxy=None, reconnect_delays=at_once):
                pytest.fail("it is not open")
        mine = RuntimeError("mine")
        with pytest.raises(RuntimeError, match="mine"):
            for _ in reconnect(uri_of(server), proxy=None, process_exception=lambda _: mine):
                pytest.fail("it is not open")


def test_it_cannot_be_entered_twice() -> None:
    with serving() as server:
        connector = reconnect(uri_of(server), proxy=None)
        with connector, pytest.raises(RuntimeError, match="isn't reentrant"), connector:
            pass
