"""Who is measured: one small program each (`common.py` says how they are called)."""

from __future__ import annotations

import dataclasses

__all__ = ["CLIENTS", "LIMIT", "PEERS", "WIREBIRD", "WIREBIRD_CALLBACKS", "Peer"]

LIMIT, WIREBIRD, WIREBIRD_CALLBACKS = "limit", "wirebird", "wirebird-callbacks"


@dataclasses.dataclass(frozen=True)
class Peer:
    """A server, or a client, that is measured.

    Args:
        name: on the command line and in reports.
        title: for people.
        module: in ``benchmarks.peers``, or ``benchmarks.clients``; "" for what is no Python.
        loop: "asyncio", "uvloop", or "" for one of its own.
        variant: for a program that has several.
        environment: further variables.
        deflates: whether it negotiates permessage-deflate.
        tls: whether it serves TLS here.
        python: the interpreter; "" for this one.
    """

    name: str
    title: str
    module: str
    loop: str = "asyncio"
    variant: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    deflates: bool = True
    tls: bool = True
    python: str = ""


_TRANSPORT = (("WIREBIRD_OWN_SOCKET", "0"),)
_PYTHON = (("WIREBIRD_ENGINE", "python"),)

PEERS = {
    peer.name: peer
    for peer in (
        Peer(LIMIT, "the limit, in C", "", "", deflates=False, tls=False),
        Peer(WIREBIRD, "Wirebird, coroutines", "wirebird_coroutines"),
        Peer(WIREBIRD_CALLBACKS, "Wirebird, callbacks", "wirebird_callbacks"),
        Peer("wirebird-uvloop", "Wirebird, coroutines, uvloop", "wirebird_coroutines", "uvloop"),
        Peer(
            "wirebird-callbacks-uvloop",
            "Wirebird, callbacks, uvloop",
            "wirebird_callbacks",
            "uvloop",
        ),
        Peer(
            "wirebird-transport",
            "Wirebird, coroutines, asyncio's transport",
            "wirebird_coroutines",
            environment=_TRANSPORT,
        ),
        Peer(
            "wirebird-callbacks-transport",
            "Wirebird, callbacks, asyncio's transport",
            "wirebird_callbacks",
            environment=_TRANSPORT,
        ),
        Peer(
            "wirebird-python",
            "Wirebird, coroutines, Python engine",
            "wirebird_coroutines",
            environment=_PYTHON,
        ),
        Peer("picows", "picows, uvloop", "with_picows", "uvloop", deflates=False),
        Peer("picows-asyncio", "picows, asyncio", "with_picows", deflates=False),
        Peer(
            "picows-websockets",
            "picows' websockets layer, uvloop",
            "with_picows_websockets",
            "uvloop",
        ),
        Peer("websockets", "websockets, asyncio", "with_websockets"),
        Peer("websockets-uvloop", "websockets, uvloop", "with_websockets", "uvloop"),
        Peer("aiohttp", "aiohttp, uvloop", "with_aiohttp", "uvloop"),
        Peer(
            "uvicorn",
            "uvicorn with websockets, uvloop",
            "with_uvicorn",
            "uvloop",
            "websockets-sansio",
        ),
        Peer(
            "uvicorn-wsproto", "uvicorn with wsproto, uvloop", "with_uvicorn", "uvloop", "wsproto"
        ),
        Peer(
            "uvicorn-wirebird",
            "uvicorn with Wirebird, uvloop",
            "with_uvicorn",
            "uvloop",
            "wirebird",
        ),
        *(
            Peer(
                f"{kind}-{ws.partition('-')[0]}",
                f"FastAPI, {title}uvicorn with {called}, uvloop",
                "with_uvicorn",
                "uvloop",
                f"{kind}+{ws}",
            )
            for kind, title, ws, called in (
                ("fastapi", "", "websockets-sansio", "websockets"),
                ("fastapi", "", "wsproto", "wsproto"),
                ("fastapi", "", "wirebird", "Wirebird"),
                ("callbacks", "callbacks, ", "wirebird", "Wirebird"),
            )
        ),
        Peer("node-ws", "Node's ws", "", ""),
        Peer("socketify", "socketify", "with_socketify", "", tls=False),
    )
}

CLIENTS = {
    peer.name: peer
    for peer in (
        Peer(LIMIT, "the load, in C", ""),
        Peer(WIREBIRD, "Wirebird, coroutines", "wirebird_coroutines"),
        Peer(WIREBIRD_CALLBACKS, "Wirebird, callbacks", "wirebird_callbacks"),
        Peer("picows", "picows, uvloop", "with_picows", "uvloop"),
        Peer("websockets-uvloop", "websockets, uvloop", "with_websockets", "uvloop"),
        Peer("aiohttp", "aiohttp, uvloop", "with_aiohttp", "uvloop"),
    )
}
