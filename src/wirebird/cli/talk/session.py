"""A conversation: what is typed or piped goes out, what comes is written, until one side ends it.

Two tasks share the connection. The sender ends with its input, or when it is ordered to close;
the receiver ends when the connection is closed, after the last message. Whoever ends first, the
closing handshake is done and the receiver writes what still comes before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import sys

from ...asyncio.client import ClientConnection
from ...exceptions import ConcurrencyError, ConnectionClosed
from .console import Console, shown_time
from .inputs import is_interactive, lines_of_pipe, lines_of_prompt, prompt_around
from .orders import HELP, CloseIt, Help, Ping, Pong, Send, parse_order
from .outcome import Exit, code_for_close, explain_close

__all__ = ["Session"]


@dataclasses.dataclass
class Session:
    """A conversation over an open connection.

    Args:
        connection: it is closed at the end.
        console: where everything is written.
        binary: send lines from a pipe as binary messages.
        null: lines of a pipe end with NUL.
        wait_s: how long to go on receiving when a pipe has ended, in seconds; may be infinite.
    """

    connection: ClientConnection
    console: Console
    binary: bool = False
    null: bool = False
    wait_s: float = 1.0

    async def run(self) -> Exit:
        """Talk until the connection is closed; return how that went."""
        # Measures the round trip: messages show it from here on. Where the connection has ended
        # already, the receiver says so.
        with contextlib.suppress(ConnectionClosed):
            asyncio.ensure_future(await self.connection.ping()).add_done_callback(_forget)
        with prompt_around() if is_interactive() else contextlib.nullcontext():
            return await self._both_ways()

    async def _both_ways(self) -> Exit:
        receiver = asyncio.create_task(self._receive())
        sender = asyncio.create_task(self._send())
        try:
            await asyncio.wait({receiver, sender}, return_when=asyncio.FIRST_COMPLETED)
            if not receiver.done():
                close, problem = sender.result()
                await self.connection.close(close.code, close.reason)
                ended = await receiver
                return problem or ended
            return receiver.result()
        finally:
            await _cancelled(sender)
            await _cancelled(receiver)

    async def _receive(self) -> Exit:
        """Write what comes, until the end."""
        try:
            while True:
                message = await self.connection.recv()
                await self.console.message(message, self.connection.latency)
        except ConnectionClosed as exc:
            code = code_for_close(exc)
            (self.console.note if code is Exit.OK else self.console.error)(explain_close(exc))
            return code
        except BrokenPipeError:
            return Exit.NOBODY_READS
        except OSError as exc:
            self.console.error(f"cannot write the output: {exc.strerror or exc}")
            return Exit.CLOSED_WITH_ERROR

    async def _send(self) -> tuple[CloseIt, Exit | None]:
        """Send what is read; return how to close, and the exit code if not everything was sent."""
        try:
            if is_interactive():
                return await self._send_orders()
            return CloseIt(), await self._send_lines()
        except ConnectionClosed:
            # The receiver says how.
            return CloseIt(), None

    async def _send_lines(self) -> Exit | None:
        end = b"\0" if self.null else b"\n"
        number = 0
        async with contextlib.aclosing(lines_of_pipe(sys.stdin.fileno(), end)) as lines:
            async for line in lines:
                number += 1
                try:
                    await self.connection.send(line if self.binary else line.decode())
                except UnicodeDecodeError as exc:
                    self.console.error(
                        f"line {number} of the input is not UTF-8, byte {exc.start + 1}: "
                        "it was not sent; --binary sends lines as they are"
                    )
                    return Exit.USAGE
        self.console.note(f"the input has ended, messages: {number}")
        await asyncio.sleep(self.wait_s) if self.wait_s < math.inf else await asyncio.Event().wait()
        return None

    async def _send_orders(self) -> tuple[CloseIt, Exit | None]:
        async with contextlib.aclosing(lines_of_prompt()) as lines:
            try:
                async for line in lines:
                    try:
                        order = parse_order(line)
                        if isinstance(order, CloseIt):
                            return order, None
                        await self._obey(order)
                    except (ValueError, ConcurrencyError) as exc:
                        self.console.error(str(exc))
            except KeyboardInterrupt:
                return CloseIt(), Exit.INTERRUPTED
        return CloseIt(), None

    async def _obey(self, order: Send | Ping | Pong | Help) -> None:
        match order:
            case Send(message):
                await self.connection.send(message)
            case Ping(payload):
                await self._ping(payload)
            case Pong(payload):
                await self.connection.pong(payload)
            case Help():
                self.console.help(HELP)

    async def _ping(self, payload: str | None) -> None:
        waiter = await self.connection.ping(payload)

        def tell(done: asyncio.Future[float]) -> None:
            if not done.cancelled() and done.exception() is None:
                self.console.note(f"the round trip took {shown_time(done.result())}")

        asyncio.ensure_future(waiter).add_done_callback(tell)


def _forget(done: asyncio.Future[float]) -> None:
    # A connection that ends before the pong is told of elsewhere.
    if not done.cancelled():
        done.exception()


async def _cancelled(task: asyncio.Task[object]) -> None:
    """Cancel a task and wait for its end."""
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
