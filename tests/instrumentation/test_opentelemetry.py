"""Spans, as OpenTelemetry's own SDK exports them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.attacks.raw import RawPeer, echo_server, opened, port_of, uri_of

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import ServerConnection, serve
from wirebird.core.types import Subprotocol
from wirebird.exceptions import InvalidStatus
from wirebird.instrumentation.opentelemetry import OpenTelemetry

CHAT = Subprotocol("chat")


class Traced:
    """Instrumentation, and what it made."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.instrumentation = OpenTelemetry(self.provider)

    async def spans(self, count: int) -> list[ReadableSpan]:
        """Return the spans that have ended, once there are so many."""
        while len(self.exporter.get_finished_spans()) < count:
            await asyncio.sleep(0.001)
        spans = self.exporter.get_finished_spans()
        assert len(spans) == count
        assert self.instrumentation._handshakes == {}
        return list(spans)


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


async def test_one_trace_from_the_clients_user_to_the_servers_connection() -> None:
    traced = Traced()
    arguments: dict[str, Any] = {"instrumentation": traced.instrumentation}
    tracer = trace.get_tracer("user", tracer_provider=traced.provider)
    async with echo_server(**arguments, subprotocols=[CHAT]) as server:
        uri = uri_of(server, "/room?token=secret")
        with tracer.start_as_current_span("user"):
            async with connect(uri, proxy=None, subprotocols=[CHAT], **arguments) as client:
                await client.send("hello")
                await client.recv()
        spans = await traced.spans(5)
        port = port_of(server)
    by_kind = {(span.name, span.kind): span for span in spans}
    user = by_kind["user", SpanKind.INTERNAL]
    ours = by_kind["WebSocket connect", SpanKind.CLIENT]
    theirs = by_kind["GET", SpanKind.SERVER]
    lives = [span for span in spans if span.name == "WebSocket connection"]
    assert parent_of(ours) == id_of(user)
    assert parent_of(theirs) == id_of(ours)
    assert {parent_of(span) for span in lives} == {id_of(ours), id_of(theirs)}
    assert facts(theirs)["url.path"] == "/room"
    assert facts(theirs)["http.response.status_code"] == 101
    assert facts(theirs)["client.address"] == "127.0.0.1"
    assert facts(ours)["server.port"] == port
    for span in lives:
        assert facts(span)["websocket.close_code"] == 1000
        assert facts(span)["websocket.subprotocol"] == "chat"
        assert facts(span)["websocket.messages_sent"] == 1
        assert span.status.status_code is StatusCode.UNSET
    assert not any("secret" in str(facts(span)) for span in spans)


async def test_behind_a_proxy_the_client_is_who_the_proxy_says() -> None:
    traced = Traced()
    told = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    async with echo_server(
        instrumentation=traced.instrumentation, trusted_proxies=["127.0.0.1"]
    ) as server:
        async with connect(uri_of(server), proxy=None, additional_headers=told):
            pass
        spans = await traced.spans(2)
    seen = next(facts(span) for span in spans if span.kind is SpanKind.SERVER)
    assert seen["client.address"] == "192.0.2.7"
    assert seen["url.scheme"] == "wss"
    assert "client.port" not in seen


async def test_refusals_are_spans_too() -> None:
    traced = Traced()
    arguments: dict[str, Any] = {"instrumentation": traced.instrumentation}
    async with echo_server(**arguments, origins=["http://good.example"]) as server:
        with pytest.raises(InvalidStatus):
            async with connect(uri_of(server), proxy=None, **arguments):
                pass
        spans = await traced.spans(2)
    statuses = {span.kind: span.status.status_code for span in spans}
    assert statuses == {SpanKind.CLIENT: StatusCode.ERROR, SpanKind.SERVER: StatusCode.UNSET}
    assert {facts(span)["http.response.status_code"] for span in spans} == {403}


async def test_what_is_no_request_has_no_span_and_leaves_nothing() -> None:
    traced = Traced()
    async with echo_server(instrumentation=traced.instrumentation) as server:
        async with await RawPeer.connect(port_of(server)) as peer:
            await peer.send(b"NONSENSE\r\n\r\n")
            await peer.rest()
        async with await opened(port_of(server), "traceparent: nonsense"):
            pass
        spans = await traced.spans(2)
    assert {parent_of(span) for span in spans if span.kind is SpanKind.SERVER} == {None}
    lives = next(span for span in spans if span.kind is SpanKind.INTERNAL)
    assert facts(lives)["websocket.close_code"] == 1006
    assert lives.status.status_code is StatusCode.ERROR
    assert traced.instrumentation._spans == {}


async def test_a_handler_that_fails_is_in_the_span() -> None:
    traced = Traced()

    async def failing(connection: ServerConnection) -> None:
        raise ValueError("something")

    arguments: dict[str, Any] = {"instrumentation": traced.instrumentation}
    async with serve(failing, "127.0.0.1", 0, **arguments) as server:
        with contextlib.suppress(Exception):
            async with connect(uri_of(server), proxy=None) as client:
                await client.recv()
        spans = await traced.spans(2)
    lives = next(span for span in spans if span.kind is SpanKind.INTERNAL)
    assert [event.name for event in lives.events] == ["exception"]
    assert facts(lives)["websocket.close_code"] == 1011
