"""What an extension is, and what it must say for itself."""

from __future__ import annotations

import inspect
from typing import cast

import pytest
import websockets.extensions.base as peer

from wirebird.core.extensions import base
from wirebird.core.extensions.base import ClientExtensionFactory, Extension, ServerExtensionFactory
from wirebird.core.frames import RSV1, RSV2, RSV3, Frame
from wirebird.core.rules import Opcode

FRAME = Frame(Opcode.TEXT, b"Hello")


def test_an_extension_may_use_all_bits_unless_it_says_less() -> None:
    assert Extension.first_frame_rsv == RSV1 | RSV2 | RSV3
    assert Extension.other_frame_rsv == RSV1 | RSV2 | RSV3


def test_an_extension_sees_every_message_unless_it_says_otherwise() -> None:
    assert Extension.may_skip is False


class Bare:
    """An extension that inherits from nothing."""

    name = "x-bare"


class Outspoken(Bare):
    first_frame_rsv, other_frame_rsv = RSV2, RSV3
    may_skip = True


def test_an_extension_need_not_inherit() -> None:
    bare, outspoken = cast(Extension, Bare()), cast(Extension, Outspoken())
    assert base.rsv_bits(bare) == (Extension.first_frame_rsv, Extension.other_frame_rsv)
    assert not base.may_skip(bare)
    assert base.rsv_bits(outspoken) == (RSV2, RSV3)
    assert base.may_skip(outspoken)


def test_methods_are_to_be_overridden() -> None:
    for call in (
        lambda: Extension().decode(FRAME),
        lambda: Extension().decode(FRAME, max_size=1),
        lambda: Extension().encode(FRAME),
        lambda: ClientExtensionFactory().get_request_params(),
        lambda: ClientExtensionFactory().process_response_params([], []),
        lambda: ServerExtensionFactory().process_request_params([], []),
    ):
        with pytest.raises(NotImplementedError):
            call()


@pytest.mark.parametrize("name", peer.__all__)
def test_methods_and_parameters_are_those_of_websockets(name: str) -> None:
    ours, theirs = getattr(base, name), getattr(peer, name)
    for method, function in inspect.getmembers(theirs, inspect.isfunction):
        expected = inspect.signature(function).parameters.values()
        actual = inspect.signature(getattr(ours, method)).parameters.values()
        assert [(p.name, p.kind, p.default) for p in actual] == [
            (p.name, p.kind, p.default) for p in expected
        ]


@pytest.mark.parametrize(
    ("may_skip", "first_rsv", "expected"),
    [(True, RSV1, True), (True, 0, False), (False, RSV1, False)],
)
def test_who_leaves_unmarked_messages_alone(may_skip: bool, first_rsv: int, expected: bool) -> None:
    extension = Outspoken()
    extension.may_skip, extension.first_frame_rsv = may_skip, first_rsv
    assert base.leaves_unmarked_alone(cast(Extension, extension)) is expected
