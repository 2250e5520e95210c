"""Messages from frames, for those who read frames by themselves: a facade over the core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from ..core.connection import NEED_MORE, Connection
from ..core.frames import Frame
from ..core.hooks import Hooks
from ..core.rules import Role
from ..core.types import Data
from ..engine import connection_class
from ..exceptions import ConcurrencyError, ConnectionClosed

__all__ = ["Assembler"]


class Assembler(Hooks):
    """Puts data frames together to messages.

    Args:
        high: unread frames above which ``pause`` is called; None for no mark.
        low: unread frames at which ``resume`` is called; high // 4 by default.
        pause, resume: stop and go on reading from the network.
    """

    def __init__(
        self,
        high: int | None = None,
        low: int | None = None,
        pause: Callable[[], Any] = lambda: None,
        resume: Callable[[], Any] = lambda: None,
    ) -> None:
        self._pause = pause
        self._resume = resume
        self._core: Connection = connection_class()(
            Role.CLIENT, max_size=None, max_queue=(high, low), close_timeout_s=None, hooks=self
        )
        self._is_busy = False

    async def get(self, decode: bool | None = None) -> Data:
        """Return the next message.

        Args:
            decode: True for str, False for bytes; None for what its first frame says.

        Raises:
            EOFError: there is none any more.
            ConcurrencyError: somebody else is getting one.
            UnicodeDecodeError, TooManyFragments: it cannot be a message.
        """
        self._begin()
        try:
            while (message := self._ask(lambda: self._core.next_message(decode))) is NEED_MORE:
                await self._wait(by_frame=False)
        finally:
            self._is_busy = False
        return cast(Data, message)

    async def get_iter(self, decode: bool | None = None) -> AsyncIterator[Data]:
        """Yield the fragments of the next message; raises as ``get`` does.

        Args:
            decode: as for ``get``.
        """
        self._begin()
        has_begun = final = False
        try:
            while not final:
                while (piece := self._ask(lambda: self._core.next_fragment(decode))) is NEED_MORE:
                    await self._wait(by_frame=True)
                data, final = piece
                has_begun = True
                yield data
        finally:
            self._is_busy = has_begun and not final  # what is left of a message is no message

    def put(self, frame: Frame) -> None:
        """Take the next data frame.

        Raises:
            EOFError: after ``close``.
        """
        if self._core.is_input_ended_by_peer:
            raise EOFError("stream of frames ended")
        self._core.receive_data(frame.serialize(mask=False), 0.0)

    def close(self) -> None:
        """End the stream; complete messages can still be had."""
        self._core.connection_lost(None, 0.0)

    def pause_reading(self) -> None:
        """See ``Hooks``."""
        self._pause()

    def resume_reading(self) -> None:
        """See ``Hooks``."""
        self._resume()

    def _begin(self) -> None:
        if self._is_busy:
            raise ConcurrencyError("get() or get_iter() is already running")
        self._is_busy = True

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            answer = question()
        except ConnectionClosed:
            raise EOFError("stream of frames ended") from None
        failure = self._core.failure
        if answer is NEED_MORE and failure is not None:
            raise failure
        return answer

    async def _wait(self, *, by_frame: bool) -> None:
        readable = asyncio.get_running_loop().create_future()

        def wake() -> bool:
            if not readable.done():
                readable.set_result(None)
            return False

        self._core.wait(wake, by_frame=by_frame)
        try:
            await readable
        finally:
            self._core.stop_waiting()
