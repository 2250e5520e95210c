"""Compare an echo of Wirebird with that of ``websockets``: ``make bench``.

    python benchmarks/run.py [--rounds N] [--seconds S] [--only TEXT] [--engine NAME] [--json FILE]

The README beside this file says how it is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from importlib.metadata import version  # noqa: E402

from benchmarks.load import SCENARIOS, Scenario, measure  # noqa: E402

REFERENCE, OURS = "websockets", "wirebird"
REPORT = ROOT / "reports" / "bench.json"


def cores() -> tuple[str, int | None]:
    """Return the core of the server, and that of the load; "-" and None where none is pinned."""
    if not hasattr(os, "sched_getaffinity"):
        return "-", None
    available = sorted(os.sched_getaffinity(0))
    return (str(available[0]), available[1]) if len(available) > 1 else ("-", None)


@contextlib.contextmanager
def server(library: str, core: str, engine: str | None) -> Iterator[int]:
    """Run the server under test; yield its port."""
    arguments = [str(ROOT / "benchmarks" / "echo_server.py"), library, core]
    if library == OURS and engine is not None:
        arguments.append(engine)
    process = subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = process.stdout.readline()
        if not port:
            raise SystemExit(f"the server of {library} did not start")
        yield int(port)
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def compare(
    scenario: Scenario, rounds: int, seconds: float, core: str, engine: str | None
) -> dict[str, Any]:
    """Measure both libraries in turn; return the medians, and what they are made of."""
    rates: dict[str, list[float]] = {REFERENCE: [], OURS: []}
    loads: dict[str, list[float]] = {REFERENCE: [], OURS: []}
    for number in range(rounds):
        # Each goes first in every other round.
        for library in (REFERENCE, OURS) if number % 2 == 0 else (OURS, REFERENCE):
            with server(library, core, engine) as port:
                rate, load = measure(port, scenario, seconds)
            rates[library].append(rate)
            loads[library].append(load)
    ratios = [ours / theirs for ours, theirs in zip(rates[OURS], rates[REFERENCE], strict=True)]
    return {
        "scenario": scenario.name,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "messages_per_s": {name: statistics.median(values) for name, values in rates.items()},
        "all_messages_per_s": rates,
        "load_share": {name: statistics.median(values) for name, values in loads.items()},
    }


def row(result: dict[str, Any]) -> str:
    """Return a line of the table."""
    rates, loads = result["messages_per_s"], result["load_share"]
    return (
        f"{result['scenario']:<34}{rates[REFERENCE]:>12,.0f}{rates[OURS]:>12,.0f}"
        f"{result['ratio']:>8.2f}  ({min(result['ratios']):.2f}-{max(result['ratios']):.2f})"
        f"{loads[REFERENCE]:>8.0%}{loads[OURS]:>6.0%}"
    )


def main() -> None:
    """Measure, show, and write the report."""
    parser = argparse.ArgumentParser(description="Compare an echo with the websockets library.")
    parser.add_argument("--rounds", type=int, default=5, help="of each scenario (default 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a measurement (default 0.5)")
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    parser.add_argument("--engine", help="python or native (default: Wirebird's choice)")
    parser.add_argument("--json", type=pathlib.Path, default=REPORT, help="where the report goes")
    options = parser.parse_args()
    core, own_core = cores()
    if own_core is None:
        print("no two cores to pin to: server and load disturb each other, ratios say little")
    else:
        os.sched_setaffinity(0, {own_core})
    versions = {name: version(name) for name in (REFERENCE, OURS)}
    print(f"{'messages/s, medians':<34}{REFERENCE:>12}{OURS:>12}{'ratio':>8}{'load':>22}")
    results = []
    for scenario in SCENARIOS:
        if options.only in scenario.name:
            result = compare(scenario, options.rounds, options.seconds, core, options.engine)
            print(row(result), flush=True)
            results.append(result)
    report = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": versions,
        "engine": options.engine,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "results": results,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"written to {options.json}")


if __name__ == "__main__":
    main()
