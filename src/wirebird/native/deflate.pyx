"""One direction of permessage-deflate, by zlib's C functions. RFC 7692, 7.2.

``core.extensions.deflate_codec`` says what a payload is and what is refused; results, errors and
their texts are the same here. What differs is what a message costs:

- zlib's streams are pooled by their settings, a few of each direction. An endpoint without context
  takeover holds none between messages and allocates none for one; one that keeps its context holds
  its stream from its first compressed message on.
- Results go straight into a buffer of the caller, or through scratch into exact ``bytes``.

The GIL is held throughout, which is what protects the pools and the scratch.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove

import operator
import os
import zlib

from ..core.rules import MAX_DEFLATE_STREAMS
from ..exceptions import PayloadTooBig, ProtocolError

cdef extern from "zlib_abi.h":
    int wb_zlib_load(const char *module)
    int wb_deflate_init(wb_z_stream *z, int level, int window_bits, int mem_level, int strategy)
    int wb_inflate_init(wb_z_stream *z, int window_bits)
    const char *zlib_version "wb_zlib.version" ()
    int z_deflate "wb_zlib.deflate" (wb_z_stream *z, int flush)
    int z_deflate_reset "wb_zlib.deflate_reset" (wb_z_stream *z)
    int z_deflate_set_dictionary "wb_zlib.deflate_set_dictionary" (
        wb_z_stream *z, const unsigned char *dictionary, unsigned int length
    )
    int z_deflate_end "wb_zlib.deflate_end" (wb_z_stream *z)
    int z_inflate "wb_zlib.inflate" (wb_z_stream *z, int flush)
    int z_inflate_reset "wb_zlib.inflate_reset" (wb_z_stream *z)
    int z_inflate_end "wb_zlib.inflate_end" (wb_z_stream *z)
    enum:
        WB_Z_NO_FLUSH
        WB_Z_SYNC_FLUSH
        WB_Z_OK
        WB_Z_STREAM_END
        WB_Z_STREAM_ERROR
        WB_Z_DATA_ERROR
        WB_Z_MEM_ERROR
        WB_Z_BUF_ERROR
        WB_Z_DEFLATED
        WB_Z_HUFFMAN_ONLY
        WB_Z_UNUSED_BITS
        WB_Z_LAST_BLOCK
        WB_Z_AFTER_BLOCK

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX
    int _PyBytes_Resize(PyObject **bytes, Py_ssize_t size) except -1

__all__ = ["Deflater", "Inflater", "available", "version"]

cdef enum:
    POOLED = 8  # streams of each direction that wait to be used again
    SCRATCH = 64 * 1024
    PIECE = 1 << 30  # zlib counts in 32 bits
    TAIL_BYTES = 4
    FEW = 1024  # where an empty buffer begins
    SYNC_BYTES = 16  # more than an end of a block and an empty stored one take

cdef const uint8_t *_TAIL = b"\x00\x00\xff\xff"
cdef int _MAX_STREAMS = MAX_DEFLATE_STREAMS
cdef uint8_t _scratch[SCRATCH]


# zlib.


cdef bint _load():
    path = getattr(zlib, "__file__", None)
    if path is None:  # it is built into the interpreter
        return wb_zlib_load(NULL)
    encoded = os.fsencode(path)
    return wb_zlib_load(encoded)


cdef bint _is_loaded = _load()


def available() -> bool:
    """Whether zlib was found; else the classes raise ImportError, and ``core`` has others."""
    return _is_loaded


def version() -> str:
    """Return the version that zlib, or what stands in for it, calls itself.

    Raises:
        ImportError: it was not found.
    """
    _check_loaded()
    return zlib_version().decode()


cdef int _check_loaded() except -1:
    if not _is_loaded:
        raise ImportError("zlib's C functions were not found; use core.extensions.deflate_codec")
    return 0


cdef int _check_window_bits(object value) except -1:
    bits = operator.index(value)
    if not 8 <= bits <= 15:
        raise ValueError(f"window_bits must be between 8 and 15, got {bits}")
    return bits


def _settings(level=-1, method=WB_Z_DEFLATED, wbits=None, memLevel=8, strategy=0, zdict=b""):
    """Take what ``zlib.compressobj`` takes, by name; ``wbits`` is for the window to say."""
    level, method = operator.index(level), operator.index(method)
    mem_level, strategy = operator.index(memLevel), operator.index(strategy)
    if not (
        -1 <= level <= 9 and method == WB_Z_DEFLATED and 1 <= mem_level <= 9 and 0 <= strategy <= 4
    ):
        raise ValueError("Invalid initialization option")
    return level, mem_level, strategy, bytes(memoryview(zdict)) or None


# Streams that wait to be used again, the one used last at the end. One whose settings nobody asks
# for moves to the front, and goes when there are too many.

cdef struct Pool:
    Stream *streams[POOLED]
    int count

cdef Pool _deflating
cdef Pool _inflating


cdef Stream *_take(Pool *pool, uint32_t settings) noexcept:
    cdef int at = pool.count
    cdef Stream *stream
    while at:
        at -= 1
        stream = pool.streams[at]
        if stream.settings == settings:
            pool.count -= 1
            memmove(
                &pool.streams[at], &pool.streams[at + 1], (pool.count - at) * sizeof(Stream *)
            )
            return stream
    return NULL


cdef Stream *_put(Pool *pool, Stream *stream) noexcept:
    """Keep a stream; return the one that must go for it, or NULL."""
    cdef Stream *oldest = NULL
    if pool.count == POOLED:
        oldest = pool.streams[0]
        pool.count -= 1
        memmove(&pool.streams[0], &pool.streams[1], pool.count * sizeof(Stream *))
    pool.streams[pool.count] = stream
    pool.count += 1
    return oldest


cdef void _put_deflating(Stream *stream) noexcept:
    cdef Stream *oldest = _put(&_deflating, stream)
    if oldest != NULL:
        z_deflate_end(&oldest.z)
        free(oldest)


cdef void _put_inflating(Stream *stream) noexcept:
    cdef Stream *oldest = _put(&_inflating, stream)
    if oldest != NULL:
        z_inflate_end(&oldest.z)
        free(oldest)


cdef Stream *_new_stream(uint32_t settings) except NULL:
    cdef Stream *stream = <Stream *>calloc(1, sizeof(Stream))
    if stream == NULL:
        raise MemoryError
    stream.settings = settings
    return stream


cdef int _fail(str what, int status, wb_z_stream *z, type error) except -1:
    """Raise what zlib says, in the words of Python's module."""
    if status == WB_Z_MEM_ERROR:
        raise MemoryError
    if z.msg != NULL:
        why = z.msg.decode("latin-1")
    elif status == WB_Z_BUF_ERROR:
        why = "incomplete or truncated stream"
    elif status == WB_Z_STREAM_ERROR:
        why = "inconsistent stream state"
    elif status == WB_Z_DATA_ERROR:
        why = "invalid input data"
    else:
        why = ""
    prefix = "invalid compressed payload: " if error is ProtocolError else ""
    raise error(f"{prefix}Error {status} while {what} data" + (f": {why}" if why else ""))


cdef int _discard(
    Stream *stream, int (*end)(wb_z_stream *) noexcept, str what, int status
) except -1:
    """Free a stream that did not begin, and raise why; ``end`` knows one without a state."""
    try:
        _fail(what, status, &stream.z, zlib.error)
    finally:
        end(&stream.z)
        free(stream)
    return 0


# Where results go.


cdef void _begin_bytes(Output *out) noexcept:
    out.at, out.length, out.size = _scratch, 0, SCRATCH
    out.buffer, out.bytes = NULL, NULL


cdef bytes _end_bytes(Output *out):
    if out.bytes == NULL:
        return PyBytes_FromStringAndSize(<char *>out.at, out.length)
    _PyBytes_Resize(&out.bytes, out.length)
    result = <bytes>out.bytes
    Py_XDECREF(out.bytes)
    out.bytes = NULL
    return result


cdef void _begin_buffer(Output *out, Buffer *buffer) noexcept:
    out.at, out.length, out.size = buffer.at, buffer.length, buffer.size
    out.buffer, out.bytes = buffer, NULL


cdef int _grow(Output *out, size_t size) except -1:
    cdef uint8_t *at
    if size > <size_t>PY_SSIZE_T_MAX:
        raise MemoryError
    if out.buffer != NULL:
        at = <uint8_t *>realloc(out.at, size)
        if at == NULL:
            raise MemoryError
        # The old place is gone, also for a caller who sees an exception.
        out.buffer.at, out.buffer.size = at, size
    elif out.bytes == NULL:
        result = PyBytes_FromStringAndSize(NULL, size)
        at = <uint8_t *>PyBytes_AS_STRING(result)
        memcpy(at, out.at, out.length)
        Py_INCREF(result)
        out.bytes = <PyObject *>result
    else:
        _PyBytes_Resize(&out.bytes, size)
        at = <uint8_t *>PyBytes_AS_STRING(<bytes>out.bytes)
    out.at, out.size = at, size
    return 0


@cython.final
cdef class Deflater:
    """Compresses the messages that one endpoint sends.

    Args:
        window_bits: base-2 logarithm of the largest distance of a back-reference, 8-15.
        keep_context: whether a message may refer to the messages before it.
        settings: keyword arguments for ``zlib.compressobj``; ``wbits`` does not count.

    Raises:
        ImportError: zlib was not found.
        TypeError: ``zlib.compressobj`` knows no such setting, or none of such a type.
        ValueError: an argument is out of its range.
    """

    def __cinit__(self, window_bits, keep_context, settings):
        _check_loaded()
        self.keeps_context = keep_context
        self._window_bits = _check_window_bits(window_bits)
        self._level, self._mem_level, self._strategy, self._dictionary = _settings(**settings)
        if self._window_bits == 8:
            self._window_bits, self._strategy = 9, WB_Z_HUFFMAN_ONLY

    def __dealloc__(self):
        if self._stream != NULL:
            _put_deflating(self._stream)

    def deflate(self, data, final):
        """Compress a fragment so that its receiver needs no later one to read it.

        Args:
            data: any bytes-like object.
            final: whether the message ends with it.
        """
        cdef Py_buffer view
        if type(data) is bytes:
            return self.deflate_c(
                <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), final
            )
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return self.deflate_c(<const uint8_t *>view.buf, view.len, final)
        finally:
            PyBuffer_Release(&view)

    cpdef reset(self):
        """Begin a new context before the next message: it refers to none that came before.

        This is always allowed, and needed where a message was sent that this did not compress:
        the peer's window then holds what ours does not.
        """
        if self._stream != NULL:
            _put_deflating(self._stream)
            self._stream = NULL

    cdef bytes deflate_c(self, const uint8_t *data, size_t length, bint final):
        cdef Output out
        _begin_bytes(&out)
        try:
            self.run(data, length, final, &out)
            return _end_bytes(&out)
        except:
            Py_XDECREF(out.bytes)
            raise

    cdef int deflate_into(
        self, const uint8_t *data, size_t length, bint final, Buffer *buffer
    ) except -1:
        cdef Output out
        _begin_buffer(&out, buffer)
        self.run(data, length, final, &out)
        buffer.length = out.length
        return 0

    cdef int run(self, const uint8_t *data, size_t length, bint final, Output *out) except -1:
        cdef wb_z_stream *z
        cdef size_t room, wanted
        cdef int status
        # No result is longer than this; long data seldom needs it, and gets room as it does.
        wanted = min(length, <size_t>SCRATCH) * 9 // 8 + min(length, <size_t>SCRATCH) // 32 + 64
        if out.size - out.length < wanted and (out.buffer != NULL or length < SCRATCH):
            _grow(out, max(out.length + wanted, out.size + out.size // 2))
        if length == 0:
            # No need of a stream: every fragment before ended at a byte boundary.
            if final:  # RFC 7692, 7.2.3.6
                out.at[out.length] = 0
                out.length += 1
        else:
            if self._stream == NULL:
                self.begin()
            z = &self._stream.z
            z.next_in, z.avail_in = data, 0
            try:
                while True:
                    if z.avail_in == 0 and length:
                        z.avail_in = <unsigned int>min(length, <size_t>PIECE)
                        length -= z.avail_in
                    # With less room the end of a flush could be taken for a part, and come twice.
                    if out.size - out.length < SYNC_BYTES:
                        _grow(out, out.size * 2)
                    room = min(out.size - out.length, <size_t>PIECE)
                    z.next_out, z.avail_out = out.at + out.length, <unsigned int>room
                    status = z_deflate(z, WB_Z_NO_FLUSH if length else WB_Z_SYNC_FLUSH)
                    out.length += room - z.avail_out
                    if status != WB_Z_OK and status != WB_Z_BUF_ERROR:
                        _fail("compressing", status, z, zlib.error)
                    if z.avail_out and not length:
                        break
            except:
                # What it holds of this fragment must not come with the next.
                self.reset()
                raise
            if final:
                out.length -= TAIL_BYTES
        if final and not self.keeps_context:
            self.reset()
        return 0

    cdef int begin(self) except -1:
        cdef uint32_t settings
        cdef int status
        settings = (
            (self._level + 1) << 12 | self._window_bits << 8 | self._mem_level << 4 | self._strategy
        )
        cdef Stream *stream = _take(&_deflating, settings)
        if stream != NULL:
            status = z_deflate_reset(&stream.z)
        else:
            stream = _new_stream(settings)
            status = wb_deflate_init(
                &stream.z, self._level, self._window_bits, self._mem_level, self._strategy
            )
        if status == WB_Z_OK and self._dictionary is not None:
            status = z_deflate_set_dictionary(
                &stream.z,
                <const unsigned char *>PyBytes_AS_STRING(self._dictionary),
                <unsigned int>PyBytes_GET_SIZE(self._dictionary),
            )
        if status != WB_Z_OK:
            _discard(stream, z_deflate_end, "beginning to compress", status)
        self._stream = stream
        return 0


@cython.final
cdef class Inflater:
    """Decompresses the messages that one endpoint receives.

    Args:
        window_bits: base-2 logarithm of the largest distance of a back-reference, 8-15.
        keep_context: whether a message may refer to the messages before it.

    Raises:
        ImportError: zlib was not found.
        ValueError: an argument is out of its range.
    """

    def __cinit__(self, window_bits, keep_context):
        _check_loaded()
        self._window_bits = _check_window_bits(window_bits)
        self.keeps_context = keep_context

    def __dealloc__(self):
        if self._stream != NULL:
            _put_inflating(self._stream)

    def inflate(self, data, final, max_size=None):
        """Decompress a fragment.

        Args:
            data: any bytes-like object.
            final: whether the message ends with it.
            max_size: what the result may have, in bytes; one byte more is ever held.

        Raises:
            PayloadTooBig: the result would be longer than ``max_size`` (1009).
            ProtocolError: the payload is not DEFLATE, refers to what the window does not hold,
                or stops within a block (1002).
        """
        cdef Py_buffer view
        cdef bint limited = max_size is not None
        cdef Py_ssize_t limit = max_size if limited else 0
        if type(data) is bytes:
            return self.inflate_limited(
                <const uint8_t *>PyBytes_AS_STRING(data),
                PyBytes_GET_SIZE(data),
                final,
                limited,
                limit,
            )
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return self.inflate_limited(
                <const uint8_t *>view.buf, view.len, final, limited, limit
            )
        finally:
            PyBuffer_Release(&view)

    cdef bytes inflate_c(
        self, const uint8_t *data, size_t length, bint final, Py_ssize_t max_size
    ):
        return self.inflate_limited(data, length, final, max_size != NO_LIMIT, max_size)

    cdef bytes inflate_limited(
        self, const uint8_t *data, size_t length, bint final, bint limited, Py_ssize_t max_size
    ):
        cdef Output out
        _begin_bytes(&out)
        try:
            self.run(data, length, final, limited, max_size, &out)
            return _end_bytes(&out)
        except:
            Py_XDECREF(out.bytes)
            raise

    cdef int inflate_into(
        self, const uint8_t *data, size_t length, bint final, Py_ssize_t max_size, Buffer *buffer
    ) except -1:
        cdef Output out
        _begin_buffer(&out, buffer)
        self.run(data, length, final, max_size != NO_LIMIT, max_size, &out)
        buffer.length = out.length
        return 0

    cdef int run(
        self,
        const uint8_t *data,
        size_t length,
        bint final,
        bint limited,
        Py_ssize_t max_size,
        Output *out,
    ) except -1:
        # What is too long, and how far zlib may go to show that it is: one byte too far.
        cdef Py_ssize_t too_long = PY_SSIZE_T_MAX
        cdef size_t most
        if limited and max_size < PY_SSIZE_T_MAX - <Py_ssize_t>out.length:
            too_long = <Py_ssize_t>out.length + max_size + 1
        most = <size_t>max(too_long, <Py_ssize_t>out.length + 1)
        if self.feed(data, length, too_long, most, out):
            raise PayloadTooBig(None, max_size)
        if final:
            # A message may also stop where a stream ends, though 7.2.3.4 has it begin another block.
            if self._stream != NULL or not self._streams_ended:
                if self.feed(_TAIL, TAIL_BYTES, too_long, most, out):
                    raise PayloadTooBig(None, max_size)
                if not self.is_between_blocks():
                    raise ProtocolError(
                        "invalid compressed payload: the message stops within a block"
                    )
            self._streams_ended = 0
            if not self.keeps_context:
                self.drop()
        return 0

    cdef int feed(
        self, const uint8_t *data, size_t length, Py_ssize_t too_long, size_t most, Output *out
    ) except -1:
        """Inflate data, over the ends of streams; return whether the result is too long."""
        cdef wb_z_stream *z
        cdef unsigned int given
        cdef size_t room
        cdef int status
        while length:
            if self._stream == NULL:
                self.begin()
            z = &self._stream.z
            given = <unsigned int>min(length, <size_t>PIECE)
            z.next_in, z.avail_in = data, given
            while True:
                if out.length == out.size:
                    _grow(out, min(max(out.size * 2, out.size + FEW), most))
                room = min(min(out.size, most) - out.length, <size_t>PIECE)
                z.next_out, z.avail_out = out.at + out.length, <unsigned int>room
                status = z_inflate(z, WB_Z_SYNC_FLUSH)
                out.length += room - z.avail_out
                if status != WB_Z_OK and status != WB_Z_STREAM_END and status != WB_Z_BUF_ERROR:
                    _fail("decompressing", status, z, ProtocolError)
                if <Py_ssize_t>out.length >= too_long:
                    return True
                if z.avail_out or status == WB_Z_STREAM_END:
                    break
            data += given - z.avail_in
            length -= given - z.avail_in
            if status == WB_Z_STREAM_END:
                self.end_stream()
        return False

    cdef int begin(self) except -1:
        cdef Stream *stream = _take(&_inflating, self._window_bits)
        cdef int status
        if stream != NULL:
            status = z_inflate_reset(&stream.z)
        else:
            stream = _new_stream(self._window_bits)
            status = wb_inflate_init(&stream.z, self._window_bits)
        if status != WB_Z_OK:
            _discard(stream, z_inflate_end, "beginning to decompress", status)
        self._stream = stream
        return 0

    cdef int end_stream(self) except -1:
        """Take the end of a stream: what follows, in this message or a later one, is another."""
        self.drop()
        self._streams_ended += 1
        if self._streams_ended > _MAX_STREAMS:
            raise ProtocolError(
                f"too many DEFLATE streams in a message: more than {_MAX_STREAMS}"
            )
        return 0

    cdef void drop(self) noexcept:
        if self._stream != NULL:
            _put_inflating(self._stream)
            self._stream = NULL

    cdef bint is_between_blocks(self) noexcept:
        """Whether the stream would take the next block: a header at the beginning of a byte."""
        if self._stream == NULL:
            return True
        return (
            self._stream.z.data_type & (WB_Z_UNUSED_BITS | WB_Z_LAST_BLOCK | WB_Z_AFTER_BLOCK)
            == WB_Z_AFTER_BLOCK
        )
