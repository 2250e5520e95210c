"""Proxies: hostile addresses, which one is used, and the request for a tunnel."""

from __future__ import annotations

import pytest
import websockets.proxy
import websockets.uri

from wirebird.core.http1 import USER_AGENT
from wirebird.core.proxy import (
    ConnectAnswer,
    Proxy,
    choose_proxy,
    parse_proxy,
    prepare_connect_request,
)
from wirebird.core.redaction import shown_uri
from wirebird.core.uri import WebSocketURI, parse_uri
from wirebird.exceptions import InvalidProxy, InvalidProxyMessage, InvalidProxyStatus
from wirebird.proxy import get_proxy

# Attacks.


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "proxy.example",
        "proxy.example:8080",
        "//proxy.example",
        "ftp://proxy.example",
        "ws://proxy.example",
        "socks://proxy.example",
        "http://",
        "http://:8080",
        "http://proxy.example/path",
        "http://proxy.example?query",
        "http://proxy.example#",
        "http://proxy.example#fragment",
        "http://user@proxy.example",
        "http://a:%ff@proxy.example",
        "http://proxy.example:0",
        "http://proxy.example:65536",
        "http://proxy.example:x",
        "http://[::1",
        "http://[::1%25eth0]",
        "http://proxy.example\r\nX: y",
        "http://proxy example",
        "http://proxy.example\\",
        "http://a..é/",
    ],
)
def test_an_address_that_is_none_is_refused(proxy: str) -> None:
    with pytest.raises(InvalidProxy) as caught:
        parse_proxy(proxy)
    assert caught.value.proxy == shown_uri(proxy)
    assert caught.value.msg.isprintable()


PROXY = Proxy("http", "proxy.example", 80)
EVIL = "x\r\nX: y"


@pytest.mark.parametrize(
    ("proxy", "uri", "user_agent"),
    [
        (PROXY, WebSocketURI(False, EVIL, 80, "", ""), None),
        (PROXY, WebSocketURI(False, "a b", 80, "", ""), None),
        (PROXY, WebSocketURI(False, "a/b", 80, "", ""), None),
        (PROXY, WebSocketURI(False, "a", 80, "", ""), EVIL),
        (PROXY, WebSocketURI(False, "a", 80, "", ""), "\0"),
        (Proxy("http", "p", 80, EVIL, "b"), WebSocketURI(False, "a", 80, "", ""), None),
        (Proxy("http", "p", 80, "a", EVIL), WebSocketURI(False, "a", 80, "", ""), None),
        (Proxy("http", "p", 80, "a:b", "c"), WebSocketURI(False, "a", 80, "", ""), None),
    ],
)
def test_nothing_can_be_smuggled_into_the_request(
    proxy: Proxy, uri: WebSocketURI, user_agent: str | None
) -> None:
    with pytest.raises(ValueError):
        prepare_connect_request(proxy, uri, user_agent)


# Addresses.


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://proxy.example", Proxy("http", "proxy.example", 80)),
        ("https://proxy.example/", Proxy("https", "proxy.example", 443)),
        ("HTTP://Proxy.Example:8080", Proxy("http", "proxy.example", 8080)),
        ("http://[::1]:8080", Proxy("http", "::1", 8080)),
        ("http://a:b%20@proxy.example", Proxy("http", "proxy.example", 80, "a", "b ")),
        ("http://café.example", Proxy("http", "xn--caf-dma.example", 80)),
        ("socks4://proxy.example:9", Proxy("socks4", "proxy.example", 9)),
        ("socks4a://proxy.example:9", Proxy("socks4a", "proxy.example", 9)),
        ("socks5://proxy.example:9", Proxy("socks5", "proxy.example", 9)),
        ("socks5h://proxy.example:9", Proxy("socks5h", "proxy.example", 9)),
    ],
)
def test_address(address: str, expected: Proxy) -> None:
    parsed = parse_proxy(address)
    assert parsed == expected
    theirs = websockets.proxy.parse_proxy(address)
    assert vars(parsed) == vars(theirs)
    assert parsed.user_info == theirs.user_info


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_the_port_of_socks(scheme: str) -> None:
    assert parse_proxy(f"{scheme}://proxy.example").port == 1080


# Which one.

WS, WSS = parse_uri("ws://host.example/"), parse_uri("wss://host.example/")


@pytest.mark.parametrize(
    ("uri", "proxies", "expected"),
    [
        (WS, {}, None),
        (WSS, {}, None),
        (WS, {"http": "http://h"}, "http://h"),
        (WSS, {"http": "http://h"}, None),
        (WS, {"http": "http://h", "https": "http://hs"}, "http://hs"),
        (WSS, {"http": "http://h", "https": "http://hs"}, "http://hs"),
        (WS, {"https": "http://hs", "socks": "http://s"}, "socks5h://s"),
        (WSS, {"https": "http://hs", "socks": "http://s:1"}, "socks5h://s:1"),
        (WSS, {"socks": "socks4://s"}, "socks4://s"),
        (WS, {"socks": "http://s", "ws": "http://w", "wss": "http://ws"}, "http://w"),
        (WSS, {"socks": "http://s", "ws": "http://w", "wss": "http://ws"}, "http://ws"),
        (WSS, {"ws": "http://w", "ftp": "http://f"}, None),
        (WSS, {"ws": "http://w", "all": "http://a"}, "http://a"),
        (WS, {"http": "http://h", "all": "socks5h://a"}, "http://h"),
        (WSS, {"http": "http://h", "all": "socks://a:1/"}, "socks5h://a:1/"),
        (WS, {"http": " h:3128 "}, "http://h:3128"),
        (WSS, {"socks": "s:1"}, "socks5h://s:1"),
        (WSS, {"https": ""}, None),
    ],
)
def test_which_proxy(uri: WebSocketURI, proxies: dict[str, str], expected: str | None) -> None:
    assert choose_proxy(uri, proxies) == expected


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"https_proxy": "http://proxy.example:3128"},
        {"http_proxy": "http://a.example", "wss_proxy": "http://b.example"},
        {"https_proxy": "http://proxy.example", "no_proxy": "host.example"},
        {"https_proxy": "http://proxy.example", "no_proxy": "other.example"},
        {"socks_proxy": "http://proxy.example:1080"},
    ],
)
def test_the_environment_is_read_as_websockets_does(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in "http", "https", "ws", "wss", "socks", "all", "no":
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for uri in "ws://host.example/", "wss://host.example/", "wss://[::1]:8765/":
        theirs = websockets.proxy.get_proxy(websockets.uri.parse_uri(uri))
        assert get_proxy(parse_uri(uri)) == theirs


def test_an_exempt_host_has_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("wss_proxy", "http://proxy.example")
    monkeypatch.setenv("no_proxy", "")
    assert get_proxy(WSS) == "http://proxy.example"
    monkeypatch.setenv("no_proxy", "host.example")
    assert get_proxy(WSS) is None


# The request for a tunnel.


def test_the_request_for_a_tunnel() -> None:
    proxy = Proxy("http", "proxy.example", 80, "Aladdin", "open sesame")
    assert prepare_connect_request(proxy, WSS, "me") == (
        b"CONNECT host.example:443 HTTP/1.1\r\n"
        b"Host: host.example\r\n"
        b"User-Agent: me\r\n"
        b"Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize("uri", ["ws://h.example/", "wss://h.example:8765/", "wss://[::1]/"])
@pytest.mark.parametrize("address", ["http://proxy.example", "https://a:b@proxy.example"])
@pytest.mark.parametrize("user_agent", [None, "me"])
def test_the_request_is_that_of_websockets(uri: str, address: str, user_agent: str | None) -> None:
    ours = prepare_connect_request(parse_proxy(address), parse_uri(uri), user_agent)
    assert ours == websockets.proxy.prepare_connect_request(
        websockets.proxy.parse_proxy(address), websockets.uri.parse_uri(uri), user_agent
    )


def test_who_asks_unless_told_otherwise() -> None:
    assert f"User-Agent: {USER_AGENT}\r\n".encode() in prepare_connect_request(PROXY, WS)
    assert b"User-Agent" not in prepare_connect_request(PROXY, WS, None)


def test_a_user_name_alone_has_an_empty_password() -> None:
    assert Proxy("http", "p", 80, "a").user_info == ("a", "")
    assert PROXY.user_info is None


# The answer to it.

GRANTED = b"HTTP/1.1 200 Connection established\r\nX-A: b\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, len(GRANTED)])
def test_a_tunnel_that_is_granted(size: int) -> None:
    answer = ConnectAnswer()
    pieces = [GRANTED[at : at + size] for at in range(0, len(GRANTED), size)]
    assert [answer.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@pytest.mark.parametrize("status", [b"301 Moved", b"407 Proxy Authentication Required"])
def test_a_tunnel_that_is_refused(status: bytes) -> None:
    with pytest.raises(InvalidProxyStatus) as caught:
        ConnectAnswer().feed(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
    assert caught.value.response.status_code == int(status[:3])


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 200 " + bytes(9000), GRANTED + b"and more"]
)
def test_an_answer_that_is_none(data: bytes) -> None:
    with pytest.raises(InvalidProxyMessage):
        ConnectAnswer().feed(data)


@pytest.mark.parametrize("data", [b"", GRANTED[:10], GRANTED[:-2]])
def test_an_answer_that_ends_too_early(data: bytes) -> None:
    answer = ConnectAnswer()
    if data:
        assert answer.feed(data) is False
    with pytest.raises(InvalidProxyMessage):
        answer.feed(b"")
    with pytest.raises(InvalidProxyMessage):  # nothing gets better by asking again
        ConnectAnswer().feed(b"")


def test_what_the_scheme_says() -> None:
    kinds = {
        scheme: (parse_proxy(f"{scheme}://x").is_socks, parse_proxy(f"{scheme}://x").resolves_names)
        for scheme in ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
    }
    assert kinds == {
        "http": (False, False),
        "https": (False, False),
        "socks4": (True, False),
        "socks4a": (True, True),
        "socks5": (True, False),
        "socks5h": (True, True),
    }
