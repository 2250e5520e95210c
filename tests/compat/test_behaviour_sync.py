"""The same scenario for threads, run with ``websockets.sync`` and with Wirebird.

As in ``test_behaviour.py``: a scenario takes a library and returns what it observed.
"""

from __future__ import annotations

import contextlib
import importlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest


class Library:
    """One of the two, by its modules for threads.

    Args:
        name: of the package.
    """

    def __init__(self, name: str) -> None:
        self.client = importlib.import_module(f"{name}.sync.client")
        self.server = importlib.import_module(f"{name}.sync.server")

    @contextlib.contextmanager
    def serving(self, handler: Any, **options: Any) -> Iterator[tuple[Any, str]]:
        """Run its server; yield it and its URI."""
        with self.server.serve(handler, "127.0.0.1", 0, **options) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield server, f"ws://127.0.0.1:{server.socket.getsockname()[1]}/path?query"
        thread.join()

    @contextlib.contextmanager
    def pair(self, **options: Any) -> Iterator[tuple[Any, Any]]:
        """Connect its client with its server; yield both ends."""
        accepted: queue.Queue[Any] = queue.Queue()

        def handler(connection: Any) -> None:
            accepted.put(connection)
            connection.wait_closed()

        with (
            self.serving(handler) as (_, uri),
            self.client.connect(uri, proxy=None, **options) as client,
        ):
            yield client, accepted.get(timeout=10)


Scenario = Callable[[Library], list[object]]
SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    """Add a scenario to those that are run with both libraries."""
    SCENARIOS.append(function)
    return function


@pytest.mark.parametrize("run", SCENARIOS, ids=lambda run: run.__name__)
def test_same_outcome(run: Scenario) -> None:
    reference, ours = [run(Library(name)) for name in ("websockets", "wirebird")]
    assert reference, "the scenario observed nothing"
    assert ours == reference


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> object:
    """Return a result, or what was raised: the name, and the text of what ended a connection."""
    try:
        return function(*args, **kwargs)
    except Exception as exc:
        name = type(exc).__name__
        return (name, str(exc)) if "Closed" in name else name


def ended(connection: Any) -> list[object]:
    """Return all that is to be known about the end of a connection."""
    connection.wait_closed()
    return [
        connection.close_code,
        connection.close_reason,
        connection.state.name,
        connection.wait_closed(0),
        *(outcome(connection.recv, timeout) for timeout in (None, 0, 1)),
        outcome(connection.send, "x"),
        outcome(connection.send, ["x"]),
        outcome(connection.ping),
        outcome(connection.pong),
        outcome(connection.close),
    ]


@scenario
def messages(library: Library) -> list[object]:
    seen: list[object] = []
    sent = [
        "",
        "é",
        b"",
        bytearray(b"ab"),
        memoryview(b"cd"),
        ["a", "b"],
        [b"a", b"b"],
        "x" * 70_000,
    ]
    with library.pair() as (client, server):
        for message in sent:
            for text in (None, True, False):
                client.send(message, text=text)
                seen.append(server.recv(10))
        for decode in (None, True, False):
            client.send(["one", "two"])
            seen.append(list(server.recv_streaming(decode)))
            client.send("text")
            seen.append(server.recv(10, decode))
        client.send([])
        seen += [outcome(client.send, wrong) for wrong in (None, 1, {"a": 1}, [1], object())]
    return seen


@scenario
def waiting(library: Library) -> list[object]:
    seen: list[object] = []
    with library.pair() as (client, server):
        seen += [outcome(server.recv, timeout) for timeout in (0, -1, 0.01)]
        seen.append(server.wait_closed(0))
        client.send("x")
        seen.append(server.recv(timeout=10))
        pong = client.ping("data")
        seen += [isinstance(pong, threading.Event), pong.wait(10), client.latency > 0]
        seen += [outcome(client.ping, wrong) for wrong in (1, ["x"], b"x" * 126)]
        seen += [outcome(client.pong, wrong) for wrong in (None, 1, b"x" * 126)]
    return seen


@scenario
def ends(library: Library) -> list[object]:
    seen: list[object] = []
    for code, reason in ((1000, ""), (1001, "away"), (4000, "mine")):
        with library.pair() as (client, server):
            client.send("before the end")
            client.close(code, reason)
            seen.append(ended(client))
            seen.append(server.recv())
            seen.append(ended(server))
    with library.pair() as (client, server):
        seen += [outcome(client.close, *wrong) for wrong in ((1005,), (999,), (1000, "x" * 124))]
    with library.pair() as (client, server):
        with contextlib.suppress(KeyError), client:
            raise KeyError
        seen.append(ended(server))
    return seen


@scenario
def iterating(library: Library) -> list[object]:
    seen: list[object] = []
    for code in (1000, 1001, 1002):
        with library.pair() as (client, server):
            client.send("one")
            client.send("two")
            client.close(code)
            seen.append(outcome(lambda server=server: list(server)))
    return seen


@scenario
def handlers(library: Library) -> list[object]:
    def fail(_: Any) -> None:
        raise KeyError

    seen: list[object] = []
    for handler in (fail, lambda ws: ws.close(4000, "enough"), lambda _: None):
        with (
            library.serving(handler) as (_, uri),
            library.client.connect(uri, proxy=None) as client,
        ):
            seen.append(ended(client))
    return seen


@scenario
def hooks(library: Library) -> list[object]:
    def process_request(ws: Any, request: Any) -> Any:
        seen.append(request.path)
        return ws.respond(403, "no\n") if "no" in request.path else None

    def process_response(ws: Any, request: Any, response: Any) -> Any:
        response.headers["X-Path"] = request.path
        return ws.respond(404, "none\n") if "none" in request.path else None

    seen: list[object] = []
    with library.serving(
        lambda ws: ws.send(ws.request.path),
        process_request=process_request,
        process_response=process_response,
        server_header="server",
    ) as (_, uri):
        with library.client.connect(uri, proxy=None) as client:
            seen += [client.recv(10), client.response.headers["X-Path"]]
            seen += [client.response.headers["Server"], client.request.path]
        for path in ("/no", "/x/none"):
            try:
                library.client.connect(uri.replace("/path?query", path), proxy=None)
            except Exception as exc:
                seen += [type(exc).__name__, exc.response.status_code, exc.response.body]  # type: ignore[attr-defined]
    return seen


@scenario
def connecting_again(library: Library) -> list[object]:
    def delays() -> Iterator[float]:
        while True:
            yield 0

    seen: list[object] = []
    with library.serving(lambda ws: ws.send("hello")) as (_, uri):
        for connector in (
            library.client.reconnect(uri, proxy=None, reconnect_delays=delays),
            library.client.connect(uri, proxy=None, legacy=False),
        ):
            for number, client in enumerate(connector):
                seen.append(list(client))
                if number == 2:
                    break
        with library.client.connect(uri, proxy=None, legacy=True) as client:
            seen.append(list(client))
    return seen


@scenario
def shutting_down(library: Library) -> list[object]:
    seen: list[object] = []
    for arguments in ({}, {"code": 1012, "reason": "restart"}):
        with library.serving(lambda ws: ws.wait_closed()) as (server, uri):
            client = library.client.connect(uri, proxy=None, legacy=True)
            server.shutdown(**arguments)
            seen += [ended(client), server.connections, server.fileno()]
            seen.append(outcome(library.client.connect, uri, proxy=None))
    return seen
