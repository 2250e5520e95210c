"""Under threads too: who a client is, as proxies and tokens tell it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.attacks.raw import request
from tests.core.test_proxy_protocol import V4, v2

from wirebird.auth import AuthorizationHeader, FirstMessage, Verified, static_tokens, token_auth
from wirebird.core.origins import SameOrigin
from wirebird.exceptions import ConnectionClosed, InvalidStatus
from wirebird.sync.client import connect
from wirebird.sync.server import Server, ServerConnection, serve

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
HERE = ["127.0.0.1"]
TOKENS = static_tokens({"SECRET": "ann"})


def handle(connection: ServerConnection) -> None:
    """Say who the client is, then echo."""
    connection.send(f"{tuple(connection.client)} {connection.scheme} {connection.host}")
    for message in connection:
        connection.send(message)


@contextlib.contextmanager
def serving(**kwargs: Any) -> Iterator[Server]:
    """Serve; arguments as ``serve``."""
    with serve(handle, "127.0.0.1", 0, **{"close_timeout": 1, **kwargs}) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def port_of(server: Server) -> int:
    """The port that a server listens on."""
    port: int = server.socket.getsockname()[1]
    return port


def heard(port: int, data: bytes) -> bytes:
    """What a server answers, up to its end or its first message."""
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        peer.sendall(data)
        answer = b""
        while b" inside" not in answer:
            try:
                more = peer.recv(2**16)
            except ConnectionResetError:
                more = b""
            if not more:
                break
            answer += more
        return answer


def test_headers_of_trusted_proxies() -> None:
    data = request("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", host="inside")
    for trusted, expected in ((HERE, b"('192.0.2.1', None) wss inside"), (None, b"('127.0.0.1', ")):
        with serving(trusted_proxies=trusted) as server:
            assert expected in heard(port_of(server), data)
    with serving(trusted_proxies=HERE) as server:
        bad = request("X-Forwarded-For: nobody")
        assert heard(port_of(server), bad).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("header", [V1, v2(V4)])
def test_the_proxy_protocol(header: bytes) -> None:
    with serving(trusted_proxies=HERE, proxy_protocol=True) as server:
        answer = heard(port_of(server), header + request(host="inside"))
        assert b"('192.0.2.1', 56324) ws inside" in answer


@pytest.mark.parametrize("data", [request(), b"PROXY TCP4 \r\n" + request(), v2(V4)[:-1]])
def test_without_a_header_it_is_cut(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with serving(trusted_proxies=HERE, proxy_protocol=True, open_timeout=0.2) as server:
        assert heard(port_of(server), data) == b""
    assert "connection cut: invalid PROXY protocol header" in caplog.text
    with serving(trusted_proxies=["192.0.2.1"], proxy_protocol=True) as server:
        assert heard(port_of(server), V1 + request()) == b""
    with pytest.raises(ValueError, match="needs trusted_proxies"):
        serve(handle, "127.0.0.1", 0, proxy_protocol=True)


def test_a_header_before_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    arguments: Any = {"trusted_proxies": HERE, "proxy_protocol": True, "ssl": server_tls}
    with serving(**arguments, origins=[SameOrigin()]) as server:
        plain = socket.create_connection(("127.0.0.1", port_of(server)))
        plain.sendall(V1)
        origin: Any = "https://localhost"
        with connect("wss://localhost/", sock=plain, ssl=client_tls, origin=origin) as ws:
            assert ws.recv() == "('192.0.2.1', 56324) wss localhost"
            ws.send("x" * 500_000)
            assert len(ws.recv()) == 500_000


def test_tokens() -> None:
    auth = token_auth(TOKENS, [AuthorizationHeader(), FirstMessage()])
    with serving(process_request=auth) as server:
        uri = f"ws://127.0.0.1:{port_of(server)}/"
        headers = {"Authorization": "Bearer SECRET"}
        with connect(uri, additional_headers=headers, proxy=None) as ws:
            ws.recv()
            assert {(c.username, c.identity) for c in server.connections} == {("ann", "ann")}
        with pytest.raises(InvalidStatus, match="401"):
            connect(uri, additional_headers={"Authorization": "Bearer x"}, proxy=None)
        with connect(uri, proxy=None) as ws:
            ws.send("SECRET")
            ws.send("x" * 100_000)
            ws.recv()
            assert ws.recv() == "x" * 100_000
        for message, code in (("wrong", 1008), ("x" * 8193, 1009)):
            with connect(uri, proxy=None) as ws:
                ws.send(message)
                with pytest.raises(ConnectionClosed, match=str(code)):
                    ws.recv()


def test_a_first_message_that_does_not_come() -> None:
    for timeout, code in ((0.05, 4401), (10, 1001)):
        auth = token_auth(TOKENS, [FirstMessage(timeout_s=timeout)], close_code=4401)
        with contextlib.ExitStack() as stack:
            with serving(process_request=auth) as server:
                ws = stack.enter_context(connect(f"ws://127.0.0.1:{port_of(server)}/", proxy=None))
                if code == 4401:
                    with pytest.raises(ConnectionClosed, match=r"4401.*timed out"):
                        ws.recv()
            with pytest.raises(ConnectionClosed, match=str(code)):
                ws.recv()


@pytest.mark.parametrize("source", [AuthorizationHeader(), FirstMessage()])
def test_a_connection_ends_with_its_token(source: Any) -> None:
    auth = token_auth(lambda _: Verified("ann", time.time() + 0.1), [source])
    with serving(process_request=auth) as server:
        uri = f"ws://127.0.0.1:{port_of(server)}/"
        headers = {"Authorization": "Bearer SECRET"}
        with connect(uri, additional_headers=headers, proxy=None) as ws:
            if isinstance(source, FirstMessage):
                ws.send("SECRET")
            ws.recv()
            with pytest.raises(ConnectionClosed, match=r"1008 .* the token has expired"):
                ws.recv()
