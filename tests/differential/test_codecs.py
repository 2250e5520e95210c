"""Both engines make the same of messages that brotli and zstd compress.

Their codecs are the same Python on both; what differs is who cuts the frames, counts what is left
of the limit, and puts the pieces together.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.differential.endpoints import Other, Setup, run
from tests.differential.test_engines import deflated_frames, setups, steps_with
from tests.differential.wire import Much, Piece

from wirebird.core.rules import Role
from wirebird.engine import is_native_built

pytestmark = pytest.mark.skipif(
    not is_native_built(), reason="the native engine is not built: a C compiler builds it"
)

KINDS = [Other("brotli"), Other("zstd", True), Other("zstd", False), Other("zstd", True, 100)]


@settings(max_examples=250)
@given(setups(st.sampled_from(KINDS)), steps_with(deflated_frames))
def test_any_steps(setup: Setup, steps: list[Any]) -> None:
    run(setup, steps)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("is_adapted", [False, True])
@pytest.mark.parametrize("role", Role)
def test_what_each_day_brings(kind: Other, is_adapted: bool, role: Role) -> None:
    """Whole messages, fragments with pings between them, empty ones, bombs, and replies."""
    setup = Setup(role, kind, max_size=150_000, is_adapted=is_adapted)
    some = [
        Piece(0xC1, "été".encode() * 50, how="deflated"),
        Piece(0xC2, b"", how="deflated"),
        Piece(0x42, b"abc" * 200, how="with its end"),
        Piece(0x89, b"ping"),
        Piece(0x00, b"", how="with its end"),
        Piece(0x80, b"def" * 200, how="deflated"),
        Piece(0x82, b"not compressed"),
        Piece(0xC2, Much(b"\0", 150_000), how="deflated"),
        Piece(0xC2, Much(b"\0", 150_001), how="deflated"),
    ]
    for cuts in ([], [7, 30, 200], list(range(0, 2000, 3))):
        run(setup, [("wait", None, False, False), ("receive", some, cuts, "bytes")])
        steps: list[Any] = [("receive", some, cuts, "bytes")]
        for text in ("a reply", "", "é" * 5000):
            steps += [
                ("text", "as it is", text, True, None),
                ("text", "as it is", text, True, False),
            ]
            steps += [("binary", "memoryview", b"in two", False, None)]
            steps += [("continuation", "bytearray", b" parts", True), ("message", None)]
        run(setup, [*steps, ("take",), *[("message", None)] * 8])


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("how", ["truncated", "twice"])
def test_what_is_wrong_is_said_alike(kind: Other, how: str) -> None:
    for first in (0xC1, 0xC2):
        for after in (Piece(0x81, b"after"), Piece(0x80, b"after")):
            frames = [Piece(first, b"wrong " * 99, how=how), after]
            for is_adapted in (False, True):
                setup = Setup(deflate=kind, is_adapted=is_adapted)
                run(setup, [("receive", frames, [9], "bytes"), ("message", None), ("settle",)])
