"""The cases of the web-platform-tests (``websockets/``), by the names of their files.

Each is written again here, as what it demands in Python's terms: a test is marked with the names
of the files whose demands it holds. ``names.txt`` lists all files; what no test holds is in
``REASONS``, with why. From both comes the table in ``docs/browser-api.md``, which
``python -m tests.browser_api.wpt --write`` writes and ``test_wpt_table.py`` checks.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import importlib
import pathlib
import ssl
import sys
import urllib.parse
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import pytest
from tests.attacks.raw import port_of

from wirebird.asyncio.server import ServerConnection, serve
from wirebird.browser import Event, EventTarget, WebSocket
from wirebird.exceptions import ConnectionClosed
from wirebird.typing import Subprotocol

__all__ = ["cases", "heard", "held", "opened", "serving", "table", "wpt"]

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "browser-api.md"
BEGIN, END = "<!-- wpt: begin -->", "<!-- wpt: end -->"
MODULES = ("constructor", "sending", "closing", "interfaces", "stream")

Test = TypeVar("Test", bound=Callable[..., Any])

# Patterns of names, the first that fits counts: whether it is wanted, and why it does not hold.
_NO, _NOT_OURS = "no", "not applicable"
REASONS: list[tuple[str, str, str]] = [
    ("constructor/014.html", _NO, "connections to one host are opened at the same time"),
    ("cookies/*", _NOT_OURS, "no cookie jar; `additional_headers` sends cookies"),
    ("security/*", _NOT_OURS, "no pages, no mixed content, no content security policy"),
    ("unload-a-document/*", _NOT_OURS, "no documents"),
    ("Create-on-worker-shutdown*", _NOT_OURS, "no workers"),
    ("remove-own-iframe*", _NOT_OURS, "no frames"),
    ("referrer.any.js", _NOT_OURS, "no pages, so no Referer"),
    ("opening-handshake/003-sets-origin.worker.js", _NOT_OURS, "no workers"),
    ("idlharness.any.js", _NOT_OURS, "Python has no Web IDL; the names are in `interfaces/*`"),
    ("interfaces.html", _NOT_OURS, "Python has no Web IDL; the names are in `interfaces/*`"),
    ("*blocked-port*", _NO, "no port is blocked: that protects servers from web pages"),
    ("*Send-null.any.js", _NOT_OURS, "nothing becomes text by itself: TypeError"),
    ("interfaces/WebSocket/send/010.html", _NOT_OURS, "nothing becomes text by itself: TypeError"),
    ("interfaces/WebSocket/send/012.html", _NOT_OURS, "nothing becomes text by itself: TypeError"),
    ("interfaces/WebSocket/send/002.html", _NOT_OURS, "about how JavaScript replaces methods"),
    ("interfaces/WebSocket/close/002.html", _NOT_OURS, "about how JavaScript replaces methods"),
    ("*bufferedAmount/00[356].html", _NOT_OURS, "about how JavaScript defines properties"),
    ("*bufferedAmount-de*", _NOT_OURS, "about how JavaScript defines properties"),
    ("interfaces/WebSocket/constants/00[2356].html", _NOT_OURS, "about JavaScript's constants"),
    ("interfaces/WebSocket/events/00[89].html", _NOT_OURS, "about how JavaScript deletes"),
    ("interfaces/WebSocket/events/01[012].html", _NOT_OURS, "about JavaScript's prototypes"),
    ("interfaces/WebSocket/readyState/00[345].html", _NOT_OURS, "about JavaScript's properties"),
    ("interfaces/WebSocket/url/00[45].html", _NOT_OURS, "about JavaScript's properties"),
]


# Marking.


def wpt(*names: str) -> Callable[[Test], Test]:
    """Mark a test with the files whose demands it holds."""

    def mark(test: Test) -> Test:
        test.__dict__["wpt"] = (*test.__dict__.get("wpt", ()), *names)
        return test

    return mark


def cases(argument: str, by_name: dict[str, Any]) -> Callable[[Test], Test]:
    """Mark a test that is run once for each file, with an argument for each."""

    def mark(test: Test) -> Test:
        run = pytest.mark.parametrize(argument, list(by_name.values()), ids=list(by_name))
        return wpt(*by_name)(run(test))  # type: ignore[no-any-return]

    return mark


def held() -> dict[str, str]:
    """Which files there are tests for: names, and the modules that hold them."""
    found: dict[str, str] = {}
    for module in MODULES:
        name = f"test_wpt_{module}"
        for test in vars(importlib.import_module(f"tests.browser_api.{name}")).values():
            for file in getattr(test, "__dict__", {}).get("wpt", ()):
                found[file] = f"{name}.py"
    return found


def names() -> list[str]:
    """All files of the web-platform-tests that are known here."""
    return (HERE / "names.txt").read_text(encoding="utf-8").split()


def table() -> str:
    """What stands in the docs."""
    tests = held()
    lines = ["| File | Holds | |", "|-|-|-|"]
    for name in names():
        if name in tests:
            lines.append(f"| `{name}` | yes | `{tests[name]}` |")
            continue
        whether, why = next(
            ((whether, why) for pattern, whether, why in REASONS if fnmatch.fnmatch(name, pattern)),
            ("?", "nobody has looked"),
        )
        lines.append(f"| `{name}` | {whether} | {why} |")
    return "\n".join(lines)


# Servers, and waiting for events.


async def _handle(connection: ServerConnection) -> None:
    request = connection.request
    assert request is not None
    path, _, query = request.path.partition("?")
    asked = dict(urllib.parse.parse_qsl(query))
    with contextlib.suppress(ConnectionClosed):
        if path == "/echo-query":
            await connection.send(query)
        elif path == "/origin":
            await connection.send(request.headers.get("Origin", "none"))
        elif path == "/authorization":
            await connection.send(request.headers.get("Authorization", "none"))
        elif path == "/protocol":
            await connection.send(connection.subprotocol or "none")
        elif path == "/close":
            await connection.close(int(asked.get("code", 1000)), asked.get("reason", ""))
        elif path == "/goodbye":
            await connection.recv()
            await connection.close()
        async for message in connection:
            await connection.send(message)


def _first(connection: ServerConnection, offered: Any) -> Subprotocol | None:
    return next(iter(offered), None)


@contextlib.asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[str]:
    """Run a server of ours; gives its URL without the slash at its end."""
    options = {"select_subprotocol": _first, "ssl": tls, **options}
    async with serve(_handle, "127.0.0.1", 0, **options) as server:
        scheme = "ws" if tls is None else "wss"
        yield f"{scheme}://127.0.0.1:{port_of(server)}"


def heard(target: EventTarget, type: str) -> asyncio.Future[Any]:
    """The next event of a type, to be awaited; one that it ends before fails."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def tell(event: Event) -> None:
        if not future.done():
            future.set_result(event)

    def lost(event: Event) -> None:
        if not future.done():
            future.set_exception(EOFError(f"{event!r} came, and no {type!r}"))
            future.exception()

    target.addEventListener(type, tell, once=True)
    if type not in ("close", "error"):
        target.addEventListener("close", lost, once=True)
    return future


@contextlib.asynccontextmanager
async def opened(
    url: str,
    protocols: str | Sequence[str] = (),
    **options: Any,
) -> AsyncIterator[WebSocket]:
    """A WebSocket that is open; it is closed at the end."""
    ws = WebSocket(url, protocols, **{"proxy": None, **options})
    await heard(ws, "open")
    yield ws
    if ws.readyState != ws.CLOSED:
        closed = heard(ws, "close")
        ws.close()
        await closed


def _write() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        _write()
    else:
        print(table())
