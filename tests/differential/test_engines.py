"""Both engines make the same of the same bytes, calls and times: results, hooks, output, facts.

The native engine is the Python one written again; here that is held, by random steps and by the
cases that such steps once found. ``endpoints.py`` says what is compared.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.differential.endpoints import Deflate, Setup, close_payload, run
from tests.differential.wire import Much, Piece

from wirebird.core.limits import Limits
from wirebird.core.rules import Role
from wirebird.engine import is_native_built

pytestmark = pytest.mark.skipif(
    not is_native_built(), reason="the native engine is not built: a C compiler builds it"
)

# What comes.


def frame(first: int, payload: bytes = b"", **others: Any) -> Piece:
    """A piece: what strategies call, with nothing for them to guess."""
    return Piece(first, payload, **others)


def much(unit: Any, times: int, tail: Any = b"") -> Much:
    """The same, many times."""
    return Much(unit, times, tail)


NOT_UTF_8 = [
    b"\xff", b"\x80", b"\xc0\xaf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x80\x80\x80",
    b"\xf4\x90\x80\x80", b"\xf8", b"\xe2\x82", b"\xe2(", b"\xf0\x9f\x98", b"\xf0\x9f", b"\xc3",
]  # fmt: skip
EDGES = [0, 1, 3, 4, 5, 39, 40, 41, 124, 125, 126, 127, 4095, 4096, 4097, 8191, 8192, 65535, 65536]
CLAIMS = [125, 126, 127, 65535, 65536, 2**20, 2**20 + 1, 2**22, 2**22 + 1]
CLAIMS += [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 2**63 - 1, 2**63, 2**64 - 1]

short_texts = st.text(max_size=8)
short_wrongs = st.builds(
    lambda before, wrong, after: before.encode() + wrong + after.encode(),
    short_texts,
    st.sampled_from(NOT_UTF_8),
    short_texts,
)
repeats = st.sampled_from([16, 130, 1100, *EDGES])
texts = st.one_of(short_texts, short_texts, st.builds(much, short_texts, repeats, short_texts))
encoded = short_texts.map(str.encode)
text_payloads = st.one_of(
    encoded, encoded, st.builds(much, encoded, repeats, st.one_of(encoded, short_wrongs))
)
blobs = st.one_of(
    st.binary(max_size=12), st.builds(much, st.just(b"\0"), repeats, st.binary(max_size=2))
)
payloads = st.one_of(text_payloads, short_wrongs, blobs)
halves = st.builds(
    lambda text, at: text[at:], st.one_of(encoded, encoded, short_wrongs), st.integers(-3, 3)
)

codes = st.sampled_from([1000, 1001, 1002, 1005, 1006, 1011, 1015, 3000, 4999, 999, 5000, 0])
closes = st.one_of(
    st.just(b""),
    st.binary(max_size=3),
    st.builds(close_payload, codes, short_texts.map(str.encode)),
    st.builds(close_payload, codes, st.sampled_from(NOT_UTF_8)),
    st.just(Much(b"\x0e\xa0", 1, b"a" * 123)),
)
controls = st.one_of(
    st.builds(frame, st.sampled_from([0x89, 0x8A]), st.binary(max_size=4)),
    st.builds(
        frame,
        st.sampled_from([0x89, 0x8A]),
        st.builds(much, st.just(b"\0"), st.sampled_from([125, 126])),
    ),
    st.builds(frame, st.just(0x88), closes),
)
forms = st.sampled_from([None, None, None, 7, 16, 64])
right = st.one_of(
    st.builds(frame, st.sampled_from([0x81, 0x81, 0x01]), text_payloads, form=forms),
    st.builds(frame, st.sampled_from([0x82, 0x82, 0x02]), blobs, form=forms),
    st.builds(frame, st.sampled_from([0x00, 0x80]), halves),
    controls.filter(lambda piece: piece.first != 0x88),
)
messages = st.builds(
    lambda first, kinds, last, between: [
        Piece(first, kinds[0]),
        *(frame for data in kinds[1:] for frame in (*between, Piece(0x00, data))),
        *between,
        Piece(0x80, last),
    ],
    st.sampled_from([0x01, 0x02]),
    st.lists(halves, min_size=1, max_size=3),
    halves,
    st.lists(controls.filter(lambda piece: piece.first != 0x88), max_size=1),
)
wrong = st.one_of(
    st.builds(frame, st.integers(0, 255), payloads, form=forms),
    st.builds(
        frame, st.sampled_from([0x81, 0x82, 0x89, 0x80]), blobs, is_masked_right=st.just(False)
    ),
    st.builds(
        frame,
        st.sampled_from([0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0xC1, 0xC2]),
        st.one_of(st.just(b""), payloads),
        length=st.sampled_from(CLAIMS),
        form=forms,
    ),
    st.builds(frame, st.sampled_from([0x81, 0x82, 0x88]), payloads, left_out=st.integers(1, 9)),
)
hows = st.sampled_from(
    ["deflated"] * 6 + ["truncated", "twice", "finished", "with its end", "plain"]
)
hows_within = st.sampled_from(["with its end"] * 8 + ["deflated", "truncated", "twice", "finished"])
compressible = st.one_of(payloads, st.just(Much(b"\0", 200_000)), st.just(Much(b"ab", 30)))
deflated = st.builds(frame, st.sampled_from([0xC1, 0xC2, 0xC2]), compressible, how=hows)
deflated_parts = st.builds(
    lambda first, parts, last, hows: [
        Piece(first, parts[0], how=hows[0]),
        *(Piece(0x00, part, how=hows[1]) for part in parts[1:]),
        Piece(0x80, last, how=hows[2]),
    ],
    st.sampled_from([0x41, 0x42]),
    st.lists(compressible, min_size=1, max_size=3),
    compressible,
    st.tuples(hows_within, hows_within, hows),
)


def flat(groups: list[Any]) -> list[Piece]:
    """Frames one after the other, of which some belong together."""
    frames: list[Piece] = []
    for group in groups:
        frames += [group] if isinstance(group, Piece) else group
    return frames


def frames_of(*kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Piece]]:
    """Some frames of these kinds."""
    return st.lists(st.one_of(*kinds), min_size=1, max_size=5).map(flat)


plain_frames = frames_of(right, right, right, right, right, messages, messages, controls, wrong)
deflated_frames = frames_of(
    right, deflated, deflated, deflated_parts, deflated_parts, controls, wrong
)
cuts: st.SearchStrategy[Any] = st.one_of(
    st.just([]), st.lists(st.integers(0, 300_000), max_size=5), st.none()
)
buffers = st.sampled_from(["bytes", "bytes", "bytearray", "memoryview"])

# What is said.

decodes = st.sampled_from([None, None, True, False])
kinds = st.sampled_from(
    ["as it is"] * 5
    + ["bytearray", "memoryview", "every other", "words", "str subclass", "bytes subclass"]
)
says = st.one_of(
    texts,
    blobs,
    st.sampled_from(["\ud800", "a\udfffb"]),
    st.sampled_from([Much("é", 5000), Much("a", 9000), Much(b"\0", 70_000)]),
)
compress = st.sampled_from([None, None, True, False])
fins = st.sampled_from([True, True, True, False])

says_steps = st.one_of(
    st.tuples(st.sampled_from(["text", "binary"]), kinds, says, fins, compress),
    st.tuples(st.sampled_from(["text", "binary"]), kinds, says, fins, compress),
    st.tuples(st.just("continuation"), kinds, says, fins),
    st.tuples(st.just("ping"), st.one_of(st.none(), st.sampled_from([b"", "a", bytes(126)]))),
    st.tuples(st.just("pong"), st.sampled_from([b"", "ä", bytes(125), bytes(126)])),
    st.tuples(
        st.just("close"),
        st.one_of(st.none(), codes),
        st.sampled_from(["", "", "why", "ä" * 62, "\ud800"]),
    ),
    st.tuples(
        st.just("fail"), st.sampled_from([1011, 1006, 1008, 1]), st.sampled_from(["", "é" * 99]),
        st.booleans(),
    ),
)  # fmt: skip
reads_steps = st.one_of(
    st.tuples(st.just("message"), decodes),
    st.tuples(st.just("message"), decodes),
    st.tuples(st.just("fragment"), decodes),
    st.tuples(st.just("frame")),
    st.tuples(st.just("wait"), st.sampled_from([1, 2, None]), st.booleans(), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1, 2, None]), st.booleans(), st.booleans()),
    st.tuples(st.just("stop")),
)
world_steps = st.one_of(
    st.tuples(st.just("time"), st.sampled_from([0.5, 1.5, 4.0])),
    st.tuples(st.just("deadline"), st.booleans()),
    st.tuples(st.just("holds"), st.sampled_from([0, 1, 60_000, 65_537, 400_000])),
    st.tuples(st.just("take")),
    st.tuples(st.just("take")),
    st.tuples(st.just("settle")),
    st.tuples(st.just("trace"), st.booleans()),
)
end_steps = st.one_of(st.tuples(st.just("eof")), st.tuples(st.just("lost"), st.booleans()))


def steps_with(frames: st.SearchStrategy[list[Piece]]) -> st.SearchStrategy[list[Any]]:
    """Steps in any order; mostly frames come."""
    receive = st.tuples(st.just("receive"), frames, cuts, buffers)
    some = [receive] * 4 + [reads_steps] * 3 + [says_steps, world_steps]
    return st.lists(st.one_of(*some, st.one_of(world_steps, end_steps)), min_size=1, max_size=12)


# How it is made.

hooks = st.sampled_from(
    ["ping_received", "pong_received", "close_received", "failed", "pause_reading",
     "resume_reading", "deadline_changed"]
)  # fmt: skip
reactions = st.lists(
    st.tuples(
        hooks, st.one_of(says_steps, reads_steps, st.tuples(st.sampled_from(["settle", "take"])))
    ),
    max_size=1,
).map(tuple)
# Not level 0: how it divides what it stores into blocks depends on the room that zlib is given.
deflates = st.builds(
    lambda *arguments: Deflate(*arguments),
    st.booleans(),
    st.booleans(),
    st.integers(8, 15),
    st.integers(8, 15),
    st.sampled_from([None, None, {"memLevel": 1}, {"level": 1}, {"level": 9, "strategy": 2}]),
    st.sampled_from([0, 0, 5, 1000]),
)


def setups(deflate: st.SearchStrategy[Deflate | None]) -> st.SearchStrategy[Setup]:
    """Ways to make a connection."""
    return st.builds(
        lambda **arguments: Setup(**arguments),
        role=st.sampled_from([Role.SERVER, Role.CLIENT]),
        deflate=deflate,
        max_size=st.sampled_from([None, None, 2**20, 5000, 40, 0, (9000, 100), (None, 4096)]),
        max_fragments=st.sampled_from([None, None, 131_072, 4, 1, 0]),
        max_queue=st.sampled_from([None, 16, 2, 0, (3, 1)]),
        ping_interval_s=st.sampled_from([None, 3.0]),
        ping_timeout_s=st.sampled_from([None, 2.0]),
        close_timeout_s=st.sampled_from([5.0, None]),
        write_timeout_s=st.sampled_from([7.0, None]),
        reactions=st.one_of(st.just(()), reactions),
        is_adapted=st.booleans(),
        limits=st.sampled_from(
            [
                Limits(),
                Limits(),
                Limits(messages=2),
                Limits(messages=(1, 3), frames=(2, 5), over_rate="throttle"),
                Limits(received_bytes=(50, 400), over_rate="throttle"),
                Limits(frames=(1, 6), received_bytes=1000),
            ]
        ),
    )


@settings(max_examples=1500)
@given(setups(st.none()), steps_with(plain_frames))
def test_plain(setup: Setup, steps: list[Any]) -> None:
    run(setup, steps)


@settings(max_examples=1500)
@given(setups(deflates), steps_with(deflated_frames))
def test_deflate(setup: Setup, steps: list[Any]) -> None:
    run(setup, steps)


@settings(max_examples=600)
@given(
    setups(st.one_of(st.none(), deflates)),
    st.lists(st.tuples(st.binary(max_size=60), reads_steps), max_size=6),
)
def test_any_bytes(setup: Setup, steps: list[Any]) -> None:
    """Nothing at all is known of them."""
    run(setup, flatten(steps))


def flatten(steps: list[Any]) -> list[Any]:
    flat_steps: list[Any] = []
    for data, read in steps:
        flat_steps += [("raw", data), read]
    return flat_steps


@pytest.mark.slow
@settings(max_examples=20_000)
@given(setups(st.one_of(st.none(), deflates)), steps_with(st.one_of(plain_frames, deflated_frames)))
def test_for_long(setup: Setup, steps: list[Any]) -> None:
    run(setup, steps)


# What such steps found, and edges that deserve to be met each time.

SETUPS = [
    Setup(role, deflate, max_size=size, is_adapted=is_adapted)
    for role in Role
    for deflate in (None, Deflate(False, False, 15, 15))
    for size in (None, 5000, (9000, 100))
    for is_adapted in (False, True)
]

SOME = SETUPS[::5]  # of each kind one


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("form", [None, 64])
def test_lengths_that_a_header_claims(claim: int, form: int | None) -> None:
    for setup in SOME:
        for first in (0x81, 0x82, 0x02, 0x80, 0x89, 0x88, 0xC2):
            steps: list[Any] = [
                ("receive", [Piece(first, b"abc", length=claim, form=form)], None, "bytes"),
                ("message", None),
                ("wait", None, True, False),
                ("raw", bytes(20)),
                ("fragment", None),
            ]
            run(setup, steps)


@pytest.mark.parametrize("length", EDGES)
@pytest.mark.parametrize("form", [7, 16, 64])
def test_lengths_in_each_form(length: int, form: int) -> None:
    """A length in more bytes than it needs is a violation, and so is a control frame's."""
    for setup in SETUPS:
        for first in (0x81, 0x02, 0x89, 0x88):
            steps: list[Any] = [
                ("receive", [Piece(first, b"a" * length, form=form)], [5, length], "bytes"),
                ("message", None),
            ]
            run(setup, [("wait", None, False, False), *steps])
            run(setup, steps)


@pytest.mark.parametrize("first", range(256))
def test_each_first_byte(first: int) -> None:
    """Alone, within a message of ours, and after a fragment."""
    for setup in SOME:
        for before in ([], [Piece(0x01, b"a")], [Piece(0x81, b"a")]):
            run(setup, [("receive", [*before, Piece(first, b"\x03\xe8")], None, "bytes")])


@pytest.mark.parametrize("wrong", NOT_UTF_8)
@pytest.mark.parametrize("length", [0, 1, 3, 4090, 4096, 9000])
def test_a_text_is_refused_at_each_place(wrong: bytes, length: int) -> None:
    text = "a" * length + "é"
    for end in (b"", b"b", "é".encode() * 40):
        payload = text.encode() + wrong + end
        for at in (0, length, length + 1, length + 3, len(payload)):
            parts = [Piece(0x01, payload[:at]), Piece(0x89), Piece(0x80, payload[at:])]
            for frames in ([Piece(0x81, payload)], parts, [Piece(0xC1, payload, how="deflated")]):
                for setup in SETUPS[6:12]:
                    reads: Any = ("wait", None, at % 2 == 1, False)
                    run(setup, [reads, ("receive", frames, [at, at + 6], "bytes")])


@pytest.mark.parametrize(
    "step",
    [
        # Two things are wrong with it: that it cannot be encoded is said first.
        ("continuation", "as it is", "\ud800", True),
        ("continuation", "every other", b"abcd", True),
        ("text", "every other", b"abcdef", True, None),
        ("binary", "words", b"abcdef", True, None),
    ],
)
def test_what_cannot_be_sent_now(step: tuple[Any, ...]) -> None:
    for setup in SETUPS:
        run(setup, [step, ("take",), ("text", "as it is", "a", False, None), step, ("take",)])


def test_a_text_that_is_refused_while_somebody_waits() -> None:
    """The native engine refuses it when it comes, the Python one when it is taken."""
    frames = [Piece(0x81, b"\xff"), Piece(0x81, b"after")]
    for setup in SETUPS:
        for reads in (("wait", 1, False, True), ("message", None)):
            run(setup, [reads, ("receive", frames, [], "bytes"), reads, ("settle",)])


def test_pieces_of_a_compressed_message_without_their_ends() -> None:
    frames = [Piece(0x41, how="deflated"), Piece(0x80, how="deflated")]
    for setup in SETUPS:
        run(setup, [("receive", frames, [], "bytes")])
