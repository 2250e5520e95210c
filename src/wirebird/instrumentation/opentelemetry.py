"""Spans of OpenTelemetry: one for an opening handshake, one for the connection after it.

The handshake is an HTTP request, and its span has the attributes of one. The connection's is its
child; it lives as long as the connection, and says at its end what went by. The context of a trace
travels in the headers of the request (W3C Trace Context): a client puts its own there, a server
goes on with what it finds. A query may hold what is secret, and is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.http1 import Request
from ..core.instrumentation import Instrumentation
from ..core.rules import CloseCode, Role
from ..core.totals import Totals

try:
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import Getter
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
except ImportError as exc:
    raise ImportError(
        "OpenTelemetry spans need opentelemetry-api: pip install 'wirebird[opentelemetry]'"
    ) from exc

__all__ = ["OpenTelemetry"]

_FINE = {CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD}


class _Headers(Getter[Any]):
    """Reads the headers of a request for the propagator."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        return carrier.get_all(key) or None

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return list(carrier)


class OpenTelemetry(Instrumentation):
    """Makes spans for connections; one serves any number of servers and clients.

    Args:
        tracer_provider: where spans go; the process's by default.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("wirebird", tracer_provider=tracer_provider)
        self._handshakes: dict[int, tuple[Span, Context | None]] = {}
        self._spans: dict[int, Span] = {}

    def handshake_began(self, connection: Any, request: Request) -> None:
        """See ``Instrumentation``."""
        is_server = connection.protocol.side is Role.SERVER
        context = None
        if is_server:
            context = propagate.extract(request.headers, getter=_Headers())
        span = self._tracer.start_span(
            "GET" if is_server else "WebSocket connect",
            context,
            SpanKind.SERVER if is_server else SpanKind.CLIENT,
            dict(_attributes(connection, request)),
        )
        if not is_server:
            propagate.inject(request.headers, trace.set_span_in_context(span))
        self._handshakes[id(connection)] = span, context

    def connection_opened(self, connection: Any) -> None:
        """See ``Instrumentation``."""
        span, context = self._handshakes.pop(id(connection), (None, None))
        if span is None:
            return
        span.set_attribute("http.response.status_code", 101)
        span.end()
        lives = self._tracer.start_span(
            "WebSocket connection",
            trace.set_span_in_context(span, context),
            SpanKind.INTERNAL,
            {"wirebird.connection.id": str(connection.id)},
        )
        if connection.subprotocol is not None:
            lives.set_attribute("websocket.subprotocol", str(connection.subprotocol))
        self._spans[id(connection)] = lives

    def connection_refused(self, connection: Any, reason: str, status: int | None) -> None:
        """See ``Instrumentation``."""
        span, _ = self._handshakes.pop(id(connection), (None, None))
        if span is None:
            return  # what came was no request
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if status is None or status >= (500 if connection.protocol.side is Role.SERVER else 400):
            span.set_attribute("error.type", reason)
            span.set_status(Status(StatusCode.ERROR, reason))
        span.end()

    def connection_closed(
        self, connection: Any, code: int, duration_s: float, totals: Totals
    ) -> None:
        """See ``Instrumentation``."""
        span = self._spans.pop(id(connection), None)
        if span is None:
            return
        span.set_attribute("websocket.close_code", code)
        for name, value in totals._asdict().items():
            span.set_attribute(f"websocket.{name}", value)
        if code not in _FINE and code < 3000:
            span.set_status(Status(StatusCode.ERROR, f"closed with {code}"))
        span.end(time.time_ns())

    def handler_failed(self, connection: Any, exc: BaseException) -> None:
        """See ``Instrumentation``."""
        span = self._spans.get(id(connection))
        if span is not None:
            span.record_exception(exc)

    def slow_consumer(self, connection: Any) -> None:
        """See ``Instrumentation``."""
        self._event(connection, "slow consumer", {})

    def limit_exceeded(self, connection: Any, limit: str) -> None:
        """See ``Instrumentation``."""
        self._event(connection, "limit exceeded", {"limit": limit})

    def _event(self, connection: Any, name: str, attributes: dict[str, str]) -> None:
        span = self._spans.get(id(connection))
        if span is not None:
            span.add_event(name, attributes)


def _attributes(connection: Any, request: Request) -> Iterator[tuple[str, str | int]]:
    """What is known of a request, by OpenTelemetry's names."""
    yield "http.request.method", "GET"
    yield "network.protocol.name", "websocket"
    yield "url.path", request.path.partition("?")[0]
    if connection.protocol.side is Role.SERVER:
        end, address, scheme = "client", connection.client, connection.scheme  # behind proxies too
    else:
        end, address = "server", connection.remote_address
        scheme = "ws" if connection.transport.get_extra_info("sslcontext") is None else "wss"
    yield "url.scheme", scheme
    if isinstance(address, tuple) and len(address) >= 2:
        yield f"{end}.address", str(address[0])
        if address[1] is not None:
            yield f"{end}.port", int(address[1])
