"""The end of a server that hurts nobody: no new connections, time for those that there are.

Peers that are told to go come back at once, and all together, to wherever they are sent: so they
are told one after the other, at moments that chance chooses within equal parts of the time.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from ..core.rules import CloseCode, State

if TYPE_CHECKING:
    from .running_server import Server
    from .server_connection import ServerConnection

__all__ = ["drain"]

# What was cut is given so long to notice.
_CUT_S = 1.0


async def drain(
    server: Server, timeout: float | None, jitter: float, code: CloseCode | int, reason: str
) -> int:
    """Tell all peers to go, wait for them and for their handlers, and cut who is left.

    Args:
        server: which opens no connections any more.
        timeout: seconds until the rest is cut; None to wait as long as it takes.
        jitter: seconds over which the peers are told.
        code, reason: of the Close.

    Returns:
        How many connections were cut.
    """
    try:
        async with asyncio.timeout(timeout):
            await _tell(server, jitter, code, reason)
            await server._wait_until_idle()
    except TimeoutError:
        pass
    left = server._open_connections()
    for connection in left:
        connection.link.abort()
    server.close()
    for task in list(server.handler_tasks):
        task.cancel()
    assert server.close_task is not None
    await asyncio.wait([server.close_task], timeout=_CUT_S)
    return len(left)


async def _tell(server: Server, jitter: float, code: CloseCode | int, reason: str) -> None:
    """Send a Close to each peer, spread over the time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    told = server._open_connections()
    random.shuffle(told)
    for number, connection in enumerate(told):
        due = began + jitter * (number + random.random()) / len(told)
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        elif number % 100 == 99:
            await asyncio.sleep(0)  # others have their turn
        _close(connection, code, reason)


def _close(connection: ServerConnection, code: CloseCode | int, reason: str) -> None:
    if connection.state is State.OPEN:
        connection.close_nowait(code, reason)
