"""The command line: ``wirebird connect``, ``doctor``, ``run`` and ``serve``, one file a command.

Start reading at `group.py`. Commands may import everything; nothing imports a command. What they
need beyond the standard library comes with the extra ``cli``, and is asked for here, once.
"""

from __future__ import annotations

import sys

from .streams import open_missing_streams

__all__ = ["main"]

_BROUGHT_BY_THE_EXTRA = {"click", "rich", "prompt_toolkit"}

EXIT_NOT_INSTALLED = 2


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: those after the program's name; by default the process's own.

    Returns:
        The exit code: 0 when it went well, 2 for a wrong command line or a missing extra;
        commands say what else they return.
    """
    open_missing_streams()
    try:
        from .group import run

        return run(arguments)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _BROUGHT_BY_THE_EXTRA:
            raise
        asked = sys.argv[1:] if arguments is None else arguments
        if asked in (["doctor"], ["doctor", "--json"]):
            # It is asked where something is missing, and says what.
            from .checkup.shown import report

            return report(wants_json="--json" in asked)
        print(
            f"wirebird: the command line needs {error.name}, which is not installed.\n"
            "Install it with: pip install 'wirebird[cli]'",
            file=sys.stderr,
        )
        return EXIT_NOT_INSTALLED
