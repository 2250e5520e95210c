"""curl: an HTTP client that knows nothing of WebSocket, and can still ask for it."""

from __future__ import annotations

import asyncio

from tests.interop.peers import echo_server

from wirebird.asyncio.server import ServerConnection, serve
from wirebird.http11 import Request, Response


async def run(curl: str, uri: str, *headers: str) -> tuple[str, dict[str, str], bytes]:
    """Get a page; returns the status line, the header fields in lower case, and the body."""
    options = ["--silent", "--include", "--no-buffer", "--http1.1", "--max-time", "10"]
    for header in headers:
        options += ["--header", header]
    process = await asyncio.create_subprocess_exec(
        curl,
        *options,
        uri.replace("ws://", "http://"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    head, _, body = output.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return status, {name.lower(): value for name, value in fields.items()}, body


async def test_the_upgrade_with_the_key_of_the_rfc(curl: str) -> None:
    async def say_hello(connection: ServerConnection) -> None:
        await connection.send("Hello")

    # curl never answers our Close, so the server ends the connection after the time-out.
    async with serve(say_hello, "localhost", 0, close_timeout=0.2) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        status, fields, body = await run(
            curl,
            f"http://localhost:{port}/",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
    assert status == "HTTP/1.1 101 Switching Protocols"
    assert fields["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert fields["upgrade"].lower() == "websocket"
    assert fields["connection"].lower() == "upgrade"
    # A Text frame, then a Close with 1000. RFC 6455, 5.7 and 5.5.1.
    assert body == b"\x81\x05Hello" + b"\x88\x02\x03\xe8"


async def test_plain_http_is_told_to_upgrade(curl: str) -> None:
    async with echo_server() as server:
        status, fields, body = await run(curl, server.uri)
    assert status == "HTTP/1.1 426 Upgrade Required"
    assert fields["upgrade"].lower() == "websocket"
    assert int(fields["content-length"]) == len(body) > 0


async def test_another_version_is_told_ours(curl: str) -> None:
    async with echo_server() as server:
        status, fields, _ = await run(
            curl,
            server.uri,
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 8",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
    assert status == "HTTP/1.1 426 Upgrade Required"
    assert fields["sec-websocket-version"] == "13"


async def test_a_page_on_the_same_port(curl: str) -> None:
    def page(connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/health?full":
            return connection.respond(200, "fine – é\n")
        return None

    async with echo_server(process_request=page) as server:
        status, fields, body = await run(curl, server.uri + "health?full")
    assert status == "HTTP/1.1 200 OK"
    assert body.decode() == "fine – é\n"
    assert fields["content-length"] == str(len(body))
