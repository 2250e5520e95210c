"""What each compression makes of many small messages, and what it holds: try it with your own.

    python examples/compressions.py [FILE]

takes the lines of FILE, or quotes of a market that does not exist, as messages: each alone, then
100 together. For each way to compress them it prints their size on the wire, in percent, the time
that it takes, and on Linux the memory that a connection holds between two messages.
"""

from __future__ import annotations

import gc
import itertools
import pathlib
import random
import sys
import time
from collections.abc import Iterable
from typing import Any

from wirebird.extensions.permessage_brotli import (
    ClientPerMessageBrotliFactory,
    ServerPerMessageBrotliFactory,
)
from wirebird.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from wirebird.extensions.permessage_zstd import (
    ClientPerMessageZstdFactory,
    ServerPerMessageZstdFactory,
)
from wirebird.frames import Frame, Opcode

CONNECTIONS = 50
STATM = pathlib.Path("/proc/self/statm")

NO_CONTEXT: dict[str, Any] = {
    "server_no_context_takeover": True,
    "client_no_context_takeover": True,
}
WAYS: dict[str, tuple[Any, Any]] = {
    "deflate, window of 2^15": (
        ClientPerMessageDeflateFactory(),
        ServerPerMessageDeflateFactory(),
    ),
    "deflate, as by default": (
        ClientPerMessageDeflateFactory(compress_settings={"memLevel": 5}),
        ServerPerMessageDeflateFactory(
            server_max_window_bits=12,
            client_max_window_bits=12,
            compress_settings={"memLevel": 5},
        ),
    ),
    "deflate, no context": (
        ClientPerMessageDeflateFactory(**NO_CONTEXT),
        ServerPerMessageDeflateFactory(),
    ),
    "brotli": (ClientPerMessageBrotliFactory(), ServerPerMessageBrotliFactory()),
    "zstd": (ClientPerMessageZstdFactory(), ServerPerMessageZstdFactory()),
    "zstd, no context": (ClientPerMessageZstdFactory(**NO_CONTEXT), ServerPerMessageZstdFactory()),
}


def quotes(count: int) -> list[str]:
    """Return messages as a market might send them."""
    chance = random.Random(1)
    return [
        f'{{"type": "quote", "symbol": "{chance.choice(["ABC", "DEF", "GHI"])}", '
        f'"price": {chance.randrange(10_000, 20_000) / 100}, "size": {chance.randrange(1, 500)}}}'
        for _ in range(count)
    ]


def agreed(client: Any, server: Any) -> tuple[Any, Any]:
    """Return both ends of a connection, as an opening handshake would make them."""
    answer, theirs = server.process_request_params(client.get_request_params(), [])
    return client.process_response_params(answer, []), theirs


def compressed(messages: list[bytes], way: tuple[Any, Any]) -> tuple[int, float]:
    """Return how many bytes a server sends for these messages, and in how many seconds."""
    ours, theirs = agreed(*way)
    total, seconds = 0, 0.0
    for message in messages:
        begin = time.perf_counter()
        frame = theirs.encode(Frame(Opcode.TEXT, message))
        seconds += time.perf_counter() - begin
        assert ours.decode(frame).data == message
        total += len(frame.data)
    return total, seconds


def resident_kb() -> int:
    """Return how much memory this process has, in KB."""
    return int(STATM.read_text().split()[1]) * 4


def kb_per_connection(message: bytes, way: tuple[Any, Any]) -> float:
    """Return what an endpoint holds when it has sent and received, in KB."""
    peer, warm = agreed(*way)
    warm.encode(Frame(Opcode.TEXT, message))
    came = peer.encode(Frame(Opcode.TEXT, message))
    gc.collect()
    before = resident_kb()
    endpoints = []
    for _ in range(CONNECTIONS):
        _, endpoint = agreed(*way)
        endpoint.encode(Frame(Opcode.TEXT, message))
        endpoint.decode(came)
        endpoints.append(endpoint)
    return max(resident_kb() - before, 0) / CONNECTIONS


def show(messages: list[bytes], *, with_memory: bool = False) -> None:
    """Print a table."""
    plain = sum(map(len, messages))
    print(f"{len(messages)} messages, {plain} bytes")
    for name, way in WAYS.items():
        size, seconds = compressed(messages, way)
        memory = f"{kb_per_connection(messages[0], way):5.0f} KB" if with_memory else ""
        print(f"  {name:24} {100 * size / plain:5.1f} % {seconds * 1000:6.0f} ms {memory}")


def main(lines: Iterable[str]) -> None:
    messages = [line.encode() for line in itertools.islice(lines, 100_000) if line]
    show(messages, with_memory=STATM.exists())
    show([b",".join(messages[at : at + 100]) for at in range(0, len(messages), 100)])


if __name__ == "__main__":
    if sys.argv[1:]:
        main(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
    else:
        main(quotes(10_000))
