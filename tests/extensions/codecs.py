"""Pairs of codecs, and what is sent through them."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable

import pytest

from wirebird.core.extensions.permessage import MessageDeflater, MessageInflater
from wirebird.extensions import zstd_library
from wirebird.extensions.brotli_codec import BrotliDeflater, BrotliInflater
from wirebird.extensions.zstd_codec import ZstdDeflater, ZstdInflater

__all__ = ["CODECS", "ZSTD_PACKAGES", "Codec", "with_zstd_of"]


@dataclasses.dataclass(frozen=True)
class Codec:
    """How the two of a connection are made, alike at both ends."""

    name: str
    deflater: Callable[[], MessageDeflater]
    inflater: Callable[[], MessageInflater]
    keeps_context: bool = False
    package: str = ""

    def __str__(self) -> str:
        return self.name


# Python's own came with 3.14, and can be had for versions before it.
OWN_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
ZSTD_PACKAGES = ["zstandard", OWN_ZSTD]


def _zstd(bits: int, keeps: bool, level: int) -> list[Codec]:
    return [
        Codec(
            f"zstd {bits} {keeps} {level} {package}",
            lambda: ZstdDeflater(bits, keeps, level),
            lambda: ZstdInflater(bits, keeps),
            keeps,
            package,
        )
        for package in ZSTD_PACKAGES
    ]


def _brotli(quality: int, bits: int) -> Codec:
    settings = {"quality": quality, "lgwin": bits}
    return Codec(f"brotli {quality} {bits}", lambda: BrotliDeflater(settings), BrotliInflater)


CODECS = [
    _brotli(5, 18),
    _brotli(0, 10),
    _brotli(9, 24),
    *_zstd(15, True, 3),
    *_zstd(15, False, 3),
    *_zstd(10, True, 1),
    *_zstd(17, False, 9),
]


def with_zstd_of(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let zstd come from zstandard, or from a module like the one that Python 3.14 has."""
    own = None if module == "zstandard" else importlib.import_module(module)
    monkeypatch.setattr(zstd_library, "_own", own)
    monkeypatch.setattr(zstd_library, "_idle", {})
