"""Tokens over real connections: who is let in and as whom, and what the others are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.attacks.raw import BINARY, MIB, TEXT, RawPeer, frame, port_of, request, uri_of

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import Server, ServerConnection, serve
from wirebird.auth import (
    AuthorizationHeader,
    Cookie,
    FirstMessage,
    InvalidToken,
    QueryParameter,
    SubprotocolToken,
    Verified,
    static_tokens,
    token_auth,
)
from wirebird.exceptions import ConnectionClosedError, InvalidStatus

TOKENS = static_tokens({"SECRET": "ann", "OTHER": {"sub": "bob"}, "THIRD": 3})


async def later(token: str) -> Any:
    """Check a token, asynchronously."""
    await asyncio.sleep(0)
    return TOKENS(token)


async def handle(connection: ServerConnection) -> None:
    """Say who the client is, then echo."""
    name = getattr(connection, "username", None)
    await connection.send(json.dumps([name, connection.identity, connection.subprotocol]))
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def asking(*sources: Any, check: Any = TOKENS, **kwargs: Any) -> AsyncIterator[Server]:
    """Serve to who has a token in one of these sources."""
    given = {name: kwargs.pop(name) for name in ("realm", "close_code") if name in kwargs}
    auth = token_auth(check, sources, **given) if sources else token_auth(check, **given)
    arguments = {"close_timeout": 0.5, "compression": None, **kwargs}
    async with serve(handle, "127.0.0.1", 0, process_request=auth, **arguments) as server:
        yield server


async def ask(server: Server, *headers: str, path: str = "/") -> tuple[str, str]:
    """The head of the answer to a request, and its body or the first message."""
    async with await RawPeer.connect(port_of(server)) as peer:
        await peer.send(request(*headers, path=path))
        head = await peer.head()
        if head.startswith("HTTP/1.1 101 "):
            return head, (await peer.frame()).payload.decode()
        return head, (await peer.rest()).decode()


ANN = '["ann", "ann", null]'
ALL = [AuthorizationHeader(), Cookie("sid"), QueryParameter(), SubprotocolToken()]


@pytest.mark.parametrize("check", [TOKENS, later])
@pytest.mark.parametrize(
    ("headers", "path", "expected"),
    [
        (["Authorization: Bearer SECRET"], "/", ANN),
        (["Authorization: Bearer OTHER"], "/", '["bob", {"sub": "bob"}, null]'),
        (["Authorization: Bearer THIRD"], "/", "[null, 3, null]"),
        (["Cookie: a=b; sid=SECRET"], "/", ANN),
        ([], "/?token=SECRET", ANN),
        (["Sec-WebSocket-Protocol: bearer, SECRET"], "/", '["ann", "ann", "bearer"]'),
        (["Authorization: Bearer SECRET"], "/?token=wrong", ANN),
    ],
)
async def test_a_valid_token(check: Any, headers: list[str], path: str, expected: str) -> None:
    async with asking(*ALL, check=check) as server:
        assert (await ask(server, *headers, path=path))[1] == expected


@pytest.mark.parametrize("check", [TOKENS, later])
@pytest.mark.parametrize(
    ("headers", "path", "why"),
    [
        ([], "/", None),
        (["Authorization: Basic SECRET"], "/", None),
        (["Authorization: Bearer wrong"], "/", "the token is not valid"),
        (["Authorization: Bearer wrong"], "/?token=SECRET", "the token is not valid"),
        (["Authorization: Bearer"], "/", "the Authorization header is malformed"),
        (["Cookie: sid=SECRET; sid=SECRET"], "/", "there are several cookies named sid"),
        ([], "/?token=SECRET&token=SECRET", "there are several parameters named token"),
        (
            ["Sec-WebSocket-Protocol: SECRET, bearer"],
            "/",
            "a token must follow the subprotocol bearer, once",
        ),
    ],
)
async def test_others_are_refused(
    check: Any, headers: list[str], path: str, why: str | None
) -> None:
    async with asking(*ALL, check=check, realm="bird") as server:
        head, body = await ask(server, *headers, path=path)
        assert head.startswith("HTTP/1.1 401 Unauthorized\r\n")
        challenge = 'Bearer realm="bird"'
        if why is not None:
            challenge += f', error="invalid_token", error_description="{why}"'
        assert f"\r\nWWW-Authenticate: {challenge}\r\n" in head
        assert body == f"Unauthorized: {why or 'there is no token'}\n"
        assert server.connections == set()


# Subprotocols: the token is never sent back, and nobody can choose it.


@pytest.mark.parametrize(
    ("kwargs", "offered", "chosen"),
    [
        ({}, "bearer, SECRET", "bearer"),
        ({}, "chat, bearer, SECRET", "bearer"),
        ({"subprotocols": ["chat"]}, "bearer, SECRET, chat", "chat"),
        ({"select_subprotocol": lambda _, offered: offered[-1]}, "bearer, SECRET", "bearer"),
        (
            {"select_subprotocol": lambda _, offered: offered[-1]},
            "SECRET, bearer, SECRET",
            "bearer",
        ),
        ({"subprotocols": ["SECRET", "bearer"]}, "bearer, SECRET", "bearer"),
    ],
)
async def test_the_token_is_no_subprotocol(kwargs: Any, offered: str, chosen: str) -> None:
    async with asking(**kwargs) as server:
        head, text = await ask(server, f"Sec-WebSocket-Protocol: {offered}")
        assert f"\r\nSec-WebSocket-Protocol: {chosen}\r\n" in head
        assert "SECRET" not in head
        assert json.loads(text)[2] == chosen


async def test_a_server_that_insists_on_a_subprotocol() -> None:
    async with asking(subprotocols=["chat"]) as server:
        head, _ = await ask(server, "Sec-WebSocket-Protocol: bearer, SECRET")
        assert head.startswith("HTTP/1.1 400 ")


async def test_as_kubernetes_has_it() -> None:
    marker = "base64url.bearer.authorization.k8s.io."
    source = SubprotocolToken(marker, joined=True, base64url=True)
    async with asking(source, subprotocols=["v4.channel.k8s.io"]) as server:
        head, text = await ask(
            server, f"Sec-WebSocket-Protocol: {marker}U0VDUkVU, v4.channel.k8s.io"
        )
        assert text == '["ann", "ann", "v4.channel.k8s.io"]'
        assert "U0VDUkVU" not in head
        head, body = await ask(server, f"Sec-WebSocket-Protocol: {marker}U0VDUkVU")
        assert head.startswith("HTTP/1.1 401 ")
        assert "offer a subprotocol beside the token" in body


# Cookies: a page of somebody else's cannot use them.


@pytest.mark.parametrize(
    ("kwargs", "origin", "status"),
    [
        ({}, None, 101),
        ({}, "http://127.0.0.1", 101),
        ({}, "http://evil.example", 403),
        ({}, "null", 403),
        ({"origins": ["http://app.example"]}, "http://app.example", 101),
        ({"origins": ["http://app.example"]}, "http://127.0.0.1", 403),
        ({"origins": [None]}, "http://127.0.0.1", 403),
    ],
)
async def test_a_cookie_is_for_the_own_pages(kwargs: Any, origin: str | None, status: int) -> None:
    origins = [] if origin is None else [f"Origin: {origin}"]
    async with asking(Cookie("sid"), AuthorizationHeader(), **kwargs) as server:
        head, _ = await ask(server, "Cookie: sid=SECRET", *origins)
        assert head.startswith(f"HTTP/1.1 {status} ")
        if not kwargs:  # what is no cookie, no page has of somebody else
            head, _ = await ask(server, "Authorization: Bearer SECRET", *origins)
            assert head.startswith("HTTP/1.1 101 ")


# The first message.


async def test_the_first_message() -> None:
    async with asking(AuthorizationHeader(), FirstMessage(), check=later) as server:
        async with connect(uri_of(server), proxy=None) as ws:
            await ws.send("SECRET")
            await ws.send("x" * 100_000)  # what comes behind it may be as long as ever
            assert await ws.recv() == ANN
            assert await ws.recv() == "x" * 100_000
            assert len(server.connections) == 1
        headers = {"Authorization": "Bearer SECRET"}
        async with connect(uri_of(server), additional_headers=headers, proxy=None) as ws:
            assert await ws.recv() == ANN
        with pytest.raises(InvalidStatus, match="401"):
            headers = {"Authorization": "Bearer wrong"}
            await connect(uri_of(server), additional_headers=headers, proxy=None)


async def test_who_has_not_said_who_it_is_is_nobody() -> None:
    """No broadcast goes to it, and the handler does not know it."""
    async with asking(FirstMessage()) as server, connect(uri_of(server), proxy=None) as ws:
        while not server.unauthenticated:
            await asyncio.sleep(0)
        assert server.connections == set()
        await ws.send("SECRET")
        assert await ws.recv() == ANN
        assert (len(server.connections), server.unauthenticated) == (1, set())


@pytest.mark.parametrize("close_code", [1008, 4401])
@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("wrong", "the token is not valid"),
        (b"SECRET", "there is no token in the first message"),
        (None, "authentication timed out"),
    ],
)
async def test_a_first_message_that_is_none(close_code: int, message: Any, reason: str) -> None:
    timeout = 0.05 if message is None else 10
    async with asking(FirstMessage(timeout_s=timeout), close_code=close_code) as server:
        async with connect(uri_of(server), proxy=None) as ws:
            if message is not None:
                await ws.send(message)
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (close_code, reason)
        assert server.unauthenticated == set()


@pytest.mark.parametrize("size", [8193, MIB])
@pytest.mark.parametrize("sent", [8193, 2])
async def test_a_first_message_that_is_too_long_is_not_even_kept(size: int, sent: int) -> None:
    async with (
        asking(FirstMessage(), max_size=None) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.send(request())
        await peer.head()
        await peer.send(frame(TEXT, b"x" * sent, length=size))
        assert (await peer.close_frame()).code == 1009


async def test_a_limit_that_is_lower_stays() -> None:
    async with (
        asking(FirstMessage(), max_size=4) as server,
        connect(uri_of(server), proxy=None) as ws,
    ):
        await ws.send("SECRET")
        with pytest.raises(ConnectionClosedError, match="1009"):
            await ws.recv()


async def test_fragments_count_together() -> None:
    async with (
        asking(FirstMessage(max_bytes=100)) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.send(request())
        await peer.head()
        await peer.send(frame(BINARY, bytes(60), fin=False), frame(0, bytes(60)))
        assert (await peer.close_frame()).code == 1009


async def test_a_client_that_goes_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async with asking(FirstMessage()) as server:
        async with connect(uri_of(server), proxy=None):
            pass
        async with await RawPeer.connect(port_of(server)) as peer:
            await peer.send(request())
            await peer.head()
            peer.reset()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_server_that_closes_meanwhile() -> None:
    async with asking(FirstMessage()) as server:
        ws = await connect(uri_of(server), proxy=None)
        while not server.unauthenticated:
            await asyncio.sleep(0)
        server.close()
        with pytest.raises(Exception, match="1001"):
            await ws.recv()
        await server.wait_closed()


async def test_a_check_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    def fail(token: str) -> Any:
        raise LookupError("no database")

    async with asking(FirstMessage(), AuthorizationHeader(), check=fail) as server:
        head, body = await ask(server, "Authorization: Bearer SECRET")
        assert head.startswith("HTTP/1.1 500 ")
        assert "database" not in body
        async with connect(uri_of(server), proxy=None) as ws:
            await ws.send("SECRET")
            with pytest.raises(ConnectionClosedError, match="1011"):
                await ws.recv()
    assert caplog.text.count("LookupError: no database") == 2
    assert "SECRET" not in caplog.text


async def test_a_check_that_says_why() -> None:
    def refuse(token: str) -> Any:
        raise InvalidToken('locked out, "for now" – é')

    async with asking(AuthorizationHeader(), check=refuse) as server:
        head, body = await ask(server, "Authorization: Bearer SECRET")
        assert 'error_description="locked out, ?for now? ? ?"' in head
        assert body.startswith("Unauthorized: locked out")


def test_callbacks_have_no_first_message() -> None:
    class Echo:
        def on_message(self, ws: Any, message: Any) -> None: ...

    with pytest.raises(TypeError, match="coroutine function"):
        serve(Echo, "127.0.0.1", 0, process_request=token_auth(TOKENS, [FirstMessage()]))


# Expiry.


@pytest.mark.parametrize("source", [AuthorizationHeader(), FirstMessage()])
async def test_a_connection_ends_with_its_token(source: Any) -> None:
    def check(token: str) -> Any:
        return Verified("ann", time.time() + 0.1)

    async with asking(source, check=check, close_code=4401) as server:
        headers = {"Authorization": "Bearer SECRET"}
        async with connect(uri_of(server), additional_headers=headers, proxy=None) as ws:
            if isinstance(source, FirstMessage):
                await ws.send("SECRET")
            assert await ws.recv() == ANN
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4401, "the token has expired")


async def test_a_token_that_expires_later_leaves_nothing_behind() -> None:
    def check(token: str) -> Any:
        return Verified("ann", time.time() + 1e9)

    timers: Callable[[], list[Any]] = lambda: [  # noqa: E731
        handle
        for handle in getattr(asyncio.get_running_loop(), "_scheduled", [])
        if "close_at" in repr(handle) and not handle.cancelled()
    ]
    async with asking(AuthorizationHeader(), check=check) as server:
        headers = {"Authorization": "Bearer SECRET"}
        async with connect(uri_of(server), additional_headers=headers, proxy=None) as ws:
            assert await ws.recv() == ANN
            assert len(timers()) == 1
        while timers():
            await asyncio.sleep(0)


# What is logged.


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        (["Authorization: Bearer SECRET"], "/"),
        (["Cookie: sid=SECRET"], "/"),
        ([], "/?token=SECRET"),
        (["Sec-WebSocket-Protocol: bearer, SECRET"], "/"),
        (["Sec-WebSocket-Protocol: bearer, SECRET, @"], "/"),
        (["Sec-WebSocket-Protocol: bearer, SECRET", "Sec-WebSocket-Key: x"], "/"),
        (["Authorization: Bearer SECRET", "Authorization: Bearer SECRET"], "/"),
        (["Sec-WebSocket-Protocol: zz7", "Sec-WebSocket-Protocol: SECRET"], "/"),
        (["Sec-WebSocket-Protocol: a, zz8-SECRET"], "/"),
        (["X-Api-Key: SECRET", "Referer: https://a.example/?token=SECRET"], "/?a=1;token=SECRET"),
        # No proper requests.
        (["Authorization : Bearer SECRET"], "/"),
        (["Authorization: Bearer \1SECRET"], "/"),
        (["Authorization:", " Bearer SECRET"], "/"),
        (["Authorization Bearer SECRET"], "/"),
        ([], "/?token=SECRET x"),
        ([], "/\xe9?token=SECRET"),
    ],
)
async def test_no_token_is_logged(
    headers: list[str], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    others = SubprotocolToken("zz7"), SubprotocolToken("zz8-", joined=True)
    async with asking(*ALL, *others) as server:
        await ask(server, *headers, path=path)
    assert "< GET" in caplog.text or "! no valid HTTP request" in caplog.text
    assert "SECRET" not in caplog.text


async def test_no_first_message_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "wirebird.server")
    seen: list[Any] = []

    class Traced(ServerConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.trace = lambda sent, frame: seen.append(frame.data)

    async with (
        asking(FirstMessage(), create_connection=Traced) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.send(request())
        await peer.head()
        await peer.send(frame(TEXT, b"SEC", fin=False), frame(0, b"RET"), frame(TEXT, b"abc"))
        await peer.frame()
        await peer.frame()
    assert "SEC" not in caplog.text
    assert "RET" not in caplog.text
    assert "< TEXT <hidden> [" in caplog.text
    assert "< TEXT 'abc'" in caplog.text
    assert seen  # who traces wants to know all the same


async def test_a_client_logs_none_either(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with asking(*ALL) as server:
        headers = {"Authorization": "Bearer SECRET"}
        uri = uri_of(server) + "?token=SECRET"
        async with connect(uri, additional_headers=headers, proxy=None) as ws:
            await ws.recv()
    assert "> Authorization: Bearer <hidden>" in caplog.text
    assert "SECRET" not in caplog.text


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("no function",), TypeError, "check must be a function"),
        ((TOKENS, ["cookie"]), TypeError, "sources must be a list of"),
        ((TOKENS, []), ValueError, "there must be a source"),
        ((TOKENS, [FirstMessage(), FirstMessage()]), ValueError, "at most one FirstMessage"),
    ],
)
def test_wrong_arguments(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        token_auth(*arguments)


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="close_code must be 1008 or 3000-4999"):
        token_auth(TOKENS, close_code=1000)
    with pytest.raises(ValueError, match="invalid realm"):
        token_auth(TOKENS, realm="a\r\nb")


def test_static_tokens() -> None:
    check = static_tokens(["a", "bcd", "\udc80"])
    assert [check(token) for token in ("a", "bcd", "\udc80", "b", "", "abcd")] == [
        *(True, True, True),
        *(None, None, None),
    ]
    for wrong, error in (
        ("abc", TypeError),
        ([1], TypeError),
        ([], ValueError),
        ([""], ValueError),
    ):
        with pytest.raises(error):
            static_tokens(wrong)  # type: ignore[arg-type]
