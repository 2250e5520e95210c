/* What waits to be sent: small frames copied together, big payloads by reference.
 *
 * A buffer is a list of pieces, each either a part of ``scratch`` or memory that a Python object
 * owns. Buffers are recycled, so that a connection which sends nothing holds none. All of this is
 * called with the GIL held, but for the system call itself, which never blocks.
 */
#ifndef WIREBIRD_OUT_BUFFER_H
#define WIREBIRD_OUT_BUFFER_H

#include <Python.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#ifndef _WIN32
#include <sys/socket.h>
#include <sys/uio.h>
#endif

typedef struct {
    PyObject *owner; /* NULL: a part of scratch */
    const uint8_t *at; /* with an owner */
    size_t offset; /* without */
    size_t length;
} wb_piece_t;

typedef struct wb_out {
    struct wb_out *next;
    size_t total; /* bytes that wait */
    size_t overhead; /* of the objects that wait with them, roughly */
    uint8_t *scratch;
    size_t used, size;
    wb_piece_t *pieces;
    int count, room;
    wb_piece_t few[2];
} wb_out_t;

enum { WB_SCRATCH_MIN = 256, WB_SCRATCH_KEPT = 1 << 18, WB_FREE_MAX = 1024, WB_PIECE_OVERHEAD = 96 };

static wb_out_t *wb_out_free;
static int wb_out_free_count;

static wb_out_t *wb_out_new(void) {
    wb_out_t *out = wb_out_free;
    if (out) {
        wb_out_free = out->next;
        wb_out_free_count--;
        out->next = NULL;
        return out;
    }
    out = (wb_out_t *)calloc(1, sizeof *out);
    if (!out) {
        PyErr_NoMemory();
        return NULL;
    }
    out->pieces = out->few;
    out->room = 2;
    return out;
}

static void wb_out_delete(wb_out_t *out) {
    if (!out) return;
    int count = out->count;
    out->count = 0;
    for (int i = 0; i < count; i++) Py_XDECREF(out->pieces[i].owner);
    out->used = out->total = out->overhead = 0;
    if (out->size > WB_SCRATCH_KEPT) {
        free(out->scratch);
        out->scratch = NULL;
        out->size = 0;
    }
    if (out->room > 64) {
        free(out->pieces);
        out->pieces = out->few;
        out->room = 2;
    }
    if (wb_out_free_count >= WB_FREE_MAX) {
        if (out->pieces != out->few) free(out->pieces);
        free(out->scratch);
        free(out);
        return;
    }
    out->next = wb_out_free;
    wb_out_free = out;
    wb_out_free_count++;
}

static wb_piece_t *wb_out_piece(wb_out_t *out) {
    if (out->count == out->room) {
        int room = out->room * 2;
        wb_piece_t *pieces = (wb_piece_t *)malloc(room * sizeof *pieces);
        if (!pieces) {
            PyErr_NoMemory();
            return NULL;
        }
        memcpy(pieces, out->pieces, out->count * sizeof *pieces);
        if (out->pieces != out->few) free(out->pieces);
        out->pieces = pieces;
        out->room = room;
    }
    return &out->pieces[out->count++];
}

/* Give room for so many bytes to be written at once; NULL with an exception. */
static inline uint8_t *wb_out_room(wb_out_t *out, size_t length) {
    if (length > out->size - out->used) {
        size_t size = out->size ? out->size : WB_SCRATCH_MIN;
        while (size - out->used < length) {
            if (size > (size_t)-1 / 2) {
                PyErr_NoMemory();
                return NULL;
            }
            size *= 2;
        }
        uint8_t *scratch = (uint8_t *)realloc(out->scratch, size);
        if (!scratch) {
            PyErr_NoMemory();
            return NULL;
        }
        out->scratch = scratch;
        out->size = size;
    }
    wb_piece_t *last = out->count ? &out->pieces[out->count - 1] : NULL;
    if (last && !last->owner && last->offset + last->length == out->used) {
        last->length += length;
    } else {
        last = wb_out_piece(out);
        if (!last) return NULL;
        last->owner = NULL;
        last->at = NULL;
        last->offset = out->used;
        last->length = length;
    }
    uint8_t *room = out->scratch + out->used;
    out->used += length;
    out->total += length;
    return room;
}

/* Add memory that an object owns, which must not change; -1 with an exception. */
static int wb_out_refer(wb_out_t *out, PyObject *owner, const uint8_t *at, size_t length) {
    if (!length) return 0;
    wb_piece_t *piece = wb_out_piece(out);
    if (!piece) return -1;
    Py_INCREF(owner);
    piece->owner = owner;
    piece->at = at;
    piece->offset = 0;
    piece->length = length;
    out->total += length;
    out->overhead += WB_PIECE_OVERHEAD;
    return 0;
}

static inline const uint8_t *wb_out_at(const wb_out_t *out, int i) {
    const wb_piece_t *piece = &out->pieces[i];
    return piece->owner ? piece->at : out->scratch + piece->offset;
}

/* How long the header of a frame is that is not masked. RFC 6455, 5.2. */
static inline int wb_header_size(size_t length) {
    return length < 126 ? 2 : length < 65536 ? 4 : 10;
}

/* Write one, in the shortest form there is; return its length. */
static inline int wb_write_header(uint8_t *to, int first, size_t length) {
    int size = wb_header_size(length);
    to[0] = (uint8_t)first;
    if (size == 2) {
        to[1] = (uint8_t)length;
    } else if (size == 4) {
        to[1] = 126;
        to[2] = (uint8_t)(length >> 8);
        to[3] = (uint8_t)length;
    } else {
        to[1] = 127;
        for (int i = 0; i < 8; i++) to[2 + i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
    }
    return size;
}

/* All of it as one bytes; that of an owner which is just that. NULL with an exception. */
static PyObject *wb_out_join(const wb_out_t *out) {
    const wb_piece_t *first = out->pieces;
    if (out->count == 1 && first->owner && PyBytes_CheckExact(first->owner) &&
        (size_t)PyBytes_GET_SIZE(first->owner) == first->length) {
        Py_INCREF(first->owner);
        return first->owner;
    }
    PyObject *joined = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)out->total);
    if (!joined) return NULL;
    char *to = PyBytes_AS_STRING(joined);
    for (int i = 0; i < out->count; i++) {
        memcpy(to, wb_out_at(out, i), out->pieces[i].length);
        to += out->pieces[i].length;
    }
    return joined;
}

/* Give back the beginning of scratch, once most of it was sent. */
static void wb_out_compact(wb_out_t *out) {
    size_t start = out->used;
    for (int i = 0; i < out->count; i++)
        if (!out->pieces[i].owner) {
            start = out->pieces[i].offset;
            break;
        }
    if (start < 4096 || start < out->used / 2) return;
    memmove(out->scratch, out->scratch + start, out->used - start);
    out->used -= start;
    for (int i = 0; i < out->count; i++)
        if (!out->pieces[i].owner) out->pieces[i].offset -= start;
}

/* Put all of ``more`` behind ``out``, and delete it; -1 with an exception. */
static int wb_out_append(wb_out_t *out, wb_out_t *more) {
    wb_out_compact(out);
    for (int i = 0; i < more->count; i++) {
        wb_piece_t *piece = &more->pieces[i];
        if (piece->owner) {
            if (wb_out_refer(out, piece->owner, piece->at, piece->length) < 0) return -1;
        } else {
            uint8_t *room = wb_out_room(out, piece->length);
            if (!room) return -1;
            memcpy(room, more->scratch + piece->offset, piece->length);
        }
    }
    wb_out_delete(more);
    return 0;
}

#ifndef _WIN32
enum { WB_ALL_SENT = 1, WB_BLOCKED = 0, WB_BROKEN = -1 };

/* Send what the socket takes; what it does not stays. errno says why it is broken. */
static int wb_out_send(wb_out_t *out, int fd) {
    while (out->count) {
        struct iovec vectors[64];
        int n = out->count < 64 ? out->count : 64;
        size_t asked = 0;
        for (int i = 0; i < n; i++) {
            vectors[i].iov_base = (void *)wb_out_at(out, i);
            vectors[i].iov_len = out->pieces[i].length;
            asked += out->pieces[i].length;
        }
        ssize_t sent;
#ifdef MSG_NOSIGNAL
        int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
#else
        int flags = MSG_DONTWAIT; /* SO_NOSIGPIPE was set */
#endif
        if (n == 1) {
            sent = send(fd, vectors[0].iov_base, vectors[0].iov_len, flags);
        } else {
            struct msghdr message;
            memset(&message, 0, sizeof message);
            message.msg_iov = vectors;
            message.msg_iovlen = n;
            sent = sendmsg(fd, &message, flags);
        }
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return WB_BLOCKED;
            return WB_BROKEN;
        }
        size_t left = (size_t)sent;
        int done = 0;
        out->total -= left;
        while (done < n && left >= out->pieces[done].length) left -= out->pieces[done++].length;
        if (left) {
            wb_piece_t *piece = &out->pieces[done];
            if (piece->owner) piece->at += left;
            else piece->offset += left;
            piece->length -= left;
        }
        if (done) {
            /* The owners go last: what their end runs must find the buffer in order. */
            PyObject *gone[64];
            int owners = 0;
            for (int i = 0; i < done; i++)
                if (out->pieces[i].owner) gone[owners++] = out->pieces[i].owner;
            out->count -= done;
            memmove(out->pieces, out->pieces + done, out->count * sizeof *out->pieces);
            out->overhead -= (size_t)owners * WB_PIECE_OVERHEAD;
            for (int i = 0; i < owners; i++) Py_DECREF(gone[i]);
        }
        if ((size_t)sent < asked) return WB_BLOCKED;
    }
    out->used = 0;
    return WB_ALL_SENT;
}
#endif

#endif
