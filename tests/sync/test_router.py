"""Serving different handlers at different paths."""

from __future__ import annotations

import pathlib
import ssl
import sys
from typing import Any

import pytest
from tests.sync.pair import running, uri_of
from werkzeug.routing import Map, Rule

from wirebird.exceptions import InvalidStatus
from wirebird.http11 import Request, Response
from wirebird.sync.client import connect, unix_connect
from wirebird.sync.router import Router, route, unix_route
from wirebird.sync.server import ServerConnection


def say_path(ws: ServerConnection, **kwargs: Any) -> None:
    assert ws.request is not None
    ws.send(f"{ws.request.path} {kwargs}")


def url_map() -> Map:
    return Map(
        [
            Rule("/", endpoint=say_path),
            Rule("/channel/<int:number>", endpoint=say_path),
            Rule("/old", redirect_to="/"),
        ]
    )


@pytest.mark.parametrize(
    ("path", "said"),
    [("/", "/ {}"), ("/channel/7?x", "/channel/7?x {'number': 7}"), ("/old", "/ {}")],
)
def test_each_path_has_its_handler(path: str, said: str) -> None:
    with (
        running(route(url_map(), "127.0.0.1", 0)) as server,
        connect(uri_of(server, path), proxy=None) as ws,
    ):
        assert ws.recv(timeout=10) == said


def test_other_paths_are_not_found_and_a_hook_is_asked_first() -> None:
    def process_request(ws: ServerConnection, request: Request) -> Response | None:
        return ws.respond(403, "no") if request.path == "/channel/1" else None

    with running(route(url_map(), "127.0.0.1", 0, process_request=process_request)) as server:
        for path, status in {"/elsewhere": "404", "/channel/1": "403"}.items():
            with pytest.raises(InvalidStatus, match=status):
                connect(uri_of(server, path), proxy=None)


def test_a_router_of_the_users_with_tls(
    tmp_path: pathlib.Path, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    class Mine(Router):
        def not_found(self, connection: ServerConnection) -> Response:
            return connection.respond(410, self.url_scheme)

    path = tmp_path / "socket"
    with running(unix_route(url_map(), path, ssl=server_tls, create_router=Mine)):
        with pytest.raises(InvalidStatus, match="410") as caught:
            unix_connect(path, "wss://localhost/none", ssl=client_tls)
        assert caught.value.response.body == b"wss"


def test_without_werkzeug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "werkzeug.routing", None)
    with pytest.raises(ImportError, match=r"pip install wirebird\[router\]"):
        route(Map())
