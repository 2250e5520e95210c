"""Fuzzes an open connection: what a peer sends, cut anywhere, and what an application calls.

    python fuzz/fuzz_connection.py [--engine=native] [-max_total_time=60] [corpus]

runs on the Python engine, or on the one that ``--engine`` or ``WIREBIRD_ENGINE`` says. It needs
atheris (``pip install atheris``), which nothing else does. The first bytes of an input
choose the role, the limits and the extension; then come steps, each a byte that says what is done
and, where bytes arrive, how many and whether they are put into a frame. What must hold:

- nothing is raised but what the core documents;
- the state goes forward, and the end of the stream is sent once, last;
- what is sent parses as frames that a peer must accept: masked as the role demands, control
  frames short and whole, no data after a Close, and messages in order;
- what is kept is bounded by the limits, not by the peer;
- a deadline that is handled is not due again, and every connection can come to rest.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import atheris

with atheris.instrument_imports():
    from wirebird.core.connection import NEED_MORE, SEND_EOF
    from wirebird.core.extensions.permessage_deflate import PerMessageDeflate
    from wirebird.core.frames import parse_header
    from wirebird.core.hooks import Hooks
    from wirebird.core.masking import apply_mask
    from wirebird.core.rules import MAX_UNREAD_BYTES, CloseCode, Opcode, Role, State
    from wirebird.engine import connection_class
    from wirebird.exceptions import ConnectionClosed, InvalidState, ProtocolError

ENGINE = os.environ.get("WIREBIRD_ENGINE") or "python"
for argument in sys.argv[1:]:
    if argument.startswith("--engine="):
        ENGINE = argument.removeprefix("--engine=")
        sys.argv.remove(argument)

KEY = b"\x01\x02\x03\x04"
MAX_MESSAGE = 5000
FIRST_BYTES = [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1, 0xC2, 0x41, 0x42]


class Fuzzed(Hooks):
    """A connection, and what must hold for it.

    Args:
        choices: four bytes that say how it is made.
    """

    def __init__(self, choices: bytes) -> None:
        self.role = Role(choices[0] & 1)
        self.extensions = []
        if choices[0] & 2:
            takeover = bool(choices[0] & 4)
            self.extensions = [PerMessageDeflate(takeover, takeover, 15, 9 + choices[1] % 7)]
        sizes: list[Any] = [MAX_MESSAGE, (MAX_MESSAGE, 100), 10, 0]
        self.draws = 0
        self.is_aborted = False
        self.is_lost = False
        self.state = State.OPEN
        self.output = b""
        self.is_eof_sent = False
        self.is_close_sent = False
        self.is_within_message = False
        self.core = connection_class(ENGINE, self.extensions)(
            self.role,
            extensions=self.extensions,
            max_size=sizes[choices[1] % 4],
            max_fragments=[None, 4, 1][choices[2] % 3],
            max_queue=[None, 0, (3, 1), 2][choices[2] % 4],
            ping_interval_s=3.0 if choices[3] & 1 else None,
            ping_timeout_s=2.0 if choices[3] & 2 else None,
            close_timeout_s=5.0 if choices[3] & 4 else None,
            write_timeout_s=7.0 if choices[3] & 8 else None,
            hooks=self,
            random_bytes=self.draw,
        )
        self.now = 0.0

    def draw(self, length: int) -> bytes:
        """Draw bytes that are the same in each run, and never twice the same in one."""
        self.draws += 1
        return b"".join((self.draws << 8 | i).to_bytes(4, "big") for i in range(length // 4))

    def abort(self) -> None:
        """Note it: it must be asked for once."""
        assert not self.is_aborted
        assert not self.is_lost
        self.is_aborted = True

    def frame(self, first: int, payload: bytes) -> bytes:
        """A frame as the peer sends it."""
        mask = 0x80 if self.role is Role.SERVER else 0
        size = bytes([mask | min(len(payload), 126)])
        if len(payload) >= 126:
            size = bytes([mask | 126]) + len(payload).to_bytes(2, "big")
        if mask:
            return bytes([first]) + size + KEY + apply_mask(payload, KEY)
        return bytes([first]) + size + payload

    # Steps

    def step(self, kind: int, data: bytes) -> None:
        """Do one of the things that can happen."""
        self.now += (kind >> 6) * 1.5
        core, now = self.core, self.now
        what = kind % 24
        if what < 6:
            core.receive_data(data, now)
        elif what < 10:
            first = FIRST_BYTES[data[0] % len(FIRST_BYTES)] if data else 0x81
            core.receive_data(self.frame(first, data[1:]), now)
        elif what == 10:
            self.pull(lambda: core.next_message(now=now))
        elif what == 11:
            self.pull(lambda: core.next_fragment([None, True, False][len(data) % 3], now=now))
        elif what == 12:
            self.pull(lambda: core.next_frame(now=now))
        elif what == 13:
            core.wait(lambda: bool(len(data) & 1), by_frame=bool(len(data) & 2))
        elif what == 14:
            core.wait(self.read_on)
        elif what == 15:
            core.stop_waiting()
        elif what == 16:
            core.settle(now)
        elif what == 17:
            core.handle_deadline(now)
        elif what == 18:
            self.end(data)
        elif what == 19:
            core.network_holds(len(data) * 4000, now)
        else:
            self.say(what, data)

    def read_on(self) -> bool:
        """Read all there is, and wait for more."""
        while self.pull(self.core.next_message):
            pass
        if self.core.state is not State.CLOSED:
            self.core.wait(self.read_on)
        return False

    def pull(self, take: Any) -> bool:
        """Ask for something; whether there was something."""
        try:
            return take() is not NEED_MORE
        except ConnectionClosed:
            assert self.core.state is State.CLOSED
            return False

    def end(self, data: bytes) -> None:
        """End the stream, or the connection."""
        if len(data) & 1:
            self.core.receive_eof(self.now)
        else:
            self.is_lost = True
            self.core.connection_lost(OSError() if len(data) & 2 else None, self.now)
            assert self.core.state is State.CLOSED

    def say(self, what: int, data: bytes) -> None:
        """Send something."""
        core, now = self.core, self.now
        fin = len(data) % 3 != 0
        try:
            if what == 20:
                core.send_binary(data, fin=fin, compress=None if len(data) & 1 else False)
            elif what == 21:
                core.send_fragment(data, fin=fin)
            elif what == 22:
                core.ping(None, now)
            elif len(data) % 3 == 0:
                core.fail(CloseCode.INTERNAL_ERROR, "x" * len(data), now=now)
            else:
                core.close(1000, now=now)
        except InvalidState:
            assert core.state is not State.OPEN
        except ProtocolError:
            assert what in (20, 21)

    # What must hold

    def check(self) -> None:
        """Look at the connection after a step."""
        core = self.core
        assert core.state >= self.state, "the state went back"
        self.state = core.state
        inbound = core._inbound
        assert inbound.held_bytes <= 2 * MAX_UNREAD_BYTES + 2 * MAX_MESSAGE, "too much is kept"
        if ENGINE == "python":
            kept = len(inbound.message._buffer) + len(inbound._raw or b"")
            assert kept <= 2 * MAX_UNREAD_BYTES + 2 * MAX_MESSAGE, "too much is kept"
            if inbound._ahead is not inbound._buffer:
                assert len(inbound._ahead) <= 200, "too much is kept while closing"
        for chunk in core.data_to_send():
            assert not self.is_eof_sent, "something follows the end of the stream"
            assert not self.is_lost, "something is sent to nobody"
            self.is_eof_sent = chunk == SEND_EOF
            self.output += chunk
        self.read_output()
        deadline = core.next_deadline()
        assert deadline is None or not self.is_aborted

    def read_output(self) -> None:
        """Hold what was sent against what a peer accepts."""
        while self.output:
            header = parse_header(self.output, 0, masked=self.role is Role.CLIENT)
            assert header is not None
            assert len(self.output) >= header.size + header.length
            self.output = self.output[header.size + header.length :]
            if header.rsv:
                assert self.extensions
                assert header.rsv == 0x40
                assert header.opcode in (Opcode.TEXT, Opcode.BINARY)
            if header.opcode is Opcode.CLOSE:
                assert not self.is_close_sent
                self.is_close_sent = True
            elif header.opcode < Opcode.CLOSE:
                assert not self.is_close_sent, "data after a Close"
                assert (header.opcode is Opcode.CONT) is self.is_within_message
                self.is_within_message = not header.fin

    def come_to_rest(self) -> None:
        """Handle deadlines until there are none; then read to the end."""
        for _ in range(200):
            deadline = self.core.next_deadline()
            if deadline is None or self.core.state is State.OPEN:
                break
            self.now = max(self.now, deadline)
            self.core.handle_deadline(self.now)
            self.check()
            again = self.core.next_deadline()
            assert again is None or again > self.now, "a deadline is due again"
        else:
            raise AssertionError("it does not come to rest")
        if not self.is_lost:
            self.is_lost = True
            self.core.connection_lost(None, self.now)
            self.core.data_to_send()
        assert self.core.next_deadline() is None
        for _ in range(100_000):
            try:
                assert self.core.next_message(False) is not NEED_MORE, "it waits for nothing"
            except ConnectionClosed:
                return
        raise AssertionError("it never ends")


def test_one_input(data: bytes) -> None:
    """Hold what must hold for any steps."""
    if len(data) < 4:
        return
    fuzzed = Fuzzed(data[:4])
    at = 4
    while at < len(data) and not fuzzed.is_lost:
        kind = data[at]
        length = data[at + 1] if at + 1 < len(data) else 0
        if kind & 32:  # so that the marks are reached
            length *= 20
        piece = data[at + 2 : at + 2 + length]
        if kind & 32 and len(piece) < length:
            piece += bytes(length - len(piece))
        fuzzed.step(kind, piece)
        fuzzed.check()
        at += 2 + length
    fuzzed.come_to_rest()


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
