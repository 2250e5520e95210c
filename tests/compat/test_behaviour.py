"""The same scenario, run with ``websockets`` and with Wirebird, has the same outcome.

A scenario is a coroutine that takes a library and returns what it observed; it is run with both,
and the two lists are compared. Texts are compared where users see them in logs and tests; where
only the names of errors are compared, their texts differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.compat.library import LIBRARIES, Library, ended, outcome

Scenario = Callable[[Library], Awaitable[list[object]]]
SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    """Add a scenario to those that are run with both libraries."""
    SCENARIOS.append(function)
    return function


@pytest.mark.parametrize("run", SCENARIOS, ids=lambda run: run.__name__)
async def test_same_outcome(run: Scenario) -> None:
    reference, ours = [await run(library) for library in LIBRARIES]
    assert reference, "the scenario observed nothing"
    assert ours == reference


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def bytes_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Run a server of plain bytes for one connection, to its end; yield its URI."""
    done = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await done.wait()


async def received_close(library: Library, connection: Any) -> object:
    """Return the Close that the peer sent."""
    try:
        await connection.recv()
    except library.exceptions.ConnectionClosed as exc:
        return str(exc.rcvd)
    return None


# Messages


@scenario
async def messages(library: Library) -> list[object]:
    seen: list[object] = []
    sent = ["", "text", "é", b"", b"\x00\xff", bytearray(b"ab"), memoryview(b"cd"), 70_000 * "x"]
    async with library.serving(echo) as (_, uri), library.connect(uri) as client:
        for message in sent:
            await client.send(message)
            seen.append(await client.recv())
    return seen


@scenario
async def text_and_decode(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        await client.send(b"abc", text=True)
        await client.send("abc", text=False)
        await client.send("abc")
        await client.send(b"abc")
        seen = [await server.recv(), await server.recv()]
        return [*seen, await server.recv(decode=False), await server.recv(decode=True)]


@scenario
async def fragments(library: Library) -> list[object]:
    async def later() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    seen: list[object] = []
    async with library.pair() as (client, server):
        for message in (["a", "b", "c"], (b"a", b"b"), iter(["x"]), later(), [""]):
            await client.send(message)
            seen.append(await server.recv())
        await client.send([])
        await client.send(["a", "é", "c"])
        seen.append([fragment async for fragment in server.recv_streaming()])
        await client.send(["a", "é"])
        seen.append([fragment async for fragment in server.recv_streaming(decode=False)])
        await client.send("whole")
        seen.append([fragment async for fragment in server.recv_streaming()])
    return seen


@scenario
async def wrong_messages(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        seen = [await outcome(client.send(wrong)) for wrong in (None, 1, {"a": 1}, object())]
        await client.send("still open")
        return [*seen, await server.recv()]


@scenario
async def fragments_of_two_types(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        seen = [await outcome(client.send(["a", b"b"]))]
        return [*seen, await received_close(library, server), client.close_code]


@scenario
async def fragments_that_fail(library: Library) -> list[object]:
    def failing() -> Any:
        yield "a"
        raise LookupError("no more")

    async with library.pair() as (client, server):
        seen = [await outcome(client.send(failing()), text=True)]
        return [*seen, await received_close(library, server), client.close_code]


@scenario
async def a_cancelled_recv_loses_nothing(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        receiving = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        receiving.cancel()
        await server.send("kept")
        return [await outcome(client.recv())]


@scenario
async def two_receivers(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        receiving = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        seen = [await outcome(client.recv())]
        with contextlib.suppress(library.exceptions.ConcurrencyError):
            async for _ in client.recv_streaming():
                seen.append("streamed")
        await server.send("for the first")
        return [*seen, await receiving]


@scenario
async def too_big(library: Library) -> list[object]:
    async with library.pair(max_size=10) as (client, server):
        await server.send(10 * "x")
        await server.send(11 * "x")
        seen: list[object] = [await client.recv(), await outcome(client.recv())]
        return [*seen, client.close_code, await outcome(server.recv()), server.close_code]


# The end


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, ""),
        (1000, "bye"),
        (1001, "away"),
        (1002, ""),
        (1011, "oops"),
        (3000, ""),
        (4999, "é"),
    ],
)
@pytest.mark.parametrize("side", ["client", "server"])
async def test_the_end_looks_the_same(side: str, code: int, reason: str) -> None:
    seen: list[list[object]] = []
    for library in LIBRARIES:
        async with library.pair() as (client, server):
            closing, other = (client, server) if side == "client" else (server, client)
            await closing.close(code, reason)
            seen.append([*await ended(closing), *await ended(other)])
    assert seen[1] == seen[0]
    assert code in seen[0]


@scenario
async def wrong_closes(library: Library) -> list[object]:
    seen: list[object] = []
    for code, reason in (
        (999, ""),
        (1005, ""),
        (1006, ""),
        (1015, ""),
        (5000, ""),
        (1000, 124 * "x"),
    ):
        async with library.pair() as (client, _):
            seen += [await outcome(client.close(code, reason))]
    return seen


@scenario
async def a_broken_connection(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        server.transport.abort()
        seen = await ended(client)
        try:
            await client.recv()
        except library.exceptions.ConnectionClosed as exc:
            seen += [exc.rcvd, exc.sent, exc.rcvd_then_sent]
        return seen


@scenario
async def attributes_of_the_exception(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        await server.close(4001, "reason")
        try:
            await client.recv()
        except library.exceptions.ConnectionClosedError as exc:
            received = exc.rcvd
            return [received.code, received.reason, exc.sent.code, exc.rcvd_then_sent, str(exc)]
    return []


@scenario
async def iteration_ends(library: Library) -> list[object]:
    seen: list[object] = []
    for code in (1000, 1001, 1011, 4000):
        async with library.pair() as (client, server):
            await server.send("one")
            await server.send("two")
            await server.close(code)

            async def iterate(connection: Any) -> str:
                async for message in connection:
                    seen.append(message)
                return "ended"

            seen.append(await outcome(iterate(client), text=True))
    return seen


@scenario
async def what_came_before_the_end_is_received(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        await server.send("before")
        closing = asyncio.create_task(server.close())
        await client.wait_closed()
        await closing
        return [client.state.name, await client.recv(), await outcome(client.recv(), text=True)]


@scenario
async def a_pending_recv_ends(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        receiving = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        await server.close()
        return [await outcome(receiving, text=True)]


@scenario
async def closing_twice_is_closing_once(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        await asyncio.gather(client.close(4000, "first"), client.close(4001, "second"))
        return [*await ended(client), *await ended(server)]


@scenario
async def leaving_the_context_closes(library: Library) -> list[object]:
    seen: list[object] = []
    for error in (None, LookupError("x")):
        with contextlib.suppress(LookupError):
            async with library.pair() as (client, server):
                async with client:
                    if error:
                        raise error
                seen += [client.close_code, server.close_code]
        seen += [client.close_code, server.close_code]
    return seen


@scenario
async def handlers_that_fail_or_return(library: Library) -> list[object]:
    async def handler(connection: Any) -> None:
        if await connection.recv() == "fail":
            raise LookupError("it does not matter")

    seen: list[object] = []
    async with library.serving(handler) as (_, uri):
        for message in ("fail", "return"):
            async with library.connect(uri) as client:
                await client.send(message)
                seen += [await outcome(client.recv(), text=True), client.close_code]
    return seen


# Pings


@scenario
async def pings(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        seen: list[object] = [client.latency]
        for payload in (None, "", "é", b"bytes", bytearray(b"x"), memoryview(b"y"), 125 * "z"):
            seen.append(type(await (await client.ping(payload))).__name__)
        seen += [await outcome(client.ping(126 * "z")), await outcome(client.ping(1))]
        seen += [client.latency > 0, await outcome(client.pong()), await outcome(client.pong("x"))]
        seen += [await outcome(client.pong(126 * "x")), await outcome(client.pong(None))]
        await server.send("still open")
        return [*seen, await client.recv()]


@scenario
async def the_same_ping_twice(library: Library) -> list[object]:
    async with library.pair() as (client, _):
        first = await client.ping("same")
        seen = [await outcome(client.ping("same"))]
        await first
        return [*seen, type(await (await client.ping("same"))).__name__]


@scenario
async def a_later_pong_acknowledges_earlier_pings(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        server.transport.pause_reading()
        first, second = await client.ping("first"), await client.ping("second")
        await server.pong("second")
        await second
        seen = [first.done(), second.done()]
        server.transport.resume_reading()
        return seen


@scenario
async def a_ping_that_is_never_answered(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        server.transport.pause_reading()
        waiter = await client.ping()
        server.transport.abort()
        return [await outcome(waiter, text=True)]


# The opening handshake


@scenario
async def what_is_known_afterwards(library: Library) -> list[object]:
    async with library.pair() as (client, server):
        seen: list[object] = []
        for connection in (client, server):
            seen += [
                connection.request.path,
                connection.response.status_code,
                connection.response.reason_phrase,
                connection.subprotocol,
                connection.state.name,
                connection.close_code,
                connection.close_reason,
                type(connection.id).__name__,
                connection.local_address[0],
                connection.remote_address[0],
                [extension.name for extension in connection.protocol.extensions],
                sorted(connection.request.headers),
                sorted(connection.response.headers),
                connection.request.headers["Sec-WebSocket-Extensions"],
                connection.response.headers["Sec-WebSocket-Extensions"],
            ]
        return [*seen, client.local_address == server.remote_address]


@scenario
async def subprotocols(library: Library) -> list[object]:
    seen: list[object] = []
    for offered in (None, ["a"], ["b", "a"], ["c"]):
        for supported in (None, ["a"], ["a", "b"]):
            async with library.serving(echo, subprotocols=supported) as (_, uri):

                async def agreed(uri: str, offered: Any) -> object:
                    async with library.connect(uri, subprotocols=offered) as client:
                        return client.subprotocol

                seen.append((offered, supported, await outcome(agreed(uri, offered), text=True)))
    return seen


@scenario
async def an_own_choice_of_subprotocol(library: Library) -> list[object]:
    seen: list[object] = []

    def choose(connection: Any, offered: Any) -> Any:
        seen.append((type(connection).__name__, list(offered)))
        if "refuse" in offered:
            raise library.exceptions.NegotiationError("not this one")
        return offered[-1] if offered else None

    options = {"subprotocols": ["x"], "select_subprotocol": choose}
    async with library.serving(echo, **options) as (_, uri):
        for offered in (["a", "b"], ["refuse"], None):
            try:
                async with library.connect(uri, subprotocols=offered) as client:
                    seen.append(client.subprotocol)
            except library.exceptions.InvalidStatus as exc:
                seen.append(str(exc))
    return seen


@scenario
async def process_request(library: Library) -> list[object]:
    seen: list[object] = []

    def reply(connection: Any, request: Any) -> Any:
        seen.append((type(connection).__name__, type(request).__name__, request.path))
        return connection.respond(200, "OK\n") if request.path == "/health" else None

    async def reply_later(connection: Any, request: Any) -> Any:
        return reply(connection, request)

    def fail(connection: Any, request: Any) -> Any:
        raise LookupError("not for users")

    for process in (reply, reply_later, fail):
        async with library.serving(echo, process_request=process) as (_, uri):
            for path in ("/path?query", "/health"):
                try:
                    async with library.connect(uri.replace("/path?query", path)) as client:
                        seen.append(client.state.name)
                except library.exceptions.InvalidStatus as exc:
                    response = exc.response
                    seen += [response.status_code, sorted(response.headers)]
                    if response.status_code != 500:  # whose words are each library's own
                        seen.append(response.body)
    return seen


@scenario
async def process_response(library: Library) -> list[object]:
    seen: list[object] = []

    def change(connection: Any, request: Any, response: Any) -> Any:
        seen.append((request.path, response.status_code))
        response.headers["X-Changed"] = "yes"

    async def replace(connection: Any, request: Any, response: Any) -> Any:
        return connection.respond(503, "later")

    for process in (change, replace):
        async with library.serving(echo, process_response=process) as (_, uri):
            try:
                async with library.connect(uri) as client:
                    seen.append(client.response.headers["X-Changed"])
            except library.exceptions.InvalidStatus as exc:
                seen += [exc.response.status_code, exc.response.body]
    return seen


@scenario
async def origins(library: Library) -> list[object]:
    import re

    seen: list[object] = []
    allowed = ["https://a.example", re.compile(r"https://\w+\.b\.example"), None]
    async with library.serving(echo, origins=allowed) as (_, uri):
        for origin in (None, "https://a.example", "https://x.b.example", "https://c.example"):
            try:
                async with library.connect(uri, origin=origin) as client:
                    seen.append(client.state.name)
            except library.exceptions.InvalidStatus as exc:
                seen += [exc.response.status_code, str(exc)]
    return seen


@scenario
async def passwords(library: Library) -> list[object]:
    seen: list[object] = []
    names: list[object] = []

    async def handler(connection: Any) -> None:
        names.append(connection.username)

    check = library.server.basic_auth(realm="here", credentials=("me", "secret"))
    async with library.serving(handler, process_request=check) as (_, uri):
        for user in ("", "me:secret@", "me:wrong@", "you:secret@"):
            try:
                async with library.connect(uri.replace("//", f"//{user}")) as client:
                    await client.wait_closed()
                    seen.append(client.close_code)
            except library.exceptions.InvalidStatus as exc:
                response = exc.response
                seen += [response.status_code, response.headers["WWW-Authenticate"], response.body]
    return [*seen, names]


@scenario
async def headers_of_both_sides(library: Library) -> list[object]:
    options = {"server_header": "Server of mine"}
    async with (
        library.serving(echo, **options) as (_, uri),
        library.connect(
            uri, user_agent_header="Client of mine", additional_headers={"X-One": "1"}
        ) as client,
    ):
        return [
            client.request.headers["User-Agent"],
            client.request.headers["X-One"],
            client.response.headers["Server"],
        ]


@scenario
async def wrong_arguments(library: Library) -> list[object]:
    import ssl

    context = ssl.create_default_context()
    seen: list[object] = []
    for uri, options in (
        ("http://localhost", {}),
        ("ws://localhost/#fragment", {}),
        ("localhost", {}),
        ("ws://localhost", {"ssl": context}),
        ("wss://localhost", {"ssl": None}),
        ("ws://localhost", {"compression": "snappy"}),
        ("ws://localhost", {"subprotocols": "chat"}),
        ("ws://localhost", {"subprotocols": [1]}),
        ("ws://localhost", {"subprotocols": ["not a token"]}),
    ):

        async def connect(uri: str, options: Any) -> str:
            async with library.connect(uri, **options):
                return "connected"

        seen.append(await outcome(connect(uri, options)))
    for options in ({"compression": "snappy"}, {"subprotocols": "chat"}):

        async def serve(options: Any) -> str:
            async with library.serving(echo, **options):
                return "serving"

        seen.append(await outcome(serve(options)))
    return seen


@scenario
async def an_opening_handshake_that_takes_too_long(library: Library) -> list[object]:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with bytes_server(silence) as uri:
        return [await outcome(library.connect(uri, open_timeout=0.05), text=True)]


@scenario
async def servers_that_speak_no_websocket(library: Library) -> list[object]:
    heads = [
        b"",
        b"SSH-2.0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 404 Not Found\r\n\r\ngone",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAA\r\n\r\n",
    ]
    seen: list[object] = []
    for head in heads:

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes = head
        ) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head)

        async with bytes_server(talk) as uri:
            seen.append(await outcome(library.connect(uri)))
    return seen


@scenario
async def redirects(library: Library) -> list[object]:
    def redirect(connection: Any, request: Any) -> Any:
        if request.path == "/path?query":
            response = connection.respond(302, "")
            response.headers["Location"] = "/elsewhere"
            return response
        return connection.respond(404, "") if request.path == "/nowhere" else None

    async with (
        library.serving(echo, process_request=redirect) as (_, uri),
        library.connect(uri) as client,
    ):
        return [client.request.path, client.state.name]


@scenario
async def connecting_again_and_again(library: Library) -> list[object]:
    seen: list[object] = []
    refusals = 2

    def refuse(connection: Any, request: Any) -> Any:
        nonlocal refusals
        refusals -= 1
        seen.append("request")
        return connection.respond(503, "") if refusals >= 0 else None

    def delays() -> Any:
        seen.append("delays begin")
        while True:
            yield 0

    async with library.serving(echo, process_request=refuse) as (_, uri):
        rounds = 0
        async for client in library.connect(uri, reconnect_delays=delays):
            await client.send("x")
            seen.append(await client.recv())
            rounds += 1
            if rounds == 2:
                break
            with contextlib.suppress(library.exceptions.ConnectionClosed):
                await client.close()
                await client.recv()
        await client.close()
    return seen


@scenario
async def fatal_errors_end_connecting_again(library: Library) -> list[object]:
    def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(403, "")

    async def iterate(uri: str) -> None:
        async for _ in library.connect(uri):
            pass

    async with library.serving(echo, process_request=refuse) as (_, uri):
        return [await outcome(iterate(uri), text=True)]


# Servers


@scenario
async def broadcasts(library: Library) -> list[object]:
    connections: list[Any] = []

    async def handler(connection: Any) -> None:
        connections.append(connection)
        await connection.send("ready")
        await connection.wait_closed()

    broadcast = library.server.broadcast
    async with (
        library.serving(handler) as (_, uri),
        library.connect(uri) as one,
        library.connect(uri) as two,
    ):
        seen: list[object] = [await one.recv(), await two.recv()]
        broadcast(connections, "to all")
        broadcast(connections, b"bytes")
        broadcast(connections, b"text", text=True)
        broadcast(connections, "binary", text=False)
        for client in (one, two):
            seen += [await client.recv() for _ in range(4)]
        for wrong in (1, ["fragments"], None):
            try:
                broadcast(connections, wrong)
            except TypeError:
                seen.append("TypeError")
        await one.close()
        broadcast(connections, "to who is left")
        seen.append(await two.recv())
        broadcast([], "to nobody", raise_exceptions=True)
    return seen


@scenario
async def closing_a_server(library: Library) -> list[object]:
    seen: list[object] = []
    for options in ({}, {"code": 1012, "reason": "restart"}):
        async with library.serving(echo) as (server, uri):
            client = await library.connect(uri)
            seen += [len(server.connections), server.is_serving(), len(server.sockets)]
            server.close(**options)
            await server.wait_closed()
            seen += [server.is_serving(), len(server.sockets), len(server.connections)]
            seen += [await outcome(client.recv(), text=True)]
    return seen


@scenario
async def closing_a_server_but_not_its_connections(library: Library) -> list[object]:
    async with library.serving(echo) as (server, uri):
        client = await library.connect(uri)
        server.close(close_connections=False)
        await client.send("still there")
        seen = [await client.recv(), server.is_serving()]
        await client.close()
        await server.wait_closed()
        return seen


@scenario
async def routes(library: Library) -> list[object]:
    routing = pytest.importorskip("werkzeug.routing")
    router = library.module("asyncio.router")

    async def room(connection: Any, name: str) -> None:
        await connection.send(f"in {name}")

    rules = routing.Map([routing.Rule("/room/<name>", endpoint=room)])
    seen: list[object] = []
    async with router.route(rules, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for path in ("/room/one", "/nothing"):
            try:
                async with library.connect(uri + path) as client:
                    seen.append(await client.recv())
            except library.exceptions.InvalidStatus as exc:
                seen += [exc.response.status_code, exc.response.body]
    return seen


@scenario
async def unix_sockets(library: Library) -> list[object]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        async with (
            library.server.unix_serve(echo, path),
            library.client.unix_connect(path) as client,
        ):
            await client.send("through a file")
            return [await client.recv(), client.request.headers["Host"]]


# The sans-I/O protocol


@scenario
async def protocols_without_io(library: Library) -> list[object]:
    client = library.module("client").ClientProtocol(
        library.module("uri").parse_uri("ws://localhost/path")
    )
    server = library.module("server").ServerProtocol()
    seen: list[object] = []

    def transfer(source: Any, target: Any) -> None:
        for data in source.data_to_send():
            if data:
                target.receive_data(data)
            else:
                target.receive_eof()
        for event in target.events_received():
            kind = type(event).__name__
            if kind == "Frame":
                seen.append((kind, int(event.opcode), bytes(event.data), event.fin))
            else:
                seen.append(kind)
        seen.append((source.state.name, target.state.name, target.close_expected()))

    request = client.connect()
    client.send_request(request)
    transfer(client, server)
    response = server.accept(request)
    server.send_response(response)
    transfer(server, client)
    client.send_text(b"hello")
    client.send_binary(b"a", fin=False)
    client.send_ping(b"between")
    client.send_continuation(b"b", fin=True)
    transfer(client, server)
    transfer(server, client)
    server.send_close(4001, "enough")
    transfer(server, client)
    transfer(client, server)
    server.receive_eof()
    client.receive_eof()
    for protocol in (client, server):
        seen += [protocol.state.name, protocol.close_code, protocol.close_reason]
        seen += [str(protocol.close_exc), protocol.handshake_exc]
    return seen


@scenario
async def wrong_calls_without_io(library: Library) -> list[object]:
    seen: list[object] = []

    def attempt(function: Any, *arguments: Any) -> None:
        try:
            seen.append(function(*arguments))
        except Exception as exc:
            seen.append(type(exc).__name__)

    protocol = library.module("protocol")
    for side in (protocol.SERVER, protocol.CLIENT):
        both = protocol.Protocol(side)
        attempt(both.send_continuation, b"", True)
        attempt(both.send_text, b"a", False)
        attempt(both.send_text, b"b")
        attempt(both.send_ping, 126 * b"x")
        both = protocol.Protocol(side)
        attempt(both.send_close, 1005)
        attempt(both.send_close, 1000, 124 * "x")
        both = protocol.Protocol(side)
        attempt(both.send_close, 1000)
        attempt(both.send_text, b"late")
        attempt(both.receive_data, b"\xf0\x00")
        seen += [both.state.name, str(both.parser_exc is None)]
    return seen


@scenario
async def frames_for_people(library: Library) -> list[object]:
    frames = library.frames
    opcode = frames.Opcode
    return [
        str(frame)
        for frame in (
            frames.Frame(opcode.TEXT, b"hello"),
            frames.Frame(opcode.TEXT, "é".encode(), fin=False),
            frames.Frame(opcode.TEXT, 200 * b"x"),
            frames.Frame(opcode.BINARY, b"\x00\xff"),
            frames.Frame(opcode.BINARY, bytes(100)),
            frames.Frame(opcode.CONT, b"x"),
            frames.Frame(opcode.PING, b""),
            frames.Frame(opcode.PONG, b"x"),
            frames.Frame(opcode.CLOSE, b"\x03\xe8bye"),
            frames.Close(1000, ""),
            frames.Close(1006, ""),
            frames.Close(3000, "x"),
            frames.Close(4000, "x"),
            frames.Close(2000, "x"),
        )
    ]


@scenario
async def headers_as_a_mapping(library: Library) -> list[object]:
    module = library.module("datastructures")
    headers = module.Headers({"A": "1"}, b="2")
    headers["a"] = "3"
    seen: list[object] = [headers.get_all("A"), headers["b"], headers.get("c"), len(headers)]
    seen += [list(headers), list(headers.raw_items()), "B" in headers, str(headers)]
    seen += [repr(headers), headers == module.Headers([("b", "2"), ("A", "1"), ("a", "3")])]
    try:
        headers["A"]
    except module.MultipleValuesError as exc:
        seen.append(str(exc))
    for wrong in ("a\r\nb", "a\0"):
        try:
            headers["X"] = wrong
        except library.exceptions.InvalidHeaderValue:
            seen.append("InvalidHeaderValue")
    del headers["A"]
    copy = headers.copy()
    headers.update({"Z": "26"})
    headers.clear()
    return [*seen, list(copy.raw_items()), len(headers)]


# Extensions of the user's


class Marking:
    """An extension, and the factory for both roles: marks frames with RSV2, or cannot read them."""

    name = "x-marking"

    def __init__(self, breaks_at: int | None = None) -> None:
        self.breaks_at = breaks_at

    def get_request_params(self) -> list[Any]:
        return []

    def process_response_params(self, params: Any, accepted: Any) -> Any:
        return self

    def process_request_params(self, params: Any, accepted: Any) -> Any:
        return [], self

    def decode(self, frame: Any, *, max_size: int | None = None) -> Any:
        if frame.opcode == self.breaks_at:
            raise LookupError("a mistake of the extension's")
        assert frame.rsv2
        return dataclasses.replace(frame, rsv2=False)

    def encode(self, frame: Any) -> Any:
        return dataclasses.replace(frame, rsv2=True)


@scenario
async def an_extension_that_inherits_from_nothing(library: Library) -> list[object]:
    options: dict[str, Any] = {"extensions": [Marking()], "compression": None}
    async with (
        library.serving(echo, **options) as (_, uri),
        library.connect(uri, **options) as client,
    ):
        await client.send("marked")
        await client.send(["frag", "ments"])
        await (await client.ping())
        return [client.response.headers["Sec-WebSocket-Extensions"]] + [
            await client.recv() for _ in range(2)
        ]


@scenario
async def an_extension_that_fails(library: Library) -> list[object]:
    seen: list[object] = []

    async def talk(connection: Any) -> None:
        await connection.ping()
        await connection.send("first")
        await connection.send("second")
        await connection.wait_closed()
        seen.append(connection.close_code)

    for opcode in library.frames.Opcode.TEXT, library.frames.Opcode.PING:
        server: dict[str, Any] = {"extensions": [Marking()], "compression": None}
        client = {"extensions": [Marking(opcode)], "compression": None}
        async with library.serving(talk, **server) as (_, uri):
            connection = await library.connect(uri, **client)
            for _ in range(2):
                with pytest.raises(library.exceptions.ConnectionClosedError) as raised:
                    await connection.recv()
                seen.append([str(raised.value), repr(raised.value.__cause__)])
        seen.sort(key=str)  # either end may be the first to see it
    return seen


# Logs


@scenario
async def logs_of_a_server(library: Library) -> list[object]:
    seen: list[object] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.INFO or record.getMessage().startswith("= "):
                seen.append((record.levelname, record.getMessage().partition("127.0.0.1:")[0]))

    async def talk(connection: Any) -> None:
        if connection.request.path == "/fails":
            raise LookupError("in the handler")
        await connection.wait_closed()

    def health(connection: Any, request: Any) -> Any:
        return connection.respond(200, "OK\n") if request.path == "/health" else None

    logger = logging.Logger("mine", logging.DEBUG)
    logger.addHandler(Keeper())
    async with library.serving(talk, logger=logger, process_request=health) as (_, uri):
        for path in ("", "health", "fails"):
            with contextlib.suppress(library.exceptions.InvalidStatus):
                async with library.connect(uri.replace("path?query", path)) as client:
                    if path == "fails":
                        await client.wait_closed()
            while not seen or seen[-1] != ("INFO", "connection closed"):
                await asyncio.sleep(0)
            seen.append(path)
    # When it is told that a handler failed differs: before the closing handshake, or after it.
    seen.remove(("ERROR", "connection handler failed"))
    return seen


def test_submodules_are_there_once_the_library_was_used() -> None:
    code = (
        "import {0}; {0}.connect; "
        "print({0}.frames.CloseCode(1000), {0}.exceptions.ConnectionClosed.__name__, "
        "{0}.datastructures.Headers(), {0}.http11.Request.__name__, {0}.protocol.State(1), "
        "{0}.typing.Origin.__name__, {0}.headers.build_host('a', 1, False), "
        "{0}.extensions.Extension.__name__, {0}.uri.parse_uri('ws://a').port)"
    )
    reference, ours = [
        subprocess.run(
            [sys.executable, "-c", code.format(library.name)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for library in LIBRARIES
    ]
    assert ours == reference
