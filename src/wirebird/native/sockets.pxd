from libc.stdint cimport uint8_t, uint32_t

from .outbound cimport wb_out_t
from .poller cimport Flushable, Pollable


cdef extern from "address.h":
    ctypedef struct wb_address_t:
        pass


cdef class Owner(Flushable):
    cdef int came(self, uint8_t *data, size_t length) except -1
    cdef int came_in_place(self, size_t length) except -1
    cdef uint8_t *room(self, size_t *length) except? NULL
    cdef int went(self) except -1


cdef class Socket(Pollable):
    cdef Owner owner
    cdef object loop
    cdef wb_out_t *held  # what the socket did not take yet
    cdef size_t high, low
    cdef bint is_paused  # reading is
    cdef bint is_blocked  # writing is: we wait until the socket takes more
    cdef bint is_writing_paused  # our owner was told
    cdef bint _is_closing, is_eof_due, is_eof_sent, is_lost
    cdef int _fd_after
    cdef object error
    cdef object peername  # None: ``address`` holds it
    cdef wb_address_t address
    cdef object socket

    cdef int send(self, wb_out_t *out) except -1
    cdef int receive(self) except -1
    cdef int update(self) except -1
    cdef int writable(self) except -1
    cdef int fail(self, error) except -1
    cdef size_t waiting(self) noexcept


cdef Socket adopt(object transport, Owner owner, object loop)
cdef Socket own(int fd, Owner owner, object loop)
