"""HTTP Basic authentication: who is let in, and what the others are told."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.attacks.raw import RawPeer, echo_server, port_of, request, uri_of

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import basic_auth
from wirebird.exceptions import InvalidStatus

GOOD = ("name", "pass:word")


def uri_for(server: Any, username: str, password: str) -> str:
    """The URI of a server with user info."""
    return uri_of(server).replace("ws://", f"ws://{username}:{password}@")


def check(username: str, password: str) -> bool:
    """Check credentials."""
    return (username, password) == GOOD


async def check_later(username: str, password: str) -> bool:
    """Check credentials, asynchronously."""
    return check(username, password)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"credentials": GOOD},
        {"credentials": [("other", "x"), GOOD]},
        lambda: {"credentials": iter([GOOD])},
        {"check_credentials": check},
        {"check_credentials": check_later},
    ],
)
async def test_the_right_ones_are_let_in_and_no_others(kwargs: Any) -> None:
    if callable(kwargs):  # an iterator can be used once
        kwargs = kwargs()
    async with echo_server(process_request=basic_auth("realm", **kwargs)) as server:
        async with connect(uri_for(server, "name", "pass:word"), proxy=None) as ws:
            await ws.send("hi")
            assert await ws.recv() == "hi"
            (connection,) = server.connections
            assert connection.username == "name"
        for username, password in (("name", "wrong"), ("nobody", "pass:word"), ("nobody", "")):
            with pytest.raises(InvalidStatus) as caught:
                await connect(uri_for(server, username, password), proxy=None)
            response = caught.value.response
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == 'Basic realm="realm", charset="UTF-8"'
            assert bytes(response.body) == b"Invalid credentials\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], "Missing credentials\n"),
        (["Authorization: Bearer abc"], "Unsupported credentials\n"),
        (["Authorization: Basic"], "Unsupported credentials\n"),
        (["Authorization: Basic !!!"], "Unsupported credentials\n"),
        (
            ["Authorization: Basic " + base64.b64encode(b"nocolon").decode()],
            "Unsupported credentials\n",
        ),
        (["Authorization: Basic eDp5", "Authorization: Basic eDp5"], "Unsupported credentials\n"),
        (["Authorization: Basic " + base64.b64encode(b"\xff:x").decode()], "Invalid credentials\n"),
    ],
)
async def test_others_are_told_what_is_missing(headers: list[str], body: str) -> None:
    async with (
        echo_server(process_request=basic_auth("realm", GOOD)) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        await peer.send(request(*headers))
        head = await peer.head()
        assert head.startswith("HTTP/1.1 401 Unauthorized\r\n")
        assert "\r\nWWW-Authenticate: Basic realm=" in head
        assert (await peer.rest()).decode() == body


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({}, ValueError),
        ({"credentials": GOOD, "check_credentials": check}, ValueError),
        ({"credentials": 42}, TypeError),
        ({"credentials": ("a", "b", "c")}, TypeError),
        ({"credentials": [("a", 1)]}, TypeError),
        ({"credentials": [("a",)]}, TypeError),
    ],
)
def test_arguments_that_are_wrong(kwargs: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        basic_auth("realm", **kwargs)
