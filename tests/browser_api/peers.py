"""Servers that the browser's API talks to, chosen by path, and a log of what it tells.

They are raw (``tests/attacks/raw.py``), so that what a client does is judged by nothing of ours,
and so that they can break every rule.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tests.attacks.raw import (
    BINARY,
    CLOSE,
    TEXT,
    RawPeer,
    close_payload,
    frame,
    key_of,
    raw_server,
    response,
)

from wirebird.browser import CloseEvent, Event, MessageEvent, WebSocket

__all__ = ["Log", "peers", "told"]


def _plain(opcode: int, payload: bytes = b"", **kwargs: Any) -> bytes:
    return frame(opcode, payload, mask=False, **kwargs)


async def _echo(peer: RawPeer) -> None:
    """Send back messages; answer a Close with the same."""
    while True:
        received = await peer.frame()
        await peer.send(_plain(received.opcode, received.payload, fin=received.fin))
        if received.opcode == CLOSE:
            return


def _sending(*data: bytes, then: str = "wait") -> Callable[[RawPeer], Awaitable[None]]:
    """Send bytes; then wait for the answer to a Close, or "reset" TCP, or "end" it."""

    async def talk(peer: RawPeer) -> None:
        await peer.send(*data)
        if then == "reset":
            peer.reset()
        elif then == "end":
            peer.half_close()
            await peer.rest()
        else:
            await peer.close_frame()  # a server ends TCP first: RFC 6455, 7.1.1

    return talk


async def _flood(peer: RawPeer) -> None:
    """Send without end."""
    while True:
        await peer.send(_plain(BINARY, bytes(2**16)))


async def _no_reader(peer: RawPeer) -> None:
    """Take nothing."""
    await asyncio.Event().wait()


OPENED: dict[str, Callable[[RawPeer], Awaitable[None]]] = {
    "/echo": _echo,
    "/flood": _flood,
    "/no-reader": _no_reader,
    "/close-1001": _sending(_plain(CLOSE, close_payload(1001, "bye"))),
    "/close-4000": _sending(_plain(CLOSE, close_payload(4000, "ünïcode"))),
    "/close-empty": _sending(_plain(CLOSE)),
    "/close-behind": _sending(
        _plain(TEXT, b"one"), _plain(BINARY, b"two"), _plain(CLOSE, close_payload(3001, "end"))
    ),
    "/data-after-close": _sending(_plain(CLOSE, close_payload(1000)), _plain(TEXT, b"late")),
    "/close-1005": _sending(_plain(CLOSE, close_payload(1005))),
    "/close-one-byte": _sending(_plain(CLOSE, b"\x03")),
    "/close-bad-utf8": _sending(_plain(CLOSE, b"\x03\xe8\xff")),
    "/cut": _sending(_plain(TEXT, b"one"), then="end"),
    "/reset": _sending(then="reset"),
    "/bad-utf8": _sending(_plain(TEXT, b"one"), _plain(TEXT, b"\xff")),
    "/masked": _sending(frame(TEXT, b"one")),
    "/reserved-bit": _sending(_plain(TEXT, b"one", rsv=1)),
    "/reserved-opcode": _sending(_plain(3, b"one")),
    "/lone-continuation": _sending(_plain(0, b"one")),
    "/long-ping": _sending(_plain(9, bytes(126))),
}


async def _talk(peer: RawPeer) -> None:
    head = await peer.head()
    path = head.split(" ")[1].split("?")[0]
    accepted = response(key_of(head))
    heads = {
        "/404": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "/200": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "/redirect": b"HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n",
        "/garbage": b"\x00\x01\x02 no HTTP at all\r\n\r\n",
        "/nothing": b"",
        "/bad-accept": response("another key"),
        "/protocol-unasked": response(key_of(head), "Sec-WebSocket-Protocol: chat"),
        "/protocol-chosen": response(key_of(head), "Sec-WebSocket-Protocol: chat"),
        "/protocol-other": response(key_of(head), "Sec-WebSocket-Protocol: other"),
        "/extension-unasked": response(key_of(head), "Sec-WebSocket-Extensions: x-other"),
        "/protocol-none": accepted,
    }
    if path == "/silence":
        await peer.rest()
        return
    await peer.send(heads.get(path, accepted))
    if heads.get(path, accepted)[9:12] != b"101":
        peer.half_close()
        return
    await OPENED.get(path, _echo)(peer)


@contextlib.asynccontextmanager
async def peers() -> AsyncIterator[str]:
    """Serve all of the above; gives the URL without the slash at its end."""
    async with raw_server(_talk) as uri:
        yield uri.removesuffix("/")


def told(event: Event, ws: WebSocket) -> list[Any]:
    """An event as a list: its type, the state meanwhile, and what it says."""
    line: list[Any] = [event.type, ws.readyState]
    if isinstance(event, MessageEvent):
        data = event.data
        line.append(data if isinstance(data, str) else [type(data).__name__, len(data)])
    elif isinstance(event, CloseEvent):
        line += [event.wasClean, event.code, event.reason]
    return line


class Log:
    """All events of a WebSocket, as they come.

    Args:
        ws: to listen to.
        lines: where to write; a new list by default.
    """

    def __init__(self, ws: WebSocket, lines: list[Any] | None = None) -> None:
        self.ws = ws
        self.lines: list[Any] = [] if lines is None else lines
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for type in ("open", "message", "error", "close"):
            ws.addEventListener(type, self._told)

    def _told(self, event: Event) -> None:
        self.lines.append(told(event, self.ws))
        if event.type == "close" and not self._closed.done():
            self._closed.set_result(None)

    async def closed(self) -> list[Any]:
        """Wait for the close event, and a while for anything after it; return all lines."""
        await self._closed
        for _ in range(5):
            await asyncio.sleep(0)
        return self.lines
