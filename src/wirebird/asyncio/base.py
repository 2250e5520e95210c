"""The hot half of a connection: the native engine's before Python's, where it was built.

The native one does what it can for connections that run on its engine, and leaves everything else,
as connections that run on the other engine, to the one behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .python_base import PythonConnectionBase

__all__ = ["ConnectionBase"]

if TYPE_CHECKING:
    ConnectionBase = PythonConnectionBase
else:
    try:
        from ..native.base import ConnectionBase as NativeConnectionBase
    except ImportError:  # it was not built here
        ConnectionBase = PythonConnectionBase
    else:

        class ConnectionBase(NativeConnectionBase, PythonConnectionBase):
            """Both."""
