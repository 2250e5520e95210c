from libc.stdint cimport int64_t, uint8_t, uint32_t

from .deflate cimport Deflater



cdef extern from "out_buffer.h":
    ctypedef struct wb_piece_t:
        size_t length
        size_t offset
        void *owner
    ctypedef struct wb_out_t:
        size_t total
        size_t overhead
        int count
        wb_piece_t *pieces


cdef class Keys:
    cdef object random_bytes
    cdef bytes block
    cdef Py_ssize_t next
    cdef uint32_t draw(self) except? 0


cdef class Outbound:
    cdef readonly bint masked
    cdef readonly tuple extensions
    cdef public object trace
    cdef object _random_bytes
    cdef Keys _keys
    cdef object extension  # a per-message compression, or None
    cdef bint by_zlib  # it is permessage-deflate, for which C does what else its codec would
    cdef Deflater deflater  # made when it is first needed; None where the codec does it
    cdef Py_ssize_t threshold
    cdef bint is_context_stale  # the peer's window holds what our compressor has not seen
    cdef object shared_key  # equal for those that compress alike
    cdef bint is_deflating  # the message in progress is compressed
    cdef bint is_skipping  # ... or its sender asked that it is not
    cdef int in_progress  # opcode of the message in progress, or -1
    cdef wb_out_t *out
    cdef bint is_eof_queued
    cdef bint is_eof_waiting
    cdef double total, flushed, progress_at
    cdef readonly int64_t frame_count, message_count
    cdef size_t buffered
    cdef bytes postponed_pong

    cdef int message(self, int opcode, object data, bint fin, object compress) except -1
    cdef int continuation(self, object data, bint fin) except -1
    cdef int control(self, int opcode, const uint8_t *payload, size_t length) except -1
    cdef int pong(self, const uint8_t *payload, size_t length) except -1
    cdef int frame(
        self, int first, const uint8_t *payload, size_t length, object owner
    ) except -1
    cdef int frame_compressed(
        self, int first, const uint8_t *payload, size_t length, object owner, bint fin
    ) except -1
    cdef int make_deflater(self) except -1
    cdef object sharing_key(self)
    cdef int raw(self, bytes frame) except -1
    cdef int payload(self, int opcode, object data, bint fin) except -1
    cdef int data_frame(
        self, int opcode, const uint8_t *payload, size_t length, object owner, bint fin
    ) except -1
    cdef bint holds(self, size_t buffered, double now) except -1


cdef list out_chunks(wb_out_t *out)
