"""The standard streams, where whoever started us closed some of them."""

from __future__ import annotations

import os
import sys

__all__ = ["open_missing_streams"]


def open_missing_streams() -> None:
    """Let each standard stream that is closed lead nowhere, as ``/dev/null`` does.

    Python leaves None in its place, which nothing that prints expects, and the next socket
    would get its number: what a library writes to it would go out on the network.
    """
    # In the order of their numbers, since a new descriptor is the lowest that is free.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            stream = os.fdopen(descriptor, mode, encoding="utf-8", closefd=False)
            setattr(sys, name, stream)
