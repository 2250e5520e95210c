"""A dashboard: charts in the browser of what this process does, ten times a second.

python examples/dashboard.py [PORT], then open http://localhost:8765/

Who opens the page gets the last minute at once, then each sample as it is taken. A viewer that is
slow misses samples and keeps up with the newest: ``slow_consumer="conflate"``.
"""

import asyncio
import json
import pathlib
import sys
import time
from collections import deque

from wirebird.asyncio.server import ServerConnection, broadcast, serve
from wirebird.http11 import Request, Response

PAGE = pathlib.Path(__file__).with_name("dashboard.html")
INTERVAL_S = 0.1
SAMPLES_KEPT = 600

viewers: set[ServerConnection] = set()
history: deque[dict[str, float]] = deque(maxlen=SAMPLES_KEPT)


async def sample() -> None:
    """Take samples for ever, and send each to all viewers."""
    used, due = time.process_time(), time.monotonic()
    while True:
        due += INTERVAL_S
        await asyncio.sleep(due - time.monotonic())
        used_before, used = used, time.process_time()
        history.append(
            {
                "time": time.time(),
                "late": max(0.0, time.monotonic() - due) * 1000,
                "cpu": (used - used_before) / INTERVAL_S * 100,
                "viewers": len(viewers),
            }
        )
        broadcast(viewers, json.dumps([history[-1]]))


async def show(viewer: ServerConnection) -> None:
    """Send a viewer what there was, then let it have what comes."""
    viewer.send_nowait(json.dumps(list(history)))  # at once: no sample comes between
    viewers.add(viewer)
    try:
        await viewer.wait_closed()
    finally:
        viewers.remove(viewer)


def answer(viewer: ServerConnection, request: Request) -> Response | None:
    """Answer with the page; None lets the opening handshake of /samples go on."""
    if request.path == "/samples":
        return None
    if request.path != "/":
        return viewer.respond(404, "There is nothing here.\n")
    response = viewer.respond(200, PAGE.read_text(encoding="utf-8"))
    response.replace_header("Content-Type", "text/html; charset=utf-8")
    return response


async def main(port: int = 8765) -> None:
    """Serve until interrupted."""
    async with serve(
        show, "localhost", port, process_request=answer, slow_consumer="conflate", max_size=1024
    ) as server:
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        sampling = asyncio.create_task(sample())
        try:
            await server.serve_forever()
        finally:
            sampling.cancel()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
