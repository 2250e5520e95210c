"""picows itself: listeners whose methods are called with frames."""

from __future__ import annotations

from typing import Any

import picows

from benchmarks.peers.common import HOST, Options, run, versions

transports: set[Any] = set()


class Echo(picows.WSListener):
    """Sends back what comes."""

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Send it back."""
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_bytes())


class FanOut(picows.WSListener):
    """Sends to all what comes."""

    def on_ws_connected(self, transport: Any) -> None:
        """Add it to all."""
        transports.add(transport)

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Send it to all."""
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.disconnect()
            return
        kind, payload = frame.msg_type, frame.get_payload_as_bytes()
        for other in transports:
            other.send(kind, payload)

    def on_ws_disconnected(self, transport: Any) -> None:
        """Take it from all."""
        transports.discard(transport)


async def start(options: Options) -> object:
    """Listen."""
    listener = FanOut if options.is_fanout else Echo
    server = await picows.ws_create_server(
        lambda request: listener(), HOST, options.port, ssl=options.ssl_context(), backlog=4096
    )
    await server.start_serving()
    return server


if __name__ == "__main__":
    run(start, lambda: versions("picows", "aiofastnet"))
