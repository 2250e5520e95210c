"""The server under test: an echo, with the library and on the core that are named.

    python benchmarks/echo_server.py websockets|wirebird CORE|- [ENGINE]

It prints the port on which it listens, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from typing import Any


async def echo(connection: Any) -> None:
    """Send back what comes."""
    async for message in connection:
        await connection.send(message)


async def main(library: str, engine: str | None) -> None:
    """Serve until standard input ends."""
    serve = importlib.import_module(f"{library}.asyncio.server").serve
    options = {} if engine is None else {"engine": engine}
    loop = asyncio.get_running_loop()
    async with serve(echo, "127.0.0.1", 0, **options) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if sys.argv[2] != "-":
        os.sched_setaffinity(0, {int(sys.argv[2])})
    asyncio.run(main(sys.argv[1], sys.argv[3] if len(sys.argv) > 3 else None))
