/* Awaitables of extension types that cost nothing when they need not wait.
 *
 * A type has one step function, with the results of ``PyIter_Send``. Python 3.11 calls it through
 * am_send; from 3.12 on, the interpreter asks an awaitable that is not a generator by tp_iternext,
 * which gives its result as the value of a StopIteration. That exception is used again while
 * nobody else holds it, for results that are small: it keeps the last one alive.
 */
#ifndef WIREBIRD_AWAITABLE_H
#define WIREBIRD_AWAITABLE_H

#include <Python.h>

#if PY_VERSION_HEX >= 0x030C0000
static PyObject *wb_stop; /* of this module, under the GIL */
#endif

static PyObject *wb_iternext(PyObject *awaitable) {
    PyObject *result = NULL;
    PySendResult how = Py_TYPE(awaitable)->tp_as_async->am_send(awaitable, Py_None, &result);
    if (how == PYGEN_NEXT) return result;
    if (how == PYGEN_ERROR) return NULL;
    if (result == Py_None) { /* no exception at all means None */
        Py_DECREF(result);
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030C0000
    int is_small = (PyBytes_CheckExact(result) && PyBytes_GET_SIZE(result) <= 1024) ||
                   (PyUnicode_CheckExact(result) && PyUnicode_GET_LENGTH(result) <= 1024);
    if (is_small) {
        if (!wb_stop || Py_REFCNT(wb_stop) != 1) {
            PyObject *stop = PyObject_CallNoArgs(PyExc_StopIteration);
            if (!stop) {
                Py_DECREF(result);
                return NULL;
            }
            Py_XSETREF(wb_stop, stop);
        }
        Py_XSETREF(((PyStopIterationObject *)wb_stop)->value, result);
        PyErr_SetRaisedException(Py_NewRef(wb_stop));
        return NULL;
    }
#endif
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
    Py_DECREF(result);
    if (stop) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
    return NULL;
}

/* Give a type its step function, before anybody makes one of it. */
static int wb_make_awaitable(PyObject *type, sendfunc step) {
    PyTypeObject *t = (PyTypeObject *)type;
    if (!t->tp_as_async) {
        PyErr_SetString(PyExc_TypeError, "an awaitable type must have __await__");
        return -1;
    }
    t->tp_as_async->am_send = step;
    t->tp_iternext = wb_iternext;
    PyType_Modified(t);
    return 0;
}

/* Put another function in the place of a type's tp_dealloc; return that one. */
static destructor wb_replace_dealloc(PyObject *type, destructor dealloc) {
    destructor before = ((PyTypeObject *)type)->tp_dealloc;
    ((PyTypeObject *)type)->tp_dealloc = dealloc;
    return before;
}

/* Warn, as coroutines do, of one that nobody awaited; called while it is deallocated. */
static void wb_never_awaited(const char *name) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited", name) < 0)
        PyErr_WriteUnraisable(NULL);
    PyErr_Restore(type, value, traceback);
}

#endif
