"""The Autobahn|Testsuite itself: where its Python 2.7 is, and how it is installed.

The suite is the yardstick of WebSocket implementations, and it never left Python 2.7. It gets an
environment of its own (``.venv-autobahn``), built once and again when ``requirements.txt`` or the
interpreter changes. virtualenv comes from this Python, in the last series that can still build
for 2.7, so that the old interpreter needs nothing but itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

__all__ = ["ROOT", "NoPython27", "install"]

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv-autobahn"
REQUIREMENTS = ROOT / "autobahn_testsuite" / "requirements.txt"
VIRTUALENV = "virtualenv==20.21.1"

HELP = """\
The Autobahn|Testsuite needs Python 2.7, and none was found here. Either

  - install one with pyenv:       pyenv install 2.7.18
  - or name one that is there:    AUTOBAHN_PYTHON=/path/to/python2.7 make autobahn

Looked at: $AUTOBAHN_PYTHON, ~/.pyenv/versions/2.7.*, python2.7 on the PATH."""


class NoPython27(Exception):
    """There is no Python 2.7 on this machine; the message says what to do."""


def candidates() -> Iterator[str]:
    """Where a Python 2.7 may be, the most wanted first."""
    named = os.environ.get("AUTOBAHN_PYTHON")
    if named:
        # Whoever names one wants that one, or to hear that it is not good.
        yield named
        return
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for version in sorted(pyenv.glob("versions/2.7.*"), reverse=True):
        yield str(version / "bin" / "python")
    on_path = shutil.which("python2.7")
    if on_path:
        yield on_path


def is_python27(path: str) -> bool:
    """Whether this is a Python 2.7 that runs."""
    question = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    try:
        return subprocess.run([path, "-c", question], timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def find_python27() -> str:
    """The Python 2.7 to use; raises NoPython27 with advice."""
    for path in candidates():
        if is_python27(path):
            return path
    raise NoPython27(HELP)


def install() -> pathlib.Path:
    """Install the suite unless it is; return the path of ``wstest``.

    Raises NoPython27, or CalledProcessError when pip could not install it.
    """
    python27 = find_python27()
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + python27.encode()).hexdigest()
    installed = ENVIRONMENT / "installed"
    ENVIRONMENT.mkdir(exist_ok=True)
    with open(ENVIRONMENT / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_text() != key:
            build(python27)
            installed.write_text(key)
    return ENVIRONMENT / "suite" / "bin" / "wstest"


def build(python27: str) -> None:
    """Build the environment from nothing."""
    print(f"Installing the Autobahn|Testsuite for {python27} into {ENVIRONMENT.name} (once)")
    builder = ENVIRONMENT / "virtualenv"
    target = ENVIRONMENT / "suite"
    for folder in (builder, target):
        shutil.rmtree(folder, ignore_errors=True)
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(builder), VIRTUALENV]
    subprocess.run(pip, env=quiet, check=True)
    virtualenv = [sys.executable, "-m", "virtualenv", "-q", "-p", python27, str(target)]
    subprocess.run(virtualenv, env={**quiet, "PYTHONPATH": str(builder)}, check=True)
    requirements = ["install", "-q", "-r", str(REQUIREMENTS)]
    subprocess.run([str(target / "bin" / "pip"), *requirements], env=quiet, check=True)
