"""The sockets of one event loop, watched apart from it, and the turns in which they are served.

The loop sees one descriptor: that of an epoll or kqueue in which all our sockets are. When one of
them is ready the loop calls us once, and we serve up to 64 of them; what they have to send goes
out at the end of the turn. A turn looks again while nothing else waits, for half a millisecond.

All sockets share one receive buffer. What one read brought is parsed where it is, and what is left
of it is copied away before the next read.
"""

import asyncio
import sys
import weakref

from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.object cimport PyObject
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

cdef extern from "poll.h":
    enum: WB_READ
    enum: WB_WRITE
    enum: WB_HANG_UP
    bint WB_HAS_POLL
    int wb_poll_new()
    int wb_poll_set(int poll, int fd, void *what, uint32_t now, uint32_t before, bint is_new)
    void wb_poll_forget(int poll, int fd)
    int wb_poll_wait(int poll, wb_event_t *events)

cdef extern from "clock.h":
    double wb_time() nogil

cdef extern from *:
    """
    #ifndef _WIN32
    #include <unistd.h>
    static void wb_close(int fd) { close(fd); }
    #else
    static void wb_close(int fd) { (void)fd; }
    #endif
    """
    void wb_close(int fd)

cdef enum:
    PyBUF_WRITE = 0x200

cdef double REPEAT_S = 0.0005
cdef double BUSY_S = 0.002  # timers are not looked at meanwhile

__all__ = ["Poller", "can_poll", "poller", "set_busy_poll"]

_pollers = weakref.WeakKeyDictionary()


def can_poll() -> bool:
    """Whether this system has what the engine needs to watch sockets by itself."""
    return WB_HAS_POLL


cdef class Pollable:
    """Something with a descriptor."""

    cdef int ready(self, uint32_t events) except -1:
        """Called when one of the events that it is watched for has come, or a hang-up."""
        raise NotImplementedError


cdef class Flushable:
    """Something that has queued what it wants to send."""

    cdef int flush(self) except -1:
        """Send it."""
        raise NotImplementedError

    cdef int go_on(self) except -1:
        """Go on with what it gave way to others in."""
        raise NotImplementedError


cdef class Poller:
    """Serves the sockets of a loop; ``poller`` returns it."""

    def __cinit__(self, loop):
        # The loop holds us as long as it watches us: it must not be the other way round too.
        self.loop_ref = weakref.ref(loop)
        self.poll = -1
        self.watched = {}
        self.buried = []
        self.dirty = []
        self.queued = []
        self.buffer = <uint8_t *>malloc(HEADROOM + RECEIVED_MAX)
        if self.buffer is NULL:
            raise MemoryError()
        self.view = PyMemoryView_FromMemory(
            <char *>self.buffer + HEADROOM, RECEIVED_MAX, PyBUF_WRITE
        )
        time = getattr(type(loop), "time", None)
        self.has_own_clock = not (
            time is asyncio.BaseEventLoop.time or type(loop).__module__.startswith("uvloop")
        )
        # Whether asyncio has something else to do is seen in a private attribute alone.
        ready = getattr(loop, "_ready", None)
        self.ready_of_loop = ready if hasattr(ready, "__len__") else None

    def __dealloc__(self):
        if self.poll >= 0:
            wb_close(self.poll)
        free(self.buffer)

    def __len__(self):
        return len(self.watched)

    cdef double time(self) except -1:
        """The loop's time; within a turn, that of its beginning."""
        if self.in_turn:
            return self.now
        if self.has_own_clock:
            return self.loop_ref().time()
        return wb_time()

    # Who is watched

    cdef int watch(self, Pollable what, int fd, uint32_t interest) except -1:
        """Watch a descriptor until ``forget``, and keep its owner alive."""
        if self.poll < 0:
            self.poll = wb_poll_new()
            if self.poll < 0:
                raise OSError(errno, "cannot watch sockets")
        if not self.is_reading:
            self.loop_ref().add_reader(self.poll, self.on_ready)
            self.is_reading = True
        if wb_poll_set(self.poll, fd, <void *>what, interest, 0, True) < 0:
            raise OSError(errno, "cannot watch a socket")
        what.fd = fd
        what.interest = interest
        what.poller = self
        self.watched[fd] = what
        return 0

    cdef int change(self, Pollable what, uint32_t interest) except -1:
        if what.fd >= 0 and interest != what.interest:
            if wb_poll_set(
                self.poll, what.fd, <void *>what, interest, what.interest, False
            ) < 0:
                raise OSError(errno, "cannot watch a socket")
            what.interest = interest
        return 0

    cdef int forget(self, Pollable what) except -1:
        """Watch it no more; its owner closes the descriptor."""
        if what.fd >= 0:
            wb_poll_forget(self.poll, what.fd)
            if self.in_turn:
                self.buried.append(what)  # an event of it may be among those at hand
            del self.watched[what.fd]
            what.fd = -1
        return 0

    # Turns

    def on_ready(self):
        """Serve whoever is ready."""
        cdef int n, i
        cdef Pollable what
        cdef double start, now, last
        if self.in_turn:
            return  # a handler runs the loop within itself
        start = now = last = self._begin()
        try:
            while True:
                n = wb_poll_wait(self.poll, self.events)
                if n < 0 and errno != EINTR:
                    raise OSError(errno, "cannot watch sockets")
                for i in range(n):
                    what = <Pollable>self.events[i].what
                    if what.fd >= 0:
                        what.ready(self.events[i].events)
                self.flush_dirty()
                self.buried.clear()
                now = wb_time()
                if n <= 0:
                    if (now - last) * 1e6 >= self.busy_poll_us or now - start > BUSY_S:
                        break
                    if self.ready_of_loop:
                        break
                    continue
                last = now
                if self.ready_of_loop or (self.ready_of_loop is None and not self.busy_poll_us):
                    break
                if now - start > (BUSY_S if self.busy_poll_us else REPEAT_S):
                    break
                if not self.has_own_clock:
                    self.now = now
        finally:
            self._end()

    def _begin(self):
        """Begin a turn; return when, by the system's clock."""
        cdef double now = wb_time()
        self.now = self.loop_ref().time() if self.has_own_clock else now
        self.in_turn = True
        return now

    def _end(self):
        self.in_turn = False
        self.buried.clear()
        if self.dirty:  # an exception came between
            self._schedule_flush()

    cdef int mark(self, Flushable what) except -1:
        """Flush it at the end of this turn, or soon."""
        if not what.is_dirty:
            what.is_dirty = True
            self.dirty.append(what)
            if not self.in_turn:
                self._schedule_flush()
        return 0

    def _schedule_flush(self):
        if not self.is_flush_scheduled:
            self.is_flush_scheduled = True
            self.loop_ref().call_soon(self._flush_scheduled)

    def _flush_scheduled(self):
        self.is_flush_scheduled = False
        self.flush_dirty()

    cdef int flush_dirty(self) except -1:
        cdef Flushable what
        cdef list dirty
        while self.dirty:
            dirty, self.dirty = self.dirty, []
            for what in dirty:
                what.is_dirty = False
                try:
                    what.flush()
                except Exception as exc:  # of one of many
                    self._report(exc)
        return 0

    def _report(self, error):
        self.loop_ref().call_exception_handler(
            {"message": "error in a connection", "exception": error}
        )

    cdef int give_way(self, Flushable what) except -1:
        """Call ``go_on`` of it in the next turn of the loop."""
        if not self.queued:
            self.loop_ref().call_soon(self._go_on)
        self.queued.append(what)
        return 0

    def _go_on(self):
        cdef Flushable what
        cdef list queued
        if self.in_turn:
            self.loop_ref().call_soon(self._go_on)
            return
        queued, self.queued = self.queued, []
        self._begin()
        try:
            for what in queued:
                try:
                    what.go_on()
                except Exception as exc:  # of one of many
                    self._report(exc)
            self.flush_dirty()
        finally:
            self._end()

    cdef object call_soon(self, function):
        return self.loop_ref().call_soon(function)


cdef Poller poller_of(object loop):
    """The poller of a loop."""
    cdef Poller found = _pollers.get(loop)
    if found is None:
        found = _pollers[loop] = Poller(loop)
    return found


def poller(loop):
    """Return the poller of a loop."""
    return poller_of(loop)


def set_busy_poll(loop, microseconds):
    """Let turns of a loop look for more so long after the last that came, before they end."""
    poller_of(loop).busy_poll_us = microseconds
