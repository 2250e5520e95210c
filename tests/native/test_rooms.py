"""Rooms that all connections share: whoever runs in the middle of a message has one of his own.

Keys are drawn, and frames are told of, by functions of Python's. Another thread may run meanwhile,
or these functions themselves may use another connection.
"""

from __future__ import annotations

from typing import Any

import pytest

from wirebird.core.extensions.permessage_deflate import PerMessageDeflate
from wirebird.engine import connection_class, is_native_built
from wirebird.protocol import Side

pytestmark = pytest.mark.skipif(
    not is_native_built(), reason="the native engine is not built: a C compiler"
)


def make(side: Side, **arguments: Any) -> Any:
    deflate = PerMessageDeflate(False, False, 15, 15)
    return connection_class("native")(side, extensions=[deflate], max_size=None, **arguments)


def pass_on(sender: Any, receiver: Any) -> None:
    for chunk in sender.data_to_send():
        receiver.receive_data(chunk, 0.0)


@pytest.mark.parametrize("size", [10, 1000, 400_000])
def test_another_compresses_while_a_key_is_drawn(size: int) -> None:
    other = make(Side.SERVER)

    def random_bytes(n: int) -> bytes:
        other.send_text("something else " * size)
        return bytes(n)

    sender, receiver = make(Side.CLIENT, random_bytes=random_bytes), make(Side.SERVER)
    for number in range(600):  # keys are drawn in blocks
        sender.send_text(f"{number} " * 10 if number else "mine " * size)
        pass_on(sender, receiver)
        assert receiver.next_message() == (f"{number} " * 10 if number else "mine " * size)


@pytest.mark.parametrize("size", [10, 1000, 400_000])
def test_another_inflates_while_a_frame_is_told_of(size: int) -> None:
    others, other = make(Side.CLIENT), make(Side.SERVER)
    told = []

    def trace(sent: bool, frame: Any) -> None:
        told.append(sent)
        others.send_text("something else " * size)
        pass_on(others, other)
        assert other.next_message() == "something else " * size

    sender, receiver = make(Side.CLIENT), make(Side.SERVER)
    receiver.trace = trace
    for message in ("mine " * size, "short", "mine again " * size):
        sender.send_text(message)
        sender.send_text(message, fin=False)
        sender.send_fragment(message, fin=True)
        pass_on(sender, receiver)
        assert [receiver.next_message(), receiver.next_message()] == [message, message * 2]
    assert told
