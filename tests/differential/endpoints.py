"""One connection on each engine, in the same hands: what is done to one is done to the other.

A ``Side`` notes everything that can be seen of its connection: what calls return or raise, the
hooks in their order, the bytes that go out, and the facts that anybody may ask for. ``Twins`` does
a step on both sides and demands that they noted the same.

Bytes come in two ways. ``driven`` is the core's interface. ``adapted`` goes through the base class
of the asyncio adapter, with a clock and a link of the test: there the native engine parses where
the bytes were read to, and fills big messages in place.
"""

from __future__ import annotations

import array
import functools
import itertools
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.core.endpoint import draws
from tests.differential.wire import Wire, whole

from wirebird.asyncio.base import ConnectionBase
from wirebird.core.close import Close
from wirebird.core.connection import NEED_MORE, SEND_EOF
from wirebird.core.extensions.permessage import PerMessageCompression
from wirebird.core.extensions.permessage_deflate import PerMessageDeflate
from wirebird.core.frames import Frame
from wirebird.core.hooks import Hooks
from wirebird.core.limits import Limits
from wirebird.core.rules import Role, State
from wirebird.engine import ENGINES, connection_class
from wirebird.exceptions import ConnectionClosed
from wirebird.extensions.permessage_brotli import PerMessageBrotli
from wirebird.extensions.permessage_zstd import PerMessageZstd

READ_LIMIT = 10_000
KINDS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
}


class Deflate(NamedTuple):
    """Arguments of the extension."""

    remote_no_context_takeover: bool
    local_no_context_takeover: bool
    remote_max_window_bits: int
    local_max_window_bits: int
    compress_settings: dict[str, int] | None = None
    threshold: int = 0

    def extension(self) -> PerMessageCompression:
        """What was agreed on."""
        return PerMessageDeflate(**self._asdict())


class Other(NamedTuple):
    """A compression whose codecs are Python's on both engines: brotli or zstd."""

    name: str
    keeps_context: bool = True
    threshold: int = 0

    def extension(self) -> PerMessageCompression:
        """What was agreed on."""
        if self.name == "brotli":
            return PerMessageBrotli(threshold=self.threshold)
        keeps = not self.keeps_context
        return PerMessageZstd(keeps, keeps, 12, 12, 1, threshold=self.threshold)


class Setup(NamedTuple):
    """How both connections are made."""

    role: Role = Role.SERVER
    deflate: Deflate | Other | None = None
    max_size: Any = 2**20
    max_fragments: int | None = None
    max_queue: Any = None
    ping_interval_s: float | None = None
    ping_timeout_s: float | None = None
    close_timeout_s: float | None = 5.0
    write_timeout_s: float | None = 7.0
    reactions: tuple[tuple[str, Any], ...] = ()
    """Steps that are done from within a hook, by its name."""
    is_adapted: bool = False
    limits: Limits = Limits()


def described(value: Any) -> Any:
    """What a test compares of a value: its type too, and of an error all that it says."""
    if isinstance(value, UnicodeDecodeError):
        # Which piece of the text is in it differs, and with that what str() shows of it.
        return UnicodeDecodeError, value.reason, value.start, value.end
    if isinstance(value, BaseException):
        code = getattr(value, "close_code", None)
        cause = value.__cause__
        # The Python engine's has an error of the zlib module behind it.
        return (
            type(value),
            str(value),
            code,
            described(None if isinstance(cause, zlib.error) else cause),
        )
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(map(described, value))
    if isinstance(value, Frame):
        return Frame, value.opcode, type(value.opcode), described(value.data), value.fin, value.rsv
    if isinstance(value, Close):
        return Close, value.code, type(value.code), value.reason
    return type(value), value


def without_order(notes: list[Any]) -> list[Any]:
    """Leave out the order of notes where a text was refused.

    One that came in one frame is refused when the Python engine's reader takes it, which may resume
    reading before; and when the native engine reads on, with which it fails, which resumes reading.
    """
    if any(note[0][1] == "failed" and note[1][0] is UnicodeDecodeError for note in notes):
        return sorted(notes, key=repr)
    return notes


class Clock:
    """In the place of an event loop, where nothing runs later."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Side(Hooks):
    """A connection on one engine, and notes of what it does.

    Args:
        engine: its name.
        setup: how the connection is made.
    """

    def __init__(self, engine: str, setup: Setup) -> None:
        self.notes: list[Any] = []
        self.clock = Clock()
        self.reactions = dict(setup.reactions)
        self.is_reacting = False
        self.held = 0
        extensions = [] if setup.deflate is None else [setup.deflate.extension()]
        self.core = connection_class(engine, extensions)(
            setup.role,
            extensions=extensions,
            max_size=setup.max_size,
            max_fragments=setup.max_fragments,
            max_queue=setup.max_queue,
            ping_interval_s=setup.ping_interval_s,
            ping_timeout_s=setup.ping_timeout_s,
            close_timeout_s=setup.close_timeout_s,
            write_timeout_s=setup.write_timeout_s,
            hooks=self,
            random_bytes=draws(),
        )
        meter = setup.limits.meter()
        if meter is not None:
            self.core.limit_rates(meter)
        self.adapter: Any = None
        if setup.is_adapted:
            self.adapter = adapter = ConnectionBase.__new__(ConnectionBase)
            adapter.loop = self.clock  # type: ignore[assignment]
            adapter.link = self  # type: ignore[assignment]
            adapter._receive_buffer = memoryview(bytearray(128 * 1024))
            adapter._core = self.core

    @property
    def now(self) -> float:
        """The time that the connection is told."""
        return self.clock.now

    def note(self, *what: Any) -> None:
        self.notes.append(tuple(map(described, what)))

    def attempt(self, name: str, call: Callable[[], Any]) -> None:
        """Make a call, and note what comes of it."""
        try:
            result = call()
        except Exception as exc:
            result = exc
        self.note(name, result)

    # Hooks

    def react(self, *what: Any) -> None:
        self.note(*what)
        step = self.reactions.get(what[0])
        if step is not None and not self.is_reacting:
            self.is_reacting = True
            try:
                self.do(*step)
            finally:
                self.is_reacting = False

    def ping_received(self, payload: bytes) -> None:
        self.react("ping_received", payload)

    def pong_received(self, payload: bytes, latency_s: float) -> None:
        self.react("pong_received", payload, latency_s)

    def close_received(self, close: Close) -> None:
        self.react("close_received", close)

    def failed(self, exc: BaseException) -> None:
        self.react("failed", exc)

    def limit_exceeded(self, limit: str) -> None:
        self.react("limit_exceeded", limit)

    def pause_reading(self) -> None:
        self.react("pause_reading")

    def resume_reading(self) -> None:
        self.react("resume_reading")

    def deadline_changed(self) -> None:
        self.react("deadline_changed", self.core.next_deadline())

    def abort(self) -> None:
        self.react("abort")

    # The link of an adapter

    def write(self, chunks: list[bytes]) -> None:
        self.note("write", b"".join(chunks))

    def half_close(self, *, is_peer_done: bool) -> None:
        self.note("half_close", is_peer_done)

    def buffered_bytes(self) -> int:
        return self.held

    # Steps

    def room(self) -> int:
        """How many bytes may come at once."""
        return 2**62 if self.adapter is None else len(self.adapter.get_buffer(-1))

    def receive(self, piece: Any) -> None:
        if self.adapter is None:
            self.core.receive_data(piece, self.now)
            return
        length = len(piece)
        self.adapter.get_buffer(-1)[:length] = piece
        self.adapter.buffer_updated(length)

    def do(self, name: str, *arguments: Any) -> None:
        """Do a step, and note what comes of it."""
        self.attempt(name, lambda: getattr(self, f"do_{name}")(*arguments))

    def do_eof(self) -> Any:
        if self.adapter is None:
            return self.core.receive_eof(self.now)
        return self.adapter.eof_received()

    def do_lost(self, has_error: bool) -> None:
        self.core.connection_lost(OSError("reset") if has_error else None, self.now)

    def do_wait(self, count: int | None, by_frame: bool, is_deferred: bool) -> None:
        """Wait, as long as it takes, for so many messages or for all.

        A text that is no UTF-8 fails the native engine's connection before its reader is called,
        and the Python engine's when its reader reads; so a reader must be one that reads.
        """
        left = READ_LIMIT if count is None else count

        def reader() -> bool:
            nonlocal left
            got: Any = None
            while left and (got := self.pull(by_frame)) not in (None, NEED_MORE):
                left -= 1
            if got is NEED_MORE and left:
                self.core.wait(reader, by_frame=by_frame)
            return is_deferred

        self.core.wait(reader, by_frame=by_frame)

    def pull(self, by_frame: bool) -> Any:
        """Take a message, or a fragment; None at the end."""
        try:
            got: Any = self.core.next_fragment() if by_frame else self.core.next_message()
        except ConnectionClosed as exc:
            self.note("end", exc)
            return None
        if got is not NEED_MORE:
            self.note("got", got)
        return got

    def do_stop(self) -> None:
        self.core.stop_waiting()

    def do_message(self, decode: bool | None) -> Any:
        return self.core.next_message(decode, now=self.now)

    def do_fragment(self, decode: bool | None) -> Any:
        return self.core.next_fragment(decode, now=self.now)

    def do_frame(self) -> Any:
        return self.core.next_frame(now=self.now)

    def do_text(self, kind: str, data: Any, fin: bool, compress: bool | None) -> None:
        self.core.send_text(as_kind(kind, data), fin=fin, compress=compress)

    def do_binary(self, kind: str, data: Any, fin: bool, compress: bool | None) -> None:
        self.core.send_binary(as_kind(kind, data), fin=fin, compress=compress)

    def do_continuation(self, kind: str, data: Any, fin: bool) -> None:
        self.core.send_fragment(as_kind(kind, data), fin=fin)

    def do_ping(self, data: Any) -> bytes:
        return self.core.ping(data, self.now)

    def do_pong(self, data: Any) -> None:
        self.core.pong(data)

    def do_close(self, code: int | None, reason: str) -> None:
        self.core.close(code, reason, now=self.now)

    def do_fail(self, code: int, reason: str, has_cause: bool) -> None:
        cause = ValueError("a cause") if has_cause else None
        self.core.fail(code, reason, now=self.now, cause=cause)

    def do_deadline(self, is_due: bool) -> None:
        due = self.core.next_deadline()
        if is_due and due is not None:
            self.clock.now = max(self.now, due)
        self.core.handle_deadline(self.now)

    def do_time(self, seconds: float) -> None:
        self.clock.now += seconds

    def do_holds(self, buffered: int) -> None:
        self.held = buffered
        self.core.network_holds(buffered, self.now)

    def do_settle(self) -> None:
        self.core.settle(self.now)

    def do_take(self) -> tuple[bytes, int, bool]:
        chunks = self.core.data_to_send()
        is_last = SEND_EOF not in chunks[:-1]
        return b"".join(chunks), chunks.count(SEND_EOF), is_last

    def do_trace(self, is_on: bool) -> None:
        self.core.trace = (lambda sent, frame: self.note("trace", sent, frame)) if is_on else None

    # What there is to see

    def facts(self) -> dict[str, Any]:
        """All that can be asked of the connection."""
        core = self.core
        inbound = core._inbound
        return {
            "state": core.state,
            "halves": (core._halves.inbound, core._halves.outbound),
            "close_rcvd": described(core.close_rcvd),
            "close_sent": described(core.close_sent),
            "close_rcvd_then_sent": core.close_rcvd_then_sent,
            "close_exc": described(core.close_exc) if core.state is State.CLOSED else None,
            "failure": described(core.failure),
            "violation": described(inbound.violation),
            "next_deadline": core.next_deadline(),
            "latency": core.latency,
            "is_paused": core.is_paused,
            "is_above_mark": inbound.is_above_mark,
            "is_below_mark": inbound.is_below_mark,
            "has_unread": core.has_unread,
            "is_drained": core.is_drained,
            "unread_bytes": inbound.unread_bytes,
            "queued_bytes": core.queued_bytes,
            "is_sending_fragments": core.is_sending_fragments,
            "is_input_ended_by_peer": core.is_input_ended_by_peer,
            "is_waiting": core._reader is not None,
            # What was compressed need not be as long.
            "totals": core.totals._replace(bytes_sent=0),
        }


def as_kind(kind: str, data: Any) -> Any:
    """Give data in one of the types that may be sent."""
    data = whole(data)
    if kind == "as it is":
        return data
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if kind == "bytearray":
        return bytearray(raw)
    if kind == "memoryview":
        return memoryview(raw)
    if kind == "every other":
        return memoryview(raw)[::2]
    if kind == "words":
        return memoryview(array.array("H", raw + bytes(len(raw) % 2)))
    if kind == "str subclass":
        return Text(raw.decode("utf-8", "replace"))
    assert kind == "bytes subclass"
    return Data(raw)


class Text(str):
    """A str that says something else of itself than what it holds."""

    def encode(self, *arguments: Any) -> bytes:
        return str.encode(str(self), *arguments)


class Data(bytes):
    """Bytes of a kind of its own."""


class Twins:
    """The same connection on both engines.

    Args:
        setup: how they are made.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.wire = Wire(setup.role, setup.deflate)
        self.sides = [Side(engine, setup) for engine in ENGINES]
        self.done: list[Any] = []

    def do(self, name: str, *arguments: Any) -> None:
        """Do a step on both, and compare."""
        if name == "receive":
            frames, cuts, kind = arguments
            self.receive(self.wire.data(frames), cuts, kind)
            return
        if name == "raw":
            self.receive(arguments[0], None, "bytes")
            return
        for side in self.sides:
            side.do(name, *arguments)
        self.compare(name, *arguments)

    def receive(self, data: bytes, cuts: list[int] | None, kind: str) -> None:
        """Let bytes come, cut at some places, or everywhere."""
        for piece in pieces(data, cuts):
            at = 0
            while at < len(piece):
                length = min(len(piece) - at, *(side.room() for side in self.sides))
                part = piece[at : at + length]
                for side in self.sides:
                    side.attempt("receive", functools.partial(side.receive, KINDS[kind](part)))
                self.compare("receive", part if len(part) < 200 else len(part))
                at += length

    def compare(self, *step: Any) -> None:
        """Demand that both noted the same, and look the same."""
        python, native = self.sides
        if without_order(native.notes) != without_order(python.notes):
            raise AssertionError(f"after {step}\npython: {python.notes}\nnative: {native.notes}")
        facts = python.facts()
        others = native.facts()
        if others != facts:
            differing = {
                name: {"python": facts[name], "native": others[name]}
                for name in facts
                if facts[name] != others[name]
            }
            raise AssertionError(f"after {step} they differ in {differing}")
        python.notes.clear()
        native.notes.clear()

    def come_to_rest(self) -> None:
        """End everything in the same way, and read to the end."""
        self.do("lost", False)
        for side in self.sides:
            for _ in range(READ_LIMIT):
                if side.pull(False) in (None, NEED_MORE):
                    break
        self.compare("come_to_rest")
        self.do("take")


def run(setup: Setup, steps: list[Any]) -> None:
    """Do the steps on both engines."""
    twins = Twins(setup)
    for step in steps:
        twins.do(*step)
    twins.come_to_rest()


def pieces(data: bytes, cuts: list[int] | None) -> list[bytes]:
    """Cut data at some places; everywhere for None."""
    if cuts is None and len(data) < 2000:
        return [data[at : at + 1] for at in range(len(data))]
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts or ()}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places) if start < end]


def close_payload(code: int, reason: bytes = b"") -> bytes:
    """The payload of a Close."""
    return struct.pack("!H", code) + reason
