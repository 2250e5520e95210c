"""The list of deviations: read, held against what differs, and written for people.

``python -m tests.compat.deviations --write`` makes ``docs/deviations.md`` from ``deviations.toml``.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from tests.compat.compare import Difference

__all__ = ["DOCUMENT", "Deviation", "Deviations", "document", "load"]

LIST = Path(__file__).with_suffix(".toml")
DOCUMENT = Path(__file__).parents[2] / "docs" / "deviations.md"

_HEAD = """\
# Where Wirebird differs from websockets

Code written for [`websockets`](https://websockets.readthedocs.io/) 17.4 runs after its import line
is changed: the same names are at the same paths, with the same parameters. The exceptions to this
are here, each with its reason. A test compares the two libraries, name by name, and fails for a
difference that is not listed, as for a line of this list that is no difference any more.

`websockets.legacy` is left out; `websockets.trio` has no counterpart yet.

This file is made from `tests/compat/deviations.toml`.
"""


@dataclasses.dataclass(frozen=True)
class Deviation:
    """One entry: patterns of names, a pattern of what differs, and the reason."""

    names: tuple[str, ...]
    differs: str
    why: str

    def covers(self, name: str, difference: Difference) -> bool:
        """Whether this pattern of ours means that difference."""
        path, what = difference
        return fnmatch.fnmatchcase(path, f"websockets.{name}") and fnmatch.fnmatchcase(
            what, self.differs
        )


@dataclasses.dataclass(frozen=True)
class Deviations:
    """The list: what differs in the API, and in behaviour."""

    api: tuple[Deviation, ...]
    behaviour: tuple[Deviation, ...]

    def unlisted(self, found: Iterable[Difference]) -> list[Difference]:
        """Return the differences that no entry covers."""
        return [
            difference
            for difference in found
            if not any(entry.covers(name, difference) for entry in self.api for name in entry.names)
        ]

    def outdated(self, found: Iterable[Difference]) -> list[str]:
        """Return the patterns that cover no difference."""
        differences = list(found)
        return [
            name
            for entry in self.api
            for name in entry.names
            if not any(entry.covers(name, difference) for difference in differences)
        ]


def load(path: Path = LIST) -> Deviations:
    """Read the list."""
    with path.open("rb") as file:
        content = tomllib.load(file)
    return Deviations(
        *(
            tuple(
                Deviation(tuple(entry["names"]), entry["differs"], entry["why"])
                for entry in content.get(kind, ())
            )
            for kind in ("api", "behaviour")
        )
    )


def document(deviations: Deviations) -> str:
    """Return the list as people read it."""
    return "\n".join(
        [
            _HEAD,
            "## Names and parameters\n",
            *_table(deviations.api),
            "\n## Behaviour\n",
            *_table(deviations.behaviour),
            "",
        ]
    )


def _table(entries: Iterable[Deviation]) -> list[str]:
    rows = [
        "| "
        + " | ".join(
            [
                ", ".join(f"`{name}`" for name in entry.names),
                entry.differs.replace("*", "...") if entry.differs != "*" else "as said",
                entry.why,
            ]
        )
        + " |"
        for entry in entries
    ]
    return ["| Name | What differs | Why |", "|-|-|-|", *rows]


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        raise SystemExit("usage: python -m tests.compat.deviations --write")
    DOCUMENT.write_text(document(load()), encoding="utf-8")
