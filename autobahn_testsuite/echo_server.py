"""The server under test: it sends back what it gets, text as text and binary as binary.

Prints the port that it got, and serves until it is ended. permessage-deflate is on with window
bits as the client wants them, so that the cases 13.* negotiate every combination.
"""

from __future__ import annotations

import asyncio
import logging

from wirebird.asyncio.server import ServerConnection, serve
from wirebird.exceptions import ConnectionClosed
from wirebird.extensions.permessage_deflate import ServerPerMessageDeflateFactory

# Cases 9.1.6 and 9.2.6 send 16 MB in one message.
MAX_MESSAGE_BYTES = 2**25


async def echo(connection: ServerConnection) -> None:
    """Echo until the connection ends, however it ends: the suite judges that."""
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass


async def main() -> None:
    """Serve on a free port of 127.0.0.1."""
    server = await serve(
        echo,
        "127.0.0.1",
        0,
        extensions=[ServerPerMessageDeflateFactory()],
        max_size=MAX_MESSAGE_BYTES,
        ping_interval=None,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
