"""A real browser's WebSocket against our server."""

from __future__ import annotations

from typing import Any

import pytest
from tests.chromium import Chromium
from tests.interop.peers import V1, V2, Ended, echo_server

from wirebird.asyncio.server import ServerConnection
from wirebird.http11 import Request, Response

# A socket whose events can be awaited one by one; made in the page by every script below.
PRELUDE = """
async ([uri, argument]) => {
    const open = (protocols = []) => {
        const socket = new WebSocket(uri, protocols);
        const events = [], waiting = [];
        const tell = (event) => waiting.length ? waiting.shift()(event) : events.push(event);
        for (const type of ["open", "message", "error", "close"]) {
            socket.addEventListener(type, tell);
        }
        socket.next = () => events.length
            ? Promise.resolve(events.shift())
            : new Promise((resolve) => waiting.push(resolve));
        return socket;
    };
    const told = (event) => ({
        type: event.type, code: event.code, reason: event.reason, wasClean: event.wasClean,
    });
"""


async def run(chromium: Chromium, uri: str, script: str, argument: object = None) -> Any:
    """Run the body of an async function in a page of its own; returns what it returns."""
    async with chromium.page() as page:
        return await page.evaluate(PRELUDE + script + "}", [uri, argument])


async def test_it_hears_its_messages_back(chromium: Chromium) -> None:
    async with echo_server() as server:
        seen = await run(
            chromium,
            server.uri,
            """
            const socket = open();
            await socket.next();
            socket.binaryType = "arraybuffer";
            const seen = { extensions: socket.extensions, texts: [], bytes: [] };
            for (const text of ["Hello", "", "Zürich – 東京 🐦", "é".repeat(500000)]) {
                socket.send(text);
                seen.texts.push((await socket.next()).data === text);
            }
            const bytes = new Uint8Array(1000000).map((_, index) => index);
            for (const data of [bytes.buffer, bytes, new Blob([bytes]), new ArrayBuffer(0)]) {
                socket.send(data);
                const echo = new Uint8Array((await socket.next()).data);
                const sent = new Uint8Array(await new Response(data).arrayBuffer());
                seen.bytes.push(echo.length === sent.length && echo.every((b, i) => b === sent[i]));
            }
            socket.binaryType = "blob";
            socket.send(bytes);
            const blob = (await socket.next()).data;
            seen.blob = [blob instanceof Blob, blob.size];
            for (const command of ["/fragments", "/ping"]) {
                socket.send(command);
                seen[command] = (await socket.next()).data;
            }
            return seen;
            """,
        )
    assert seen.pop("extensions").split(";")[0] == "permessage-deflate"
    assert seen == {
        "texts": [True] * 4,
        "bytes": [True] * 4,
        "blob": [True, 1_000_000],
        "/fragments": "in three",
        "/ping": "pong came",
    }


async def test_it_offers_no_compression_but_deflate(chromium: Chromium) -> None:
    """What the docs say of browsers; and a server that prefers others still serves it."""
    offers: list[str] = []

    def look(connection: ServerConnection, request: Request) -> None:
        offers.extend(request.headers.get_all("Sec-WebSocket-Extensions"))

    async with echo_server(
        compression=("zstd", "brotli", "deflate"), process_request=look
    ) as server:
        script = """
            const socket = open();
            await socket.next();
            socket.send("Hello");
            return [socket.extensions.split(";")[0], (await socket.next()).data];
        """
        seen = await run(chromium, server.uri, script)
    assert seen == ["permessage-deflate", "Hello"]
    assert offers == ["permessage-deflate; client_max_window_bits"]


async def test_it_does_without_compression(chromium: Chromium) -> None:
    async with echo_server(compression=None) as server:
        script = """
            const socket = open();
            await socket.next();
            socket.send("Hello");
            return [socket.extensions, (await socket.next()).data];
        """
        assert await run(chromium, server.uri, script) == ["", "Hello"]


async def test_it_gets_the_subprotocol_that_we_prefer(chromium: Chromium) -> None:
    async with echo_server(subprotocols=[V2, V1]) as server:
        script = """
            const socket = open(["v1", "v2"]);
            await socket.next();
            return socket.protocol;
        """
        assert await run(chromium, server.uri, script) == "v2"


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [([], 1005, ""), ([1000], 1000, ""), ([4000, "bye – é"], 4000, "bye – é")],
)
async def test_we_hear_its_close_code(
    chromium: Chromium, arguments: list[object], code: int, reason: str
) -> None:
    async with echo_server() as server:
        script = """
            const socket = open();
            await socket.next();
            socket.close(...argument);
            return told(await socket.next());
        """
        seen = await run(chromium, server.uri, script, arguments)
        ended = await server.ended.get()
    assert seen == {"type": "close", "code": code, "reason": reason, "wasClean": True}
    assert ended == Ended(code, reason, None, ["permessage-deflate"])


async def test_it_hears_our_close_code(chromium: Chromium) -> None:
    async with echo_server() as server:
        script = """
            const socket = open();
            await socket.next();
            socket.send("/close 4001 weil – é");
            return told(await socket.next());
        """
        seen = await run(chromium, server.uri, script)
    assert seen == {"type": "close", "code": 4001, "reason": "weil – é", "wasClean": True}


async def test_what_it_buffers_is_sent(chromium: Chromium) -> None:
    async with echo_server(compression=None) as server:
        script = """
            const socket = open();
            await socket.next();
            const sizes = [socket.bufferedAmount];
            socket.send("x".repeat(1000000));
            sizes.push(socket.bufferedAmount);
            await socket.next();
            return [...sizes, socket.bufferedAmount];
        """
        assert await run(chromium, server.uri, script) == [0, 1_000_000, 0]


async def test_a_refused_handshake_is_1006(chromium: Chromium) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(403, "not here\n")

    async with echo_server(process_request=refuse) as server:
        script = """
            const socket = open();
            return [told(await socket.next()).type, told(await socket.next())];
        """
        seen = await run(chromium, server.uri, script)
    assert seen == ["error", {"type": "close", "code": 1006, "reason": "", "wasClean": False}]


async def test_a_subprotocol_that_it_did_not_offer_is_refused_by_it(chromium: Chromium) -> None:
    def choose_wrongly(connection: ServerConnection, request: Request, response: Response) -> None:
        response.headers["Sec-WebSocket-Protocol"] = "other"

    async with echo_server(process_response=choose_wrongly) as server:
        script = """
            const socket = open(["v1"]);
            return [told(await socket.next()).type, told(await socket.next()).code];
        """
        assert await run(chromium, server.uri, script) == ["error", 1006]
