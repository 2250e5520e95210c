"""Who wants in without a token: by the first message, by how a check fails, by what it is told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
from tests.attacks.raw import BINARY, CONT, PING, TEXT, RawPeer, frame, request

from wirebird.asyncio.server import serve
from wirebird.auth import (
    AuthorizationHeader,
    FirstMessage,
    InvalidToken,
    SubprotocolToken,
    Verified,
    jwt_check,
    token_auth,
)
from wirebird.sync import server as threads
from wirebird.testing import FakeClock

KEY = "k" * 32


def known(token: str) -> Any:
    """The check of all servers here."""
    return "ann" if token == "SECRET" else None


async def known_later(token: str) -> Any:
    """The same, asynchronously."""
    await asyncio.sleep(0)
    return known(token)


class Handlers:
    """Who was let in, and lengths of what they sent."""

    def __init__(self) -> None:
        self.let_in: list[Any] = []

    async def handle(self, connection: Any) -> None:
        self.let_in.append(connection.identity)
        async for message in connection:
            await connection.send(str(len(message)))

    def handle_in_thread(self, connection: Any) -> None:
        self.let_in.append(connection.identity)
        for message in connection:
            connection.send(str(len(message)))


Asking = tuple[int, list[Any]]


@contextlib.asynccontextmanager
async def asking(kind: str, auth: Any, **kwargs: Any) -> AsyncIterator[Asking]:
    """A server of a kind, as its port and whom it has let in."""
    handlers = Handlers()
    where: Any = {"host": "127.0.0.1", "port": 0, "compression": None, "close_timeout": 0.5}
    where |= {"process_request": auth, **kwargs}
    if kind == "asyncio":
        async with serve(handlers.handle, **where) as server:
            yield server.sockets[0].getsockname()[1], handlers.let_in
        return
    with threads.serve(handlers.handle_in_thread, **where) as server_in_threads:
        thread = threading.Thread(target=server_in_threads.serve_forever)
        thread.start()
        try:
            yield server_in_threads.socket.getsockname()[1], handlers.let_in
        finally:
            await asyncio.to_thread(server_in_threads.shutdown)
            thread.join()


KINDS = pytest.mark.parametrize("kind", ["asyncio", "threads"])


async def status(port: int, *headers: str) -> str:
    """The status of the answer to a request."""
    async with await RawPeer.connect(port) as peer:
        await peer.send(request(*headers))
        return (await peer.head()).split()[1]


async def close_of(port: int, *data: bytes, with_request: bool = False) -> tuple[int | None, str]:
    """Code and reason of the Close after these frames."""
    async with await RawPeer.connect(port) as peer:
        if with_request:
            await peer.send(request() + b"".join(data))
            await peer.head()
        else:
            await peer.send(request())
            await peer.head()
            await peer.send(*data)
        close = await peer.close_frame()
        return close.code, close.payload[2:].decode()


# Checks that answer later where nobody waits: their answer must not be taken for a yes.


async def test_an_asynchronous_check_of_tokens_in_threads(caplog: pytest.LogCaptureFixture) -> None:
    auth = token_auth(known_later, [AuthorizationHeader(), FirstMessage()])
    async with asking("threads", auth) as (port, let_in):
        for token in ("SECRET", "wrong"):
            assert await close_of(port, frame(TEXT, token.encode())) == (1011, "")
        assert let_in == []
    assert caplog.text.count("TypeError: the check is asynchronous") == 2


async def test_an_asynchronous_check_of_passwords_in_threads() -> None:
    async def check(name: str, password: str) -> bool:
        return False

    check_later: Any = check
    auth = threads.basic_auth(check_credentials=check_later)
    async with asking("threads", auth) as (port, let_in):
        assert await status(port, "Authorization: Basic YTpi") == "500"
        assert let_in == []


async def test_callbacks_do_not_let_in_whom_a_hook_around_ours_would_ask() -> None:
    opened: list[Any] = []

    class Echo:
        def on_open(self, ws: Any) -> None:
            opened.append(ws)

        def on_message(self, ws: Any, message: Any) -> None:
            ws.send_nowait(message)

    auth = token_auth(known, [FirstMessage()])
    around: Any = lambda connection, asked: auth(connection, asked)  # noqa: E731
    async with serve(Echo, "127.0.0.1", 0, process_request=around) as server:
        assert await status(server.sockets[0].getsockname()[1]) == "500"
    assert opened == []


# The first message.


@pytest.mark.parametrize(
    ("kind", "check"), [("asyncio", known), ("asyncio", known_later), ("threads", known)]
)
async def test_what_comes_in_one_piece_with_the_first_message_is_kept(
    kind: str, check: Callable[[str], Any]
) -> None:
    async with (
        asking(kind, token_auth(check, [FirstMessage()])) as (port, let_in),
        await RawPeer.connect(port) as peer,
    ):
        await peer.send(request())
        await peer.head()
        sizes = [20_000, 0, 3]
        messages = b"".join(frame(BINARY, bytes(size)) for size in sizes)
        await peer.send(frame(TEXT, b"SECRET") + messages)
        assert [int((await peer.frame()).payload) for _ in sizes] == sizes
        assert let_in == ["ann"]


@KINDS
@pytest.mark.parametrize("max_size", [2**20, None])
async def test_a_first_message_with_the_request_is_not_longer_either(
    kind: str, max_size: int | None
) -> None:
    async with asking(kind, token_auth(known, [FirstMessage()]), max_size=max_size) as (port, _):
        for data in (frame(TEXT, b"x", length=8193), frame(TEXT, b"x" * 9000)):
            assert (await close_of(port, data, with_request=True))[0] == 1009


@KINDS
async def test_pings_and_pieces_do_not_put_off_the_end(kind: str) -> None:
    """Who floods, and who sends the token slowly, has no more time than others."""
    auth = token_auth(known, [FirstMessage(timeout_s=0.2)])
    async with asking(kind, auth) as (port, let_in), await RawPeer.connect(port) as peer:
        await peer.send(request())
        await peer.head()
        await peer.send(frame(TEXT, b"SEC", fin=False))
        for _ in range(200):
            await peer.send(frame(PING, b"x" * 100), frame(CONT, b"", fin=False))
        close = await peer.close_frame()
        assert (close.code, close.payload[2:]) == (1008, b"authentication timed out")
        assert let_in == []


@KINDS
@pytest.mark.parametrize(
    "message", [b"[" * 8000, b'{"token": null}', b'{"token": ""}', b"{}", b"1", b'"x"', b"no JSON"]
)
async def test_what_cannot_be_taken_apart_is_no_fault_of_ours(
    kind: str, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    first = FirstMessage(extract=lambda message: json.loads(message).get("token"))
    async with asking(kind, token_auth(known, [first])) as (port, let_in):
        expected = 1008, "there is no token in the first message"
        assert await close_of(port, frame(TEXT, message)) == expected
        assert let_in == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@KINDS
async def test_an_empty_token_is_none(kind: str) -> None:
    everybody = token_auth(lambda token: "anybody", [FirstMessage()])
    async with asking(kind, everybody) as (port, let_in):
        assert (await close_of(port, frame(TEXT, b"")))[0] == 1008
        assert let_in == []
    marker = "base64url.bearer."
    source = SubprotocolToken(marker, joined=True, base64url=True)
    async with asking(kind, token_auth(lambda token: "anybody", [source])) as (port, let_in):
        assert await status(port, f"Sec-WebSocket-Protocol: {marker}, chat") == "401"


@KINDS
@pytest.mark.parametrize("token", ["\ud800", "é" * 200, "a\r\nb\0"])
async def test_a_reason_that_repeats_what_the_client_wrote(kind: str, token: str) -> None:
    def check(token: str) -> Any:
        raise InvalidToken(f"nobody is {token}")

    first = FirstMessage(extract=json.loads)
    async with asking(kind, token_auth(check, [first])) as (port, _):
        code, reason = await close_of(port, frame(TEXT, json.dumps(token).encode()))
        assert code == 1008
        assert reason.startswith("nobody is ")
        assert len(reason.encode()) <= 123


@KINDS
@pytest.mark.parametrize("error", [TimeoutError, ConnectionResetError, KeyError, RecursionError])
async def test_a_check_that_fails_is_a_fault_of_ours(
    kind: str, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is too slow is not a client that is."""

    def check(token: str) -> Any:
        raise error("no database")

    async with asking(kind, token_auth(check, [FirstMessage()])) as (port, let_in):
        assert await close_of(port, frame(TEXT, b"SECRET")) == (1011, "")
        assert let_in == []
    assert "authentication failed" in caplog.text
    assert "SECRET" not in caplog.text


async def test_a_check_that_hangs(fake_clock: FakeClock) -> None:
    cancelled: list[str] = []

    async def check(token: str) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(token)

    auth = token_auth(check, [AuthorizationHeader(), FirstMessage(timeout_s=5)])
    async with asking("asyncio", auth, open_timeout=5) as (port, let_in):
        assert await close_of(port, frame(TEXT, b"a")) == (1008, "authentication timed out")
        assert await status(port, "Authorization: Bearer b") == "503"
        assert (let_in, cancelled) == ([], ["a", "b"])


# When a token ends.


@KINDS
@pytest.mark.parametrize("expires_at", [0.0, -1e300, float("nan"), float("-inf"), 1e9])
async def test_a_token_that_has_expired_lets_nobody_in(kind: str, expires_at: float) -> None:
    auth = token_auth(
        lambda token: Verified("ann", expires_at), [AuthorizationHeader(), FirstMessage()]
    )
    async with asking(kind, auth) as (port, let_in):
        assert await status(port, "Authorization: Bearer SECRET") == "401"
        assert await close_of(port, frame(TEXT, b"SECRET")) == (1008, "the token has expired")
        assert let_in == []


@KINDS
@pytest.mark.parametrize("expires_at", [float("inf"), 1e300])
async def test_a_token_without_an_end(kind: str, expires_at: float) -> None:
    auth = token_auth(lambda token: Verified("ann", expires_at), [FirstMessage()])
    async with asking(kind, auth) as (port, _), await RawPeer.connect(port) as peer:
        await peer.send(request())
        await peer.head()
        await peer.send(frame(TEXT, b"SECRET"), frame(TEXT, b"abc"))
        assert (await peer.frame()).payload == b"3"


# JSON Web Tokens.


def signed(claims: Any, *, key: str = KEY, **headers: Any) -> str:
    """A token with any claims and headers."""
    encode: Any = lambda part: base64.urlsafe_b64encode(part).rstrip(b"=")  # noqa: E731
    head = json.dumps({"alg": "HS256", "typ": "JWT", **headers}).encode()
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    text = encode(head) + b"." + encode(body)
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        text, key.encode()
    )
    return f"{text.decode()}.{encode(signature).decode()}"


SOON = int(time.time()) + 600
DEEP = base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        f"{DEEP}.e30.x",
        f"{DEEP}..",
        signed(b"[" * 5000),
        signed({"exp": SOON}, key="x" * 32),
        signed({"exp": SOON}, alg="none"),
        signed({"exp": SOON}, alg="RS256"),
        signed({"exp": SOON}, kid="no such key"),
        signed({"exp": SOON}, kid=7),
        signed({"exp": float("inf")}),
        signed({"exp": float("nan")}),
        signed({"exp": 10**400}),
        signed({"exp": None}),
        signed({}),
        signed([]),
        signed({"exp": SOON}) + "x",
        "a.b",
        "....",
    ],
)
async def test_whatever_is_wrong_with_a_token_is_the_clients_fault(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    def key(token: str) -> str:
        return {None: KEY}[jwt.get_unverified_header(token).get("kid")]

    assert jwt_check(key, algorithms=["HS256"])(signed({"exp": SOON})).expires_at == SOON
    auth = token_auth(jwt_check(key, algorithms=["HS256"]))
    async with asking("asyncio", auth) as (port, let_in):
        assert await status(port, f"Authorization: Bearer {token}") == "401"
        assert let_in == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("key", ["", b"", None])
def test_an_empty_key_is_none(key: Any) -> None:
    with pytest.raises(ValueError, match="the key is empty"):
        jwt_check(key, algorithms=["HS256"])
