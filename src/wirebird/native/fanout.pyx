"""One message to many connections: framed once, compressed once for all that compress alike.

RFC 7692, 7.2.1 lets a message be compressed without the window of those before it. So what all
get comes from a fresh compressor; who has kept a context begins a new one with its next own
message, since the window of its peer holds now what its compressor has not seen. Other compressions
say themselves who can be sent the same.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from .base cimport ConnectionBase
from .connection cimport HotConnection
from .deflate cimport Deflater
from .outbound cimport Outbound

cdef extern from "out_buffer.h":
    int wb_header_size(size_t length)
    int wb_write_header(uint8_t *to, int first, size_t length)

__all__ = ["send_shared"]

cdef enum:
    FIN = 0x80
    RSV1 = 0x40

def send_shared(connections, int opcode, bytes payload):
    """Send a message to those of the connections that can be served alike.

    Args:
        connections: an iterable of them.
        opcode: TEXT or BINARY.
        payload: UTF-8 for TEXT.

    Returns:
        The others: who are not ours, or need another form of it, or do not keep up, or are in the
        middle of a message. Those that are not open are left out.
    """
    cdef unsigned long thread = PyThread_get_thread_ident()
    cdef Py_ssize_t length = PyBytes_GET_SIZE(payload)
    cdef ConnectionBase ws
    cdef HotConnection hot
    cdef Outbound out
    cdef bytes plain = None
    cdef bytes frame
    cdef bytes compressed = None  # for ``key``
    cdef object key = None
    cdef dict others = None  # compressed otherwise
    cdef dict by_codec = None  # compressed by codecs in Python
    cdef list rest = []
    for connection in connections:
        if not isinstance(connection, ConnectionBase):
            rest.append(connection)
            continue
        ws = <ConnectionBase>connection
        hot = ws.hot
        if (
            hot is None
            or ws.sock is None
            or ws.sock.is_eof_due
            or ws._is_writing_paused
            or ws._backlog is not None
            or ws._fragmented_send is not None
            or ws.thread != thread
        ):
            rest.append(connection)
            continue
        out = hot.outb
        if not hot.halves.is_open:
            continue
        if out.masked or out.trace is not None or out.in_progress >= 0:
            rest.append(connection)
            continue
        if out.extension is None or length < out.threshold:
            if plain is None:
                plain = _frame(FIN | opcode, payload)
            frame = plain
        elif not out.by_zlib:
            codec_key = out.extension.sharing_key()
            if codec_key is None:
                rest.append(connection)
                continue
            if by_codec is None:
                by_codec = {}
            frame = by_codec.get(codec_key)
            if frame is None:
                frame = _frame(
                    FIN | RSV1 | opcode, out.extension.deflate_shared(payload, codec_key)
                )
                by_codec[codec_key] = frame
            out.extension.was_shared()
        else:
            if out.sharing_key() is not key:
                if key is not None:
                    others = {} if others is None else others
                    others[key] = compressed
                key = out.shared_key
                compressed = None if others is None else others.get(key)
                if compressed is None:
                    compressed = _frame(FIN | RSV1 | opcode, _deflated(key, payload))
            frame = compressed
            out.is_context_stale = True
        out.raw(frame)
        ws.sent()
    return rest


cdef bytes _deflated(tuple key, bytes payload):
    cdef Deflater deflater = Deflater(key[0], False, dict(key[1]))
    return deflater.deflate_c(
        <const uint8_t *>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), True
    )


cdef bytes _frame(int first, bytes payload):
    """Write a whole frame that is not masked."""
    cdef size_t length = PyBytes_GET_SIZE(payload)
    cdef int size = wb_header_size(length)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, size + length)
    cdef uint8_t *to = <uint8_t *>PyBytes_AS_STRING(frame)
    wb_write_header(to, first, length)
    memcpy(to + size, PyBytes_AS_STRING(payload), length)
    return frame
