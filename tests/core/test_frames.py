"""Frames. RFC 6455, 5.2 to 5.7."""

from __future__ import annotations

import codecs
import dataclasses
import inspect
import itertools
import struct
from collections.abc import Callable, Generator
from typing import Any

import pytest
import websockets.exceptions
import websockets.frames as peer
from hypothesis import assume, given
from hypothesis import strategies as st

import wirebird.frames as facade
from wirebird.core import rules
from wirebird.core.close import Close
from wirebird.core.extensions.base import Extension
from wirebird.core.frames import (
    FIN,
    RSV1,
    RSV2,
    RSV3,
    Frame,
    Header,
    parse_header,
    serialize_header,
)
from wirebird.core.masking import apply_mask
from wirebird.core.rules import CTRL_OPCODES, DATA_OPCODES, Opcode
from wirebird.exceptions import PayloadTooBig, ProtocolError, WebSocketException

CONT, TEXT, BINARY = Opcode.CONT, Opcode.TEXT, Opcode.BINARY
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG
KEY = bytes.fromhex("37 fa 21 3d")
MASKED_HELLO = bytes.fromhex("7f 9f 4d 51 58")

LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1]

# The examples of RFC 6455, 5.7: the frame, its key, and its bytes.
EXAMPLES = [
    pytest.param(Frame(TEXT, b"Hello"), b"", "81 05 48 65 6c 6c 6f", id="text"),
    pytest.param(Frame(TEXT, b"Hello"), KEY, "81 85 37 fa 21 3d 7f 9f 4d 51 58", id="masked"),
    pytest.param(Frame(TEXT, b"Hel", fin=False), b"", "01 03 48 65 6c", id="first fragment"),
    pytest.param(Frame(CONT, b"lo"), b"", "80 02 6c 6f", id="last fragment"),
    pytest.param(Frame(PING, b"Hello"), b"", "89 05 48 65 6c 6c 6f", id="ping"),
    pytest.param(Frame(PONG, b"Hello"), KEY, "8a 85 37 fa 21 3d 7f 9f 4d 51 58", id="pong"),
    pytest.param(Frame(BINARY, b"b" * 256), b"", "82 7e 01 00" + " 62" * 256, id="256 bytes"),
    pytest.param(
        Frame(BINARY, b"b" * 65_536),
        b"",
        "82 7f 00 00 00 00 00 01 00 00" + " 62" * 65_536,
        id="64 KiB",
    ),
]

headers = st.builds(
    lambda fin, rsv, opcode, length, key: (
        (fin, rsv, opcode, length, key)
        if opcode in DATA_OPCODES
        else (True, rsv, opcode, length % 126, key)
    ),
    st.booleans(),
    st.sampled_from([a | b | c for a in (0, RSV1) for b in (0, RSV2) for c in (0, RSV3)]),
    st.sampled_from(Opcode),
    st.sampled_from(LENGTHS) | st.integers(0, 2**63 - 1) | st.integers(0, 70_000),
    st.just(b"") | st.binary(min_size=4, max_size=4),
)


def read(data: bytes) -> Callable[[int], Generator[None, None, bytes]]:
    """A read_exact that yields once for each byte it waits for."""
    rest = bytearray(data)

    def read_exact(count: int) -> Generator[None, None, bytes]:
        for _ in range(min(count, len(rest))):
            yield
        if len(rest) < count:
            raise EOFError("too short")
        taken = bytes(rest[:count])
        del rest[:count]
        return taken

    return read_exact


def finish(steps: Generator[None, None, Any]) -> Any:
    """What a coroutine made of generators returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def parse(data: bytes, **kwargs: Any) -> Frame:
    frame = finish(Frame.parse(read(data), **kwargs))
    assert isinstance(frame, Frame)
    return frame


# Headers, each whole, byte by byte, at another place, and with trailing data.


@given(headers, st.binary(max_size=8), st.binary(max_size=8), st.sampled_from([bytes, bytearray]))
def test_header_round_trip(
    fields: tuple[bool, int, Opcode, int, bytes], before: bytes, after: bytes, form: Any
) -> None:
    data = serialize_header(*fields)
    masked = bool(fields[4])
    header = parse_header(form(before + data + after), len(before), masked=masked)
    assert header == Header(*fields, len(data))
    assert type(header.opcode) is Opcode
    assert type(header.key) is bytes
    for size in range(len(data)):
        assert parse_header(form(before + data[:size]), len(before), masked=masked) is None


@pytest.mark.parametrize("key", [b"", KEY])
@pytest.mark.parametrize(
    ("length", "size"),
    [
        (0, 2), (125, 2), (126, 4), (127, 4), (65_535, 4), (65_536, 10), (2**31 - 1, 10),
        (2**31, 10), (2**32 - 1, 10), (2**32, 10), (2**63 - 1, 10),
    ],
)  # fmt: skip
def test_lengths_take_the_shortest_form(length: int, size: int, key: bytes) -> None:
    data = serialize_header(True, 0, BINARY, length, key)
    assert len(data) == size + len(key)
    assert data.endswith(key)
    header = parse_header(data, 0, masked=bool(key))
    assert header == (True, 0, BINARY, length, key, len(data))


@pytest.mark.parametrize("length", [2**63, 2**63 + 1, 2**64 - 1])
def test_lengths_with_the_most_significant_bit(length: int) -> None:
    data = b"\x82\x7f" + struct.pack("!Q", length)
    assert parse_header(data[:2], 0, masked=False) is None
    for size in range(3, len(data) + 1):
        with pytest.raises(ProtocolError, match="the most significant bit must be 0"):
            parse_header(data[:size], 0, masked=False)


def test_lengths_that_no_header_holds() -> None:
    with pytest.raises(struct.error):
        serialize_header(True, 0, BINARY, 2**64)


@pytest.mark.parametrize("length", [0, 5, 125, 126, 65_535])
def test_longer_forms_than_needed_are_taken(length: int) -> None:
    # RFC 6455, 5.2 binds who sends; refusing would not make anybody safer.
    data = b"\x82\x7f" + struct.pack("!Q", length)
    assert parse_header(data, 0, masked=False) == (True, 0, BINARY, length, b"", 10)


@pytest.mark.parametrize("opcode", range(16))
def test_opcodes(opcode: int) -> None:
    for first in range(opcode, 256, 16):
        data = bytes([first])
        if opcode not in set(Opcode):
            with pytest.raises(
                ProtocolError, match=rf"^invalid opcode: {opcode:#x}, expected 0-2 or 8-10$"
            ):
                parse_header(data, 0, masked=False)
        elif opcode >= 8 and first < FIN:
            with pytest.raises(ProtocolError, match=r"^fragmented control frame: ") as raised:
                parse_header(data, 0, masked=False)
            assert Opcode(opcode).name in str(raised.value)
        else:
            assert parse_header(data, 0, masked=False) is None
            header = parse_header(data + b"\x00", 0, masked=False)
            assert header == (first >= FIN, first & 0x70, opcode, 0, b"", 2)


@pytest.mark.parametrize("second", [0, 5, 125, 126, 127])
def test_masking_as_the_role_wants_it(second: int) -> None:
    with pytest.raises(ProtocolError, match="frames from a client must be masked"):
        parse_header(bytes([0x82, second]), 0, masked=True)
    with pytest.raises(ProtocolError, match="frames from a server must not be masked"):
        parse_header(bytes([0x82, second | 0x80]), 0, masked=False)


@pytest.mark.parametrize("opcode", CTRL_OPCODES)
@pytest.mark.parametrize("masked", [True, False])
def test_control_frames_are_short(opcode: Opcode, masked: bool) -> None:
    bit = 0x80 if masked else 0
    for second in (126, 127):
        with pytest.raises(ProtocolError, match=f"{opcode.name} with more than 125 bytes"):
            parse_header(bytes([FIN | opcode, bit | second]), 0, masked=masked)
    header = parse_header(bytes([FIN | opcode, bit | 125]) + KEY, 0, masked=masked)
    assert header is not None
    assert header.length == 125


def test_nothing_came() -> None:
    assert parse_header(b"", 0, masked=True) is None
    assert parse_header(b"\x81\x00", 2, masked=True) is None


@given(st.binary(max_size=16), st.booleans())
def test_errors_come_with_the_byte_that_is_wrong(data: bytes, masked: bool) -> None:
    def outcome(size: int) -> Any:
        try:
            return parse_header(data[:size], 0, masked=masked)
        except ProtocolError as exc:
            return str(exc)

    outcomes = [outcome(size) for size in range(len(data) + 1)]
    came = next((i for i, o in enumerate(outcomes) if o is not None), None)
    if came is not None:
        # What the first bytes say, later ones cannot change.
        assert all(o == outcomes[came] for o in outcomes[came:])
        if isinstance(outcomes[came], Header):
            assert outcomes[came].size == came
        else:
            assert came <= 3


@given(st.binary(max_size=20), st.booleans())
def test_headers_are_judged_as_websockets_judges_them(data: bytes, masked: bool) -> None:
    def outcome(frame: Any) -> Any:
        try:
            parsed = finish(frame.parse(read(data), mask=masked, max_size=125))
        except (WebSocketException, websockets.exceptions.WebSocketException) as exc:
            return type(exc).__name__
        except EOFError:
            return "EOFError"
        return dataclasses.astuple(parsed)

    ours, theirs = outcome(Frame), outcome(peer.Frame)
    if ours != theirs:
        # What can be told from the header is told before the payload came.
        assert (ours, theirs) in {
            ("ProtocolError", "EOFError"),
            ("ProtocolError", "PayloadTooBig"),
        }


# The frame as a value.


@pytest.mark.parametrize(("frame", "key", "text"), EXAMPLES)
def test_rfc_5_7(frame: Frame, key: bytes, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes.fromhex(text)
    monkeypatch.setattr("secrets.token_bytes", lambda count: KEY[:count])
    assert frame.serialize(mask=bool(key)) == data
    assert parse(data, mask=bool(key)) == frame
    header = parse_header(data, 0, masked=bool(key))
    assert header is not None
    payload = data[header.size :]
    assert (apply_mask(payload, header.key) if key else payload) == frame.data


@given(
    st.sampled_from(Opcode),
    st.binary(max_size=125) | st.integers(0, 70_000).map(bytes),
    st.booleans(),
    st.booleans(),
    st.sampled_from([bytes, bytearray, memoryview]),
)
def test_frames_round_trip_with_websockets(
    opcode: Opcode, data: bytes, fin: bool, mask: bool, form: Any
) -> None:
    if opcode in CTRL_OPCODES:
        data, fin = data[:125], True
    frame = Frame(opcode, form(data), fin)
    theirs = peer.Frame(peer.Opcode(opcode), data, fin)
    for wire in (frame.serialize(mask=mask), theirs.serialize(mask=mask)):
        assert type(wire) is bytes
        assert parse(wire, mask=mask) == Frame(opcode, data, fin)
        received = finish(peer.Frame.parse(read(wire), mask=mask))
        assert dataclasses.astuple(received) == dataclasses.astuple(theirs)


def test_masked_frames_have_a_new_key_each() -> None:
    frame = Frame(TEXT, b"Hello")
    keys = {frame.serialize(mask=True)[2:6] for _ in range(100)}
    assert len(keys) == 100


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("length", [0, 5, 125, 126, 65_535, 65_536])
def test_frames_cut_short(length: int, mask: bool) -> None:
    data = Frame(BINARY, bytes(length)).serialize(mask=mask)
    for size in {*range(min(len(data), 20)), len(data) - 1}:
        with pytest.raises(EOFError):
            parse(data[:size], mask=mask)


def test_a_frame_reads_no_byte_of_the_next() -> None:
    for length, mask in itertools.product((0, 5, 126, 65_536), (True, False)):
        frame = Frame(BINARY, bytes(length))
        read_exact = read(frame.serialize(mask=mask) + b"next")
        assert finish(Frame.parse(read_exact, mask=mask)) == frame
        assert finish(read_exact(4)) == b"next"


def test_a_payload_too_big_is_refused_by_its_header() -> None:
    data = serialize_header(True, 0, BINARY, 2**62)
    with pytest.raises(PayloadTooBig) as raised:
        parse(data, mask=False, max_size=2**20)
    assert (raised.value.size, raised.value.max_size) == (2**62, 2**20)
    assert (
        len(parse(Frame(BINARY, bytes(8)).serialize(mask=False), mask=False, max_size=8).data) == 8
    )


@pytest.mark.parametrize("bits", [RSV1, RSV2, RSV3, RSV1 | RSV3])
def test_reserved_bits(bits: int) -> None:
    data = bytes([FIN | bits | TEXT, 0])
    with pytest.raises(ProtocolError, match="reserved bits must be 0"):
        parse(data, mask=False)
    frame = Frame(TEXT, b"", True, bool(bits & RSV1), bool(bits & RSV2), bool(bits & RSV3))
    assert frame.rsv == bits
    with pytest.raises(ProtocolError, match="reserved bits must be 0"):
        frame.serialize(mask=False)


def test_check() -> None:
    for opcode in Opcode:
        Frame(opcode, bytes(125)).check()
    for opcode in DATA_OPCODES:
        Frame(opcode, bytes(126), fin=False).check()
    for opcode in CTRL_OPCODES:
        with pytest.raises(ProtocolError, match="control frame too long: 126 bytes"):
            Frame(opcode, bytes(126)).check()
        with pytest.raises(ProtocolError, match="fragmented control frame"):
            Frame(opcode, b"", fin=False).check()


class Marking(Extension):
    """Puts a mark behind each payload, and sets a bit."""

    def __init__(self, mark: bytes, bit: str, sizes: list[int | None]) -> None:
        self.mark, self.bit, self.sizes = mark, bit, sizes

    def encode(self, frame: Frame) -> Frame:
        marked = dataclasses.replace(frame, data=bytes(frame.data) + self.mark)
        setattr(marked, self.bit, True)
        return marked

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        assert bytes(frame.data).endswith(self.mark)
        assert getattr(frame, self.bit)
        self.sizes.append(max_size)
        plain = dataclasses.replace(frame, data=bytes(frame.data)[: -len(self.mark)])
        setattr(plain, self.bit, False)
        return plain


def test_extensions_are_applied_in_order_and_taken_back_in_reverse() -> None:
    sizes: list[int | None] = []
    extensions = [Marking(b"a", "rsv2", sizes), Marking(b"b", "rsv3", sizes)]
    data = Frame(TEXT, b"Hello").serialize(mask=False, extensions=extensions)
    assert data == bytes([FIN | RSV2 | RSV3 | TEXT, 7]) + b"Helloab"
    frame = parse(data, mask=False, max_size=10, extensions=extensions)
    assert frame == Frame(TEXT, b"Hello")
    assert sizes == [10, 10]
    with pytest.raises(ProtocolError, match="reserved bits"):
        parse(data, mask=False, extensions=extensions[1:])


def test_the_surface_is_that_of_websockets() -> None:
    assert [(f.name, f.default) for f in dataclasses.fields(Frame)] == [
        (f.name, f.default) for f in dataclasses.fields(peer.Frame)
    ]
    for name in ("parse", "serialize", "check"):
        ours = inspect.signature(getattr(Frame, name)).parameters.values()
        theirs = inspect.signature(getattr(peer.Frame, name)).parameters.values()
        assert [(p.name, p.kind, p.default) for p in ours] == [
            (p.name, p.kind, p.default) for p in theirs
        ]


def test_the_facade_has_the_names_of_websockets() -> None:
    assert set(peer.__all__) <= set(facade.__all__)
    assert facade.Frame is Frame
    assert facade.Close is Close
    assert facade.Opcode is rules.Opcode
    assert facade.CloseCode is rules.CloseCode
    for name in set(facade.__all__) - set(peer.__all__):
        assert getattr(facade, name) == getattr(peer, name)


# As people read it.


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame(TEXT, b"Hello"), "TEXT 'Hello' [5 bytes]"),
        (Frame(TEXT, b"a"), "TEXT 'a' [1 byte]"),
        (Frame(TEXT, b""), "TEXT '' [0 bytes]"),
        (Frame(BINARY, b""), "BINARY '' [0 bytes]"),
        (Frame(TEXT, "žluť\n".encode()), "TEXT 'žluť\\n' [7 bytes]"),
        (Frame(TEXT, b"it's"), 'TEXT "it\'s" [4 bytes]'),
        (Frame(TEXT, b"a\\x41"), "TEXT 'a\\\\x41' [5 bytes]"),
        (Frame(TEXT, b"Hel", fin=False), "TEXT 'Hel' [3 bytes, continued]"),
        (Frame(CONT, b"lo"), "CONT 'lo' [text, 2 bytes]"),
        (Frame(CONT, b"\x00", fin=False), "CONT 00 [binary, 1 byte, continued]"),
        (Frame(BINARY, b"Hello"), "BINARY 'Hello' [text, 5 bytes]"),
        (Frame(BINARY, b"\x00\xff"), "BINARY 00 ff [2 bytes]"),
        (Frame(TEXT, b"\xff"), "TEXT ff [binary, 1 byte]"),
        (Frame(TEXT, b"a\x1b[31m"), "TEXT 61 1b 5b 33 31 6d [binary, 6 bytes]"),
        (Frame(PING, b""), "PING '' [0 bytes]"),
        (Frame(PING, b"ping\n"), "PING 'ping\\n' [text, 5 bytes]"),
        (Frame(PONG, "é".encode()), "PONG c3 a9 [binary, 2 bytes]"),
        (Frame(CLOSE, b""), "CLOSE '' [0 bytes]"),
        (Frame(CLOSE, b"\x03\xe8"), "CLOSE 1000 (OK) [2 bytes]"),
        (Frame(CLOSE, b"\x03\xe9bye"), "CLOSE 1001 (going away) bye [5 bytes]"),
        (Frame(CLOSE, b"\x03"), "CLOSE 03 [binary, 1 byte]"),
        (Frame(CLOSE, b"\x03\xe8\xff"), "CLOSE 03 e8 ff [binary, 3 bytes]"),
        (Frame(CLOSE, b"\x03\xed"), "CLOSE 03 ed [binary, 2 bytes]"),
        # Fragments may be cut within a character; whole texts may not.
        (Frame(TEXT, b"a\xe2\x82", fin=False), "TEXT 'a�' [3 bytes, continued]"),
        (Frame(TEXT, b"a\xe2\x82"), "TEXT 61 e2 82 [binary, 3 bytes]"),
        (Frame(CONT, b"\xaca\xe2", fin=False), "CONT '�a�' [text, 3 bytes, continued]"),
        (Frame(CONT, b"\x82\xaca"), "CONT '��a' [text, 3 bytes]"),
        (Frame(CONT, b"\x80\x80\x80\x80"), "CONT 80 80 80 80 [binary, 4 bytes]"),
        (Frame(TEXT, b"\xaca"), "TEXT ac 61 [binary, 2 bytes]"),
    ],
)
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_str(frame: Frame, text: str, form: Any) -> None:
    frame = dataclasses.replace(frame, data=form(frame.data))
    assert str(frame) == text


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame(TEXT, b"x" * 73), f"TEXT '{'x' * 73}' [73 bytes]"),
        (Frame(TEXT, b"x" * 74), f"TEXT '{'x' * 47}...{'x' * 23}' [74 bytes]"),
        (Frame(TEXT, b"x" * 10**6), f"TEXT '{'x' * 47}...{'x' * 23}' [1000000 bytes]"),
        (Frame(BINARY, b"\x00" * 25), f"BINARY {' '.join(['00'] * 25)} [25 bytes]"),
        (
            Frame(BINARY, bytes(range(26))),
            f"BINARY {bytes(range(16)).hex(' ')} ... {bytes(range(18, 26)).hex(' ')} [26 bytes]",
        ),
        (
            Frame(BINARY, b"x" * 500 + b"\xff"),
            f"BINARY {b'x'.hex() + ' 78' * 15} ... {'78 ' * 7}ff [501 bytes]",
        ),
        (
            Frame(CLOSE, b"\x03\xe8" + b"y" * 123),
            f"CLOSE 1000 (OK) {'y' * 38}...{'y' * 24} [125 bytes]",
        ),
        (Frame(PING, b"z" * 125), f"PING '{'z' * 47}...{'z' * 23}' [text, 125 bytes]"),
        # Only both ends of a long text are looked at, which may cut characters.
        (Frame(TEXT, "€".encode() * 500), f"TEXT '{'€' * 47}...{'€' * 23}' [1500 bytes]"),
    ],
)
def test_str_of_long_payloads(frame: Frame, text: str) -> None:
    assert str(frame) == text


pieces = st.sampled_from([b"a", b"Hello ", b"\n", b"'", b"x" * 60, bytes(range(256))])
pieces |= st.sampled_from([text.encode() for text in ("é", "€", "😀", "\u200b", "\x00", "\x1b")])
pieces |= st.sampled_from([b"\x80", b"\xff", b"\xe2\x82", b"\xf0\x9f"])  # no characters


def begins_text(data: bytes) -> bool:
    """Whether a text may go on here, and go on behind it."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data.lstrip(b"\x80"))
    except UnicodeDecodeError:
        return False
    return True


@given(st.sampled_from(Opcode), st.lists(pieces, max_size=20).map(b"".join), st.booleans())
def test_str_is_that_of_websockets(opcode: Opcode, data: bytes, fin: bool) -> None:
    if opcode in CTRL_OPCODES:
        data = data[:125]
    # A fragment of nothing but continuation bytes at the beginning of a text is odd either way;
    # so is one with some behind its last character, which websockets takes for a cut one.
    assume(not data or data.strip(b"\x80"))
    end = len(data.rstrip(b"\x80"))
    assume(begins_text(data) or not any(begins_text(data[:cut]) for cut in range(end, len(data))))
    assert str(Frame(opcode, data, fin)) == str(peer.Frame(peer.Opcode(opcode), data, fin))
