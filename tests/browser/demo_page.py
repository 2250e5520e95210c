"""The page of the demonstration server, as the browser tests see it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator

from playwright.async_api import BrowserContext, Locator, Page, expect

from wirebird.asyncio.server import Server, ServerConnection
from wirebird.cli.demo.app import Demo
from wirebird.cli.demo.room import Room

__all__ = ["Tab", "in_the_room", "serving", "tabs"]


@contextlib.asynccontextmanager
async def serving(port: int = 0, room: Room | None = None) -> AsyncIterator[tuple[Server, str]]:
    """Serve the page; yield the server and its URL."""
    demo = Demo(room=room)
    async with demo.serve("127.0.0.1", port) as server:
        yield server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await demo.say_goodbye()


class Tab:
    """A tab with the page in it; what a test says about it in a word.

    Args:
        page: where the page is loaded.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._logged(message.type, message.text))
        self.state = page.locator("#state")
        self.log = page.locator("#log li")
        self.perch = page.locator("#perch li:not([aria-hidden]) .name")
        self.flights = page.locator(".flight.in-the-air")
        self.tape = page.locator("#tape")
        self.pieces = page.locator("#tape li.piece:not(.measuring)")
        self.text = page.locator("#text")
        self.notice = page.locator("#notice")

    def _logged(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and "ERR_CONNECTION_REFUSED" not in text:
            self.errors.append(text)

    async def say(self, text: str) -> None:
        await self.text.fill(text)
        await self.text.press("Enter")

    def piece(self, opcode: str, way: str, preview: str) -> Locator:
        """The piece of the tape for a frame; way is ``client`` or ``server``."""
        opcode_is = self.page.locator(".opcode", has_text=re.compile(f"^{opcode}$"))
        pieces = self.page.locator(f"#tape li.piece.{way}").filter(has=opcode_is)
        return pieces.filter(has_text=preview)


@contextlib.asynccontextmanager
async def tabs(context: BrowserContext, url: str, *names: str) -> AsyncIterator[list[Tab]]:
    """Open the page in a tab for each name; afterwards none may have logged an error."""
    opened = []
    for name in names:
        tab = Tab(await context.new_page())
        await tab.page.add_init_script(
            f"sessionStorage['wirebird.name'] = sessionStorage['wirebird.name'] ?? '{name}';"
        )
        opened.append(tab)
        await tab.page.goto(url)
        await expect(tab.state).to_have_text("open")
        await expect(tab.page.locator("#me")).to_have_text(name)
    yield opened
    assert [tab.errors for tab in opened] == [[] for _ in opened]


async def in_the_room(server: Server) -> ServerConnection:
    """The server's connection with the one tab that is in the room."""
    (connection,) = (
        connection
        for connection in server.connections
        if connection.request is not None and connection.request.path.startswith("/room")
    )
    return connection
