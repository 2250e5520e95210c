"""Listening sockets whose connections are the engine's from the first byte on.

asyncio binds the sockets; from then on the loop tells us when somebody has come, and no transport
of its own comes between. To its users a listener is what ``loop.create_server`` returns.
"""

import asyncio
import errno as errors
import os

from libc.errno cimport errno

from .sockets cimport Owner, Socket, own, wb_address_t

from .poller import can_poll

cdef extern from "address.h":
    int wb_accept(int listening, wb_address_t *peer)
    int wb_listen(int fd, int backlog)

cdef extern from *:
    """
    #ifndef _WIN32
    #include <unistd.h>
    static void wb_drop(int fd) { close(fd); }
    #else
    static void wb_drop(int fd) { (void)fd; }
    #endif
    """
    void wb_drop(int fd)

__all__ = ["Listener", "can_listen"]

# Out of descriptors or memory: others must give some back before it is worth another try.
_EXHAUSTED = (errors.EMFILE, errors.ENFILE, errors.ENOBUFS, errors.ENOMEM)
_RETRY_S = 1.0
_DEFAULT_BACKLOG = 100


def can_listen(loop) -> bool:
    """Whether the engine can accept connections for this loop by itself."""
    return (
        can_poll()
        and os.environ.get("WIREBIRD_OWN_SOCKET") != "0"
        and isinstance(loop, asyncio.SelectorEventLoop)
    )


class Listener:
    """Accepts connections.

    Args:
        bound: a server of asyncio's that was told not to start serving.
        factory: makes the protocol of a connection, one of the engine's.
        backlog: how many may wait to be accepted.
    """

    def __init__(self, bound, factory, backlog=_DEFAULT_BACKLOG):
        self._bound = bound
        self._factory = factory
        self._backlog = backlog
        self._loop = bound.get_loop()
        self._is_serving = False

    @property
    def sockets(self):
        """See ``asyncio.Server``."""
        return self._bound.sockets

    def get_loop(self):
        """See ``asyncio.Server``."""
        return self._loop

    def is_serving(self):
        """See ``asyncio.Server``."""
        return self._is_serving

    async def start_serving(self):
        """See ``asyncio.Server``."""
        if self._is_serving:
            return
        if not self._bound.sockets:
            raise RuntimeError("server is closed")
        for listening in self._bound.sockets:
            if wb_listen(listening.fileno(), self._backlog) < 0:
                raise OSError(errno, os.strerror(errno))
        self._is_serving = True
        self._watch()

    def close(self):
        """See ``asyncio.Server``: connections that were accepted go on."""
        if self._is_serving:
            self._is_serving = False
            self._unwatch()
        self._bound.close()

    async def wait_closed(self):
        """See ``asyncio.Server``; connections are counted elsewhere."""
        await self._bound.wait_closed()

    def _watch(self):
        if self._is_serving:
            for listening in self._bound.sockets:
                self._loop.add_reader(listening.fileno(), self._accept, listening.fileno())

    def _unwatch(self):
        for listening in self._bound.sockets:
            self._loop.remove_reader(listening.fileno())

    def _accept(self, int listening):
        cdef wb_address_t peer
        cdef Owner owner
        cdef Socket accepted
        cdef int fd
        for _ in range(min(self._backlog, 64)):
            fd = wb_accept(listening, &peer)
            if fd < 0:
                if errno in _EXHAUSTED:
                    self._pause(OSError(errno, os.strerror(errno)))
                return
            try:
                owner = self._factory()
            except BaseException:
                wb_drop(fd)
                raise
            accepted = own(fd, owner, self._loop)
            accepted.address = peer
            (<object>owner).connection_made(accepted)

    def _pause(self, error):
        """Accept nobody for a while."""
        self._loop.call_exception_handler(
            {"message": "accepting a connection failed: out of resources", "exception": error}
        )
        self._unwatch()
        self._loop.call_later(_RETRY_S, self._watch)
