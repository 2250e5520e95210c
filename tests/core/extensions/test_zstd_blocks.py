"""Where blocks of zstd frames end, wherever they are cut, and what is refused. RFC 8878, 3.1.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.core.extensions.zstd_blocks import MAX_BLOCK_BYTES, ZstdBlocks
from wirebird.exceptions import ProtocolError

MAGIC = b"\x28\xb5\x2f\xfd"
# A window of 1 KB, no content size, no checksum.
HEAD = MAGIC + b"\x00\x00"


def block(kind: int, size: int, content: bytes, *, last: bool = False) -> bytes:
    return (size << 3 | kind << 1 | last).to_bytes(3, "little") + content


def raw(content: bytes, *, last: bool = False) -> bytes:
    return block(0, len(content), content, last=last)


def ends(data: bytes, blocks: ZstdBlocks, at: int = 0) -> list[int]:
    """Where it stops in data."""
    found = []
    while at < len(data):
        at = blocks.next_end(data, at, 0)
        found.append(at)
    return found


FRAME = HEAD + raw(b"abc") + block(1, 500, b"x") + raw(b"") + raw(b"de", last=True)


def test_each_block_ends_where_it_does() -> None:
    blocks = ZstdBlocks(10)
    assert blocks.is_between_frames
    assert blocks.is_between_blocks
    assert ends(FRAME, blocks) == [12, 16, 19, 24]
    assert blocks.is_between_frames
    assert ends(FRAME, blocks) == [12, 16, 19, 24]


@given(st.lists(st.integers(0, 2 * len(FRAME)), max_size=12).map(sorted))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    data = FRAME * 2
    blocks = ZstdBlocks(10)
    borders = {12, 16, 19, 24, 36, 40, 43, 48, 0, 6, 30}
    begin = 0
    for cut in [*cuts, len(data)]:
        ends(data[begin:cut], blocks)
        begin = cut
        assert blocks.is_between_blocks is (cut in borders)
        assert blocks.is_between_frames is (cut in {0, 24, 48})


def test_a_checksum_belongs_to_the_last_block() -> None:
    blocks = ZstdBlocks(10)
    data = MAGIC + b"\x04\x00" + raw(b"abc", last=True) + b"1234"
    assert ends(data[:-1], blocks) == [12, 15]
    assert not blocks.is_between_blocks
    assert ends(data[-1:], blocks) == [1]
    assert blocks.is_between_frames


@pytest.mark.parametrize(
    ("descriptor", "window"),
    [
        (0x00, 1 << 10),
        (0x07, (1 << 10) + 7 * 128),
        (0x38, 1 << 17),
        (0xA0, 1 << 30),
        (0xFF, 15 << 38),
    ],
)
def test_windows(descriptor: int, window: int) -> None:
    """As large as what was agreed on, and not a byte more."""
    head = MAGIC + bytes([0, descriptor])
    bits = (window - 1).bit_length()
    ends(head, ZstdBlocks(bits))
    with pytest.raises(ProtocolError, match=f"a window of {window} bytes"):
        ends(head, ZstdBlocks(bits - 1))


@pytest.mark.parametrize(
    ("flags", "size", "window"),
    [
        (0x20, b"\xff", 255),
        (0x60, b"\x00\x03", 1024),
        (0xA0, b"\x00\x04\x00\x00", 1024),
        (0xE0, b"\x00\x04" + bytes(6), 1024),
    ],
)
def test_a_single_segment_is_its_own_window(flags: int, size: bytes, window: int) -> None:
    data = MAGIC + bytes([flags]) + size + raw(b"a" * 200)
    assert ends(data, ZstdBlocks(10)) == [len(data)]
    too_long = MAGIC + bytes([flags]) + b"\xff" * len(size)
    if window == 1024:
        with pytest.raises(ProtocolError, match="at most 1024 were agreed on"):
            ends(too_long, ZstdBlocks(10))


def test_dictionaries_are_refused() -> None:
    for flags, field in ((1, b"\x01"), (2, b"\x00\x01"), (3, b"\x00\x00\x00\x01")):
        data = MAGIC + bytes([flags]) + b"\x00" + field
        with pytest.raises(ProtocolError, match="dictionary"):
            ends(data, ZstdBlocks(10))
        none = MAGIC + bytes([flags]) + b"\x00" + bytes(len(field)) + raw(b"a")
        assert ends(none, ZstdBlocks(10)) == [len(none)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x27",
        b"\x28\xb5\x2f\xfc",
        b"\x50\x2a\x4d\x18\x00\x00\x00\x00",  # a frame to be skipped
        b"\x25\xb5\x2f\xfd",  # before 1.0
    ],
)
def test_what_is_no_frame_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a zstd frame"):
        ends(data, ZstdBlocks(24))


def test_what_is_no_block() -> None:
    for wrong in (block(3, 0, b""), block(0, 1025, b""), block(1, 1025, b""), block(2, 1025, b"")):
        with pytest.raises(ProtocolError, match="not a zstd block"):
            ends(HEAD + wrong, ZstdBlocks(24))
    big = MAGIC + b"\x00\x70"  # a window of 16 MB: its blocks are no larger for that
    ends(big + block(1, MAX_BLOCK_BYTES, b"x"), ZstdBlocks(24))
    with pytest.raises(ProtocolError, match="not a zstd block"):
        ends(big + block(1, MAX_BLOCK_BYTES + 1, b"x"), ZstdBlocks(24))


def test_blocks_that_give_nothing_are_counted() -> None:
    blocks = ZstdBlocks(10)
    assert len(ends(HEAD + raw(b"") * 1024, blocks)) == 1024
    with pytest.raises(ProtocolError, match="too many blocks"):
        ends(raw(b""), blocks)
    blocks = ZstdBlocks(10)
    ends(HEAD + raw(b"") * 1024, blocks)
    blocks.begin_fragment()
    ends(raw(b"") * 1024, blocks)
    blocks.next_end(raw(b""), 0, 32)  # what was given earns another
    with pytest.raises(ProtocolError, match="too many blocks"):
        blocks.next_end(raw(b""), 0, 32)
