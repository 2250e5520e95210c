"""The two packages that have zstd, behind one interface: Python's own from 3.14 on, and zstandard.

A ``Packer`` makes frames of one setting, an ``Unpacker`` reads frames with windows of one size.
Both are big (some hundred KB) and slow to make, and neither may be used by two threads at once. So
``borrow_packer`` and ``borrow_unpacker`` take one that nobody uses, and ``give_back`` keeps a few
for whoever comes next: an endpoint that keeps no context holds none between messages.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from ..core.types import BytesLike

try:
    _own: Any = importlib.import_module("compression.zstd")
except ImportError:
    _own = None
try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

__all__ = [
    "Packer",
    "Unpacker",
    "borrow_packer",
    "borrow_unpacker",
    "check_zstd",
    "give_back",
    "package",
    "zstd_errors",
]

_POOLED = 8  # of each setting
_POOLED_WINDOW_BITS = 18  # bigger ones hold too much


class Packer(Protocol):
    """Compresses into frames, one after the other."""

    key: tuple[type, int, int]

    def whole(self, data: BytesLike) -> bytes:
        """Return a frame of its own; between frames alone."""

    def block(self, data: BytesLike) -> bytes:
        """Return the next blocks of the frame, so that all of data can be read."""

    def last(self, data: BytesLike) -> bytes:
        """Return the last blocks of the frame."""

    def reset(self) -> None:
        """Forget the frame that was not ended."""


class Unpacker(Protocol):
    """Decompresses frames, one after the other."""

    key: tuple[type, int, int]

    def feed(self, data: BytesLike) -> bytes:
        """Return all that can be read with data, which is no more than the rest of the frame."""

    def reset(self) -> None:
        """Begin a frame."""


class _OwnPacker:
    def __init__(self, level: int, window_bits: int) -> None:
        self.key: tuple[type, int, int] = _OwnPacker, window_bits, level
        names = _own.CompressionParameter
        tables = _tables(level, window_bits)
        self._options = {
            names.compression_level: level,
            names.window_log: window_bits,
            **{getattr(names, name): bits for name, bits in tables.items()},
        }
        self.reset()

    def reset(self) -> None:
        self._stream = _own.ZstdCompressor(options=self._options)

    def whole(self, data: BytesLike) -> bytes:
        return self.last(data)

    def block(self, data: BytesLike) -> bytes:
        block: bytes = self._stream.compress(data, mode=self._stream.FLUSH_BLOCK)
        return block

    def last(self, data: BytesLike) -> bytes:
        last: bytes = self._stream.compress(data, mode=self._stream.FLUSH_FRAME)
        return last


class _OwnUnpacker:
    def __init__(self, window_bits: int) -> None:
        self.key: tuple[type, int, int] = _OwnUnpacker, window_bits, 0
        self._options = {_own.DecompressionParameter.window_log_max: window_bits}
        self.reset()

    def reset(self) -> None:
        self._stream = _own.ZstdDecompressor(options=self._options)

    def feed(self, data: BytesLike) -> bytes:
        fed: bytes = self._stream.decompress(data)
        return fed


class _Packer:
    def __init__(self, level: int, window_bits: int) -> None:
        self.key: tuple[type, int, int] = _Packer, window_bits, level
        settings = zstandard.ZstdCompressionParameters.from_level(level, window_log=window_bits)
        tables = _tables(level, window_bits)
        if tables:
            settings = zstandard.ZstdCompressionParameters.from_level(
                level,
                window_log=window_bits,
                **{name: min(bits, getattr(settings, name)) for name, bits in tables.items()},
            )
        self._compressor = zstandard.ZstdCompressor(compression_params=settings)
        self._stream: Any = None

    def reset(self) -> None:
        self._stream = None

    def whole(self, data: BytesLike) -> bytes:
        return self._compressor.compress(data)

    def block(self, data: BytesLike) -> bytes:
        stream = self._begun()
        block: bytes = stream.compress(data) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        return block

    def last(self, data: BytesLike) -> bytes:
        stream, self._stream = self._begun(), None
        last: bytes = stream.compress(data) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)
        return last

    def _begun(self) -> Any:
        if self._stream is None:
            self._stream = self._compressor.compressobj()
        return self._stream


class _Unpacker:
    def __init__(self, window_bits: int) -> None:
        self.key: tuple[type, int, int] = _Unpacker, window_bits, 0
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=1 << window_bits)
        self.reset()

    def reset(self) -> None:
        self._stream = self._decompressor.decompressobj()

    def feed(self, data: BytesLike) -> bytes:
        return self._stream.decompress(data)


def _tables(level: int, window_bits: int) -> dict[str, int]:
    """How large tables may be beside a small window; zstd clips them for data of known size alone.

    At the levels below, and for windows as large as theirs, they are as zstd has them.
    """
    if level < 3 or window_bits >= 17:
        return {}
    return {"hash_log": window_bits, "chain_log": window_bits}


def package() -> str | None:
    """Return the name of the package that is used; None where there is none."""
    if _own is not None:
        return "compression.zstd"
    return None if zstandard is None else "zstandard"


def check_zstd() -> None:
    """Raise ImportError if neither package is here."""
    if package() is None:
        raise ImportError(
            "permessage-zstd needs zstandard, or Python 3.14: pip install 'wirebird[zstd]'"
        )


def zstd_errors() -> tuple[type[Exception], ...]:
    """Return what the packages raise for data that is none."""
    return tuple(module.ZstdError for module in (_own, zstandard) if module is not None)


# What nobody uses, by its settings. One ``append`` or ``pop`` is safe between threads.
_idle: dict[tuple[type, int, int], list[Any]] = {}


def borrow_packer(level: int, window_bits: int) -> Packer:
    """Return one that nobody else uses, between frames."""
    kind = _Packer if _own is None else _OwnPacker
    return _popped((kind, window_bits, level)) or kind(level, window_bits)


def borrow_unpacker(window_bits: int) -> Unpacker:
    """Return one that nobody else uses, between frames."""
    kind = _Unpacker if _own is None else _OwnUnpacker
    return _popped((kind, window_bits, 0)) or kind(window_bits)


def give_back(item: Packer | Unpacker) -> None:
    """Keep what was borrowed for the next, unless enough are there."""
    if item.key[1] > _POOLED_WINDOW_BITS:
        return
    item.reset()
    idle = _idle.setdefault(item.key, [])
    if len(idle) < _POOLED:
        idle.append(item)


def _popped(key: tuple[type, int, int]) -> Any:
    try:
        return _idle[key].pop()
    except (KeyError, IndexError):
        return None
