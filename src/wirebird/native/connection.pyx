"""One endpoint of an open connection: bytes in, hooks out, bytes out. RFC 6455, 5 to 7.

It is ``core.connection.Connection`` with other halves: what is done for every message is here,
everything else is inherited. An adapter that is native itself calls the methods that take C types
and gives a ``Reader``; the driven mode, which the core describes, is for all others.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t

from ..core.connection import NEED_MORE
from ..core.connection import Connection as _CoreConnection
from ..core.frames import Frame
from ..core.lifecycle import payload_of as _payload_of
from ..core.rules import Opcode, State
from ..core.state import Halves as _CoreHalves
from ..exceptions import ProtocolError

from .inbound cimport Inbound
from .outbound cimport Outbound

__all__ = ["Connection"]

cdef object _OPEN = State.OPEN
cdef object _CLOSED = State.CLOSED
cdef object _CONT = Opcode.CONT
cdef object _NEED_MORE = NEED_MORE

cdef enum:
    CONT = 0
    TEXT = 1
    BINARY = 2


cdef class Halves:
    """The two directions of a connection, by the core's table, with what C asks at hand."""

    def __cinit__(self):
        self._inbound = self._outbound = self._public = _OPEN
        self.is_open = True

    cdef int set(self, halves) except -1:
        self._inbound = halves.inbound
        self._outbound = halves.outbound
        self._public = halves.public
        self.is_open = self._public is _OPEN
        return 0

    cdef object core(self):
        halves = _CoreHalves()
        halves.inbound = self._inbound
        halves.outbound = self._outbound
        halves.public = self._public
        return halves

    @property
    def inbound(self):
        """State of what comes."""
        return self._inbound

    @property
    def outbound(self):
        """State of what goes."""
        return self._outbound

    @property
    def public(self):
        """State of the connection."""
        return self._public

    def received(self, passage):
        """Move the inbound half."""
        halves = self.core()
        halves.received(passage)
        self.set(halves)

    def sent(self, passage):
        """Move the outbound half."""
        halves = self.core()
        halves.sent(passage)
        self.set(halves)


cdef class Reader:
    """Whoever waits for messages: ``ready`` is called when one, or the end, has come."""

    cdef int ready(self) except -1:
        """Take it; return whether it goes on reading later, and then settles."""
        raise NotImplementedError


cdef class HotConnection:
    """What is done for every read, and for every message."""

    @property
    def _inbound(self):
        return self.inb

    @_inbound.setter
    def _inbound(self, Inbound inbound not None):
        self.inb = inbound

    @property
    def _outbound(self):
        return self.outb

    @_outbound.setter
    def _outbound(self, Outbound outbound not None):
        self.outb = outbound

    @property
    def _halves(self):
        return self.halves

    @_halves.setter
    def _halves(self, Halves halves not None):
        self.halves = halves

    # From the network

    def receive_data(self, data, double now):
        """See ``core.connection.Connection.receive_data``."""
        cdef Py_buffer view
        cdef bint is_deferred
        self._now = self._last_received = now
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self.inb.received_bytes += view.len
            if self.inb.is_ended:
                self._discard(view.len)
                return
            self.inb.append(<const uint8_t *>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
        is_deferred = self.serve()
        if not is_deferred:
            self.settle_at(now)
        self.inb.keep()

    cdef int receive(self, uint8_t *data, size_t length, size_t headroom, double now) except -1:
        """Take bytes that came, which are another's: all of them are read or copied in here."""
        cdef bint is_deferred
        self._now = self._last_received = now
        self.inb.received_bytes += length
        if self.inb.is_ended:
            self._discard(length)
            return 0
        self.inb.take_borrowed(data, length, headroom)
        try:
            is_deferred = self.serve()
            if not is_deferred:
                self.settle_at(now)
        finally:
            self.inb.keep()
        return 0

    cdef int received(self, size_t length, double now) except -1:
        """Take bytes that were written to ``inbound.room``."""
        cdef bint is_deferred
        self._now = self._last_received = now
        self.inb.received_bytes += length
        try:
            try:
                self.inb.put(length)
            except Exception as exc:
                self._refuse(exc)
            is_deferred = self.serve()
            if not is_deferred:
                self.settle_at(now)
        finally:
            self.inb.keep()
        return 0

    cdef int serve(self) except -1:
        """Serve whoever waits; return whether ``settle`` will be called for us later."""
        cdef bint is_deferred = False
        cdef Reader reader
        while True:
            reader = self.reader
            if reader is None or not reader.is_waiting:
                break
            if (
                not self.inb.is_quick()
                and not self.read_on(reader.is_by_frame)
                and not self.is_over()
            ):
                break
            reader.is_waiting = False
            is_deferred = reader.ready()
        if self._reader is not None:
            is_deferred = self._serve_python_reader()
        return is_deferred

    def _serve_python_reader(self):
        is_deferred = False
        while self._reader is not None and (self.read_on(self._is_by_frame) or self.is_over()):
            reader, self._reader = self._reader, None
            is_deferred = reader()
        return is_deferred

    def _serve_reader(self):
        return self.serve() == 1

    def settle(self, double now):
        """See ``core.connection.Connection.settle``."""
        self.settle_at(now)

    cdef int settle_at(self, double now) except -1:
        self._now = now
        self.inb.scan_all()
        if (
            self.inb.violation is None
            and self._meter is None
            and self.halves.is_open
            and (self.is_paused or self.is_awaited() or not self.inb.above_mark())
        ):
            return 0
        _CoreConnection.settle(self, now)
        return 0

    cdef bint is_over(self) except -1:
        """See ``core.connection.Connection._is_over``."""
        return self.halves._public is _CLOSED or (self.ends_with_input and self.inb.is_ended)

    cdef bint is_awaited(self) except -1:
        return self._reader is not None or (self.reader is not None and self.reader.is_waiting)

    def stop_waiting(self):
        """See ``core.connection.Connection.stop_waiting``."""
        self._reader = None
        if self.reader is not None:
            self.reader.is_waiting = False

    # To the application

    def next_message(self, decode=None, *, now=None):
        """See ``core.connection.Connection.next_message``."""
        if now is not None:
            self._now = now
        return self.next(decode, False)

    def next_fragment(self, decode=None, *, now=None):
        """See ``core.connection.Connection.next_fragment``."""
        if now is not None:
            self._now = now
        return self.next(decode, True)

    def next_frame(self, *, now=None):
        """See ``core.connection.Connection.next_frame``."""
        control = self.inb.next_control()
        if control is not None:
            return control
        if now is not None:
            self._now = now
        if not self.read_on(True):
            return self._need_more()
        opcode = self.inb.message_opcode
        if self.inb.is_begun or opcode is None:
            opcode = _CONT
        fragment = self.next(False, True)
        if fragment is _NEED_MORE:
            return _NEED_MORE
        data, final = fragment
        return Frame(opcode, data, final)

    cdef object next(self, object decode, bint by_frame):
        """Return the next message or fragment, or NEED_MORE; raise at the end."""
        if decode is None and not by_frame and not self.is_paused and self.inb.is_quick():
            try:
                return self.inb.quick()
            except UnicodeDecodeError as exc:
                self._refuse(exc)
        elif self.read_on(by_frame):
            try:
                if by_frame:
                    return self.inb.take_fragment(decode)
                return self.inb.take(decode)
            except UnicodeDecodeError as exc:
                self._refuse(exc)
        return self._need_more()

    def _read_on(self, by_frame):
        return self.read_on(by_frame) == 1

    cdef int read_on(self, bint by_frame) except -1:
        cdef int is_ready
        try:
            is_ready = self.inb.read_on(by_frame)
        except Exception as exc:
            self._refuse(exc)
            return 0
        if not is_ready and self.inb.violation is not None:
            self._judge_violation()
        if self.is_paused and self.inb.below_mark():
            self._caught_up()
        return is_ready

    # From the application

    def _send(self, opcode, data, fin, compress):
        self.send(opcode, data, fin, compress)

    cdef int send(self, int opcode, object data, bint fin, object compress) except -1:
        """Send a message, or a fragment of one.

        Args:
            opcode: TEXT, BINARY, or CONT for the next fragment.
            data: str or bytes-like.
        """
        if not self.halves.is_open:
            self._check_open()
        if type(data) is memoryview:
            data = bytes(data)  # its items may be longer than a byte
        try:
            if opcode == CONT:
                self.outb.continuation(data, fin)
            else:
                self.outb.message(opcode, data, fin, compress)
        except ProtocolError:
            _payload_of(data)  # what is no payload at all is said first
            raise
        except (UnicodeEncodeError, BufferError, TypeError):
            raise  # it cannot be sent, and nothing was
        except Exception as exc:
            self._fail_for(exc)
            raise
        return 0

    def data_to_send(self):
        """See ``core.connection.Connection.data_to_send``."""
        return self.outb.take()

    # To the network

    def network_holds(self, buffered, now):
        """See ``core.connection.Connection.network_holds``."""
        if self.outb.holds(buffered, now):
            self._hooks.deadline_changed()


class Connection(HotConnection, _CoreConnection):
    """The native engine's connection; see ``core.connection.Connection``."""

    _inbound_class = Inbound
    _outbound_class = Outbound
    _halves_class = Halves
