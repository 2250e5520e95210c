"""The client of picows itself, on uvloop."""

from typing import Any

import picows

from benchmarks.clients.common import Talk, run


class Listener(picows.WSListener):
    """Compares, and sends again."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def on_ws_connected(self, transport: Any) -> None:
        """Send the first messages."""
        for _ in range(self._talk.depth):
            transport.send(picows.WSMsgType.TEXT, self._talk.next().encode())

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Compare, and send again."""
        self._talk.take(frame.get_payload_as_utf8_text())
        transport.send(picows.WSMsgType.TEXT, self._talk.next().encode())


async def converse(uri: str, talk: Talk) -> object:
    """Start what sends, compares, and sends again."""
    return await picows.ws_connect(lambda: Listener(talk), uri)


if __name__ == "__main__":
    run(converse, loop="uvloop")
