"""Pages of others, in a real browser, that use the cookies or the network of whoever reads them.

Cross-site WebSocket hijacking: the browser sends a server's cookies with every page's connection to
it. DNS rebinding: a page under a name of its own, which then leads to somebody else's machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from playwright.async_api import Page
from tests import needs
from tests.attacks.raw import port_of
from tests.chromium import Chromium, start_chromium

from wirebird.asyncio.server import Server, ServerConnection, serve
from wirebird.auth import Cookie, static_tokens, token_auth
from wirebird.cli.demo.app import Demo
from wirebird.core.origins import SameOrigin
from wirebird.http11 import Request, Response

SESSION = "the session of whoever reads"
REBOUND = "rebound.example"

OPEN = """
(uri) => new Promise((resolve) => {
    const socket = new WebSocket(uri);
    socket.onmessage = (event) => resolve(event.data);
    socket.onclose = (event) => resolve(event.code);
})
"""


def is_http(request: Request) -> bool:
    """Whether a request is not for a WebSocket."""
    return "Upgrade" not in request.headers


def page_for(connection: ServerConnection) -> Response:
    """An empty page, with a session in a cookie."""
    response = connection.respond(200, "<!doctype html><title>page</title>")
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "text/html"
    response.headers["Set-Cookie"] = f"sid={SESSION.replace(' ', '-')}; HttpOnly"
    return response


def with_pages(check: Any) -> Any:
    """A ``process_request`` that serves a page, and asks another for WebSockets."""

    def process_request(connection: ServerConnection, request: Request) -> Any:
        if is_http(request):
            return page_for(connection)
        return None if check is None else check(connection, request)

    return process_request


async def tell_session(connection: ServerConnection) -> None:
    """Send what nobody else may know."""
    assert connection.request is not None
    await connection.send(connection.request.headers.get("Cookie", "no cookie"))
    await connection.wait_closed()


@contextlib.asynccontextmanager
async def serving(check: Any = None, **kwargs: Any) -> AsyncIterator[Server]:
    """A server with pages and a session; arguments as ``serve``."""
    arguments: Any = {"close_timeout": 0.5, **kwargs}
    async with serve(
        tell_session, "127.0.0.1", 0, process_request=with_pages(check), **arguments
    ) as server:
        yield server


async def attack(page: Page, server: Server, attacker: Server) -> tuple[Any, Any]:
    """What the server's own page hears, and then one of the attacker's."""
    await page.goto(f"http://localhost:{port_of(server)}/")
    uri = f"ws://localhost:{port_of(server)}/"
    own = await page.evaluate(OPEN, uri)
    # The same site by the rules for cookies, which know no ports; another origin.
    await page.goto(f"http://localhost:{port_of(attacker)}/")
    return own, await page.evaluate(OPEN, uri)


COOKIE = f"sid={SESSION.replace(' ', '-')}"
BY_COOKIE = token_auth(static_tokens([SESSION.replace(" ", "-")]), [Cookie("sid")])


async def test_a_page_of_another_origin(chromium: Chromium) -> None:
    cases: list[tuple[Any, Any, Any]] = [
        # This is the attack: without a rule, a stranger's page has the reader's session.
        (None, {}, COOKIE),
        (None, {"origins": [SameOrigin(), None]}, 1006),
        (None, {"origins": [SameOrigin([])]}, 1006),
        # A cookie that lets in is believed for the own pages alone.
        (BY_COOKIE, {}, 1006),
    ]
    async with serving() as attacker, chromium.page() as page:
        for check, kwargs, heard in cases:
            async with serving(check, **kwargs) as server:
                assert await attack(page, server, attacker) == (COOKIE, heard)


@pytest.fixture(scope="module")
def rebinding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A Chromium for which a stranger's name leads to this machine."""
    path = needs.CHROMIUM.path()
    rule = f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"
    # Chromium has begun to ask before such pages reach this machine; others do not.
    unasked = "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets"
    with start_chromium(path, tmp_path_factory.mktemp("rebinding"), rule, unasked) as browser:
        yield browser


async def from_rebound(page: Page, server: Server, path: str = "") -> Any:
    """What a page hears that was loaded from a name before it was made to lead here."""
    where = f"{REBOUND}:{port_of(server)}"
    await page.route(f"http://{where}/", lambda route: route.fulfill(body="<!doctype html><p>evil"))
    await page.goto(f"http://{where}/")
    return await page.evaluate(OPEN, f"ws://{where}/{path}")


async def test_a_name_that_was_made_to_lead_here(rebinding: Chromium) -> None:
    cases: list[tuple[list[SameOrigin | None], Any]] = [
        # To the server it looks like one of its own pages; so there are names.
        ([SameOrigin()], "no cookie"),
        ([SameOrigin(["bird.example"])], 1006),
        ([SameOrigin([]), None], 1006),
    ]
    async with contextlib.AsyncExitStack() as stack:
        # The page goes before the servers: Chromium keeps connections ready on which nothing comes.
        servers = [await stack.enter_async_context(serving(origins=case[0])) for case in cases]
        demo = Demo(names={"bird.example"}).serve("127.0.0.1", 0)
        demo = await stack.enter_async_context(demo)
        page = await stack.enter_async_context(rebinding.page())
        for (_, heard), server in zip(cases, servers, strict=True):
            assert await from_rebound(page, server) == heard
        # The command line knows its names.
        assert await from_rebound(page, demo, "frames") == 1006
