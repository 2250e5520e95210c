"""What can be watched of connections, by those who measure, trace and count.

A subclass overrides what it wants to hear of. Nothing is called for a message: what goes by is
counted by the engines anyway, and told at the end (``Totals``) or when somebody asks for the
server's ``Stats``. Whatever a method raises is logged and does no harm to the connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .http1 import Request
from .totals import Totals

__all__ = ["Instrumentation", "Instruments", "Watch", "watch_for"]


class Instrumentation:
    """Told of what happens to connections; each method does nothing until it is overridden.

    ``connection`` is a ``ServerConnection`` or a ``ClientConnection``. All methods are called in
    the thread of its event loop, and must not wait.
    """

    def handshake_began(self, connection: Any, request: Request) -> None:
        """The request of an opening handshake is there.

        Args:
            connection: whose.
            request: that has come to a server; or that a client is about to send, which may still
                be given headers.
        """

    def connection_opened(self, connection: Any) -> None:
        """The opening handshake succeeded."""

    def connection_refused(self, connection: Any, reason: str, status: int | None) -> None:
        """The opening handshake failed.

        Args:
            connection: whose.
            reason: a limit by its name in ``Limits``, "memory", "draining", "invalid" for what is
                no proper request or response, "gone" where the peer left, "error" for a fault of
                ours, or the status as a string.
            status: of HTTP; None where no response was sent or has come.
        """

    def connection_closed(
        self, connection: Any, code: int, duration_s: float, totals: Totals
    ) -> None:
        """A connection that was open has ended.

        Args:
            connection: that ended.
            code: of the Close that went by first; 1005 for none in it, 1006 without a Close.
            duration_s: since it was opened, in seconds.
            totals: what went by.
        """

    def handler_failed(self, connection: Any, exc: BaseException) -> None:
        """The user's handler, or a method of it, raised an exception; the code is 1011 then."""

    def slow_consumer(self, connection: Any) -> None:
        """A connection is closed (1013), since its peer does not take what it is sent."""

    def limit_exceeded(self, connection: Any, limit: str) -> None:
        """A peer exceeded a limit of an open connection.

        Args:
            connection: of the peer.
            limit: "messages", "frames", "bytes" or "memory".
        """

    def latency_measured(self, connection: Any, latency_s: float) -> None:
        """A ping was answered, after so many seconds."""


Instruments = Instrumentation | Iterable[Instrumentation] | None


class Watch:
    """Tells all who watch the connections of a server, or of a client.

    Args:
        instruments: who they are.
    """

    __slots__ = ("instruments",)

    def __init__(self, instruments: tuple[Instrumentation, ...]) -> None:
        self.instruments = instruments

    def tell(self, event: str, connection: Any, *args: Any) -> None:
        """Call a method of each; what it raises is logged.

        Args:
            event: name of the method.
            connection: its first argument.
            args: the others.
        """
        for instrument in self.instruments:
            try:
                getattr(instrument, event)(connection, *args)
            except Exception:  # it is a bystander: the connection goes on
                connection.logger.error("instrumentation failed: %s", event, exc_info=True)


def watch_for(instruments: Instruments) -> Watch | None:
    """Return who tells them; None where nobody wants to know.

    Args:
        instruments: one, several or None.

    Raises:
        TypeError: one of them is no ``Instrumentation``.
    """
    if instruments is None:
        return None
    if isinstance(instruments, Instrumentation):
        instruments = (instruments,)
    watching = tuple(instruments)
    for instrument in watching:
        if not isinstance(instrument, Instrumentation):
            raise TypeError(f"expected an Instrumentation, got {instrument!r}")
    return Watch(watching) if watching else None
