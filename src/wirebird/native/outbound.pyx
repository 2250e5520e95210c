"""What goes out: frames, in order, in buffers that a socket takes as they are. RFC 6455, 5 and 6.1.

The namesake in ``core`` says what it must do. Small frames are copied into one buffer, so that all
replies to what one read brought go out in one call; payloads above 8 KB are passed on by reference
where they cannot change: exact ``bytes``, and the UTF-8 that a ``str`` holds.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from .deflate cimport Buffer, Deflater

from ..core.extensions.permessage import runs_by_codec
from ..core.extensions.permessage_deflate import PerMessageDeflate
from ..core.frames import Frame
from ..core.rules import MAX_CONTROL_PAYLOAD_BYTES, Opcode
from ..exceptions import ProtocolError
from .deflate import available

cdef extern from "kernels.h":
    int wb_xor(uint8_t *to, const uint8_t *source, size_t n, uint32_t key) nogil

cdef extern from "out_buffer.h":
    wb_out_t *wb_out_new() except NULL
    void wb_out_delete(wb_out_t *out)
    uint8_t *wb_out_room(wb_out_t *out, size_t length) except NULL
    int wb_out_refer(wb_out_t *out, PyObject *owner, const uint8_t *at, size_t length) except -1
    const uint8_t *wb_out_at(const wb_out_t *out, int i)
    int wb_header_size(size_t length)
    int wb_write_header(uint8_t *to, int first, size_t length)

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

__all__ = ["Keys", "Outbound"]

SEND_EOF = b""

cdef object _Frame = Frame
cdef tuple _OPCODES = tuple(
    Opcode(number) if number in (0, 1, 2, 8, 9, 10) else None for number in range(16)
)
cdef bint _has_zlib = available()
# Room for what is compressed, between two messages. Who compresses takes it along, since keys are
# drawn, and whoever watches is told, by functions of Python's: other threads may run meanwhile.
cdef Buffer _room
cdef dict _sharing_keys = {}
cdef Py_ssize_t _MAX_CONTROL = MAX_CONTROL_PAYLOAD_BYTES

cdef enum:
    CONT = 0
    TEXT = 1
    BINARY = 2
    PONG = 10
    FIN = 0x80
    RSV1 = 0x40
    COPIED = 8 * 1024  # smaller payloads are copied
    CONGESTED = 64 * 1024
    KEYS_PER_BLOCK = 64
    KEPT = 256 * 1024  # of the room for compressed messages


cdef class Keys:
    """Hands out masking keys; see ``core.masking.KeySource``."""

    def __cinit__(self, random_bytes):
        self.random_bytes = random_bytes
        self.block = b""
        self.next = 0

    cdef uint32_t draw(self) except? 0:
        cdef uint32_t key
        if self.next + 4 > PyBytes_GET_SIZE(self.block):
            block = self.random_bytes(4 * KEYS_PER_BLOCK)
            if not isinstance(block, bytes) or len(block) != 4 * KEYS_PER_BLOCK:
                raise ValueError("random_bytes must return as many bytes as it is asked for")
            self.block = block
            self.next = 0
        memcpy(&key, PyBytes_AS_STRING(self.block) + self.next, 4)
        self.next += 4
        return key

    def next_key(self):
        """Return the next key, 4 bytes."""
        cdef uint32_t key = self.draw()
        return PyBytes_FromStringAndSize(<char *>&key, 4)


cdef class Outbound:
    """The sending half of an open connection; see ``core.outbound.Outbound``."""

    def __cinit__(self, *, bint masked, extensions, random_bytes):
        self.masked = masked
        self.extensions = tuple(extensions)
        self._random_bytes = random_bytes
        self.in_progress = -1
        for extension in self.extensions:
            if not runs_by_codec(extension) or self.extension is not None:
                raise TypeError(f"the native engine does not know {extension!r}")
            self.extension = extension
            self.by_zlib = _has_zlib and type(extension) is PerMessageDeflate
            self.threshold = extension.threshold

    def __dealloc__(self):
        wb_out_delete(self.out)

    @property
    def keys(self):
        """Where masking keys come from."""
        if self._keys is None:
            self._keys = Keys(self._random_bytes)
        return self._keys

    @property
    def opcode_in_progress(self):
        """Of a message whose last fragment is not out; None between messages."""
        return None if self.in_progress < 0 else _OPCODES[self.in_progress]

    @property
    def sent_bytes(self):
        """How much was ever queued."""
        return int(self.total)

    @property
    def queued_bytes(self):
        """How much ``take`` would return."""
        return 0 if self.out is NULL else self.out.total

    # Frames

    def send_message(self, opcode, payload, *, bint fin=True, compress=None):
        """Queue a message, or the first fragment of one; see the namesake in ``core``."""
        self.message(opcode, payload, fin, compress)

    def send_continuation(self, payload, *, bint fin):
        """Queue the next fragment of the message in progress."""
        self.continuation(payload, fin)

    def send_control(self, opcode, payload):
        """Queue a control frame."""
        if len(payload) > _MAX_CONTROL:
            raise ProtocolError(
                f"control frame too long: {len(payload)} bytes, "
                f"expected at most {_MAX_CONTROL}"
            )
        cdef bytes data = bytes(payload)
        self.control(opcode, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    def answer_ping(self, bytes payload):
        """Queue a pong; while the peer takes nothing, keep only the latest."""
        self.pong(<const uint8_t *>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))

    cdef int message(self, int opcode, object data, bint fin, object compress) except -1:
        if self.in_progress >= 0:
            raise ProtocolError("expected a continuation frame: a message is in progress")
        self.is_skipping = compress is False
        self.payload(opcode, data, fin)
        if not fin:
            self.in_progress = opcode
        return 0

    cdef int continuation(self, object data, bint fin) except -1:
        if self.in_progress < 0:
            raise ProtocolError("unexpected continuation frame: no message is in progress")
        self.payload(CONT, data, fin)
        if fin:
            self.in_progress = -1
        return 0

    cdef int payload(self, int opcode, object data, bint fin) except -1:
        """Find the bytes of what a user sends, and queue a frame of them."""
        cdef Py_ssize_t length
        cdef const char *text
        cdef Py_buffer view
        if type(data) is str:
            text = PyUnicode_AsUTF8AndSize(data, &length)
            return self.data_frame(opcode, <const uint8_t *>text, length, data, fin)
        if type(data) is bytes:
            return self.data_frame(
                opcode,
                <const uint8_t *>PyBytes_AS_STRING(data),
                PyBytes_GET_SIZE(data),
                data,
                fin,
            )
        if isinstance(data, str):
            data = str.encode(data)  # a subclass: what it holds is what counts
            return self.payload(opcode, data, fin)
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            # Its owner may change it before it is sent: big ones are copied too.
            if view.len < COPIED:
                self.data_frame(opcode, <const uint8_t *>view.buf, view.len, None, fin)
                return 0
            data = PyBytes_FromStringAndSize(<char *>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
        return self.payload(opcode, data, fin)

    cdef int data_frame(
        self, int opcode, const uint8_t *payload, size_t length, object owner, bint fin
    ) except -1:
        cdef int first = opcode | (FIN if fin else 0)
        cdef bytes data
        self.message_count += fin
        if self.trace is not None:
            data = PyBytes_FromStringAndSize(<char *>payload, length)
            self.trace(True, _Frame(_OPCODES[opcode], data, fin))
        if self.extension is not None and not self.is_skipping:
            if opcode != CONT:
                self.is_deflating = not fin or <Py_ssize_t>length >= self.threshold
                if self.is_deflating:
                    first |= RSV1
            if self.is_deflating:
                return self.frame_compressed(first, payload, length, owner, fin)
        return self.frame(first, payload, length, owner)

    cdef int frame_compressed(
        self, int first, const uint8_t *payload, size_t length, object owner, bint fin
    ) except -1:
        cdef bytes data
        if not self.by_zlib:
            if type(owner) is not bytes:
                owner = PyBytes_FromStringAndSize(<char *>payload, length)
            data = self.extension._deflater.deflate(owner, fin)
            return self.frame(
                first, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), data
            )
        if self.deflater is None:
            self.make_deflater()
        if self.is_context_stale:
            self.is_context_stale = False
            self.deflater.reset()
        cdef Buffer compressed = _room
        _room.at = NULL
        _room.size = 0
        compressed.length = 0
        try:
            self.deflater.deflate_into(payload, length, fin, &compressed)
            self.frame(first, compressed.at, compressed.length, None)
        finally:
            if compressed.size > KEPT or _room.at is not NULL:
                free(compressed.at)
            else:
                _room.at = compressed.at
                _room.size = compressed.size
        return 0

    cdef int make_deflater(self) except -1:
        extension = self.extension
        self.deflater = Deflater(
            extension.local_max_window_bits,
            not extension.local_no_context_takeover,
            extension.compress_settings,
        )
        return 0

    cdef object sharing_key(self):
        """What is equal for those that a message is compressed alike for."""
        if self.shared_key is None:
            extension = self.extension
            key = (
                extension.local_max_window_bits,
                tuple(sorted(extension.compress_settings.items())),
            )
            self.shared_key = _sharing_keys.setdefault(key, key)
        return self.shared_key

    cdef int control(self, int opcode, const uint8_t *payload, size_t length) except -1:
        if self.trace is not None:
            data = PyBytes_FromStringAndSize(<char *>payload, length)
            self.trace(True, _Frame(_OPCODES[opcode], data, True))
        return self.frame(FIN | opcode, payload, length, None)

    cdef int pong(self, const uint8_t *payload, size_t length) except -1:
        if self.buffered > CONGESTED:
            self.postponed_pong = PyBytes_FromStringAndSize(<char *>payload, length)
            return 0
        return self.control(PONG, payload, length)

    cdef int frame(
        self, int first, const uint8_t *payload, size_t length, object owner
    ) except -1:
        """Queue a frame.

        Args:
            first: its first byte.
            payload: not masked; it is copied, unless it is big and has an owner.
            owner: holds the payload, and never changes it; None for nobody.
        """
        cdef wb_out_t *out = self.out
        cdef uint8_t *to
        cdef uint32_t key = 0
        cdef int size = wb_header_size(length)
        cdef int masking = 4 if self.masked else 0
        cdef bint is_copied = length < COPIED or (owner is None and not self.masked)
        if out is NULL:
            out = self.out = wb_out_new()
        if masking:
            if self._keys is None:
                self._keys = Keys(self._random_bytes)
            key = self._keys.draw()
            if not is_copied:
                masked = PyBytes_FromStringAndSize(NULL, length)
                wb_xor(<uint8_t *>PyBytes_AS_STRING(masked), payload, length, key)
                owner = masked
                payload = <const uint8_t *>PyBytes_AS_STRING(masked)
        to = wb_out_room(out, size + masking + (length if is_copied else 0))
        wb_write_header(to, first, length)
        to += size
        if masking:
            to[1 - size] |= 0x80
            memcpy(to, &key, 4)
            to += 4
        if not is_copied:
            wb_out_refer(out, <PyObject *>owner, payload, length)
        elif masking:
            wb_xor(to, payload, length, key)
        else:
            memcpy(to, payload, length)
        self.total += size + masking + length
        self.frame_count += 1
        return 0

    cdef int raw(self, bytes frame) except -1:
        """Queue a frame that is already there as its bytes, since many get it."""
        cdef wb_out_t *out = self.out
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(frame)
        cdef size_t length = PyBytes_GET_SIZE(frame)
        if out is NULL:
            out = self.out = wb_out_new()
        if length < COPIED:
            memcpy(wb_out_room(out, length), data, length)
        else:
            wb_out_refer(out, <PyObject *>frame, data, length)
        self.total += length
        self.frame_count += 1
        self.message_count += 1
        return 0

    # The queue

    def send_eof(self):
        """Queue the end of the stream; a pong that was put off is late now."""
        self.postponed_pong = None
        self.is_eof_queued = True
        self.is_eof_waiting = True

    def discard(self):
        """Forget what was not sent: nobody will take it any more."""
        wb_out_delete(self.out)
        self.out = NULL
        self.is_eof_waiting = False

    def take(self):
        """Return what must go out now, in order, and forget it."""
        cdef wb_out_t *out = self.out
        cdef list chunks = []
        self.out = NULL
        if out is not NULL:
            try:
                chunks = out_chunks(out)
            finally:
                wb_out_delete(out)
        if self.is_eof_waiting:
            self.is_eof_waiting = False
            chunks.append(SEND_EOF)
        return chunks

    # The network

    def network_holds(self, size_t buffered, double now):
        """Note how much of what was taken is not yet with the peer's network, in bytes."""
        return self.holds(buffered, now)

    cdef bint holds(self, size_t buffered, double now) except -1:
        cdef bint has_begun = buffered > 0 and not self.buffered
        cdef double queued = 0 if self.out is NULL else self.out.total
        cdef double flushed = self.total - queued - buffered
        cdef bytes payload
        if flushed > self.flushed or not self.buffered:
            self.flushed = max(flushed, self.flushed)
            self.progress_at = now
        self.buffered = buffered
        if self.postponed_pong is not None and buffered <= CONGESTED:
            payload = self.postponed_pong
            self.postponed_pong = None
            self.control(
                PONG, <const uint8_t *>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload)
            )
        return has_begun

    def stall_deadline(self, write_timeout_s):
        """When a peer that takes nothing is to be cut; None while nothing waits for it."""
        if write_timeout_s is None or not self.buffered:
            return None
        return self.progress_at + write_timeout_s


cdef list out_chunks(wb_out_t *out):
    """All pieces as bytes."""
    cdef int i
    return [_chunk(out, i) for i in range(out.count)]


cdef object _chunk(wb_out_t *out, int i):
    """A piece as bytes; its owner where it is all of that."""
    cdef wb_piece_t *piece = &out.pieces[i]
    cdef const uint8_t *at = wb_out_at(out, i)
    if piece.owner is not NULL:
        owner = <object>piece.owner
        if type(owner) is bytes and PyBytes_GET_SIZE(owner) == <Py_ssize_t>piece.length:
            return owner
    return PyBytes_FromStringAndSize(<char *>at, piece.length)
