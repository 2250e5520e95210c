"""The fixture that runs a test once per engine; a folder's conftest.py imports it for all of it."""

from __future__ import annotations

import pytest

from wirebird.engine import ENGINES, is_native_built

__all__ = ["engine"]


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine that connections of this test run on, unless they ask for another."""
    name = str(request.param)
    if name == "native" and not is_native_built():
        pytest.skip("the native engine is not built: a C compiler, then `make test` builds it")
    monkeypatch.setenv("WIREBIRD_ENGINE", name)
    return name
