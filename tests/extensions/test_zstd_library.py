"""What is kept of zstd's big objects between messages, and that either package makes the same."""

from __future__ import annotations

import pytest
from tests.extensions.codecs import ZSTD_PACKAGES, with_zstd_of

from wirebird.extensions import zstd_library
from wirebird.extensions.zstd_library import borrow_packer, borrow_unpacker, give_back, package


@pytest.fixture(params=ZSTD_PACKAGES, autouse=True)
def _package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    with_zstd_of(request.param, monkeypatch)


def test_what_is_given_back_is_lent_again() -> None:
    packer, unpacker = borrow_packer(3, 15), borrow_unpacker(15)
    assert borrow_packer(3, 15) is not packer
    give_back(packer)
    give_back(unpacker)
    assert borrow_packer(3, 14) is not packer
    assert borrow_packer(1, 15) is not packer
    assert borrow_packer(3, 15) is packer
    assert borrow_unpacker(15) is unpacker


def test_what_was_begun_is_forgotten() -> None:
    packer, unpacker = borrow_packer(3, 15), borrow_unpacker(15)
    unpacker.feed(packer.block(b"somebody's secret"))
    packer.block(b"and another")
    give_back(packer)
    give_back(unpacker)
    whole = borrow_packer(3, 15).whole(b"hello")
    assert b"secret" not in whole
    assert borrow_unpacker(15).feed(whole) == b"hello"


def test_few_are_kept_and_no_big_ones() -> None:
    for packer in [borrow_packer(1, 15) for _ in range(20)]:
        give_back(packer)
    assert [len(kept) for kept in zstd_library._idle.values()] == [8]
    give_back(borrow_packer(1, 20))
    give_back(borrow_unpacker(24))
    assert len(zstd_library._idle) == 1


@pytest.mark.parametrize("level", [1, 3, 9, 19])
@pytest.mark.parametrize("window_bits", [10, 15, 17])
def test_frames_ask_for_no_more_than_their_window(level: int, window_bits: int) -> None:
    data = bytes(range(256)) * 2000
    for make in ("whole", "last"):
        packed = getattr(borrow_packer(level, window_bits), make)(data)
        assert borrow_unpacker(window_bits).feed(packed) == data


def test_the_packages_read_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = borrow_packer(3, 12).whole(b"hello " * 999)
    for module in ZSTD_PACKAGES:
        with_zstd_of(module, monkeypatch)
        assert package() == ("zstandard" if module == "zstandard" else "compression.zstd")
        assert borrow_unpacker(12).feed(packed) == b"hello " * 999
