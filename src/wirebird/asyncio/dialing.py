"""Getting a TCP connection without blocking; ``wirebird.dialing`` says how it is done."""

from __future__ import annotations

import asyncio
import socket

from ..dialing import ATTEMPT_DELAY_S, AddressInfo, doing, failure, interleaved

__all__ = ["dial", "look_up"]


async def dial(
    host: str,
    port: int,
    *,
    family: int = 0,
    proto: int = 0,
    flags: int = 0,
    local_addr: tuple[str, int] | None = None,
    happy_eyeballs_delay: float | None = ATTEMPT_DELAY_S,
    interleave: int | None = None,
    all_errors: bool = False,
) -> socket.socket:
    """Return a socket that is connected.

    Args:
        host: a name or an address.
        port: of it.
        family, proto, flags: for ``getaddrinfo``.
        local_addr: to connect from.
        happy_eyeballs_delay: seconds after which the next address is tried beside those that have
            not answered yet; None to wait for each.
        interleave: 0 to keep the system's order of addresses, and not take families in turn.
        all_errors: raise an ExceptionGroup of what failed, if several addresses did.

    Raises:
        socket.gaierror: the name is not known.
        ConnectionRefusedError: nobody listens at any of its addresses.
        OSError: it cannot be reached; with ``local_addr``, also that this cannot be used.
    """
    infos = await look_up(host, port, family, proto, flags)
    if interleave != 0:
        infos = interleaved(infos)
    local_infos: list[AddressInfo] | None = None
    if local_addr is not None:
        local_infos = await look_up(*local_addr, family, proto, flags)
    with doing(f"connecting to {host}, port {port}"):
        return await _race(infos, local_infos, happy_eyeballs_delay, all_errors)


async def look_up(
    host: str, port: int, family: int = 0, proto: int = 0, flags: int = 0
) -> list[AddressInfo]:
    """Return the addresses of a host; arguments and errors are those of ``dial``."""
    try:  # what is an address needs no thread that waits
        return list(
            socket.getaddrinfo(
                host, port, family, socket.SOCK_STREAM, proto, flags | socket.AI_NUMERICHOST
            )
        )
    except (OSError, UnicodeError):
        pass  # it is a name; or the other way says what is wrong with it
    with doing(f"looking up {host}"):
        infos = await asyncio.get_running_loop().getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags
        )
        if not infos:
            raise OSError(f"{host} has no address")
    return list(infos)


async def _race(
    infos: list[AddressInfo],
    local_infos: list[AddressInfo] | None,
    delay: float | None,
    all_errors: bool,
) -> socket.socket:
    """Try addresses, each some time after the one before; return the first that is connected."""
    errors: list[tuple[AddressInfo, OSError]] = []
    attempts: dict[asyncio.Task[socket.socket], AddressInfo] = {}
    waiting = list(infos)
    try:
        while waiting or attempts:
            if waiting:
                info = waiting.pop(0)
                attempts[asyncio.ensure_future(_connect(info, local_infos))] = info
            timeout = delay if waiting else None
            done, _ = await asyncio.wait(
                attempts, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                if attempt.exception() is None:
                    attempts.pop(attempt)
                    return attempt.result()
            for attempt in done:
                exc = attempt.exception()
                info = attempts.pop(attempt)
                if not isinstance(exc, OSError):
                    assert exc is not None
                    raise exc
                errors.append((info, exc))
        raise failure(errors, all_errors=all_errors)
    finally:
        _give_up(list(attempts))


def _give_up(attempts: list[asyncio.Task[socket.socket]]) -> None:
    """End attempts that are no longer wanted; one may have got its connection meanwhile.

    Nothing is awaited: who is cancelled here would lose the connection of the one that has won.
    """
    for attempt in attempts:
        attempt.cancel()
        attempt.add_done_callback(_close_outcome)


def _close_outcome(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _connect(info: AddressInfo, local_infos: list[AddressInfo] | None) -> socket.socket:
    family, kind, proto, _, address = info
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        if local_infos is not None:
            _bind(sock, local_infos)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, local_infos: list[AddressInfo]) -> None:
    """Bind a socket to the first of our addresses that is of its family and can be used."""
    error: OSError | None = None
    for family, _, _, _, address in local_infos:
        if family != sock.family:
            continue
        try:
            sock.bind(address)
        except OSError as exc:
            error = exc
        else:
            return
    raise error or OSError("there is no local address of that family")
