"""One measurement of one peer in one scenario, whatever its kind."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from typing import Any

from benchmarks.peers import CLIENTS, LIMIT, PEERS
from benchmarks.scenarios import Kind, Scenario
from benchmarks.servers import Fleet, Launcher, Server, launch

__all__ = ["Failed", "Measuring"]

_LOAD_LIMIT_S = 60.0
_TIMER_TIMES = 4  # a timer says little in the time of another measurement


class Failed(Exception):
    """A measurement that came to nothing, and why."""


class Measuring:
    """Takes measurements.

    Args:
        launcher: starts servers.
        seconds: of a measurement.
    """

    def __init__(self, launcher: Launcher, seconds: float) -> None:
        self._launcher = launcher
        self._seconds = seconds

    def measure(self, scenario: Scenario, name: str, fleet: Fleet) -> dict[str, Any]:
        """Return what was measured; ``value`` is what counts.

        Args:
            scenario: what.
            name: of the peer.
            fleet: the round's servers; memory is measured on a new one.

        Raises:
            NotAvailable: the peer does not run here.
            Failed: the load found something wrong.
        """
        if scenario.kind is Kind.CLIENT:
            return self._client(scenario, name)
        if scenario.kind is Kind.RATE:
            server = fleet.get(PEERS[name], scenario.mode, tls=scenario.tls)
            try:
                result = self._load(scenario, server)
            except Failed:
                fleet.discard(server)
                raise
            return {"value": result["per_s"], **result, "facts": server.facts}
        server = self._launcher.start(PEERS[name], scenario.mode, tls=scenario.tls)
        try:
            result = self._on_its_own(scenario, server)
            return {**result, "facts": server.facts}
        finally:
            server.stop()

    def _on_its_own(self, scenario: Scenario, server: Server) -> dict[str, Any]:
        if scenario.kind is Kind.TIMER:
            return self._timer(scenario, server)
        result = self._load(scenario, server)
        if scenario.kind is Kind.IDLE:
            return {"value": result["kb_per_connection"], **result}
        if scenario.kind is Kind.NEVER:
            return {"value": result["grown_kb"], **result}
        quiet, flooded = result["quiet_us"], result["flooded_us"]
        return {
            "value": flooded["p50"] / quiet["p50"],
            "p99_ratio": flooded["p99"] / quiet["p99"],
            **result,
        }

    def _timer(self, scenario: Scenario, server: Server) -> dict[str, Any]:
        """Measure the server's own timer in an idle loop, and then while all connections talk."""
        seconds = self._seconds * _TIMER_TIMES

        def lateness() -> dict[str, Any]:
            server.order("timer")
            time.sleep(seconds)
            server.order("lateness")
            answer: dict[str, Any] = server.answer()
            return answer

        idle = lateness()
        command = self._load_command(scenario, server, seconds + 1)
        load = launch([*command, "--announce"], self._launcher.cores.load)
        assert load.stdout is not None
        try:
            # Opening the connections is no part of what is asked.
            load.stdout.readline()
            busy = lateness()
            result = self._result(load)
        finally:
            load.kill()
        return {
            "value": busy["p99_ms"] - idle["p99_ms"],
            "idle": idle,
            "busy": busy,
            "per_s": result["per_s"],
        }

    def _client(self, scenario: Scenario, name: str) -> dict[str, Any]:
        client = CLIENTS[name]
        server = self._launcher.start(PEERS[LIMIT], "echo")
        try:
            if client.module:
                command = [sys.executable, "-m", f"benchmarks.clients.{client.module}"]
                command += [str(server.port), *scenario.load, f"{self._seconds:g}"]
            else:
                connections, depth, size = scenario.load
                arguments = ("echo", "--connections", connections, "--depth", depth, "--size", size)
                as_load = dataclasses.replace(scenario, load=arguments)
                command = self._load_command(as_load, server, self._seconds)
            result = self._result(launch(command, self._launcher.cores.load))
        finally:
            server.stop()
        return {"value": result["per_s"], **result}

    def _load(self, scenario: Scenario, server: Server) -> dict[str, Any]:
        command = self._load_command(scenario, server, self._seconds)
        return self._result(launch(command, self._launcher.cores.load))

    def _load_command(self, scenario: Scenario, server: Server, seconds: float) -> list[str]:
        return [
            str(self._launcher.programs.load),
            *(word for word in scenario.load if word != "--deflate" or server.peer.deflates),
            *("--port", str(server.port), "--pid", str(server.pid)),
            *("--seconds", f"{seconds:g}", "--warm-up", f"{self._seconds / 4:g}"),
        ]

    def _result(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        try:
            out, error = process.communicate(timeout=_LOAD_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failed(f"not done after {_LOAD_LIMIT_S:g} s") from None
        if process.returncode:
            said = error.strip().splitlines()
            raise Failed(said[-1][:200] if said else f"exit code {process.returncode}")
        result: dict[str, Any] = json.loads(out)
        return result
