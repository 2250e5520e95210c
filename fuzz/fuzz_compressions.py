"""Fuzzes what brotli and zstd are given by a peer: payloads, cut anywhere, of many messages.

    python fuzz/fuzz_compressions.py [-max_total_time=60] [corpus]

The first byte of an input chooses the codec; then come fragments, each a byte that says how long it
is and whether it ends a message. What must hold:

- nothing is raised but PayloadTooBig and ProtocolError;
- no fragment gives more than its limit;
- cut in two, a fragment gives the same, or is refused as well;
- what is compressed again comes back.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports():
    from wirebird.core.extensions.permessage import MessageInflater
    from wirebird.exceptions import PayloadTooBig, ProtocolError
    from wirebird.extensions.brotli_codec import BrotliDeflater, BrotliInflater
    from wirebird.extensions.zstd_codec import ZstdDeflater, ZstdInflater

LIMIT = 10_000
BROTLI = {"quality": 1, "lgwin": 10}


def inflater(choice: int) -> MessageInflater:
    if choice % 3 == 0:
        return BrotliInflater()
    return ZstdInflater(10 + choice % 8, choice % 3 == 1)


def fragments(data: bytes) -> list[tuple[bytes, bool]]:
    found, at = [], 0
    while at < len(data):
        length = data[at] >> 1
        found.append((data[at + 1 : at + 1 + length], bool(data[at] & 1)))
        at += 1 + length
    return found


def inflated(codec: MessageInflater, payload: bytes, final: bool, cut: int | None) -> bytes | None:
    """What a fragment gives, whole or in two; None where it is refused."""
    try:
        if cut is None:
            return codec.inflate(payload, final, LIMIT)
        first = codec.inflate(payload[:cut], False, LIMIT)
        return first + codec.inflate(payload[cut:], final, LIMIT - len(first))
    except (PayloadTooBig, ProtocolError):
        return None


def compressed_again(data: bytes, choice: int) -> None:
    if choice % 3 == 0:
        payload = BrotliDeflater(BROTLI).deflate(data, True)
    else:
        payload = ZstdDeflater(10 + choice % 8, choice % 3 == 1, 1).deflate(data, True)
    assert inflater(choice).inflate(payload, True, len(data)) == data


def fuzz(data: bytes) -> None:
    if not data:
        return
    choice = data[0]
    whole, cut = inflater(choice), inflater(choice)
    for payload, final in fragments(data[1:]):
        given = inflated(whole, payload, final, None)
        assert inflated(cut, payload, final, len(payload) // 2) == given
        if given is None:
            return
        assert len(given) <= LIMIT
    compressed_again(data, choice)


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
