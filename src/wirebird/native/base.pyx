"""The hot half of a connection for asyncio: receiving, sending, and the bytes between.

It stands before ``asyncio.python_base`` in the bases of a connection, does what is done for every
message, and leaves the rest to it. Whoever waits in ``recv`` is resumed from where bytes come in:
a task is told by what looks to it like a future, and runs at once instead of in the loop's next
turn. So a message is parsed, handled and answered in one go, and the replies to all that came
together go out together.
"""

import asyncio
import os

cimport cython
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.object cimport PyObject
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport uint8_t

from .connection cimport HotConnection, Reader
from .outbound cimport out_chunks, wb_out_t
from .poller cimport HEADROOM, Poller, poller_of
from .sockets cimport Owner, Socket, adopt
from .tls cimport adopt_tls

from ..core.connection import NEED_MORE
from ..exceptions import ConnectionClosed, ConnectionClosedOK

cdef extern from "clock.h":
    double wb_time() nogil

cdef extern from "awaitable.h":
    ctypedef void *sendfunc
    int wb_make_awaitable(object type, sendfunc step) except -1
    void wb_never_awaited(const char *name)
    ctypedef void (*destructor)(PyObject *) noexcept
    destructor wb_replace_dealloc(object type, destructor dealloc)

cdef extern from "out_buffer.h":
    void wb_out_delete(wb_out_t *out)
    object wb_out_join(const wb_out_t *out)

cdef extern from "Python.h":
    int PyIter_Send(PyObject *iterator, PyObject *value, PyObject **result) except -1
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    void Py_INCREF(PyObject *)
    void Py_DECREF(PyObject *)

cdef extern from *:
    """
    static void wb_raise(PyObject *exc) { PyErr_SetObject((PyObject *)Py_TYPE(exc), exc); }
    """
    void wb_raise(object exc)

__all__ = ["ConnectionBase"]

cdef object _NEED_MORE = NEED_MORE
cdef object _enter_task, _leave_task
cdef object _current_task = asyncio.current_task
cdef bint _has_eager_tasks = hasattr(asyncio, "eager_task_factory")
cdef object _CancelledError = asyncio.CancelledError

cdef enum:
    TEXT = 1
    BINARY = 2
    # Replies go out together, up to this size.
    BATCH = 64 * 1024
    # A transport gets pieces as one, up to this size.
    JOINED = 128 * 1024
    # A connection hands out so many messages in a turn; the time is looked at now and then.
    MESSAGES_PER_TURN = 256
    FIRST_LOOK = 4

cdef double TURN_S = 0.00025

# What PyIter_Send says; and that nothing was said yet.
cdef enum:
    RETURNED = 0
    YIELDED = 1
    RAISED = -1
    NOTHING = 2

cdef enum:
    FRESH = 0
    WAITING = 1
    GAVE_WAY = 2
    DELEGATING = 3
    DONE = 4


cdef class Waiter(Reader):
    """What a task that waits in ``recv`` takes for a future."""

    @property
    def _loop(self):
        return self.ws.loop

    def get_loop(self):
        """See ``asyncio.Future``."""
        return self.ws.loop

    def add_done_callback(self, callback, *, context=None):
        """See ``asyncio.Future``; there is one task that waits."""
        self.callback = callback
        self.context = context

    def remove_done_callback(self, callback):
        """See ``asyncio.Future``."""
        if self.callback is None or self.callback != callback:
            return 0
        self.callback = None
        return 1

    def cancel(self, msg=None):
        """See ``asyncio.Future``: nothing was taken, so nothing is lost."""
        if self.callback is None:
            return False
        self.is_cancelled = True
        self.message = msg
        if not self.is_running:
            self.is_waiting = False
            self._call_soon()
        return True

    def cancelled(self):
        """See ``asyncio.Future``."""
        return self.is_cancelled

    def done(self):
        """See ``asyncio.Future``."""
        return self.callback is None

    def exception(self):
        """See ``asyncio.Future``."""
        return None

    def result(self):
        """See ``asyncio.Future``."""
        if self.is_cancelled:
            self.is_cancelled = False
            message, self.message = self.message, None
            raise _CancelledError() if message is None else _CancelledError(message)

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration

    def _call_soon(self):
        callback, self.callback = self.callback, None
        context, self.context = self.context, None
        self.ws.loop.call_soon(callback, self, context=context)

    cdef int ready(self) except -1:
        """Resume the task: here and now, if this is the top of the loop."""
        cdef ConnectionBase ws = self.ws
        callback = self.callback
        if callback is None:
            return 0
        if not ws.in_feed:
            self._call_soon()
            ws.loop.call_soon(ws._settle)
            return 1
        context = self.context
        if context is None:
            self.callback = None
            callback(self)
            return ws.is_queued
        PyContext_Enter(context)
        try:
            if self.driver is None or self.driver.task is None:
                self.callback = self.context = None
                callback(self)
            else:
                self.run()
        finally:
            PyContext_Exit(context)
        return ws.is_queued

    cdef int run(self) except -1:
        """Run the coroutine of our task, as that task, without telling it.

        As long as the coroutine comes back to wait here, there is nothing to tell: the task is
        waiting for us anyway. Whatever else it does, the task is woken to see.
        """
        cdef Driver driver = self.driver
        cdef object loop = self.ws.loop
        cdef object task = driver.task
        cdef PyObject *result = NULL
        cdef object error = None
        cdef object pending = None
        cdef int how
        _enter_task(loop, task)
        self.is_running = True
        try:
            how = PyIter_Send(<PyObject *>driver.coroutine, <PyObject *>None, &result)
        except BaseException as exc:
            how = RAISED
            error = exc
        finally:
            self.is_running = False
            _leave_task(loop, task)
        if how == RAISED:
            pending = error
        else:
            pending = <object>result
            Py_DECREF(result)
        if how == YIELDED and pending is self:
            self._asyncio_future_blocking = False
            if self.is_cancelled:  # by its own task
                self.is_waiting = False
                self._call_soon()
            return 0
        self.driver = None
        callback, self.callback = self.callback, None
        self.context = None
        message, self.message = self.message, None
        is_cancelled, self.is_cancelled = self.is_cancelled, False
        if is_cancelled and how == RETURNED:
            how = RAISED  # as a task does that is cancelled before its coroutine ends
            pending = _CancelledError() if message is None else _CancelledError(message)
        driver.outcome = how
        driver.pending = pending
        callback(self)
        if is_cancelled and how == YIELDED:
            # What it waits for now must hear of it; it is one cancellation, not two.
            task.cancel(message)
            task.uncancel()
        return 0


cdef class Deliverer(Reader):
    """Hands messages to a callback; ``asyncio.handlers.Callbacks`` decides everything else."""

    def deliver(self):
        """Hand out messages; see ``asyncio.handlers.Callbacks``.

        Returns:
            Whether the rest is handed out later, and what is behind it is to be looked at then.
        """
        return self.run() == 1

    cdef int ready(self) except -1:
        return self.run()

    cdef int run(self) except -1:
        cdef ConnectionBase ws = self.ws
        cdef HotConnection hot = ws.hot
        hot.reader = self
        if not ws.in_feed:
            ws.clear()
            hot._now = ws.poller.time()
        while not ws.has_had_its_turn():
            if self.is_stopped:
                return 0
            if (ws._is_writing_paused or ws._backlog is not None) and not self.is_over:
                return 0
            try:
                message = hot.next(None, self.is_by_frame)
            except ConnectionClosed:
                self.callbacks._has_ended = True
                return 0
            if message is _NEED_MORE:
                self.is_waiting = True
                return 0
            try:
                if self.is_by_frame:
                    self.on_data(ws, *message)
                else:
                    self.on_data(ws, message)
            except Exception:
                self.callbacks._fail()
            except BaseException:
                self.callbacks._schedule_turn()  # if the loop goes on, so does the connection
                raise
        self.callbacks._schedule_turn()
        return 1


cdef class Driver:
    """The coroutine that a handler's task sees: it lets the handler's own be run by ``Waiter``."""

    def __init__(self, ConnectionBase ws, coroutine):
        self.ws = ws
        self.coroutine = coroutine
        self.outcome = NOTHING

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise NotImplementedError  # the slot is replaced below

    def send(self, value):
        """See ``collections.abc.Coroutine``."""
        return _send_to(self, value)

    def throw(self, type, value=None, traceback=None):
        """See ``collections.abc.Coroutine``."""
        cdef Waiter waiter = self.ws.waiter
        self.outcome = NOTHING
        self.pending = None
        result = _throw_into(self.coroutine, type, value)
        if waiter is not None and result is waiter:
            waiter.driver = self
        return result

    def close(self):
        """See ``collections.abc.Coroutine``."""
        self.outcome = NOTHING
        self.pending = None
        self.coroutine.close()

    def __getattr__(self, name):
        if name.startswith("cr_") or name in ("__name__", "__qualname__"):
            return getattr(self.coroutine, name)
        raise AttributeError(name)


cdef int _drive_step(PyObject *op, PyObject *value, PyObject **result) noexcept:
    result[0] = NULL
    try:
        return _drive(<Driver>op, value, result)
    except BaseException as exc:
        wb_raise(exc)
        return -1


cdef int _drive(Driver self, PyObject *value, PyObject **result) except -2:
    """Hand over what came of the coroutine while it ran by itself, or else run it."""
    cdef Waiter waiter
    cdef int how = self.outcome
    if how != NOTHING:
        pending, self.pending = self.pending, None
        self.outcome = NOTHING
        if how == RAISED:
            raise pending
        Py_INCREF(<PyObject *>pending)
        result[0] = <PyObject *>pending
        return how
    how = PyIter_Send(<PyObject *>self.coroutine, value, result)
    waiter = self.ws.waiter
    if how == YIELDED and waiter is not None and result[0] == <PyObject *>waiter:
        waiter.driver = self
    return how


cdef class ConnectionBase(Owner):
    """Receives and sends for one connection."""

    def __cinit__(self, *args, **kwargs):
        self.thread = PyThread_get_thread_ident()
        self.is_recv_plain = type(self).recv is _recv

    @property
    def _core(self):
        return self.core

    @_core.setter
    def _core(self, core):
        self.core = core
        self.hot = core if isinstance(core, HotConnection) else None
        if self.poller is None and self.hot is not None:
            self.poller = poller_of(self.loop)

    def _take_socket(self):
        """Take the socket from the transport, where that can be, and return what is in its place.

        Returns:
            A transport; None to go on with the one there is.
        """
        cdef Socket taken
        if self.sock is not None or not isinstance(self.protocol.connection, HotConnection):
            return None
        if os.environ.get("WIREBIRD_OWN_SOCKET") == "0":
            return None
        taken = adopt(self.transport, self, self.loop)
        if taken is None:
            taken = adopt_tls(self.transport, self, self.loop)
        if taken is None:
            return None
        self.sock = taken
        self.poller = taken.poller
        return taken

    def _has_socket(self, transport):
        """Note that a transport is a socket of ours, if it is."""
        if isinstance(transport, Socket):
            self.sock = transport
            self.poller = self.sock.poller

    # Receiving

    def recv(self, decode=None):
        """Receive the next message; see ``asyncio.python_base``."""
        cdef Receive op
        if self.hot is None or PyThread_get_thread_ident() != self.thread:
            return super().recv(decode)
        op = Receive.__new__(Receive)
        op.ws = self
        op.decode = decode
        return op

    def __aiter__(self):
        cdef Messages messages
        if self.hot is None or not self.is_recv_plain:
            return super().__aiter__()
        messages = Messages.__new__(Messages)
        messages.ws = self
        return messages

    def _run_as_task(self, coroutine):
        """Start the task of a handler, one whose coroutine we can run ourselves."""
        cdef Driver driver
        if _enter_task is None:
            return self.loop.create_task(coroutine)
        driver = Driver(self, coroutine)
        task = driver.task = self.loop.create_task(driver)
        return task

    # The clock is looked at when a number of messages is a power of two: a look costs as much as
    # several messages, and may be missed by as long again as the turn has taken.

    cdef bint has_had_its_turn(self) noexcept:
        """Count a message that is taken; whether others must go first now."""
        self.taken += 1
        return (
            self.taken >= FIRST_LOOK
            and not self.taken & (self.taken - 1)
            and self.is_time_over(self.taken, 1)
        )

    cdef bint has_sent_enough(self) noexcept:
        """Count a message that is sent; whether others must go first now."""
        self.given += 1
        return (
            self.given >= FIRST_LOOK
            and not self.given & (self.given - 1)
            and self.is_time_over(self.given, 2)  # a reply is no reason before its message
        )

    cdef bint is_time_over(self, int messages, int turns) noexcept:
        cdef double now = wb_time()
        if not self.turn_began:
            self.turn_began = now
        return messages >= turns * MESSAGES_PER_TURN or now - self.turn_began > turns * TURN_S

    cdef int clear(self) except -1:
        self.taken = self.given = 0
        self.turn_began = 0
        return 0

    # Sending

    def send(self, message, *, text=None, compress=None):
        """Send a message; see ``asyncio.python_base``."""
        cdef Send op
        if self.hot is None or PyThread_get_thread_ident() != self.thread:
            return super().send(message, text=text, compress=compress)
        op = Send.__new__(Send)
        op.ws = self
        op.message = message
        op.text = text
        op.compress = compress
        return op

    def send_nowait(self, message, *, text=None, compress=None):
        """Send a message soon, without waiting; see ``asyncio.nowait``."""
        cdef int opcode = 0
        if type(message) is str:
            opcode = BINARY if text is False else TEXT
        elif type(message) is bytes:
            opcode = TEXT if text else BINARY
        if (
            not opcode
            or self.hot is None
            or not self.hot.halves.is_open
            or self._is_writing_paused
            or self._backlog is not None
            or self.hot.outb.in_progress >= 0
        ):
            super().send_nowait(message, text=text, compress=compress)
            return
        try:
            self.hot.send(opcode, message, True, compress)
        finally:  # what fails the connection has something to say
            self.sent()

    def _deliverer(self, callbacks, on_data, bint by_frame):
        """Return what hands messages to a callback; None to do it in Python."""
        cdef Deliverer deliverer
        if self.hot is None:
            return None
        deliverer = Deliverer.__new__(Deliverer)
        deliverer.ws = self
        deliverer.callbacks = callbacks
        deliverer.on_data = on_data
        deliverer.is_by_frame = by_frame
        return deliverer

    cdef int sent(self) except -1:
        """See to it that what was queued goes out, with whatever else is sent in this turn."""
        cdef wb_out_t *out = self.hot.outb.out
        cdef size_t batch = BATCH
        if self.sock is not None and not self.in_feed and self.sock.high < batch:
            batch = self.sock.high
        if out is not NULL and out.total > batch:
            return self.flush()
        if not self.in_feed and not self.is_dirty:
            self.poller.mark(self)
        return 0

    def _flush(self):
        if self.hot is None:
            super()._flush()
        else:
            self.flush()

    cdef int flush(self) except -1:
        """Give the network all there is."""
        cdef wb_out_t *out
        cdef size_t held
        self._is_flush_scheduled = False
        if self.hot.outb.is_eof_waiting or self.transport is None:
            super(ConnectionBase, self)._flush()
            return 0
        while True:
            out = self.hot.outb.out
            if out is NULL:
                return 0
            self.hot.outb.out = NULL
            if self.sock is not None:
                self.sock.send(out)
                held = self.sock.waiting()
            else:
                if not self.written(out):
                    return 0
                held = self._held_bytes = self.transport.get_write_buffer_size()
            if not held and not self.hot.outb.buffered:
                return 0
            # There may be room for something that was put off.
            if self.hot.outb.holds(held, self.poller.time()):
                self.hot._hooks.deadline_changed()

    cdef bint written(self, wb_out_t *out) except -1:
        """Give a buffer to the transport; one that does not take it is of no use any more."""
        cdef object joined
        try:
            if out.total <= JOINED:
                joined = wb_out_join(out)
                self.transport.write(joined)
            else:
                self.link.write(out_chunks(out))
        except Exception as exc:  # such as after the transport's write_eof()
            self._link_error = exc
            self.link.abort()
            return False
        finally:
            wb_out_delete(out)
        return True

    cdef int went(self) except -1:
        if self.hot is None:
            self._look_at_network()
            return 0
        self.hot.outb.holds(self.sock.waiting(), self.poller.time())
        return 0

    # Bytes

    cdef int begin(self) except -1:
        self.in_feed = True
        self.clear()
        return 0

    cdef int finish(self) except -1:
        self.in_feed = False
        if self.hot.outb.out is not NULL or self.hot.outb.is_eof_waiting:
            self.flush()
        return 0

    cdef int came(self, uint8_t *data, size_t length) except -1:
        if self.hot is None:
            (<object>self).data_received(PyMemoryView_FromMemory(<char *>data, length, 0x100))
            return 0
        self.begin()
        try:
            self.hot.receive(data, length, HEADROOM, self.poller.time())
        finally:
            self.finish()
        return 0

    cdef uint8_t *room(self, size_t *length) except? NULL:
        return NULL if self.hot is None else self.hot.inb.room(length)

    cdef int came_in_place(self, size_t length) except -1:
        self.begin()
        try:
            self.hot.received(length, self.poller.time())
        finally:
            self.finish()
        return 0

    cdef int go_on(self) except -1:
        """Hand out what waited while others had their turn."""
        cdef Waiter waiter = self.waiter
        self.is_queued = False
        if waiter is not None and waiter.callback is not None:
            waiter.is_waiting = True
        self.begin()
        try:
            if not self.hot.serve():
                self.hot.settle_at(self.poller.time())
        finally:
            self.finish()
        return 0

    def get_buffer(self, sizehint):
        """Give room for bytes to come."""
        cdef size_t length = 0
        cdef uint8_t *room
        if self.hot is None:
            return super().get_buffer(sizehint)
        room = self.hot.inb.room(&length)
        if room is NULL:
            return self.poller.view
        return PyMemoryView_FromMemory(<char *>room, length, 0x200)

    def buffer_updated(self, Py_ssize_t nbytes):
        """Take as many bytes from the room."""
        cdef size_t length = 0
        if self.hot is None:
            super().buffer_updated(nbytes)
            return
        if self._held_bytes:
            self._look_at_network()
        if self.hot.inb.room(&length) is NULL:
            self.came(self.poller.buffer + HEADROOM, nbytes)
        else:
            self.came_in_place(nbytes)


cdef object _recv = ConnectionBase.recv


@cython.final
cdef class Messages:
    """Iterates over the messages of a connection."""

    def __aiter__(self):
        return self

    def __anext__(self):
        cdef Receive op = Receive.__new__(Receive)
        op.ws = self.ws
        op.is_iteration = True
        return op

    async def aclose(self):
        """There is nothing to close: messages that were not asked for stay where they are."""


@cython.final
@cython.freelist(64)
cdef class Receive:
    """What ``recv`` returns: it acts when it is awaited, once, as a coroutine does."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise NotImplementedError  # the slot is replaced below

    def send(self, value):
        """See ``collections.abc.Coroutine``."""
        return _send_to(self, value)

    def throw(self, type, value=None, traceback=None):
        """See ``collections.abc.Coroutine``: nothing was taken, so nothing is lost."""
        if self.state == DELEGATING:
            try:
                return _throw_into(self.delegate, type, value)
            except BaseException:
                self.state = DONE
                self.ws._is_receiving = False
                raise
        self._give_up()
        raise _thrown(type, value)

    def close(self):
        """See ``collections.abc.Coroutine``."""
        if self.state == DELEGATING:
            self.delegate.close()
            self.ws._is_receiving = False
        self._give_up()

    def _give_up(self):
        cdef ConnectionBase ws = self.ws
        if self.state in (WAITING, GAVE_WAY):
            ws._is_receiving = False
            if ws.waiter is not None:
                ws.waiter.is_waiting = False
        self.state = DONE


cdef object _TYPE = type


cdef int _receive_step(PyObject *op, PyObject *value, PyObject **result) noexcept:
    result[0] = NULL
    try:
        return _receive(<Receive>op, result)
    except BaseException as exc:
        wb_raise(exc)
        return -1


cdef int _receive(Receive self, PyObject **result) except -2:
    cdef ConnectionBase ws = self.ws
    cdef int state = self.state
    if state == DELEGATING:
        return _delegated(self, result)
    if state == DONE:
        raise RuntimeError("cannot reuse already awaited coroutine")
    if state == FRESH:
        if ws._is_receiving or ws._is_streaming or ws.hot is None:
            self.state = DONE
            ws._start_receiving("recv")
        ws._is_receiving = True
        if ws.has_had_its_turn():
            if ws.in_feed:
                ws.is_queued = True
                ws.poller.give_way(ws)
                return _park(self, result)
            ws.clear()
            self.state = GAVE_WAY
            Py_INCREF(<PyObject *>None)
            result[0] = <PyObject *>None
            return 1
    try:
        if not ws.in_feed:
            ws.hot._now = ws.poller.time()
        message = ws.hot.next(self.decode, False)
    except ConnectionClosed as exc:
        ws.hot.reader = ws.waiter = None  # nobody will wait any more
        self.state = DELEGATING
        self.delegate = ws._raise_at_end(exc)
        return _delegated(self, result)
    except BaseException:
        self.state = DONE
        ws._is_receiving = False
        raise
    if message is _NEED_MORE:
        if not ws.in_feed:
            ws.clear()
            ws.flush()  # what was read may have failed the connection
        return _park(self, result)
    self.state = DONE
    ws._is_receiving = False
    Py_INCREF(<PyObject *>message)
    result[0] = <PyObject *>message
    return 0


cdef int _park(Receive self, PyObject **result) except -2:
    """Wait for the next message, or for our turn."""
    cdef ConnectionBase ws = self.ws
    cdef Waiter waiter = ws.waiter
    if waiter is None:
        waiter = Waiter.__new__(Waiter)
        waiter.ws = ws
        ws.waiter = waiter
    if not waiter.is_running:
        waiter.is_cancelled = False
        waiter.driver = None
    elif _has_eager_tasks and _current_task(ws.loop) is not waiter.driver.task:
        # The task that is being run has started another, which has come here at once.
        waiter = ws.waiter = Waiter.__new__(Waiter)
        waiter.ws = ws
    self.state = WAITING
    waiter._asyncio_future_blocking = True
    ws.hot.reader = waiter
    waiter.is_waiting = not ws.is_queued
    Py_INCREF(<PyObject *>waiter)
    result[0] = <PyObject *>waiter
    return 1


cdef int _delegated(Receive self, PyObject **result) except -2:
    """Wait until TCP has ended."""
    cdef int how
    try:
        how = PyIter_Send(<PyObject *>self.delegate, <PyObject *>None, result)
    except BaseException as exc:
        self.state = DONE
        self.ws._is_receiving = False
        if self.is_iteration and isinstance(exc, ConnectionClosedOK):
            raise StopAsyncIteration from None
        raise
    if how == 0:
        self.state = DONE
        self.ws._is_receiving = False
    return how


cdef object _thrown(object type, object value):
    """The exception that ``throw`` was given, in either of its forms."""
    if value is not None:
        return value
    return type() if isinstance(type, _TYPE) else type


cdef object _throw_into(object coroutine, object type, object value):
    return coroutine.throw(_thrown(type, value))


cdef object _send_to(object op, object value):
    """``send`` of a coroutine."""
    cdef PyObject *result = NULL
    cdef int how = PyIter_Send(<PyObject *>op, <PyObject *>value, &result)
    got = <object>result
    Py_DECREF(result)
    if how == 0:
        raise StopIteration(got)
    return got


@cython.final
@cython.freelist(64)
cdef class Send:
    """What ``send`` returns: it acts when it is awaited, once, as a coroutine does."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise NotImplementedError  # the slot is replaced below

    def send(self, value):
        """See ``collections.abc.Coroutine``."""
        return _send_to(self, value)

    def throw(self, type, value=None, traceback=None):
        """See ``collections.abc.Coroutine``."""
        if self.state == DELEGATING:
            try:
                return _throw_into(self.delegate, type, value)
            except BaseException:
                self.state = DONE
                raise
        self.state = DONE
        raise _thrown(type, value)

    def close(self):
        """See ``collections.abc.Coroutine``."""
        if self.state == DELEGATING:
            self.delegate.close()
        self.state = DONE


cdef int _send_step(PyObject *op, PyObject *value, PyObject **result) noexcept:
    result[0] = NULL
    try:
        return _send(<Send>op, result)
    except BaseException as exc:
        wb_raise(exc)
        return -1


cdef int _send(Send self, PyObject **result) except -2:
    cdef ConnectionBase ws = self.ws
    cdef int opcode
    cdef object message = self.message
    cdef object text = self.text
    if self.state == DELEGATING:
        return _send_delegated(self, result)
    if self.state == DONE:
        raise RuntimeError("cannot reuse already awaited coroutine")
    if self.state == GAVE_WAY:
        self.state = DONE
        Py_INCREF(<PyObject *>None)
        result[0] = <PyObject *>None
        return 0
    self.message = None
    if type(message) is str:
        opcode = BINARY if text is False else TEXT
    elif type(message) is bytes:
        opcode = TEXT if text is True else BINARY
    else:
        opcode = 0
    if (
        not opcode
        or ws._fragmented_send is not None
        or ws._backlog is not None
        or ws.hot is None
        or not ws.hot.halves.is_open
        or ws.hot.outb.in_progress >= 0
    ):
        base = super(ConnectionBase, ws)
        self.delegate = base.send(message, text=text, compress=self.compress)
        self.state = DELEGATING
        return _send_delegated(self, result)
    self.state = DONE
    ws.hot.send(opcode, message, True, self.compress)
    ws.sent()
    if ws._is_writing_paused:
        self.delegate = ws._drain()
        self.state = DELEGATING
        return _send_delegated(self, result)
    Py_INCREF(<PyObject *>None)
    result[0] = <PyObject *>None
    if ws.has_sent_enough():  # whoever sends without end lets others go first now and then
        ws.clear()
        self.state = GAVE_WAY
        return 1
    return 0


cdef int _send_delegated(Send self, PyObject **result) except -2:
    cdef int how
    try:
        how = PyIter_Send(<PyObject *>self.delegate, <PyObject *>None, result)
    except BaseException:
        self.state = DONE
        raise
    if how == 0:
        self.state = DONE
    return how


def _tasks_can_be_entered():
    """Whether this Python lets a task be run by others than itself, by its private functions."""
    try:
        from asyncio.tasks import _enter_task, _leave_task

        loop, task = object(), object()
        _enter_task(loop, task)
        try:
            is_entered = asyncio.current_task(loop) is task
        finally:
            _leave_task(loop, task)
        return is_entered and asyncio.current_task(loop) is None
    except Exception:
        return False


if _tasks_can_be_entered():
    from asyncio.tasks import _enter_task, _leave_task
else:
    _enter_task = _leave_task = None

# Warn of what was never awaited, without what ``__dealloc__`` costs those that were.


cdef void _receive_gone(PyObject *op) noexcept:
    if (<Receive>op).state == FRESH and not (<Receive>op).is_iteration:
        wb_never_awaited(b"recv")
    _free_receive(op)


cdef void _send_gone(PyObject *op) noexcept:
    if (<Send>op).state == FRESH:
        wb_never_awaited(b"send")
    _free_send(op)


cdef destructor _free_receive = wb_replace_dealloc(Receive, _receive_gone)
cdef destructor _free_send = wb_replace_dealloc(Send, _send_gone)

wb_make_awaitable(Driver, <sendfunc>_drive_step)
wb_make_awaitable(Receive, <sendfunc>_receive_step)
wb_make_awaitable(Send, <sendfunc>_send_step)
