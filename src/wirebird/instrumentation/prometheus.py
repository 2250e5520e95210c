"""Metrics of servers, for Prometheus.

What engines and servers count anyway is read when Prometheus asks (``Server.stats()``), so metrics
cost messages nothing. What only happens is told by ``Instrumentation``: how long connections lived,
how long pings took. Labels have few values, whatever peers send: close codes of applications are
two groups, and nothing of a request is a label. Names and units follow Prometheus' conventions.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..core.http1 import Request, Response
from ..core.instrumentation import Instrumentation
from ..core.totals import Totals

try:
    from prometheus_client import CollectorRegistry, Histogram
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.exposition import choose_encoder
except ImportError as exc:
    raise ImportError(
        "Prometheus metrics need prometheus-client: pip install 'wirebird[prometheus]'"
    ) from exc

if TYPE_CHECKING:
    from ..asyncio.server import Server, ServerConnection

__all__ = ["Prometheus"]

_DURATIONS_S = (0.1, 1, 10, 60, 300, 1800, 3600, 21600, 86400)
_LATENCIES_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Prometheus(Instrumentation):
    """Collects the metrics of one server or of several.

    ::

        metrics = Prometheus()
        async with serve(handler, "", 8765, instrumentation=metrics,
                         process_request=metrics.expose()) as server:
            metrics.watch(server)
            await server.serve_forever()

    Args:
        registry: where the metrics are; a new one by default.
        namespace: what their names begin with.
    """

    def __init__(
        self, registry: CollectorRegistry | None = None, *, namespace: str = "wirebird"
    ) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._namespace = namespace
        self._servers: dict[str, Server] = {}
        self._durations = Histogram(
            "connection_duration_seconds",
            "How long connections were open.",
            namespace=namespace,
            buckets=_DURATIONS_S,
            registry=self.registry,
        )
        self._latencies = Histogram(
            "ping_latency_seconds",
            "Round-trip times of pings.",
            namespace=namespace,
            buckets=_LATENCIES_S,
            registry=self.registry,
        )
        self.registry.register(self)

    def watch(self, server: Server, name: str = "") -> None:
        """Collect the statistics of a server.

        Args:
            server: from ``serve``.
            name: of it, for the label ``server``; needed where there are several.

        Raises:
            ValueError: another server has that name.
        """
        if self._servers.setdefault(name, server) is not server:
            raise ValueError(f"there is a server with the name {name!r} already")

    def expose(
        self, path: str = "/metrics", otherwise: Callable[..., Any] | None = None
    ) -> Callable[[ServerConnection, Request], Any]:
        """Return a ``process_request`` that shows the metrics on the server's own port.

        Whoever reaches the server can read them then; where that is not wanted, serve them
        elsewhere, with ``prometheus_client.start_http_server(port, registry=metrics.registry)``.

        Args:
            path: of the request that is answered with them.
            otherwise: the ``process_request`` for all other requests; None to open WebSockets.
        """

        def process_request(connection: ServerConnection, request: Request) -> Any:
            if request.path.partition("?")[0] != path:
                return None if otherwise is None else otherwise(connection, request)
            return self._respond(connection, request)

        return process_request

    def _respond(self, connection: ServerConnection, request: Request) -> Response:
        encode, content_type = choose_encoder(", ".join(request.headers.get_all("Accept")))
        response = connection.respond(200, "")
        response.body = encode(self.registry)
        response.replace_header("Content-Type", content_type)
        response.replace_header("Content-Length", str(len(response.body)))
        return response

    # From connections

    def connection_closed(
        self, connection: Any, code: int, duration_s: float, totals: Totals
    ) -> None:
        """See ``Instrumentation``."""
        self._durations.observe(duration_s)

    def latency_measured(self, connection: Any, latency_s: float) -> None:
        """See ``Instrumentation``."""
        self._latencies.observe(latency_s)

    # To Prometheus

    def describe(self) -> Iterator[Any]:
        """Name the metrics, without asking the servers."""
        yield from self._families()

    def collect(self) -> Iterator[Any]:
        """Ask all servers; see ``prometheus_client``'s collectors."""
        families = list(self._families())
        for name, server in self._servers.items():
            self._fill(families, name, server)
        yield from families

    def _families(self) -> Iterator[Any]:
        for name, text, labels in _GAUGES:
            yield GaugeMetricFamily(f"{self._namespace}_{name}", text, labels=("server", *labels))
        for name, text, labels in _COUNTERS:
            yield CounterMetricFamily(f"{self._namespace}_{name}", text, labels=("server", *labels))

    def _fill(self, families: list[Any], name: str, server: Server) -> None:
        stats = server.stats()
        totals = stats.totals
        values: list[Mapping[tuple[str, ...], float]] = [
            {
                ("opening",): stats.opening,
                ("open",): stats.open,
                ("closing",): stats.closing,
            },
            {(): stats.held_bytes},
            {(): stats.is_draining},
            {(): stats.uptime_s},
            {(): stats.accepted},
            {(): stats.opened},
            _by_label(stats.refused),
            _by_label(grouped(stats.closed)),
            _by_label(stats.limits_exceeded),
            {(): stats.handlers_failed},
            {(): stats.slow_consumers},
            {(): stats.messages_dropped},
            {("received",): totals.messages_received, ("sent",): totals.messages_sent},
            {("received",): totals.frames_received, ("sent",): totals.frames_sent},
            {("received",): totals.bytes_received, ("sent",): totals.bytes_sent},
            {(): totals.pings_received},
        ]
        for family, samples in zip(families, values, strict=True):
            for labels, value in samples.items():
                family.add_metric((name, *labels), value)


_GAUGES: list[tuple[str, str, tuple[str, ...]]] = [
    ("connections", "Connections there are, by state.", ("state",)),
    ("held_bytes", "What is held for all connections.", ()),
    ("draining", "Whether the server opens no connections any more.", ()),
    ("uptime_seconds", "Since the server was made.", ()),
]
_COUNTERS: list[tuple[str, str, tuple[str, ...]]] = [
    ("connections_accepted", "TCP connections that came.", ()),
    ("connections_opened", "Opening handshakes that succeeded.", ()),
    ("connections_refused", "Opening handshakes that did not, by reason.", ("reason",)),
    ("connections_closed", "Connections that ended, by close code.", ("code",)),
    ("limits_exceeded", "Limits that open connections exceeded.", ("limit",)),
    ("handler_failures", "Exceptions that handlers raised.", ()),
    ("slow_consumers", "Connections closed since their peers took nothing.", ()),
    ("messages_dropped", "Messages dropped for slow consumers.", ()),
    ("messages", "Messages that went by.", ("direction",)),
    ("frames", "Frames that went by.", ("direction",)),
    ("bytes", "Bytes of frames that went by.", ("direction",)),
    ("pings_received", "Pings of peers.", ()),
]


def _by_label(counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(label,): count for label, count in counts.items()}


def grouped(closed: Mapping[int, int]) -> Mapping[str, int]:
    """Count close codes by label: those that peers may choose freely are groups. RFC 6455, 7.4.2.

    Args:
        closed: counts by code.
    """
    counts: Counts[str] = Counts()
    for code, count in closed.items():
        label = str(code) if code < 3000 else "3xxx" if code < 4000 else "4xxx"
        counts[label] += count
    return counts
