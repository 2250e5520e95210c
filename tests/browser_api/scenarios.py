"""Situations in which a WebSocket can be, each as a script in two languages.

The one in JavaScript is run by Chromium, the one in Python here; both have ``ws``, ``log`` (a list
that they may add to, and that gets all events) and ``attempt`` (calls a function, and logs the name
of the DOM exception that it raises). Both talk to the servers in ``peers.py``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from wirebird.browser import WebSocket

__all__ = ["BY_STANDARD", "SCENARIOS", "URLS", "Scenario"]

Script = Callable[[WebSocket, list[Any], Callable[[Callable[[], Any]], Any]], None]


def _nothing(ws: WebSocket, log: list[Any], attempt: Any) -> None:
    """Only listen."""


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One situation.

    Args:
        name: of the scenario.
        path: of the server in ``peers.py``.
        javascript, python: the scripts.
        protocols: of the constructor; None for none.
    """

    name: str
    path: str
    javascript: str = ""
    python: Script = _nothing
    protocols: str | list[str] | None = None


# These end by themselves: the server closes, or does not answer as it should.
_BY_THE_SERVER = [
    "/404",
    "/200",
    "/redirect",
    "/garbage",
    "/nothing",
    "/bad-accept",
    "/protocol-unasked",
    "/extension-unasked",
    "/close-1001",
    "/close-4000",
    "/close-empty",
    "/close-behind",
    "/close-1005",
    "/close-one-byte",
    "/close-bad-utf8",
    "/cut",
    "/reset",
    "/bad-utf8",
    "/masked",
    "/reserved-bit",
    "/reserved-opcode",
    "/lone-continuation",
    "/long-ping",
]


def _protocol(ws: WebSocket, log: list[Any], attempt: Any) -> None:
    def opened(event: Any) -> None:
        log.append(ws.protocol)
        ws.close()

    ws.onopen = opened


_PROTOCOL = "ws.onopen = () => { log.push(ws.protocol); ws.close(); };"
_PROTOCOLS: list[tuple[str, str | list[str]]] = [
    ("/protocol-chosen", ["chat", "other"]),
    ("/protocol-chosen", "chat"),
    ("/protocol-other", ["chat"]),
    ("/protocol-none", ["chat"]),
    ("/echo", []),
    ("/echo", ["chat", "chat"]),
    ("/protocol-chosen", ["chat", "Chat"]),
    ("/echo", ""),
    ("/echo", "a b"),
    ("/echo", "a,b"),
    ("/echo", "ä"),
    ("/echo", "a\x00b"),
]


def _closing(arguments: list[Any]) -> Script:
    def script(ws: WebSocket, log: list[Any], attempt: Any) -> None:
        def opened(event: Any) -> None:
            attempt(lambda: ws.close(*arguments))
            log.append(ws.readyState)
            ws.close()

        ws.onopen = opened

    return script


_CLOSING: list[list[Any]] = [
    [], [1000], [1000, "why"], [3000], [4999, "ünï"], [999], [1001], [1005], [1006], [2999], [5000],
    [0], [-1], [66536], [1000.4], [1000, "x" * 123], [1000, "x" * 124], [1000, "ü" * 62],
    [2999, "x" * 124], [1000, "\ud800"],
]  # fmt: skip


def _connecting(ws: WebSocket, log: list[Any], attempt: Any) -> None:
    attempt(lambda: ws.send("early"))
    ws.close()
    log.append([ws.readyState, ws.bufferedAmount])
    ws.close(3000, "again")
    ws.send("late")
    log.append([ws.readyState, ws.bufferedAmount])


def _after_closing(ws: WebSocket, log: list[Any], attempt: Any) -> None:
    def opened(event: Any) -> None:
        ws.send("zwölf")
        log.append(ws.bufferedAmount)
        ws.send(bytes(10))
        log.append(ws.bufferedAmount)
        ws.close(3000)
        before = ws.bufferedAmount
        ws.send("more")
        log.append([ws.bufferedAmount - before, ws.readyState])

    def closed(event: Any) -> None:
        before = ws.bufferedAmount
        ws.send(bytes(100))
        log.append([ws.bufferedAmount - before, ws.readyState])

    ws.onopen, ws.onclose = opened, closed


def _in_a_message(ws: WebSocket, log: list[Any], attempt: Any) -> None:
    ws.binaryType = "arraybuffer"
    ws.onmessage = lambda event: ws.close(3999, "mine")


def _listeners(ws: WebSocket, log: list[Any], attempt: Any) -> None:
    ws.binaryType = "nonsense"
    ws.onmessage = lambda event: log.append("first")
    ws.addEventListener("message", lambda event: log.append("listener"))

    def last(event: Any) -> None:
        log.append("attribute")
        if not isinstance(event.data, str):
            ws.close()

    ws.onmessage = last

    def opened(event: Any) -> None:
        ws.send("a\ud800b")
        ws.send("")
        ws.send(b"bytes")

    ws.onopen = opened


SCENARIOS = [
    *(Scenario(path.removeprefix("/"), path) for path in _BY_THE_SERVER),
    *(
        Scenario(
            f"{path.removeprefix('/')} for {json.dumps(protocols)}",
            path,
            _PROTOCOL,
            _protocol,
            protocols,
        )
        for path, protocols in _PROTOCOLS
    ),
    *(
        Scenario(
            f"close({json.dumps(arguments)[1:-1][:20]}) {number}",
            "/echo",
            f"ws.onopen = () => {{ attempt(() => ws.close(...{json.dumps(arguments)}));"
            "log.push(ws.readyState); ws.close(); };",
            _closing(arguments),
        )
        for number, arguments in enumerate(_CLOSING)
    ),
    Scenario(
        "closing while it connects",
        "/silence",
        """
        attempt(() => ws.send("early")); ws.close();
        log.push([ws.readyState, ws.bufferedAmount]); ws.close(3000, "again");
        ws.send("late"); log.push([ws.readyState, ws.bufferedAmount]);
        """,
        _connecting,
    ),
    Scenario(
        "sending after closing",
        "/echo",
        """
        ws.onopen = () => {
          ws.send("zwölf"); log.push(ws.bufferedAmount);
          ws.send(new ArrayBuffer(10)); log.push(ws.bufferedAmount);
          ws.close(3000); const before = ws.bufferedAmount;
          ws.send("more"); log.push([ws.bufferedAmount - before, ws.readyState]);
        };
        ws.onclose = () => {
          const before = ws.bufferedAmount; ws.send(new ArrayBuffer(100));
          log.push([ws.bufferedAmount - before, ws.readyState]);
        };
        """,
        _after_closing,
    ),
    Scenario(
        "closing in the first message",
        "/close-behind",
        'ws.binaryType = "arraybuffer"; ws.onmessage = () => ws.close(3999, "mine");',
        _in_a_message,
    ),
    Scenario(
        "messages and the order of listeners",
        "/echo",
        r"""
        ws.binaryType = "nonsense";
        ws.onmessage = () => log.push("first");
        ws.addEventListener("message", () => log.push("listener"));
        ws.onmessage = (event) => {
          log.push("attribute"); if (typeof event.data !== "string") ws.close();
        };
        ws.onopen = () => {
          ws.send("a\ud800b"); ws.send(""); ws.send(new TextEncoder().encode("bytes"));
        };
        """,
        _listeners,
    ),
]

URLS = [
    "ws://example.com", "WS://EXAMPLE.com/", "http://example.com/", "https://example.com/a",
    "HTTPS://example.com:443/", "ws://example.com:80/", "wss://example.com:80/",
    "wss://example.com:443/x?y", "ws://example.com:0080/", "ws://example.com:65536/",
    "ws://example.com:x/", "ws://example.com:/", "ws:example.com", "ws:/example.com/a",
    "ws:////example.com//a", "ws://\\example.com\\a\\b", "ws://example.com/a/../b/./c",
    "ws://example.com/%2e%2E/x", "ws://example.com/a b", "ws://example.com/ä?ä",
    "ws://example.com/\"<>`{}|^", "ws://example.com/?'\"<>", "ws://example.com/%", "  ws://a.b/ ",
    "ws://exam\tple.com/\n", "ws://example.com/#", "ws://example.com/#x", "ws://example.com?q",
    "ws://user:pass@example.com/", "ws://user@example.com/", "ws://@example.com/",
    "ws://bücher.example/", "ws://BÜCHER.example/", "ws://xn--bcher-kva.example/",
    "ws://faß.example/", "ws://1.2.3/", "ws://0x7f.1/", "ws://0177.0.0.1/", "ws://256.1/",
    "ws://1.2.3.4.5/", "ws://1.2.3.4./", "ws://[::1]/", "ws://[::0001]:80/",
    "ws://[::ffff:1.2.3.4]/", "ws://[1:0:0:2:0:0:0:3]/", "ws://[1:0:2:0:3:0:4:0]/",
    "ws://[1::]/", "ws://[2001:db8::10:0]/", "ws://[::]/", "ws://[fe80::1%25eth0]/", "ws://[100::10]/",
    "ws://βόλος.com/", "ws://ex。com/",
    "ws://[::1/", "ws://[g::]/", "ws://foo bar.com/", "ws://a%20b/", "ws://a%41.com/", "ws://a_b.com/",
    "ws://a..b/", "ws://./", "ws://", "ws:", "", "/test", "?test", "#test", "example.com", "//a.b/",
    "mailto:example@example.org", "about:blank", "ftp://example.com/", "file:///x", "wsss://a/",
    "ws://example.com/\x00", "ws://exa\x00mple.com/", "ws://example.com/\ud800", "ws://a\u00adb.com/",
    "ws://example.com/a;b=c,d!$&'()*+@:", "ws://example.com/?a=b&c=/?:@", "ws://%/", "ws://a^b/",
    "ws://example.com/~", "ws://example.com/[]", "ws://example.com/?[]{}|\\^`", "ws://e.com:1/..",
]  # fmt: skip

# Where Chromium does not follow the URL Standard, what that says is held here.
BY_STANDARD = {
    'ws://example.com/"<>`{}|^': "ws://example.com/%22%3C%3E%60%7B%7D|%5E",
    "ws://foo bar.com/": "SyntaxError",
    "ws://a%20b/": "SyntaxError",
}
