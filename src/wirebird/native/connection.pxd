from libc.stdint cimport uint8_t

from .inbound cimport Inbound
from .outbound cimport Outbound


cdef class Halves:
    cdef object _inbound, _outbound, _public
    cdef bint is_open
    cdef int set(self, halves) except -1
    cdef object core(self)


cdef class Reader:
    cdef bint is_waiting
    cdef bint is_by_frame
    cdef int ready(self) except -1


cdef class HotConnection:
    cdef public double _now, _last_received
    cdef public bint is_paused
    cdef public bint ends_with_input
    # What every connection has is here: in 3.11, the dict of a class with a base like this one
    # has room for thirty attributes, however few there are.
    cdef public object role, _hooks, _keepalive
    cdef public object _reader
    cdef public object _meter  # of rates that are limited; None for most
    cdef public bint _is_by_frame
    cdef Inbound inb
    cdef Outbound outb
    cdef Halves halves
    cdef Reader reader  # in the place of ``_reader``, for adapters that are native too

    cdef int receive(self, uint8_t *data, size_t length, size_t headroom, double now) except -1
    cdef int received(self, size_t length, double now) except -1
    cdef int serve(self) except -1
    cdef bint is_over(self) except -1
    cdef bint is_awaited(self) except -1
    cdef int settle_at(self, double now) except -1
    cdef int read_on(self, bint by_frame) except -1
    cdef object next(self, object decode, bint by_frame)
    cdef int send(self, int opcode, object data, bint fin, object compress) except -1
