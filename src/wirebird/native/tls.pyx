"""TLS on a socket that the engine owns. RFC 8446, 5 and 6.1.

asyncio does the handshake. Once the connection is open we take the socket, as for TCP, and with it
the ``ssl.SSLObject`` and the two buffers between which it stands: ciphertext that came goes into
one, ciphertext that must go out comes from the other. Where these cannot be had, as on uvloop, or
were the attributes that hold them to change, the connection stays with its transport.

Both buffers are empty whenever we return, but for a record that has come in part: nothing waits
for an event that will not come.
"""

import os
import socket
import ssl

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t

from .outbound cimport wb_out_t
from .poller cimport HEADROOM, RECEIVED_MAX, poller_of
from .sockets cimport Owner, Socket

from .poller import can_poll
from .sockets import _RELEASED

cdef extern from "out_buffer.h":
    wb_out_t *wb_out_new() except NULL
    void wb_out_delete(wb_out_t *out)
    int wb_out_refer(wb_out_t *out, void *owner, const uint8_t *at, size_t length) except -1
    const uint8_t *wb_out_at(const wb_out_t *out, int i)
    object wb_out_join(const wb_out_t *out)

cdef extern from "poll.h":
    enum: WB_READ
    enum: WB_HANG_UP

cdef extern from *:
    """
    #ifndef _WIN32
    #include <sys/socket.h>
    static Py_ssize_t wb_recv(int fd, uint8_t *to, size_t length) {
        return recv(fd, to, length, MSG_DONTWAIT);
    }
    #else
    static Py_ssize_t wb_recv(int fd, uint8_t *to, size_t length) { return -1; }
    #endif
    """
    Py_ssize_t wb_recv(int fd, uint8_t *to, size_t length)

__all__ = ["TlsSocket"]

cdef enum:
    RECORD = 16 * 1024  # what one holds at most, RFC 8446, 5.1
    # What one read brings: with a record that came in part before, no more than there is room for.
    CIPHERTEXT_MAX = RECEIVED_MAX - 2 * RECORD

cdef object _RECORD = RECORD
cdef object _SSLError = ssl.SSLError
cdef tuple _Again = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
cdef object _SSLZeroReturnError = ssl.SSLZeroReturnError


@cython.final
cdef class Span:
    """Memory as the ``ssl`` module takes it, by one object for all calls instead of one for each."""

    cdef uint8_t *at
    cdef Py_ssize_t length
    cdef bint is_readonly

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.at, self.length, self.is_readonly, flags)


cdef Span _to_read = Span()
cdef Span _to_write = Span()
_to_write.is_readonly = True


cdef Span _readable(const uint8_t *at, size_t length):
    """What is to be read by the next call, which does not keep it."""
    _to_write.at = <uint8_t *>at
    _to_write.length = length
    return _to_write


cdef Span _writable(uint8_t *at, size_t length):
    """What is to be written by the next call, which does not keep it."""
    _to_read.at = at
    _to_read.length = length
    return _to_read


cdef class TlsSocket(Socket):
    """A connected socket under TLS; to Python it does what ``asyncio.Transport`` does.

    One thing asyncio's does not: ``write_eof`` ends our direction, with close_notify and the end
    of TCP's, and what the peer still sends can be read.
    """

    cdef object tls  # ssl.SSLObject
    cdef object calls  # what it hands each call to: no Python stands between, nor another thread
    cdef object incoming, outgoing
    cdef list unwritten  # plaintext, while a renegotiation must come first
    cdef size_t unwritten_bytes
    cdef bint has_said_goodbye, is_goodbye_due, has_ended

    # From the poller

    cdef int receive(self) except -1:
        cdef uint8_t *to = self.poller.buffer
        cdef Py_ssize_t got = wb_recv(self.fd, to, CIPHERTEXT_MAX)
        if got > 0:
            self.incoming.write(_readable(to, got))
            self.take_in()
        elif got == 0:
            self.input_ended()
        elif errno not in (EAGAIN, EINTR):
            self.fail(OSError(errno, os.strerror(errno)))
        return 0

    cdef int take_in(self) except -1:
        """Give the owner the plaintext of all that has come."""
        cdef size_t got
        cdef object error = None
        cdef bint is_more = True
        while is_more and self.fd >= 0 and not self._is_closing:
            got = 0
            is_more = False
            try:
                is_more = self.decrypt(&got)
            except _SSLError as exc:
                error = exc
            # Such as new keys, or the alert that says what is wrong.
            self.put_out()
            if self.unwritten is not None and error is None:
                self.write_on()
            if got and self.owner is not None:
                self.owner.came(self.poller.buffer + HEADROOM, got)
            if error is not None:
                self.fail(error)
            elif self.has_ended:
                self.input_ended()
        return 0

    cdef bint decrypt(self, size_t *got) except -1:
        """Fill the poller's buffer; return whether there may be more than fits."""
        cdef uint8_t *to = self.poller.buffer + HEADROOM
        cdef size_t n
        try:
            # A call gives what is in one record, and all of that if there is room.
            while got[0] <= RECEIVED_MAX - RECORD:
                n = self.calls.read(_RECORD, _writable(to + got[0], RECORD))
                if not n:
                    self.has_ended = True
                    return False
                got[0] += n
                # To read once more, to be told that there is nothing, costs as much as a message.
                if not self.incoming.pending:
                    return False
        except _Again:
            return False
        except _SSLZeroReturnError:
            self.has_ended = True
            return False
        return True

    cdef int input_ended(self) except -1:
        """The peer ended its direction, by close_notify or without."""
        if not self._is_closing and not (<object>self.owner).eof_received():
            self.close()
        return 0

    def _begin(self):
        """Take what came before the socket was ours."""
        try:
            self.take_in()
        except Exception as exc:
            self.loop.call_exception_handler(
                {"message": "error in a connection", "exception": exc, "transport": self}
            )
            self.fail(exc)

    # From the owner

    cdef int send(self, wb_out_t *out) except -1:
        """Encrypt and send a buffer, which is ours from now on."""
        cdef int i
        cdef bytes joined
        if self.fd < 0 or self._is_closing or self.is_eof_due:
            return Socket.send(self, out)  # which refuses it
        try:
            if out.count > 1 and out.total <= RECORD:
                joined = wb_out_join(out)
                self.encrypt(
                    <const uint8_t *>PyBytes_AS_STRING(joined), PyBytes_GET_SIZE(joined)
                )
            else:
                for i in range(out.count):
                    self.encrypt(wb_out_at(out, i), out.pieces[i].length)
        except _SSLError as exc:
            self.fail(exc)
            return 0
        finally:
            wb_out_delete(out)
        self.put_out()
        if self.unwritten is not None and not self.is_writing_paused and (
            self.waiting() > self.high
        ):
            self.is_writing_paused = True
            (<object>self.owner).pause_writing()
        return 0

    cdef int encrypt(self, const uint8_t *data, size_t length) except -1:
        """Give plaintext to TLS, which takes a record at a time; keep what it does not take now."""
        cdef size_t n
        try:
            while length and self.unwritten is None:
                n = self.calls.write(_readable(data, length if length < RECORD else RECORD))
                data += n
                length -= n
        except _Again:
            self.unwritten = []
        if length:
            self.unwritten.append(PyBytes_FromStringAndSize(<char *>data, length))
            self.unwritten_bytes += length
        return 0

    cdef int write_on(self) except -1:
        """Give TLS what it did not take before."""
        cdef list unwritten = self.unwritten
        cdef bytes data
        self.unwritten = None
        self.unwritten_bytes = 0
        try:
            for data in unwritten:
                self.encrypt(<const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        except _SSLError as exc:
            return self.fail(exc)
        self.put_out()
        if self.unwritten is None:
            if self.is_goodbye_due:
                self.write_eof()
            if self.owner is not None:
                self.owner.went()
            if self.is_writing_paused and self.waiting() <= self.low:
                self.is_writing_paused = False
                (<object>self.owner).resume_writing()
        return 0

    cdef int put_out(self) except -1:
        """Send the ciphertext there is."""
        cdef wb_out_t *out
        cdef bytes data = self.outgoing.read()
        if not data:
            return 0
        out = wb_out_new()
        wb_out_refer(
            out, <void *>data, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
        )
        return Socket.send(self, out)

    cdef size_t waiting(self) noexcept:
        return Socket.waiting(self) + self.unwritten_bytes

    cdef int say_goodbye(self) except -1:
        """Send close_notify behind what waits. RFC 8446, 6.1."""
        if self.has_said_goodbye:
            return 0
        self.has_said_goodbye = True
        try:
            self.tls.unwrap()
        except (_SSLError, ValueError):
            pass  # the peer has not said it yet, or TLS is broken: then there is nothing to say
        return self.put_out()

    # As transports are

    def get_extra_info(self, name, default=None):
        """Say what a socket does, or "ssl_object", "sslcontext", "peercert", "cipher", ..."""
        if name == "ssl_object":
            return self.tls
        if name == "sslcontext":
            return self.tls.context
        if name == "peercert":
            return self.tls.getpeercert()
        if name == "cipher":
            return self.tls.cipher()
        if name == "compression":
            return self.tls.compression()
        return Socket.get_extra_info(self, name, default)

    def get_write_buffer_size(self):
        """How many bytes wait to be sent."""
        return Socket.get_write_buffer_size(self) + self.unwritten_bytes

    def write_eof(self):
        """End the stream to the peer once what waits was sent, and go on reading."""
        if self._is_closing or self.is_eof_due:
            return
        if self.unwritten is not None:
            self.is_goodbye_due = True
            return
        self.say_goodbye()
        Socket.write_eof(self)

    def close(self):
        """Close it once what waits was sent."""
        if not self._is_closing:
            if not self.is_eof_due:
                self.say_goodbye()
            Socket.close(self)


cdef bint _is(object what, str module, str name):
    kind = type(what)
    return kind.__module__ == module and kind.__name__ == name


cdef Socket adopt_tls(object transport, Owner owner, object loop):
    """Take the socket of a TLS transport, as ``sockets.adopt``; None where that cannot be."""
    cdef TlsSocket taken
    cdef int fd
    if not _is(transport, "asyncio.sslproto", "_SSLProtocolTransport") or not can_poll():
        return None
    protocol = getattr(transport, "_ssl_protocol", None)
    inner = getattr(protocol, "_transport", None)
    incoming = getattr(protocol, "_incoming", None)
    outgoing = getattr(protocol, "_outgoing", None)
    tls = transport.get_extra_info("ssl_object")
    calls = getattr(tls, "_sslobj", None)
    if (
        not _is(inner, "asyncio.selector_events", "_SelectorSocketTransport")
        or type(incoming) is not ssl.MemoryBIO
        or type(outgoing) is not ssl.MemoryBIO
        or not isinstance(tls, ssl.SSLObject)
        or not _is(calls, "_ssl", "_SSLSocket")
    ):
        return None
    if transport.is_closing() or transport.get_write_buffer_size() != outgoing.pending:
        return None  # plaintext waits
    if inner.is_closing() or inner.get_write_buffer_size():
        return None
    plain = inner.get_extra_info("socket")
    if plain is None or plain.type != socket.SOCK_STREAM:
        return None
    fd = os.dup(plain.fileno())
    taken = TlsSocket.__new__(TlsSocket)
    taken.owner = owner
    taken.loop = loop
    taken.peername = transport.get_extra_info("peername")
    taken.tls = tls
    taken.calls = calls
    taken.incoming = incoming
    taken.outgoing = outgoing
    try:
        poller_of(loop).watch(taken, fd, WB_READ | WB_HANG_UP)
    except BaseException:
        os.close(fd)
        raise
    transport.set_protocol(_RELEASED)
    transport.pause_reading()  # or it would go on reading from what is ours now
    transport.abort()
    taken.put_out()  # such as session tickets
    loop.call_soon(taken._begin)
    return taken
