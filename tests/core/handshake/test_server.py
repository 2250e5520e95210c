"""The server's half: requests that are refused, with their status, and those that are accepted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
import websockets.datastructures
import websockets.http11
import websockets.server
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.core.handshake.factories import SmallServer

from wirebird.core.fields import Headers
from wirebird.core.frames import RSV1, RSV2
from wirebird.core.handshake.server import ServerHandshake
from wirebird.core.http1 import Request, Response
from wirebird.core.types import Origin, Subprotocol
from wirebird.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderFormat,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidMethod,
    InvalidOrigin,
    InvalidProtocol,
    InvalidUpgrade,
    InvalidVersion,
    NegotiationError,
    RequestLineTooLong,
    UnsafeHeader,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request(
    *more: tuple[str, str], drop: str = "", method: str = "GET", protocol: str = "HTTP/1.1"
) -> Request:
    """Return a good request without some headers and with others."""
    headers = Headers({name: value for name, value in GOOD.items() if name != drop})
    for name, value in more:
        headers[name] = value
    return Request("/chat", headers, method, protocol)


def changed(name: str, *values: str) -> Request:
    """Return a good request with other values of one header."""
    return request(*((name, value) for value in values), drop=name)


def server(**options: Any) -> ServerHandshake:
    return ServerHandshake(now=lambda: 784111777.0, **options)


def refuse(
    handshake: ServerHandshake, bad: Request, error: type[Exception], status: int
) -> Response:
    """Demand that a request is refused: with which error, and which status."""
    response = handshake.accept(bad)
    exc = handshake.handshake_exc
    assert type(exc) is error
    assert bad._exception is exc
    assert handshake.accept_called
    assert response.status_code == status
    assert response.headers["Connection"] == "close"
    assert response.headers["Content-Length"] == str(len(response.body))
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.serialize().startswith(b"HTTP/1.1 %d " % status)
    return response


# Attacks, and mistakes.


@pytest.mark.parametrize(
    ("bad", "error", "status"),
    [
        (request(method="POST"), InvalidMethod, 405),
        (request(method="get"), InvalidMethod, 405),
        (request(method="CONNECT"), InvalidMethod, 405),
        (request(protocol="HTTP/1.0"), InvalidProtocol, 505),
        (request(protocol="HTTP/2.0"), InvalidProtocol, 505),
        (request(drop="Host"), InvalidHeader, 400),
        (request(("Host", "server.example.com")), InvalidHeader, 400),
        (request(drop="Connection"), InvalidUpgrade, 426),
        (changed("Connection", "keep-alive"), InvalidUpgrade, 426),
        (changed("Connection", "Upgrade;"), InvalidHeaderFormat, 400),
        (request(drop="Upgrade"), InvalidUpgrade, 426),
        (changed("Upgrade", "h2c"), InvalidUpgrade, 426),
        (changed("Upgrade", "websocket websocket"), InvalidHeaderFormat, 400),
        (request(drop="Sec-WebSocket-Key"), InvalidHeader, 400),
        (request(("Sec-WebSocket-Key", KEY)), InvalidHeader, 400),
        (request(drop="Sec-WebSocket-Version"), InvalidVersion, 426),
        (request(("Sec-WebSocket-Version", "13")), InvalidVersion, 426),
        (request(("Origin", "http://a"), ("Origin", "http://a")), InvalidHeader, 400),
        (request(("Sec-WebSocket-Protocol", "")), InvalidHeaderFormat, 400),
        (request(("Sec-WebSocket-Protocol", "a b")), InvalidHeaderFormat, 400),
    ],
)
def test_a_bad_request_is_refused(bad: Request, error: type[Exception], status: int) -> None:
    refuse(server(), bad, error, status)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":80",
        "a b",
        "a,b c",
        "a/b",
        "user@a",
        "a:x",
        "a:80:80",
        "[::1",
        "::1",
        "[::g]",
        "a\\b",
        "\xe9",
    ],
)
def test_a_host_that_is_none_is_refused(host: str) -> None:
    refuse(server(), changed("Host", host), InvalidHeader, 400)


@pytest.mark.parametrize(
    "host", ["a", "a:80", "a:", "127.0.0.1:8765", "[::1]", "[::1]:8765", "a_b"]
)
def test_a_host_is_accepted(host: str) -> None:
    assert server().accept(changed("Host", host)).status_code == 101


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        KEY[:-1],
        KEY + "=",
        KEY + KEY,
        KEY + " ",
        KEY[:-2],
        "=" * 24,
        "dGhlIHNhbXBsZSBub25j",  # 15 bytes
        "dGhlIHNhbXBsZSBub25jZTE=",  # 17 bytes
        "dGhlIHNhbXBs_SBub25jZQ==",
        "dGhlIHNhbXBs ZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25j\xe9Q==",
    ],
)
def test_a_key_that_is_not_sixteen_bytes_is_refused(key: str) -> None:
    refuse(server(), changed("Sec-WebSocket-Key", key), InvalidHeaderValue, 400)


@pytest.mark.parametrize(
    "version", ["", "8", "12", "14", "013", "13, 13", "13,8", "+13", "\xb9\xb3"]
)
def test_another_version_is_refused_with_ours(version: str) -> None:
    response = refuse(server(), changed("Sec-WebSocket-Version", version), InvalidVersion, 426)
    assert response.headers["Sec-WebSocket-Version"] == "13"
    assert response.headers["Upgrade"] == "websocket"


def test_a_refusal_says_what_would_do() -> None:
    response = refuse(server(), request(method="POST"), InvalidMethod, 405)
    assert response.headers["Allow"] == "GET"
    assert "Upgrade" not in response.headers
    response = refuse(server(), request(drop="Upgrade"), InvalidUpgrade, 426)
    assert response.headers["Upgrade"] == "websocket"
    assert "Sec-WebSocket-Version" not in response.headers
    assert b"missing Upgrade header" in response.body
    assert b"browser" in response.body


def test_a_refusal_is_text_whatever_came() -> None:
    bad = changed("Sec-WebSocket-Key", "<script>\xe9")
    response = refuse(server(), bad, InvalidHeaderValue, 400)
    assert "<script>é".encode() in response.body


def test_a_flood_of_offers_ends() -> None:
    flood = request(
        ("Sec-WebSocket-Extensions", ",".join(["x; a"] * 10_000)),
        ("Sec-WebSocket-Protocol", ",".join(["y"] * 30_000)),
    )
    handshake = server(extensions=[SmallServer("x")])
    response = handshake.accept(flood)
    assert response.status_code == 101
    assert "Sec-WebSocket-Extensions" not in response.headers
    refuse(server(subprotocols=[Subprotocol("z")]), flood, NegotiationError, 400)


# Origin.

POLICY: Sequence[Origin | re.Pattern[str] | None] = [
    Origin("http://a.example"),
    re.compile(r"https://([a-z]+\.)?b\.example"),
]


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "http://A.example",
        "https://a.example",
        "http://a.example:80",
        "http://a.example/",
        "http://a.example.evil",
        "https://b.example.evil",
        "xhttps://b.example",
        "http://b.example",
        "https://b.example\thttps://c.example",
        "http://a.example http://a.example",
    ],
)
def test_an_origin_that_is_not_allowed_is_refused(origin: str | None) -> None:
    bad = request() if origin is None else request(("Origin", origin))
    refuse(server(origins=POLICY), bad, InvalidOrigin, 403)
    refuse(server(origins=[]), bad, InvalidOrigin, 403)


@pytest.mark.parametrize(
    ("origins", "origin"),
    [
        (POLICY, "http://a.example"),
        (POLICY, "https://b.example"),
        (POLICY, "https://www.b.example"),
        ([*POLICY, None], None),
        ([None], None),
        (["null"], "null"),
        (None, None),
        (None, "http://anything"),
    ],
)
def test_an_origin_that_is_allowed(origins: Any, origin: str | None) -> None:
    good = request() if origin is None else request(("Origin", origin))
    handshake = server(origins=origins)
    assert handshake.accept(good).status_code == 101
    assert handshake.origin == origin


# Extensions.


def negotiate(offers: list[str], *factories: SmallServer) -> str | None:
    """Return what is answered to offers."""
    handshake = server(extensions=factories)
    good = request(*(("Sec-WebSocket-Extensions", offer) for offer in offers))
    response = handshake.accept(good)
    assert response.status_code == 101
    names = [extension.name for extension in handshake.extensions]
    header = response.headers.get("Sec-WebSocket-Extensions")
    assert names == ([] if header is None else re.findall(r"(?:^|, )([a-z-]+)", header))
    return header


A, B = ("a", None), ("b", "1")


@pytest.mark.parametrize(
    ("offers", "factories", "answer"),
    [
        ([], [SmallServer("x")], None),
        (["x"], [], None),
        (["y"], [SmallServer("x")], None),
        (["x"], [SmallServer("x")], "x"),
        (["x; a; b=1"], [SmallServer("x", A, B)], "x; a; b=1"),
        (["x; b=2"], [SmallServer("x", B)], None),
        (["X"], [SmallServer("x")], None),
        # The client's order, over several lines; the server's among those of one name.
        (["x, y"], [SmallServer("y"), SmallServer("x")], "x, y"),
        (["y", "x"], [SmallServer("x"), SmallServer("y")], "y, x"),
        (["x; a, x"], [SmallServer("x"), SmallServer("x", A)], "x; a"),
        (["x; b=1, x; a, x"], [SmallServer("x")], "x"),
        # No extension twice, no bit twice.
        (["x, x"], [SmallServer("x")], "x"),
        (["x", "x"], [SmallServer("x"), SmallServer("x")], "x"),
        (["x, y"], [SmallServer("x", rsv=RSV1), SmallServer("y", rsv=RSV1)], "x"),
        (["y, x"], [SmallServer("x", rsv=RSV1), SmallServer("y", rsv=RSV1)], "y"),
        (["x, y"], [SmallServer("x", rsv=RSV1), SmallServer("y", rsv=RSV2)], "x, y"),
        (
            ["x, y, y; a"],
            [SmallServer("x", rsv=RSV1), SmallServer("y", rsv=RSV1), SmallServer("y", A, rsv=0)],
            "x, y; a",
        ),
        (["x, y"], [SmallServer("x", rsv=RSV1), SmallServer("y")], "x, y"),
    ],
)
def test_which_extensions_are_chosen(
    offers: list[str], factories: list[SmallServer], answer: str | None
) -> None:
    assert negotiate(offers, *factories) == answer


def test_a_factory_is_told_what_was_accepted_before() -> None:
    x, y = SmallServer("x"), SmallServer("y")
    negotiate(["x, y"], x, y)
    assert x.accepted_before == [[]]
    assert [[extension.name for extension in before] for before in y.accepted_before] == [["x"]]


def test_offers_that_cannot_be_read_are_refused_where_there_is_a_choice() -> None:
    bad = request(("Sec-WebSocket-Extensions", "x;"))
    refuse(server(extensions=[SmallServer("x")]), bad, InvalidHeaderFormat, 400)
    assert server().accept(bad).status_code == 101


# Subprotocols.


@pytest.mark.parametrize(
    ("offers", "supported", "chosen"),
    [
        ([], None, None),
        ([], [], None),
        (["chat"], None, None),
        (["chat"], ["chat"], "chat"),
        (["chat, superchat"], ["superchat", "chat"], "superchat"),
        (["chat", "superchat"], ["other", "superchat"], "superchat"),
        (["chat, chat"], ["chat"], "chat"),
    ],
)
def test_which_subprotocol_is_chosen(
    offers: list[str], supported: list[Subprotocol] | None, chosen: str | None
) -> None:
    handshake = server(subprotocols=supported)
    response = handshake.accept(request(*(("Sec-WebSocket-Protocol", offer) for offer in offers)))
    assert response.status_code == 101
    assert handshake.subprotocol == chosen
    assert response.headers.get("Sec-WebSocket-Protocol") == chosen


@pytest.mark.parametrize("offers", [[], ["other"], ["CHAT"]])
def test_a_server_insists_on_its_subprotocols(offers: list[str]) -> None:
    bad = request(*(("Sec-WebSocket-Protocol", offer) for offer in offers))
    handshake = server(subprotocols=[Subprotocol("chat"), Subprotocol("superchat")])
    response = refuse(handshake, bad, NegotiationError, 400)
    assert b"subprotocol" in response.body


def test_a_chooser_of_the_users_chooses() -> None:
    calls = []

    def choose(handshake: ServerHandshake, offers: Sequence[Subprotocol]) -> Subprotocol | None:
        calls.append((handshake, list(offers)))
        return Subprotocol("other") if offers else None

    handshake = server(select_subprotocol=choose, subprotocols=[Subprotocol("chat")])
    response = handshake.accept(request(("Sec-WebSocket-Protocol", "chat, x")))
    assert response.headers["Sec-WebSocket-Protocol"] == handshake.subprotocol == "other"
    assert calls == [(handshake, ["chat", "x"])]
    handshake = server(select_subprotocol=choose, subprotocols=[Subprotocol("chat")])
    assert "Sec-WebSocket-Protocol" not in handshake.accept(request()).headers


def test_a_method_can_choose_too() -> None:
    class Own(ServerHandshake):
        def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
            return subprotocols[-1]

    handshake = Own()
    handshake.accept(request(("Sec-WebSocket-Protocol", "chat, x")))
    assert handshake.subprotocol == "x"


@pytest.mark.parametrize("exc", [KeyError("secret"), RuntimeError("secret"), AssertionError()])
def test_a_chooser_that_fails_is_not_the_clients_fault(exc: Exception) -> None:
    def choose(_: ServerHandshake, offers: Sequence[Subprotocol]) -> Subprotocol | None:
        raise exc

    handshake = server(select_subprotocol=choose)
    response = refuse(handshake, request(), type(exc), 500)
    assert handshake.handshake_exc is exc
    assert b"secret" not in response.body


def test_a_chooser_can_refuse() -> None:
    def choose(_: ServerHandshake, offers: Sequence[Subprotocol]) -> Subprotocol | None:
        raise NegotiationError("speak chat") from ValueError("or go")

    response = refuse(server(select_subprotocol=choose), request(), NegotiationError, 400)
    assert b"speak chat; or go" in response.body


@pytest.mark.parametrize("choice", ["", "a b", "chat\r\nX: y", "chat\0", "chat, x", "\xe9"])
def test_a_choice_that_cannot_be_written_is_not_the_clients_fault(choice: str) -> None:
    def choose(_: ServerHandshake, offers: Sequence[Subprotocol]) -> Subprotocol | None:
        return Subprotocol(choice)

    refuse(server(select_subprotocol=choose), request(), ValueError, 500)


def test_an_extension_that_answers_what_cannot_be_written_is_not_the_clients_fault() -> None:
    class Evil(SmallServer):
        def process_request_params(self, *args: Any) -> Any:
            _, extension = super().process_request_params(*args)
            return [("a", "1\r\nX: y")], extension

    bad = request(("Sec-WebSocket-Extensions", "x"))
    response = refuse(server(extensions=[Evil("x")]), bad, UnsafeHeader, 500)
    assert b"X: y" not in response.serialize()


# Responses.


def test_the_example_of_the_rfc() -> None:  # RFC 6455, 1.3
    handshake = server(subprotocols=[Subprotocol("chat")])
    good = request(("Origin", "http://example.com"), ("Sec-WebSocket-Protocol", "chat, superchat"))
    assert handshake.accept(good).serialize() == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Protocol: chat\r\n"
        b"\r\n"
    )
    assert handshake.handshake_exc is None
    assert good._exception is None
    assert handshake.origin == "http://example.com"
    assert handshake.accept_called


@pytest.mark.parametrize(
    "good",
    [
        changed("Connection", "keep-alive, UPGRADE"),
        changed("Connection", "keep-alive", "upgrade"),
        changed("Upgrade", "h2c", "WebSocket"),
        changed("Sec-WebSocket-Key", "A" * 21 + "B=="),  # bits that stand for nothing are set
    ],
)
def test_other_good_requests(good: Request) -> None:
    assert server().accept(good).status_code == 101


def test_reject_is_a_response_of_its_own() -> None:
    handshake = server()
    response = handshake.reject(404, "Nothing here: é\n")
    assert (
        response.serialize()
        == (
            b"HTTP/1.1 404 Not Found\r\n"
            b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            b"Connection: close\r\n"
            b"Content-Length: 17\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"\r\n"
        )
        + "Nothing here: é\n".encode()
    )
    assert not handshake.accept_called
    assert handshake.handshake_exc is None
    with pytest.raises(ValueError):
        handshake.reject(799, "")


@pytest.mark.parametrize(
    ("exc", "status"),
    [(InvalidMessage("x"), 400), (RequestLineTooLong("x"), 414), (InvalidHandshake("x"), 400)],
)
def test_what_was_no_request_is_refused_in_the_same_way(exc: Exception, status: int) -> None:
    response = server().refuse(exc)
    assert response.status_code == status
    assert b"could not be opened: x." in response.body


def test_it_is_a_mixin() -> None:
    class Base:
        def __init__(self, *, side: str) -> None:
            self.side = side

    class Both(ServerHandshake, Base):
        pass

    both = Both(side="server", origins=[None])
    assert (both.side, both.origins) == ("server", [None])
    response = both.accept(request())
    assert response.status_code == 101
    assert "Date" not in response.headers  # nobody told the time


# As the reference does it.

NAMES = ["Upgrade", "Connection", "Sec-WebSocket-Key", "Origin", "Sec-WebSocket-Protocol"]
VALUES = ["websocket", "Upgrade", "keep-alive, upgrade", KEY, "x", "", "http://a", "chat, x", "a b"]
CHANGES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=2)


@given(CHANGES, st.sampled_from(["", *NAMES]), st.sampled_from(["GET", "POST"]))
def test_each_status_is_that_of_websockets(
    changes: list[tuple[str, str]], drop: str, method: str
) -> None:
    ours = request(*changes, drop=drop, method=method)
    # Other protocols may stand beside the WebSocket here, and may not there.
    assume(len(ours.headers.get_all("Upgrade")) < 2)
    theirs = websockets.http11.Request(
        ours.path, websockets.datastructures.Headers(ours.headers.raw_items()), method
    )
    options: dict[str, Any] = {"subprotocols": ["chat"], "origins": ["http://a", None]}
    expected = websockets.server.ServerProtocol(**options).accept(theirs)
    handshake = server(**options)
    response = handshake.accept(ours)
    assert response.status_code == expected.status_code
    for name in "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Allow", "Upgrade":
        assert response.headers.get(name) == expected.headers.get(name)
