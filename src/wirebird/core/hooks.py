"""What a connection tells whoever drives it, besides messages, which are pulled."""

from __future__ import annotations

from .close import Close

__all__ = ["Hooks"]


class Hooks:
    """Each does nothing until it is overridden.

    A hook may call the connection, except for ``receive_data`` and ``receive_eof``.
    """

    def ping_received(self, payload: bytes) -> None:
        """The peer's ping has come, and was answered if it could be."""

    def pong_received(self, payload: bytes, latency_s: float) -> None:
        """A ping of ours was answered; oldest first when one pong answers several."""

    def close_received(self, close: Close) -> None:
        """The peer's Close has come, and was answered if it had to be."""

    def failed(self, exc: BaseException) -> None:
        """The connection was failed for this reason (RFC 6455, 7.1.7)."""

    def limit_exceeded(self, limit: str) -> None:
        """The peer sends more than its rates allow: "messages", "frames" or "bytes"."""

    def pause_reading(self) -> None:
        """Too much is unread: stop reading from the network."""

    def resume_reading(self) -> None:
        """Read from the network again."""

    def deadline_changed(self) -> None:
        """``next_deadline`` may be earlier than it was."""

    def abort(self) -> None:
        """The TCP connection must be cut now, without waiting for the peer."""
