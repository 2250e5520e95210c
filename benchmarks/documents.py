"""What a run leaves in the documentation: charts, and the table of what was expected."""

from __future__ import annotations

import pathlib
import re
import statistics
from typing import Any

from benchmarks.chart import Bar, bar_chart
from benchmarks.peers import LIMIT, PEERS
from benchmarks.report import Results, expectations_table, figure, markdown
from benchmarks.scenarios import SCENARIOS, Kind, Scenario

__all__ = ["write_documents"]

CHARTS = (
    "100-connections",
    "pipelined",
    "16-kb",
    "fanout",
    "deflate",
    "tls",
    "handshakes",
    "idle",
)
_REFERENCE = "websockets-uvloop"  # where the limit takes no part
_BEGIN, _END = "<!-- measured: written by make bench ARGS=--docs -->", "<!-- end -->"


def _is_ours(name: str) -> bool:
    return name.startswith("wirebird")


def chart(scenario: Scenario, results: Results) -> str | None:
    """Return the chart of a scenario; None where there is too little to show."""
    names = list(results.rounds.get(scenario.name, {}))
    bars = []
    reference = LIMIT if LIMIT in names else _REFERENCE
    for name in names:
        value = results.median(scenario.name, name)
        if scenario.kind is Kind.RATE:
            ratios = results.ratios(scenario.name, name, reference)
            value = statistics.median(ratios) if ratios else None
        if value is not None:
            bars.append(Bar(PEERS[name].title, value, figure(value), _is_ours(name)))
    if len(bars) < 2:
        return None
    is_rate = scenario.kind is Kind.RATE
    bars.sort(key=lambda bar: bar.value, reverse=is_rate)
    axis = f"times {PEERS[reference].title} (more is better)"
    return bar_chart(
        scenario.title, axis if is_rate else f"{scenario.kind.value} (less is better)", bars
    )


def measured_text(results: Results, report: dict[str, Any], charts: list[str]) -> str:
    """Return what stands between the marks, in Markdown."""
    where = report["machine"]
    made_of = {
        f"{key} {value}"
        for facts in report["peers"].values()
        for key, value in facts.items()
        if key not in ("loop", "engine", "python")
    }
    engines = {facts["engine"] for facts in report["peers"].values() if "engine" in facts}
    judged = expectations_table(results.judgements())
    lines = [
        f"{where['time'][:10]}: {where['system']}, {where['processor']}, Python {where['python']},"
        f" Wirebird's engine: {', '.join(sorted(engines)) or 'none'}."
        f" {report['rounds']} rounds of {report['seconds']:g} s."
        f" Peers: {', '.join(sorted(made_of))}.",
        markdown(judged),
        *(f"![{name}](benchmarks/{name}.svg)" for name in charts),
    ]
    return "\n\n".join(lines)


def write_documents(docs: pathlib.Path, results: Results, report: dict[str, Any]) -> list[str]:
    """Write the charts to ``docs/benchmarks`` and the table into ``docs/benchmarks.md``.

    Returns:
        The names of the scenarios that have a chart.
    """
    folder = docs / "benchmarks"
    folder.mkdir(exist_ok=True)
    written = []
    for scenario in SCENARIOS:
        drawn = chart(scenario, results) if scenario.name in CHARTS else None
        if drawn is not None:
            (folder / f"{scenario.name}.svg").write_text(drawn, encoding="utf-8")
            written.append(scenario.name)
    page = docs / "benchmarks.md"
    text = page.read_text(encoding="utf-8")
    measured = f"{_BEGIN}\n\n{measured_text(results, report, written)}\n\n{_END}"
    changed, count = re.subn(
        f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", lambda _: measured, text, flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"{page} has no place for what was measured: {_BEGIN} ... {_END}")
    page.write_text(changed, encoding="utf-8")
    return written
