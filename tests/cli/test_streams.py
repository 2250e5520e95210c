"""Programs whose standard streams were closed by whoever started them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_REPORT = """
import os, sys
from wirebird.cli.streams import open_missing_streams
open_missing_streams()
print("printed")
print("printed", file=sys.stderr)
with open(os.environ["REPORT"], "w") as report:
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        print(stream.fileno(), os.readlink(f"/proc/self/fd/{stream.fileno()}"), file=report)
    print(repr(sys.stdin.read()), file=report)
"""


def closed(
    *descriptors: int, program: list[str], **more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a program without some of its standard streams."""
    shell = " ".join(["exec", '"$@"', *(f"{number}>&-" for number in descriptors)])
    return subprocess.run(
        ["sh", "-c", shell, "sh", *program],
        input=b"typed",
        capture_output=True,
        timeout=30,
        env={**os.environ, **more},
    )


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="reads /proc of Linux")
@pytest.mark.parametrize("missing", [(), (0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_what_is_missing_leads_nowhere(
    missing: tuple[int, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    report = tmp_path_factory.mktemp("streams") / "report"
    program = [sys.executable, "-W", "error", "-c", _REPORT]
    ended = closed(*missing, program=program, REPORT=str(report))
    assert ended.returncode == 0, ended.stderr
    *streams, read = report.read_text().splitlines()
    for number, stream in enumerate(streams):
        descriptor, leads_to = stream.split(" ", 1)
        assert int(descriptor) == number
        assert (leads_to == "/dev/null") is (number in missing)
    assert read == ("''" if 0 in missing else "'typed'")
    assert ended.stdout == (b"" if 1 in missing else b"printed\n")
    assert ended.stderr == (b"" if 2 in missing else b"printed\n")


@pytest.mark.parametrize("missing", [(0,), (1,), (2,), (0, 1, 2)])
def test_commands_do_without(missing: tuple[int, ...]) -> None:
    # Nobody listens on port 1: this is 4, whatever is closed.
    program = [sys.executable, "-m", "wirebird", "connect", "ws://127.0.0.1:1/"]
    ended = closed(*missing, program=program, no_proxy="*")
    assert ended.returncode == 4
    assert b"Traceback" not in ended.stderr
    assert (b"nobody listens there" in ended.stderr) is (2 not in missing)
