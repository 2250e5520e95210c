"""Small extensions, as third parties write them: nothing of ours is inherited but the interface."""

from __future__ import annotations

import dataclasses

from wirebird.core.extensions.base import Extension
from wirebird.core.frames import Frame
from wirebird.core.rules import CTRL_OPCODES, Opcode
from wirebird.core.types import ExtensionName
from wirebird.exceptions import PayloadTooBig, ProtocolError


class Rot(Extension):
    """Turns each byte of data frames by 13, and says so with RSV2 in every one of them."""

    name = ExtensionName("x-rot")

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        if frame.opcode in CTRL_OPCODES:
            return frame
        if not frame.rsv2:
            raise ProtocolError("not turned")
        data = bytes((octet - 13) % 256 for octet in frame.data)
        return dataclasses.replace(frame, data=data, rsv2=False)

    def encode(self, frame: Frame) -> Frame:
        if frame.opcode in CTRL_OPCODES:
            return frame
        data = bytes((octet + 13) % 256 for octet in frame.data)
        return dataclasses.replace(frame, data=data, rsv2=True)


class Twice(Extension):
    """Says everything twice, control frames too, and marks no frame; it does not look at limits."""

    name = ExtensionName("x-twice")
    first_frame_rsv = 0
    other_frame_rsv = 0
    may_skip = True

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        return dataclasses.replace(frame, data=bytes(frame.data) * 2)

    def encode(self, frame: Frame) -> Frame:
        if frame.opcode is Opcode.CLOSE:
            return frame
        return dataclasses.replace(frame, data=bytes(frame.data) * 2)


class Failing(Extension):
    """Fails for frames of these opcodes."""

    name = ExtensionName("x-failing")

    def __init__(self, *opcodes: Opcode) -> None:
        self.opcodes = opcodes

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        return frame

    def encode(self, frame: Frame) -> Frame:
        if frame.opcode in self.opcodes:
            raise LookupError(f"no word for {frame.opcode.name}")
        return frame


class Marked:
    """Marks each frame with RSV3, control frames too, and inherits from nothing."""

    name = ExtensionName("x-marked")

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        if not frame.rsv3:
            raise ProtocolError("not marked")
        return dataclasses.replace(frame, rsv3=False)

    def encode(self, frame: Frame) -> Frame:
        return dataclasses.replace(frame, rsv3=True)


class Broken(Marked):
    """Has a mistake."""

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        raise LookupError("a mistake")


class Bounded(Extension):
    """Refuses what is longer than it was told to give."""

    name = ExtensionName("x-bounded")

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        if max_size is not None and len(frame.data) * 10 > max_size:
            raise PayloadTooBig(None, max_size)
        return dataclasses.replace(frame, data=bytes(frame.data) * 10)

    def encode(self, frame: Frame) -> Frame:
        return frame
