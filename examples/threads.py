"""Prices for everybody, by threads: one sends to all, one for each guest hears what he wants.

python examples/threads.py [PORT], then several times: wirebird connect ws://localhost:8765/
"""

import itertools
import signal
import sys
import threading

from wirebird.sync.server import Server, ServerConnection, broadcast, serve

stopped = threading.Event()


def hear(ws: ServerConnection) -> None:
    """Handle a guest, in a thread of his own."""
    ws.send("prices follow; /stop ends the market")
    for message in ws:
        if message == "/stop":
            stopped.set()
        else:
            ws.send(f"you said: {message!r}")


def tell(server: Server) -> None:
    """Send the price to all, ten times per second, until the market is stopped."""
    for number in itertools.count(100):
        if stopped.wait(0.1):
            break
        broadcast(server.connections, f"price: {number}")
    server.shutdown(code=1001, reason="the market is closed")


def main(port: int = 8765) -> None:
    """Serve until interrupted, or stopped by a guest."""
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    with serve(hear, "localhost", port) as server:
        print(f"listening on port {server.socket.getsockname()[1]}", flush=True)
        threading.Thread(target=tell, args=[server]).start()
        try:
            server.serve_forever()
        finally:
            stopped.set()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
