"""The grammar of permessage-deflate's parameters. RFC 7692, 7.1."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import NegotiationError as PeerNegotiationError
from websockets.extensions import permessage_deflate as peer

from wirebird.core.extensions.deflate_parameters import (
    Parameters,
    check_settings,
    check_threshold,
    check_window_bits,
)
from wirebird.exceptions import (
    DuplicateParameter,
    InvalidParameterName,
    InvalidParameterValue,
    NegotiationError,
)

NAMES = Parameters._fields
FLAGS = "server_no_context_takeover", "client_no_context_takeover"
BITS = "server_max_window_bits", "client_max_window_bits"
BAD_BITS = ["", "7", "16", "08", "+8", "-8", " 8", "8 ", "8.0", "1_0", "0xa", "٨", "true", "x"]


@pytest.mark.parametrize("is_offer", [True, False])
def test_no_parameters(is_offer: bool) -> None:
    assert Parameters.parse([], is_offer=is_offer) == (False, False, None, None)
    assert Parameters().serialize() == []


@pytest.mark.parametrize("is_offer", [True, False])
def test_all_parameters(is_offer: bool) -> None:
    params = [(FLAGS[0], None), (FLAGS[1], None), (BITS[0], "8"), (BITS[1], "15")]
    parsed = Parameters.parse(params, is_offer=is_offer)
    assert parsed == (True, True, 8, 15)
    assert Parameters.parse(params[::-1], is_offer=is_offer) == parsed
    assert parsed.serialize() == params


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("bits", range(8, 16))
def test_all_windows(name: str, bits: int) -> None:
    parsed = Parameters.parse([(name, str(bits))], is_offer=True)
    assert parsed == Parameters(**{name: bits})  # type: ignore[arg-type]
    assert parsed.serialize() == [(name, str(bits))]


def test_client_max_window_bits_without_value_is_for_offers() -> None:
    parsed = Parameters.parse([(BITS[1], None)], is_offer=True)
    assert parsed.client_max_window_bits is True
    assert parsed.serialize() == [(BITS[1], None)]
    with pytest.raises(InvalidParameterValue) as raised:
        Parameters.parse([(BITS[1], None)], is_offer=False)
    assert str(raised.value) == "missing value for parameter client_max_window_bits"


@pytest.mark.parametrize("is_offer", [True, False])
def test_server_max_window_bits_has_a_value(is_offer: bool) -> None:
    with pytest.raises(InvalidParameterValue) as raised:
        Parameters.parse([(BITS[0], None)], is_offer=is_offer)
    assert str(raised.value) == "missing value for parameter server_max_window_bits"


@pytest.mark.parametrize("is_offer", [True, False])
@pytest.mark.parametrize("value", BAD_BITS)
@pytest.mark.parametrize("name", BITS)
def test_wrong_windows(name: str, value: str, is_offer: bool) -> None:
    with pytest.raises(InvalidParameterValue) as raised:
        Parameters.parse([(name, value)], is_offer=is_offer)
    assert (raised.value.name, raised.value.value) == (name, value)


@pytest.mark.parametrize("is_offer", [True, False])
@pytest.mark.parametrize("value", ["", "1", "true", "8", "15"])
@pytest.mark.parametrize("name", FLAGS)
def test_flags_have_no_value(name: str, value: str, is_offer: bool) -> None:
    with pytest.raises(InvalidParameterValue) as raised:
        Parameters.parse([(name, value)], is_offer=is_offer)
    assert (raised.value.name, raised.value.value) == (name, value)


@pytest.mark.parametrize("name", ["", "x", "server_max_window_bit", "Server_max_window_bits"])
@pytest.mark.parametrize("value", [None, "8"])
def test_unknown_names(name: str, value: str | None) -> None:
    with pytest.raises(InvalidParameterName) as raised:
        Parameters.parse([(FLAGS[0], None), (name, value)], is_offer=True)
    assert raised.value.name == name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("again", ["8", "10", None])
def test_duplicates(name: str, again: str | None) -> None:
    value = "10" if name in BITS else None
    with pytest.raises(DuplicateParameter) as raised:
        Parameters.parse([(name, value), (name, again)], is_offer=True)
    assert raised.value.name == name


values = st.sampled_from([None, "8", "9", "12", "15", *BAD_BITS])


@given(
    st.lists(st.tuples(st.sampled_from([*NAMES, *NAMES, "", "x"]), values), max_size=5),
    st.booleans(),
)
def test_the_first_wrong_one_is_named_as_websockets_names_it(
    params: list[tuple[str, str | None]], is_offer: bool
) -> None:
    def outcome(parse: Any, **role: bool) -> Any:
        try:
            return tuple(parse(params, **role))
        except (NegotiationError, PeerNegotiationError) as exc:
            return type(exc).__name__, str(exc)

    expected = outcome(peer._extract_parameters, is_server=is_offer)
    assert outcome(Parameters.parse, is_offer=is_offer) == expected


@pytest.mark.parametrize("bits", [-1, 0, 7, 16, True, False])
def test_check_window_bits(bits: int) -> None:
    with pytest.raises(ValueError, match=rf"^some_bits must be between 8 and 15, got {bits}$"):
        check_window_bits("some_bits", bits)
    check_window_bits("some_bits", 8)
    check_window_bits("some_bits", 15)


def test_check_settings() -> None:
    check_settings(None, instead_of_wbits="other")
    check_settings({}, instead_of_wbits="other")
    check_settings({"level": 9, "memLevel": 1, "strategy": 2}, instead_of_wbits="other")
    with pytest.raises(ValueError, match="must not include wbits; set other"):
        check_settings({"wbits": 15}, instead_of_wbits="other")
    with pytest.raises(ValueError):
        check_settings({"memLevel": 10}, instead_of_wbits="other")
    with pytest.raises(TypeError):
        check_settings({"memory": 5}, instead_of_wbits="other")


def test_check_threshold() -> None:
    check_threshold(0)
    with pytest.raises(ValueError, match="threshold must not be negative, got -1"):
        check_threshold(-1)
