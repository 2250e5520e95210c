"""The sans-I/O API of websockets, after the opening handshake."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import pytest
import websockets.protocol
from tests.core.endpoint import CLOSE, PING, PONG, TEXT, close_payload, head, read_frames, xor
from tests.engines import engine as engine

from wirebird.core.connection import Connection
from wirebird.core.hooks import Hooks
from wirebird.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    PayloadTooBig,
    ProtocolError,
)
from wirebird.frames import Close, Frame, Opcode
from wirebird.protocol import CLIENT, CLOSED, CLOSING, CONNECTING, OPEN, SEND_EOF, SERVER, Protocol

KEY = b"\x37\xfa\x21\x3d"
SIDES = pytest.mark.parametrize("side", [SERVER, CLIENT])


def incoming(side: Any, opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    first = (0x80 if fin else 0) | opcode
    masked = side is SERVER
    return head(first, len(payload), masked=masked) + (xor(payload, KEY) if masked else payload)


def sent(protocol: Protocol) -> list[Any]:
    """What goes out, as opcodes and payloads; "EOF" for the end."""
    out: list[Any] = []
    for chunk in protocol.data_to_send():
        if chunk == SEND_EOF:
            out.append("EOF")
        else:
            frames = read_frames(chunk, masked=protocol.side is CLIENT)
            out += [(frame.opcode, frame.payload) for frame in frames]
    return out


def test_it_has_what_websockets_has() -> None:
    theirs = {
        name for name, _ in inspect.getmembers(websockets.protocol.Protocol) if name[0] != "_"
    }
    internals = {"discard", "parse", "recv_frame", "send_eof", "send_frame"}
    ours = {name for name, _ in inspect.getmembers(Protocol) if name[0] != "_"}
    assert theirs - internals <= ours
    for name in theirs - internals:
        method = getattr(websockets.protocol.Protocol, name)
        if callable(method):
            mine = inspect.signature(getattr(Protocol, name)).parameters
            assert list(mine) == list(inspect.signature(method).parameters), name


def test_a_new_protocol() -> None:
    one, two = Protocol(SERVER), Protocol(CLIENT)
    assert one.id != two.id
    assert (one.side, one.state, one.close_expected()) == (SERVER, OPEN, False)
    assert (one.logger, two.logger) == (
        logging.getLogger("wirebird.server"),
        logging.getLogger("wirebird.client"),
    )
    assert (one.origin, one.extensions, one.subprotocol) == (None, [], None)
    assert (one.close_rcvd, one.close_sent, one.close_rcvd_then_sent) == (None, None, None)
    assert (one.close_code, one.close_reason, one.parser_exc) == (None, None, None)
    assert (one.events_received(), one.data_to_send()) == ([], [])
    with pytest.raises(AssertionError, match="isn't closed yet"):
        _ = one.close_exc


@SIDES
@pytest.mark.parametrize("size", [None, 1])
def test_events(side: Any, size: int | None) -> None:
    protocol = Protocol(side)
    data = (
        incoming(side, TEXT, b"a", fin=False)
        + incoming(side, PING, b"p")
        + incoming(side, 0, b"b")
        + incoming(side, PONG)
        + incoming(side, CLOSE, close_payload(1000, "bye"))
    )
    for at in range(0, len(data), size or len(data)):
        protocol.receive_data(data[at : at + (size or len(data))])
    assert protocol.events_received() == [
        Frame(Opcode.TEXT, b"a", False),
        Frame(Opcode.PING, b"p"),
        Frame(Opcode.CONT, b"b"),
        Frame(Opcode.PONG, b""),
        Frame(Opcode.CLOSE, close_payload(1000, "bye")),
    ]
    assert protocol.events_received() == []
    end = ["EOF"] if side is SERVER else []
    assert sent(protocol) == [(PONG, b"p"), (CLOSE, close_payload(1000, "bye")), *end]
    assert protocol.state is CLOSING
    assert protocol.close_expected()
    assert protocol.eof_sent is (side is SERVER)


@SIDES
@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xe8\xff", close_payload(1006, "")])
@pytest.mark.parametrize("is_read", [True, False])
def test_a_close_that_is_wrong_is_no_event(side: Any, payload: bytes, is_read: bool) -> None:
    protocol = Protocol(side)
    before = incoming(side, TEXT, b"a") + incoming(side, PING)
    if is_read:
        protocol.receive_data(before)
        assert len(protocol.events_received()) == 2
        protocol.receive_data(incoming(side, CLOSE, payload))
    else:
        protocol.receive_data(before + incoming(side, CLOSE, payload))
        assert len(protocol.events_received()) == 2
    assert protocol.events_received() == []
    assert protocol.close_rcvd is None
    assert protocol.close_sent is not None


@SIDES
def test_sending(side: Any) -> None:
    protocol = Protocol(side)
    protocol.send_text(b"a", fin=False)
    with pytest.raises(ProtocolError):
        protocol.send_binary(b"x")
    protocol.send_continuation(b"b", fin=True)
    with pytest.raises(ProtocolError):
        protocol.send_continuation(b"x", fin=True)
    protocol.send_binary(bytearray(b"c"))
    protocol.send_ping(b"p")
    protocol.send_ping(b"p")  # nobody matches pongs here
    protocol.send_pong(b"q")
    protocol.send_close(1001, "gone")
    assert sent(protocol) == [
        *[(TEXT, b"a"), (0, b"b"), (2, b"c"), (PING, b"p"), (PING, b"p"), (PONG, b"q")],
        (CLOSE, close_payload(1001, "gone")),
    ]
    for call in protocol.send_text, protocol.send_binary:
        with pytest.raises(InvalidState):
            call(b"x")
    with pytest.raises(InvalidState):
        protocol.send_close()


@SIDES
def test_closing(side: Any) -> None:
    protocol = Protocol(side)
    protocol.send_close()
    protocol.receive_data(incoming(side, CLOSE, close_payload(1000, "bye")))
    protocol.receive_eof()
    protocol.receive_eof()
    assert sent(protocol) == [(CLOSE, b""), "EOF"]
    assert protocol.state is CLOSED
    assert not protocol.close_expected()
    assert (protocol.close_code, protocol.close_reason) == (1000, "bye")
    assert (protocol.close_rcvd, protocol.close_sent) == (Close(1000, "bye"), Close(1005, ""))
    assert protocol.close_rcvd_then_sent is False
    assert type(protocol.close_exc) is ConnectionClosedOK
    with pytest.raises(EOFError):
        protocol.receive_data(b"")
    assert [event.opcode for event in protocol.events_received() if isinstance(event, Frame)] == [
        Opcode.CLOSE
    ]


@SIDES
def test_an_end_without_a_close(side: Any) -> None:
    protocol = Protocol(side)
    protocol.receive_data(incoming(side, TEXT, b"a") + b"\x81")
    protocol.receive_eof()
    assert sent(protocol) == ["EOF"]
    assert (protocol.close_code, protocol.close_reason) == (1006, "")
    assert type(protocol.close_exc) is ConnectionClosedError
    assert isinstance(protocol.parser_exc, EOFError)
    assert protocol.events_received() == [Frame(Opcode.TEXT, b"a")]


@SIDES
@pytest.mark.parametrize(
    ("opcode", "payload", "code", "kind"),
    [
        (3, b"", 1002, ProtocolError),
        (TEXT, b"\xff", 1007, UnicodeDecodeError),
        (2, bytes(11), 1009, PayloadTooBig),
    ],
)
def test_a_failure_is_sent_before_anybody_asks_for_events(
    side: Any, opcode: int, payload: bytes, code: int, kind: type[Exception]
) -> None:
    protocol = Protocol(side, max_size=10)
    protocol.receive_data(incoming(side, TEXT, b"a") + incoming(side, opcode, payload))
    ((close, text), end) = sent(protocol)
    assert (close, text[:2], end) == (CLOSE, close_payload(code), "EOF")
    assert protocol.events_received() == [Frame(Opcode.TEXT, b"a")]
    assert isinstance(protocol.parser_exc, kind)


@SIDES
def test_failing(side: Any) -> None:
    protocol = Protocol(side)
    protocol.fail(1011, "oops")
    protocol.fail(1011, "again")
    assert sent(protocol) == [(CLOSE, close_payload(1011, "oops")), "EOF"]
    with pytest.raises(ProtocolError):
        Protocol(side).fail(999)


@SIDES
def test_before_the_opening_handshake(side: Any) -> None:
    protocol = Protocol(side, state=CONNECTING)
    assert (protocol.state, protocol.connection, protocol.close_rcvd) == (CONNECTING, None, None)
    assert (protocol.close_sent, protocol.close_rcvd_then_sent) == (None, None)
    assert (protocol.parser_exc, protocol.close_expected()) == (None, False)
    calls: list[Any] = [protocol.send_text, protocol.send_binary, protocol.send_ping]
    for call in [*calls, protocol.send_pong]:
        with pytest.raises(InvalidState, match="connection is connecting"):
            call(b"a")
    protocol.fail(1006)
    protocol.fail(1006)
    assert protocol.close_expected()
    assert protocol.data_to_send() == [SEND_EOF]
    protocol.receive_data(b"what follows means nothing")
    assert protocol.events_received() == []
    with pytest.raises(NotImplementedError):
        Protocol(side, state=CONNECTING).receive_data(b"GET")


def test_a_logger_and_no_logs() -> None:
    logger = logging.getLogger("mine")
    protocol = Protocol(SERVER, logger=logger)
    assert protocol.logger is logger
    assert not protocol.debug
    protocol = Protocol(CLIENT, state=CONNECTING)
    protocol._open()  # nothing came before
    assert (protocol.state, protocol.events_received()) == (OPEN, [])


def test_an_adapter_pulls_messages_from_the_core() -> None:
    class Told(Hooks):
        codes: list[int] = []  # noqa: RUF012

        def close_received(self, close: Close) -> None:
            self.codes.append(close.code)

    protocol = Protocol(CLIENT, state=CONNECTING)
    protocol.configure(hooks=Told(), now=5.0, ping_interval_s=10.0)
    protocol.reader.feed_data(incoming(CLIENT, TEXT, b"early") + incoming(CLIENT, CLOSE))
    protocol.reader.feed_eof()
    protocol._open()
    assert protocol.events_received() == []
    assert isinstance(protocol.connection, Connection)
    assert protocol.connection.next_message() == "early"
    assert Told.codes == [1005]
    assert protocol.state is CLOSED


@SIDES
def test_debug_logs_show_each_frame(side: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "wirebird"):
        protocol = Protocol(side)
        assert protocol.debug
        protocol.receive_data(incoming(side, TEXT, b"a") + incoming(side, PING, b"p"))
        protocol.send_text(b"b")
    assert caplog.messages == [
        "= connection is OPEN",
        "< PING 'p' [text, 1 byte]",  # on arrival
        "> PONG 'p' [text, 1 byte]",
        "< TEXT 'a' [1 byte]",  # when it is taken
        "> TEXT 'b' [1 byte]",
    ]


@SIDES
def test_an_id_is_drawn_when_it_is_asked_for(side: Any) -> None:
    protocol, other = Protocol(side), Protocol(side)
    assert protocol.id == protocol.id != other.id
    protocol.id = other.id
    assert protocol.id == other.id


def test_what_comes_early_is_known_until_the_connection_is_open() -> None:
    protocol = Protocol(CLIENT, state=CONNECTING)
    assert (protocol.early_bytes, protocol.has_eof) == (0, False)
    protocol.reader.feed_data(b"\x81")
    assert protocol.early_bytes == 1
    protocol._open()
    assert (protocol.early_bytes, bytes(protocol.reader.buffer)) == (0, b"")
    with pytest.raises(InvalidState):
        protocol.configure(max_fragments=1)
    protocol.receive_eof()
    assert protocol.has_eof
    with pytest.raises(EOFError):
        protocol.receive_data(b"a")
