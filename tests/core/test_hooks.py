"""What a connection tells whoever drives it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from tests.core.endpoint import Recorder

from wirebird.core.close import Close
from wirebird.core.hooks import Hooks

CALLS: dict[str, tuple[Any, ...]] = {
    "ping_received": (b"payload",),
    "pong_received": (b"payload", 0.1),
    "close_received": (Close(1000, ""),),
    "failed": (EOFError(),),
    "limit_exceeded": ("messages",),
    "pause_reading": (),
    "resume_reading": (),
    "deadline_changed": (),
    "abort": (),
}


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_the_hooks_are_these() -> None:
    assert public(Hooks) == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_each_does_nothing_until_it_is_overridden(name: str) -> None:
    hooks = Hooks()
    assert getattr(hooks, name)(*CALLS[name]) is None
    assert vars(hooks) == {}


def test_the_recorder_of_these_tests_overrides_each() -> None:
    recorder = Recorder()
    for name, arguments in CALLS.items():
        getattr(recorder, name)(*arguments)
    assert len(recorder.told) + len(recorder.pings) == len(CALLS)
