"""HTTP Basic authentication, but for asking the user."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from wirebird.core.fields import Headers
from wirebird.core.handshake.basic_auth import BasicAuth
from wirebird.core.handshake.server import ServerHandshake
from wirebird.core.http1 import Request, Response

respond = ServerHandshake().reject


def asking(*values: str) -> Request:
    return Request("/", Headers([("Authorization", value) for value in values]))


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "Missing credentials\n"),
        (["Bearer x"], "Unsupported credentials\n"),
        (["Basic ==="], "Unsupported credentials\n"),
        ([basic("no colon")], "Unsupported credentials\n"),
        ([basic("a:b"), basic("a:b")], "Unsupported credentials\n"),
    ],
)
def test_requests_that_bring_none(values: list[str], text: str) -> None:
    auth = BasicAuth("here", ("a", "b"), None)
    response = auth.read(asking(*values), respond)
    assert isinstance(response, Response)
    assert (response.status_code, bytes(response.body).decode()) == (401, text)
    assert response.headers["WWW-Authenticate"] == 'Basic realm="here", charset="UTF-8"'


def test_requests_that_bring_some() -> None:
    auth = BasicAuth("", [("ann", "secret"), ("bob", "")], None)
    assert auth.read(asking(basic("ann:se:cret")), respond) == ("ann", "se:cret")
    for name, password, is_right in [
        ("ann", "secret", True),
        ("ann", "Secret", False),
        ("ann", "", False),
        ("bob", "", True),
        ("eve", "", False),
        ("eve", "secret", False),
        ("ann", "é\udcff", False),
    ]:
        assert auth.check(name, password) is is_right
    assert auth.refuse(respond).status_code == 401


def test_the_users_own_check() -> None:
    def check(name: str, password: str) -> bool:
        return name == password

    assert BasicAuth("", None, check).check is check


@pytest.mark.parametrize(
    "credentials", [1, "ann", ["ann"], [("a", "b", "c")], [("a", 1)], ("a", 1)]
)
def test_what_are_no_credentials(credentials: Any) -> None:
    with pytest.raises(TypeError, match="invalid credentials"):
        BasicAuth("", credentials, None)


def test_one_way_of_checking_is_needed() -> None:
    for arguments in [(None, None), (("a", "b"), lambda *_: True)]:
        with pytest.raises(ValueError, match="either credentials or check_credentials"):
            BasicAuth("", *arguments)
