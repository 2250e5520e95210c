"""What is measured, and with whom."""

from __future__ import annotations

import dataclasses
import enum

from benchmarks.peers import LIMIT, PEERS, WIREBIRD, WIREBIRD_CALLBACKS

__all__ = ["SCENARIOS", "Kind", "Scenario"]


class Kind(enum.Enum):
    """How it is measured, and what comes out."""

    RATE = "messages or handshakes a second"
    CLIENT = "messages a second that a client exchanges with the limit"
    IDLE = "KB of memory for an idle connection"
    TIMER = "ms that a 5 ms timer is later at the 99th percentile under load than in an idle loop"
    FLOOD = "times a round trip takes as long beside a flood"
    NEVER = "KB of memory for a client that sends and never reads"


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What is measured.

    Args:
        name: on the command line and in reports.
        title: for people.
        kind: how.
        load: arguments of the load generator; for a client: connections, depth and size.
        peers: with whom, by default.
        tls: whether over TLS.
        most_rounds: where more say no more; None for as many as asked.
    """

    name: str
    title: str
    kind: Kind
    load: tuple[str, ...]
    peers: tuple[str, ...]
    tls: bool = False
    most_rounds: int | None = None

    @property
    def mode(self) -> str:
        """What the server does: "echo" or "fanout"."""
        return "fanout" if {"fanout", "--fanout"} & {*self.load} else "echo"


_OURS = (WIREBIRD, WIREBIRD_CALLBACKS)
_ALL = tuple(
    name
    for name in PEERS
    if name not in ("wirebird-uvloop", "wirebird-callbacks-uvloop", "picows-asyncio")
    and not name.startswith(("fastapi-", "callbacks-"))
)
_FAST = (LIMIT, *_OURS, "picows", "websockets-uvloop", "node-ws", "socketify")
_DEFLATING = (
    *_OURS,
    "picows-websockets",
    "websockets-uvloop",
    "aiohttp",
    "uvicorn",
    "node-ws",
    "socketify",
)
_TLS = (*_OURS, "picows", "websockets-uvloop", "aiohttp", "node-ws")
_HANDSHAKES = (
    LIMIT,
    *_OURS,
    "picows",
    "picows-websockets",
    "websockets",
    "websockets-uvloop",
    "aiohttp",
    "node-ws",
    "socketify",
)
_FASTAPI = ("fastapi-websockets", "fastapi-wsproto", "fastapi-wirebird", "callbacks-wirebird")
_SAFE = (*_OURS, "picows", "websockets-uvloop", "aiohttp", "node-ws", "socketify")
_CLIENTS = (LIMIT, *_OURS, "picows", "websockets-uvloop", "aiohttp")


def _echo(
    name: str, title: str, arguments: str, peers: tuple[str, ...], *, tls: bool = False
) -> Scenario:
    load = ("echo", *arguments.split(), *(("--tls",) if tls else ()))
    return Scenario(name, title, Kind.RATE, load, peers, tls=tls)


SCENARIOS = (
    _echo("1-connection", "1 connection, ping-pong, 32 B", "--connections 1", _FAST),
    _echo("100-connections", "100 connections, ping-pong, 32 B", "--connections 100", _ALL),
    _echo("1000-connections", "1,000 connections, ping-pong, 32 B", "--connections 1000", _FAST),
    _echo(
        "pipelined",
        "100 connections, 64 messages deep, 32 B",
        "--connections 100 --depth 64",
        tuple(name for name in _ALL if "transport" not in name),
    ),
    _echo("1-kb", "100 connections, ping-pong, 1 KB", "--connections 100 --size 1024", _FAST),
    _echo(
        "16-kb",
        "100 connections, ping-pong, 16 KB binary",
        "--connections 100 --size 16384 --binary",
        _FAST,
    ),
    _echo(
        "1-mb",
        "4 connections, ping-pong, 1 MB binary",
        "--connections 4 --size 1048576 --binary",
        _FAST,
    ),
    Scenario(
        "fanout",
        "fan-out to 1,000, 16 publications deep, 32 B",
        Kind.RATE,
        ("fanout", "--connections", "1000", "--depth", "16"),
        (LIMIT, *_OURS, "picows", "picows-websockets", "websockets-uvloop", "node-ws", "socketify"),
    ),
    _echo(
        "deflate",
        "100 connections, ping-pong, 1 KB compressed",
        "--connections 100 --size 1024 --deflate",
        _DEFLATING,
    ),
    _echo(
        "tls",
        "100 connections, ping-pong, 1 KB over TLS",
        "--connections 100 --size 1024",
        _TLS,
        tls=True,
    ),
    Scenario(
        "handshakes",
        "opening handshakes, 32 at a time, then a reset",
        Kind.RATE,
        ("handshake", "--connections", "32"),
        _HANDSHAKES,
    ),
    Scenario(
        "handshakes-closed",
        "opening and closing handshakes, 32 at a time",
        Kind.RATE,
        ("handshake", "--connections", "32", "--close"),
        _HANDSHAKES,
    ),
    _echo(
        "fastapi",
        "FastAPI: 100 connections, ping-pong, 32 B",
        "--connections 100",
        (WIREBIRD, *_FASTAPI),
    ),
    _echo(
        "fastapi-pipelined",
        "FastAPI: 100 connections, 64 messages deep, 32 B",
        "--connections 100 --depth 64",
        (WIREBIRD, *_FASTAPI),
    ),
    Scenario(
        "client",
        "the client: 100 connections, ping-pong, 32 B",
        Kind.CLIENT,
        ("100", "1", "32"),
        _CLIENTS,
    ),
    Scenario(
        "client-pipelined",
        "the client: 1 connection, 64 messages deep, 32 B",
        Kind.CLIENT,
        ("1", "64", "32"),
        _CLIENTS,
    ),
    Scenario(
        "pythons",
        "other Pythons: 100 connections, 64 messages deep, 32 B",
        Kind.RATE,
        ("echo", "--connections", "100", "--depth", "64"),
        _OURS,
    ),
    Scenario(
        "idle",
        "memory of 5,000 idle connections, deflate offered",
        Kind.IDLE,
        ("idle", "--connections", "5000", "--deflate"),
        (*_SAFE, LIMIT, "picows-websockets"),
        most_rounds=1,
    ),
    Scenario(
        "timer",
        "lateness of a 5 ms timer, 1,000 busy connections",
        Kind.TIMER,
        ("echo", "--connections", "1000"),
        (*_OURS, "picows", "websockets-uvloop", "aiohttp"),
        most_rounds=3,
    ),
    Scenario(
        "flood",
        "10 connections at ping-pong beside one that floods empty messages",
        Kind.FLOOD,
        ("flood", "--connections", "10"),
        (*_SAFE, LIMIT),
        most_rounds=3,
    ),
    Scenario(
        "never-reads",
        "a client that sends 10 KB messages and never reads",
        Kind.NEVER,
        ("never", "--size", "10000", "--binary"),
        (*_SAFE, LIMIT),
        most_rounds=1,
    ),
    Scenario(
        "never-reads-fanout",
        "a receiver of 10 KB publications that never reads",
        Kind.NEVER,
        ("never", "--size", "10000", "--binary", "--fanout"),
        (*_SAFE, LIMIT),
        most_rounds=1,
    ),
)
