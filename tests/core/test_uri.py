"""URIs: what two parsers may read in two ways first, then what they say."""

from __future__ import annotations

from typing import Any

import pytest
import websockets.exceptions
import websockets.uri
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.headers import build_authorization_basic, build_host
from wirebird.core.uri import WebSocketURI, parse_uri
from wirebird.exceptions import InvalidURI

# Attacks.


@pytest.mark.parametrize(
    "uri",
    [
        # Characters that parsers drop, or take for others.
        *(f"ws://host/{chr(code)}x" for code in [*range(0x21), 0x7F]),
        *(f"ws://ho{chr(code)}st/" for code in [*range(0x21), 0x7F]),
        " ws://host/",
        "ws://host/ ",
        "ws://host/\n",
        "w\ns://host/",
        "ws://host\\@evil/",
        "ws:\\\\host/",
        "ws://host/a\\b",
        "ws://host/\ud800",
        "ws://\ud800/",
        # Brackets.
        "ws://[::1/",
        "ws://::1]/",
        "ws://[::1]evil/",
        "ws://evil[::1]/",
        "ws://[::1][::1]/",
        "ws://[]/",
        "ws://[127.0.0.1]/",
        "ws://[host]/",
        "ws://[v1.fe80]/",
        "ws://[fe80::1%eth0]/",
        "ws://[fe80::1%25eth0]/",
        "ws://[::1]]/",
        "ws://[1::2::3]/",
        "ws://::1/",
        # Ports.
        "ws://host:0/",
        "ws://host:65536/",
        "ws://host:99999999999999999999/",
        "ws://host:-1/",
        "ws://host:+1/",
        "ws://host:1_0/",
        "ws://host:x/",
        "ws://host:80:80/",
        "ws://host:\u0661/",
        "ws://[::1]:x/",
        # Hosts.
        "ws://",
        "ws:///path",
        "ws://:80/",
        "ws://?query",
        "ws://a:b@/",
        "ws://ho%73t/",
        "ws://ho<st/",
        'ws://ho"st/',
        "ws://ho^st/",
        "ws://ho|st/",
        "ws://ho{st/",
        "ws://ho`st/",
        "ws://evil\u2100.example/",  # IDNA makes a/c of it
        "ws://evil\uff0fexample/",  # a fullwidth slash
        "ws://evil\uff20example/",
        "ws://evil\uff1a80/",
        "ws://a..é/",
        "ws://" + "é" * 64 + "/",
        "ws://" + ".".join(["a" * 63] * 4) + "/",
        "ws://" + "a" * 64 + ".example/",
        "ws://a.example." + "a" * 64,
        "ws://a..example/",
        "ws://.example/",
        "ws://a.example../",
        "ws://./",
        "ws://" + "é" * 100_000 + "/",
        "ws://\u00ad/",  # nothing is left of it
        # Fragments.
        "ws://host/#",
        "ws://host/path#fragment",
        "ws://host#@evil/",
        "ws://host/#\u2028",
        # User info.
        "ws://user@host/",
        "ws://@host/",
        "ws://a%3Ab:c@host/",
        "ws://%ff:b@host/",
        "ws://a:%ff@host/",
        # Schemes.
        "",
        "host",
        "//host/",
        "/path",
        ":",
        "://host/",
        "http://host/",
        "https://host/",
        "wsss://host/",
        "1ws://host/",
        "ws+x://host/",
        "ws:host",
        "ws:/host",
        "ws/://host",
        "javascript:alert(1)//",
    ],
)
def test_a_uri_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(InvalidURI) as caught:
        parse_uri(uri)
    assert caught.value.uri == uri
    assert caught.value.msg.isprintable()


@given(st.text())
def test_any_text_is_a_uri_or_refused(text: str) -> None:
    for uri in text, f"ws://{text}", f"wss://host{text}", f"ws://[{text}]:{text}/{text}?{text}":
        try:
            parsed = parse_uri(uri)
        except InvalidURI:
            continue
        assert 0 < parsed.port < 65536
        host = build_host(parsed.host, parsed.port, parsed.secure)
        for part in host, parsed.resource_name:
            assert part.isascii()
            assert part.isprintable()
            assert " " not in part


# What they say.


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("ws://localhost/", WebSocketURI(False, "localhost", 80, "/", "")),
        ("wss://localhost/", WebSocketURI(True, "localhost", 443, "/", "")),
        ("ws://localhost", WebSocketURI(False, "localhost", 80, "", "")),
        ("ws://localhost:", WebSocketURI(False, "localhost", 80, "", "")),
        ("ws://localhost:80/", WebSocketURI(False, "localhost", 80, "/", "")),
        ("ws://localhost:443/", WebSocketURI(False, "localhost", 443, "/", "")),
        ("ws://localhost:65535/", WebSocketURI(False, "localhost", 65535, "/", "")),
        ("ws://localhost:00080/", WebSocketURI(False, "localhost", 80, "/", "")),
        ("WSS://LocalHost/Path?Query", WebSocketURI(True, "localhost", 443, "/Path", "Query")),
        ("ws://localhost?a=b&c", WebSocketURI(False, "localhost", 80, "", "a=b&c")),
        ("ws://localhost/?", WebSocketURI(False, "localhost", 80, "/", "")),
        ("ws://localhost/a?b?c/d:e@f", WebSocketURI(False, "localhost", 80, "/a", "b?c/d:e@f")),
        ("ws://localhost/a;b=c/%23%20", WebSocketURI(False, "localhost", 80, "/a;b=c/%23%20", "")),
        ("ws://localhost//a//b", WebSocketURI(False, "localhost", 80, "//a//b", "")),
        ("ws://127.0.0.1:8765/", WebSocketURI(False, "127.0.0.1", 8765, "/", "")),
        ("ws://[::1]/", WebSocketURI(False, "::1", 80, "/", "")),
        ("ws://[2001:DB8::1]:8765/", WebSocketURI(False, "2001:db8::1", 8765, "/", "")),
        ("ws://[::ffff:1.2.3.4]:/", WebSocketURI(False, "::ffff:1.2.3.4", 80, "/", "")),
        ("ws://a_b-c.d~e/", WebSocketURI(False, "a_b-c.d~e", 80, "/", "")),
        (f"ws://{'a' * 63}.b/", WebSocketURI(False, "a" * 63 + ".b", 80, "/", "")),
        ("ws://a.example./", WebSocketURI(False, "a.example.", 80, "/", "")),
        ("ws://a:b@localhost/", WebSocketURI(False, "localhost", 80, "/", "", "a", "b")),
        ("ws://:@localhost/", WebSocketURI(False, "localhost", 80, "/", "", "", "")),
        ("ws://a:b:c@localhost/", WebSocketURI(False, "localhost", 80, "/", "", "a", "b:c")),
        ("ws://a%20:%C3%A9%2F@[::1]/", WebSocketURI(False, "::1", 80, "/", "", "a ", "é/")),
        ("wss://é:ü@localhost/", WebSocketURI(True, "localhost", 443, "/", "", "é", "ü")),
        # RFC 3987.
        ("ws://café.example/", WebSocketURI(False, "xn--caf-dma.example", 80, "/", "")),
        ("ws://CAFÉ.example/", WebSocketURI(False, "xn--caf-dma.example", 80, "/", "")),
        ("ws://例え。テスト/", WebSocketURI(False, "xn--r8jz45g.xn--zckzah", 80, "/", "")),
        (
            "ws://localhost/é?ü=€",
            WebSocketURI(False, "localhost", 80, "/%C3%A9", "%C3%BC=%E2%82%AC"),
        ),
    ],
)
def test_uri(uri: str, expected: WebSocketURI) -> None:
    parsed = parse_uri(uri)
    assert parsed == expected
    theirs = websockets.uri.parse_uri(uri)
    assert vars(parsed) == vars(theirs)
    assert parsed.resource_name == theirs.resource_name
    assert parsed.user_info == theirs.user_info


@pytest.mark.parametrize(
    ("uri", "path", "query"),
    [
        ("ws://h/%20é", "/%20%C3%A9", ""),  # encoded once, not twice
        ('ws://h/<{|}>"^`?<{|}>"^`', "/%3C%7B%7C%7D%3E%22%5E%60", "%3C%7B%7C%7D%3E%22%5E%60"),
        ("ws://h/\u2028\x85", "/%E2%80%A8%C2%85", ""),
        ("ws://h/[]!$&'()*+,;=:@-._~", "/[]!$&'()*+,;=:@-._~", ""),
    ],
)
def test_what_may_not_stand_in_a_uri_is_percent_encoded(uri: str, path: str, query: str) -> None:
    parsed = parse_uri(uri)
    assert (parsed.path, parsed.query) == (path, query)


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [("", "", "/"), ("", "q", "/?q"), ("/p", "", "/p"), ("/p", "q", "/p?q")],
)
def test_resource_name(path: str, query: str, expected: str) -> None:
    assert WebSocketURI(False, "h", 80, path, query).resource_name == expected


def test_user_info_becomes_credentials() -> None:
    info = parse_uri("wss://Aladdin:open%20sesame@h/").user_info
    assert info == ("Aladdin", "open sesame")
    assert build_authorization_basic(*info) == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert parse_uri("wss://h/").user_info is None
    assert WebSocketURI(False, "h", 80, "", "", "a").user_info == ("a", "")


@given(
    st.from_regex(
        r"wss?://([a-z]{1,9}:[a-z]{1,9}@)?[a-z.]{1,9}(:[0-9]{1,5})?(/[\x21-\x7e]*)?", fullmatch=True
    )
)
def test_whatever_is_accepted_websockets_reads_as_the_same_place(uri: str) -> None:
    def outcome(parse: Any, error: type[Exception]) -> Any:
        try:
            parsed = parse(uri)
        except (error, ValueError):
            return None
        return parsed.secure, parsed.host, parsed.port, parsed.user_info

    ours = outcome(parse_uri, InvalidURI)
    if ours is not None:
        assert ours == outcome(websockets.uri.parse_uri, websockets.exceptions.InvalidURI)
