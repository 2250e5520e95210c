"""Big bytes objects are used again only once nobody else holds them."""

from __future__ import annotations

import pytest
from tests.attacks.raw import BINARY, frame

from wirebird.core.rules import Role
from wirebird.engine import connection_class, is_native_built

pytestmark = pytest.mark.skipif(
    not is_native_built(), reason="the native engine is not built: `make test` builds it"
)

SIZES = (16 * 1024, 60_000, 65_536, 1_000_000)


def received(payload: bytes) -> bytes:
    """A message as its reader gets it."""
    core = connection_class("native", [])(Role.SERVER, now=0.0)
    core.receive_data(frame(BINARY, payload), 0.0)
    message = core.next_message(now=0.0)
    assert isinstance(message, bytes)
    return message


@pytest.mark.parametrize("size", SIZES)
def test_a_message_that_is_held_never_changes(size: int) -> None:
    held = [received(bytes([i]) * size) for i in range(20)]
    views = [memoryview(received(bytes([i]) * size)) for i in range(20, 40)]
    for i in range(100):
        assert received(bytes([i]) * size) == bytes([i]) * size
    assert held == [bytes([i]) * size for i in range(20)]
    assert [bytes(view) for view in views] == [bytes([i]) * size for i in range(20, 40)]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_has_its_own_hash_and_length(size: int) -> None:
    for i in range(20):
        for length in (size, size - 1, size * 3 // 4):
            payload = bytes([i]) * length
            message = received(payload)
            assert len(message) == length
            assert hash(message) == hash(payload)
            assert message == payload


def test_memory_is_used_again() -> None:
    seen = set()
    for i in range(50):
        message = received(bytes([i]) * 1_000_000)
        seen.add(id(message))
        del message
    assert len(seen) <= 4
