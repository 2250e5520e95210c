"""The types of the public signatures."""

from __future__ import annotations

import pytest
import websockets.typing as peer

import wirebird.typing
from wirebird.core import types


@pytest.mark.parametrize("name", types.__all__)
def test_the_facade_shows_the_same_objects(name: str) -> None:
    assert getattr(wirebird.typing, name) is getattr(types, name)
    assert name in wirebird.typing.__all__


@pytest.mark.parametrize("name", peer.__all__)
def test_types_are_those_of_websockets(name: str) -> None:
    ours, theirs = getattr(types, name), getattr(peer, name)
    if hasattr(theirs, "__supertype__"):
        assert ours.__supertype__ == theirs.__supertype__
        assert (ours.__name__, ours("x")) == (theirs.__name__, "x")
    elif name != "ExtensionHeader":  # it names the types above, each library its own
        assert ours == theirs
