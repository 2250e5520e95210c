"""socketify: uWebSockets, in C++, with handlers in Python (a loop of its own, no TLS here)."""

from __future__ import annotations

import json
import platform
import sys
import threading
from typing import Any

from socketify import App, AppListenOptions, CompressOptions

from benchmarks.peers.common import HOST, LARGEST_MESSAGE, versions


def echo(ws: Any, message: str | bytes, kind: Any) -> None:
    """Send back what comes."""
    ws.send(message, kind, True)


def join(ws: Any) -> None:
    """Add a connection to all."""
    ws.subscribe("all")


def main() -> None:
    """Serve until standard input ends."""
    mode, port = sys.argv[1], int(sys.argv[2])
    application = App()

    def fan_out(ws: Any, message: str | bytes, kind: Any) -> None:
        application.publish("all", message, kind)

    application.ws(
        "/*",
        {
            "compression": CompressOptions.DEDICATED_COMPRESSOR_32KB,
            "max_payload_length": LARGEST_MESSAGE,
            "max_backpressure": LARGEST_MESSAGE,
            "idle_timeout": 120,
            "open": join if mode == "fanout" else lambda ws: None,
            "message": fan_out if mode == "fanout" else echo,
        },
    )

    def listening(config: Any) -> None:
        facts = {"python": platform.python_version(), "loop": "libuv", **versions("socketify")}
        print("READY", json.dumps(facts), flush=True)

    application.listen(AppListenOptions(port=port, host=HOST), listening)
    threading.Thread(target=lambda: (sys.stdin.read(), application.close()), daemon=True).start()
    application.run()


if __name__ == "__main__":
    main()
