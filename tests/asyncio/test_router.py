"""Serving different handlers at different paths."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from werkzeug.routing import Map, Rule

from wirebird.asyncio.client import connect, unix_connect
from wirebird.asyncio.router import Router, route, unix_route
from wirebird.asyncio.server import Server, ServerConnection
from wirebird.exceptions import InvalidStatus
from wirebird.http11 import Request, Response


async def say_path(ws: ServerConnection, **kwargs: Any) -> None:
    assert ws.request is not None
    await ws.send(f"{ws.request.path} {kwargs}")


def url_map() -> Map:
    return Map(
        [
            Rule("/", endpoint=say_path),
            Rule("/channel/<int:number>", endpoint=say_path),
            Rule("/old", redirect_to="/"),
            Rule("/só", endpoint=say_path),
        ]
    )


def uri_of(server: Server, path: str) -> str:
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", "/ {}"),
        ("/?a=b", "/?a=b {}"),
        ("/channel/7?x", "/channel/7?x {'number': 7}"),
        ("/s%C3%B3", "/s%C3%B3 {}"),
        ("/old", "/ {}"),
    ],
)
async def test_each_path_has_its_handler(path: str, said: str) -> None:
    async with (
        route(url_map(), "127.0.0.1", 0) as server,
        connect(uri_of(server, path)) as ws,
    ):
        assert await ws.recv() == said


@pytest.mark.parametrize("path", ["/elsewhere", "/channel/x", "/channel/"])
async def test_other_paths_are_not_found(path: str) -> None:
    async with route(url_map(), "127.0.0.1", 0) as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(uri_of(server, path))
        assert caught.value.response.status_code == 404


async def test_redirects_name_the_server_as_clients_see_it() -> None:
    async with route(url_map(), "127.0.0.1", 0, server_name="chat.example", ssl=True) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET /old HTTP/1.1\r\nHost: inside\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 302 ")
    assert b"Location: wss://chat.example/\r\n" in head


async def test_a_request_without_host_is_refused_as_everywhere() -> None:
    async with route(url_map(), "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
        writer.close()


async def test_process_request_is_asked_first() -> None:
    def teapot(connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(418, "tea\n") if "tea" in request.path else None

    async def asynchronously(connection: ServerConnection, request: Request) -> Response | None:
        return teapot(connection, request)

    for hook in (teapot, asynchronously):
        async with route(url_map(), "127.0.0.1", 0, process_request=hook) as server:
            with pytest.raises(InvalidStatus) as caught:
                await connect(uri_of(server, "/tea"))
            assert caught.value.response.status_code == 418
            async with connect(uri_of(server, "/")) as ws:
                assert await ws.recv() == "/ {}"


async def test_a_router_of_ones_own() -> None:
    class Polite(Router):
        def not_found(self, connection: ServerConnection) -> Response:
            return connection.respond(404, "Sorry\n")

    async with route(url_map(), "127.0.0.1", 0, create_router=Polite) as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(uri_of(server, "/elsewhere"))
        assert caught.value.response.body == b"Sorry\n"


async def test_unix_sockets(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    async with unix_route(url_map(), path), unix_connect(path) as ws:
        assert await ws.recv() == "/ {}"


def test_without_werkzeug_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "werkzeug.routing", None)
    with pytest.raises(ImportError, match=r"pip install wirebird\[router\]"):
        route(Map([]))
