"""What all tests share: coroutine tests, skips that count, certificates, and real peers.

- A test may be ``async def``: it runs in an event loop of its own, under a limit of 30 s, or what
  ``@pytest.mark.time_limit(seconds)`` says. An exception that the loop could only log fails it.
- A skip is named and counted; under ``CI=true`` it is a failure.
- Programs that tests need come through fixtures (`needs.py` says what happens without them).
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import pathlib
import signal
import ssl
import sys
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any

import hypothesis
import pytest
import trustme

ROOT = pathlib.Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    # `from tests.needs import ...`, also where pytest was not started as `python -m pytest`.
    sys.path.insert(0, str(ROOT))

from tests import needs  # noqa: E402
from tests.chromium import Chromium, start_chromium  # noqa: E402

import wirebird.testing.plugin  # noqa: E402

DEFAULT_TIME_LIMIT_S = 30.0

# How long an example takes says nothing on a busy machine.
# A fixture that only chooses the engine need not be made anew for each example.
hypothesis.settings.register_profile(
    "wirebird",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("wirebird")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers of this file, and see to the fixtures of Wirebird's own kit."""
    if not config.pluginmanager.has_plugin("wirebird"):  # as where the sources are used uninstalled
        config.pluginmanager.register(wirebird.testing.plugin, "wirebird")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As for what a shell runs in the background; tests interrupt themselves and programs.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers", "time_limit(seconds): how long a coroutine test may take (default 30)"
    )


# Coroutine tests.


async def run_limited(coroutine: Coroutine[Any, Any, None], limit_s: float | None) -> None:
    """Await a test under its time limit; fail when the loop met an exception that nobody saw."""
    unseen: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unseen.append(context))
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            await coroutine
    except TimeoutError:
        if limit.expired():
            pytest.fail(f"the test did not end within {limit_s:g} s")
        raise
    for context in unseen:
        error = context.get("exception")
        message = f"an exception that only the event loop saw: {context['message']}"
        raise AssertionError(message) from error


def as_function(test: Callable[..., Any], limit_s: float | None) -> Callable[..., None]:
    """The plain function that runs a coroutine test in a new event loop."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(run_limited(test(*args, **kwargs), limit_s))

    return run


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run tests that are coroutine functions, also those under Hypothesis' @given."""
    marker = pyfuncitem.get_closest_marker("time_limit")
    limit_s: float | None = float(marker.args[0]) if marker else DEFAULT_TIME_LIMIT_S
    if "fake_clock" in pyfuncitem.fixturenames:
        limit_s = None  # it has one of its own, which is not over after 30 s that took no time
    given = getattr(pyfuncitem.obj, "hypothesis", None)
    if given is not None:
        if inspect.iscoroutinefunction(given.inner_test):
            given.inner_test = as_function(given.inner_test, limit_s)
    elif inspect.iscoroutinefunction(pyfuncitem.obj):
        pyfuncitem.obj = as_function(pyfuncitem.obj, limit_s)
    return (yield)


# Skips: named, counted, and failures where nobody would read of them.


def under_ci() -> bool:
    """Whether this run is one that nobody watches."""
    return os.environ.get("CI", "").lower() == "true"


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure under CI; an expected failure is not a skip."""
    if report.outcome == "skipped" and not hasattr(report, "wasxfail") and under_ci():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CI=true, and a skip is a failure there: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look at the outcome of each phase of each test."""
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look at modules that skip themselves while they are collected."""
    report = yield
    refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was skipped, below the list of it."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    if skipped:
        terminalreporter.write_line(
            f"{skipped} skipped (named above, each with what would make it run)", yellow=True
        )


# TLS.


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of this run."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server's context, with a certificate for localhost, 127.0.0.1 and ::1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts the authority of this run and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


# Real peers.


@pytest.fixture(scope="session")
def curl() -> str:
    """The path of curl."""
    return needs.CURL.path()


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node."""
    return needs.NODE.path()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One headless Chromium for the whole run: ``async with chromium.page() as page: ...``."""
    path = needs.CHROMIUM.path()
    with start_chromium(path, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
