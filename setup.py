"""Builds the native engine.

Everything else about the package is in pyproject.toml. Each extension is optional: where there is
no C compiler, Wirebird is installed without it and runs on its Python engine.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

NATIVE = Path("src/wirebird/native")

# CFLAGS come after these, so whoever builds can choose otherwise. No -march: what one machine
# builds runs on all of its kind, and faster instructions are chosen at run time. Without -g0 most
# interpreters' own flags would make a wheel five times as large.
FLAGS = (
    []
    if sys.platform == "win32"
    else ["-O3", "-g0", "-fno-strict-aliasing", "-Wno-unused-function"]
)
FLAGS += os.environ.get("CFLAGS", "").split()

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "binding": True,
}


def extensions() -> list[Extension]:
    """Return an extension for each Cython source, translated to C."""
    translated: list[Extension] = cythonize(
        [
            Extension(
                f"wirebird.native.{source.stem}",
                [str(source)],
                depends=[str(path) for path in [*NATIVE.glob("*.h"), *NATIVE.glob("*.pxd")]],
                extra_compile_args=FLAGS,
            )
            for source in sorted(NATIVE.glob("*.pyx"))
        ],
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count(),
    )
    for extension in translated:
        extension.optional = True  # cythonize does not pass it on
    return translated


# Where processes are spawned, those that translate import this file too.
if __name__ == "__main__":
    setup(
        ext_modules=extensions(),
        options={"build_ext": {"parallel": os.cpu_count()}},
    )
