"""The room: everybody in it hears what everybody says.

One JSON object a text message. A client says:

    {"type": "say", "text": "..."}          to everybody; at most 280 characters
    {"type": "rename", "name": "..."}       at most 24 characters
    {"type": "ping", "id": 7}               asks for a pong, to measure the round trip

and hears:

    {"type": "welcome", "you": 3, "people": [{"id": 3, "name": "..."}, ...],
     "history": [{"id": 2, "name": "...", "text": "...", "at": 1700000000000}, ...],
     "frames": "key", "limits": {"name": 24, "text": 280, "history": 50}}
                                            first of all; "frames" is the key for /frames?key=...
    {"type": "joined", "id": 4, "name": "..."}
    {"type": "left", "id": 4, "name": "..."}
    {"type": "renamed", "id": 4, "name": "...", "was": "..."}
    {"type": "said", "id": 4, "name": "...", "text": "...", "at": 1700000000000}
                                            to the speaker too; "at" is Unix time in milliseconds
    {"type": "pong", "id": 7}
    {"type": "error", "code": "...", "text": "...", "about": "say"}
                                            a message was refused; "about" is its type or null

``/room?name=...`` joins under a name. Messages of one connection are answered in their order.

What a peer can cost is bounded. Who speaks too fast gets the error ``too_fast``; who floods is
closed with 1008, who sends binary with 1003, who sends more than 4096 characters with 1009. Nobody
waits for a slow peer: what it has not taken is held for it up to a limit, and beyond that it is
closed with 1013 (a full room does the same).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from ...asyncio.server import ServerConnection, broadcast
from ...frames import CloseCode
from .pace import Pace
from .speech import (
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    BadSpeech,
    Ping,
    Rename,
    Say,
    clean_name,
    parse_speech,
    pick_name,
)
from .taps import FrameTap

__all__ = ["Room"]

MAX_MESSAGE_CHARACTERS = 4096
MAX_UNSENT_BYTES = 256 * 1024
CLOSE_SLOW_WITHIN_S = 5.0

# Of a second, and at once: everything that comes, and what is told to others.
MESSAGES_PER_S, MESSAGES_AT_ONCE = 10.0, 60
TALK_PER_S, TALK_AT_ONCE = 1.5, 8


@dataclasses.dataclass(eq=False)
class _Member:
    id: int
    name: str
    connection: ServerConnection
    all_pace: Pace
    talk_pace: Pace


class Room:
    """One room.

    Args:
        capacity: how many may be in it.
        history: how many messages newcomers are told.
        max_unsent_bytes: how far a peer may fall behind.
        clock: the time, in seconds, for the pace.
        wall_clock: the time, in seconds since 1970, for people.
        chance: picks names.
    """

    def __init__(
        self,
        *,
        capacity: int = 200,
        history: int = 50,
        max_unsent_bytes: int = MAX_UNSENT_BYTES,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        self.taps: dict[str, FrameTap] = {}
        self._members: dict[int, _Member] = {}
        self._history: deque[dict[str, Any]] = deque(maxlen=history)
        self._last_id = 0
        self._capacity = capacity
        self._max_unsent_bytes = max_unsent_bytes
        self._clock = clock
        self._wall_clock = wall_clock
        self._chance = chance or random.Random()
        self._background: set[asyncio.Task[None]] = set()

    async def host(self, connection: ServerConnection, name: str | None = None) -> None:
        """Let a peer in, hear what it says, and see it out.

        Args:
            connection: the peer's.
            name: under which it wants to be known.
        """
        if len(self._members) >= self._capacity:
            await connection.close(CloseCode.TRY_AGAIN_LATER, "the room is full")
            return
        key = self._tap(connection)
        member = self._admit(connection, name)
        try:
            self._answer(member, **self._welcome(member, key))
            self._tell("joined", member, but=member)
            async for message in connection:
                if not await self._hear(member, message):
                    return
        finally:
            self._leave(member)

    async def close(self, within_s: float = 2.0) -> None:
        """Close every connection in the room with 1001, and show it to those who watch frames."""
        goodbyes = [
            asyncio.create_task(
                member.connection.close(CloseCode.GOING_AWAY, "the server is stopping")
            )
            for member in self._members.values()
        ]
        if goodbyes:
            await asyncio.wait(goodbyes, timeout=within_s)

    # What is heard.

    async def _hear(self, member: _Member, message: str | bytes) -> bool:
        """Act on one message; False when the connection was closed for it."""
        now = self._clock()
        close = member.connection.close
        if not member.all_pace.take(now):
            await close(CloseCode.POLICY_VIOLATION, "too many messages")
        elif isinstance(message, bytes):
            await close(CloseCode.UNSUPPORTED_DATA, "the room speaks JSON, as text")
        elif len(message) > MAX_MESSAGE_CHARACTERS:
            await close(CloseCode.MESSAGE_TOO_BIG, f"at most {MAX_MESSAGE_CHARACTERS} characters")
        else:
            try:
                self._obey(member, parse_speech(message), now)
            except BadSpeech as error:
                answer = {"code": error.code, "text": str(error), "about": error.about}
                self._answer(member, type="error", **answer)
            return True
        return False

    def _obey(self, member: _Member, speech: Say | Rename | Ping, now: float) -> None:
        if isinstance(speech, Ping):
            self._answer(member, type="pong", id=speech.id)
            return
        kind = "say" if isinstance(speech, Say) else "rename"
        if not member.talk_pace.take(now):
            raise BadSpeech("too_fast", "Slower, please: nobody can read that fast.", kind)
        if isinstance(speech, Say):
            at = round(self._wall_clock() * 1000)
            said = {"id": member.id, "name": member.name, "text": speech.text, "at": at}
            self._history.append(said)
            self._tell("said", member, text=speech.text, at=at)
        else:
            was, member.name = member.name, speech.name
            self._tell("renamed", member, was=was)

    # What is told.

    def _answer(self, member: _Member, **event: Any) -> None:
        self._send([member], event)

    def _tell(self, kind: str, about: _Member, but: _Member | None = None, **more: Any) -> None:
        event = {"type": kind, "id": about.id, "name": about.name, **more}
        self._send([member for member in self._members.values() if member is not but], event)

    def _send(self, members: list[_Member], event: dict[str, Any]) -> None:
        """Send without waiting for anybody; who is too far behind is put out instead."""
        in_time: list[_Member] = []
        slow: list[_Member] = []
        for member in members:
            unsent = member.connection.transport.get_write_buffer_size()
            (in_time if unsent <= self._max_unsent_bytes else slow).append(member)
        message = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        broadcast([member.connection for member in in_time], message)
        for member in slow:
            if self._leave(member):
                self._do(self._put_out(member.connection))

    async def _put_out(self, connection: ServerConnection) -> None:
        try:
            async with asyncio.timeout(CLOSE_SLOW_WITHIN_S):
                await connection.close(CloseCode.TRY_AGAIN_LATER, "too slow to keep up")
        except TimeoutError:
            connection.transport.abort()

    # Who is here.

    def _admit(self, connection: ServerConnection, name: str | None) -> _Member:
        self._last_id += 1
        now = self._clock()
        member = _Member(
            self._last_id,
            clean_name(name, otherwise=pick_name(self._chance)),
            connection,
            Pace(MESSAGES_PER_S, MESSAGES_AT_ONCE, now),
            Pace(TALK_PER_S, TALK_AT_ONCE, now),
        )
        self._members[member.id] = member
        return member

    def _welcome(self, member: _Member, key: str) -> dict[str, Any]:
        people = [{"id": other.id, "name": other.name} for other in self._members.values()]
        return {
            "type": "welcome",
            "you": member.id,
            "people": people,
            "history": list(self._history),
            "frames": key,
            "limits": {
                "name": MAX_NAME_CHARACTERS,
                "text": MAX_TEXT_CHARACTERS,
                "history": self._history.maxlen,
            },
        }

    def _leave(self, member: _Member) -> bool:
        if self._members.pop(member.id, None) is None:
            return False
        self._tell("left", member)
        return True

    # The frames.

    def _tap(self, connection: ServerConnection) -> str:
        """Keep the frames of a connection until it is closed; return the key to them."""
        key = secrets.token_urlsafe(16)
        tap = self.taps[key] = FrameTap()
        connection.trace = tap.record
        self._do(self._untap(connection, key))
        return key

    async def _untap(self, connection: ServerConnection, key: str) -> None:
        await connection.wait_closed()
        self.taps.pop(key).finish()

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something in the background, where nobody waits for it."""
        task = asyncio.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
