"""Which engine runs a connection."""

from __future__ import annotations

import pytest

from wirebird.core.connection import Connection
from wirebird.engine import ENGINES, connection_class, engine_name
from wirebird.protocol import Protocol, Side


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WIREBIRD_ENGINE", raising=False)


def test_python_is_there_everywhere() -> None:
    assert ENGINES == ("python", "native")
    assert engine_name("python") == "python"
    assert issubclass(connection_class("python"), Connection)
    assert engine_name() in ENGINES


def test_the_environment_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIREBIRD_ENGINE", "python")
    assert engine_name() == "python"
    monkeypatch.setenv("WIREBIRD_ENGINE", "")
    assert engine_name() in ENGINES
    monkeypatch.setenv("WIREBIRD_ENGINE", "steam")
    with pytest.raises(ValueError, match="unknown engine: 'steam', expected one of python, native"):
        engine_name()
    assert engine_name("python") == "python"  # an argument goes before it


@pytest.mark.parametrize("ask", [engine_name, connection_class])
def test_an_engine_that_is_not_there(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(ValueError, match="unknown engine: 'steam'"):
        ask("steam")
    with pytest.raises(ImportError, match="the native engine was not built"):
        ask("native")


def test_it_can_be_asked_for_per_connection() -> None:
    protocol = Protocol(Side.SERVER, engine="python")
    assert type(protocol.connection) is connection_class("python")
    with pytest.raises(ValueError, match="unknown engine"):
        Protocol(Side.SERVER, engine="steam")
