"""The hot half of a connection: the native engine's before Python's, where it was built.

The native one does what it can for connections that run on its engine, and leaves everything else,
as connections that run on the other engine, to the one behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .nowait import NowaitSender
from .python_base import PythonConnectionBase

__all__ = ["ConnectionBase", "Listener", "can_listen", "send_shared", "set_busy_poll"]

if TYPE_CHECKING:
    from ..native.fanout import send_shared
    from ..native.listener import Listener, can_listen
    from ..native.poller import set_busy_poll

    class ConnectionBase(NowaitSender, PythonConnectionBase):
        """What both have."""

else:
    try:
        from ..native.base import ConnectionBase as NativeConnectionBase
        from ..native.fanout import send_shared
        from ..native.listener import Listener, can_listen
        from ..native.poller import set_busy_poll
    except ImportError:  # it was not built here

        class ConnectionBase(NowaitSender, PythonConnectionBase):
            """Python's alone."""

        def send_shared(connections, opcode, payload):
            """Leave all of them to be sent to one by one."""
            return connections

        Listener = None

        def can_listen(loop):
            """Leave listening to the loop."""
            return False

        def set_busy_poll(loop, microseconds):
            """Leave waiting to the loop."""

    else:

        class ConnectionBase(NativeConnectionBase, NowaitSender, PythonConnectionBase):
            """Both."""
