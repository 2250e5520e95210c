"""The errors: what they are, what they say, and what the peer is told for them."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import warnings
from typing import Any

import pytest
import websockets.datastructures
import websockets.exceptions as peer
import websockets.frames
import websockets.http11

from wirebird import exceptions
from wirebird.core.close import Close
from wirebird.core.fields import Headers
from wirebird.core.http1 import Response
from wirebird.exceptions import (
    ConnectionClosed,
    InvalidHeader,
    PayloadTooBig,
    TooManyFragments,
    WebSocketException,
)

# Those that websockets has not, with the names by which programs written for it catch them.
OURS_ALONE = {
    "InvalidProxyHeader": "InvalidMessage",
    "InvalidToken": "InvalidHandshake",
    "InvalidVersion": "InvalidHeaderValue",
    "UnsafeHeader": "InvalidHeaderValue",
}

CLOSE_CODES = {"PayloadTooBig": 1009, "ProtocolError": 1002, "TooManyFragments": 1009}

# The status with which a server refuses a handshake; 400 is that of all others.
HTTP_STATUS = {
    "HeaderLineTooLong": 431,
    "InvalidMethod": 405,
    "InvalidOrigin": 403,
    "InvalidProtocol": 505,
    "InvalidProxyHeader": None,
    "InvalidToken": 401,
    "InvalidUpgrade": 426,
    "InvalidVersion": 426,
    "RequestLineTooLong": 414,
    "TooManyHeaders": 431,
    "UnsafeHeader": 500,
}


class Made:
    """An error to be made in both libraries, of arguments that may be objects of each."""

    def __init__(self, name: str, *args: Any) -> None:
        self.name, self.args = name, args

    def ours(self) -> Exception:
        error = getattr(exceptions, self.name)(*map(as_ours, self.args))
        assert isinstance(error, WebSocketException)
        return error

    def theirs(self) -> Exception:
        error = getattr(peer, self.name)(*map(as_theirs, self.args))
        assert isinstance(error, peer.WebSocketException)
        return error

    def __repr__(self) -> str:
        return f"{self.name}{self.args}"


class C(tuple[int, str]):
    """A Close to come."""


class R(int):
    """A response to come, by its status."""


def as_ours(argument: Any) -> Any:
    if isinstance(argument, C):
        return Close(*argument)
    if isinstance(argument, R):
        return Response(int(argument), "phrase", Headers({"Name": "value"}), b"body")
    return argument


def as_theirs(argument: Any) -> Any:
    if isinstance(argument, C):
        return websockets.frames.Close(*argument)
    if isinstance(argument, R):
        headers = websockets.datastructures.Headers({"Name": "value"})
        return websockets.http11.Response(int(argument), "phrase", headers, b"body")
    return argument


OK, AWAY, LOST = C((1000, "")), C((1001, "bye")), C((1006, ""))

SHARED = [
    Made("WebSocketException", "something"),
    *(
        Made(name, *closes)
        for name in ("ConnectionClosed", "ConnectionClosedOK", "ConnectionClosedError")
        for closes in (
            (None, None),
            (None, None, None),
            (OK, None),
            (None, AWAY),
            (OK, AWAY, True),
            (OK, AWAY, False),
            (C((4000, "custom")), C((3000, "")), True),
        )
    ),
    Made("InvalidURI", "http://example.com", "scheme isn't ws or wss"),
    Made("InvalidProxy", "gopher://example.com", "scheme isn't known"),
    Made("InvalidHandshake", "something"),
    Made("SecurityError", "something"),
    Made("RequestLineTooLong", "something"),
    Made("StatusLineTooLong", "something"),
    Made("HeaderLineTooLong", "something"),
    Made("TooManyHeaders", "something"),
    Made("ProxyError", "something"),
    Made("InvalidProxyMessage", "something"),
    Made("InvalidProxyStatus", R(407)),
    Made("InvalidMessage", "something"),
    Made("InvalidMethod", "HEAD"),
    Made("InvalidProtocol", "HTTP/1.0"),
    Made("InvalidStatus", R(404)),
    *(
        Made(name, "Name", *value)
        for name in ("InvalidHeader", "InvalidHeaderValue", "InvalidUpgrade")
        for value in ((), (None,), ("",), ("value",))
    ),
    Made("InvalidHeaderFormat", "Name", "expected token", "a=|", 3),
    Made("InvalidOrigin", None),
    Made("InvalidOrigin", ""),
    Made("InvalidOrigin", "http://evil.example"),
    Made("NegotiationError", "something"),
    Made("DuplicateParameter", "a"),
    Made("InvalidParameterName", "a"),
    Made("InvalidParameterValue", "a", None),
    Made("InvalidParameterValue", "a", ""),
    Made("InvalidParameterValue", "a", "b"),
    Made("ProtocolError", "something"),
    Made("ProtocolError"),
    Made("PayloadTooBig", None, 4),
    Made("PayloadTooBig", 5, 4),
    Made("PayloadTooBig", 5, 4, 10),
    Made("PayloadTooBig", None, 4, 0),
    Made("TooManyFragments", 131_072),
    Made("InvalidState", "something"),
    Made("ConcurrencyError", "something"),
]
FURTHER = [
    Made("InvalidProxyHeader", "something"),
    Made("InvalidToken", "something"),
    Made("InvalidVersion", "Sec-WebSocket-Version", "12"),
    Made("UnsafeHeader", "Name", "a\r\nb"),
    Made("PayloadTooBig", "something"),
    Made("LimitExceeded", "messages", "too many messages a second"),
]


def fields(error: Exception) -> dict[str, Any]:
    """Attributes, so that those of both libraries can be compared."""
    return {name: repr(value) for name, value in vars(error).items()}


def test_every_error_is_made_here() -> None:
    assert {made.name for made in SHARED} == set(peer.__all__)
    assert {made.name for made in SHARED + FURTHER} == set(exceptions.__all__)


@pytest.mark.parametrize("name", peer.__all__)
def test_hierarchy_is_that_of_websockets(name: str) -> None:
    ours, theirs = getattr(exceptions, name), getattr(peer, name)
    assert [base.__name__ for base in ours.__mro__] == [base.__name__ for base in theirs.__mro__]


def test_further_errors_are_caught_by_the_names_of_websockets() -> None:
    assert set(exceptions.__all__) - set(peer.__all__) == {*OURS_ALONE, "LimitExceeded"}
    for name, base in OURS_ALONE.items():
        assert base in peer.__all__
        assert issubclass(getattr(exceptions, name), getattr(exceptions, base))


@pytest.mark.parametrize("name", peer.__all__)
def test_parameters_are_those_of_websockets(name: str) -> None:
    ours, theirs = (
        inspect.signature(getattr(module, name).__init__).parameters.values()
        for module in (exceptions, peer)
    )
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


@pytest.mark.parametrize("made", SHARED, ids=repr)
def test_texts_and_attributes_are_those_of_websockets(made: Made) -> None:
    ours, theirs = made.ours(), made.theirs()
    assert str(ours) == str(theirs)
    shown = fields(ours)
    for name, value in fields(theirs).items():
        assert shown[name] == value


@pytest.mark.parametrize("made", SHARED + FURTHER, ids=repr)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_keeps_everything(made: Made, protocol: int) -> None:
    error = made.ours()
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert again.args == error.args
    assert str(again) == str(error)
    assert fields(again) == fields(error)
    assert str(copy.copy(error)) == str(error)


@pytest.mark.parametrize("made", SHARED + FURTHER, ids=repr)
def test_what_the_peer_is_told(made: Made) -> None:
    error = made.ours()
    assert isinstance(error, WebSocketException)
    assert error.close_code == CLOSE_CODES.get(made.name)
    is_handshake = isinstance(error, exceptions.InvalidHandshake)
    assert error.http_status == (HTTP_STATUS.get(made.name, 400) if is_handshake else None)


def test_the_tree_in_the_documentation_is_the_hierarchy() -> None:
    assert exceptions.__doc__ is not None
    parents: list[str] = []
    shown = []
    for line in exceptions.__doc__.splitlines():
        if match := re.match(r"    ([│ ├└─]*)(\w+)\s*(\d+)?$", line):
            depth = len(match[1]) // 4
            parents[depth:] = [match[2]]
            shown.append(match[2])
            error = getattr(exceptions, match[2])
            if depth:
                assert parents[depth - 1] in [base.__name__ for base in error.__bases__]
            own = vars(error).get("close_code") or vars(error).get("http_status")
            assert own == (int(match[3]) if match[3] else None)
    assert sorted(shown) == sorted(exceptions.__all__)


@pytest.mark.parametrize("made", [made for made in SHARED if "Closed" in made.name], ids=repr)
@pytest.mark.parametrize("attribute", ["code", "reason"])
def test_deprecated_attributes(made: Made, attribute: str) -> None:
    ours, theirs = made.ours(), made.theirs()
    with pytest.warns(DeprecationWarning, match=f"ConnectionClosed.{attribute} is deprecated") as w:
        value = getattr(ours, attribute)
    assert w[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert value == getattr(theirs, attribute)


def test_close_frames_are_kept() -> None:
    rcvd, sent = Close(1000, ""), Close(1001, "")
    error = ConnectionClosed(rcvd, sent, True)
    assert (error.rcvd, error.sent, error.rcvd_then_sent) == (rcvd, sent, True)
    assert error.args == (rcvd, sent, True)


def test_a_frame_that_is_too_big_learns_what_came_before() -> None:
    ours, theirs = PayloadTooBig(5, 4), peer.PayloadTooBig(5, 4)
    for error in (ours, theirs):
        error.set_current_size(None)
        assert (error.max_size, error.current_size) == (4, None)
        error.set_current_size(6)
        assert (error.size, error.max_size, error.current_size) == (5, 10, 6)
    assert str(ours) == str(theirs)
    again = pickle.loads(pickle.dumps(ours))
    assert (again.max_size, again.current_size, str(again)) == (10, 6, str(ours))


def test_a_message_may_stand_for_the_sizes() -> None:
    error = PayloadTooBig("over the limit")
    assert str(error) == error.message == "over the limit"
    assert (error.size, error.max_size, error.current_size) == (None, None, None)
    error.set_current_size(6)
    assert str(error) == "over the limit"


def test_fragments_are_counted() -> None:
    assert TooManyFragments(7).max_fragments == 7


def test_missing_and_empty_headers() -> None:
    assert str(InvalidHeader("Name")) == "missing Name header"
    assert str(InvalidHeader("Name", "")) == "empty Name header"


def test_unsafe_headers_are_shown_escaped() -> None:
    error = exceptions.UnsafeHeader("Näme", "a\r\nb")
    assert str(error).startswith("unsafe header 'N\\xe4me': 'a\\r\\nb'; expected a token")
    assert isinstance(error, ValueError)
