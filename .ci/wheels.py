"""Build wheels from the sdist, with and without a C compiler, and use each in an empty environment.

    .venv/bin/python .ci/wheels.py

Without a compiler the wheel must run on the Python engine and say so; with one it must have the
native engine. Either must import nothing but the standard library, hold what runs and nothing else,
and answer over a socket.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile

from setuptools import build_meta

ROOT = pathlib.Path(__file__).resolve().parents[1]
SUFFIXES = {".py", ".pyi", ".typed", ".so", ".pyd", ".html", ".css", ".js", ".svg"}


def make_sdist(folder: pathlib.Path) -> pathlib.Path:
    """Make the sdist and unpack it; refuse one that lacks a source or holds what was built."""
    with contextlib.redirect_stdout(io.StringIO()):
        name: str = build_meta.build_sdist(str(folder))
    with tarfile.open(folder / name) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / name.removesuffix(".tar.gz")
    native = pathlib.Path("src/wirebird/native")
    for pattern in ("*.pyx", "*.pxd", "*.h", "*.pyi", "*.py"):
        missing = [
            path.name
            for path in (ROOT / native).glob(pattern)
            if not (unpacked / native / path.name).exists()
        ]
        if missing:
            raise SystemExit(f"the sdist lacks {', '.join(missing)}")
    built = [path.name for path in unpacked.rglob("*") if path.suffix in {".c", ".so", ".o"}]
    if built:
        raise SystemExit(f"the sdist holds what was built: {', '.join(built)}")
    return unpacked


def make_wheel(
    source: pathlib.Path, folder: pathlib.Path, *arguments: str, **environment: str
) -> pathlib.Path:
    """Make a wheel; refuse one that holds what does not run."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *arguments]
    subprocess.run(
        [*command, "--wheel-dir", str(folder), str(source)],
        env={**os.environ, **environment},
        check=True,
    )
    wheel = next(folder.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    surplus = [
        name
        for name in names
        if ".dist-info/" not in name and pathlib.PurePath(name).suffix not in SUFFIXES
    ]
    if surplus:
        raise SystemExit(f"the wheel holds {', '.join(surplus)}")
    if not {"wirebird/py.typed", "wirebird/native/connection.pyi"} <= set(names):
        raise SystemExit("the wheel lacks its types")
    return wheel


def use(wheel: pathlib.Path, folder: pathlib.Path, engine: str) -> None:
    """Install a wheel where nothing else is, and use it."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install = ["install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("WIREBIRD_")
    }
    subprocess.run(
        [str(python), "-P", "-W", "error", str(ROOT / ".ci" / "alone.py"), engine],
        cwd=folder,
        env=environment,
        check=True,
    )


def main() -> None:
    """Do all of it; end with an error where something is wrong."""
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        nothing = folder / "nothing"
        nothing.mkdir()
        source = make_sdist(folder)
        # With what is in this environment, as the last one says what a build needs to fetch.
        here = ("--no-build-isolation",)
        wheel = make_wheel(source, folder / "broken", *here, CC="/bin/false")
        use(wheel, folder / "with-broken", "python")
        wheel = make_wheel(source, folder / "none", *here, PATH=str(nothing))
        use(wheel, folder / "with-none", "python")
        wheel = make_wheel(source, folder / "native")
        use(wheel, folder / "with-native", "native")


if __name__ == "__main__":
    main()
