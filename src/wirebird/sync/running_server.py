"""The server that ``serve`` returns: it accepts connections, and ends them."""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from ..core.close import Close
from ..core.rules import CloseCode, State
from ..core.types import LoggerLike
from ..utils import get_socket_name
from .server_connection import ServerConnection
from .waiting import wait_for

__all__ = ["Server"]

# The system has nothing left for another connection, but may have later.
_SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Server:
    """A WebSocket server, as ``serve`` returns it.

    Args:
        sock: listens already.
        handler: called with the socket and the address of each client, in a thread of its own;
            takes the connection from its beginning to its end.
        logger: ``wirebird.server`` by default.
    """

    SHUTDOWN_POLLING_INTERVAL = 0.1  # seconds

    def __init__(
        self,
        sock: socket.socket,
        handler: Callable[[socket.socket, Any], None],
        logger: LoggerLike | None = None,
    ) -> None:
        self.socket = sock
        self.handler = handler
        self.logger = logging.getLogger("wirebird.server") if logger is None else logger
        self.lock = threading.Lock()
        """Of ``all_connections`` and ``handler_threads``."""
        self.all_connections: set[ServerConnection] = set()
        self.unauthenticated: set[ServerConnection] = set()
        """Those that are open, and wait for the message that says whose they are."""
        self.handler_threads: set[threading.Thread] = set()
        self.shutdown_watcher, self.shutdown_notifier = socket.socketpair()
        self.socket_closed = threading.Event()
        """Set when no more connections are accepted."""
        self._is_serving = False
        self._is_ending = False
        self._farewell: tuple[CloseCode | int, str] | None = None  # of who first closes connections

    @property
    def connections(self) -> set[ServerConnection]:
        """The connections that are open."""
        with self.lock:
            return self._open_connections()

    def _open_connections(self) -> set[ServerConnection]:
        return {connection for connection in self.all_connections if connection.state is State.OPEN}

    def fileno(self) -> int:
        """Return the descriptor of the listening socket; see ``socketserver.BaseServer``."""
        return self.socket.fileno()

    def serve_forever(self) -> None:
        """Accept connections until another thread calls ``shutdown``."""
        with self.lock:
            if self._is_ending:
                return
            self._is_serving = True
        try:
            with selectors.DefaultSelector() as selector:
                self.socket.setblocking(False)
                selector.register(self.shutdown_watcher, selectors.EVENT_READ)
                selector.register(self.socket, selectors.EVENT_READ)
                self.logger.info("server listening on %s", get_socket_name(self.socket))
                while True:
                    ready = {key.fileobj for key, _ in selector.select()}
                    if self.shutdown_watcher in ready:
                        return
                    if not self._accept():
                        # Wait for things to get better, or for the end.
                        end = self.shutdown_watcher
                        wait_for(end, read=True, timeout=self.SHUTDOWN_POLLING_INTERVAL)
        finally:
            self._stop_listening()

    def _accept(self) -> bool:
        """Take a connection, if there is one; return False if the system has no room for it."""
        try:
            sock, address = self.socket.accept()
        except OSError as exc:
            if exc.errno in _SCARCE:
                self.logger.error("cannot accept a connection: %s", exc)
                return False
            return True  # another process took it, or the client is gone
        thread = threading.Thread(target=self._handle, args=(sock, address))
        with self.lock:
            self.handler_threads.add(thread)
        try:
            thread.start()
        except RuntimeError as exc:
            with self.lock:
                self.handler_threads.discard(thread)
            sock.close()
            self.logger.error("cannot start a thread for a connection: %s", exc)
            return False
        return True

    def _handle(self, sock: socket.socket, address: Any) -> None:
        try:
            self.handler(sock, address)
        finally:
            with self.lock:
                self.handler_threads.discard(threading.current_thread())

    def _stop_listening(self) -> None:
        self.socket.close()
        self.shutdown_watcher.close()
        self.socket_closed.set()

    def shutdown(
        self,
        close_connections: bool = True,
        code: CloseCode | int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Stop listening, close connections, and wait until their handlers have returned.

        Called by a handler, it does not wait for that one. Doing it again waits too, and closes
        connections that were to end by themselves; they are told what was said first.

        Args:
            close_connections: False to let open connections end by themselves. Handshakes in
                progress are refused with 503 either way.
            code, reason: with which connections are closed.

        Raises:
            ProtocolError: the code or the reason cannot be sent.
        """
        Close(code, reason).serialize()
        self.logger.info("server closing")
        with self.lock:
            is_first, self._is_ending = not self._is_ending, True
            is_serving = self._is_serving
            if close_connections and self._farewell is None:
                self._farewell = code, reason
        if is_first:
            self.shutdown_notifier.close()  # which can be read at the other end
            if not is_serving:
                self._stop_listening()
        self.socket_closed.wait()
        while threads := self._other_threads():
            if close_connections and self._farewell is not None:
                with self.lock:
                    closing = self._open_connections() | self.unauthenticated
                for connection in closing:
                    connection._start_closing(*self._farewell)
            # Some may still be in the opening handshake, and be open a moment later.
            threads[0].join(self.SHUTDOWN_POLLING_INTERVAL if close_connections else None)
        self.logger.info("server closed")

    def _other_threads(self) -> list[threading.Thread]:
        with self.lock:
            return list(self.handler_threads - {threading.current_thread()})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()
