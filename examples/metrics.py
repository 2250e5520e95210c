"""An echo server with limits, metrics for Prometheus, and an end that hurts nobody.

python examples/metrics.py [PORT], then: curl http://localhost:8765/metrics

Needs pip install 'wirebird[prometheus]'. Ctrl-C, or SIGTERM, drains it.
"""

import asyncio
import logging
import signal
import sys

from wirebird import Limits, ServerConnection, serve
from wirebird.instrumentation.logs import JsonFormatter
from wirebird.instrumentation.prometheus import Prometheus

LIMITS = Limits(
    connections=10_000,
    connections_per_address=50,
    handshakes=500,
    memory_bytes=256 * 2**20,
    messages=(100, 1000),
    over_rate="throttle",
)


async def echo(websocket: ServerConnection) -> None:
    """Send back what comes."""
    async for message in websocket:
        await websocket.send(message)


async def main(port: int = 8765) -> None:
    """Serve until somebody says stop, then drain."""
    log = logging.StreamHandler()
    log.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[log])
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Prometheus()
    async with serve(
        echo,
        "localhost",
        port,
        limits=LIMITS,
        instrumentation=metrics,
        process_request=metrics.expose(),
    ) as server:
        metrics.watch(server)
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await stop.wait()
        cut = await server.drain(timeout=10, jitter=1, code=1012)
        print(f"{cut} connections were cut", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
