"""Measuring, tracing and logging connections, for those who operate them.

``Instrumentation`` is the small set of methods that ``serve`` and ``connect`` call; over it stand

    prometheus.py     metrics of a server, for Prometheus to collect (extra ``prometheus``)
    opentelemetry.py  spans of handshakes and connections (extra ``opentelemetry``)
    logs.py           log records as JSON, with the connection they belong to

Each is imported by its own name, since what it needs need not be installed.
"""

from __future__ import annotations

from ..core.instrumentation import Instrumentation
from ..core.stats import Stats
from ..core.totals import Totals

__all__ = ["Instrumentation", "Stats", "Totals"]
