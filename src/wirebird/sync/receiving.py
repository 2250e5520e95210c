"""Receiving: whoever waits for a message reads the socket himself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.connection import NEED_MORE, Connection
from ..exceptions import ConcurrencyError, ConnectionClosed
from .transfer import Transfer, monotonic
from .waiting import Deadline, read_waiter

__all__ = ["MessageReceiver"]

_ME = "receiver"  # there is one at a time


def _take_no_notice() -> bool:
    """Be told of a message: the thread that reads asks for it anyway, and settles nothing later."""
    return False


class MessageReceiver(Transfer):
    """Receives messages, one thread at a time."""

    _took_notice: Callable[[], bool] = staticmethod(_take_no_notice)
    """See ``Connection.wait``; another one may settle later."""
    _wait_until_readable: Callable[[float | None], bool] | None = None

    def _receive(self, method: str, timeout: float | None, decode: bool | None) -> Any:
        """Return the next message once it has come, or the ``next_fragment``; see ``recv``."""
        by_frame = method == "next_fragment"
        core: Connection | None = None
        is_mine = False  # an interruption may come at any place
        try:
            with self._lock:
                core = self._receiver(method)
                ask = core.next_fragment if by_frame else core.next_message
                message = ask(decode, now=monotonic())
                if message is not NEED_MORE:
                    return message
                self._flush()  # what was read may have failed the connection
                is_mine = self.is_in_use = True
                self._borrow()
            if timeout is not None and timeout <= 0:
                return self._look_for_message(ask, decode, timeout)
            return self._wait_for_message(core, ask, decode, by_frame, timeout)
        except ConnectionClosed:
            self._is_streaming = False  # nothing is left of a message to be in the way
            if is_mine and core is not None:
                is_mine = False
                self._stop_receiving(core)
            self._wait_for_end()
            raise
        finally:
            if is_mine and core is not None:
                self._stop_receiving(core)

    def _receiver(self, method: str) -> Connection:
        by = "recv_streaming" if method == "next_fragment" else method
        if self.is_in_use or (self._is_streaming and method != "next_fragment"):
            raise ConcurrencyError(
                f"cannot call {by} while another thread is already running recv or recv_streaming"
            )
        if self._core is None:
            raise self._not_open()
        return self._core

    def _stop_receiving(self, core: Connection) -> None:
        with self._lock:
            core.stop_waiting()
            self.is_in_use = False
            self._lend()

    def _look_for_message(
        self, ask: Callable[..., Any], decode: bool | None, timeout: float
    ) -> Any:
        """Read what has come, and nothing more."""
        with self._lock:
            while self._read():
                if (message := ask(decode)) is not NEED_MORE:
                    return message
            if self._is_over:
                return ask(decode)  # which raises
        raise TimeoutError(f"timed out in {timeout:.1f}s")

    def _wait_for_message(
        self,
        core: Connection,
        ask: Callable[..., Any],
        decode: bool | None,
        by_frame: bool,
        timeout: float | None,
    ) -> Any:
        deadline = Deadline(timeout)
        if self._wait_until_readable is None:
            self._wait_until_readable = read_waiter(self._stream.sock)
        while True:
            try:
                with self._lock:
                    core.wait(self._took_notice, by_frame=by_frame)
                    self._waiting.add(_ME)
                is_ready = self._is_over or self._wait_until_readable(deadline.remaining())
            finally:
                self._stops_waiting(_ME)
            if not is_ready:
                raise TimeoutError(f"timed out in {timeout:.1f}s")
            with self._lock:
                self._read()
                if (message := ask(decode)) is not NEED_MORE:
                    return message
