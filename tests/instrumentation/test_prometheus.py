"""Metrics, read by Prometheus' own parser over a real socket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from tests.attacks.raw import (
    CLOSE,
    RawPeer,
    close_payload,
    echo,
    echo_server,
    frame,
    opened,
    port_of,
    uri_of,
)

from wirebird.asyncio.client import connect
from wirebird.asyncio.server import Server, serve
from wirebird.instrumentation.prometheus import Prometheus, grouped


def samples(metrics: Prometheus) -> dict[tuple[str, str], float]:
    """Return all samples, by name and what labels say besides the server."""
    found = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            labels = {**sample.labels}
            labels.pop("server", None)
            found[sample.name, ",".join(labels.values())] = sample.value
    return found


async def fetch(server: Server, path: str = "/metrics", **headers: str) -> tuple[str, str]:
    """GET something as any HTTP client does; return its type and text."""

    def get() -> tuple[str, str]:
        url = f"http://127.0.0.1:{port_of(server)}{path}"
        wanted = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(wanted, timeout=10) as response:
            return response.headers["Content-Type"], response.read().decode()

    return await asyncio.to_thread(get)


async def test_metrics_are_collected_on_the_servers_own_port() -> None:
    metrics = Prometheus()
    arguments: dict[str, Any] = {
        "instrumentation": metrics,
        "process_request": metrics.expose(),
        "compression": None,
    }
    async with serve(echo, "127.0.0.1", 0, **arguments) as server:
        metrics.watch(server, "chat")
        async with connect(uri_of(server), proxy=None) as client:
            await client.send("hello")
            await client.recv()
            kind, text = await fetch(server)
            assert kind.startswith("text/plain")
            families = {each.name: each for each in text_string_to_metric_families(text)}
            assert families["wirebird_messages"].type == "counter"
            messages = {
                (sample.labels["server"], sample.labels["direction"]): sample.value
                for sample in families["wirebird_messages"].samples
            }
            assert messages == {("chat", "received"): 1, ("chat", "sent"): 1}
            kind, text = await fetch(server, "/metrics?x=1", Accept="application/openmetrics-text")
            assert kind.startswith("application/openmetrics-text")
            assert text.endswith("# EOF\n")


async def test_other_requests_go_to_the_other_hook() -> None:
    metrics = Prometheus()
    hook = metrics.expose("/m", lambda connection, request: connection.respond(200, "other\n"))
    async with echo_server(process_request=hook) as server:
        metrics.watch(server)
        assert (await fetch(server, "/"))[1] == "other\n"
        assert "wirebird_connections" in (await fetch(server, "/m"))[1]


async def test_a_request_with_odd_headers_is_answered() -> None:
    metrics = Prometheus()
    async with (
        echo_server(instrumentation=metrics, process_request=metrics.expose()) as server,
        await RawPeer.connect(port_of(server)) as peer,
    ):
        head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
        await peer.send(f"{head}Accept: text/plain;q\r\nAccept: ;;q=x,\r\n\r\n".encode())
        assert (await peer.head()).startswith("HTTP/1.1 200 ")
        await peer.rest()


async def test_what_happens_is_seen() -> None:
    metrics = Prometheus(namespace="ws")
    async with echo_server(instrumentation=metrics) as server:
        metrics.watch(server)
        async with await opened(port_of(server)) as peer:
            assert samples(metrics)["ws_connections", "open"] == 1
            await peer.send(frame(CLOSE, close_payload(4321)))
            await peer.frame()
            await peer.rest()
        async with await RawPeer.connect(port_of(server)) as peer:
            await peer.send(b"NONSENSE\r\n\r\n")
            await peer.rest()
        while server.stats().opening or server.stats().closing:
            await asyncio.sleep(0.001)
        connection = await opened(port_of(server))
        while not server.connections:
            await asyncio.sleep(0)
        pong = await next(iter(server.connections)).ping(b"x")
        assert (await connection.frame()).payload == b"x"
        await connection.send(frame(10, b"x"))
        await pong
        connection.close()
        seen = samples(metrics)
    assert seen["ws_connections_opened_total", ""] == 2
    assert seen["ws_connections_accepted_total", ""] == 3
    assert seen["ws_connections_closed_total", "4xxx"] == 1
    assert seen["ws_connections_refused_total", "invalid"] == 1
    assert seen["ws_connection_duration_seconds_count", ""] == 1
    assert seen["ws_ping_latency_seconds_count", ""] == 1
    assert seen["ws_uptime_seconds", ""] > 0
    assert seen["ws_draining", ""] == 0


async def test_several_servers_have_names() -> None:
    metrics = Prometheus()
    async with echo_server() as one, echo_server() as other:
        metrics.watch(one, "one")
        metrics.watch(one, "one")
        metrics.watch(other, "other")
        with pytest.raises(ValueError, match="'one'"):
            metrics.watch(other, "one")
        (family,) = (each for each in metrics.collect() if each.name == "wirebird_uptime_seconds")
        assert {sample.labels["server"] for sample in family.samples} == {"one", "other"}


def test_peers_cannot_make_labels() -> None:
    closed = dict.fromkeys([1000, 1006, *range(3000, 5000)], 1)
    assert grouped(closed) == {"1000": 1, "1006": 1, "3xxx": 1000, "4xxx": 1000}


def test_two_in_one_registry_need_two_names() -> None:
    registry = CollectorRegistry()
    Prometheus(registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Prometheus(registry)
    Prometheus(registry, namespace="other")


@pytest.mark.parametrize(
    ("missing", "module", "extra"),
    [
        ("prometheus_client", "prometheus", "prometheus"),
        ("opentelemetry", "opentelemetry", "opentelemetry"),
    ],
)
def test_a_missing_extra_says_how_to_get_it(missing: str, module: str, extra: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; import wirebird.instrumentation.{module}"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert f"pip install 'wirebird[{extra}]'" in result.stderr.splitlines()[-1]
