"""Whether the tests of each module of the core reach every line of it: ``make coverage``.

The tests of ``core/http1.py`` are ``tests/core/test_http1.py`` or the folder ``tests/core/http1/``.
All run once; coverage notes which test reached which line, and a line counts only when one of the
module's own tests did, or when importing the module did.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "src" / "wirebird" / "core"
TESTS = ROOT / "tests" / "core"


# Two halves of one class: a test of either is one of both.
HALVES = {"connection": ["lifecycle"], "lifecycle": ["connection"]}


def own_tests(module: Path) -> list[str]:
    """The beginnings of the names of the contexts that count for a module."""
    inside = module.relative_to(CORE).with_suffix("")
    place = ".".join(("tests", "core", *inside.parent.parts))
    return [
        f"{place}.{prefix}{name}."
        for name in [inside.name, *HALVES.get(inside.name, [])]
        for prefix in ("test_", "")
    ]


def missing_lines(data: coverage.Coverage, module: Path) -> list[int]:
    """The lines of a module that none of its own tests reached."""
    _, statements, _, _, _ = data.analysis2(str(module))
    contexts = data.get_data().contexts_by_lineno(str(module))
    prefixes = tuple(own_tests(module))
    return [
        line
        for line in statements
        if not any(
            context == "" or context.startswith(prefixes) for context in contexts.get(line, ())
        )
    ]


def main() -> int:
    """Run the tests, print what is missing, and return an exit code."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "coveragerc"
        data_file = Path(folder) / "coverage"
        settings.write_text(
            f"[run]\nsource = {CORE}\ndata_file = {data_file}\n"
            "dynamic_context = test_function\n"
            "[report]\nexclude_also =\n    if TYPE_CHECKING:\n    @overload\n"
            "    raise NotImplementedError\n"
        )
        command = [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}"]
        command += ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)]
        tests = subprocess.run(command, cwd=ROOT, check=False)
        if tests.returncode:
            return tests.returncode
        data = coverage.Coverage(config_file=str(settings))
        data.load()
        incomplete = 0
        modules = sorted(CORE.rglob("*.py"))
        for module in modules:
            lines = missing_lines(data, module)
            if lines:
                incomplete += 1
                print(f"{module.relative_to(ROOT)}: not reached by its own tests: {lines}")
        print(
            f"{len(modules) - incomplete} of {len(modules)} modules of the core are covered whole"
        )
        return 1 if incomplete else 0


if __name__ == "__main__":
    sys.exit(main())
