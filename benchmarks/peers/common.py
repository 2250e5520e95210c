"""What the servers written in Python share: their command line, their loop, and a late timer.

    python -m benchmarks.peers.MODULE echo|fanout PORT [--loop asyncio|uvloop] [--tls CERT KEY]

A server says ``READY`` and, as JSON, what it is made of. Then it obeys lines on standard input:
``timer`` starts a task that sleeps 5 ms over and over, ``lateness`` ends it and prints how late
it woke, in milliseconds. It ends when standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import os
import platform
import ssl
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

__all__ = ["HOST", "LARGEST_MESSAGE", "Options", "run", "versions"]

HOST = "127.0.0.1"
LARGEST_MESSAGE = 16 * 1024 * 1024
_TICK_S = 0.005


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line says.

    Args:
        mode: "echo" or "fanout".
        port: to listen on.
        loop: "asyncio" or "uvloop".
        tls: the files of a certificate and its key.
        variant: for a server that has several.
    """

    mode: str
    port: int
    loop: str
    tls: tuple[str, str] | None
    variant: str

    @property
    def is_fanout(self) -> bool:
        """Whether each message goes to all."""
        return self.mode == "fanout"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return what to serve TLS with, if that is asked for."""
        if self.tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.tls)
        return context


def versions(*names: str) -> dict[str, str]:
    """Return the versions of some distributions."""
    return {name: version(name) for name in names}


class LateTimer:
    """A task that sleeps over and over, and notes how late it woke."""

    def __init__(self) -> None:
        self._late_ms: list[float] = []
        self._task = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            self._late_ms.append((time.perf_counter() - start - _TICK_S) * 1e3)

    def end(self) -> dict[str, float]:
        """Stop; return the median, the 99th percentile and the worst."""
        self._task.cancel()
        centiles = statistics.quantiles(self._late_ms, n=100)
        return {
            "p50_ms": centiles[49],
            "p99_ms": centiles[98],
            "worst_ms": max(self._late_ms),
            "count": len(self._late_ms),
        }


async def _obey() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    timer: LateTimer | None = None
    while line := (await reader.readline()).decode().strip():
        if line == "timer":
            timer = LateTimer()
        elif line == "lateness" and timer is not None:
            print(json.dumps(timer.end()), flush=True)
            timer = None
        else:
            raise SystemExit(f"unknown order: {line}")


def _parse() -> Options:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("echo", "fanout"))
    parser.add_argument("port", type=int)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--variant", default="")
    asked = parser.parse_args()
    tls = None if asked.tls is None else (asked.tls[0], asked.tls[1])
    return Options(asked.mode, asked.port, asked.loop, tls, asked.variant)


def run(start: Callable[[Options], Awaitable[Any]], made_of: Callable[[], dict[str, str]]) -> None:
    """Run a server until standard input ends.

    Args:
        start: makes it listen; what it returns is kept.
        made_of: what is reported: versions, and choices that were made.
    """
    options = _parse()
    # A client that hangs up is no news here, and a logged traceback costs more than a handshake.
    logging.disable(logging.CRITICAL)

    async def main() -> None:
        server = await start(options)
        facts = {"python": platform.python_version(), "loop": options.loop, **made_of()}
        print("READY", json.dumps(facts), flush=True)
        await _obey()
        del server
        os._exit(0)  # connections that are open now need no closing handshake

    if options.loop == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
