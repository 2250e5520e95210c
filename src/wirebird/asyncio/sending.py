"""Sending a message whole or by fragments, and waiting while the peer does not keep up.

This is a part of ``PythonConnectionBase``; another engine may do for whole messages what is here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable, Mapping

from ..core.backlog import Backlog
from ..core.connection import Connection
from ..core.rules import CloseCode, Opcode, State
from ..core.types import BytesLike, DataLike

__all__ = ["MessageSender"]


class MessageSender:
    """Sends messages by frames, of which another class sends one."""

    loop: asyncio.AbstractEventLoop
    _core: Connection | None
    _backlog: Backlog | None
    _fragmented_send: asyncio.Future[None] | None = None

    async def send(
        self,
        message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike],
        *,
        text: bool | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a message; wait while the peer does not keep up.

        Args:
            message: str is sent as Text, bytes-like as Binary; an iterable or asynchronous
                iterable of one of them as the fragments of one message.
            text: True to send bytes-like (UTF-8) as Text, False to send str as Binary.
            compress: False to leave this message uncompressed.

        Raises:
            ConnectionClosed: the connection is closed, or is lost meanwhile.
            TypeError: the message, or a fragment, is of another type. In the middle of a
                fragmented message that fails the connection (1011).
        """
        while self._fragmented_send is not None:
            await asyncio.shield(self._fragmented_send)
        if isinstance(message, (str, bytes, bytearray, memoryview)):
            is_text = isinstance(message, str) if text is None else text
            opcode = Opcode.TEXT if is_text else Opcode.BINARY
            await self._send_frame(opcode, message, compress=compress)
        elif isinstance(message, Mapping):
            raise TypeError("data is a dict-like object; send its keys() to send these")
        elif isinstance(message, AsyncIterable):
            await self._send_fragments(message, text, compress)
        elif isinstance(message, Iterable):
            await self._send_fragments(_each(message), text, compress)
        else:
            raise TypeError(
                f"data must be str, bytes-like, iterable, or async iterable, "
                f"not {type(message).__name__}"
            )

    async def _send_fragments(
        self, fragments: AsyncIterable[DataLike], text: bool | None, compress: bool | None
    ) -> None:
        iterator = aiter(fragments)
        try:
            fragment = await anext(iterator)
        except StopAsyncIteration:
            return
        kind = _kind_of(fragment)
        while self._fragmented_send is not None:  # which began while the iterator let us wait
            await asyncio.shield(self._fragmented_send)
        is_text = kind is str if text is None else text
        self._fragmented_send = self.loop.create_future()
        try:
            opcode = Opcode.TEXT if is_text else Opcode.BINARY
            await self._send_frame(opcode, fragment, fin=False, compress=compress)
            async for fragment in iterator:
                if _kind_of(fragment) is not kind:
                    raise TypeError("all fragments must be str, or all bytes-like")
                await self._send_frame(Opcode.CONT, fragment, fin=False)
            await self._send_frame(Opcode.CONT, b"")
        except BaseException as exc:
            # The message cannot be completed, so nothing else can be sent.
            core = self._core
            if core is not None and core.is_sending_fragments and core.state is State.OPEN:
                now = self.loop.time()
                core.fail(
                    CloseCode.INTERNAL_ERROR, "error in fragmented message", now=now, cause=exc
                )
                self._flush()
            raise
        finally:
            self._fragmented_send.set_result(None)
            self._fragmented_send = None
            if self._backlog is not None:
                self._network_drained()  # as far as it concerns what waited for the last fragment

    # What the rest of the connection does

    async def _send_frame(
        self, opcode: Opcode, data: DataLike, *, fin: bool = True, compress: bool | None = None
    ) -> None:
        raise NotImplementedError

    def _flush(self) -> None:
        raise NotImplementedError

    def _network_drained(self) -> None:
        raise NotImplementedError


async def _each(items: Iterable[DataLike]) -> AsyncIterable[DataLike]:
    for item in items:
        yield item


def _kind_of(fragment: object) -> type:
    if isinstance(fragment, str):
        return str
    if isinstance(fragment, BytesLike):
        return bytes
    raise TypeError(f"fragments must be str or bytes-like, not {type(fragment).__name__}")
