"""What ``compression=`` means, for both roles and every adapter."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pytest

import wirebird.sync.client
import wirebird.sync.server
from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.core.handshake.client import ClientHandshake
from wirebird.core.handshake.server import ServerHandshake
from wirebird.core.uri import parse_uri
from wirebird.extensions import brotli_codec, zstd_library
from wirebird.extensions.compression import (
    COMPRESSIONS,
    Compression,
    client_extensions,
    server_extensions,
)
from wirebird.extensions.permessage_brotli import (
    ClientPerMessageBrotliFactory,
    ServerPerMessageBrotliFactory,
)
from wirebird.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from wirebird.extensions.permessage_zstd import (
    ClientPerMessageZstdFactory,
    ServerPerMessageZstdFactory,
)


def names(factories: Sequence[Any] | None) -> list[str]:
    return [factory.name for factory in factories or ()]


@pytest.mark.parametrize("enable", [client_extensions, server_extensions])
def test_names(enable: Any) -> None:
    assert enable(None, None) is None
    assert enable(None, ()) is None
    for name in COMPRESSIONS:
        assert names(enable(None, name)) == names(enable(None, [name])) == [f"permessage-{name}"]
    for several in itertools.permutations(COMPRESSIONS):
        assert names(enable(None, several)) == [f"permessage-{name}" for name in several]
    for wrong in ("snappy", "", ["deflate", "gzip"]):
        with pytest.raises(ValueError, match="unsupported compression"):
            enable(None, wrong)
    with pytest.raises(ValueError, match="named twice: zstd"):
        enable(None, ["zstd", "deflate", "zstd"])


def test_factories_of_the_user_stay_as_they_are() -> None:
    brotli, zstd = ClientPerMessageBrotliFactory(quality=1), ClientPerMessageZstdFactory(level=1)
    for own in ([brotli], [zstd], [zstd, brotli]):
        factories = client_extensions(own, ("brotli", "zstd"))
        assert factories is not None
        assert list(factories[: len(own)]) == own
        assert sorted(names(factories)) == ["permessage-brotli", "permessage-zstd"]
    servers = [ServerPerMessageZstdFactory(), ServerPerMessageBrotliFactory()]
    assert server_extensions(servers, ("brotli", "zstd", "deflate"))[:2] == servers  # type: ignore[index]


def agreed(client: Compression, server: Compression) -> tuple[list[str], list[str]]:
    """What both ends have after a handshake."""
    one = ClientHandshake(parse_uri("ws://localhost/"), extensions=client_extensions(None, client))
    other = ServerHandshake(extensions=server_extensions(None, server))
    response = other.accept(one.connect())
    one.process_response(response)
    return names(one.extensions), names(other.extensions)


def test_the_servers_order_decides() -> None:
    orders: list[tuple[str, ...]] = [
        order for n in range(4) for order in itertools.permutations(COMPRESSIONS, n)
    ]
    for client, server in itertools.product(orders, orders):
        both = [f"permessage-{name}" for name in server if name in client][:1]
        assert agreed(client, server) == (both, both), (client, server)


def test_an_offer_that_cannot_be_met_leaves_it_to_the_next() -> None:
    deflate = ServerPerMessageDeflateFactory(
        client_max_window_bits=9, require_client_max_window_bits=True
    )
    server = ServerHandshake(extensions=server_extensions([deflate], "zstd"))
    client = ClientHandshake(
        parse_uri("ws://localhost/"), extensions=client_extensions(None, "zstd")
    )
    request = client.connect()
    offer = request.headers.pop("Sec-WebSocket-Extensions")
    request.headers["Sec-WebSocket-Extensions"] = f"permessage-deflate, {offer}"
    server.accept(request)
    assert names(server.extensions) == ["permessage-zstd"]


# Where a package is missing.


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brotli_codec, "brotli", None)
    monkeypatch.setattr(zstd_library, "_own", None)
    monkeypatch.setattr(zstd_library, "zstandard", None)


@pytest.mark.usefixtures("_nothing_installed")
@pytest.mark.parametrize("name", ["brotli", "zstd"])
async def test_a_missing_extra_is_missed_at_once(name: str) -> None:
    message = rf"permessage-{name} needs .*pip install 'wirebird\[{name}\]'"
    with pytest.raises(ImportError, match=message):
        connect("ws://localhost:1", compression=("deflate", name))
    with pytest.raises(ImportError, match=message):
        serve(_nobody, "localhost", 0, compression=name)
    with pytest.raises(ImportError, match=message):
        wirebird.sync.client.connect("ws://localhost:1", compression=name)
    with pytest.raises(ImportError, match=message):
        wirebird.sync.server.serve(_nobody, "localhost", 0, compression=name)  # type: ignore[arg-type]


def test_a_brotli_that_cannot_be_bounded_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        __version__ = "1.1.0"
        Decompressor = object

    monkeypatch.setattr(brotli_codec, "brotli", Old)
    with pytest.raises(ImportError, match=r"needs brotli 1\.2 or newer, this is 1\.1\.0"):
        ServerPerMessageBrotliFactory()


def test_nothing_is_imported_that_is_not_asked_for() -> None:
    import subprocess

    code = (
        "import sys, wirebird.asyncio.client as c, wirebird.asyncio.server;"
        "c.connect('ws://localhost:1', compression='deflate');"
        "sys.exit('brotli' in sys.modules or 'zstandard' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def _nobody(connection: ServerConnection) -> None:
    raise AssertionError("nobody comes")


@pytest.mark.parametrize("compression", ["brotli", "zstd", ("zstd", "brotli")])
async def test_a_conversation(compression: Compression) -> None:
    ended: asyncio.Queue[list[str]] = asyncio.Queue()

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)
        ended.put_nowait(names(connection.protocol.extensions))

    first = compression if isinstance(compression, str) else compression[0]  # type: ignore[index]
    async with serve(echo, "localhost", 0, compression=compression) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://localhost:{port}", compression=COMPRESSIONS) as client:
            assert names(client.protocol.extensions) == [f"permessage-{first}"]
            for message in ("", "a", "é" * 70_000, b"", bytes(100_000), "last"):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "", "frag", "ments"])
            assert await client.recv() == "in fragments"
        assert await ended.get() == [f"permessage-{first}"]


@pytest.mark.parametrize("compression", ["brotli", "zstd"])
def test_a_conversation_in_threads(compression: str) -> None:
    def echo(connection: wirebird.sync.server.ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with wirebird.sync.server.serve(echo, "localhost", 0, compression=compression) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        uri = f"ws://localhost:{port}"
        with wirebird.sync.client.connect(uri, compression=COMPRESSIONS) as client:
            assert names(client.protocol.extensions) == [f"permessage-{compression}"]
            for message in ("", "a", "é" * 70_000, bytes(100_000)):
                client.send(message)
                assert client.recv(timeout=10) == message
        server.shutdown()
        thread.join()
