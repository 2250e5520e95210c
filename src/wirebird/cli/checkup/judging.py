"""What of the facts is broken, each with what to do about it.

What is merely not there, such as an extra or a compiler, is not broken.
"""

from __future__ import annotations

from .engines import NOT_BUILT
from .facts import Facts

__all__ = ["problems"]

_REINSTALL = (
    "install Wirebird anew, with a C compiler: "
    "pip install --force-reinstall --no-cache-dir wirebird"
)


def problems(facts: Facts) -> list[str]:
    """Return a sentence for each thing that is broken; none where all is well."""
    engine, extensions = facts.engine, facts.engine.extensions
    failing = {name: error for name, error in extensions.items() if error}
    found = []
    if engine.error:
        remedy = _REINSTALL
        if engine.environment:
            remedy = "unset WIREBIRD_ENGINE"
            if engine.environment == "native":
                remedy += f", or {_REINSTALL}"
        found.append(f"No connection can be made: {engine.error}. To do: {remedy}.")
    if set(failing.values()) - {NOT_BUILT} or 0 < len(failing) < len(extensions):
        # A build that failed in part, or that is of another version than the rest.
        names = ", ".join(f"{name} ({error})" for name, error in failing.items())
        found.append(f"The native engine is not whole: {names}. To do: {_REINSTALL}.")
    if facts.tls is None:
        found.append("Python was built without ssl, which Wirebird imports. To do: another Python.")
    return found
