from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .deflate cimport Buffer, Inflater


cdef extern from "kernels.h":
    ctypedef struct wb_utf8_t:
        uint8_t missing


cdef struct Header:
    bint fin
    int rsv
    int opcode
    int size
    uint32_t key
    uint64_t length


# What ``Inbound.quick`` will read: an unfragmented message that has come.
cdef struct Quick:
    int opcode
    int size  # of its header
    size_t length


cdef class Inbound:
    # What was agreed on.
    cdef readonly bint masked
    cdef readonly tuple extensions
    cdef readonly object limits
    cdef public object trace
    cdef object on_control
    cdef object extension  # a per-message compression, or None
    cdef bint by_zlib  # it is permessage-deflate, for which C does what else its codec would
    cdef Inflater inflater  # made when it is first needed; None where the codec does it
    cdef int allowed_rsv  # in the first frame of a message
    cdef int64_t max_message, max_frame, max_fragments, high, low  # -1 for no limit

    # What ever came; frames and what is in them once the scanner has passed them.
    cdef public int64_t received_bytes, frame_count, message_count, ping_count

    # What came. The reader is at ``_read``; the scanner ``_scan`` bytes ahead of it, or
    # behind ``_stop`` where a frame that it has judged has not come whole.
    cdef uint8_t *own  # NULL while nothing is kept, or while what came is somebody else's
    cdef size_t own_size
    cdef uint8_t *_read
    cdef uint8_t *_stop
    cdef uint64_t _scan
    cdef bytearray _ahead  # after ``skip_ahead``: what came behind what can still be read
    cdef uint64_t _ahead_scan

    # The scanner.
    cdef readonly object violation
    cdef readonly bint is_ended
    cdef int64_t unread_frames
    cdef int64_t fragments  # of the message that has begun; 0 between messages
    cdef uint64_t order_size
    cdef bint is_transformed

    # The frame that is being read.
    cdef bint in_frame
    cdef Header head
    cdef uint64_t left
    cdef bytearray raw  # payload of one that must be seen whole

    cdef Quick next

    # The message that is being read.
    cdef bint is_complete, has_fragment, is_begun
    cdef int opcode  # -1 before the first frame
    cdef uint64_t size  # of what came, fragments that were taken included
    cdef object whole  # str or bytes, of a message in one frame
    cdef object big  # the same, while it fills
    cdef size_t big_got
    cdef bint big_high  # it has a byte that is not ASCII
    cdef uint8_t *acc  # of a message in several
    cdef size_t acc_length, acc_size
    cdef wb_utf8_t utf8
    cdef object validator  # in place of utf8, where fragments are taken one by one
    cdef object decoder

    cdef int take_borrowed(self, uint8_t *data, size_t length, size_t headroom) except -1
    cdef int append(self, const uint8_t *data, size_t length) except -1
    cdef int keep(self) except -1
    cdef int put(self, size_t length) except -1
    cdef uint8_t *room(self, size_t *length) noexcept
    cdef int scan_all(self) except -1
    cdef int scan_one(self) except -1
    cdef int passed(self, Header *head) noexcept
    cdef int judge(self, const uint8_t *p, size_t length, Header *head) except -1
    cdef int check_order(self, Header *head) except -1
    cdef int control_came(self, const uint8_t *p, Header *head) except -1
    cdef bint is_quick(self) noexcept
    cdef object quick(self)
    cdef int read_on(self, bint by_frame) except -1
    cdef int step(self, uint64_t length) noexcept
    cdef int header_here(self, Header *head) except -1
    cdef int next_header(self) except -1
    cdef int read_payload(self, bint by_frame) except -1
    cdef int frame_ended(self) except -1
    cdef int fill(self, const uint8_t *data, size_t length) except -1
    cdef int read_plain(
        self, const uint8_t *data, size_t length, bint is_end, bint by_frame
    ) except -1
    cdef int trace_frame(self) except -1
    cdef uint8_t *acc_room(self, size_t length) except NULL
    cdef int check_pieces(
        self, const uint8_t *data, size_t length, bint final, bint high, bint by_frame
    ) except -1
    cdef int read_raw(self, uint8_t *data, size_t length) except -1
    cdef int add_inflated(self, const uint8_t *payload, size_t length) except -1
    cdef int inflate(self, const uint8_t *payload, size_t length, Buffer *into) except -1
    cdef int add_plain(self, const uint8_t *payload, size_t length) except -1
    cdef int64_t limit_left(self) noexcept
    cdef object take(self, object decode)
    cdef tuple take_fragment(self, object decode)
    cdef int reset(self) except -1
    cdef bint above_mark(self) noexcept
    cdef bint below_mark(self) noexcept
    cdef int64_t complete_frames(self) noexcept
