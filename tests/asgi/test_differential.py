"""The same applications under uvicorn's own class and under ours: what each side sees is the same.

A case is an application and a client. What they saw, and what uvicorn logged, is compared; where
ours differs on purpose, ``DIFFERENT`` says how, and why.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import websockets
from starlette.websockets import WebSocket, WebSocketDisconnect
from tests.asgi.serving import OURS, Running, logged, serving
from tests.attacks.raw import BINARY, CONT, PING, TEXT, RawPeer, close_payload, frame, request

THEIRS = "websockets-sansio"

Client = Callable[[Running, list[Any]], Awaitable[None]]
App = Callable[[Any, Any, Any, list[Any]], Awaitable[Any]]


@dataclasses.dataclass
class Case:
    """An application and a client that talk.

    Args:
        app: called with scope, receive, send, and a list for what it sees.
        client: called with the server, and a list for what it sees.
        settings: of uvicorn.
    """

    app: App
    client: Client
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


CASES: dict[str, Case] = {}


def case(client: Client, **settings: Any) -> Callable[[App], App]:
    """Enter an application with its client; the case has the application's name."""

    def enter(app: App) -> App:
        CASES[app.__name__] = Case(app, client, settings)
        return app

    return enter


async def outcome(case: Case, ws: str) -> dict[str, Any]:
    """Run a case; return what was seen."""
    app_saw: list[Any] = []
    client_saw: list[Any] = []
    done = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> Any:
        try:
            return await case.app(scope, receive, send, app_saw)
        except OSError as exc:
            app_saw.append(f"raised OSError: {type(exc).__name__}")
        except Exception as exc:
            app_saw.append(f"raised {type(exc).__name__}")
            raise
        finally:
            done.set()

    with logged() as log:
        async with serving(app, ws, **case.settings) as running:
            await case.client(running, client_saw)
            await done.wait()
            while running.state.tasks or running.state.connections:
                await asyncio.sleep(0.001)
    lines = [re.sub(r"127\.0\.0\.1:\d+", "CLIENT", line) for line in log.lines]
    return {
        "app": app_saw,
        "client": client_saw,
        "answer": [line for line in lines if "WebSocket" in line],
        "errors": log.errors,
    }


# Clients.


async def _talk(running: Running, saw: list[Any], *messages: Any, **arguments: Any) -> None:
    """Send messages, and note everything that comes, to the end."""
    close = arguments.pop("close", None)
    replies = arguments.pop("replies", 0)
    try:
        async with websockets.connect(running.uri(), proxy=None, **arguments) as ws:
            saw.append(("open", ws.subprotocol, ws.response.headers.get("x-app")))  # type: ignore[union-attr]
            for message in messages:
                await ws.send(message)
            for _ in range(replies):
                saw.append(await ws.recv())
            if close is not None:
                await ws.close(*close)
            else:
                async for message in ws:
                    saw.append(message)
    except websockets.InvalidStatus as exc:
        response = exc.response
        saw.append((response.status_code, bytes(response.body or b"")))
    except websockets.ConnectionClosed:
        pass
    else:
        saw.append(("closed", ws.close_code, ws.close_reason))
        return
    with contextlib.suppress(UnboundLocalError):
        saw.append(("closed", ws.close_code, ws.close_reason))


def talk(*messages: Any, **arguments: Any) -> Client:
    """A client that sends messages and listens.

    Args:
        messages: to send.
        arguments: ``close``, a code and a reason, to close after so many ``replies``; and others
            for ``websockets.connect``.
    """
    return lambda running, saw: _talk(running, saw, *messages, **arguments)


def raw(*data: bytes, headers: tuple[str, ...] = (), path: str = "/") -> Client:
    """A client that sends these bytes, and notes the Close that comes, if any does."""

    async def client(running: Running, saw: list[Any]) -> None:
        async with await RawPeer.connect(running.port) as peer:
            await peer.send(request(*headers, path=path))
            saw.append((await peer.head()).split("\r\n")[0])
            await peer.send(*data)
            with contextlib.suppress(EOFError, ConnectionError):
                while (received := await peer.frame()).opcode != 8:
                    saw.append((received.opcode, received.payload))
                saw.append(("close", received.code, received.reason))

    return client


async def cut(running: Running, saw: list[Any]) -> None:
    """A client that is gone in the middle of a conversation."""
    peer = await RawPeer.connect(running.port)
    await peer.send(request())
    await peer.head()
    await peer.frame()
    peer.reset()


async def accept(receive: Any, send: Any, **event: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", **event})


# Applications.


@case(
    talk("one", b"two", "", b"", "ü" * 70_000, ["a", "b", "c"], replies=6, close=(4001, "thanks"))
)
async def echo(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    while (event := await receive())["type"] == "websocket.receive":
        saw.append(event)
        await send({**event, "type": "websocket.send"})
    saw.append(event)


@case(talk("one", b"two", replies=1, close=(1000, "")))
async def starlette_echo(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    ws = WebSocket(scope, receive, send)
    await ws.accept()
    try:
        saw.append(await ws.receive_text())
        saw.append(await ws.receive_bytes())
        await ws.send_json({"a": 1})
        await ws.receive_text()
    except WebSocketDisconnect as exc:
        saw.append((exc.code, exc.reason))


@case(talk(subprotocols=["chat", "other"]))
async def subprotocol_and_headers(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    saw.append(scope["subprotocols"])
    await accept(receive, send, subprotocol="other", headers=[(b"X-App", b"yes")])
    await send({"type": "websocket.close"})


@case(talk())
async def refused(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008})
    saw.append(await receive())


@case(talk())
async def denied(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await receive()
    start = "websocket.http.response.start"
    body = "websocket.http.response.body"
    await send({"type": start, "status": 401, "headers": [(b"www-authenticate", b"Basic")]})
    await send({"type": body, "body": b"go ", "more_body": True})
    await send({"type": body, "body": b"away"})
    saw.append(await receive())


@case(talk())
async def denied_with_a_wrong_status(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 99, "headers": []})


@case(talk())
async def closed_by_the_app(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    await send({"type": "websocket.send", "text": "bye"})
    await send({"type": "websocket.close", "code": 4100, "reason": "enough"})
    saw.append(await receive())


@case(talk())
async def closed_by_the_app_plainly(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    await send({"type": "websocket.close", "reason": None})
    saw.append(await receive())


@case(talk())
async def sent_after_close(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    await send({"type": "websocket.close"})
    await send({"type": "websocket.send", "text": "late"})


@case(talk())
async def closed_twice(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    await send({"type": "websocket.close"})
    await send({"type": "websocket.close"})


@case(talk())
async def accepted_twice(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    await send({"type": "websocket.accept"})


@case(talk())
async def sent_before_accept(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await receive()
    await send({"type": "websocket.send", "text": "early"})


@case(talk())
async def nonsense_before_accept(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200})


@case(talk())
async def closed_with_a_bad_code(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    await send({"type": "websocket.close", "code": 1006})


@case(talk())
async def raised_before_accept(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    raise ZeroDivisionError


@case(talk())
async def returned_before_accept(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await receive()


@case(talk("one"))
async def raised_after_accept(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    saw.append(await receive())
    raise ZeroDivisionError


@case(talk("one"))
async def returned_after_accept(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    saw.append(await receive())


@case(talk(close=(1000, "")))
async def returned_a_value(scope: Any, receive: Any, send: Any, saw: list[Any]) -> Any:
    await accept(receive, send)
    saw.append(await receive())
    return 42


@case(raw(frame(8, b"")))
async def client_closed_without_a_code(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    saw.append(await receive())


@case(raw(frame(8, close_payload(4000, "tschüß"))))
async def sent_to_a_client_that_closed(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    saw.append(await receive())
    await asyncio.sleep(0)
    await send({"type": "websocket.send", "text": "late"})


@case(raw(frame(8, close_payload(1000))))
async def starlette_sent_to_one_that_closed(
    scope: Any, receive: Any, send: Any, saw: list[Any]
) -> None:
    ws = WebSocket(scope, receive, send)
    await ws.accept()
    await ws.receive()
    with pytest.raises((RuntimeError, WebSocketDisconnect)) as caught:
        await ws.send_text("late")
    saw.append(str(caught.value))


@case(raw(frame(8, close_payload(1000))))
async def closed_after_the_client(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    saw.append(await receive())
    await send({"type": "websocket.close"})


@case(cut)
async def cut_by_the_client(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    await send({"type": "websocket.send", "text": "hello"})
    saw.append(await receive())


@case(raw(frame(PING, b"are you there"), frame(8, close_payload(1001))))
async def pinged(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    saw.append(await receive())


@case(
    raw(
        frame(TEXT, b"tsch", fin=False),
        frame(PING),
        frame(CONT, "üß".encode()),
        frame(BINARY, b"\xff"),
        frame(8, close_payload(1000)),
    )
)
async def fragments(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    for _ in range(3):
        saw.append(await receive())


@case(raw(frame(TEXT, b"\xff\xfe")))
async def bad_text(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    saw.append((await receive())["code"])


@case(raw(frame(TEXT, b"x" * 101)), ws_max_size=100)
async def too_big(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    saw.append((await receive())["code"])


@case(raw(frame(3, b"?")))
async def unknown_opcode(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    saw.append((await receive())["code"])


@case(
    raw(headers=("X-One: 1", "x-two: b", "X-One: \xfc"), path="/a%20b/%C3%BC?c=%20d&e"),
    root_path="/root",
)
async def scope_as_it_is(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    shown = {key: value for key, value in scope.items() if key not in ("client", "server")}
    shown["extensions"] = {
        "websocket.http.response": scope["extensions"]["websocket.http.response"]
    }
    saw.append(shown)
    saw.append((scope["client"][0], type(scope["client"][1]), scope["server"][0]))
    await accept(receive, send)


@case(
    raw(headers=("X-Forwarded-For: 203.0.113.7, 127.0.0.1", "X-Forwarded-Proto: https")),
)
async def behind_a_proxy(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    saw.append((scope["client"], scope["scheme"]))
    await accept(receive, send)
    await send({"type": "websocket.close"})


@case(
    raw(headers=("X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https")),
    forwarded_allow_ips="192.0.2.1",
)
async def behind_nobody_trusted(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    saw.append((scope["client"][0], scope["scheme"]))
    await accept(receive, send)
    await send({"type": "websocket.close"})


@case(talk(close=(1000, ""), compression="deflate"))
async def compression_offered(scope: Any, receive: Any, send: Any, saw: list[Any]) -> None:
    await accept(receive, send)
    saw.append(await receive())


_ACCEPTED = "HTTP/1.1 101 Switching Protocols"

# How ours differs, and why: the field, and what it is with ours.
DIFFERENT: dict[str, dict[str, Any]] = {
    # A connection that an application leaves is closed properly, and says why.
    "returned_after_accept": {"client": [("open", None, None), ("closed", 1000, "")]},
    "raised_after_accept": {"client": [("open", None, None), ("closed", 1011, "")]},
    "accepted_twice": {"client": [("open", None, None), ("closed", 1011, "")]},
    "closed_with_a_bad_code": {"client": [("open", None, None), ("closed", 1011, "")]},
    "scope_as_it_is": {"client": [_ACCEPTED, ("close", 1000, "")]},
    # What was wrong with the bytes is said, and is no error of the server's.
    "bad_text": {
        "client": [_ACCEPTED, ("close", 1007, "invalid start byte at position 0")],
        "errors": [],
    },
    "unknown_opcode": {
        "client": [_ACCEPTED, ("close", 1002, "invalid opcode: 0x3, expected 0-2 or 8-10")],
    },
    # A response of the application's own is an answer: nothing is missing then.
    "denied": {"errors": []},
    # A connection that is lost is told from one that was closed without a code.
    "cut_by_the_client": {"app": [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]},
}


def same(outcome: dict[str, Any]) -> dict[str, Any]:
    """An outcome without what says the same in other words."""

    def plain(event: Any) -> Any:
        # A reason that is not there is an empty one.
        if isinstance(event, dict) and event.get("type") == "websocket.disconnect":
            return {"reason": "", **event}
        return event

    return {**outcome, "app": [plain(event) for event in outcome["app"]]}


@pytest.mark.parametrize("name", CASES)
async def test_ours_and_uvicorns_own(name: str) -> None:
    theirs = same(await outcome(CASES[name], THEIRS))
    ours = same(await outcome(CASES[name], OURS))
    expected = {**theirs, **DIFFERENT.get(name, {})}
    assert ours == expected
    assert name not in DIFFERENT or ours != theirs


def test_no_difference_is_without_a_case() -> None:
    assert set(DIFFERENT) <= set(CASES)
