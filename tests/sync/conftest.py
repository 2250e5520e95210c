"""Each test here runs once per engine, ends, and leaves no thread and no descriptor behind."""

from __future__ import annotations

import faulthandler
import gc
import os
import threading
import time
from collections.abc import Iterator

import pytest
from tests.engines import engine as engine

from wirebird.sync.reactor import reactor

LIMIT_S = 60


def descriptors() -> int:
    """How many this process has open; 0 where the system does not say."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    """Stop a test that hangs, and show where its threads are."""
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def leaves_nothing_behind(ends: None) -> Iterator[None]:
    """Count threads and descriptors before and after a test."""
    reactor()
    before = threading.active_count(), descriptors()
    yield
    deadline = time.monotonic() + 10
    while (after := (threading.active_count(), descriptors())) > before:
        assert time.monotonic() < deadline, (
            f"{before} before, {after} after: {threading.enumerate()}"
        )
        gc.collect()
        time.sleep(0.005)
