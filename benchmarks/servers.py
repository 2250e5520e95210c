"""Servers under test: processes on a core of their own."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.peers import LIMIT, Peer
from benchmarks.programs import ROOT, Programs

__all__ = ["Cores", "Fleet", "Launcher", "NotAvailable", "Server", "free_port", "launch"]

_START_LIMIT_S = 20.0


class NotAvailable(Exception):
    """A peer that cannot be measured here, and why."""


@dataclasses.dataclass(frozen=True)
class Cores:
    """Which cores are used; None where none can be pinned to.

    Args:
        server: of what is measured.
        load: of what measures.
    """

    server: int | None
    load: int | None

    @classmethod
    def choose(cls) -> Cores:
        """Take the first two that this process may use."""
        available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        return cls(available[0], available[1]) if len(available) > 1 else cls(None, None)


def pin(core: int | None) -> Callable[[], None] | None:
    """Return what a new process calls to stay on a core."""
    return None if core is None else lambda: os.sched_setaffinity(0, {core})


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class Server:
    """A server that runs.

    Args:
        peer: which.
        process: with pipes, on a core.
        port: on which it listens.
    """

    def __init__(self, peer: Peer, process: subprocess.Popen[str], port: int) -> None:
        self.peer = peer
        self.process = process
        self.port = port
        self.facts: dict[str, str] = {}

    @property
    def pid(self) -> int:
        """Of its process."""
        return self.process.pid

    def is_running(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def await_ready(self) -> None:
        """Wait until it listens.

        Raises:
            NotAvailable: it does not, with what it said last.
        """
        line = self._line(_START_LIMIT_S)
        if not line.startswith("READY"):
            self.stop()
            assert self.process.stderr is not None
            said = self.process.stderr.read().strip().splitlines()
            raise NotAvailable(said[-1][:200] if said else "it said nothing")
        self.facts = json.loads(line.removeprefix("READY").strip() or "{}")

    def order(self, line: str) -> None:
        """Send a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Return the JSON that it prints next."""
        return json.loads(self._line(_START_LIMIT_S))

    def _line(self, limit_s: float) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(limit_s):
                return ""
        return self.process.stdout.readline()

    def stop(self) -> None:
        """End it. What it has open needs no farewell."""
        self.process.kill()
        self.process.wait()


class Launcher:
    """Starts servers.

    Args:
        programs: those in C.
        cores: where they run.
        certificate: the files of a certificate and its key.
        node: where Node's modules are, or why they are not.
    """

    def __init__(
        self,
        programs: Programs,
        cores: Cores,
        certificate: tuple[pathlib.Path, pathlib.Path],
        node: pathlib.Path | str,
    ) -> None:
        self.programs = programs
        self.cores = cores
        self._certificate = certificate
        self._node = node

    def start(self, peer: Peer, mode: str, *, tls: bool = False) -> Server:
        """Start a server.

        Args:
            peer: which.
            mode: "echo" or "fanout".
            tls: whether it serves TLS.

        Raises:
            NotAvailable: it does not start.
        """
        if tls and not peer.tls:
            raise NotAvailable("no TLS here")
        port = free_port()
        environment = {**os.environ, **dict(peer.environment)}
        command = [*self._program(peer, environment), mode, str(port)]
        if tls:
            command += ["--tls", *map(str, self._certificate)]
        if peer.loop == "uvloop":
            command += ["--loop", "uvloop"]
        if peer.variant:
            command += ["--variant", peer.variant]
        server = Server(peer, launch(command, self.cores.server, environment), port)
        server.await_ready()
        return server

    def _program(self, peer: Peer, environment: dict[str, str]) -> list[str]:
        if peer.name == LIMIT:
            return [str(self.programs.limit)]
        if peer.module:
            return [peer.python or sys.executable, "-m", f"benchmarks.peers.{peer.module}"]
        if isinstance(self._node, str):
            raise NotAvailable(self._node)
        environment["BENCHMARK_NODE_MODULES"] = str(self._node)
        return ["node", str(ROOT / "benchmarks" / "peers" / "with_ws.mjs")]


def launch(
    command: list[str], core: int | None, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a process on a core, with pipes, in the repository's root."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        preexec_fn=pin(core),
    )


class Fleet:
    """The servers of a round, started when they are first asked for.

    Args:
        launcher: starts them.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._running: dict[tuple[str, str, bool], Server] = {}

    def get(self, peer: Peer, mode: str, *, tls: bool) -> Server:
        """Return a server that runs, as ``Launcher.start`` makes it."""
        key = (peer.name, mode, tls)
        server = self._running.get(key)
        if server is None or not server.is_running():
            server = self._running[key] = self._launcher.start(peer, mode, tls=tls)
        return server

    def discard(self, server: Server) -> None:
        """End a server that gave trouble; the next one asked for is a new one."""
        server.stop()
        self._running = {key: other for key, other in self._running.items() if other is not server}

    def stop(self) -> None:
        """End all."""
        for server in self._running.values():
            server.stop()
        self._running.clear()
        time.sleep(0.05)  # until the kernel is done with their memory
