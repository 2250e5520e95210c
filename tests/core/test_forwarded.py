"""Who a client is, as proxies tell it: whom to believe, how far, and what cannot be read."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.fields import Headers
from wirebird.core.forwarded import (
    NOTHING_FORWARDED,
    Address,
    Forwarded,
    TrustedProxies,
    address_of,
)
from wirebird.core.headers import parse_forwarded
from wirebird.core.rules import MAX_PROXY_HOPS
from wirebird.exceptions import InvalidHeader, InvalidHeaderFormat

PROXIES = TrustedProxies(["10.0.0.0/8", "fd00::/8", "unix"])
NEAR = ("10.0.0.1", 40_000)


def read(*lines: tuple[str, str], peer: Any = NEAR, proxies: TrustedProxies = PROXIES) -> Forwarded:
    """Read headers that came from a peer."""
    return proxies.read(peer, Headers(list(lines)))


def client(name: str, *values: str) -> tuple[str, int | None] | None:
    """The client that header lines of one name tell of."""
    return read(*((name, value) for value in values)).client


# Whom to believe.


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        (("10.1.2.3", 1), True),
        (("11.0.0.1", 1), False),
        (("::ffff:10.1.2.3", 1, 0, 0), True),
        (("::ffff:11.1.2.3", 1, 0, 0), False),
        (("fd00::7", 1, 0, 0), True),
        (("fd00::7%eth0", 1, 0, 3), True),
        (("2001:db8::1", 1, 0, 0), False),
        ("", True),
        ("/run/proxy.sock", True),
        (b"", True),
        (None, False),
    ],
)
def test_trusted_peers(peer: Any, trusted: bool) -> None:
    assert PROXIES.trusts(peer) is trusted


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.1", 7), ("192.0.2.1", 7)),
        (("::ffff:192.0.2.1", 7, 0, 0), ("192.0.2.1", 7)),
        (("2001:db8::1", 7, 0, 0), ("2001:db8::1", 7)),
        (("fe80::1%eth0", 7, 0, 3), ("fe80::1%eth0", 7)),
        (("no address", 7), ("no address", 7)),
        ("", ("unix", None)),
        (None, ("unix", None)),
    ],
)
def test_the_address_of_a_peer(peer: Any, address: Any) -> None:
    """Of one client, in one form, however it came."""
    assert address_of(peer) == address


def test_unix_is_trusted_only_if_named() -> None:
    proxies = TrustedProxies([ipaddress.ip_network("10.0.0.0/8"), "192.0.2.7"])
    assert not proxies.trusts("")
    assert proxies.trusts(("192.0.2.7", 1))


@pytest.mark.parametrize(
    "line",
    [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "example.com"),
        ("X-Forwarded-For", "no address"),
        ("Forwarded", "for=192.0.2.1"),
        ("Forwarded", '"'),
    ],
)
def test_strangers_are_not_even_read(line: tuple[str, str]) -> None:
    for peer in (("192.0.2.66", 1), None):
        assert read(line, peer=peer) is NOTHING_FORWARDED


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("10.0.0.1",), TypeError, "not one str"),
        ((["10.0.0.1"], "Forwarded"), TypeError, "not one str"),
        ((["10.0.0.1/8"],), ValueError, "has host bits set"),
        ((["proxy.example"],), ValueError, "not an address or network"),
        ((["*"],), ValueError, "would believe whatever"),
        ((["10.0.0.1"], ["X-Real-IP"]), ValueError, "unknown forwarded header: 'X-Real-IP'"),
    ],
)
def test_wrong_arguments(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        TrustedProxies(*arguments)


# X-Forwarded-*.


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["192.0.2.1"], ("192.0.2.1", None)),
        (["192.0.2.1:4711"], ("192.0.2.1", 4711)),
        (["2001:DB8::1"], ("2001:db8::1", None)),
        (["[2001:db8::1]:4711"], ("2001:db8::1", 4711)),
        (["::ffff:192.0.2.1"], ("192.0.2.1", None)),
        (["unknown"], ("unknown", None)),
        # The zone is one of the proxy's machine.
        (["fe80::1%eth0"], ("fe80::1", None)),
        (["[fe80::1%25en0]:4711"], ("fe80::1", 4711)),
        (["[fe80::1%eth0]"], ("fe80::1", None)),
        (["192.0.2.1, fd00::9%eth0"], ("192.0.2.1", None)),
        # From the right, over proxies of ours, to the first address that is none.
        (["192.0.2.1, 10.0.0.2, 10.0.0.3"], ("192.0.2.1", None)),
        (["192.0.2.1", "10.0.0.2", "fd00::9"], ("192.0.2.1", None)),
        # What stands left of it, the client wrote, whatever it is.
        (["10.0.0.9, 192.0.2.1"], ("192.0.2.1", None)),
        (["127.0.0.1", "192.0.2.1, 10.0.0.2"], ("192.0.2.1", None)),
        (['"; DROP, 192.0.2.1'], ("192.0.2.1", None)),
        (["198.51.100.7, unknown, 10.0.0.2"], ("unknown", None)),
        # All of them are ours: the request began there.
        (["10.0.0.9, 10.0.0.2"], ("10.0.0.9", None)),
        (["192.0.2.1 ,,"], ("192.0.2.1", None)),
    ],
)
def test_x_forwarded_for(values: list[str], expected: tuple[str, int | None]) -> None:
    assert client("X-Forwarded-For", *values) == expected


@pytest.mark.parametrize(
    "value",
    [
        "localhost",
        "192.0.2.256",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:",
        "[192.0.2.1",
        "_hidden",
        "2001:db8::1%",
        "2001:db8::1%a b",
        "2001:db8::1%<script>",
        '2001:db8::1%"x"',
        "2001:db8::1%eth0%eth0",
        "[2001:db8::1]%eth0",
        "[2001:db8::1%]",
        "192.0.2.1%eth0",
        "192.0.2.1 10.0.0.2",
        "192.0.2.1, x, 10.0.0.2",
    ],
)
def test_a_malformed_address_in_the_place_that_counts_is_refused(value: str) -> None:
    with pytest.raises(InvalidHeader, match="invalid X-Forwarded-For header"):
        client("X-Forwarded-For", value)


def test_so_many_proxies_are_none() -> None:
    assert client("X-Forwarded-For", "10.0.0.9" + ", 10.0.0.2" * (MAX_PROXY_HOPS - 1))
    with pytest.raises(InvalidHeader, match="over 64 proxies"):
        client("X-Forwarded-For", "10.0.0.9" + ", 10.0.0.2" * MAX_PROXY_HOPS)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ({"X-Forwarded-Proto": "https"}, (None, "wss", None)),
        ({"X-Forwarded-Proto": "WS"}, (None, "ws", None)),
        ({"X-Forwarded-Host": "example.com:8443"}, (None, None, "example.com:8443")),
        ({"X-Forwarded-Host": "[::1]:80"}, (None, None, "[::1]:80")),
        ({"Host": "inside", "X-Forwarded-Port": "8443"}, (None, None, "inside:8443")),
        ({"Host": "inside:1", "X-Forwarded-Port": "8443"}, (None, None, "inside:1")),
        (
            {
                "X-Forwarded-Host": "a.example",
                "X-Forwarded-Port": "443",
                "X-Forwarded-Proto": "wss",
            },
            (None, "wss", "a.example"),
        ),
        (
            {"X-Forwarded-Host": "[::1]", "X-Forwarded-Port": "443", "X-Forwarded-Proto": "http"},
            (None, "ws", "[::1]:443"),
        ),
        ({"X-Forwarded-Port": "443"}, (None, None, None)),
        # One for each entry: that of the client's.
        (
            {
                "X-Forwarded-For": "198.51.100.7, 192.0.2.1, 10.0.0.2",
                "X-Forwarded-Proto": "http, https, http",
                "X-Forwarded-Host": "evil.example, example.com, inside",
            },
            (("192.0.2.1", None), "wss", "example.com"),
        ),
        # Set by the last proxy alone.
        (
            {"X-Forwarded-For": "198.51.100.7, 192.0.2.1", "X-Forwarded-Proto": "https"},
            (("192.0.2.1", None), "wss", None),
        ),
        # The client wrote before what the proxy added.
        (
            {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https, http"},
            (("192.0.2.1", None), "ws", None),
        ),
    ],
)
def test_x_forwarded_others(lines: dict[str, str], expected: tuple[Any, ...]) -> None:
    assert read(*lines.items()) == Forwarded(*expected)


@pytest.mark.parametrize(
    "line",
    [
        ("X-Forwarded-Proto", "gopher"),
        ("X-Forwarded-Proto", "https;x"),
        ("X-Forwarded-Host", "a b"),
        ("X-Forwarded-Host", "user@example.com"),
        ("X-Forwarded-Host", "example.com/path"),
        ("X-Forwarded-Port", "0"),
        ("X-Forwarded-Port", "http"),
    ],
)
def test_x_forwarded_others_that_are_malformed(line: tuple[str, str]) -> None:
    with pytest.raises(InvalidHeader, match=f"invalid {line[0]} header"):
        read(line)


# Forwarded. RFC 7239.


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["for=192.0.2.60"], (("192.0.2.60", None), None, None)),
        (["For=192.0.2.60;Proto=HTTPS;by=203.0.113.43"], (("192.0.2.60", None), "wss", None)),
        (
            ['for="[2001:db8:cafe::17]:4711"; host="example.com:8443"'],
            (("2001:db8:cafe::17", 4711), None, "example.com:8443"),
        ),
        (['for="_gazonk"'], (("_gazonk", None), None, None)),
        (['for="_a:_b"'], (("_a", None), None, None)),
        (["for=UNKNOWN;proto=http"], (("unknown", None), "ws", None)),
        (['for="unknown:80"'], (("unknown", 80), None, None)),
        (["proto=https"], (("unknown", None), "wss", None)),
        (['for="192\\.0.2.1:47\\11"'], (("192.0.2.1", 4711), None, None)),
        # The entry of the client tells the scheme and the host too.
        (
            [
                "for=127.0.0.1;host=evil.example, for=192.0.2.1;proto=https;host=a.example",
                "for=10.0.0.2;proto=http;host=inside",
            ],
            (("192.0.2.1", None), "wss", "a.example"),
        ),
        (["for=192.0.2.1, for=_hidden, for=10.0.0.2"], (("_hidden", None), None, None)),
        (["for=10.0.0.9, for=10.0.0.2"], (("10.0.0.9", None), None, None)),
    ],
)
def test_forwarded(values: list[str], expected: tuple[Any, ...]) -> None:
    assert read(*(("Forwarded", value) for value in values)) == Forwarded(*expected)


@pytest.mark.parametrize(
    "values",
    [
        ["for"],
        ["for="],
        ["for=1.2.3.4:80"],
        ["for = 192.0.2.1"],
        ["for=192.0.2.1;for=192.0.2.2"],
        ["for=192.0.2.1;"],
        ["for=2001:db8::1"],
        ['for="2001:db8::1"'],
        ['for="[192.0.2.1]"'],
        ['for="192.0.2.1:99999"'],
        ["for=example.com"],
        ["for=192.0.2.1;proto=ftp"],
        ['for=192.0.2.1;host="a b"'],
        # Quotes that are left open swallow nothing of what a proxy adds behind them.
        ['for=127.0.0.1;x="', "for=192.0.2.1"],
        ['for=127.0.0.1;x=", for=192.0.2.1;host="a.example"'],
        ['for=127.0.0.1;x="\\", for="[2001:db8::1]"'],
    ],
)
def test_a_malformed_forwarded_is_refused(values: list[str]) -> None:
    with pytest.raises(InvalidHeader, match="invalid Forwarded header"):
        read(*(("Forwarded", value) for value in values))


# Both families.


def test_both_families_contradict_each_other() -> None:
    lines = [("X-Forwarded-Proto", "https"), ("Forwarded", "for=192.0.2.1")]
    with pytest.raises(InvalidHeader, match=r"X-Forwarded-Proto too; forwarded_headers can say"):
        read(*lines)
    for peer in (("192.0.2.66", 1), None):
        assert read(*lines, peer=peer) is NOTHING_FORWARDED


def test_only_what_the_proxies_write_is_read() -> None:
    lines = [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Host", "no host"),
        ("Forwarded", '"'),
    ]
    old = TrustedProxies(["10.0.0.1"], ["x-forwarded-for", "X-Forwarded-Proto"])
    assert read(*lines, proxies=old) == Forwarded(Address("192.0.2.1", None))
    new = TrustedProxies(["10.0.0.1"], ["Forwarded"])
    assert read(*lines[:2], proxies=new) is NOTHING_FORWARDED


@given(
    st.sampled_from(["Forwarded", "X-Forwarded-For"]),
    st.lists(st.text('for=",;[]:. \\1a_'), max_size=4),
)
def test_whatever_a_client_wrote_the_address_is_what_the_proxy_added(
    name: str, values: list[str]
) -> None:
    added = "for=192.0.2.1" if name == "Forwarded" else "192.0.2.1"
    lines = [(name, value) for value in values]
    try:
        on_a_line_of_its_own = read(*lines, (name, added)).client
        joined = read(*lines[:-1], (name, f"{lines[-1][1] if lines else ''}, {added}")).client
    except InvalidHeader:
        return  # then it is refused
    assert on_a_line_of_its_own == joined == ("192.0.2.1", None)


def test_a_list_of_elements() -> None:
    assert parse_forwarded(' for=a ; by="b\\"c;d,e",, secret=x ') == [
        {"for": "a", "by": 'b"c;d,e'},
        {"secret": "x"},
    ]
    with pytest.raises(InvalidHeaderFormat, match="expected token at 0 in "):
        parse_forwarded("")
