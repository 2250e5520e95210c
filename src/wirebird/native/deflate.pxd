from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t

cdef extern from "zlib_abi.h":
    ctypedef struct wb_z_stream:
        const unsigned char *next_in
        unsigned int avail_in
        unsigned char *next_out
        unsigned int avail_out
        const char *msg
        int data_type


cdef struct Buffer:
    # Bytes that grow, from malloc(); all zero is an empty one. Who has it calls free(at).
    uint8_t *at
    size_t length, size


cdef struct Stream:
    wb_z_stream z
    uint32_t settings  # what it was made with, by which it is found again


cdef struct Output:
    # Where results go: a caller's buffer, or scratch and, once that is full, bytes.
    uint8_t *at
    size_t length, size
    Buffer *buffer  # NULL: to become bytes
    PyObject *bytes


cdef enum:
    NO_LIMIT = -1


cdef class Deflater:
    cdef readonly bint keeps_context
    cdef int _level, _window_bits, _mem_level, _strategy
    cdef bytes _dictionary  # or None
    cdef Stream *_stream  # NULL until it is needed

    # Add a fragment, compressed, to a buffer; after an exception it is as before.
    cdef int deflate_into(
        self, const uint8_t *data, size_t length, bint final, Buffer *buffer
    ) except -1
    cdef bytes deflate_c(self, const uint8_t *data, size_t length, bint final)
    cpdef reset(self)

    cdef int run(self, const uint8_t *data, size_t length, bint final, Output *out) except -1
    cdef int begin(self) except -1


cdef class Inflater:
    cdef readonly bint keeps_context
    cdef int _window_bits
    cdef int _streams_ended  # in this message
    cdef Stream *_stream  # NULL until it is needed

    # max_size counts what this call gives; NO_LIMIT for none. Who subtracts must stop at 0.
    cdef int inflate_into(
        self, const uint8_t *data, size_t length, bint final, Py_ssize_t max_size, Buffer *buffer
    ) except -1
    cdef bytes inflate_c(
        self, const uint8_t *data, size_t length, bint final, Py_ssize_t max_size
    )

    cdef bytes inflate_limited(
        self, const uint8_t *data, size_t length, bint final, bint limited, Py_ssize_t max_size
    )
    cdef int run(
        self,
        const uint8_t *data,
        size_t length,
        bint final,
        bint limited,
        Py_ssize_t max_size,
        Output *out,
    ) except -1
    cdef int feed(
        self, const uint8_t *data, size_t length, Py_ssize_t too_long, size_t most, Output *out
    ) except -1
    cdef int begin(self) except -1
    cdef int end_stream(self) except -1
    cdef void drop(self) noexcept
    cdef bint is_between_blocks(self) noexcept
