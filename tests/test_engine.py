"""Which engine runs a connection."""

from __future__ import annotations

import pytest
from tests.core.third_party import Rot

from wirebird.core.connection import Connection
from wirebird.core.extensions.permessage_deflate import PerMessageDeflate
from wirebird.engine import ENGINES, connection_class, engine_name, is_native_built
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


def test_without_the_native_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wirebird.engine.NativeConnection", None)
    assert not is_native_built()
    assert engine_name() == "python"
    assert connection_class() is Connection
    for ask in (engine_name, connection_class):
        with pytest.raises(ImportError, match="the native engine was not built"):
            ask("native")


def test_extensions_of_third_parties_run_on_the_python_engine() -> None:
    deflate = PerMessageDeflate(False, False, 15, 15)
    assert connection_class("native", [Rot()]) is Connection
    assert connection_class("native", [deflate, Rot()]) is Connection
    assert connection_class("native", [deflate]) is not Connection
    assert connection_class("native") is not Connection


def test_it_can_be_asked_for_per_connection() -> None:
    protocol = Protocol(Side.SERVER, engine="python")
    assert type(protocol.connection) is connection_class("python")
    with pytest.raises(ValueError, match="unknown engine"):
        Protocol(Side.SERVER, engine="steam")
