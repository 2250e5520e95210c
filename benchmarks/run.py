"""Measure Wirebird and its peers: ``make bench``.

    python benchmarks/run.py [--quick] [--rounds N] [--seconds S] [--only NAMES] [--peers NAMES]
        [--engine NAME] [--python VERSION=PATH] [--json FILE] [--docs] [--list]

The README beside this file says how it is measured, and what is in which file.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.documents import write_documents  # noqa: E402
from benchmarks.measuring import Failed, Measuring  # noqa: E402
from benchmarks.peers import CLIENTS, PEERS  # noqa: E402
from benchmarks.programs import build, node_modules  # noqa: E402
from benchmarks.pythons import peers_on  # noqa: E402
from benchmarks.report import Results, columns, expectations_table, scenario_table  # noqa: E402
from benchmarks.scenarios import SCENARIOS, Kind, Scenario  # noqa: E402
from benchmarks.servers import Cores, Fleet, Launcher, NotAvailable  # noqa: E402

REPORTS = ROOT / "reports" / "bench"
MOST_WAITED = 0.1
QUICK_ROUNDS, QUICK_SECONDS = 2, 0.15


def parse() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description="Measure Wirebird and its peers.")
    parser.add_argument("--rounds", type=int, help="turns of all peers (default 5)")
    parser.add_argument("--seconds", type=float, help="of a measurement (default 0.5)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.15 s")
    parser.add_argument("--only", default="", help="scenarios, separated by commas")
    parser.add_argument("--peers", default="", help="peers, separated by commas, or all")
    parser.add_argument("--engine", help="python or native (default: Wirebird's choice)")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="VERSION=PATH",
        help="another interpreter to compare with this one; may be repeated",
    )
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md and charts")
    parser.add_argument("--json", type=pathlib.Path, help="where the report goes")
    parser.add_argument("--list", action="store_true", help="name scenarios and peers")
    options = parser.parse_args()
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else 5)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else 0.5)
    return options


def chosen_scenarios(only: str) -> list[Scenario]:
    """Return the scenarios of these names, or all."""
    names = [name for name in only.split(",") if name]
    unknown = set(names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        raise SystemExit(f"unknown scenarios: {', '.join(sorted(unknown))}; --list names them")
    return [scenario for scenario in SCENARIOS if not names or scenario.name in names]


def chosen_peers(scenario: Scenario, asked: str) -> list[str]:
    """Return who takes part in a scenario."""
    known = CLIENTS if scenario.kind is Kind.CLIENT else PEERS
    others = [name for name in PEERS if "@" in name]
    if scenario.name == "pythons":
        return [*scenario.peers, *others] if others else []
    if asked == "all":
        return [name for name in known if "@" not in name]
    names = [name for name in asked.split(",") if name]
    unknown = set(names) - {*PEERS, *CLIENTS}
    if unknown:
        raise SystemExit(f"unknown peers: {', '.join(sorted(unknown))}; --list names them")
    return [name for name in names if name in known] if names else list(scenario.peers)


def take_turn(
    measuring: Measuring,
    scenario: Scenario,
    peers: Sequence[str],
    number: int,
    fleet: Fleet,
    results: Results,
) -> None:
    """Measure each peer once; each goes first in another round."""
    start = number % len(peers) if peers else 0
    for name in [*peers[start:], *peers[:start]]:
        try:
            measured = measuring.measure(scenario, name, fleet)
        except (NotAvailable, Failed) as exc:
            measured = {"missing": str(exc)}
        results.add(scenario.name, name, measured)


def progress(text: str) -> None:
    """Say what is being done, where somebody looks on."""
    if sys.stderr.isatty():
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)


def rounds_of(scenario: Scenario, options: argparse.Namespace) -> int:
    """Return in how many rounds a scenario is measured."""
    rounds: int = options.rounds
    if scenario.most_rounds is None:
        return rounds
    return 1 if options.quick else min(rounds, scenario.most_rounds)


def measure_all(
    measuring: Measuring, launcher: Launcher, scenarios: Sequence[Scenario], options: Any
) -> Results:
    """Measure round after round, each with new servers."""
    results = Results()
    for number in range(options.rounds):
        fleet = Fleet(launcher)
        try:
            for scenario in scenarios:
                if number < rounds_of(scenario, options):
                    progress(f"round {number + 1} of {options.rounds}: {scenario.name}")
                    peers = chosen_peers(scenario, options.peers)
                    take_turn(measuring, scenario, peers, number, fleet, results)
        finally:
            fleet.stop()
    progress("")
    return results


def certificate(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Write a certificate for the servers, and its key."""
    import trustme

    issued = trustme.CA().issue_cert("localhost", "127.0.0.1")
    paths = folder / "certificate.pem", folder / "key.pem"
    issued.cert_chain_pems[0].write_to_path(paths[0])
    issued.private_key_pem.write_to_path(paths[1])
    return paths


def machine(cores: Cores) -> dict[str, Any]:
    """Return where this was measured."""
    processor = platform.processor()
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # the name is for people alone
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": f"{processor}, {os.cpu_count()} cores",
        "pinned": cores.server is not None,
        "python": platform.python_version(),
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def facts_of(results: Results) -> dict[str, Any]:
    """Return what each peer said it is made of."""
    found: dict[str, Any] = {}
    for peers in results.rounds.values():
        for name, rounds in peers.items():
            for measured in rounds:
                facts = measured.pop("facts", None)
                if facts:
                    found.setdefault(name, facts)
    return found


def show(scenarios: Sequence[Scenario], results: Results, report: dict[str, Any]) -> None:
    """Print the tables, and what else a reader must know."""
    for scenario in scenarios:
        if scenario.name not in results.rounds:
            print(f"{scenario.title}: not run\n")
            continue
        print(columns(scenario_table(scenario, results)), end="\n\n")
    print(columns(expectations_table(results.judgements())), end="\n\n")
    for name, facts in report["peers"].items():
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in facts.items())}")
    where = report["machine"]
    print(f"{where['system']}, {where['processor']}, Python {where['python']}")
    print(f"{report['rounds']} rounds of {report['seconds']:g} s; ratios are medians of rounds.")
    print("Absolute figures mean nothing elsewhere: only ratios of one run can be compared.")
    waited = results.most_waited()
    if waited > MOST_WAITED:
        print(f"Other processes had the cores up to {waited:.0%} of the time: ratios are rough.")
    if not where["pinned"]:
        print("No two cores to pin to: server and load disturb each other, ratios say little.")


def main() -> None:
    """Measure, show, and write the report."""
    options = parse()
    if options.list:
        print("scenarios:", *(f"  {one.name:<20}{one.title}" for one in SCENARIOS), sep="\n")
        print("peers:", *(f"  {one.name:<30}{one.title}" for one in PEERS.values()), sep="\n")
        return
    if options.engine:
        os.environ["WIREBIRD_ENGINE"] = options.engine
    scenarios = chosen_scenarios(options.only)
    cores = Cores.choose()
    for asked in options.python:
        PEERS.update({peer.name: peer for peer in peers_on(asked)})
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        launcher = Launcher(build(), cores, certificate(pathlib.Path(folder)), node_modules())
        measuring = Measuring(launcher, options.seconds)
        results = measure_all(measuring, launcher, scenarios, options)
    report = {
        "machine": machine(cores),
        "peers": facts_of(results),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "took_s": time.monotonic() - start,
        "results": results.rounds,
    }
    show(scenarios, results, report)
    if options.docs:
        write_documents(ROOT / "docs", results, report)
    path = options.json or REPORTS / time.strftime("%Y%m%d-%H%M%S.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}, after {report['took_s']:.0f} s")


if __name__ == "__main__":
    main()
