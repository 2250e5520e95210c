"""``wirebird doctor``: what Wirebird runs on here, and whether it is in order.

Exit codes: 0 when nothing is broken, 1 when something is, 2 for a wrong command line.
"""

from __future__ import annotations

import sys

import click

from .checkup.facts import gather
from .checkup.judging import problems
from .checkup.shown import report, rows, take_any_text, verdict

__all__ = ["command"]


@click.command("doctor", short_help="Say what Wirebird runs on here, and what is broken.")
@click.option("--json", "wants_json", is_flag=True, help="Write one JSON object.")
def command(wants_json: bool) -> int:
    """Say what Wirebird runs on here: versions, the engine and why it is that one, the event loop,
    TLS, extras, limits. The exit code is 1 when something is broken, else 0.
    """
    if wants_json or not sys.stdout.isatty():
        return report(wants_json=wants_json)
    facts = gather()
    found = problems(facts)
    take_any_text()
    show(rows(facts), verdict(found), is_broken=bool(found))
    return 1 if found else 0


def show(table: list[tuple[str, str]], last: list[str], *, is_broken: bool) -> None:
    """Write a table to the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(markup=False, highlight=False, emoji=False)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in table:
        grid.add_row(name, Text(value))
    console.print(grid)
    console.print()
    for line in last:
        console.print(Text(line, "bold red" if is_broken else "green"))
