"""Wirebird on other Pythons, each with an environment of its own."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import subprocess

from benchmarks.peers import PEERS, WIREBIRD, WIREBIRD_CALLBACKS, Peer
from benchmarks.programs import BUILD, ROOT

__all__ = ["peers_on"]

_SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr.strip()[-2000:]}")


def _environment(label: str, interpreter: str) -> pathlib.Path:
    """Install Wirebird for an interpreter, from a copy; return the environment's Python."""
    # Built where it is, it would leave its traces among the sources.
    here = BUILD / f"python-{label}"
    shutil.rmtree(here, ignore_errors=True)
    copy = here / "source"
    copy.mkdir(parents=True)
    for name in _SOURCES:
        source = ROOT / name
        if source.is_dir():
            unwanted = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
            shutil.copytree(source, copy / name, ignore=unwanted)
        else:
            shutil.copy(source, copy / name)
    _run(interpreter, "-m", "venv", str(here / "venv"))
    python = here / "venv" / "bin" / "python"
    _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(copy))
    return python


def peers_on(asked: str) -> list[Peer]:
    """Return both of Wirebird's servers on another Python.

    Args:
        asked: its name and its interpreter, as "3.12=/path/to/python".
    """
    label, _, interpreter = asked.partition("=")
    if not interpreter:
        raise SystemExit(f"--python takes VERSION=PATH, not {asked!r}")
    python = str(_environment(label, interpreter))
    return [
        dataclasses.replace(
            PEERS[name],
            name=f"{name}@{label}",
            title=f"{PEERS[name].title}, Python {label}",
            python=python,
        )
        for name in (WIREBIRD, WIREBIRD_CALLBACKS)
    ]
