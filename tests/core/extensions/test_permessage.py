"""What all per-message compressions share. RFC 7692, 5 and 6."""

from __future__ import annotations

import functools

import pytest

from wirebird.core.extensions.permessage import PerMessageCompression, runs_by_codec
from wirebird.core.extensions.permessage_deflate import PerMessageDeflate
from wirebird.core.frames import Frame
from wirebird.core.rules import Opcode
from wirebird.core.types import BytesLike, ExtensionName
from wirebird.engine import connection_class, is_native_built
from wirebird.exceptions import ProtocolError


class Backwards:
    """A codec that shows what it was given."""

    def deflate(self, data: BytesLike, final: bool) -> bytes:
        return bytes(data)[::-1] + (b"." if final else b",")

    def inflate(self, data: BytesLike, final: bool, max_size: int | None = None) -> bytes:
        assert bytes(data)[-1:] == (b"." if final else b",")
        return bytes(data)[-2::-1]


class PerMessageBackwards(PerMessageCompression):
    """A compression of a third party: all that is particular is in its codec."""

    name = ExtensionName("permessage-backwards")

    @functools.cached_property
    def _inflater(self) -> Backwards:
        return Backwards()

    @functools.cached_property
    def _deflater(self) -> Backwards:
        return Backwards()


def test_whole_messages_and_fragments() -> None:
    one, other = PerMessageBackwards(), PerMessageBackwards()
    for frame in (
        Frame(Opcode.TEXT, b"abc"),
        Frame(Opcode.BINARY, b"", fin=False),
        Frame(Opcode.PING, b"between"),
        Frame(Opcode.CONT, b"def", fin=False),
        Frame(Opcode.CONT, b"ghi"),
        Frame(Opcode.CLOSE, b"\x03\xe8"),
    ):
        encoded = one.encode(frame)
        is_first = frame.opcode in (Opcode.TEXT, Opcode.BINARY)
        assert encoded.rsv1 is is_first
        assert (encoded.data == frame.data) is (frame.opcode >= Opcode.CLOSE)
        assert other.decode(encoded) == frame


def test_the_threshold_is_for_messages_in_one_frame() -> None:
    extension = PerMessageBackwards()
    extension.threshold = 3
    assert extension.encode(Frame(Opcode.TEXT, b"ab")) == Frame(Opcode.TEXT, b"ab")
    assert extension.encode(Frame(Opcode.TEXT, b"abc")).rsv1
    assert extension.encode(Frame(Opcode.TEXT, b"", fin=False)).rsv1
    assert not extension.encode(Frame(Opcode.CONT, b"a")).rsv1


def test_rsv1_is_for_first_frames() -> None:
    extension = PerMessageBackwards()
    extension.decode(Frame(Opcode.TEXT, b"a,", fin=False, rsv1=True))
    with pytest.raises(ProtocolError, match="RSV1 in a continuation frame"):
        extension.decode(Frame(Opcode.CONT, b"a.", rsv1=True))


class Own(PerMessageBackwards):
    """Does something of its own with frames."""

    def encode(self, frame: Frame) -> Frame:
        return frame


class OwnBits(PerMessageBackwards):
    other_frame_rsv = 0x20


def test_whose_frames_an_engine_may_do() -> None:
    assert runs_by_codec(PerMessageBackwards())
    assert runs_by_codec(PerMessageDeflate(False, False, 15, 15))
    assert not runs_by_codec(Own())
    assert not runs_by_codec(OwnBits())
    if is_native_built():
        python = connection_class("python")
        native = connection_class("native")
        assert connection_class("native", [PerMessageBackwards()]) is native is not python
        for others in ([Own()], [OwnBits()], [PerMessageBackwards(), PerMessageBackwards()]):
            assert connection_class("native", others) is python


def test_by_default_nothing_is_shared() -> None:
    assert PerMessageBackwards().sharing_key() is None
