"""web-platform-tests: how a WebSocket is closed, by either side."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from tests.browser_api.peers import Log, peers
from tests.browser_api.wpt import cases, heard, opened, serving, wpt

from wirebird.browser import CloseEvent, DOMException, WebSocket


async def closes(url: str, arguments: list[Any], expected: tuple[int, str], **options: Any) -> None:
    async with opened(url, **options) as ws:
        closed = heard(ws, "close")
        assert ws.close(*arguments) is None  # type: ignore[func-returns-value]
        assert ws.readyState == ws.CLOSING
        event = await closed
        assert ws.readyState == ws.CLOSED
        assert (event.wasClean, event.code, event.reason) == (True, *expected)
        assert type(event.code) is int


CLOSING: dict[str, tuple[list[Any], tuple[int, str]]] = {
    "Close-1000-reason.any.js": ([1000, "Clean Close"], (1000, "Clean Close")),
    "Close-1000.any.js": ([1000], (1000, "")),
    "Close-reason-unpaired-surrogates.any.js": ([1000, "\ud807"], (1000, "\ufffd")),
    "Close-undefined.any.js": ([None], (1005, "")),
    "interfaces/WebSocket/close/001.html": ([], (1005, "")),
    "interfaces/WebSocket/close/003.html": ([3000, "x" * 123], (3000, "x" * 123)),
    "interfaces/WebSocket/close/004.html": ([None, ""], (1005, "")),
    "interfaces/WebSocket/close/close-basic.html": ([], (1005, "")),
    "interfaces/CloseEvent/clean-close.html": ([], (1005, "")),
}


@cases("closing", CLOSING)
async def test_closing(closing: tuple[list[Any], tuple[int, str]]) -> None:
    async with serving() as base:
        await closes(base + "/echo", *closing)


@cases(
    "closing",
    {
        "Secure-Close-1000-reason.any.js": ([1000, "Clean Close"], (1000, "Clean Close")),
        "Secure-Close-1000-verify-code.any.js": ([1000], (1000, "")),
        "Secure-Close-1000.any.js": ([1000], (1000, "")),
        "Secure-Close-1005-verify-code.any.js": ([], (1005, "")),
        "Secure-Close-3000-reason.any.js": ([3000, "Clean Close"], (3000, "Clean Close")),
        "Secure-Close-3000-verify-code.any.js": ([3000], (3000, "")),
        "Secure-Close-4999-reason.any.js": ([4999, "Clean Close"], (4999, "Clean Close")),
        "Secure-Close-Reason-Unpaired-surrogates.any.js": ([1000, "\ud807"], (1000, "\ufffd")),
        "Secure-Close-undefined.any.js": ([None], (1005, "")),
        "Secure-Close-readyState-Closed.any.js": ([], (1005, "")),
        "Secure-Close-readyState-Closing.any.js": ([1000], (1000, "")),
    },
)
async def test_closing_over_tls(
    closing: tuple[list[Any], tuple[int, str]],
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> None:
    async with serving(server_tls) as base:
        await closes(base + "/echo", *closing, ssl=client_tls)


@cases(
    "arguments",
    {
        "close-invalid.any.js": [
            [0], [500], [float("nan")], ["string"], [999], [1001], [2999], [5000], [70000],
        ],
        "Secure-Close-1005.any.js": [[1005]],
        "Secure-Close-2999-reason.any.js": [[2999, "Clean Close"]],
        "Secure-Close-onlyReason.any.js": [["Close with only reason"]],
    },
)  # fmt: skip
async def test_codes_that_are_refused(arguments: list[list[Any]]) -> None:
    async with serving() as base, opened(base + "/echo") as ws:
        for wrong in arguments:
            with pytest.raises(DOMException) as raised:
                ws.close(*wrong)
            assert (raised.value.name, raised.value.code) == ("InvalidAccessError", 15)
            assert ws.readyState == ws.OPEN


@cases(
    "reason",
    {"Close-Reason-124Bytes.any.js": "i" * 124, "Secure-Close-Reason-124Bytes.any.js": "ü" * 62},
)
async def test_reasons_that_are_refused(reason: str) -> None:
    async with serving() as base, opened(base + "/echo") as ws:
        with pytest.raises(DOMException) as raised:
            ws.close(1000, reason)
        assert raised.value.name == "SyntaxError"
        assert ws.readyState == ws.OPEN


@cases(
    "is_immediate",
    {
        "interfaces/WebSocket/close/close-connecting.html": False,
        "interfaces/WebSocket/close/006.html": False,
        "interfaces/WebSocket/readyState/007.html": True,
        "interfaces/CloseEvent/004.html": True,
    },
)
async def test_closing_while_it_connects(is_immediate: bool) -> None:
    async with peers() as base:
        ws = WebSocket(base + "/silence", proxy=None)
        log = Log(ws)
        if not is_immediate:
            async with opened(base + "/echo"):
                pass  # meanwhile it has reached its server
        assert ws.readyState == ws.CONNECTING
        ws.close()
        assert ws.readyState == ws.CLOSING
        assert await log.closed() == [["error", 3], ["close", 3, False, 1006, ""]]


@wpt("interfaces/WebSocket/close/005.html", "interfaces/WebSocket/close/close-nested.html")
async def test_closing_in_the_close_event() -> None:
    async with serving() as base, opened(base + "/echo") as ws:
        log = Log(ws)
        ws.onclose = lambda event: ws.close()
        ws.close()
        assert await log.closed() == [["close", 3, True, 1005, ""]]
        assert ws.readyState == ws.CLOSED


@wpt("interfaces/WebSocket/close/close-multiple.html")
async def test_closing_twice() -> None:
    async with serving() as base, opened(base + "/echo") as ws:
        log = Log(ws)
        ws.close()
        ws.close(3000, "too late")
        assert await log.closed() == [["close", 3, True, 1005, ""]]


@wpt("closing-handshake/003.html")
async def test_the_client_starts() -> None:
    async with serving() as base, opened(base + "/echo") as ws:
        log = Log(ws)
        ws.send("one")
        ws.close()  # behind what was sent
        assert await log.closed() == [["close", 3, True, 1005, ""]]


@cases(
    "path",
    {
        "closing-handshake/002.html": "/goodbye",
        "Secure-Close-server-initiated-close.any.js": "/goodbye",
    },
)
async def test_the_server_starts(path: str) -> None:
    async with serving() as base, opened(base + path) as ws:
        log = Log(ws)
        ws.send("Goodbye")
        assert await log.closed() == [["close", 3, True, 1000, ""]]


@wpt("closing-handshake/004.html")
async def test_data_after_a_close_is_nothing() -> None:
    async with peers() as base:
        log = Log(WebSocket(base + "/data-after-close", proxy=None))
        assert await log.closed() == [["open", 1], ["close", 3, True, 1000, ""]]


@wpt("interfaces/CloseEvent/003.html")
async def test_a_connection_that_is_cut() -> None:
    async with peers() as base:
        log = Log(WebSocket(base + "/cut", proxy=None))
        lines = await log.closed()
        assert lines[-1] == ["close", 3, False, 1006, ""]


@wpt("keeping-connection-open/001.html")
async def test_pings_keep_it_open() -> None:
    async with (
        serving(ping_interval=0.01) as base,
        opened(base + "/echo", ping_interval=0.01) as ws,
    ):
        for number in range(20):
            back = heard(ws, "message")
            ws.send(str(number))
            assert (await back).data == str(number)
        assert ws.readyState == ws.OPEN


@wpt("interfaces/CloseEvent/001.html", "interfaces/CloseEvent/002.html")
def test_close_events_that_scripts_make() -> None:
    event = CloseEvent("close")
    assert (event.wasClean, event.code, event.reason) == (False, 0, "")
    event = CloseEvent("foo", wasClean=True, code=7, reason="x", cancelable=True)
    assert (event.type, event.wasClean, event.code, event.reason) == ("foo", True, 7, "x")
    assert (event.bubbles, event.cancelable, event.isTrusted) == (False, True, False)
