"""What is compiled and installed before anything is measured: load, limit, Node's ws."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import subprocess

__all__ = ["BUILD", "ROOT", "Programs", "build", "node_modules"]

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "benchmarks"
_FLAGS = ["-O2", "-std=gnu11", "-Wall", "-Wextra"]


@dataclasses.dataclass(frozen=True)
class Programs:
    """Where the programs in C are.

    Args:
        load: the load generator.
        limit: the server that does as little as a server can.
    """

    load: pathlib.Path
    limit: pathlib.Path


def _compile(sources: list[pathlib.Path], to: pathlib.Path) -> pathlib.Path:
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        raise SystemExit(f"a C compiler is needed: {compiler!r} was not found; say CC=/path/to/cc")
    to.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, *_FLAGS, *map(str, sources), "-o", str(to), "-ldl"], check=True)
    return to


def build(to: pathlib.Path = BUILD) -> Programs:
    """Compile the programs in C into a folder; that takes a second."""
    here = ROOT / "benchmarks"
    return Programs(
        load=_compile(sorted((here / "load").glob("*.c")), to / "load"),
        limit=_compile([here / "limit.c"], to / "limit"),
    )


def node_modules() -> pathlib.Path | str:
    """Install Node's ws, if need be; return where it is, or why it is not."""
    package = ROOT / "benchmarks" / "peers" / "package.json"
    here = BUILD / "node"
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    installed = here / "node_modules" / ".package-lock.json"
    if installed.exists() and (here / "package.json").read_bytes() == package.read_bytes():
        return here
    here.mkdir(parents=True, exist_ok=True)
    shutil.copy(package, here / "package.json")
    done = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund"],
        cwd=here,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return f"npm install failed: {done.stderr.strip()[-200:]}"
    return here
