"""Run the Autobahn|Testsuite over Wirebird's server and client: ``make autobahn``.

    python autobahn_testsuite/run.py [--quick] [--role server|client]
        [--engine python|native] [CASE ...]

Both roles run at the same time. The outcomes are compared with ``expected/*.json``; the reports
(open ``reports/autobahn/<role>/index.html``) show each case octet by octet.

Exit codes: 0 all as expected, 1 a deviation, 2 the suite could not be run, 3 no Python 2.7.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from autobahn_testsuite import results, suite  # noqa: E402

HERE = ROOT / "autobahn_testsuite"
REPORTS = ROOT / "reports" / "autobahn"
AGENT = "wirebird"
ROLES = ("server", "client")

# Under three minutes on two cores, and still something of every section: of 12.* each kind of data,
# of 13.* each set of parameters, small, larger and in fragments.
QUICK = [
    *("[1-7].*", "9.*", "10.*"),
    *("12.*.[1357]", "12.*.11"),
    *("13.*.[135]", "13.*.11"),
]
QUICK_LIMIT_S = 175.0
FULL_LIMIT_S = 3600.0
START_LIMIT_S = 30.0

# The suite's own patience for a handshake, and as a client for the end of TCP. Its default of a
# second is too short for a machine that is busy with other things; no case measures it.
PATIENCE = {"openHandshakeTimeout": 20, "closeHandshakeTimeout": 10}
CLIENT_PATIENCE = {**PATIENCE, "serverConnectionDropTimeout": 10}


@contextlib.asynccontextmanager
async def process(
    log: pathlib.Path, *command: str, stdout: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child that is dead when the block is left, with all that it started."""
    with open(log, "wb") as file:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=stdout or file,
            stderr=file,
            start_new_session=True,
        )
        try:
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


async def test_server(wstest: pathlib.Path, folder: pathlib.Path, cases: Sequence[str]) -> None:
    """The suite's client against our echo server."""
    echo = [sys.executable, str(HERE / "echo_server.py")]
    async with process(folder / "wirebird.log", *echo, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        async with asyncio.timeout(START_LIMIT_S):
            port = int(await server.stdout.readline() or 0)
        if not port:
            raise RuntimeError(f"the echo server did not start; see {folder / 'wirebird.log'}")
        servers = [{"url": f"ws://127.0.0.1:{port}", "agent": AGENT}]
        spec = {"servers": servers, "options": CLIENT_PATIENCE}
        arguments = write_spec(folder, "fuzzingclient", cases, spec)
        async with process(folder / "wstest.log", str(wstest), *arguments) as client:
            await client.wait()


async def test_client(wstest: pathlib.Path, folder: pathlib.Path, cases: Sequence[str]) -> None:
    """Our client against the suite's server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"ws://127.0.0.1:{port}"
    arguments = write_spec(folder, "fuzzingserver", cases, {"url": url, "options": PATIENCE})
    async with process(folder / "wstest.log", str(wstest), *arguments, "-u", "0") as server:
        await until_listening(port, server, folder)
        ours = [sys.executable, str(HERE / "client.py"), url, AGENT]
        async with process(folder / "wirebird.log", *ours) as client:
            await client.wait()


async def until_listening(
    port: int, server: asyncio.subprocess.Process, folder: pathlib.Path
) -> None:
    """Wait for the suite's server to take connections."""
    async with asyncio.timeout(START_LIMIT_S):
        while server.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
    raise RuntimeError(f"the suite's server did not start; see {folder / 'wstest.log'}")


def write_spec(
    folder: pathlib.Path, mode: str, cases: Sequence[str], more: Mapping[str, object]
) -> list[str]:
    """Write what the suite shall do; return its arguments."""
    spec = {
        "outdir": str(folder),
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
        **more,
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(spec, indent=2))
    return ["-m", mode, "-s", str(path)]


async def run_role(role: str, wstest: pathlib.Path, cases: Sequence[str]) -> None:
    """Run one role; when it cannot be run, say why: its cases are missing in the reports then."""
    folder = REPORTS / role
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        await (test_server if role == "server" else test_client)(wstest, folder, cases)
    except RuntimeError as error:
        print(error, file=sys.stderr)


async def run_roles(wstest: pathlib.Path, chosen: dict[str, list[str]], limit_s: float) -> None:
    """Run the roles side by side; what has not ended at the limit is missing in the reports."""
    this = asyncio.current_task()
    assert this is not None
    # Ended from outside, the children must not outlive us.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    try:
        async with asyncio.timeout(limit_s), asyncio.TaskGroup() as group:
            for role, cases in chosen.items():
                group.create_task(run_role(role, wstest, cases))
    except TimeoutError:
        print(f"The time limit of {limit_s:g} s is over; what did not run counts as missing.")


def report(expected: dict[str, dict[str, str]], chosen: dict[str, list[str]]) -> int:
    """Print the table and each deviation; return how many there are."""
    outcomes = {role: results.read_outcomes(REPORTS / role / "index.json") for role in chosen}
    print(results.table(outcomes))
    total = 0
    for role, cases in chosen.items():
        deviations = results.compare(expected[role], cases, outcomes[role])
        total += len(deviations)
        missing = [deviation.case for deviation in deviations if not deviation.report]
        if missing:
            print(f"{role}: {len(missing)} cases did not run: {', '.join(missing)}")
        for deviation in deviations:
            if deviation.report:
                print(f"{role} {deviation}{explain(REPORTS / role, deviation.report)}")
    return total


def explain(folder: pathlib.Path, name: str) -> str:
    """The suite's own words about a case, and where it shows the octets."""
    path = folder / name
    if not name or not path.exists():
        return ""
    case = json.loads(path.read_text(encoding="utf-8"))
    page = path.with_suffix(".html").relative_to(ROOT)
    return f"\n    {case['result']}\n    {case['resultClose']}\n    {page}"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="The Autobahn|Testsuite over Wirebird.")
    parser.add_argument("--quick", action="store_true", help="a part, in under three minutes")
    parser.add_argument("--role", choices=ROLES, help="one role (default: both)")
    parser.add_argument("--engine", choices=("python", "native"), help="as WIREBIRD_ENGINE")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="such as 6.4.1 or '9.*'")
    return parser.parse_args()


def main() -> int:
    """Run, compare, print; return the exit code."""
    arguments = parse_arguments()
    if arguments.engine:
        os.environ["WIREBIRD_ENGINE"] = arguments.engine
    try:
        wstest = suite.install()
    except suite.NoPython27 as error:
        print(error, file=sys.stderr)
        return 3
    except subprocess.CalledProcessError as error:
        print(f"The suite could not be installed: {error}", file=sys.stderr)
        return 2
    roles = [arguments.role] if arguments.role else ROLES
    patterns = arguments.cases or (QUICK if arguments.quick else ["*"])
    expected = {role: results.read_expected(HERE / "expected" / f"{role}.json") for role in roles}
    chosen = {role: results.select(expected[role], patterns) for role in roles}
    if not all(chosen.values()):
        print(f"No case matches {' '.join(patterns)}", file=sys.stderr)
        return 2
    started = time.monotonic()
    try:
        asyncio.run(run_roles(wstest, chosen, QUICK_LIMIT_S if arguments.quick else FULL_LIMIT_S))
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("Ended before the end.", file=sys.stderr)
        return 2
    deviations = report(expected, chosen)
    print(f"{deviations} deviations in {time.monotonic() - started:.0f} s")
    return 1 if deviations else 0


if __name__ == "__main__":
    sys.exit(main())
