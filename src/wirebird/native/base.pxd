from .connection cimport HotConnection, Reader
from .outbound cimport wb_out_t
from .poller cimport Poller
from .sockets cimport Owner, Socket


cdef class ConnectionBase(Owner):
    cdef object __weakref__
    cdef public object loop, protocol, link, transport, connection_lost_waiter
    cdef public size_t _held_bytes  # by the transport, when we last looked
    cdef public object _fragmented_send, _backlog, _readable
    cdef public bint _is_receiving, _is_streaming, _is_writing_paused, _is_flush_scheduled
    cdef object core
    cdef HotConnection hot
    cdef Socket sock
    cdef Poller poller
    cdef Waiter waiter
    cdef unsigned long thread
    cdef bint is_recv_plain  # no subclass has put another in its place
    cdef bint in_feed  # what came is being handed out, from the top of the loop
    cdef bint is_queued  # others go first
    cdef int taken, given  # messages in this turn
    cdef double turn_began

    cdef int begin(self) except -1
    cdef int finish(self) except -1
    cdef int clear(self) except -1
    cdef bint has_had_its_turn(self) noexcept
    cdef bint has_sent_enough(self) noexcept
    cdef bint is_time_over(self, int messages, int turns) noexcept
    cdef int sent(self) except -1
    cdef bint written(self, wb_out_t *out) except -1


cdef class Waiter(Reader):
    cdef public object _asyncio_future_blocking
    cdef ConnectionBase ws
    cdef object callback, context, message
    cdef bint is_cancelled
    cdef bint is_running  # its task is, without knowing that it was woken
    cdef Driver driver  # of the task, if that is ours

    cdef int run(self) except -1


cdef class Driver:
    cdef ConnectionBase ws
    cdef object coroutine
    cdef public object task
    cdef int outcome
    cdef object pending


cdef class Receive:
    cdef ConnectionBase ws
    cdef object decode
    cdef object delegate
    cdef int state
    cdef bint is_iteration


cdef class Send:
    cdef ConnectionBase ws
    cdef object message, text, compress
    cdef object delegate
    cdef int state


cdef class Messages:
    cdef ConnectionBase ws


cdef class Deliverer(Reader):
    cdef ConnectionBase ws
    cdef object callbacks, on_data
    cdef public bint is_stopped  # no more messages are wanted
    cdef public bint is_over  # TCP has ended

    cdef int run(self) except -1
