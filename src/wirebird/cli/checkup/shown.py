"""The facts for people, as rows of a name and a value, and for programs, as JSON."""

from __future__ import annotations

import dataclasses
import io
import json
import sys

from .facts import Facts, gather, missing_of
from .judging import problems

__all__ = ["as_json", "as_text", "report", "rows", "take_any_text", "verdict"]


def report(*, wants_json: bool) -> int:
    """Print all of it; return the exit code: 1 where something is broken, else 0."""
    facts = gather()
    found = problems(facts)
    take_any_text()
    print((as_json if wants_json else as_text)(facts, found))
    return 1 if found else 0


def take_any_text() -> None:
    """Let standard output show as an escape what its encoding lacks, such as in a path."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def rows(facts: Facts) -> list[tuple[str, str]]:
    """Return a name and a value for each fact."""
    engine, sockets = facts.engine, facts.own_sockets
    return [
        ("wirebird", f"{facts.wirebird}, in {facts.location}"),
        ("python", f"{facts.python}, {facts.executable}"),
        ("system", facts.system),
        ("engine", f"{engine.name or 'none'}: {engine.why}"),
        ("native engine", _shown_extensions(engine.extensions)),
        *([("vectors", engine.vectors)] if engine.vectors else []),
        ("own sockets", f"{'yes' if sockets.are_used else 'no'}: {sockets.why}"),
        ("zlib", f"{facts.zlib}; from C: {engine.zlib or 'none'}"),
        ("event loop", f"{facts.loop}; uvloop: {facts.uvloop or 'not installed'}"),
        ("tls", _shown_tls(facts)),
        *((f"extra {name}", _shown_extra(name, found)) for name, found in facts.extras.items()),
        ("open files", _shown_limits(facts)),
        *(
            (name, value)
            for name, value in (
                ("WIREBIRD_ENGINE", engine.environment),
                ("WIREBIRD_OWN_SOCKET", sockets.environment),
            )
            if value is not None
        ),
    ]


def verdict(found: list[str]) -> list[str]:
    """Return the last lines: what is broken."""
    return [f"Broken: {problem}" for problem in found] or ["Nothing is broken."]


def as_text(facts: Facts, found: list[str]) -> str:
    """Return lines of a name and a value, and the verdict below."""
    table = rows(facts)
    width = max(len(name) for name, _ in table)
    lines = [f"{name:{width}}  {value}" for name, value in table]
    return "\n".join([*lines, "", *verdict(found)])


def as_json(facts: Facts, found: list[str]) -> str:
    """Return an object of all facts, and ``problems``, a list of sentences."""
    return json.dumps({**dataclasses.asdict(facts), "problems": found}, indent=2)


def _shown_extensions(extensions: dict[str, str | None]) -> str:
    errors = {error for error in extensions.values() if error}
    if not errors:
        return "built"
    if len(errors) == 1 and None not in extensions.values():
        return errors.pop()
    return "; ".join(f"{name}: {error or 'built'}" for name, error in extensions.items())


def _shown_tls(facts: Facts) -> str:
    if facts.tls is None:
        return "none: Python was built without ssl"
    return f"{facts.tls.version}, TLS 1.3: {'yes' if facts.tls.has_tls_1_3 else 'no'}"


def _shown_extra(extra: str, versions: dict[str, str | None]) -> str:
    missing = missing_of(versions)
    if missing:
        return f"missing: {', '.join(missing)}; pip install 'wirebird[{extra}]'"
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _shown_limits(facts: Facts) -> str:
    limits = facts.open_files
    if limits is None:
        return "this system has no such limit"
    soft, hard = ("no limit" if n is None else f"{n:,}" for n in (limits.soft, limits.hard))
    more = "" if soft == hard else f"; ulimit -n raises it up to {hard}"
    return f"{soft}, and each connection is one{more}"
