"""What the native engine is expected to reach, as ratios within one run; and whether it does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from benchmarks.peers import LIMIT, WIREBIRD, WIREBIRD_CALLBACKS

__all__ = ["EXPECTATIONS", "Expectation", "Judgement", "judge"]

SAME = "same"
FASTAPI = ("fastapi-wirebird", "callbacks-wirebird")
BEST_FASTAPI = ("fastapi-websockets", "fastapi-wsproto")
BEST_PYTHON = ("picows-websockets", "websockets-uvloop", "aiohttp", "uvicorn")


@dataclasses.dataclass(frozen=True)
class Expectation:
    """A line of the table: a bound for each of the two APIs.

    Args:
        title: for people.
        scenario: its name.
        bounds: for the coroutine and for the callback API.
        against: peers; their best is compared with. SAME stands for the same API on this Python.
            Without any, the figure itself is judged.
        at_most: whether the bound is an upper one.
        field: of the measurement; without ``against`` alone.
        ours: what is judged, for the coroutine and for the callback API.
    """

    title: str
    scenario: str
    bounds: tuple[float, float]
    against: tuple[str, ...] = ()
    at_most: bool = False
    field: str = "value"
    ours: tuple[str, str] = (WIREBIRD, WIREBIRD_CALLBACKS)


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What became of an expectation; None for what was not measured.

    Args:
        expectation: the line.
        measured: for the coroutine and for the callback API.
    """

    expectation: Expectation
    measured: tuple[float | None, float | None]

    def is_met(self, column: int) -> bool | None:
        """Whether it holds for the coroutine (0) or callback (1) API; None: not measured."""
        measured, bound = self.measured[column], self.expectation.bounds[column]
        if measured is None:
            return None
        return measured <= bound if self.expectation.at_most else measured >= bound


def _of_limit(title: str, scenario: str, *bounds: float) -> Expectation:
    return Expectation(f"{title}: of the limit", scenario, (bounds[0], bounds[1]), (LIMIT,))


def _times(title: str, scenario: str, peer: str, *bounds: float) -> Expectation:
    return Expectation(f"{title}: times {peer}", scenario, (bounds[0], bounds[-1]), (peer,))


EXPECTATIONS = (
    _of_limit("100 connections, 32 B", "100-connections", 0.90, 0.94),
    _of_limit("1,000 connections, 32 B", "1000-connections", 0.90, 0.94),
    _of_limit("pipelined 32 B", "pipelined", 0.50, 0.58),
    _times("pipelined 32 B", "pipelined", "picows", 25, 30),
    _times("pipelined 32 B", "pipelined", "websockets-uvloop", 25, 30),
    _of_limit("16 KB", "16-kb", 1.0, 1.0),
    _of_limit("1 MB", "1-mb", 1.0, 1.0),
    _of_limit("fan-out", "fanout", 0.88, 0.88),
    _times("fan-out", "fanout", "websockets-uvloop", 3.5),
    Expectation(
        "deflate 1 KB: times the best Python peer", "deflate", (1.4, 1.5), against=BEST_PYTHON
    ),
    _times("TLS 1 KB", "tls", "picows", 1.1, 1.2),
    _times("handshakes", "handshakes", "picows", 1.1),
    _times("handshakes", "handshakes", "websockets", 8),
    _times("handshakes", "handshakes", "websockets-uvloop", 8),
    Expectation("KB for an idle connection", "idle", (2.5, 1.2), at_most=True),
    Expectation(
        "asyncio's transport, 100 connections: of the limit",
        "100-connections",
        (0.72, 0.78),
        against=(LIMIT,),
        ours=("wirebird-transport", "wirebird-callbacks-transport"),
    ),
    Expectation(
        "FastAPI, 100 connections: times uvicorn's own",
        "fastapi",
        (1.4, 1.8),
        against=BEST_FASTAPI,
        ours=FASTAPI,
    ),
    Expectation(
        "FastAPI, pipelined 32 B: times uvicorn's own",
        "fastapi-pipelined",
        (3.5, 15),
        against=BEST_FASTAPI,
        ours=FASTAPI,
    ),
    Expectation("a 5 ms timer, busy above idle, p99, ms", "timer", (2, 2), at_most=True),
    Expectation("a flood beside: times the round trip, p50", "flood", (3, 3), at_most=True),
    Expectation(
        "a flood beside: times the round trip, p99",
        "flood",
        (3, 3),
        at_most=True,
        field="p99_ratio",
    ),
    Expectation("KB for a client that never reads", "never-reads", (4096, 4096), at_most=True),
    Expectation(
        "KB for a receiver that never reads", "never-reads-fanout", (4096, 4096), at_most=True
    ),
    *(
        Expectation(
            f"Python {version}, pipelined: of this Python's",
            "pythons",
            (0.8, 0.8),
            against=(SAME,),
            ours=(f"{WIREBIRD}@{version}", f"{WIREBIRD_CALLBACKS}@{version}"),
        )
        for version in ("3.12", "3.13")
    ),
)

# By scenario, then by peer: the median of each figure; and the median ratio of two peers.
Medians = Mapping[str, Mapping[str, Mapping[str, float]]]
Ratios = Mapping[str, Mapping[tuple[str, str], float]]


def judge(expectation: Expectation, medians: Medians, ratios: Ratios) -> Judgement:
    """Compare what was measured with what is expected.

    Args:
        expectation: a line of the table.
        medians: by scenario, peer and field.
        ratios: by scenario, then by our peer and another: medians over the rounds.
    """

    def measured(ours: str, same: str) -> float | None:
        if not expectation.against:
            figures = medians.get(expectation.scenario, {}).get(ours, {})
            return figures.get(expectation.field)
        of_scenario = ratios.get(expectation.scenario, {})
        pairs = [(ours, same if peer == SAME else peer) for peer in expectation.against]
        return min((of_scenario[pair] for pair in pairs if pair in of_scenario), default=None)

    first, second = expectation.ours
    return Judgement(expectation, (measured(first, WIREBIRD), measured(second, WIREBIRD_CALLBACKS)))
