"""web-platform-tests: what a WebSocket can be made with, and the opening handshake."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from tests.browser_api.peers import Log, peers
from tests.browser_api.wpt import cases, heard, opened, serving, wpt

from wirebird.browser import DOMException, WebSocket

_SEPARATORS = '()<>@,;:\\"/[]?={} \t'


def refused(url: str, protocols: Any = ()) -> DOMException:
    with pytest.raises(DOMException) as raised:
        WebSocket(url, protocols)
    assert raised.value.name == "SyntaxError"
    assert raised.value.code == 12
    return raised.value


@wpt("constructor/001.html", "constructor.any.js")
async def test_without_arguments() -> None:
    with pytest.raises(TypeError):
        WebSocket()  # type: ignore[call-arg]


@cases(
    "urls",
    {
        "constructor/002.html": [
            "/test", "ws://foo bar.com/", "wss://foo bar.com/", "mailto:example@example.org",
            "about:blank", "ws://127.0.0.1/#", "ws://127.0.0.1/#test", "?test", "#test",
        ],
        "Create-invalid-urls.any.js": [
            "ws://foo bar.com/", "wss://foo bar.com/", "ftp://127.0.0.1/", "mailto:a@b.example",
            "about:blank", "ws://127.0.0.1/#", "ws://127.0.0.1/#test", "ws://", "wss://\n",
        ],
        "Create-non-absolute-url.any.js": ["/", "/test", "?test", "#test", "test", "//"],
        "Create-wrong-scheme.any.js": ["about:blank", "ftp://127.0.0.1/", "file:///", "x:"],
        "Create-Secure-url-with-space.any.js": ["wss://127.0.0 .1/", "wss://web platform.test/"],
    },
)  # fmt: skip
async def test_urls_that_are_refused(urls: list[str]) -> None:
    for url in urls:
        refused(url)


@wpt("Create-valid-url-relative.tentative.any.js")
async def test_relative_urls_need_a_base() -> None:
    async with serving() as base:
        for relative in ("/echo", "?x", "echo", "//" + base.partition("//")[2] + "/echo"):
            async with opened(relative, base=base.replace("ws:", "http:") + "/a") as ws:
                assert ws.url.startswith(base + "/")
        refused("/echo#x", ())
        with pytest.raises(DOMException):
            WebSocket("/echo", base="about:blank")


@cases(
    "protocols",
    {
        "constructor/004.html": [
            "", *(f"a{chr(i)}b" for i in (*range(1, 0x20), *range(0x7F, 0x100))),
        ],
        "constructor/007.html": ["a\x00b"],
        "constructor/021.html": [["foobar", "foobar"]],
        "Create-asciiSep-protocol-string.any.js": [f"Hello{sep}" for sep in _SEPARATORS],
        "Create-nonAscii-protocol-string.any.js": ["\u0080Hello"],
        "Create-protocol-with-space.any.js": ["ec ho"],
        "Create-protocols-repeated.any.js": [["echo", "echo"]],
        "Create-valid-url-protocol-empty.any.js": [""],
    },
)  # fmt: skip
async def test_subprotocols_that_are_refused(protocols: list[Any]) -> None:
    for protocol in protocols:
        refused("ws://127.0.0.1/", protocol)


@cases(
    "url",
    {
        "constructor/005.html": "{ws}/",
        "Create-valid-url.any.js": "{ws}/echo",
        "Create-http-urls.any.js": "{http}/echo",
        "Create-valid-url-http.tentative.any.js": "{http}/echo?x",
        "Create-verify-url-set-non-default-port.any.js": "{ws}/",
        "Create-Secure-valid-url.any.js": "{wss}/echo",
        "Create-Secure-verify-url-set-non-default-port.any.js": "{wss}/",
        "constructor/019.html": "{WS}/echo",
        "constructor/017.html": "{slashless}/echo",
    },
)
async def test_urls_that_are_good(
    url: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    is_secure = "wss" in url
    async with serving(server_tls if is_secure else None) as base:
        there = base.partition("//")[2]
        given = url.format(
            ws=base, wss=base, http=f"http://{there}", WS=f"WS://{there}", slashless=f"ws:{there}"
        )
        async with opened(given, ssl=client_tls if is_secure else None) as ws:
            assert isinstance(ws, WebSocket)
            assert ws.url == base + given.partition(there)[2]


@wpt("constructor/008.html")
@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("port", [80, 443])
async def test_default_ports_are_left_out(scheme: str, port: int) -> None:
    ws = WebSocket(f"{scheme}://example.invalid:{port}/")
    default = 80 if scheme == "ws" else 443
    place = "example.invalid" if port == default else f"example.invalid:{port}"
    assert ws.url == f"{scheme}://{place}/"
    ws.close()
    await heard(ws, "close")


@wpt("constructor/006.html")
async def test_the_url_is_made_text() -> None:
    class Place:
        def __str__(self) -> str:
            return "ws://example.invalid/"

    ws = WebSocket(Place())  # type: ignore[arg-type]
    assert ws.url == "ws://example.invalid/"
    ws.close()
    await heard(ws, "close")


@cases(
    "protocols",
    {
        "constructor/009.html": "foobar",
        "constructor/022.html": ["foobar", "foobar2"],
        "Create-valid-url-array-protocols.any.js": ["echo", "chat"],
        "Create-valid-url-protocol.any.js": "echo",
        "interfaces/WebSocket/protocol/001.html": "foobar",
        "Create-protocols-repeated-case-insensitive.any.js": ["echo", "eCho"],
    },
)
async def test_subprotocols(protocols: str | list[str]) -> None:
    first = protocols if isinstance(protocols, str) else protocols[0]
    async with serving() as base:
        ws = WebSocket(base + "/protocol", protocols, proxy=None)
        assert ws.protocol == ""
        message = heard(ws, "message")
        assert (await message).data == ws.protocol == first
        closed = heard(ws, "close")
        ws.close()
        assert (await closed).wasClean
        assert ws.protocol == first


@cases(
    "protocols",
    {
        "Create-Secure-valid-url-array-protocols.any.js": ["echo", "chat"],
        "Create-Secure-valid-url-protocol-setCorrectly.any.js": "echo",
        "Create-Secure-valid-url-protocol-string.any.js": "echo",
        "Create-Secure-valid-url-binaryType-blob.any.js": "echo",
        "Create-Secure-extensions-empty.any.js": [],
    },
)
async def test_over_tls(
    protocols: str | list[str], server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        serving(server_tls, compression=None) as base,
        opened(base + "/echo", protocols, ssl=client_tls) as ws,
    ):
        assert ws.protocol == ("echo" if protocols else "")
        assert ws.extensions == ""
        assert ws.binaryType == "blob"


@cases(
    "path",
    {
        "constructor/010.html": "/protocol-unasked",
        "constructor/011.html": "/protocol-other",
        "constructor/012.html": "/protocol-none",
        "opening-handshake/001.html": "/garbage",
        "opening-handshake/002.html": "/404",
    },
)
async def test_answers_that_fail_the_connection(path: str) -> None:
    asked = ["chat"] if path in ("/protocol-other", "/protocol-none") else []
    async with peers() as base:
        log = Log(WebSocket(base + path, asked, proxy=None))
        assert await log.closed() == [["error", 3], ["close", 3, False, 1006, ""]]


@wpt("constructor/013.html")
async def test_twenty_five_at_once() -> None:
    async with serving() as base:
        count = 0
        sockets = [WebSocket(base + "/echo", proxy=None) for _ in range(25)]
        closed = [heard(ws, "close") for ws in sockets]
        for number, ws in enumerate(sockets):

            def opened(event: Any, number: int = number) -> None:
                event.target.send(str(number))

            def message(event: Any, number: int = number) -> None:
                nonlocal count
                assert event.data == str(number)
                count += 1
                event.target.close()

            ws.onopen, ws.onmessage = opened, message
        for future in closed:
            assert (await future).wasClean
        assert count == 25


@cases(
    "query",
    {
        "constructor/016.html": ("åäö", "%C3%A5%C3%A4%C3%B6"),
        "constructor/018.html": ("x\x00y", "x%00y"),  # at the end it is stripped: URL, 4.4
    },
)
async def test_what_the_server_gets_of_a_query(query: tuple[str, str]) -> None:
    given, expected = query
    async with serving() as base:
        ws = WebSocket(f"{base}/echo-query?{given}", proxy=None)
        assert (await heard(ws, "message")).data == expected
        ws.close()
        await heard(ws, "close")


@wpt("constructor/020.html")
async def test_a_host_in_capitals() -> None:
    async with serving() as base:
        url = base.replace("127.0.0.1", "LOCALHOST")
        async with opened(url + "/echo") as ws:
            assert ws.url == url.lower() + "/echo"


@wpt("opening-handshake/003.html")
async def test_there_is_an_origin_if_one_is_given() -> None:
    async with serving() as base:
        for options, expected in (({}, "none"), ({"origin": "https://a.example"}, None)):
            ws = WebSocket(base + "/origin", proxy=None, **options)
            assert (await heard(ws, "message")).data == (expected or "https://a.example")
            ws.close()
            assert (await heard(ws, "close")).wasClean


@wpt("opening-handshake/005.html")
async def test_a_plain_answer() -> None:
    async with peers() as base, opened(base + "/echo") as ws:
        closed = heard(ws, "close")
        ws.close()
        assert (await closed).wasClean


@wpt("basic-auth.any.js")
async def test_credentials_in_the_url() -> None:
    async with serving() as base:
        ws = WebSocket(base.replace("//", "//foo:bar@") + "/authorization", proxy=None)
        assert (await heard(ws, "message")).data == "Basic Zm9vOmJhcg=="
        ws.close()
        await heard(ws, "close")
