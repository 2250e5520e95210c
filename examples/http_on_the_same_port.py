"""A page and its WebSocket on one port: for a health check, or for a whole small application.

python examples/http_on_the_same_port.py [PORT], then open http://localhost:8765/
"""

import asyncio
import sys
import time

from wirebird.asyncio.server import ServerConnection, serve
from wirebird.http11 import Request, Response

PAGE = """<!doctype html><title>Time</title><h1>The time of the server is <time>?</time></h1>
<script>
  const socket = new WebSocket(`ws://${location.host}/time`);
  socket.onmessage = (event) => { document.querySelector("time").textContent = event.data; };
</script>
"""


def answer(websocket: ServerConnection, request: Request) -> Response | None:
    """Answer plain HTTP; None lets the opening handshake of /time go on."""
    if request.path == "/time":
        return None
    if request.path != "/":
        return websocket.respond(404, "There is nothing here.\n")
    response = websocket.respond(200, PAGE)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    return response


async def tell_time(websocket: ServerConnection) -> None:
    """Send the time, ten times a second, until the client has gone."""
    while True:
        await websocket.send(time.strftime("%H:%M:%S"))
        await asyncio.sleep(0.1)


async def main(port: int = 8765) -> None:
    """Serve until interrupted."""
    async with serve(tell_time, "localhost", port, process_request=answer) as server:
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
