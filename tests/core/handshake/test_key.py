"""The key of a handshake and its answer."""

from __future__ import annotations

import base64

import websockets.utils
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.handshake.key import accept_key, generate_key


def test_the_example_of_the_rfc() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_key_is_sixteen_bytes_in_base64() -> None:
    asked = []

    def draw(number: int) -> bytes:
        asked.append(number)
        return b"the sample nonce"

    assert generate_key(random_bytes=draw) == "dGhlIHNhbXBsZSBub25jZQ=="
    assert asked == [16]


def test_keys_differ() -> None:
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}


@given(st.binary(min_size=16, max_size=16))
def test_answers_are_those_of_websockets(raw_key: bytes) -> None:
    key = generate_key(random_bytes=lambda _: raw_key)
    assert accept_key(key) == websockets.utils.accept_key(key)
