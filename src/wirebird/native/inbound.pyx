"""What comes in: a scanner that judges headers, and a reader behind it. RFC 6455, 5.

The namesake in ``core`` says what it must do, and how scanner and reader share one buffer. Here
the bytes may be somebody else's: what one read brought is parsed where it is, and only what is
left of it when nobody reads on is copied (``keep``). Whatever is wrong is left to the core to
say: C only knows whether a frame is surely right.
"""

import codecs

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

from .deflate cimport Buffer, Inflater

from ..core.extensions.permessage import runs_by_codec
from ..core.extensions.permessage_deflate import PerMessageDeflate
from ..core.frames import Frame, parse_header
from ..core.frames import Header as _PythonHeader
from ..core.messages import MessageOrder, SizeLimits
from ..core.rules import MAX_UNREAD_BYTES, Opcode
from ..core.utf8 import Utf8Validator
from ..exceptions import PayloadTooBig, ProtocolError
from .deflate import available

cdef extern from "kernels.h":
    int wb_xor(uint8_t *to, const uint8_t *source, size_t n, uint32_t key) nogil
    uint32_t wb_turned_key(uint32_t key, uint64_t phase) nogil
    int wb_utf8_feed(wb_utf8_t *state, const uint8_t *p, size_t n) nogil

cdef extern from "recycled.h":
    object wb_new_bytes(Py_ssize_t length)

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    void *PyUnicode_DATA(object text)

__all__ = ["Inbound"]

cdef object _Frame = Frame
cdef tuple _OPCODES = tuple(
    Opcode(number) if number in (0, 1, 2, 8, 9, 10) else None for number in range(16)
)
cdef size_t _MAX_UNREAD = MAX_UNREAD_BYTES
cdef bint _has_zlib = available()
# Room for what is inflated, between two frames. Who inflates takes it along: whoever watches frames
# is told of them by a function of Python's, and other threads may run meanwhile.
cdef Buffer _room

cdef enum:
    CONT = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    FIN = 0x80
    RSV = 0x70
    RSV1 = 0x40
    MASK = 0x80
    # A message in one frame of at least so many bytes fills the object that its reader gets; one
    # of more than the other is not believed before it comes.
    BIG = 4 * 1024
    TOO_BIG_TO_BELIEVE = 4 * 1024 * 1024
    KEPT = 256 * 1024  # of the room for what was inflated

cdef enum:
    MORE = 0
    RIGHT = 1
    WRONG = 2


cdef inline int parse(const uint8_t *p, size_t length, bint masked, Header *head) noexcept nogil:
    """Read a header that has come at least in part: whether it is right as far as it goes."""
    cdef int opcode, size
    cdef uint64_t n
    cdef int i
    head.fin = p[0] >= FIN
    head.rsv = p[0] & RSV
    opcode = head.opcode = p[0] & 15
    if not (opcode <= BINARY or CLOSE <= opcode <= 10):
        return WRONG
    if opcode >= CLOSE and not head.fin:
        return WRONG
    if length < 2:
        return MORE
    if (p[1] >= MASK) != masked:
        return WRONG
    n = p[1] & 127
    size = 2
    if n >= 126:
        if opcode >= CLOSE:
            return WRONG
        if n == 126:
            if length < 4:
                return MORE
            n = <uint64_t>p[2] << 8 | p[3]
            size = 4
        else:
            if length > 2 and p[2] >= 0x80:
                return WRONG
            if length < 10:
                return MORE
            n = 0
            for i in range(8):
                n = n << 8 | p[2 + i]
            size = 10
    head.length = n
    head.key = 0
    if masked:
        if length < <size_t>size + 4:
            return MORE
        memcpy(&head.key, p + size, 4)
        size += 4
    head.size = size
    return RIGHT


cdef class Inbound:
    """The receiving half of an open connection; see ``core.inbound.Inbound``."""

    def __cinit__(
        self, *, bint masked, extensions, limits, max_fragments, marks, on_control
    ):
        self.masked = masked
        self.extensions = tuple(reversed(extensions))
        self.limits = limits
        self.max_message = -1 if limits.max_message_bytes is None else limits.max_message_bytes
        self.max_frame = -1 if limits.max_frame_bytes is None else limits.max_frame_bytes
        self.max_fragments = -1 if max_fragments is None else max_fragments
        self.high = -1 if marks[0] is None else marks[0]
        self.low = -1 if marks[1] is None else marks[1]
        self.on_control = on_control
        self.opcode = -1
        for extension in self.extensions:
            if not runs_by_codec(extension) or self.extension is not None:
                raise TypeError(f"the native engine does not know {extension!r}")
            self.extension = extension
            self.by_zlib = _has_zlib and type(extension) is PerMessageDeflate
            self.allowed_rsv = RSV1

    def __dealloc__(self):
        free(self.own)
        free(self.acc)

    def limit_messages(self, max_message_bytes):
        """Change the limit for messages whose headers are still to come; return the one before."""
        before = self.limits
        self.limits = SizeLimits((max_message_bytes, before.max_frame_bytes))
        self.max_message = -1 if max_message_bytes is None else max_message_bytes
        return before.max_message_bytes

    # What comes

    def feed(self, data):
        """Take bytes from the network; after the end, they are left out."""
        cdef Py_buffer view
        if self.is_ended:
            return
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self.append(<const uint8_t *>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    cdef int append(self, const uint8_t *data, size_t length) except -1:
        """Copy bytes behind what is there, all of which is our own."""
        cdef size_t unread = self._stop - self._read
        cdef size_t size
        cdef uint8_t *own
        if self._ahead is not None:
            self._ahead += PyBytes_FromStringAndSize(<char *>data, length)
            return 0
        if self.own is NULL or self._stop + length > self.own + self.own_size:
            if self.own is not NULL and unread + length <= self.own_size:
                memmove(self.own, self._read, unread)
            else:
                size = unread + length
                if unread:
                    size += size // 2
                own = <uint8_t *>malloc(size)
                if own is NULL:
                    raise MemoryError()
                if unread:
                    memcpy(own, self._read, unread)
                free(self.own)
                self.own = own
                self.own_size = size
            self._read = self.own
            self._stop = self.own + unread
        memcpy(self._stop, data, length)
        self._stop += length
        return 0

    cdef int take_borrowed(self, uint8_t *data, size_t length, size_t headroom) except -1:
        """Take bytes without copying them; ``keep`` must come before they go.

        Args:
            data: may be changed.
            length: of it.
            headroom: how many bytes before it may be written to.
        """
        cdef size_t unread = self._stop - self._read
        if self._ahead is not None or unread > headroom:
            return self.append(data, length)
        if unread:
            memcpy(data - unread, self._read, unread)
        free(self.own)
        self.own = NULL
        self._read = data - unread
        self._stop = data + length
        return 0

    cdef int keep(self) except -1:
        """Copy what was not read, if it is somebody else's; hold nothing for nothing."""
        cdef size_t unread = self._stop - self._read
        cdef uint8_t *own
        if not unread:
            free(self.own)
            self.own = self._read = self._stop = NULL
            self.own_size = 0
        elif self.own is NULL:
            own = <uint8_t *>malloc(unread)
            if own is NULL:
                raise MemoryError()
            memcpy(own, self._read, unread)
            self.own = self._read = own
            self.own_size = unread
            self._stop = own + unread
        return 0

    cdef uint8_t *room(self, size_t *length) noexcept:
        """Where the next bytes may be written at once: the message that they fill, or NULL."""
        if self.big is None or self._read != self._stop or self.is_ended or self._ahead is not None:
            return NULL
        length[0] = self.left
        return _data_of(self.big) + self.big_got

    cdef int put(self, size_t length) except -1:
        """Take bytes that were written to ``room``."""
        self._scan -= length
        return self.fill(_data_of(self.big) + self.big_got, length)

    def scan(self):
        """Look at the headers of all frames that have come."""
        self.scan_all()

    cdef int scan_all(self) except -1:
        while self.scan_one():
            pass
        if self._ahead is not None:
            gone = min(self._ahead_scan, <uint64_t>PyByteArray_GET_SIZE(self._ahead))
            del self._ahead[:gone]
            self._ahead_scan -= gone
        return 0

    def end(self):
        """Leave out whatever else comes; complete frames before the end can still be read."""
        self.is_ended = True
        if self._ahead is not None:
            self._ahead = None
            self._scan = self._stop - self._read
        elif self._scan < <uint64_t>(self._stop - self._read):
            self._stop = self._read + self._scan

    def drop(self):
        """End the input, and leave out what was not read as well."""
        self._read = self._stop
        self.unread_frames = 0
        self.in_frame = False
        self.raw = None
        self.reset()
        self.end()
        self._scan = 0

    def release(self):
        """Give back memory that holds nothing unread; never called while bytes come."""
        self.keep()

    def skip_ahead(self):
        """From here on, look at headers only: payloads that are not yet complete are left out."""
        cdef uint64_t available = self._stop - self._read
        cdef uint64_t at = 0
        cdef bint is_cut = self._scan > available
        cdef Header head
        head.size = 0
        head.length = 0
        if self._ahead is not None:
            return
        if not is_cut:
            at = self._scan
        elif not self.in_frame or self.unread_frames > 1:
            # The frame that is cut begins behind all that are complete.
            if self.in_frame:
                at = self.left
            while True:
                parse(self._read + at, available - at, self.masked, &head)
                if at + head.size + head.length > available:
                    break
                at += head.size + head.length
        self._ahead = bytearray(PyBytes_FromStringAndSize(<char *>self._read + at, available - at))
        self._stop = self._read + at
        self._ahead_scan = self._scan - at
        if is_cut:
            self.unread_frames -= 1
            if self.in_frame and at == 0:  # the reader was within it
                self.in_frame = False
                self.raw = None
                self.reset()
        self.scan_all()

    # Backpressure

    @property
    def unread_bytes(self):
        """How much waits to be read, headers included."""
        return self._stop - self._read

    @property
    def held_bytes(self):
        """How much of what came is held, payloads of messages in progress left out."""
        return self.own_size + (0 if self._ahead is None else len(self._ahead))

    @property
    def gathered_bytes(self):
        """How much of a message in progress is held."""
        cdef size_t raw = 0 if self.raw is None else PyByteArray_GET_SIZE(self.raw)
        if self.whole is not None:
            return self.size
        return self.acc_size + raw + (0 if self.big is None else self.head.length)

    @property
    def has_unread(self):
        """Whether a message waits, or a complete frame of one, or what was not looked at yet."""
        if self.is_complete or self.complete_frames() > 0:
            return True
        return self._ahead is None and self._scan < <uint64_t>(self._stop - self._read)

    @property
    def is_above_mark(self):
        """Whether so much is unread that reading should pause."""
        return self.above_mark()

    @property
    def is_below_mark(self):
        """Whether so little is unread that reading should resume."""
        return self.below_mark()

    cdef bint above_mark(self) noexcept:
        if <size_t>(self._stop - self._read) > _MAX_UNREAD:
            return True
        return self.high >= 0 and self.complete_frames() > self.high

    cdef bint below_mark(self) noexcept:
        if <size_t>(self._stop - self._read) > _MAX_UNREAD // 4:
            return False
        return self.low < 0 or self.complete_frames() <= self.low

    def drop_controls(self):
        """See ``core.inbound.Inbound.drop_controls``."""
        cdef uint8_t *at = self._read
        cdef uint8_t *to = self._read
        cdef uint8_t *end = self._stop
        cdef Header head
        cdef size_t size
        head.size = head.length = head.opcode = 0
        if self.in_frame or self._ahead is not None:
            return False
        if self._scan < <uint64_t>(self._stop - self._read):
            end = self._read + self._scan
        while at < end:
            parse(at, self._stop - at, self.masked, &head)  # the scanner has seen it
            size = self._stop - at
            if head.length < size - head.size:
                size = head.size + head.length
            if head.opcode < CLOSE:
                memmove(to, at, size)
                to += size
            at += size
        memmove(to, at, self._stop - at)
        self._scan -= at - to
        self._stop -= at - to
        return not self.above_mark() and <size_t>(self._stop - self._read) <= _MAX_UNREAD // 2

    cdef int64_t complete_frames(self) noexcept:
        cdef bint is_cut = self._ahead is None and self._scan > <uint64_t>(self._stop - self._read)
        return self.unread_frames - is_cut

    # The scanner

    cdef int scan_one(self) except -1:
        """Take the next frame's header, if it has come and nothing ended the input."""
        cdef uint8_t *p
        cdef size_t available
        cdef uint64_t at
        cdef Header head
        cdef int found
        if self.is_ended:
            return 0
        if self._ahead is not None:
            p = <uint8_t *>PyByteArray_AS_STRING(self._ahead)
            available = PyByteArray_GET_SIZE(self._ahead)
            at = self._ahead_scan
        else:
            p = self._read
            available = self._stop - self._read
            at = self._scan
        if at >= available:
            return 0
        p += at
        available -= at
        try:
            found = self.judge(p, available, &head)
            if found == MORE:
                return 0
            if head.opcode >= CLOSE:
                if head.size + head.length > available:
                    return 0
                self.control_came(p, &head)
            else:
                self.check_order(&head)
                self.passed(&head)
                if self._ahead is None:
                    self.unread_frames += 1
        except Exception as exc:
            self.violation = exc
            if self._ahead is not None:
                self._ahead_scan = at
            else:
                self._scan = at  # it is no frame for those who read frames
            self.end()
            return 0
        return 1

    cdef int passed(self, Header *head) noexcept:
        if self._ahead is not None:
            self._ahead_scan += head.size + head.length
        else:
            self._scan += head.size + head.length
        self.frame_count += 1
        if head.opcode == PING:
            self.ping_count += 1
        elif head.fin and head.opcode < CLOSE:
            self.message_count += 1
        return 0

    cdef int judge(self, const uint8_t *p, size_t length, Header *head) except -1:
        """Read a header; what is wrong with one that is wrong, the core says."""
        cdef int rsv = p[0] & RSV
        cdef int found
        if rsv:
            rsv &= ~(self.allowed_rsv if 1 <= p[0] & 15 <= 2 else 0)
            if rsv:
                raise ProtocolError(f"reserved bits must be 0: got {rsv:#04x}")
        found = parse(p, length, self.masked, head)
        if found == WRONG:
            parse_header(
                PyBytes_FromStringAndSize(<char *>p, <Py_ssize_t>(length if length < 14 else 14)), 0, masked=self.masked
            )
            raise AssertionError("the core sees nothing wrong with this header")
        return found

    cdef int check_order(self, Header *head) except -1:
        """Judge the header of a data frame by what came before it; see ``core.messages``."""
        cdef int64_t limit
        cdef int64_t fragments = self.fragments
        cdef uint64_t size = self.order_size
        cdef bint is_transformed = self.is_transformed
        cdef bint is_right = (head.opcode == CONT) == (fragments > 0)
        if head.opcode != CONT:
            size = 0
            is_transformed = head.rsv != 0
        if is_right and (self.max_message >= 0 or self.max_frame >= 0):
            limit = self.max_message - <int64_t>size
            if self.max_message < 0 or 0 <= self.max_frame < limit:
                limit = self.max_frame
            if is_transformed:
                limit += limit // 64 + 1024
            is_right = limit >= 0 and head.length <= <uint64_t>limit
        if is_right and self.max_fragments >= 0:
            is_right = fragments + 1 <= self.max_fragments
        if not is_right:
            order = MessageOrder(self.limits, None if self.max_fragments < 0 else self.max_fragments)
            order._fragments = self.fragments
            order._size = self.order_size
            order._is_transformed = self.is_transformed
            order.check(_python_header(head))
            raise AssertionError("the core sees nothing wrong with this frame")
        self.fragments = 0 if head.fin else fragments + 1
        self.is_transformed = is_transformed
        self.order_size = size if head.fin or is_transformed else size + head.length
        return 0

    cdef int control_came(self, const uint8_t *p, Header *head) except -1:
        cdef bytes payload = PyBytes_FromStringAndSize(NULL, head.length)
        wb_xor(<uint8_t *>PyBytes_AS_STRING(payload), p + head.size, head.length, head.key)
        if self.trace is not None:
            self.trace(False, _Frame(_OPCODES[head.opcode], payload))
        self.passed(head)
        self.on_control(_OPCODES[head.opcode], payload)
        return 0

    # The reader

    def advance(self, *, bint by_frame=False):
        """Read on until a message is complete; see ``core.inbound.Inbound.advance``."""
        return self.read_on(by_frame) == 1

    cdef bint is_quick(self) noexcept:
        """Whether the next thing is what most traffic is: a message in one frame, all of it here.

        Nothing is known of it that ``quick`` would have to refuse but text that is not UTF-8.
        """
        cdef uint8_t *p = self._read
        cdef size_t available = self._stop - p
        cdef size_t length
        cdef int size = 2
        if (
            available < 6
            or self._scan
            or self.in_frame
            or self.is_ended
            or self.is_complete
            or self.fragments
            or self.trace is not None
            or self._ahead is not None
            or (p[0] != (FIN | TEXT) and p[0] != (FIN | BINARY))
            or (p[1] >= MASK) != self.masked
        ):
            return False
        length = p[1] & 127
        if length == 126:
            length = <size_t>p[2] << 8 | p[3]
            size = 4
        elif length == 127:
            return False
        if self.masked:
            size += 4
        self.next.opcode = p[0] & 15
        self.next.size = size
        self.next.length = length
        return (
            available >= size + length
            and (self.max_message < 0 or length <= <uint64_t>self.max_message)
            and (self.max_frame < 0 or length <= <uint64_t>self.max_frame)
            and self.max_fragments != 0
        )

    cdef object quick(self):
        """Return the message that ``is_quick`` saw."""
        cdef uint8_t *data = self._read + self.next.size
        cdef uint32_t key = 0
        if self.masked:
            memcpy(&key, data - 4, 4)
        self.frame_count += 1
        self.message_count += 1
        message = _new_plain(self.next.opcode, data, self.next.length, key)
        self._read = data + self.next.length
        return message

    cdef int read_on(self, bint by_frame) except -1:
        cdef int opcode
        cdef size_t length
        if self.is_complete or (by_frame and self.has_fragment):
            return 1
        if self.is_quick():
            opcode, length = self.next.opcode, self.next.length
            self.whole = self.quick()
            self.opcode = opcode
            self.size = length
            self.is_complete = self.has_fragment = True
            return 1
        while not (self.is_complete or (by_frame and self.has_fragment)):
            if not self.in_frame and not self.next_header():
                return 0
            if not self.read_payload(by_frame):
                return 0
        return 1

    def next_control(self):
        """Return the next control frame before the next data frame; see the namesake."""
        cdef Header head
        cdef bytes payload
        if self.in_frame or self.is_complete or not self.header_here(&head):
            return None
        if head.opcode < CLOSE:
            return None
        payload = PyBytes_FromStringAndSize(NULL, head.length)
        wb_xor(
            <uint8_t *>PyBytes_AS_STRING(payload), self._read + head.size, head.length, head.key
        )
        self.step(head.size + head.length)
        return _Frame(_OPCODES[head.opcode], payload)

    cdef int step(self, uint64_t length) noexcept:
        """Move the reader; the scanner stays where it is."""
        self._read += length
        self._scan -= length
        return 0

    cdef int header_here(self, Header *head) except -1:
        """Read the header at the reader's place, which the scanner must have passed."""
        if self._ahead is None:
            while not self._scan:
                if not self.scan_one():
                    return 0
        if self._read >= self._stop:
            return 0
        return parse(self._read, self._stop - self._read, self.masked, head) == RIGHT

    cdef int next_header(self) except -1:
        cdef Header head
        while self.header_here(&head):
            self.step(head.size)
            if head.opcode < CLOSE:
                self.head = head
                self.left = head.length
                if head.opcode != CONT:
                    self.opcode = head.opcode
                    self.raw = bytearray() if head.rsv else None
                elif self.raw is not None:
                    self.raw = bytearray()
                self.in_frame = True
                return 1
            self.step(head.length)
        return 0

    cdef int read_payload(self, bint by_frame) except -1:
        """Take what has come of the frame; return whether it is complete."""
        cdef uint64_t available = self._stop - self._read
        cdef size_t length = self.left if self.left < available else available
        cdef uint8_t *data = self._read
        if not length and self.left:
            return 0
        self.step(length)
        if self.raw is not None:
            return self.read_raw(data, length)
        if self.big is None and (
            self.head.length >= BIG
            and self.head.length <= TOO_BIG_TO_BELIEVE
            and self.head.fin
            and self.head.opcode != CONT
            and self.left == self.head.length
            and self.trace is None
        ):
            if self.opcode == TEXT:
                self.big = PyUnicode_New(self.head.length, 127)
            else:
                self.big = wb_new_bytes(self.head.length)
            self.big_got = 0
            self.big_high = False
        if self.big is not None:
            self.fill(data, length)
            return not self.in_frame
        self.read_plain(data, length, self.left == length, by_frame)
        self.left -= length
        if self.left:
            return 0
        self.frame_ended()
        return 1

    cdef int frame_ended(self) except -1:
        self.in_frame = False
        self.has_fragment = True
        self.unread_frames -= 1
        if self.head.fin:
            self.is_complete = True
        return 0

    cdef int fill(self, const uint8_t *data, size_t length) except -1:
        """Add to a big message that fills the object which its reader gets."""
        cdef uint8_t *to = _data_of(self.big) + self.big_got
        cdef uint32_t key = wb_turned_key(self.head.key, self.big_got)
        cdef bint high = wb_xor(to, data, length, key)
        if self.opcode == TEXT:
            if high or self.utf8.missing:
                self.big_high = True
                if not wb_utf8_feed(&self.utf8, to, length):
                    _refuse_text(_data_of(self.big), self.big_got + length, False)
        self.big_got += length
        self.size += length
        self.left -= length
        if self.left:
            return 0
        if self.big_high:
            if self.utf8.missing:
                _refuse_text(_data_of(self.big), self.big_got, True)
            self.whole = PyUnicode_DecodeUTF8(
                <char *>_data_of(self.big), self.big_got, NULL
            )
        else:
            self.whole = self.big
        self.big = None
        return self.frame_ended()

    cdef int read_plain(
        self, const uint8_t *data, size_t length, bint is_end, bint by_frame
    ) except -1:
        """Add to a message that is not compressed."""
        cdef uint32_t key
        cdef uint8_t *to
        cdef bint high
        if is_end and self.head.fin and self.head.opcode != CONT and not self.size:
            if self.trace is not None:
                payload = _new_plain(BINARY, data, length, self.head.key)
                self.trace(False, _Frame(_OPCODES[self.opcode], payload))
            self.whole = _new_plain(self.opcode, data, length, self.head.key)
            self.size = length
            return 0
        key = wb_turned_key(self.head.key, self.head.length - self.left)
        to = self.acc_room(length)
        high = wb_xor(to, data, length, key)
        self.acc_length += length
        self.size += length
        if self.opcode == TEXT:
            self.check_pieces(to, length, is_end and self.head.fin, high, by_frame)
        if is_end and self.trace is not None:
            self.trace_frame()
        return 0

    cdef int trace_frame(self) except -1:
        """Tell of a frame that is the end of what was gathered."""
        cdef size_t length = min(<uint64_t>self.acc_length, self.head.length)
        payload = PyBytes_FromStringAndSize(
            <char *>self.acc + self.acc_length - length, length
        )
        self.trace(False, _Frame(_OPCODES[self.head.opcode], payload, bool(self.head.fin)))
        return 0

    cdef uint8_t *acc_room(self, size_t length) except NULL:
        """Room for more of a message in several frames."""
        cdef size_t needed = self.acc_length + length + 1
        cdef size_t size
        cdef uint8_t *acc
        if needed > self.acc_size:
            size = needed + needed // 2 if self.acc_size else needed
            acc = <uint8_t *>realloc(self.acc, size)
            if acc is NULL:
                raise MemoryError()
            self.acc = acc
            self.acc_size = size
        return self.acc + self.acc_length

    cdef int check_pieces(
        self, const uint8_t *data, size_t length, bint final, bint high, bint by_frame
    ) except -1:
        """Check the next piece of a text, which is in ``acc`` already."""
        if self.validator is None and by_frame:
            # Fragments go before the text ends: only it knows what came before.
            self.validator = Utf8Validator()
            self.validator.feed(
                PyBytes_FromStringAndSize(<char *>self.acc, self.acc_length - length), False
            )
        if self.validator is not None:
            self.validator.feed(PyBytes_FromStringAndSize(<char *>data, length), final)
            return 0
        if high or self.utf8.missing:
            if not wb_utf8_feed(&self.utf8, data, length):
                _refuse_text(self.acc, self.acc_length, False)
        if final and self.utf8.missing:
            _refuse_text(self.acc, self.acc_length, True)
        return 0

    cdef int read_raw(self, uint8_t *data, size_t length) except -1:
        """Add to a frame of a compressed message, and inflate it when it is whole."""
        cdef uint32_t key = wb_turned_key(self.head.key, self.head.length - self.left)
        wb_xor(data, data, length, key)
        self.left -= length
        if self.left:
            self.raw += PyBytes_FromStringAndSize(<char *>data, length)
            return 0
        if self.raw:
            whole = bytes(self.raw) + PyBytes_FromStringAndSize(<char *>data, length)
            self.add_inflated(<const uint8_t *>PyBytes_AS_STRING(whole), PyBytes_GET_SIZE(whole))
        else:
            self.add_inflated(data, length)
        self.frame_ended()
        return 1

    cdef int64_t limit_left(self) noexcept:
        """What is allowed of the rest of the message, in bytes; -1 for no limit."""
        cdef int64_t limit = -1
        if self.max_message >= 0:
            limit = self.max_message - <int64_t>self.size
            if limit < 0:
                limit = 0
        if self.max_frame >= 0 and (limit < 0 or self.max_frame < limit):
            limit = self.max_frame
        return limit

    cdef int inflate(self, const uint8_t *payload, size_t length, Buffer *into) except -1:
        """Inflate a frame."""
        cdef int64_t limit = self.limit_left()
        cdef bytes data
        into.length = 0
        if self.by_zlib:
            if self.inflater is None:
                self.inflater = Inflater(
                    self.extension.remote_max_window_bits,
                    not self.extension.remote_no_context_takeover,
                )
            self.inflater.inflate_into(payload, length, self.head.fin, limit, into)
            return 0
        data = self.extension._inflater.inflate(
            PyBytes_FromStringAndSize(<char *>payload, length),
            bool(self.head.fin),
            None if limit < 0 else limit,
        )
        if <size_t>PyBytes_GET_SIZE(data) > into.size:
            free(into.at)
            into.size = 0
            into.at = <uint8_t *>malloc(PyBytes_GET_SIZE(data))
            if into.at is NULL:
                raise MemoryError()
            into.size = PyBytes_GET_SIZE(data)
        into.length = PyBytes_GET_SIZE(data)
        if into.length:
            memcpy(into.at, PyBytes_AS_STRING(data), into.length)
        return 0

    cdef int add_inflated(self, const uint8_t *payload, size_t length) except -1:
        cdef Buffer inflated = _room
        _room.at = NULL
        _room.size = 0
        try:
            self.inflate(payload, length, &inflated)
            self.add_plain(inflated.at, inflated.length)
        except PayloadTooBig as exc:
            if self.size:
                exc.set_current_size(self.size)
            raise
        finally:
            if inflated.size > KEPT or _room.at is not NULL:
                free(inflated.at)
            else:
                _room.at = inflated.at
                _room.size = inflated.size
        return 0

    cdef int add_plain(self, const uint8_t *payload, size_t length) except -1:
        cdef uint8_t *to
        if self.trace is not None:
            data = _new_plain(BINARY, payload, length, 0)
            self.trace(False, _Frame(_OPCODES[self.head.opcode], data, bool(self.head.fin)))
        if self.head.fin and self.head.opcode != CONT:
            self.whole = _new_plain(self.opcode, payload, length, 0)
            self.size = length
        else:
            to = self.acc_room(length)
            if length:
                memcpy(to, payload, length)
            self.acc_length += length
            self.size += length
            if self.opcode == TEXT:
                self.check_pieces(to, length, self.head.fin, True, False)
        return 0

    # The message

    @property
    def message_opcode(self):
        """Of the message that is being read; None before its first frame."""
        return None if self.opcode < 0 else _OPCODES[self.opcode]

    @property
    def is_message_begun(self):
        """Whether a fragment of it was taken."""
        return self.is_begun

    cdef object take(self, object decode):
        """Hand out the message, and begin anew; see ``core.messages.Reassembly.take``."""
        cdef object message = self.whole
        cdef int opcode = self.opcode
        cdef bint is_text = opcode == TEXT if decode is None else bool(decode)
        if message is not None:
            self.whole = None
            self.is_complete = self.has_fragment = False
            self.opcode = -1
            self.size = 0
            if self.validator is not None or self.decoder is not None or self.utf8.missing:
                self.reset()
            if opcode == TEXT and decode is not None and not is_text:
                return message.encode()
            if opcode != TEXT and is_text:
                return message.decode()
            return message
        decoder = self.decoder
        if decoder is not None:
            data = PyBytes_FromStringAndSize(<char *>self.acc, self.acc_length)
            self.reset()
            return decoder.decode(data, True) if is_text else data
        try:
            if is_text:
                return PyUnicode_DecodeUTF8(<char *>self.acc, self.acc_length, NULL)
            return PyBytes_FromStringAndSize(<char *>self.acc, self.acc_length)
        finally:
            self.reset()

    cdef tuple take_fragment(self, object decode):
        """Hand out what came since the last time; see ``core.messages.Reassembly``."""
        cdef bytes data
        cdef bint final = self.is_complete
        cdef object text = None
        if self.whole is not None:
            whole = self.whole
            data = whole.encode() if isinstance(whole, str) else whole
        else:
            data = PyBytes_FromStringAndSize(<char *>self.acc, self.acc_length)
        if decode or self.opcode == TEXT:
            if self.decoder is None:
                self.decoder = codecs.getincrementaldecoder("utf-8")()
            text = self.decoder.decode(data, final)
        if self.opcode == TEXT and self.validator is None and not final:
            self.validator = Utf8Validator()
            self.validator.feed(data, False)
        self.whole = None
        self.acc_length = 0
        self.has_fragment = False
        self.is_begun = True
        if final:
            self.reset()
        return (data if text is None or decode is False else text), bool(final)

    cdef int reset(self) except -1:
        """Forget the message; the next frame begins one."""
        self.is_complete = self.has_fragment = self.is_begun = False
        self.opcode = -1
        self.size = 0
        self.whole = self.big = self.validator = self.decoder = None
        self.acc_length = 0
        if self.acc is not NULL:
            free(self.acc)
            self.acc = NULL
            self.acc_size = 0
        memset(&self.utf8, 0, sizeof(self.utf8))
        return 0


cdef inline uint8_t *_data_of(object big) noexcept:
    """Where the bytes of a ``bytes`` or of an ASCII ``str`` are."""
    if type(big) is bytes:
        return <uint8_t *>PyBytes_AS_STRING(big)
    return <uint8_t *>PyUnicode_DATA(big)


cdef object _new_plain(int opcode, const uint8_t *data, size_t length, uint32_t key):
    """Make the str or bytes of a whole payload."""
    if opcode == TEXT:
        if not length:
            return ""
        message = PyUnicode_New(length, 127)
        if wb_xor(<uint8_t *>PyUnicode_DATA(message), data, length, key):
            return PyUnicode_DecodeUTF8(<char *>PyUnicode_DATA(message), length, NULL)
        return message
    message = wb_new_bytes(length)
    wb_xor(<uint8_t *>PyBytes_AS_STRING(message), data, length, key)
    return message


cdef int _refuse_text(const uint8_t *data, size_t length, bint final) except -1:
    """Raise what is wrong with a text."""
    Utf8Validator().feed(PyBytes_FromStringAndSize(<char *>data, length), bool(final))
    raise AssertionError("the core sees nothing wrong with this text")


cdef object _python_header(Header *head):
    return _PythonHeader(
        bool(head.fin), head.rsv, _OPCODES[head.opcode], head.length, b"", head.size
    )
