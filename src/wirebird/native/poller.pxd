from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "poll.h":
    ctypedef struct wb_event_t:
        void *what
        uint32_t events
    enum: WB_EVENTS_MAX


cdef class Pollable:
    cdef int fd  # -1 once it is closed
    cdef uint32_t interest
    cdef Poller poller

    cdef int ready(self, uint32_t events) except -1


cdef class Flushable:
    cdef bint is_dirty

    cdef int flush(self) except -1
    cdef int go_on(self) except -1


cdef class Poller:
    cdef object __weakref__
    cdef object loop_ref
    cdef int poll
    cdef bint is_reading  # the loop watches us
    cdef bint in_turn
    cdef bint is_flush_scheduled
    cdef bint has_own_clock  # the loop's time is not the system's
    cdef object ready_of_loop  # what else asyncio has to do, or None
    cdef double now  # of the turn
    cdef public long busy_poll_us
    cdef dict watched
    cdef list buried  # closed in this turn
    cdef list dirty
    cdef list queued  # who gave way
    cdef wb_event_t events[64]
    cdef uint8_t *buffer
    cdef object view

    cdef int watch(self, Pollable what, int fd, uint32_t interest) except -1
    cdef int change(self, Pollable what, uint32_t interest) except -1
    cdef int forget(self, Pollable what) except -1
    cdef int mark(self, Flushable what) except -1
    cdef int give_way(self, Flushable what) except -1
    cdef double time(self) except -1
    cdef int flush_dirty(self) except -1
    cdef object call_soon(self, function)


cdef Poller poller_of(object loop)
cdef enum:
    HEADROOM = 64 * 1024
    RECEIVED_MAX = 256 * 1024
