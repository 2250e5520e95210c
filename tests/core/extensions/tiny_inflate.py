"""A DEFLATE reader of our own, to see what zlib does not show: how far back references go.

RFC 1951, sections 3.2.3 to 3.2.7, bit by bit and slowly.
"""

from __future__ import annotations

import dataclasses

_LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83]
_LENGTH_BASE += [99, 115, 131, 163, 195, 227, 258]
_LENGTH_EXTRA = [0] * 8 + [bits for bits in range(1, 6) for _ in range(4)] + [0]
_DISTANCE_EXTRA = [0, 0] + [bits for bits in range(14) for _ in range(2)]
_DISTANCE_BASE = [1]
for _extra in _DISTANCE_EXTRA[:-1]:
    _DISTANCE_BASE.append(_DISTANCE_BASE[-1] + 2**_extra)
_CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

Code = dict[tuple[int, int], int]


@dataclasses.dataclass
class Inflated:
    """What was in the blocks, and the largest distance of a back-reference (0 for none)."""

    data: bytearray
    largest_distance: int = 0


class NotDeflate(Exception):
    """The data does not follow RFC 1951."""


class FinalBlock(Exception):
    """A stream ends; what follows is not for this reader."""


class _Bits:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0  # in bits

    def read(self, count: int) -> int:
        value = 0
        for place in range(count):
            byte, bit = divmod(self.at, 8)
            value |= (self.data[byte] >> bit & 1) << place
            self.at += 1
        return value

    def symbol(self, code: Code) -> int:
        value = 0
        for length in range(1, 16):
            value = value << 1 | self.read(1)
            if (length, value) in code:
                return code[length, value]
        raise NotDeflate


def _huffman(lengths: list[int]) -> Code:
    code: Code = {}
    value = 0
    for length in range(1, 16):
        for symbol, its_length in enumerate(lengths):
            if its_length == length:
                code[length, value] = symbol
                value += 1
        value <<= 1
    return code


def _dynamic(bits: _Bits) -> tuple[Code, Code]:
    literals, distances, count = bits.read(5) + 257, bits.read(5) + 1, bits.read(4) + 4
    lengths = [0] * 19
    for symbol in _CODE_LENGTH_ORDER[:count]:
        lengths[symbol] = bits.read(3)
    code = _huffman(lengths)
    lengths = []
    while len(lengths) < literals + distances:
        symbol = bits.symbol(code)
        if symbol < 16:
            lengths.append(symbol)
        elif symbol == 16:
            lengths += [lengths[-1]] * (bits.read(2) + 3)
        else:
            lengths += [0] * (bits.read(3) + 3 if symbol == 17 else bits.read(7) + 11)
    return _huffman(lengths[:literals]), _huffman(lengths[literals:])


_FIXED = (
    _huffman([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8),
    _huffman([5] * 30),
)


def tiny_inflate(data: bytes) -> Inflated:
    """Read blocks that end with the data.

    Raises:
        NotDeflate: the data is none, or stops within a block.
        FinalBlock: a block is marked as the last of its stream.
    """
    bits = _Bits(data)
    result = Inflated(bytearray())
    try:
        while bits.at < 8 * len(data):
            if bits.read(1):
                raise FinalBlock
            kind = bits.read(2)
            if kind == 0:
                bits.at += -bits.at % 8
                length, complement = bits.read(16), bits.read(16)
                if length ^ complement != 0xFFFF:
                    raise NotDeflate
                result.data += bytes(bits.read(8) for _ in range(length))
            elif kind < 3:
                _inflate_block(bits, *(_FIXED if kind == 1 else _dynamic(bits)), result)
            else:
                raise NotDeflate
    except (IndexError, KeyError) as exc:
        raise NotDeflate from exc
    return result


def _inflate_block(bits: _Bits, literals: Code, distances: Code, result: Inflated) -> None:
    while (symbol := bits.symbol(literals)) != 256:
        if symbol < 256:
            result.data.append(symbol)
            continue
        length = _LENGTH_BASE[symbol - 257] + bits.read(_LENGTH_EXTRA[symbol - 257])
        symbol = bits.symbol(distances)
        distance = _DISTANCE_BASE[symbol] + bits.read(_DISTANCE_EXTRA[symbol])
        if distance > len(result.data):
            raise NotDeflate
        result.largest_distance = max(result.largest_distance, distance)
        for _ in range(length):
            result.data.append(result.data[-distance])
