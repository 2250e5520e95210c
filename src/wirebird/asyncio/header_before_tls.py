"""The header of the PROXY protocol, where TLS begins behind it.

A transport of asyncio's with TLS would take the header for a broken handshake. So the connection is
accepted without, exactly the header is read, since what follows belongs to TLS, and then asyncio
starts TLS on it. The connection proper gets the transport of TLS, as if nothing had been before.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from .server_connection import ServerConnection

__all__ = ["header_before_tls"]


def header_before_tls(
    make_connection: Callable[[], ServerConnection],
    header_timeout: float | None,
    arguments: Mapping[str, Any],
) -> tuple[Callable[[], asyncio.BaseProtocol], dict[str, Any]]:
    """Return the factory and the arguments with which ``create_server`` leaves TLS to us.

    Args:
        make_connection: makes the connection proper.
        header_timeout: seconds that the header may take; None for no limit.
        arguments: that ``create_server`` would get otherwise.

    Raises:
        NotImplementedError: on Windows' proactor loop, which reads beyond the header.
    """
    if isinstance(asyncio.get_running_loop(), getattr(asyncio, "ProactorEventLoop", ())):
        raise NotImplementedError(
            "proxy_protocol with ssl needs a SelectorEventLoop; the ProactorEventLoop reads ahead"
        )
    rest = dict(arguments)
    tls = _Tls(
        rest.pop("ssl"),
        header_timeout,
        rest.pop("ssl_handshake_timeout", None),
        rest.pop("ssl_shutdown_timeout", None),
    )
    return lambda: _HeaderBeforeTls(make_connection(), tls), rest


@dataclasses.dataclass(frozen=True)
class _Tls:
    """What TLS needs to know; all times in seconds, None for the default of asyncio.

    Args:
        context: with the server's certificate.
        header_timeout: how long the header may take; None for no limit.
        handshake_timeout, shutdown_timeout: as for ``loop.start_tls``.
    """

    context: ssl.SSLContext
    header_timeout: float | None
    handshake_timeout: float | None
    shutdown_timeout: float | None


class _HeaderBeforeTls(asyncio.BufferedProtocol):
    """Stands before a connection until TLS is established.

    Args:
        connection: whose turn it is then.
        tls: how TLS is spoken.
    """

    def __init__(self, connection: ServerConnection, tls: _Tls) -> None:
        self._connection = connection
        self._tls = tls
        self._buffer = bytearray()
        self._deadline: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._starting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of TCP."""
        connection = self._connection
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class
        connection.server.opening.add(connection)
        connection.protocol.connected(transport.get_extra_info)
        if self._tls.header_timeout is not None:
            self._deadline = connection.loop.call_later(
                self._tls.header_timeout, self._header_is_late
            )

    def get_buffer(self, sizehint: int) -> bytearray:
        """Give room for no more than belongs to the header."""
        arrival = self._connection.protocol.arrival
        assert arrival is not None
        self._buffer = bytearray(arrival.wanted)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take a part of the header; start TLS behind its end."""
        protocol = self._connection.protocol
        protocol.receive_data(self._buffer[:nbytes])
        if protocol.is_cut:
            self._transport.abort()
        elif protocol.proxy_header is not None:
            self._transport.pause_reading()
            self._stop_clock()
            self._starting = self._connection.loop.create_task(self._start_tls())

    def eof_received(self) -> None:
        """Take the end of the stream, which comes too early."""
        self._connection.protocol.receive_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of TCP."""
        self._over()

    def _header_is_late(self) -> None:
        self._connection.protocol.cut_without_header()
        self._transport.abort()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _over(self) -> None:
        """The connection is on its own, or never will be."""
        self._stop_clock()
        if self._connection.protocol.is_cut:
            ledger = self._connection.server.ledger
            ledger.accepted += 1
            ledger.refused["invalid"] += 1
        self._connection.server._connection_opened(self._connection)

    async def _start_tls(self) -> None:
        connection = self._connection
        gap = _Gap()
        try:
            transport = await connection.loop.start_tls(
                self._transport,
                gap,
                self._tls.context,
                server_side=True,
                ssl_handshake_timeout=self._tls.handshake_timeout,
                ssl_shutdown_timeout=self._tls.shutdown_timeout,
            )
            if transport is not None and not gap.is_lost:
                transport.set_protocol(connection)
                connection.connection_made(transport)
                if gap.data:
                    connection.data_received(bytes(gap.data))
        except OSError as exc:  # such as ssl.SSLError
            connection.logger.debug("! TLS handshake failed: %s", exc)
        finally:
            self._over()


class _Gap(asyncio.Protocol):
    """Keeps what comes between the end of the TLS handshake and the turn of the connection."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
