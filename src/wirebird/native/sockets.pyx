"""A connected socket that the engine owns: a transport of asyncio's kind, without the loop's help.

It is made from a transport whose opening handshake is done (``adopt``): the descriptor is
duplicated, and the transport goes. From then on the poller says when it is ready, and its owner,
a connection, gives and takes bytes in C. For everybody else it is what ``ws.transport`` was.
"""

import asyncio
import os
import socket
from asyncio.trsock import TransportSocket

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint32_t

from .outbound cimport wb_out_t
from .poller cimport HEADROOM, RECEIVED_MAX, Flushable, Pollable, Poller, poller_of

from .poller import can_poll

cdef extern from "out_buffer.h":
    wb_out_t *wb_out_new() except NULL
    void wb_out_delete(wb_out_t *out)
    int wb_out_refer(wb_out_t *out, void *owner, const uint8_t *at, size_t length) except -1
    int wb_out_append(wb_out_t *out, wb_out_t *more) except -1
    int wb_out_send(wb_out_t *out, int fd)
    enum: WB_ALL_SENT
    enum: WB_BLOCKED
    enum: WB_BROKEN

cdef extern from "poll.h":
    enum: WB_READ
    enum: WB_WRITE
    enum: WB_HANG_UP

cdef extern from "address.h":
    object wb_address(const wb_address_t *address)

cdef extern from *:
    """
    #ifndef _WIN32
    #include <sys/socket.h>
    #include <unistd.h>
    static Py_ssize_t wb_recv(int fd, uint8_t *to, size_t length) {
        return recv(fd, to, length, MSG_DONTWAIT);
    }
    static int wb_end_of_stream(int fd) { return shutdown(fd, SHUT_WR); }
    static void wb_close_socket(int fd) { close(fd); }
    #else
    static Py_ssize_t wb_recv(int fd, uint8_t *to, size_t length) { return -1; }
    static int wb_end_of_stream(int fd) { return -1; }
    static void wb_close_socket(int fd) { }
    #endif
    """
    Py_ssize_t wb_recv(int fd, uint8_t *to, size_t length)
    int wb_end_of_stream(int fd)
    void wb_close_socket(int fd)

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

__all__ = ["Socket"]

cdef enum:
    DEFAULT_HIGH = 64 * 1024

_TRANSPORTS = {
    ("asyncio.selector_events", "_SelectorSocketTransport"),
    ("uvloop.loop", "TCPTransport"),
    ("uvloop.loop", "UnixTransport"),
}


cdef class Owner(Flushable):
    """Whoever a socket gives what comes."""

    cdef int came(self, uint8_t *data, size_t length) except -1:
        """Take bytes; ``HEADROOM`` bytes before them may be written to, and they will go."""
        raise NotImplementedError

    cdef uint8_t *room(self, size_t *length) except? NULL:
        """Where it wants the next bytes; NULL for anywhere."""
        return NULL

    cdef int came_in_place(self, size_t length) except -1:
        """Take bytes that were written to ``room``."""
        raise NotImplementedError

    cdef int went(self) except -1:
        """Some of what was held has gone."""
        return 0


cdef class Socket(Pollable):
    """A connected socket; to Python it does what ``asyncio.Transport`` does."""

    def __cinit__(self):
        self.fd = -1
        self._fd_after = -1
        self.high = DEFAULT_HIGH
        self.low = DEFAULT_HIGH // 4

    def __dealloc__(self):
        wb_out_delete(self.held)
        if self.fd >= 0:  # its loop is gone
            if self.socket is None:
                wb_close_socket(self.fd)

    def __repr__(self):
        state = "closing" if self._is_closing else "open"
        return f"<{type(self).__name__} {state} peername={self.get_extra_info('peername')}>"

    # From the poller

    cdef int ready(self, uint32_t events) except -1:
        try:
            if self.is_blocked and (events & WB_WRITE or self._is_closing):
                self.writable()
            if events & WB_HANG_UP and self.is_paused and not self._is_closing:
                # Up to the end: what is left before it is in the kernel already.
                self.resume_reading()
            if events & (WB_READ | WB_HANG_UP) and not self.is_paused and not self._is_closing:
                self.receive()
        except Exception as exc:
            self.loop.call_exception_handler(
                {"message": "error in a connection", "exception": exc, "transport": self}
            )
            self.fail(exc)
        return 0

    cdef int receive(self) except -1:
        cdef size_t length = 0
        cdef Py_ssize_t got
        cdef Owner owner = self.owner
        cdef uint8_t *to
        to = owner.room(&length)
        if to is not NULL:
            got = wb_recv(self.fd, to, length)
            if got > 0:
                return owner.came_in_place(got)
        else:
            to = self.poller.buffer + HEADROOM
            got = wb_recv(self.fd, to, RECEIVED_MAX)
            if got > 0:
                return owner.came(to, got)
        if got == 0:
            if not (<object>owner).eof_received():
                self.close()
        elif errno not in (EAGAIN, EINTR):
            self.fail(OSError(errno, os.strerror(errno)))
        return 0

    cdef int writable(self) except -1:
        """Send what was held."""
        cdef int how = wb_out_send(self.held, self.fd)
        if how == WB_BROKEN:
            return self.fail(OSError(errno, os.strerror(errno)))
        if how == WB_ALL_SENT:
            wb_out_delete(self.held)
            self.held = NULL
            self.is_blocked = False
            if self.is_eof_due:
                self._end_stream()
            self.update()
        if self.owner is not None:
            self.owner.went()
        if self.is_writing_paused and self.waiting() <= self.low:
            self.is_writing_paused = False
            (<object>self.owner).resume_writing()
        if self._is_closing and self.held is NULL:
            self._lose_soon()
        return 0

    # From the owner

    cdef int send(self, wb_out_t *out) except -1:
        """Send a buffer, which is ours from now on."""
        cdef int how
        if self.fd < 0 or self._is_closing or self.is_eof_due:
            wb_out_delete(out)
            if self.is_eof_due and not self._is_closing:
                self.fail(RuntimeError("Cannot call write() after write_eof()"))
            return 0
        if self.held is not NULL:
            wb_out_append(self.held, out)
        else:
            how = wb_out_send(out, self.fd)
            if how == WB_ALL_SENT:
                wb_out_delete(out)
                return 0
            if how == WB_BROKEN:
                wb_out_delete(out)
                return self.fail(OSError(errno, os.strerror(errno)))
            self.held = out
            self.is_blocked = True
            self.update()
        if not self.is_writing_paused and self.waiting() > self.high:
            self.is_writing_paused = True
            (<object>self.owner).pause_writing()
        return 0

    cdef size_t waiting(self) noexcept:
        return 0 if self.held is NULL else self.held.total + self.held.overhead

    cdef int update(self) except -1:
        """Watch for what we want now."""
        cdef uint32_t interest = 0
        if self.fd < 0:
            return 0
        if not self._is_closing:
            interest |= WB_HANG_UP
            if not self.is_paused:
                interest |= WB_READ
        if self.is_blocked:
            interest |= WB_WRITE
        return self.poller.change(self, interest)

    cdef int fail(self, error) except -1:
        """The connection is broken."""
        if self.error is None:
            self.error = error
            if self.owner is not None:
                (<object>self.owner)._link_error = error
        self.abort()
        return 0

    # As transports are

    def get_extra_info(self, name, default=None):
        """Say "socket", "sockname" or "peername"."""
        if name == "peername":
            if self.peername is None:
                return wb_address(&self.address)
            return self.peername
        if name == "socket":
            if self.socket is None and self.fd >= 0:
                self.socket = socket.socket(fileno=self.fd)
            return default if self.socket is None else TransportSocket(self.socket)
        if name == "sockname" and self.fd >= 0:
            try:
                return self.get_extra_info("socket").getsockname()
            except OSError:
                return default
        return default

    def is_closing(self):
        """Whether it is closing, or closed."""
        return self._is_closing

    def close(self):
        """Close it once what waits was sent."""
        if not self._is_closing:
            self._is_closing = True
            if self.held is NULL:
                self._lose_soon()
            else:
                self.update()

    def abort(self):
        """Close it now; what waits is lost."""
        self._is_closing = True
        wb_out_delete(self.held)
        self.held = NULL
        self.is_blocked = False
        self._lose_soon()

    def _lose_soon(self):
        if not self.is_lost:
            self.is_lost = True
            self.is_paused = True
            if self.fd >= 0:
                # Nothing of it is of interest any more, but the descriptor stays until its owner
                # was told, lest another gets the same number before.
                self._fd_after = self.fd
                self.poller.forget(self)
                self.fd = -1
            self.loop.call_soon(self._lost)

    def _lost(self):
        owner, self.owner = self.owner, None
        try:
            owner.connection_lost(self.error)
        finally:
            if self.socket is not None:
                self.socket.close()
                self.socket = None
            elif self._fd_after >= 0:
                wb_close_socket(self._fd_after)
            self._fd_after = -1

    def pause_reading(self):
        """Stop reading; a hang-up is still noticed."""
        if not self._is_closing and not self.is_paused:
            self.is_paused = True
            self.update()

    def resume_reading(self):
        """Read again."""
        if not self._is_closing and self.is_paused:
            self.is_paused = False
            self.update()

    def is_reading(self):
        """Whether it is read from."""
        return not self.is_paused and not self._is_closing

    def write(self, data):
        """Send bytes; what the socket does not take is held."""
        cdef wb_out_t *out
        cdef bytes kept
        if self.is_eof_due:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data:
            return
        kept = bytes(data)
        out = wb_out_new()
        wb_out_refer(
            out, <void *>kept, <const uint8_t *>PyBytes_AS_STRING(kept), PyBytes_GET_SIZE(kept)
        )
        self.send(out)

    def writelines(self, data):
        """Send several pieces."""
        self.write(b"".join(data))

    def write_eof(self):
        """End the stream to the peer once what waits was sent, and go on reading."""
        if not self._is_closing and not self.is_eof_due:
            self.is_eof_due = True
            if self.held is NULL:
                self._end_stream()

    def _end_stream(self):
        if not self.is_eof_sent and self.fd >= 0:
            self.is_eof_sent = True
            if wb_end_of_stream(self.fd) < 0:
                self.fail(OSError(errno, os.strerror(errno)))

    def can_write_eof(self):
        """Whether one direction can end before the other."""
        return True

    def get_write_buffer_size(self):
        """How many bytes wait to be sent."""
        return 0 if self.held is NULL else self.held.total

    def get_write_buffer_limits(self):
        """Return (low, high)."""
        return self.low, self.high

    def set_write_buffer_limits(self, high=None, low=None):
        """Set above and below what the owner's writing pauses and resumes, in bytes."""
        if high is None:
            high = DEFAULT_HIGH if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self.high = high
        self.low = low

    def set_protocol(self, protocol):
        """Not possible: the connection that owns the socket is its protocol."""
        raise NotImplementedError("the protocol of a connection's socket cannot be changed")

    def get_protocol(self):
        """Return the connection that owns the socket."""
        return self.owner


class _Released(asyncio.Protocol):
    """In the place of a connection, for a transport whose socket it has taken."""

    __slots__ = ()


_RELEASED = _Released()


cdef Socket own(int fd, Owner owner, object loop):
    """Make a transport of a descriptor, which is closed with it, or at once after an error."""
    cdef Socket taken = Socket.__new__(Socket)
    taken.owner = owner
    taken.loop = loop
    try:
        poller_of(loop).watch(taken, fd, WB_READ | WB_HANG_UP)
    except BaseException:
        wb_close_socket(fd)
        raise
    return taken


cdef Socket adopt(object transport, Owner owner, object loop):
    """Take the socket of a transport which has nothing left to send; None where that cannot be.

    Nothing is lost: a transport gives what it has read at once, and the rest is in the kernel.
    """
    cdef Socket taken
    cdef int fd
    kind = type(transport)
    if (kind.__module__, kind.__name__) not in _TRANSPORTS or not can_poll():
        return None
    if transport.is_closing() or transport.get_write_buffer_size():
        return None
    inner = transport.get_extra_info("socket")
    if inner is None or inner.type != socket.SOCK_STREAM:
        return None
    fd = os.dup(inner.fileno())
    taken = own(fd, owner, loop)
    taken.peername = transport.get_extra_info("peername")
    transport.set_protocol(_RELEASED)
    transport.pause_reading()
    transport.abort()
    return taken
