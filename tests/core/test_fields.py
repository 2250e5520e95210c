"""Headers: what must not go in, and a mapping with several values for a name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import websockets.datastructures
import websockets.exceptions
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.fields import Headers, HeadersLike, MultipleValuesError
from wirebird.exceptions import InvalidHeaderValue, UnsafeHeader

CONTROLS = [chr(code) for code in [*range(0x09), *range(0x0A, 0x20), 0x7F]]
TOKEN = st.text(st.sampled_from("!#$%&'*+-.^_`|~09azAZ"), min_size=1)
VALUE = st.text(st.characters(codec="iso-8859-1", categories=["L", "N", "P", "S", "Zs"]))
PAIRS = st.lists(st.tuples(st.sampled_from(["X", "x", "Y", "Via", "vIA"]), VALUE))


# Attacks: each way in, then the way out.

WAYS_IN: list[Callable[[str, str], Any]] = [
    lambda name, value: Headers({name: value}),
    lambda name, value: Headers([(name, value)]),
    lambda name, value: Headers(**{name: value}),
    lambda name, value: Headers().__setitem__(name, value),
    lambda name, value: Headers().update({name: value}),
    lambda name, value: Headers().update([(name, value)]),
    lambda name, value: Headers().setdefault(name, value),
]
ENDS_LINE = [f"a{control}b" for control in CONTROLS] + [
    "\r\n",
    "a\r\nX: y",
    "€",
    "\u0100",
    "\ud800",
]
NO_TOKEN = [
    "",
    " ",
    "a b",
    "a:",
    "a\t",
    "a\r\nb",
    "a\nb",
    "a\0",
    "(",
    "ä",
    "\u212a",
    "[",
    '"',
    ":path",
]


@pytest.mark.parametrize("value", ENDS_LINE)
@pytest.mark.parametrize("way", WAYS_IN)
def test_a_value_that_could_end_its_line_is_refused(
    way: Callable[[str, str], Any], value: str
) -> None:
    with pytest.raises(UnsafeHeader) as caught:
        way("X-Evil", value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, InvalidHeaderValue)
    assert (caught.value.name, caught.value.value) == ("X-Evil", value)
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


@pytest.mark.parametrize("name", NO_TOKEN)
@pytest.mark.parametrize("way", WAYS_IN)
def test_a_name_that_is_no_token_is_refused(way: Callable[[str, str], Any], name: str) -> None:
    with pytest.raises(UnsafeHeader) as caught:
        way(name, "value")
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("name", "value"), [("X", value) for value in ENDS_LINE])
def test_what_came_in_unchecked_does_not_go_out(name: str, value: str) -> None:
    headers = Headers(Fine="yes")
    headers.set_insecure(name, value)
    with pytest.raises(UnsafeHeader):
        headers.serialize()


@pytest.mark.parametrize("name", NO_TOKEN)
def test_a_name_that_came_in_unchecked_does_not_go_out(name: str) -> None:
    headers = Headers()
    headers.set_insecure(name, "value")
    with pytest.raises(UnsafeHeader):
        headers.serialize()


def test_what_is_refused_is_not_kept() -> None:
    headers = Headers(A="1")
    with pytest.raises(UnsafeHeader):
        headers["A"] = "\n"
    assert list(headers.raw_items()) == [("A", "1")]


class TwoFaced(str):
    """Checked as one text, written as another."""

    def __str__(self) -> str:
        return "fine"

    def __format__(self, spec: str) -> str:
        return "evil\r\nX: y"


def test_exactly_what_was_checked_is_written() -> None:
    headers = Headers()
    headers["A"] = TwoFaced("a")
    headers["B"] = 5  # type: ignore[assignment]
    assert headers.serialize() == b"A: fine\r\nB: 5\r\n\r\n"
    assert headers["B"] == "5"


# A copy, an equal, a mapping.


def test_a_changed_copy_leaves_the_original_alone() -> None:
    headers = Headers([("A", "1"), ("A", "2"), ("B", "3")])
    copy = headers.copy()
    assert copy == headers
    copy["A"] = "4"
    copy["C"] = "5"
    del copy["B"]
    assert list(headers.raw_items()) == [("A", "1"), ("A", "2"), ("B", "3")]
    assert headers.get_all("A") == ["1", "2"]
    assert list(headers) == ["a", "b"]
    headers.clear()
    assert copy.get_all("a") == ["1", "2", "4"]


def test_a_copy_is_of_the_same_class() -> None:
    class Own(Headers):
        pass

    assert type(Own(A="1").copy()) is Own


def test_what_get_all_returns_can_be_changed() -> None:
    headers = Headers(A="1")
    headers.get_all("A").append("2")
    headers.get_all("B").append("2")
    assert headers["A"] == "1"
    assert "B" not in headers


def test_headers_can_be_added_to_themselves() -> None:
    headers = Headers(A="1", B="2")
    headers.update(headers)
    assert list(headers.raw_items()) == [("A", "1"), ("B", "2"), ("A", "1"), ("B", "2")]


class Keyed:
    """Has keys and items, and is no Mapping."""

    def keys(self) -> Iterable[str]:
        return ["A", "B"]

    def __getitem__(self, key: str) -> str:
        return key * 2


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"A": "1", "B": "2"}, [("A", "1"), ("B", "2")]),
        ([("A", "1"), ("a", "2")], [("A", "1"), ("a", "2")]),
        (Headers([("A", "1"), ("a", "2")]), [("A", "1"), ("a", "2")]),
        (iter([("A", "1")]), [("A", "1")]),
        (Keyed(), [("A", "AA"), ("B", "BB")]),
    ],
)
def test_what_headers_are_made_of(source: HeadersLike, expected: list[tuple[str, str]]) -> None:
    headers = Headers(source, Z="9")
    assert list(headers.raw_items()) == [*expected, ("Z", "9")]


def test_one_value_several_values_none() -> None:
    headers = Headers([("One", "1"), ("Two", "2"), ("tWO", "3")])
    assert headers["oNE"] == headers.get("ONE") == "1"
    with pytest.raises(MultipleValuesError) as caught:
        headers["two"]
    assert str(caught.value) == "'two'"
    assert str(MultipleValuesError()) == ""
    assert headers.get_all("TWO") == ["2", "3"]
    with pytest.raises(KeyError):
        headers["three"]
    assert headers.get("three") is None
    assert headers.get_all("three") == []


def test_a_name_is_found_in_any_case() -> None:
    headers = Headers({"Content-Type": "text/plain"})
    assert "content-TYPE" in headers
    assert object() not in headers
    assert len(headers) == 1
    assert list(headers) == ["content-type"]
    del headers["CONTENT-type"]
    assert not headers
    assert list(headers.raw_items()) == []
    with pytest.raises(KeyError):
        del headers["Content-Type"]


def test_equality_is_of_names_in_any_case_and_values_in_order() -> None:
    assert Headers([("A", "1"), ("B", "2")]) == Headers([("b", "2"), ("a", "1")])
    assert Headers([("A", "1"), ("A", "2")]) != Headers([("A", "2"), ("A", "1")])
    assert Headers(A="1") != {"a": "1"}


def test_how_headers_look() -> None:
    headers = Headers([("A", "1"), ("a", "ü")])
    assert str(headers) == "A: 1\r\na: ü\r\n\r\n"
    assert repr(headers) == "Headers([('A', '1'), ('a', 'ü')])"
    assert headers.serialize() == b"A: 1\r\na: \xfc\r\n\r\n"
    assert Headers().serialize() == b"\r\n"


# As the reference does it.


@given(PAIRS)
def test_every_look_is_as_in_websockets(pairs: list[tuple[str, str]]) -> None:
    ours, theirs = Headers(pairs), websockets.datastructures.Headers(pairs)
    assert repr(ours) == repr(theirs)
    assert str(ours) == str(theirs)
    assert ours.serialize() == theirs.serialize()
    assert list(ours) == list(theirs)
    assert len(ours) == len(theirs)
    for name in ["x", "Y", "VIA", "Z"]:
        assert ours.get_all(name) == theirs.get_all(name)
        assert (name in ours) is (name in theirs)
        with contextlib.suppress(LookupError):
            assert ours[name] == theirs[name]


@given(TOKEN, st.text())
def test_no_value_goes_in_that_websockets_refuses(name: str, value: str) -> None:
    try:
        Headers({name: value})
    except UnsafeHeader:
        with pytest.raises(websockets.exceptions.InvalidHeaderValue):
            websockets.datastructures.Headers({name: value})
    else:
        websockets.datastructures.Headers({name: value})


@given(st.lists(st.tuples(TOKEN, VALUE)))
def test_what_is_written_is_one_line_for_each_header(pairs: list[tuple[str, str]]) -> None:
    lines = Headers(pairs).serialize().decode("iso-8859-1").split("\r\n")
    assert lines == [*(f"{name}: {value}" for name, value in pairs), "", ""]
    assert not any(control in line for line in lines for control in "\r\n\0")


def test_lines_that_were_checked_are_read() -> None:
    headers = Headers.from_lines("Host: \texample.com \r\nX-A: 1\r\nx-a:2:3\r\nEmpty:\r\n")
    assert list(headers.raw_items()) == [
        ("Host", "example.com"),
        ("X-A", "1"),
        ("x-a", "2:3"),
        ("Empty", ""),
    ]
    assert headers.get_all("X-A") == ["1", "2:3"]
