"""The grammar of header fields: hostile values, valid ones, and what is written."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
import websockets.exceptions
import websockets.headers
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.headers import (
    build_authorization_basic,
    build_extension,
    build_host,
    build_subprotocol,
    build_www_authenticate_basic,
    parse_authorization_basic,
    parse_connection,
    parse_extension,
    parse_subprotocol,
    parse_upgrade,
    validate_subprotocols,
)
from wirebird.core.types import ExtensionHeader, ExtensionName, Subprotocol
from wirebird.exceptions import InvalidHeaderFormat, InvalidHeaderValue

PARSERS: list[Callable[[str], Any]] = [
    parse_connection,
    parse_upgrade,
    parse_extension,
    parse_subprotocol,
]

# Attacks. None of these would end in a second if time were not linear in their length.

MANY = 100_000


@pytest.mark.parametrize(
    "header",
    [
        "," * MANY,
        ", " * MANY,
        " " * MANY,
        "a" + " " * MANY + "b",
        "a" * MANY + "\0",
        "a," * MANY + "(",
        "a;" * MANY,
        "a;b=" * MANY,
        'a;b="' + "c" * MANY,
        'a;b="' + "\\c" * MANY,
        'a;b="' + "\\" * MANY,
        'a;b="' + '\\"' * MANY,
        'a;b="' + " " * MANY + '"',
        "a;b=c;" * MANY + "=",
        "a/" * MANY,
        "a=" * MANY,
    ],
)
@pytest.mark.parametrize("parse", PARSERS)
def test_a_hostile_list_is_refused_in_linear_time(parse: Callable[[str], Any], header: str) -> None:
    with pytest.raises(InvalidHeaderFormat):
        parse(header)


@pytest.mark.parametrize(
    "header",
    [
        "Basic " + "a" * MANY + "\0",
        "Basic " + "=" * MANY,
        "Basic " + "a" + "=" * MANY + "a",
        "Basic" + " " * MANY,
        "Basic" * MANY,
        "Basic " + "A" * MANY,  # has no colon
    ],
)
def test_hostile_credentials_are_refused_in_linear_time(header: str) -> None:
    with pytest.raises((InvalidHeaderFormat, InvalidHeaderValue)):
        parse_authorization_basic(header)


@pytest.mark.parametrize(
    "header", ["", ",", " , ,", "a b", "a,b c", "é", "a\0", '"a"', "a\r\n", "a,,("]
)
@pytest.mark.parametrize("parse", PARSERS)
def test_what_is_no_list_is_refused(parse: Callable[[str], Any], header: str) -> None:
    with pytest.raises(InvalidHeaderFormat):
        parse(header)


def test_an_error_says_where() -> None:
    with pytest.raises(InvalidHeaderFormat) as caught:
        parse_connection("keep-alive, Upgrade; x")
    assert str(caught.value) == (
        "invalid Connection header: expected comma at 19 in keep-alive, Upgrade; x"
    )


# Lists.


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Upgrade", ["Upgrade"]),
        ("keep-alive, Upgrade", ["keep-alive", "Upgrade"]),
        ("a,b", ["a", "b"]),
        ("a\t ,\t b", ["a", "b"]),
        (" a ", ["a"]),
        (",, ,a , ,b, ,", ["a", "b"]),
        ("!#$%&'*+-.^_`|~09azAZ", ["!#$%&'*+-.^_`|~09azAZ"]),
        ("a, a", ["a", "a"]),
    ],
)
def test_lists_of_tokens(header: str, expected: list[str]) -> None:
    assert parse_connection(header) == expected
    assert parse_subprotocol(header) == expected
    assert parse_upgrade(header) == expected
    assert parse_extension(header) == [(name, []) for name in expected]


def test_upgrade_may_name_versions() -> None:
    assert parse_upgrade("HTTP/2.0, websocket,IRC/6.9") == ["HTTP/2.0", "websocket", "IRC/6.9"]
    for header in "/", "a/", "/a", "a/b/c", "a /b", "a/ b":
        with pytest.raises(InvalidHeaderFormat):
            parse_upgrade(header)


# Extensions.

EXTENSIONS: list[tuple[str, list[Any]]] = [
    ("foo", [("foo", [])]),
    ("foo, bar", [("foo", []), ("bar", [])]),
    ("foo; a=1", [("foo", [("a", "1")])]),
    ("foo;a;b=2,bar", [("foo", [("a", None), ("b", "2")]), ("bar", [])]),
    ("foo ; a = 1 ; b , , bar", [("foo", [("a", "1"), ("b", None)]), ("bar", [])]),
    ('foo; a="1"', [("foo", [("a", "1")])]),
    ('foo; a="\\1\\2", bar', [("foo", [("a", "12")]), ("bar", [])]),
    ("foo; a=1; a=2, foo; a", [("foo", [("a", "1"), ("a", "2")]), ("foo", [("a", None)])]),
]


@pytest.mark.parametrize(("header", "expected"), EXTENSIONS)
def test_extensions(header: str, expected: list[ExtensionHeader]) -> None:
    assert parse_extension(header) == expected
    assert parse_extension(build_extension(expected)) == expected


@pytest.mark.parametrize(
    "header",
    [
        "foo;",
        "foo; ;a",
        "foo; a=",
        "foo; =1",
        "foo; a==1",
        "foo; a=1 b",
        'foo; a="',
        'foo; a="1',
        'foo; a=""',
        'foo; a="1 2"',
        'foo; a="1\\"2"',
        'foo; a="\\é"',
        'foo; a="1"2',
        'foo; a="1\0"',
        "foo; a='1 2'",
        "foo, ;a",
        "foo=1",
    ],
)
def test_what_is_no_extension_is_refused(header: str) -> None:
    with pytest.raises(InvalidHeaderFormat) as caught:
        parse_extension(header)
    assert caught.value.name == "Sec-WebSocket-Extensions"


TOKENS = st.text(st.sampled_from("!#$%&'*+-.^_`|~09azAZ"), min_size=1)
PARAMETERS = st.lists(st.tuples(TOKENS, st.none() | TOKENS))


@given(st.lists(st.tuples(TOKENS.map(ExtensionName), PARAMETERS), min_size=1))
def test_any_extensions_come_back(extensions: list[ExtensionHeader]) -> None:
    assert parse_extension(build_extension(extensions)) == extensions


# Subprotocols.


@given(st.lists(TOKENS.map(Subprotocol), min_size=1))
def test_any_subprotocols_come_back(subprotocols: list[Subprotocol]) -> None:
    validate_subprotocols(subprotocols)
    assert parse_subprotocol(build_subprotocol(subprotocols)) == subprotocols


def test_subprotocols_are_listed_in_order() -> None:
    assert build_subprotocol([Subprotocol("chat"), Subprotocol("superchat")]) == "chat, superchat"


@pytest.mark.parametrize("subprotocols", ["chat", b"chat", 5, {"chat"}, None, iter(["chat"])])
def test_subprotocols_are_a_list(subprotocols: Any) -> None:
    with pytest.raises(TypeError):
        validate_subprotocols(subprotocols)


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a\r\nX: y", "a\0", "é", '"a"'])
def test_subprotocols_are_tokens(name: str) -> None:
    with pytest.raises(ValueError, match="invalid subprotocol"):
        validate_subprotocols([Subprotocol("chat"), Subprotocol(name)])


# Host.


@pytest.mark.parametrize(
    "host",
    [
        *["", " ", "a b", "a\r\nX: y", "a\n", "a\0", "a/b", "a?b", "a#b", "a@b", "a\\b", "é"],
        *["a:b", "::1%eth0", "fe80::1%25eth0", ":", "1::2::3", "a%20b"],
    ],
)
def test_a_host_that_cannot_be_written_is_refused(host: str) -> None:
    with pytest.raises(ValueError):
        build_host(host, 80, False)


@pytest.mark.parametrize("port", ["80", "8080\r\nX: y"])
def test_a_port_that_is_no_number_is_refused(port: Any) -> None:
    with pytest.raises(ValueError):
        build_host("localhost", port, True)


@pytest.mark.parametrize(
    ("host", "port", "secure", "expected"),
    [
        ("localhost", 80, False, "localhost"),
        ("localhost", 443, True, "localhost"),
        ("localhost", 443, False, "localhost:443"),
        ("localhost", 80, True, "localhost:80"),
        ("127.0.0.1", 8080, False, "127.0.0.1:8080"),
        ("::1", 80, False, "[::1]"),
        ("2001:db8::ff:0:1", 8080, True, "[2001:db8::ff:0:1]:8080"),
        ("[::1]", 1, False, "[::1]:1"),
        ("a_b.xn--caf-dma.example", 80, False, "a_b.xn--caf-dma.example"),
    ],
)
def test_host(host: str, port: int, secure: bool, expected: str) -> None:
    assert build_host(host, port, secure) == expected
    assert build_host(host, port, secure) == websockets.headers.build_host(host, port, secure)
    always = build_host(host, port, secure, always_include_port=True)
    assert always == f"{expected.removesuffix(f':{port}')}:{port}"


# Basic credentials.


@pytest.mark.parametrize("realm", ["a\r\nb", "a\n", "\0", "\x7f", "€"])
def test_a_realm_that_cannot_be_written_is_refused(realm: str) -> None:
    with pytest.raises(ValueError):
        build_www_authenticate_basic(realm)


@pytest.mark.parametrize("realm", ["", "foo", 'a "b" c', "\\", '\\"', "é\t"])
def test_realm(realm: str) -> None:
    expected = websockets.headers.build_www_authenticate_basic(realm)
    assert build_www_authenticate_basic(realm) == expected
    assert expected.startswith('Basic realm="')


@pytest.mark.parametrize(
    ("username", "password"),
    [("a:b", "c"), ("a\r\n", "b"), ("a", "b\r\nX: y"), ("\0", ""), ("", "\x7f")],
)
def test_credentials_that_must_not_be_are_refused(username: str, password: str) -> None:
    with pytest.raises(ValueError):
        build_authorization_basic(username, password)


def test_the_credentials_of_the_rfc() -> None:  # RFC 7617, 2
    header = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert build_authorization_basic("Aladdin", "open sesame") == header
    assert parse_authorization_basic(header) == ("Aladdin", "open sesame")
    assert parse_authorization_basic(header.replace("Basic", "bASIC")) == ("Aladdin", "open sesame")
    assert parse_authorization_basic("Basic dGVzdDoxMjPCow==") == ("test", "123£")


SECRETS = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


@given(SECRETS.filter(lambda name: ":" not in name), SECRETS)
def test_any_credentials_come_back(username: str, password: str) -> None:
    header = build_authorization_basic(username, password)
    assert parse_authorization_basic(header) == (username, password)
    assert header == websockets.headers.build_authorization_basic(username, password)


@given(st.binary())
def test_credentials_that_are_not_utf_8_come_back(raw: bytes) -> None:
    header = "Basic " + base64.b64encode(b"x:" + raw).decode()
    username, password = parse_authorization_basic(header)
    assert username == "x"
    assert password.encode(errors="surrogateescape") == raw


@pytest.mark.parametrize(
    ("header", "error", "match"),
    [
        ("", InvalidHeaderFormat, "expected token"),
        (" Basic YTpi", InvalidHeaderFormat, "expected token"),
        ("Basic", InvalidHeaderFormat, "expected space"),
        ("Basic\tYTpi", InvalidHeaderFormat, "expected space"),
        ("Basic ", InvalidHeaderFormat, "expected base64"),
        ("Basic =", InvalidHeaderFormat, "expected base64"),
        ("Basic YTpi YTpi", InvalidHeaderFormat, "expected end"),
        ("Basic YTpi\r\n", InvalidHeaderFormat, "expected end"),
        ("Basic YTpi==a", InvalidHeaderFormat, "expected end"),
        ("Digest YTpi", InvalidHeaderValue, "unsupported scheme: Digest"),
        ("Basic YTpiY", InvalidHeaderValue, "not base64"),
        ("Basic YT-_", InvalidHeaderValue, "not base64"),
        ("Basic YWI=", InvalidHeaderValue, "no colon"),
    ],
)
def test_credentials_that_cannot_be_read(header: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        parse_authorization_basic(header)


# As the reference does it.

HEADERS = st.lists(
    st.sampled_from([*'ab,;= \t/"\\(é\0', "foo", "; ", "=1", '="x"', ", "]), max_size=15
).map("".join)


@pytest.mark.parametrize("parse", PARSERS)
@given(header=HEADERS)
def test_each_list_is_read_as_in_websockets(parse: Callable[[str], Any], header: str) -> None:
    header = header.strip(" \t")  # as it comes from a head
    theirs = getattr(websockets.headers, parse.__name__)
    try:
        expected = theirs(header)
    except websockets.exceptions.InvalidHeaderFormat:
        with pytest.raises(InvalidHeaderFormat):
            parse(header)
    else:
        assert parse(header) == expected
