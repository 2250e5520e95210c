"""Files as binary messages: sent in fragments as they are read, stored as they come.

python examples/binary_streaming.py serve FOLDER [PORT]
python examples/binary_streaming.py put FILE ws://localhost:8765/NAME
python examples/binary_streaming.py get ws://localhost:8765/NAME FILE

Neither side ever holds more than some fragments, however large the file is: whoever reads slower
than the other sends makes it wait. A file that did not come whole is not kept.
"""

import asyncio
import hashlib
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import AsyncIterator

from wirebird.asyncio.client import ClientConnection, connect
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.exceptions import ConnectionClosed
from wirebird.typing import Subprotocol

FRAGMENT_BYTES = 256 * 1024
MAX_FILE_BYTES = 1 << 30
PUT, GET = Subprotocol("put"), Subprotocol("get")


async def fragments(path: pathlib.Path) -> AsyncIterator[bytes]:
    """Read a file, a piece at a time."""
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, FRAGMENT_BYTES):
            yield piece


async def store(ws: ClientConnection | ServerConnection, path: pathlib.Path) -> str:
    """Receive a message into a file, which is there when it is whole; return its SHA-256."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        part = pathlib.Path(scratch, path.name)
        with part.open("wb") as file:
            async for piece in ws.recv_streaming(decode=False):
                digest.update(piece)
                await asyncio.to_thread(file.write, piece)
        os.link(part, path)  # which does not replace a file
    return digest.hexdigest()


async def handle(ws: ServerConnection, folder: pathlib.Path) -> None:
    """Send the file that the path names, or take it; the subprotocol says which."""
    assert ws.request is not None
    name = ws.request.path.lstrip("/")
    if not re.fullmatch(r"\w[\w.-]{0,99}", name):
        await ws.close(1008, "a name has letters, digits, dots and dashes")
    elif ws.subprotocol == PUT:
        try:
            await ws.send(await store(ws, folder / name))
        except FileExistsError:
            await ws.close(1008, "there is such a file")
    elif (folder / name).is_file():
        await ws.send(fragments(folder / name))
    else:
        await ws.close(1008, "there is no such file")


async def run_server(folder: str, port: int = 8765) -> None:
    """Serve until interrupted."""
    async with serve(
        lambda ws: handle(ws, pathlib.Path(folder)),
        *("localhost", port),
        subprotocols=[PUT, GET],
        compression=None,
        max_size=(MAX_FILE_BYTES, FRAGMENT_BYTES),
    ) as server:
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


async def put(file: str, uri: str) -> None:
    """Send a file."""
    async with connect(uri, subprotocols=[PUT], compression=None) as ws:
        await ws.send(fragments(pathlib.Path(file)))
        print(f"stored, SHA-256 {await ws.recv(decode=True)}")


async def get(uri: str, file: str) -> None:
    """Fetch a file."""
    async with connect(uri, subprotocols=[GET], compression=None, max_size=MAX_FILE_BYTES) as ws:
        print(f"fetched, SHA-256 {await store(ws, pathlib.Path(file))}")


async def main(*arguments: str) -> None:
    """Do what the command line says."""
    match arguments:
        case ["serve", folder, *port]:
            await run_server(folder, *map(int, port))
        case ["put", file, uri]:
            await put(file, uri)
        case ["get", uri, file]:
            await get(uri, file)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except (ConnectionClosed, OSError) as error:
        sys.exit(str(error))
