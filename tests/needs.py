"""What a test needs beside Python packages, and what happens where it is missing.

Some tests talk to real programs: Chromium, Node, curl. The rule, the same for all of them:

- present: the test runs;
- missing, and we are root on a Debian machine: it is installed, and the test runs;
- missing elsewhere: the test is skipped, by name, with the command that would fetch the program;
- under ``CI=true`` a skip is a failure (`conftest.py` holds this for every skip, not only these).
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

__all__ = [
    "CADDY",
    "CHROMIUM",
    "CURL",
    "HAPROXY",
    "NGINX",
    "NODE",
    "NPM",
    "Program",
    "cache_dir",
    "exclusive",
    "npm_ci",
]

INSTALL_TIMEOUT_S = 600


@dataclasses.dataclass(frozen=True)
class Program:
    """A program that tests start, and the Debian packages that bring it.

    Args:
        name: of the program.
        package: or several, with spaces between.
        alternatives: names that it has elsewhere.
        files: that the packages bring, without which it is not complete.
    """

    name: str
    package: str
    alternatives: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that fetches the program, for people."""
        return f"apt-get install -y {self.package}"

    def find(self) -> str | None:
        """Where the program is, or None."""
        if not all(map(os.path.exists, self.files)):
            return None
        for name in (self.name, *self.alternatives):
            path = shutil.which(name)
            if path is not None:
                return path
        return None

    def path(self) -> str:
        """Where the program is; installs it or skips the test when it is missing."""
        path = self.find()
        if path is None and can_install():
            with exclusive("apt"):
                # Another worker may have installed it while we waited for the lock.
                path = self.find() or self._install()
        if path is None:
            pytest.skip(f"{self.name} is missing; fetch it with: {self.command}")
        return path

    def _install(self) -> str | None:
        arguments = ["install", "-y", "--no-install-recommends", *self.package.split()]
        if not apt_get(*arguments):
            # The usual cause is an index older than the mirror.
            apt_get("update")
            apt_get(*arguments)
        return self.find()


CADDY = Program("caddy", "caddy")
CHROMIUM = Program("chromium", "chromium", ("chromium-browser", "google-chrome"))
CURL = Program("curl", "curl")
DANTE = Program("danted", "dante-server")
HAPROXY = Program("haproxy", "haproxy")
NGINX = Program(
    "nginx",
    "nginx-light libnginx-mod-stream",
    files=("/usr/lib/nginx/modules/ngx_stream_module.so",),
)
NODE = Program("node", "nodejs")
MICROSOCKS = Program("microsocks", "microsocks")
NPM = Program("npm", "npm")
TINYPROXY = Program("tinyproxy", "tinyproxy")


def can_install() -> bool:
    """Whether a missing Debian package may be installed here: as root, where there is apt-get."""
    return os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_get(*arguments: str) -> bool:
    """Run apt-get without questions; False when it fails."""
    done = subprocess.run(
        ["apt-get", "-q", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stdout)
    return done.returncode == 0


def cache_dir() -> pathlib.Path:
    """Where fetched peers are kept between runs: outside the sources, inside the environment."""
    folder = pathlib.Path(sys.prefix) / "share" / "wirebird-interop"
    if not os.access(sys.prefix, os.W_OK):
        cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
        folder = pathlib.Path(cache).expanduser() / "wirebird-interop"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold a lock between processes: pytest-xdist's workers must not install at the same time."""
    with open(cache_dir() / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def npm_ci(folder: pathlib.Path) -> pathlib.Path:
    """Install what a folder's package-lock.json names; return the folder beside node_modules.

    The copy is keyed by the lock file, so it is installed once, and again when the lock changes.
    """
    lock_file = folder / "package-lock.json"
    key = hashlib.sha256(lock_file.read_bytes()).hexdigest()[:16]
    target = cache_dir() / f"node-{key}"
    with exclusive(target.name):
        if not (target / "complete").exists():
            npm = NPM.path()
            target.mkdir(exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(folder / name, target / name)
            arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            command = [npm, *arguments]
            done = subprocess.run(
                command,
                cwd=target,
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
                check=False,
            )
            if done.returncode != 0:
                # Without a registry these tests cannot run; with one, they must.
                print(done.stdout, done.stderr, file=sys.stderr)
                pytest.skip(f"npm packages are missing; fetch them with: npm ci (in {folder.name})")
            (target / "complete").touch()
    return target
