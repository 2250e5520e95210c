"""Clients: connecting, what is asked for, redirects, and connecting again and again."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Generator
from typing import Any

import pytest
from tests.asyncio.pair import expect_refused_certificates, turns
from tests.attacks.raw import (
    RawPeer,
    echo_server,
    frame,
    key_of,
    port_of,
    raw_server,
    response,
    uri_of,
)

from wirebird.asyncio.client import ClientConnection, connect, unix_connect
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    SecurityError,
)
from wirebird.http11 import USER_AGENT, Request, Response
from wirebird.protocol import State
from wirebird.typing import Origin, Subprotocol

# What is asked for.


async def head_of(**kwargs: Any) -> str:
    """The head of the request that ``connect`` sends."""
    heads = []

    async def talk(peer: RawPeer) -> None:
        heads.append(await peer.accept())
        await peer.rest()

    async with raw_server(talk) as uri, connect(uri, proxy=None, close_timeout=0, **kwargs):
        pass
    return heads[0]


async def test_the_request() -> None:
    head = await head_of()
    lines = head.split("\r\n")
    assert lines[0] == "GET / HTTP/1.1"
    names = {line.partition(":")[0] for line in lines[1:-2]}
    assert names == {
        "Host",
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Extensions",
        "User-Agent",
    }
    assert f"User-Agent: {USER_AGENT}" in lines


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"origin": Origin("https://a.example")}, "Origin: https://a.example"),
        ({"subprotocols": [Subprotocol("a"), Subprotocol("b")]}, "Sec-WebSocket-Protocol: a, b"),
        ({"additional_headers": {"X-A": "b"}}, "X-A: b"),
        ({"additional_headers": [("X-A", "b"), ("X-A", "c")]}, "X-A: b\r\nX-A: c"),
        ({"user_agent_header": "mine"}, "User-Agent: mine"),
        ({"additional_headers": {"User-Agent": "mine"}}, "User-Agent: mine"),
    ],
)
async def test_what_is_asked_for(kwargs: Any, line: str) -> None:
    head = await head_of(**kwargs)
    assert f"\r\n{line}\r\n" in head
    assert head.count("User-Agent") == 1


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [({"user_agent_header": None}, "User-Agent"), ({"compression": None}, "Extensions")],
)
async def test_what_is_not(kwargs: Any, name: str) -> None:
    assert name not in await head_of(**kwargs)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"additional_headers": {"X-A": "b\r\nX-C: d"}},
        {"additional_headers": {"X-A\r\n": "b"}},
        {"additional_headers": {"X-A": "b\0"}},
        {"user_agent_header": "b\nc"},
        {"origin": "https://a\r\nX-B: c"},
    ],
)
async def test_what_cannot_stand_in_a_head(kwargs: Any) -> None:
    async with echo_server() as server:
        with pytest.raises(ValueError):
            await connect(uri_of(server), proxy=None, **kwargs)
        await turns()
        assert not server.connections


@pytest.mark.parametrize(
    ("uri", "kwargs", "error"),
    [
        ("http://localhost/", {}, InvalidURI),
        ("ws://localhost/#fragment", {}, InvalidURI),
        ("ws://localhost/", {"ssl": True}, ValueError),
        ("ws://localhost/", {"compression": "gzip"}, ValueError),
        ("ws://localhost/", {"subprotocols": ["not a token"]}, ValueError),
        ("ws://localhost/", {"subprotocols": "chat"}, TypeError),
    ],
)
def test_arguments_that_contradict_themselves(
    uri: str, kwargs: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        connect(uri, **kwargs)


async def test_tls_cannot_be_left_out_where_the_uri_asks_for_it() -> None:
    with pytest.raises(ValueError, match="ssl=None is incompatible with a wss:// URI"):
        await connect("wss://localhost/", ssl=None, proxy=None)


# Connecting.


async def test_awaited_and_as_a_context() -> None:
    async with echo_server() as server:
        ws = await connect(uri_of(server), proxy=None)
        assert isinstance(ws, ClientConnection)
        await ws.close()
        connecting = connect(uri_of(server), proxy=None)
        async with connecting as ws:
            with pytest.raises(RuntimeError, match="reentrant"):
                await connecting.__aenter__()
        async with connecting as again:
            assert again is not ws


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await connect(f"ws://127.0.0.1:{port}/", proxy=None)


async def test_somewhere_else_than_the_uri_says() -> None:
    async with (
        echo_server() as server,
        connect("ws://example.com/", proxy=None, host="127.0.0.1", port=port_of(server)) as ws,
    ):
        assert ws.request is not None
        assert ws.request.headers["Host"] == "example.com"


async def test_over_a_socket_that_is_connected() -> None:
    async with echo_server() as server:
        sock = socket.create_connection(("127.0.0.1", port_of(server)))
        async with connect("ws://example.com/", sock=sock) as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_the_name_is_checked_over_tls(
    name: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    expect_refused_certificates()
    async with echo_server(ssl=server_tls) as server:
        uri = f"wss://{name}:{port_of(server)}/"
        async with connect(uri, proxy=None, ssl=client_tls) as ws:
            assert ws.state is State.OPEN
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(uri, proxy=None, ssl=client_tls, server_hostname="example.com")
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(uri, proxy=None)  # of an authority that the system does not know


async def test_a_server_that_says_nothing() -> None:
    async def talk(peer: RawPeer) -> None:
        await asyncio.Event().wait()

    async with raw_server(talk) as uri:
        with pytest.raises(TimeoutError, match="timed out during opening handshake"):
            await connect(uri, proxy=None, open_timeout=0.05)


@pytest.mark.parametrize("way", ["close", "reset"])
async def test_a_server_that_goes_away(way: str) -> None:
    async def talk(peer: RawPeer) -> None:
        await peer.head()
        getattr(peer, way)()

    async with raw_server(talk) as uri:
        with pytest.raises(InvalidMessage) as caught:
            await connect(uri, proxy=None)
        assert isinstance(caught.value.__cause__, EOFError)


async def test_connecting_can_be_cancelled() -> None:
    asked = asyncio.Event()

    async def talk(peer: RawPeer) -> None:
        await peer.head()
        asked.set()
        assert await peer.rest() == b""

    async with raw_server(talk) as uri:
        connecting = asyncio.ensure_future(connect(uri, proxy=None).connect())
        await asked.wait()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting


async def test_frames_behind_the_response_are_the_first_messages() -> None:
    async def talk_at_once(peer: RawPeer) -> None:
        head = await peer.head()
        await peer.send(response(key_of(head)), frame(1, b"early", mask=False))
        await peer.rest()

    async with raw_server(talk_at_once) as uri, connect(uri, proxy=None, close_timeout=0) as ws:
        assert await ws.recv() == "early"


async def test_a_refusal_has_its_response() -> None:
    def refuse(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(403, "no entry\n")

    async with echo_server(process_request=refuse) as server:
        with pytest.raises(InvalidStatus, match="HTTP 403") as caught:
            await connect(uri_of(server), proxy=None)
        assert bytes(caught.value.response.body) == b"no entry\n"


async def test_what_goes_wrong_in_an_extension_is_told() -> None:
    """An error that is no refusal does not leave the client waiting."""
    async with echo_server() as server:
        with pytest.raises(ValueError, match="max_queue"):
            await connect(uri_of(server), proxy=None, max_queue=(1, 2))


async def test_a_class_of_the_users() -> None:
    class Louder(ClientConnection):
        async def recv(self, decode: bool | None = None) -> Any:
            message = await super().recv(decode)
            assert isinstance(message, str)
            return message.upper()

    async with (
        echo_server() as server,
        connect(uri_of(server), proxy=None, create_connection=Louder) as ws,
    ):
        assert isinstance(ws, Louder)
        await ws.send("hi")
        assert await ws.recv() == "HI"
        await ws.send("you")
        async for message in ws:
            assert message == "YOU"
            break


# Redirects.


def redirect(location: str, status: int = 302) -> Any:
    """A hook that sends clients from /old to ``location``."""

    def hook(connection: ServerConnection, request: Request) -> Response | None:
        if request.path != "/old":
            return None
        response = connection.respond(status, "")
        response.headers["Location"] = location
        return response

    return hook


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_redirects_are_followed(status: int) -> None:
    async with echo_server(process_request=redirect("/new?a=b", status)) as server:
        headers = {"Authorization": "mine", "Cookie": "mine"}
        async with connect(uri_of(server, "/old"), proxy=None, additional_headers=headers) as ws:
            assert ws.request is not None
            assert ws.request.path == "/new?a=b"
            assert ws.request.headers["Authorization"] == "mine"  # it is the same origin
            assert ws.request.headers["Cookie"] == "mine"


@pytest.mark.parametrize("status", [304, 305, 401, 503])
async def test_other_answers_are_not(status: int) -> None:
    async with echo_server(process_request=redirect("/new", status)) as server:
        with pytest.raises(InvalidStatus):
            await connect(uri_of(server, "/old"), proxy=None)


async def test_from_ws_to_wss(server_tls: ssl.SSLContext) -> None:
    expect_refused_certificates()
    async with echo_server(ssl=server_tls) as secure:
        location = f"wss://127.0.0.1:{port_of(secure)}/"
        async with echo_server(process_request=redirect(location)) as server:
            # It is followed, and the certificate is looked at.
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(uri_of(server, "/old"), proxy=None)


async def test_never_from_wss_to_ws(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with (
        echo_server() as plain,
        echo_server(ssl=server_tls, process_request=redirect(uri_of(plain))) as server,
    ):
        with pytest.raises(SecurityError, match="from wss to ws"):
            await connect(f"wss://127.0.0.1:{port_of(server)}/old", proxy=None, ssl=client_tls)
        assert not plain.handler_tasks


async def test_never_with_a_socket_and_never_elsewhere_with_an_address(tmp_path: Any) -> None:
    async with echo_server() as other:
        hook = redirect(uri_of(other))
        async with echo_server(process_request=hook) as server:
            sock = socket.create_connection(("127.0.0.1", port_of(server)))
            with pytest.raises(ValueError, match="the socket was given"):
                await connect("ws://example.com/old", sock=sock)
            with pytest.raises(ValueError, match="a host or port was given"):
                await connect(
                    "ws://example.com/old", proxy=None, host="127.0.0.1", port=port_of(server)
                )
        path = tmp_path / "socket"
        async with serve(lambda _: asyncio.sleep(0), process_request=hook, unix=True, path=path):
            with pytest.raises(ValueError, match="a Unix socket was given"):
                await unix_connect(path, uri="ws://localhost/old")
        assert not other.handler_tasks


# Connecting again and again.


def delays(*seconds: float) -> Any:
    """What ``reconnect_delays`` returns; it raises when more are asked for."""

    def make() -> Generator[float, None, None]:
        yield from seconds
        raise AssertionError("more delays than expected")

    return make


async def test_it_connects_again_after_each_end() -> None:
    count = 0
    async with echo_server() as server:
        async for ws in connect(uri_of(server), proxy=None, reconnect_delays=delays()):
            count += 1
            await ws.send(str(count))
            assert await ws.recv() == str(count)
            if count == 3:
                break
            await ws.close()
        await ws.close()


async def test_it_tries_again_after_passing_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wirebird.client")
    failures = [500, 502, 503, 504]

    def hook(connection: ServerConnection, _: Request) -> Response | None:
        return connection.respond(failures.pop(0), "") if failures else None

    async with echo_server(process_request=hook) as server:
        connecting = connect(
            uri_of(server), proxy=None, reconnect_delays=delays(0, 0.001, 0.002, 0.003)
        )
        async for ws in connecting:
            await ws.close()
            break
    messages = [r.getMessage() for r in caplog.records if "reconnecting" in r.getMessage()]
    assert len(messages) == 4
    assert messages[0].startswith("connect failed; reconnecting in 0.0 seconds: ")
    assert "server rejected WebSocket connection: HTTP 500" in messages[0]


async def test_it_comes_back_when_the_server_says(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(delay: float) -> None:
        waits.append(delay)
        await real_sleep(0)

    answers = [("503", "7"), ("503", "99999"), ("502", "7"), ("503", "soon")]

    def hook(connection: ServerConnection, _: Request) -> Response | None:
        if not answers:
            return None
        status, after = answers.pop(0)
        response = connection.respond(int(status), "")
        response.headers["Retry-After"] = after
        return response

    async with echo_server(process_request=hook) as server:
        connecting = connect(uri_of(server), proxy=None, reconnect_delays=delays(1, 2, 3, 4))
        monkeypatch.setattr("wirebird.asyncio.client.asyncio.sleep", sleep)
        async for ws in connecting:
            monkeypatch.undo()
            await ws.close()
            break
    assert [wait for wait in waits if wait] == [7, 600, 3, 4]


async def test_the_log_says_where_it_failed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wirebird.client")

    def judge(exc: Exception) -> Exception | None:
        return exc if len(caplog.records) == 2 else None

    with pytest.raises(OSError):
        async for _ in connect(
            "ws://nobody.invalid/",
            proxy=None,
            process_exception=judge,
            reconnect_delays=delays(0, 0, 0),
        ):
            raise AssertionError("there is no such host")
    for record in caplog.records:
        assert record.getMessage().endswith("; while looking up nobody.invalid")


async def test_the_delays_begin_anew_after_a_success() -> None:
    answers = [503, None, 503, None]
    made = 0

    def hook(connection: ServerConnection, _: Request) -> Response | None:
        status = answers.pop(0)
        return None if status is None else connection.respond(status, "")

    def make() -> Generator[float, None, None]:
        nonlocal made
        made += 1
        yield 0

    async with echo_server(process_request=hook) as server:
        async for ws in connect(uri_of(server), proxy=None, reconnect_delays=make):
            await ws.close()
            if not answers:
                break
    assert made == 2


async def test_fatal_errors_end_it() -> None:
    def hook(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(404, "")

    async with echo_server(process_request=hook) as server:
        with pytest.raises(InvalidStatus):
            async for _ in connect(uri_of(server), proxy=None, reconnect_delays=delays()):
                pytest.fail("it must not connect")


@pytest.mark.parametrize("raises", [False, True])
async def test_what_is_fatal_can_be_said(raises: bool) -> None:
    def decide(exc: Exception) -> Exception | None:
        if isinstance(exc, ConnectionRefusedError):
            other = ZeroDivisionError("mine")
            if raises:
                raise other
            return other
        return None

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(ZeroDivisionError) as caught:
        async for _ in connect(f"ws://127.0.0.1:{port}/", proxy=None, process_exception=decide):
            pytest.fail("it must not connect")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_a_body_that_continues() -> None:
    """As in the documentation: ConnectionClosed is caught, and the loop goes on."""

    async def handler(connection: ServerConnection) -> None:
        await connection.close(1012)

    rounds = 0
    async with serve(handler, "127.0.0.1", 0) as server:
        async for ws in connect(uri_of(server), proxy=None):
            try:
                await ws.recv()
            except ConnectionClosed:
                rounds += 1
                if rounds == 3:
                    break
                continue
    assert rounds == 3


async def test_two_loops_with_connections_of_their_own() -> None:
    """Nothing is global to the process: loops in other threads have connections as well."""

    def run() -> str:
        async def main() -> str:
            async with echo_server() as server, connect(uri_of(server), proxy=None) as ws:
                for n in range(100):
                    await ws.send(str(n))
                    await ws.recv()
                return "done"

        return asyncio.run(main())

    assert await asyncio.gather(*(asyncio.to_thread(run) for _ in range(3))) == ["done"] * 3
