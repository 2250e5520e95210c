"""The client under test: it runs each case of the suite's server, and echoes.

    python autobahn_testsuite/client.py ws://127.0.0.1:9001 AGENT

The offer of permessage-deflate lets the server choose any window for us, so that the cases 13.*
negotiate every combination.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from wirebird.asyncio.client import connect
from wirebird.exceptions import WebSocketException
from wirebird.extensions.permessage_deflate import ClientPerMessageDeflateFactory

# Cases 9.1.6 and 9.2.6 send 16 MB in one message.
MAX_MESSAGE_BYTES = 2**25


async def count_cases(server: str) -> int:
    """Ask the suite how many cases it has been told to run."""
    async with connect(f"{server}/getCaseCount", proxy=None) as connection:
        return int(json.loads(await connection.recv()))


async def run_case(server: str, agent: str, case: int) -> None:
    """Echo until the case ends, however it ends: the suite judges that."""
    try:
        async with connect(
            f"{server}/runCase?case={case}&agent={agent}",
            extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=True)],
            max_size=MAX_MESSAGE_BYTES,
            ping_interval=None,
            proxy=None,
        ) as connection:
            async for message in connection:
                await connection.send(message)
    except WebSocketException as error:
        logging.info("case number %d ended with %s: %s", case, type(error).__name__, error)


async def main(server: str, agent: str) -> None:
    """Run all cases, one after another, and have the reports written."""
    for case in range(1, await count_cases(server) + 1):
        await run_case(server, agent, case)
    async with connect(f"{server}/updateReports?agent={agent}", proxy=None) as connection:
        await connection.wait_closed()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
