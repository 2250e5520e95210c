/* Big bytes objects, used again once nobody but us holds them.
 *
 * The allocator gives the memory of a big message back to the system as soon as the message goes,
 * and each page of the next one is then a fault: that costs as much as reading the message. So the
 * last few are kept. An object of which ours is the only reference cannot be seen to change.
 */
#ifndef WIREBIRD_RECYCLED_H
#define WIREBIRD_RECYCLED_H

#include <Python.h>

/* At most 4 MB in all. */
enum { WB_RECYCLED = 4, WB_RECYCLED_MIN = 16 * 1024, WB_RECYCLED_MAX = 1024 * 1024 };

#if !defined(Py_GIL_DISABLED) && !defined(PYPY_VERSION)

static struct {
    PyObject *object;
    Py_ssize_t room; /* what it was made for; it may say less now */
} wb_recycled[WB_RECYCLED];
static int wb_recycled_next;

static void wb_forget_hash(PyObject *object) {
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#endif
    ((PyBytesObject *)object)->ob_shash = -1;
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
}

/* A new bytes of this length, to be filled; NULL with an exception. */
static PyObject *wb_new_bytes(Py_ssize_t length) {
    if (length < WB_RECYCLED_MIN || length > WB_RECYCLED_MAX)
        return PyBytes_FromStringAndSize(NULL, length);
    for (int i = 0; i < WB_RECYCLED; i++) {
        PyObject *object = wb_recycled[i].object;
        Py_ssize_t room = wb_recycled[i].room;
        if (object && Py_REFCNT(object) == 1 && room >= length && room / 2 <= length) {
            wb_forget_hash(object);
            Py_SET_SIZE(object, length);
            PyBytes_AS_STRING(object)[length] = 0;
            Py_INCREF(object);
            return object;
        }
    }
    PyObject *object = PyBytes_FromStringAndSize(NULL, length);
    if (!object) return NULL;
    int i = wb_recycled_next;
    wb_recycled_next = (i + 1) % WB_RECYCLED;
    PyObject *gone = wb_recycled[i].object;
    Py_INCREF(object);
    wb_recycled[i].object = object;
    wb_recycled[i].room = length;
    Py_XDECREF(gone);
    return object;
}

#else

static PyObject *wb_new_bytes(Py_ssize_t length) {
    return PyBytes_FromStringAndSize(NULL, length);
}

#endif

#endif
