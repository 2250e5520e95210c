"""Log records with the facts of their connection, which no peer can forge."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from tests.attacks.raw import CLOSE, close_payload, echo_server, frame, opened, port_of, uri_of

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.instrumentation.logs import ConnectionFields, JsonFormatter, LineFormatter

FORGED = "bye\r\n2026-01-01 ERROR root broken\x1b[31m\u2028\u202e"


class Log:
    """A logger that writes to a string."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter)
        self.logger = logging.Logger("test", logging.DEBUG)
        self.logger.addHandler(handler)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().split("\n")[:-1]


@pytest.fixture
def as_json() -> Log:
    return Log(JsonFormatter(fields=("user", "room")))


async def failing(connection: ServerConnection) -> None:
    async for _ in connection:
        pass
    raise ValueError("something")


async def test_a_connection_in_json(as_json: Log) -> None:
    async with serve(failing, "127.0.0.1", 0, logger=as_json.logger) as server:
        uri = uri_of(server, "/chat?token=secret")
        headers = {"Authorization": "Bearer secret", "Cookie": "session=secret"}
        async with connect(uri, proxy=None, additional_headers=headers) as client:
            name = client.local_address
    records = [json.loads(line) for line in as_json.lines]
    failed = next(each for each in records if each["event"] == "connection handler failed")
    assert failed["level"] == "ERROR"
    assert failed["logger"] == "test"
    assert failed["path"] == "/chat"
    assert failed["remote_address"] == f"127.0.0.1:{name[1]}"
    assert failed["exception"] == "ValueError"
    assert failed["traceback"].endswith("ValueError: something")
    assert failed["time"].endswith("+00:00")
    ours = [each for each in records if each.get("connection_id") == failed["connection_id"]]
    assert ours[-1]["close_code"] == 1000
    assert ours[-1]["state"] == "CLOSED"
    assert "secret" not in as_json.stream.getvalue()


def test_records_without_a_connection(as_json: Log) -> None:
    as_json.logger.info("hello %s", "world", extra={"user": 7})
    record = json.loads(as_json.lines[0])
    assert record.pop("time")
    assert record == {"level": "INFO", "logger": "test", "event": "hello world", "user": 7}


async def reasons(log: Log) -> None:
    """Let a client close with a reason that wants to be a record of its own."""

    async def handler(connection: ServerConnection) -> None:
        await connection.recv()

    async with (
        serve(handler, "127.0.0.1", 0, logger=log.logger) as server,
        await opened(port_of(server)) as peer,
    ):
        await peer.send(frame(CLOSE, close_payload(3000, FORGED)))
        await peer.close_frame()


async def test_no_peer_forges_json(as_json: Log) -> None:
    await reasons(as_json)
    assert all(json.loads(line)["logger"] == "test" for line in as_json.lines)
    assert all(line.isascii() and line.isprintable() for line in as_json.lines)
    assert "broken" in as_json.stream.getvalue()


async def test_no_peer_forges_lines() -> None:
    log = Log(LineFormatter("RECORD %(connection_id)s %(message)s"))
    await reasons(log)
    text = log.stream.getvalue()
    assert "broken" in text
    assert all(line.startswith(("RECORD ", "    ")) for line in text.split("\n") if line)
    assert not any(char in text for char in "\r\x1b\u2028\u202e")


async def test_the_fields_are_there_for_any_format() -> None:
    log = Log(logging.Formatter("%(connection_id)s|%(remote_address)s|%(path)s|%(message)s"))
    log.logger.handlers[0].addFilter(ConnectionFields())
    log.logger.info("alone")
    async with echo_server(logger=log.logger) as server, await opened(port_of(server)):
        pass
    assert log.lines[0] == "None|None|None|alone"
    lost = next(line for line in log.lines if line.endswith("|connection closed"))
    assert lost.split("|")[2] == "/"
    assert len(lost.split("|")[0]) == 36


def test_a_connection_that_is_gone_or_odd() -> None:
    class Odd:
        id = "odd"

        @property
        def state(self) -> Any:
            raise ReferenceError

    record = logging.LogRecord("test", logging.INFO, "", 0, "message", (), None)
    record.websocket = Odd()
    assert json.loads(JsonFormatter().format(record))["connection_id"] == "odd"
    assert LineFormatter("%(connection_id)s %(message)s").format(record) == "odd message"


def test_no_other_formatter_leaves_a_text_that_is_not_escaped() -> None:
    """An exception's text is kept in the record, by whichever handler is first."""
    log = Log(LineFormatter("RECORD %(message)s"))
    plain = logging.StreamHandler(io.StringIO())
    log.logger.handlers.insert(0, plain)
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.logger.exception("failed")
    assert all(line.startswith(("RECORD ", "    ")) for line in log.lines)
    assert FORGED in plain.stream.getvalue()
    log.logger.handlers.reverse()
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.logger.exception("failed again")
    assert plain.stream.getvalue().count(FORGED) == 2, "each has its own"


class Unprintable:
    def __str__(self) -> str:
        raise ZeroDivisionError


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "extra", [{(1, 2): 3}, CYCLE, float("nan"), b"bytes", "\ud800", Unprintable(), [Unprintable()]]
)
def test_whatever_is_extra_the_line_is_json(as_json: Log, extra: Any) -> None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    as_json.logger.info("hello", extra={"user": extra, "room": {"name": "lobby"}})
    (line,) = as_json.lines
    assert json.loads(line, parse_constant=refuse)["event"] == "hello"
