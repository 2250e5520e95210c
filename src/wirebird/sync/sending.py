"""Sending messages: whole, by fragments, or one to many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core.rules import CloseCode, Opcode, State
from ..core.types import BytesLike, DataLike
from ..exceptions import ConcurrencyError, InvalidState
from .receiving import MessageReceiver
from .transfer import monotonic

__all__ = ["MessageSender"]


class MessageSender(MessageReceiver):
    """Sends messages; whoever sends waits while the network takes nothing."""

    _is_sending_fragments = False

    def send(
        self,
        message: DataLike | Iterable[DataLike],
        *,
        text: bool | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a message; wait while the peer does not keep up.

        Any number of threads may send: each message goes out whole.

        Args:
            message: str is sent as Text, bytes-like as Binary; an iterable of one of them as the
                fragments of one message.
            text: True to send bytes-like (UTF-8) as Text, False to send str as Binary.
            compress: False to leave this message uncompressed.

        Raises:
            ConnectionClosed: the connection is closed, or is lost meanwhile.
            ConcurrencyError: another thread is sending the fragments of a message.
            TypeError: the message, or a fragment, is of another type. In the middle of a
                fragmented message that fails the connection (1011).
        """
        if isinstance(message, (str, bytes, bytearray, memoryview)):
            self._send_frame(_opcode_of(type(message), text), message, True, compress)
        elif isinstance(message, Mapping):
            raise TypeError("data is a dict-like object; send its keys() to send these")
        elif isinstance(message, Iterable):
            self._send_fragments(message, text, compress)
        else:
            raise TypeError(
                f"data must be str, bytes-like, or iterable, not {type(message).__name__}"
            )

    def _send_frame(
        self, opcode: Opcode, data: DataLike, fin: bool, compress: bool | None = None
    ) -> None:
        """Send a message, or a fragment of one."""
        with self._lock:
            mark = self._queue_frame(opcode, data, fin, compress)
        if mark is None:
            self._raise_closed()
        if mark:
            self._wait_until_taken(mark)

    def _queue_frame(
        self, opcode: Opcode, data: DataLike, fin: bool, compress: bool | None
    ) -> int | None:
        """Frame and send without waiting.

        Returns:
            How much the network must have taken for all of it to be gone, 0 if it is; None if the
            connection is closed.
        """
        core = self._core
        if core is None:
            return None
        if self._is_sending_fragments and opcode is not Opcode.CONT:
            raise ConcurrencyError("cannot call send while another thread is already running send")
        try:
            if opcode is Opcode.TEXT:
                core.send_text(data, fin=fin, compress=compress)
            elif opcode is Opcode.BINARY:
                core.send_binary(data, fin=fin, compress=compress)
            else:
                core.send_fragment(data, fin=fin)
        except InvalidState:
            return None
        except Exception:
            self._flush()  # an extension that raises fails the connection
            raise
        self._push()
        if self._is_over:
            return None
        stream = self._stream
        return stream.taken_bytes if stream.buffered_bytes else 0

    def _send_fragments(
        self, fragments: Iterable[DataLike], text: bool | None, compress: bool | None
    ) -> None:
        iterator = iter(fragments)
        try:
            fragment = next(iterator)
        except StopIteration:
            return
        kind = _kind_of(fragment)
        with self._lock:
            if self._is_sending_fragments:
                raise ConcurrencyError(
                    "cannot call send while another thread is already running send"
                )
            # The first fragment goes out before anybody else can send.
            mark = self._queue_frame(_opcode_of(kind, text), fragment, False, compress)
            self._is_sending_fragments = mark is not None
        try:
            if mark is None:
                self._raise_closed()
            if mark:
                self._wait_until_taken(mark)
            for fragment in iterator:
                if _kind_of(fragment) is not kind:
                    raise TypeError("all fragments must be str, or all bytes-like")
                self._send_frame(Opcode.CONT, fragment, False)
            self._send_frame(Opcode.CONT, b"", True)
        except BaseException as exc:
            self._give_up_message(exc)
            raise
        finally:
            self._is_sending_fragments = False

    def _give_up_message(self, exc: BaseException) -> None:
        """The message cannot be completed, so nothing else can be sent."""
        with self._lock:
            core = self._core
            if core is not None and core.is_sending_fragments and core.state is State.OPEN:
                core.fail(
                    CloseCode.INTERNAL_ERROR,
                    "error in fragmented message",
                    now=monotonic(),
                    cause=exc,
                )
                self._flush()
                self._give_back()


def _opcode_of(kind: type[Any], text: bool | None) -> Opcode:
    is_text = issubclass(kind, str) if text is None else text
    return Opcode.TEXT if is_text else Opcode.BINARY


def _kind_of(fragment: object) -> type:
    if isinstance(fragment, str):
        return str
    if isinstance(fragment, BytesLike):
        return bytes
    raise TypeError(f"fragments must be str or bytes-like, not {type(fragment).__name__}")
