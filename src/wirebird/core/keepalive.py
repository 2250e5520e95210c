"""Heartbeats: when to ping, which pong answers what, and when a silent peer is given up.

RFC 6455, 5.5.2 and 5.5.3. Time is told: every method that needs it takes ``now``, in seconds of
any clock that does not go back.
"""

from __future__ import annotations

from ..exceptions import ConcurrencyError

__all__ = ["Keepalive"]


class Keepalive:
    """The pings of one endpoint, and the deadlines that follow from them.

    A ping goes out every ``interval_s``. When nothing at all has come from the peer for
    ``timeout_s`` after a ping, the peer is given up: any byte counts as life, since a pong may
    wait behind a long message. While the pong of a ping is awaited, no other is sent, unless it
    may be awaited for ever: then the pings only show that we are here.

    Args:
        interval_s: seconds between two pings; None for no pings.
        timeout_s: seconds of silence after a ping; None to wait for ever.
        now: when the connection was opened.
    """

    __slots__ = (
        "_awaited_since",
        "_heartbeat",
        "_next_ping",
        "_pending",
        "interval_s",
        "latency_s",
        "timeout_s",
    )

    def __init__(self, interval_s: float | None, timeout_s: float | None, now: float) -> None:
        self.interval_s = interval_s
        self.timeout_s = timeout_s
        self.latency_s = 0.0
        self._pending: dict[bytes, float] | None = None  # made when it is first needed
        self._next_ping = None if interval_s is None else now + interval_s
        self._awaited_since: float | None = None  # of the last ping that keepalive sent
        self._heartbeat: bytes | None = None  # its payload, until it is answered

    def sent(self, payload: bytes, now: float) -> None:
        """Note a ping, to match it with its pong.

        Raises:
            ConcurrencyError: the pong for a ping with the same payload is still awaited.
        """
        if self._pending is None:
            self._pending = {}
        if payload in self._pending:
            raise ConcurrencyError("already waiting for a pong with the same data")
        self._pending[payload] = now

    def is_pending(self, payload: bytes) -> bool:
        """Whether a pong with this payload is awaited."""
        return self._pending is not None and payload in self._pending

    def answered(self, payload: bytes, now: float) -> list[tuple[bytes, float]]:
        """Match a pong; it also answers the pings before its own. RFC 6455, 5.5.3.

        Returns:
            Payload and round-trip time in seconds of each ping that is answered, oldest first;
            empty for a pong that nobody asked for.
        """
        if self._pending is None or payload not in self._pending:
            return []
        sent_at = self._pending[payload]
        self.latency_s = now - sent_at
        answered = []
        for earlier, earlier_sent_at in self._pending.items():
            answered.append((earlier, now - earlier_sent_at))
            if earlier == payload:
                break
        for earlier, _ in answered:
            del self._pending[earlier]
            if earlier == self._heartbeat:
                self._heartbeat = None
        self._awaited_since = None
        return answered

    def ping_is_due(self, now: float) -> bool:
        """Whether a ping must go out now; if so, the next is due one interval later."""
        if self._next_ping is None or now < self._next_ping or self.interval_s is None:
            return False
        self._next_ping = now + self.interval_s
        if self._awaited_since is not None and self.timeout_s is not None:
            return False  # one heartbeat in flight is enough
        self._awaited_since = now
        return True

    def heartbeat_sent(self, payload: bytes) -> None:
        """Note the ping that was due; the one before it is forgotten if it was not answered."""
        if self._heartbeat is not None and self._pending is not None:
            del self._pending[self._heartbeat]
        self._heartbeat = payload

    def is_given_up(self, last_received: float, now: float) -> bool:
        """Whether the peer has been silent for too long."""
        deadline = self._silence_deadline(last_received)
        return deadline is not None and now >= deadline

    def next_deadline(self, last_received: float, *, is_listening: bool) -> float | None:
        """Return when to look again, or None.

        Args:
            last_received: when the last byte came.
            is_listening: whether reading goes on; while it is paused, silence means nothing.
        """
        silence = self._silence_deadline(last_received) if is_listening else None
        if silence is None:
            return self._next_ping
        return silence if self._next_ping is None else min(silence, self._next_ping)

    def _silence_deadline(self, last_received: float) -> float | None:
        if self._awaited_since is None or self.timeout_s is None:
            return None
        return max(self._awaited_since, last_received) + self.timeout_s
