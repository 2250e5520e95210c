"""HTTP Basic authentication."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sync.pair import port_of, serving

from wirebird.exceptions import InvalidStatus
from wirebird.sync.client import connect
from wirebird.sync.server import ServerConnection, basic_auth


def say_name(ws: ServerConnection) -> None:
    ws.send(ws.username)


@pytest.mark.parametrize(
    "how",
    [
        {"credentials": ("ann", "secret")},
        {"credentials": [("bob", "x"), ("ann", "secret")]},
        {"check_credentials": lambda name, password: (name, password) == ("ann", "secret")},
    ],
)
def test_who_may_come(how: Any) -> None:
    with serving(say_name, process_request=basic_auth("place", **how)) as server:
        where = f"127.0.0.1:{port_of(server)}/"
        with connect(f"ws://ann:secret@{where}", proxy=None) as ws:
            assert ws.recv(timeout=10) == "ann"
        for user in ("", "ann:wrong@", "eve:secret@"):
            with pytest.raises(InvalidStatus, match="401") as caught:
                connect(f"ws://{user}{where}", proxy=None)
            challenge = caught.value.response.headers["WWW-Authenticate"]
            assert challenge == 'Basic realm="place", charset="UTF-8"'


def test_arguments_that_contradict_themselves() -> None:
    with pytest.raises(ValueError, match="either credentials or check_credentials"):
        basic_auth()
    with pytest.raises(TypeError, match="invalid credentials"):
        basic_auth(credentials="ann")  # type: ignore[arg-type]
