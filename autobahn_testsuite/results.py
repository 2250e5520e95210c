"""What the suite found, held against what is expected.

The expectation is strict and short: every case OK, in its behaviour and in how the connection was
closed. Only cases that the suite calls informational may say INFORMATIONAL. A case that did not
run, and a case that nobody expected, are deviations too.
"""

from __future__ import annotations

import collections
import dataclasses
import fnmatch
import json
import pathlib
from collections.abc import Iterable, Mapping

__all__ = ["Deviation", "Outcome", "compare", "read_expected", "read_outcomes", "select", "table"]

MISSING = "did not run"
UNKNOWN = "not in the expectations"

# What each expectation lets a case be.
ALLOWED = {"OK": {"OK"}, "INFORMATIONAL": {"OK", "INFORMATIONAL"}}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one case ended: what was sent and received, and how the connection was closed."""

    behavior: str
    close: str
    duration_ms: int
    report: str


@dataclasses.dataclass(frozen=True)
class Deviation:
    """A case that is not as expected."""

    case: str
    expected: str
    got: str
    report: str = ""

    def __str__(self) -> str:
        return f"{self.case}: expected {self.expected}, got {self.got}"


def read_expected(path: pathlib.Path) -> dict[str, str]:
    """Case -> OK or INFORMATIONAL; raises ValueError for any other word."""
    expected: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    for case, word in expected.items():
        if word not in ALLOWED:
            raise ValueError(f"{path.name}: case {case} cannot be expected to be {word!r}")
    return expected


def read_outcomes(path: pathlib.Path) -> dict[str, Outcome]:
    """The suite's index.json, for the one peer that it tested; empty when there is none."""
    if not path.exists():
        return {}
    (cases,) = json.loads(path.read_text(encoding="utf-8")).values() or ({},)
    return {
        case: Outcome(
            behavior=found["behavior"],
            close=found["behaviorClose"],
            duration_ms=found["duration"],
            report=found["reportfile"],
        )
        for case, found in cases.items()
    }


def select(cases: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """The cases that match one of the patterns (``9.1.1``, ``6.*``, ``12.*.[12]``), in order."""
    patterns = list(patterns)
    chosen = {c for c in cases if any(fnmatch.fnmatchcase(c, pattern) for pattern in patterns)}
    return sorted(chosen, key=natural)


def natural(case: str) -> tuple[int, ...]:
    """The order of cases: 9.2.1 before 10.1.1."""
    return tuple(int(part) for part in case.split("."))


def compare(
    expected: Mapping[str, str], chosen: Iterable[str], outcomes: Mapping[str, Outcome]
) -> list[Deviation]:
    """Every chosen case that is not as expected, and every outcome that was not expected."""
    chosen = set(chosen)
    deviations = []
    for case in sorted(chosen | set(outcomes), key=natural):
        outcome = outcomes.get(case)
        if outcome is None:
            deviations.append(Deviation(case, expected.get(case, UNKNOWN), MISSING))
            continue
        word = expected.get(case, UNKNOWN)
        if not {outcome.behavior, outcome.close} <= ALLOWED.get(word, set()):
            got = f"{outcome.behavior}, close: {outcome.close}"
            deviations.append(Deviation(case, word, got, outcome.report))
    return deviations


def table(outcomes: Mapping[str, Mapping[str, Outcome]]) -> str:
    """A short table of text: for each role and section, how many cases ended how."""
    words: dict[tuple[str, int], collections.Counter[str]] = collections.defaultdict(
        collections.Counter
    )
    for role, cases in outcomes.items():
        for case, outcome in cases.items():
            for word in {outcome.behavior, outcome.close}:
                words[role, natural(case)[0]][word] += 1
            words[role, natural(case)[0]]["cases"] += 1
    lines = [f"{'role':<8}{'section':<9}{'cases':>5}  outcomes"]
    for (role, section), counts in sorted(words.items()):
        total = counts.pop("cases")
        said = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
        lines.append(f"{role:<8}{section:<9}{total:>5}  {said}")
    return "\n".join(lines)
