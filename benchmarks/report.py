"""What the measurements say: medians, ratios, and tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.expected import EXPECTATIONS, Judgement, judge
from benchmarks.peers import CLIENTS, LIMIT, PEERS, WIREBIRD, WIREBIRD_CALLBACKS
from benchmarks.scenarios import Kind, Scenario

__all__ = ["Results", "expectations_table", "markdown", "scenario_table"]

OURS = (WIREBIRD, WIREBIRD_CALLBACKS)


class Results:
    """What was measured so far.

    Each peer has one entry for each round: a measurement, or why there is none.
    """

    def __init__(self) -> None:
        self.rounds: dict[str, dict[str, list[dict[str, Any]]]] = {}

    def add(self, scenario: str, peer: str, measured: dict[str, Any]) -> None:
        """Note a measurement: with ``value``, or with ``missing`` and the reason."""
        self.rounds.setdefault(scenario, {}).setdefault(peer, []).append(measured)

    def values(self, scenario: str, peer: str, field: str = "value") -> list[float | None]:
        """Return a figure of each round; None where there is none."""
        return [one.get(field) for one in self.rounds.get(scenario, {}).get(peer, [])]

    def median(self, scenario: str, peer: str, field: str = "value") -> float | None:
        """Return the median over the rounds."""
        values = [value for value in self.values(scenario, peer, field) if value is not None]
        return statistics.median(values) if values else None

    def ratios(self, scenario: str, ours: str, other: str) -> list[float]:
        """Return how many times the other's figure ours was, round by round."""
        pairs = zip(self.values(scenario, ours), self.values(scenario, other), strict=False)
        return [a / b for a, b in pairs if a is not None and b]

    def missing(self, scenario: str, peer: str) -> str | None:
        """Return why a peer has no figure."""
        rounds = self.rounds.get(scenario, {}).get(peer, [])
        reasons = [one["missing"] for one in rounds if "missing" in one]
        return reasons[-1] if reasons else None

    def most_waited(self) -> float:
        """Return the largest share of the time that a side waited for its core, of all scenarios.

        Of a scenario it is the median: one measurement that was disturbed is no matter.
        """
        found = [0.0]
        for peers in self.rounds.values():
            measured = [one for rounds in peers.values() for one in rounds]
            for field in ("server_waited", "load_waited"):
                shares = [one[field] for one in measured if field in one]
                found.append(statistics.median(shares) if shares else 0.0)
        return max(found)

    def judgements(self) -> list[Judgement]:
        """Return what became of each expectation."""
        fields = ("value", "p99_ratio")
        medians: dict[str, dict[str, dict[str, float]]] = {}
        ratios: dict[str, dict[tuple[str, str], float]] = {}
        for scenario, peers in self.rounds.items():
            for peer in peers:
                figures = {field: self.median(scenario, peer, field) for field in fields}
                known = {field: value for field, value in figures.items() if value is not None}
                medians.setdefault(scenario, {})[peer] = known
                for other in peers:
                    found = self.ratios(scenario, peer, other)
                    if found:
                        ratios.setdefault(scenario, {})[peer, other] = statistics.median(found)
        return [judge(expectation, medians, ratios) for expectation in EXPECTATIONS]


def figure(value: float) -> str:
    """Return a number with about four digits that say something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def scenario_table(scenario: Scenario, results: Results) -> list[list[str]]:
    """Return the rows of a scenario, with a head.

    Of rates: what the best of them is; then how many times each peer's figure Wirebird's is.
    """
    names = results.rounds.get(scenario.name, {})
    titles = CLIENTS if scenario.kind is Kind.CLIENT else PEERS
    has_rates = scenario.kind in (Kind.RATE, Kind.CLIENT)
    head = [scenario.title, "a second" if has_rates else scenario.kind.value]
    if has_rates:
        head += ["of the limit", "coroutines / it", "callbacks / it", "server", "load", "us CPU"]
    rows = [head]
    ordered = sorted(
        names, key=lambda name: results.median(scenario.name, name) or 0, reverse=has_rates
    )
    for name in ordered:
        median = results.median(scenario.name, name)
        row = [titles[name].title]
        if median is None:
            rows.append([*row, f"not measured: {results.missing(scenario.name, name)}"])
            continue
        row.append(figure(median))
        if has_rates:
            row.append(_median_ratio(results, scenario.name, name, LIMIT))
            row += [_median_ratio(results, scenario.name, ours, name) for ours in OURS]
            row += [_share(results, scenario.name, name, side) for side in _SIDES]
            row.append(_cost(results, scenario.name, name))
        rows.append(row)
    return rows


_SIDES = ("server_busy", "load_busy")


def _share(results: Results, scenario: str, name: str, field: str) -> str:
    median = results.median(scenario, name, field)
    return "" if median is None else f"{median:.0%}"


def _cost(results: Results, scenario: str, name: str) -> str:
    """Return what one message costs the server; other processes on its core matter less to that."""
    busy = results.median(scenario, name, "server_busy")
    rate = results.median(scenario, name)
    return figure(busy / rate * 1e6) if busy is not None and rate else ""


def _median_ratio(results: Results, scenario: str, name: str, other: str) -> str:
    ratios = results.ratios(scenario, name, other)
    if not ratios:
        return ""
    median = figure(statistics.median(ratios))
    return f"{median} ({figure(min(ratios))}-{figure(max(ratios))})" if len(ratios) > 1 else median


def expectations_table(judgements: Sequence[Judgement]) -> list[list[str]]:
    """Return the rows of what was expected, with a head; a mark where it was missed."""
    rows = [["expected and measured", "coroutines", "", "callbacks", ""]]
    for judgement in judgements:
        expectation = judgement.expectation
        row = [expectation.title]
        for column, measured in enumerate(judgement.measured):
            sign = "<=" if expectation.at_most else ">="
            row.append(f"{sign} {expectation.bounds[column]:g}")
            if measured is None:
                row.append("not run")
            else:
                row.append(figure(measured) + ("" if judgement.is_met(column) else " MISSED"))
        rows.append(row)
    return rows


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text with columns; the first is flush left, the others flush right."""
    # Long notes stand in the last column of their row and widen none.
    count = max(map(len, rows))
    widths = [
        max((len(row[i]) for row in rows if i < len(row) and len(row[i]) < 60), default=0)
        for i in range(count)
    ]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, of which the first is the head, as a table in Markdown."""
    count = len(rows[0])
    lines = [f"| {' | '.join(rows[0])} |", "|" + "-|" * count]
    for row in rows[1:]:
        lines.append(f"| {' | '.join([*row, *[''] * (count - len(row))])} |")
    return "\n".join(lines)


__all__ += ["columns", "figure"]
