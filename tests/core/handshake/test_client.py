"""The client's half: responses that fail the connection, requests that must not be written."""

from __future__ import annotations

import re
from typing import Any

import pytest
import websockets.client
import websockets.http11
import websockets.uri
from hypothesis import given
from hypothesis import strategies as st
from tests.core.handshake.factories import SmallClient, SmallServer

from wirebird.core.fields import Headers
from wirebird.core.frames import RSV1, RSV2
from wirebird.core.handshake.client import ClientHandshake
from wirebird.core.handshake.key import accept_key
from wirebird.core.handshake.server import ServerHandshake
from wirebird.core.http1 import Response
from wirebird.core.types import Origin, Subprotocol
from wirebird.core.uri import WebSocketURI, parse_uri
from wirebird.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderFormat,
    InvalidHeaderValue,
    InvalidStatus,
    InvalidUpgrade,
    NegotiationError,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
}
CHAT = Subprotocol("chat")


def client(uri: str = "ws://example.com/chat", **options: Any) -> ClientHandshake:
    handshake = ClientHandshake(parse_uri(uri), **options)
    handshake.key = KEY
    return handshake


def response(*more: tuple[str, str], drop: str = "", status: int = 101) -> Response:
    """Return a good response without some headers and with others."""
    headers = Headers({name: value for name, value in GOOD.items() if name != drop})
    for name, value in more:
        headers[name] = value
    return Response(status, "", headers)


def changed(name: str, *values: str) -> Response:
    """Return a good response with other values of one header."""
    return response(*((name, value) for value in values), drop=name)


# Attacks, and mistakes.


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        *((response(status=status), InvalidStatus) for status in (100, 103, 200, 301, 401, 503)),
        (response(drop="Connection"), InvalidUpgrade),
        (changed("Connection", "close"), InvalidUpgrade),
        (changed("Connection", "a b"), InvalidHeaderFormat),
        (response(drop="Upgrade"), InvalidUpgrade),
        (changed("Upgrade", "h2c"), InvalidUpgrade),
        (changed("Upgrade", "websocket, h2c"), InvalidUpgrade),
        (changed("Upgrade", "websocket", "websocket"), InvalidUpgrade),
        (changed("Upgrade", "websocket;"), InvalidHeaderFormat),
        (response(drop="Sec-WebSocket-Accept"), InvalidHeader),
        (response(("Sec-WebSocket-Accept", GOOD["Sec-WebSocket-Accept"])), InvalidHeader),
        (response(("Sec-WebSocket-Extensions", "x;")), InvalidHeaderFormat),
        (response(("Sec-WebSocket-Extensions", "")), InvalidHeaderFormat),
        (response(("Sec-WebSocket-Protocol", "")), InvalidHeaderFormat),
        (response(("Sec-WebSocket-Protocol", "a b")), InvalidHeaderFormat),
    ],
)
def test_a_bad_response_fails_the_connection(bad: Response, error: type[Exception]) -> None:
    handshake = client()
    with pytest.raises(error) as caught:
        handshake.process_response(bad)
    assert type(caught.value) is error
    assert isinstance(caught.value, InvalidHandshake)
    if isinstance(caught.value, InvalidStatus):
        assert caught.value.response is bad


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "x",
        KEY,
        GOOD["Sec-WebSocket-Accept"].lower(),
        GOOD["Sec-WebSocket-Accept"][:-1],
        GOOD["Sec-WebSocket-Accept"] + "=",
        accept_key(KEY + "="),
        accept_key(""),
        "\xe9",
    ],
)
def test_the_answer_to_another_key_fails_the_connection(accept: str) -> None:
    with pytest.raises(InvalidHeaderValue) as caught:
        client().process_response(changed("Sec-WebSocket-Accept", accept))
    assert caught.value.name == "Sec-WebSocket-Accept"


EVIL = "x\r\nX: y"


@pytest.mark.parametrize(
    ("uri", "options"),
    [
        (WebSocketURI(False, EVIL, 80, "", ""), {}),
        (WebSocketURI(False, "h", 80, "/" + EVIL, ""), {}),
        (WebSocketURI(False, "h", 80, "/", EVIL), {}),
        (WebSocketURI(False, "h", 80, "/a b", ""), {}),
        (WebSocketURI(False, "h", 80, "/\xe9", ""), {}),
        (WebSocketURI(False, "h", 80, "/", "", EVIL, "b"), {}),
        (WebSocketURI(False, "h", 80, "/", "", "a", EVIL), {}),
        (WebSocketURI(False, "h", 80, "/", ""), {"origin": Origin(EVIL)}),
        (WebSocketURI(False, "h", 80, "/", ""), {"subprotocols": [EVIL]}),
        (WebSocketURI(False, "h", 80, "/", ""), {"subprotocols": ["a b"]}),
        (WebSocketURI(False, "h", 80, "/", ""), {"subprotocols": ["a,b"]}),
        (WebSocketURI(False, "h", 80, "/", ""), {"extensions": [SmallClient(EVIL)]}),
        (WebSocketURI(False, "h", 80, "/", ""), {"extensions": [SmallClient("x", ("a", EVIL))]}),
        (WebSocketURI(False, "h", 80, "/", ""), {"extensions": [SmallClient("x", (EVIL, None))]}),
    ],
)
def test_nothing_can_be_smuggled_into_the_request(
    uri: WebSocketURI, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        ClientHandshake(uri, **options).connect().serialize()


def test_subprotocols_are_a_list() -> None:
    with pytest.raises(TypeError):
        client(subprotocols="chat").connect()


# Extensions.


@pytest.mark.parametrize(
    ("granted", "offers", "match"),
    [
        (["x"], None, "no extensions supported"),
        (["x"], [], "no extensions supported"),
        (["y"], [SmallClient("x")], "unsupported extension.*y"),
        (["X"], [SmallClient("x")], "unsupported extension"),
        (["x; a"], [SmallClient("x")], "unsupported extension.*x; a"),
        (["x; a=2"], [SmallClient("x", ("a", "1"))], "unsupported extension"),
        (["x, x"], [SmallClient("x")], "twice: x"),
        (["x", "x"], [SmallClient("x"), SmallClient("x")], "twice: x"),
        (["x, y"], [SmallClient("x", rsv=RSV1), SmallClient("y", rsv=RSV1)], "reserved bit"),
    ],
)
def test_an_extension_that_was_not_asked_for_fails_the_connection(
    granted: list[str], offers: list[SmallClient] | None, match: str
) -> None:
    bad = response(*(("Sec-WebSocket-Extensions", value) for value in granted))
    with pytest.raises(NegotiationError, match=match):
        client(extensions=offers).process_response(bad)


@pytest.mark.parametrize(
    ("granted", "offers", "names"),
    [
        ([], None, []),
        ([], [SmallClient("x")], []),
        (["x"], [SmallClient("x")], ["x"]),
        (["x; a; b=1"], [SmallClient("x", ("a", None), ("b", "1"))], ["x"]),
        (["x; a"], [SmallClient("x"), SmallClient("x", ("a", None))], ["x"]),
        (["y, x"], [SmallClient("x"), SmallClient("y")], ["y", "x"]),
        (["y", "x"], [SmallClient("x", rsv=RSV1), SmallClient("y", rsv=RSV2)], ["y", "x"]),
    ],
)
def test_extensions(granted: list[str], offers: list[SmallClient] | None, names: list[str]) -> None:
    handshake = client(extensions=offers)
    good = response(*(("Sec-WebSocket-Extensions", value) for value in granted))
    handshake.process_response(good)
    assert [extension.name for extension in handshake.extensions] == names


def test_a_factory_is_told_what_was_accepted_before() -> None:
    x, y = SmallClient("x"), SmallClient("y")
    client(extensions=[x, y]).process_response(response(("Sec-WebSocket-Extensions", "x, y")))
    assert x.accepted_before == [[]]
    assert [[extension.name for extension in before] for before in y.accepted_before] == [["x"]]


# Subprotocols.


@pytest.mark.parametrize(
    ("granted", "offers", "error"),
    [
        (["chat"], None, NegotiationError),
        (["chat"], [], NegotiationError),
        (["other"], [CHAT], NegotiationError),
        (["CHAT"], [CHAT], NegotiationError),
        (["chat, chat"], [CHAT], InvalidHeader),
        (["chat", "chat"], [CHAT], InvalidHeader),
        (["chat, other"], [CHAT], InvalidHeader),
    ],
)
def test_a_subprotocol_that_was_not_asked_for_fails_the_connection(
    granted: list[str], offers: list[Subprotocol] | None, error: type[Exception]
) -> None:
    bad = response(*(("Sec-WebSocket-Protocol", value) for value in granted))
    with pytest.raises(error) as caught:
        client(subprotocols=offers).process_response(bad)
    assert type(caught.value) is error


@pytest.mark.parametrize("granted", [None, "chat", "superchat"])
def test_subprotocol(granted: str | None) -> None:
    handshake = client(subprotocols=[CHAT, Subprotocol("superchat")])
    more = [] if granted is None else [("Sec-WebSocket-Protocol", granted)]
    handshake.process_response(response(*more))
    assert handshake.subprotocol == granted


# Requests.


def test_the_example_of_the_rfc() -> None:  # RFC 6455, 1.3
    handshake = client(
        "ws://server.example.com/chat",
        origin=Origin("http://example.com"),
        subprotocols=[CHAT, Subprotocol("superchat")],
    )
    assert handshake.connect().serialize() == (
        b"GET /chat HTTP/1.1\r\n"
        b"Host: server.example.com\r\n"
        b"Origin: http://example.com\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: chat, superchat\r\n"
        b"\r\n"
    )
    handshake.process_response(response(("Sec-WebSocket-Protocol", "chat")))
    assert handshake.subprotocol == "chat"


@pytest.mark.parametrize(
    "good",
    [
        response(),
        changed("Connection", "keep-alive, UPGRADE"),
        changed("Connection", "keep-alive", "upgrade"),
        changed("Upgrade", "WebSocket"),
    ],
)
def test_other_good_responses(good: Response) -> None:
    client().process_response(good)


def test_credentials_host_and_offers() -> None:
    handshake = client(
        "wss://Aladdin:open%20sesame@[::1]:8765?q",
        extensions=[SmallClient("x", ("a", None), ("b", "1")), SmallClient("y")],
    )
    request = handshake.connect()
    assert request.path == "/?q"
    assert request.headers["Host"] == "[::1]:8765"
    assert request.headers["Authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert request.headers["Sec-WebSocket-Extensions"] == "x; a; b=1, y"


@pytest.mark.parametrize("nothing", [None, []])
def test_where_there_is_nothing_to_offer_nothing_is_said(nothing: Any) -> None:
    headers = client(extensions=nothing, subprotocols=nothing).connect().headers
    for name in "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Origin", "Authorization":
        assert name not in headers


def test_each_client_has_a_key_of_its_own() -> None:
    uri = parse_uri("ws://example.com/")
    keys = {ClientHandshake(uri).key for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9+/]{22}==", key) for key in keys)


def test_it_is_a_mixin() -> None:
    class Base:
        def __init__(self, *, side: str) -> None:
            self.side = side

    class Both(ClientHandshake, Base):
        pass

    both = Both(parse_uri("ws://example.com/"), side="client", origin=Origin("http://a"))
    assert (both.side, both.origin) == ("client", "http://a")
    assert both.handshake_exc is None
    assert both.extensions == []
    assert both.subprotocol is None


# Both halves, and the reference.

OFFERS = st.lists(st.sampled_from(["x", "y", "z"]), unique=True)


@given(OFFERS, OFFERS, OFFERS, OFFERS)
def test_what_one_half_grants_the_other_takes(
    ask: list[str], can: list[str], speak: list[str], hear: list[str]
) -> None:
    asking = ClientHandshake(
        parse_uri("ws://example.com/"),
        extensions=[SmallClient(name) for name in ask],
        subprotocols=[Subprotocol(name) for name in speak],
    )
    granting = ServerHandshake(
        extensions=[SmallServer(name) for name in can],
        subprotocols=[Subprotocol(name) for name in hear],
    )
    answer = granting.accept(asking.connect())
    if hear and not set(hear) & set(speak):
        assert answer.status_code == 400
        return
    asking.process_response(answer)
    names = [extension.name for extension in asking.extensions]
    assert names == [extension.name for extension in granting.extensions]
    assert names == [name for name in ask if name in can]
    assert asking.subprotocol == granting.subprotocol
    assert asking.subprotocol == next((name for name in hear if name in speak), None)


@pytest.mark.parametrize(
    "uri", ["ws://h/", "wss://h:8765/p?q", "ws://a:b@[::1]/", "ws://é.example"]
)
@pytest.mark.parametrize("origin", [None, "http://example.com"])
@pytest.mark.parametrize("subprotocols", [None, ["chat"], ["chat", "superchat"]])
def test_the_request_is_that_of_websockets(uri: str, origin: Any, subprotocols: Any) -> None:
    theirs = websockets.client.ClientProtocol(
        websockets.uri.parse_uri(uri), origin=origin, subprotocols=subprotocols
    )
    ours = client(uri, origin=origin, subprotocols=subprotocols)
    ours.key = theirs.key
    assert ours.connect().serialize() == theirs.connect().serialize()
