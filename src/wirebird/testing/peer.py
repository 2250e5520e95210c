"""A peer that does exactly what it is told, right or wrong, byte by byte.

It answers nothing by itself: no Close, and no Ping unless told so. It reads only when something is
expected, so doing nothing is a peer that stalls. What does not come as expected is an
AssertionError that shows what came instead, and what went before.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar
from urllib.parse import urlsplit

from .raw_peer import RawPeer
from .streams import SocketStream, Stream
from .wire import (
    BINARY,
    CLOSE,
    KEY,
    PING,
    PONG,
    TEXT,
    WireFrame,
    accept_of,
    key_of,
    request,
    response,
)

if TYPE_CHECKING:
    from .network import MemoryNetwork

__all__ = ["Peer", "open_peer"]

_T = TypeVar("_T")

_DEADLINE_S = 5.0
_END = "the end of the stream"
_RESET = "a reset"


class Peer(RawPeer):
    """One end of a connection, in the hands of a test.

    Args:
        stream: to the other end.
        role: "client" or "server": whether its frames are masked, and the other end's must be.
        path, host: for the request of a client.
        deadline: seconds that each expectation may take, unless it says otherwise.
        answers_pings: whether pings that come while something else is expected are answered and
            left out; else they are what came.
    """

    def __init__(
        self,
        stream: Stream,
        role: Literal["client", "server"] = "client",
        *,
        path: str = "/",
        host: str = "127.0.0.1",
        deadline: float = _DEADLINE_S,
        answers_pings: bool = False,
    ) -> None:
        super().__init__(stream, role)
        self.path = path
        self.host = host
        self.deadline = deadline
        self.answers_pings = answers_pings

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        network: MemoryNetwork | None = None,
        receive_buffer: int | None = None,
        deadline: float = _DEADLINE_S,
        answers_pings: bool = False,
    ) -> Self:
        """Connect as a client, and send nothing yet; TLS it has none.

        Args:
            url: ``ws://`` with the host and port; its path is for ``open``.
            network: in memory, on which the server is; None for real sockets.
            receive_buffer: of the kernel, in bytes; a small one makes a peer that does not read
                be noticed soon.
            deadline, answers_pings: as for ``Peer``.

        Raises:
            ValueError: the URL is not ``ws://``.
            OSError: nobody listens there.
        """
        parts = urlsplit(url)
        if parts.scheme != "ws" or parts.hostname is None:
            raise ValueError(f"a peer connects to ws:// URLs, not {url!r}")
        where = parts.hostname, parts.port or 80
        stream: Stream
        if network is not None:
            stream = network.stream_to(*where)
        else:
            stream = await _connect_socket(where, receive_buffer)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(
            stream,
            path=path,
            host=parts.netloc,
            deadline=deadline,
            answers_pings=answers_pings,
        )

    # The opening handshake

    async def open(self, *headers: str) -> str:
        """Do the opening handshake as a client; return the head of the response.

        To spoil it, use ``send`` with whatever bytes, and ``expect_head``.

        Args:
            headers: further lines of the request, such as "Origin: http://example.com".

        Raises:
            AssertionError: the answer is not 101, or not to this request.
        """
        await self.send(request(*headers, path=self.path, host=self.host))
        head = await self.expect_head("HTTP/1.1 101 ")
        line = f"sec-websocket-accept: {accept_of(KEY)}".lower()
        if line not in head.lower().split("\r\n"):
            raise AssertionError(f"expected {line!r} in the head, but came:\n{head}")
        return head

    async def accept(self, *headers: str) -> str:
        """Do the opening handshake as a server; return the head of the request.

        Args:
            headers: further lines of the response, such as "Sec-WebSocket-Protocol: chat".
        """
        head = await self.expect_head("GET ")
        await self.send(response(key_of(head), *headers))
        return head

    async def expect_head(self, start: str = "", *, deadline: float | None = None) -> str:
        """Expect the head of a request or response; return it with the empty line after it.

        Args:
            start: with which it begins.
            deadline: in seconds; None for the peer's.
        """
        head = await self._within(self.head(), f"a head that begins with {start!r}", deadline)
        if not head.startswith(start):
            raise AssertionError(f"expected a head that begins with {start!r}, but came:\n{head}")
        return head

    # Expectations

    async def expect_frame(
        self,
        opcode: int | None = None,
        payload: bytes | None = None,
        *,
        fin: bool | None = True,
        rsv: int | None = 0,
        deadline: float | None = None,
    ) -> WireFrame:
        """Expect a frame, the next that comes, masked as the other end's role demands.

        Args:
            opcode, payload, fin, rsv: that it has; None for any.
            deadline: in seconds; None for the peer's.
        """
        wanted = WireFrame(opcode or 0, payload or b"", fin is not False, rsv or 0)
        if opcode is None:
            expected = "a frame"
        elif payload is None:
            expected = str(wanted).split(" ")[0]
        else:
            expected = str(wanted)
        came = await self._next_frame(expected, deadline)
        is_right = (
            opcode in (None, came.opcode)
            and payload in (None, came.payload)
            and fin in (None, came.fin)
            and rsv in (None, came.rsv)
        )
        if not is_right:
            self._fail(expected, str(came))
        return came

    async def expect_text(
        self, text: str | None = None, *, deadline: float | None = None
    ) -> WireFrame:
        """Expect a text message in one frame; None for any."""
        return await self.expect_frame(
            TEXT, None if text is None else text.encode(), deadline=deadline
        )

    async def expect_binary(
        self, data: bytes | None = None, *, deadline: float | None = None
    ) -> WireFrame:
        """Expect a binary message in one frame; None for any."""
        return await self.expect_frame(BINARY, data, deadline=deadline)

    async def expect_ping(
        self, payload: bytes | None = None, *, deadline: float | None = None
    ) -> WireFrame:
        """Expect a ping; None for any payload. It is not answered."""
        return await self.expect_frame(PING, payload, deadline=deadline)

    async def expect_pong(
        self, payload: bytes | None = None, *, deadline: float | None = None
    ) -> WireFrame:
        """Expect a pong; None for any payload."""
        return await self.expect_frame(PONG, payload, deadline=deadline)

    async def expect_close(
        self,
        code: int | None = None,
        reason: str | None = None,
        *,
        deadline: float | None = None,
    ) -> WireFrame:
        """Expect a Close. It is not answered.

        Args:
            code: that it has, 1005 for none; None for any.
            reason: that it has; None for any.
            deadline: in seconds; None for the peer's.
        """
        expected = "Close" if code is None else f"Close {code}"
        expected += "" if reason is None else f" {reason!r}"
        came = await self._next_frame(expected, deadline)
        is_right = (
            came.opcode == CLOSE
            and came.fin
            and not came.rsv
            and code in (None, came.code)
            and reason in (None, came.reason)
        )
        if not is_right:
            self._fail(expected, str(came))
        return came

    async def expect_eof(self, *, deadline: float | None = None) -> None:
        """Expect the end of the stream, with nothing before it."""
        await self._expect_end("the end of the stream", is_reset=False, deadline=deadline)

    async def expect_reset(self, *, deadline: float | None = None) -> None:
        """Expect that the other end cuts the connection, with nothing before it."""
        await self._expect_end("a reset", is_reset=True, deadline=deadline)

    async def expect_silence(self, seconds: float) -> None:
        """Expect that nothing comes for so many seconds, and the connection stays."""
        try:
            async with asyncio.timeout(seconds):
                came = await self._frame_or_end()
        except TimeoutError:
            if not self.buffer:
                return
            came = f"the beginning of a frame, {bytes(self.buffer[:20])!r}"
        self._fail(f"nothing for {seconds:g} s", str(came))

    async def _next_frame(self, expected: str, deadline: float | None) -> WireFrame:
        while True:
            came = await self._within(self._frame_or_end(), expected, deadline)
            if isinstance(came, str):
                self._fail(expected, came)
            if came.masked is (self.role == "client"):
                how = "masked" if came.masked else "not masked"
                self._fail(f"{expected} of a {self._other}", f"{came}, {how}")
            if not (self.answers_pings and came.opcode == PING and expected.split()[0] != "Ping"):
                return came
            await self.send_pong(came.payload)

    async def _expect_end(self, expected: str, *, is_reset: bool, deadline: float | None) -> None:
        came = await self._within(self._frame_or_end(), expected, deadline)
        wanted = _RESET if is_reset else _END
        if came != wanted:
            self._fail(expected, str(came))

    async def _frame_or_end(self) -> WireFrame | str:
        try:
            return await self.frame()
        except EOFError:
            return f"{_END}, in the middle of a frame" if self.buffer else _END
        except (ConnectionResetError, BrokenPipeError):
            return _RESET

    async def _within(
        self, reading: Coroutine[Any, Any, _T], expected: str, deadline: float | None
    ) -> _T:
        seconds = self.deadline if deadline is None else deadline
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await reading
        except EOFError as exc:
            self._fail(expected, str(exc))
        except ConnectionResetError:
            self._fail(expected, _RESET)
        except TimeoutError:
            if not limit.expired():
                raise
            rest = f" but {bytes(self.buffer[:20])!r}" if self.buffer else ""
            self._fail(expected, f"nothing within {seconds:g} s{rest}")

    @property
    def _other(self) -> str:
        return "server" if self.role == "client" else "client"

    def _fail(self, expected: str, came: str) -> NoReturn:
        passed = list(self._passed)
        if passed and passed[-1] == f"< {came}":
            passed.pop()
        before = "".join(f"\n  {line}" for line in passed)
        raise AssertionError(
            f"expected {expected}, but came: {came}" + (f"\nbefore it:{before}" if before else "")
        )


async def _connect_socket(where: tuple[str, int], receive_buffer: int | None) -> SocketStream:
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, kind, _, _, address in await loop.getaddrinfo(*where, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind)
        stream = SocketStream(sock)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await loop.sock_connect(sock, address)
        except OSError as exc:
            sock.close()
            failure = exc
        except BaseException:
            sock.close()
            raise
        else:
            return stream
    assert failure is not None
    raise failure


@contextlib.asynccontextmanager
async def open_peer(
    url: str,
    *headers: str,
    network: MemoryNetwork | None = None,
    receive_buffer: int | None = None,
    deadline: float = _DEADLINE_S,
    answers_pings: bool = False,
) -> AsyncIterator[Peer]:
    """Connect a client in the hands of the test, and do the opening handshake.

    ::

        async with open_peer(server.url) as peer:
            await peer.send_frame(TEXT, b"Hello", rsv=4)
            await peer.expect_close(1002)

    Args:
        url: ``ws://``.
        headers: further lines of the request.
        network, receive_buffer, deadline, answers_pings: as for ``Peer.connect``.
    """
    peer = await Peer.connect(
        url,
        network=network,
        receive_buffer=receive_buffer,
        deadline=deadline,
        answers_pings=answers_pings,
    )
    async with peer:
        await peer.open(*headers)
        yield peer
