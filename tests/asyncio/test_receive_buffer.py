"""The receive buffer that connections share."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from wirebird.asyncio import receive_buffer as module
from wirebird.asyncio.receive_buffer import receive_buffer


def test_one_for_each_loop() -> None:
    loops = [asyncio.new_event_loop() for _ in range(2)]
    try:
        first, second = map(receive_buffer, loops)
        assert len(first) == len(second) == 128 * 1024
        assert receive_buffer(loops[0]) is first
        assert first is not second
        assert not first.readonly
    finally:
        for loop in loops:
            loop.close()


def test_it_does_not_keep_its_loop() -> None:
    loop = asyncio.new_event_loop()
    receive_buffer(loop)
    loop.close()
    remembered = weakref.ref(loop)
    del loop
    gc.collect()
    assert remembered() is None


def test_a_proactor_keeps_it_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.new_event_loop()
    monkeypatch.setattr(module, "_Proactor", type(loop))
    try:
        assert receive_buffer(loop) is not receive_buffer(loop)
    finally:
        loop.close()
