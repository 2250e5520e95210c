"""A peer without a will: bytes and frames go out as told, and are read when asked.

``peer.py`` adds the opening handshake and what is expected of the other end.
"""

from __future__ import annotations

import asyncio
import collections
from typing import Literal, NoReturn, Self

from .streams import Stream
from .wire import BINARY, CLOSE, PING, PONG, TEXT, WireFrame, close_payload, masked, raw_frame

__all__ = ["RawPeer"]

_REMEMBERED = 8  # frames that went before


class RawPeer:
    """One end of a connection, in the hands of a test.

    Args:
        stream: to the other end.
        role: "client" or "server": whether its frames are masked.
    """

    def __init__(self, stream: Stream, role: Literal["client", "server"] = "client") -> None:
        self.stream = stream
        self.role = role
        self.buffer = bytearray()
        """What has come and was not yet read as a frame."""
        self.is_stalling = False
        """Whether it does nothing any more: see ``stall``."""
        self._passed: collections.deque[str] = collections.deque(maxlen=_REMEMBERED)

    # Sending

    async def send(self, *data: bytes) -> None:
        """Send bytes, whatever they are; wait while the network takes no more.

        Raises:
            OSError: the other end is gone.
        """
        await self.stream.send(b"".join(data))

    async def try_send(self, *data: bytes) -> bool:
        """Send bytes; return whether the other end took them, and is there at all."""
        try:
            await self.send(*data)
        except OSError:
            return False
        return True

    async def dribble(self, data: bytes, *, size: int = 1, interval: float = 0.0) -> None:
        """Send bytes in small pieces.

        Args:
            data: whatever bytes.
            size: of each piece.
            interval: seconds between two pieces.
        """
        for at in range(0, len(data), size):
            if at:
                await asyncio.sleep(interval)
            await self.send(data[at : at + size])

    async def send_frame(
        self,
        opcode: int,
        payload: bytes = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        mask: bool | None = None,
        length: int | None = None,
    ) -> None:
        """Send a frame, which need not be a valid one.

        Args:
            opcode: any of 0-15.
            payload: as it is meant; it is masked here.
            fin: the bit.
            rsv: RSV1 is 4, RSV2 is 2, RSV3 is 1.
            mask: whether it is masked; None for what is right for the role.
            length: that the header claims, when it is not that of the payload.
        """
        mask = self.role == "client" if mask is None else mask
        self._note(">", WireFrame(opcode, payload, fin, rsv, mask))
        await self.send(raw_frame(opcode, payload, fin=fin, rsv=rsv, mask=mask, length=length))

    async def send_text(self, text: str) -> None:
        """Send a text message."""
        await self.send_frame(TEXT, text.encode())

    async def send_binary(self, data: bytes) -> None:
        """Send a binary message."""
        await self.send_frame(BINARY, data)

    async def send_ping(self, payload: bytes = b"") -> None:
        """Send a ping."""
        await self.send_frame(PING, payload)

    async def send_pong(self, payload: bytes = b"") -> None:
        """Send a pong."""
        await self.send_frame(PONG, payload)

    async def send_close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a Close; with None, one that is empty. Any code is sent, right or wrong."""
        await self.send_frame(CLOSE, close_payload(code, reason))

    # Reading, for as long as it takes

    async def fill(self) -> bytes:
        """Read once; b"" at the end.

        Raises:
            ConnectionResetError: the other end cut the connection.
        """
        data = await self.stream.receive()
        self.buffer += data
        return data

    async def exactly(self, n: int) -> bytes:
        """Read ``n`` bytes.

        Raises:
            EOFError: the stream ends before.
        """
        await self._have(n)
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    async def head(self) -> str:
        """Read the head of a request or response, with the empty line after it.

        Raises:
            EOFError: the stream ends before.
        """
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            await self._have(len(self.buffer) + 1)
        return (await self.exactly(end + 4)).decode("iso-8859-1")

    async def frame(self) -> WireFrame:
        """Read a frame; what is not whole when this is cancelled stays in the buffer.

        Raises:
            EOFError: the stream ends before.
        """
        await self._have(2)
        first, second = self.buffer[0], self.buffer[1]
        length, at = second & 0x7F, 2
        if length > 125:
            at = 4 if length == 126 else 10
            await self._have(at)
            length = int.from_bytes(self.buffer[2:at], "big")
        key_at, at = at, at + (4 if second & 0x80 else 0)
        await self._have(at + length)
        key, payload = bytes(self.buffer[key_at:at]), bytes(self.buffer[at : at + length])
        del self.buffer[: at + length]
        payload = masked(payload, key) if key else payload
        frame = WireFrame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 7, bool(key))
        self._note("<", frame)
        return frame

    async def close_frame(self) -> WireFrame:
        """Read up to the Close, and return it."""
        while (received := await self.frame()).opcode != CLOSE:
            pass
        return received

    async def rest(self) -> bytes:
        """Read to the end of the stream."""
        while await self.fill():
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    async def _have(self, n: int) -> None:
        while len(self.buffer) < n:
            if not await self.fill():
                raise EOFError(f"the stream ended with {bytes(self.buffer)!r}")

    def _note(self, direction: str, frame: WireFrame) -> None:
        self._passed.append(f"{direction} {frame}")

    # Doing nothing, and the end

    async def stall(self) -> NoReturn:
        """Do nothing, and read nothing, until this is cancelled, as the end of a server does."""
        self.is_stalling = True
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")

    def half_close(self) -> None:
        """Say that nothing more will be sent: a FIN; reading goes on."""
        self.stream.half_close()

    def reset(self) -> None:
        """Go away without a word: the other end gets an RST."""
        self.stream.reset()

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
