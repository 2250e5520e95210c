"""web-platform-tests: the interfaces, their attributes, and events."""

from __future__ import annotations

from typing import Any

import pytest
from tests.browser_api.peers import peers
from tests.browser_api.wpt import cases, heard, opened, serving, wpt

from wirebird.browser import (
    AbortController,
    CloseEvent,
    DOMException,
    Event,
    EventTarget,
    MessageEvent,
    WebSocket,
)

TYPES = ("open", "message", "error", "close")
EVENTS = "interfaces/WebSocket/events/"


async def ended(ws: WebSocket) -> None:
    closed = heard(ws, "close")
    ws.close()
    await closed


@wpt("interfaces/WebSocket/constants/001.html", "interfaces/WebSocket/constants/004.html")
async def test_constants() -> None:
    ws = WebSocket("ws://example.invalid/")
    for holder in (WebSocket, ws):
        assert (holder.CONNECTING, holder.OPEN, holder.CLOSING, holder.CLOSED) == (0, 1, 2, 3)
    await ended(ws)


@wpt("interfaces/WebSocket/readyState/001.html", "interfaces/WebSocket/readyState/002.html")
async def test_what_cannot_be_set() -> None:
    ws = WebSocket("ws://example.invalid/")
    assert ws.readyState == ws.CONNECTING
    for name in ("readyState", "url", "protocol", "extensions", "bufferedAmount"):
        with pytest.raises(AttributeError):
            setattr(ws, name, 5)
    assert ws.readyState == ws.CONNECTING
    await ended(ws)


@wpt("interfaces/WebSocket/readyState/006.html", "interfaces/WebSocket/readyState/008.html")
async def test_ready_states() -> None:
    async with serving() as base, opened(base + "/echo") as ws:
        assert ws.readyState == ws.OPEN
        await ended(ws)
        assert ws.readyState == ws.CLOSED


@cases(
    "urls",
    {
        "interfaces/WebSocket/url/001.html": ("ws://example.invalid", "ws://example.invalid/"),
        "interfaces/WebSocket/url/002.html": ("ws://example.invalid/a#"[:-1],) * 2,
        "interfaces/WebSocket/url/003.html": ("ws://EXAMPLE.invalid:80/A", "ws://example.invalid/A"),
        "interfaces/WebSocket/url/006.html": ("ws://example.invalid/?a b", "ws://example.invalid/?a%20b"),
    },
)  # fmt: skip
async def test_urls(urls: tuple[str, str]) -> None:
    given, shown = urls
    ws = WebSocket(given)
    assert ws.url == shown
    await ended(ws)
    assert ws.url == shown


@wpt("interfaces/WebSocket/extensions/001.html")
async def test_extensions() -> None:
    async with serving() as base:
        ws = WebSocket(base + "/echo", proxy=None)
        assert ws.extensions == ""
        await heard(ws, "open")
        assert ws.extensions.startswith("permessage-deflate")
        await ended(ws)


@wpt(
    "eventhandlers.any.js",
    *(EVENTS + f"{number}.html" for number in ("001", "002", "003", "004", "006", "007")),
    *(EVENTS + f"{number}.html" for number in ("013", "014", "015")),
)
async def test_handlers_are_callables_or_none() -> None:
    ws = WebSocket("ws://example.invalid/")
    for type in TYPES:
        name = f"on{type}"
        assert getattr(ws, name) is None

        def handler(event: Any) -> None:
            raise AssertionError(event)

        setattr(ws, name, handler)
        assert getattr(ws, name) is handler
        for nothing in (None, 1, "x", object()):
            setattr(ws, name, nothing)
            assert getattr(ws, name) is None
    await ended(ws)


@wpt(EVENTS + "016.html")
async def test_listeners_are_told_in_order() -> None:
    told: list[str] = []
    async with serving() as base:
        ws = WebSocket(base + "/echo", proxy=None)
        for type in TYPES:
            ws.addEventListener(type, lambda event: told.append(event.type + " 1"))
            setattr(ws, f"on{type}", lambda event: told.append(event.type + " 2"))
            ws.addEventListener(type, lambda event: told.append(event.type + " 3"))
        await heard(ws, "open")
        back = heard(ws, "message")
        ws.send("x")
        await back
        await ended(ws)
    assert told == [f"{type} {n}" for type in ("open", "message", "close") for n in (1, 2, 3)]


@wpt(EVENTS + "017.html", EVENTS + "018.html")
async def test_what_events_say_of_themselves() -> None:
    seen: list[Any] = []

    def look(event: Event) -> None:
        assert event.target is event.currentTarget is ws
        assert (event.eventPhase, event.bubbles, event.cancelable) == (2, False, False)
        assert event.isTrusted
        seen.append((event.type, type(event)))

    async with peers() as base:
        ws = WebSocket(base + "/bad-utf8", proxy=None)
        for kind in TYPES:
            ws.addEventListener(kind, look)
        event = await heard(ws, "close")
    assert (event.eventPhase, event.currentTarget, event.target) == (0, None, ws)
    assert seen == [
        ("open", Event), ("message", MessageEvent), ("error", Event), ("close", CloseEvent),
    ]  # fmt: skip


@wpt(EVENTS + "019.html")
async def test_who_is_removed_is_not_told() -> None:
    ws = WebSocket("ws://example.invalid/")
    got: list[Any] = []
    for type in TYPES:
        ws.addEventListener(type, got.append, False)
        ws.removeEventListener(type, got.append, True)  # another one
        ws.removeEventListener(type, got.append, False)
        assert ws.dispatchEvent(Event(type))
    assert got == []
    await ended(ws)


@wpt(EVENTS + "020.html")
async def test_error_events() -> None:
    async with peers() as base:
        ws = WebSocket(base + "/404", proxy=None)
        assert type(await heard(ws, "error")) is Event
        await heard(ws, "close") if ws.readyState != ws.CLOSED else None


# Beyond the files: the DOM's rules for listeners.


def test_a_listener_is_there_once() -> None:
    target, got = EventTarget(), list[Any]()
    for _ in range(2):
        target.addEventListener("x", got.append)
    target.dispatchEvent(Event("x"))
    assert len(got) == 1


def test_once_and_signals_and_handle_event() -> None:
    class Listener:
        def handleEvent(self, event: Event) -> None:
            got.append(event.type)

    target, got, controller = EventTarget(), list[str](), AbortController()
    target.addEventListener("x", Listener(), {"once": True})
    target.addEventListener("y", Listener(), signal=controller.signal)
    for type in ("x", "x", "y"):
        target.dispatchEvent(Event(type))
    controller.abort()
    target.dispatchEvent(Event("y"))
    assert got == ["x", "y"]


def test_who_comes_or_goes_meanwhile() -> None:
    target, got = EventTarget(), list[str]()

    def first(event: Event) -> None:
        got.append("first")
        target.removeEventListener("x", second)
        target.addEventListener("x", third)

    def second(event: Event) -> None:
        got.append("second")

    def third(event: Event) -> None:
        got.append("third")

    target.addEventListener("x", first)
    target.addEventListener("x", second)
    target.dispatchEvent(Event("x"))
    assert got == ["first"]


def test_an_event_is_dispatched_once_at_a_time() -> None:
    target, event = EventTarget(), Event("x")
    raised: list[str] = []

    def again(event: Event) -> None:
        with pytest.raises(DOMException) as info:
            target.dispatchEvent(event)
        raised.append(info.value.name)

    target.addEventListener("x", again)
    target.dispatchEvent(event)
    assert raised == ["InvalidStateError"]


async def test_a_listener_that_raises_is_reported_and_stops_nobody() -> None:
    import asyncio

    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    target, got = EventTarget(), list[Any]()

    def bad(event: Event) -> None:
        raise ValueError("mine")

    async def late(event: Event) -> None:
        await asyncio.sleep(0)
        got.append("late")
        raise KeyError("mine too")

    target.addEventListener("x", bad)
    target.addEventListener("x", late)
    target.addEventListener("x", got.append)
    target.dispatchEvent(Event("x"))
    while len(reported) < 2:
        await asyncio.sleep(0)
    assert [type(context["exception"]) for context in reported] == [ValueError, KeyError]
    assert len(got) == 2
