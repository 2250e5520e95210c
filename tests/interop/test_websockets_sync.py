"""``websockets.sync``, both ways: the same API on the other end, for threads."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
import websockets.sync.client
import websockets.sync.server
from tests.interop.peers import BIG_BINARY, BIG_TEXT, TEXTS, V1, V2, names
from websockets.exceptions import ConnectionClosedError as TheirConnectionClosedError

from wirebird.exceptions import ConnectionClosedError
from wirebird.sync.client import ClientConnection, connect
from wirebird.sync.server import serve


def echo(connection: Any) -> None:
    """An echo server of either library."""
    for message in connection:
        if isinstance(message, str) and message.startswith("/close "):
            _, code, reason = message.split(" ", 2)
            connection.close(int(code), reason)
        else:
            connection.send(message)


@contextlib.contextmanager
def running(server: Any) -> Iterator[int]:
    """Run a server of either library in a thread; give its port."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with server:
        yield server.socket.getsockname()[1]
    thread.join()


def converse(connection: ClientConnection) -> None:
    """Say everything to an echo server, whoever wrote it, and hear it back."""
    messages: list[str | bytes] = [*TEXTS, BIG_TEXT, b"", b"\x00\xff", BIG_BINARY]
    for message in messages:
        connection.send(message)
        assert connection.recv(timeout=20) == message
    connection.send(["a message ", "", "in fragments – é"])
    assert connection.recv(timeout=20) == "a message in fragments – é"
    for number in range(100):
        connection.send(f"message {number}")
    assert [connection.recv(timeout=20) for _ in range(100)] == [f"message {n}" for n in range(100)]
    assert connection.ping("payload").wait(20)
    assert connection.latency > 0


@pytest.mark.parametrize("compression", ["deflate", None])
def test_their_client_talks_to_our_server(compression: str | None) -> None:
    with (
        running(serve(echo, "localhost", 0, subprotocols=[V2, V1])) as port,
        websockets.sync.client.connect(
            f"ws://localhost:{port}/",
            compression=compression,
            subprotocols=cast(Any, [V1, V2]),
            proxy=None,
        ) as client,
    ):
        assert client.subprotocol == "v2"
        assert names(client) == (["permessage-deflate"] if compression else [])
        converse(cast(ClientConnection, client))
        client.send("/close 4001 because")
        with pytest.raises(TheirConnectionClosedError):
            client.recv()
        assert (client.close_code, client.close_reason) == (4001, "because")


@pytest.mark.parametrize("compression", ["deflate", None])
def test_our_client_talks_to_their_server(compression: str | None) -> None:
    their = websockets.sync.server.serve(
        echo, "localhost", 0, subprotocols=cast(Any, [V2, V1]), compression=compression
    )
    with (
        running(their) as port,
        connect(f"ws://localhost:{port}/", subprotocols=[V1, V2], proxy=None) as client,
    ):
        assert client.subprotocol == "v2"
        assert names(client) == (["permessage-deflate"] if compression else [])
        converse(client)
        client.send("/close 4001 because")
        with pytest.raises(ConnectionClosedError):
            client.recv()
        assert (client.close_code, client.close_reason) == (4001, "because")


def test_both_ways_over_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    with (
        running(serve(echo, "localhost", 0, ssl=server_tls)) as port,
        websockets.sync.client.connect(
            f"wss://localhost:{port}/", ssl=client_tls, proxy=None
        ) as client,
    ):
        converse(cast(ClientConnection, client))
    with (
        running(websockets.sync.server.serve(echo, "localhost", 0, ssl=server_tls)) as port,
        connect(f"wss://localhost:{port}/", ssl=client_tls, proxy=None) as client,
    ):
        converse(client)
