"""The page in real Chromium: two tabs talk, see the frames, lose the server and find it again."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect
from tests.chromium import Chromium

from wirebird.asyncio.server import Server, ServerConnection
from wirebird.cli.demo.app import Demo
from wirebird.cli.demo.room import TALK_AT_ONCE, Room
from wirebird.cli.demo.speech import Ping

PHONE: dict[str, Any] = {
    "viewport": {"width": 375, "height": 812},
    "is_mobile": True,
    "has_touch": True,
}


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
async def tabs(
    context: BrowserContext, url: str, *names: str, wait: bool = True
) -> AsyncIterator[list[Tab]]:
    """Open the page in a tab for each name; afterwards none may have logged an error."""
    opened = []
    for name in names:
        tab = Tab(await context.new_page())
        await tab.page.add_init_script(
            f"sessionStorage['wirebird.name'] = sessionStorage['wirebird.name'] ?? '{name}';"
        )
        opened.append(tab)
        await tab.page.goto(url)
        if wait:
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


async def test_two_tabs_talk(chromium: Chromium) -> None:
    async with (
        serving() as (_, url),
        chromium.context() as context,
        tabs(context, url, "Ann", "Bob") as (ann, bob),
    ):
        await expect(ann.perch).to_have_text(["Ann", "Bob"])
        await expect(bob.perch).to_have_text(["Ann", "Bob"])
        markup = "<img src=x onerror=alert(1)> & <b>bold</b>"
        await ann.say(markup)
        await expect(ann.text).to_have_value("")
        for tab, kind in ((ann, "mine"), (bob, "said")):
            await expect(tab.log.last).to_have_class(re.compile(kind))
            await expect(tab.log.last.locator(".text")).to_have_text(markup)
            await expect(tab.log.last.locator("b").first).to_have_text("Ann")
            await expect(tab.flights).to_have_text(f"Ann {markup}")
            assert await tab.page.locator("#log img, .flight img, #tape img").count() == 0
        await bob.say("hello Ann")
        await expect(ann.log.last.locator(".text")).to_have_text("hello Ann")
        await ann.page.close()
        await expect(bob.log.last).to_have_text("Ann left.")
        await expect(bob.perch).to_have_text(["Bob"])


async def test_a_flight_crosses_the_stage_and_lands(chromium: Chromium) -> None:
    async with (
        serving() as (_, url),
        chromium.context() as context,
        tabs(context, url, "Ann") as (ann,),
    ):
        await ann.say("whoosh")
        await expect(ann.flights).to_have_count(1)
        await ann.page.locator("#pause").click()
        before = await ann.flights.bounding_box()
        assert before == await ann.flights.bounding_box()
        # While it is paused, nothing else takes off.
        await ann.say("later")
        await expect(ann.log.last.locator(".text")).to_have_text("later")
        await expect(ann.flights).to_have_count(1)
        await ann.page.locator("#pause").click()
        await expect(ann.flights).to_have_count(2)
        await ann.page.evaluate(
            "document.getAnimations().forEach((a) => { if (!a.animationName) a.finish(); })"
        )
        await expect(ann.flights).to_have_count(0)


async def test_the_tape_shows_the_frames_that_browsers_hide(chromium: Chromium) -> None:
    async with (
        serving() as (server, url),
        chromium.context() as context,
        tabs(context, url, "Ann") as (ann,),
    ):
        await ann.say("grüße")
        said = ann.piece("TEXT", "client", '{"type":"say","text":"grüße"}')
        await expect(said.locator(".length")).to_have_text("31 B")
        await expect(said.locator(".fin")).to_have_text("FIN")
        connection = await in_the_room(server)
        await (await connection.ping(b"\x01\x02"))
        await expect(ann.piece("PING", "server", "01 02")).to_have_count(1)
        await expect(ann.piece("PONG", "client", "01 02")).to_have_count(1)
        await connection.send(['{"type":', '"error","text":"in parts"}'])
        await expect(ann.log.last).to_have_text("in parts")
        first = ann.piece("TEXT", "server", '{"type":').filter(has=ann.page.locator(".fin.unset"))
        await expect(first.locator(".length")).to_have_text("8 B")
        await said.locator("button").click()
        await expect(said.locator(".bits")).to_contain_text("FIN 1 · RSV 000 · opcode 0x1 · MASK 1")


async def test_hanging_up_and_coming_back(chromium: Chromium) -> None:
    async with (
        serving() as (_, url),
        chromium.context() as context,
        tabs(context, url, "Ann") as (ann,),
    ):
        toggle = ann.page.locator("#toggle")
        await toggle.click()
        await expect(ann.state).to_have_text("closed")
        await expect(ann.page.locator("#state-note")).to_contain_text("1000 normal")
        await expect(ann.notice).to_contain_text("You hung up")
        await expect(ann.piece("CLOSE", "client", "1000 until next time")).to_have_count(1)
        await expect(ann.piece("CLOSE", "server", "1000 until next time")).to_have_count(1)
        await expect(ann.perch).to_have_count(0)
        await toggle.click()
        await expect(ann.state).to_have_text("open")
        await expect(ann.notice).to_be_hidden()
        await expect(ann.perch).to_have_text(["Ann"])


async def test_the_server_goes_away_and_comes_back(chromium: Chromium) -> None:
    async with chromium.context() as context, contextlib.AsyncExitStack() as first:
        _, url = await first.enter_async_context(serving())
        port = int(url.rstrip("/").rpartition(":")[2])
        async with tabs(context, url, "Ann", "Bob") as (ann, bob):
            await ann.text.fill("a draft")
            await first.aclose()
            for tab in (ann, bob):
                await expect(tab.state).to_have_text(re.compile("closed|connecting"))
                await expect(tab.notice).to_be_visible()
                await expect(tab.piece("CLOSE", "server", "1001")).to_have_count(1)
                await expect(tab.piece("CLOSE", "client", "1001")).to_have_count(1)
            await expect(ann.page.locator("#countdown")).to_have_text(
                re.compile(r"Next try in \d+\.\d s")
            )
            await ann.text.press("Enter")
            await expect(ann.text).to_have_value("a draft")
            await expect(ann.page.locator("#compose-note")).to_contain_text("draft is kept")
            async with serving(port):
                for tab in (ann, bob):
                    await expect(tab.state).to_have_text("open", timeout=20_000)
                    await expect(tab.notice).to_be_hidden()
                await expect(ann.page.locator("#perch .self .name")).to_have_text("Ann")
                await ann.text.press("Enter")
                await expect(bob.log.last.locator(".text")).to_have_text("a draft")
                await expect(ann.text).to_have_value("")


async def test_what_was_not_heard_is_a_draft_again(
    chromium: Chromium, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = Room._hear

    async def lose(room: Room, member: Any, message: str | bytes) -> bool:
        if isinstance(message, str) and "precious" in message:
            member.connection.transport.abort()
            return False
        return await hear(room, member, message)

    async with (
        serving() as (_, url),
        chromium.context() as context,
        tabs(context, url, "Ann") as (ann,),
    ):
        monkeypatch.setattr(Room, "_hear", lose)
        await ann.say("precious words")
        await expect(ann.text).to_have_value("precious words")
        await expect(ann.state).to_have_text("open")
        monkeypatch.undo()
        await ann.text.press("Enter")
        await expect(ann.log.last.locator(".text")).to_have_text("precious words")


async def test_who_was_shown_the_door_does_not_knock_by_itself(chromium: Chromium) -> None:
    async with (
        serving() as (server, url),
        chromium.context() as context,
        tabs(context, url, "Ann") as (ann,),
    ):
        connection = await in_the_room(server)
        await connection.close(1008, "too many messages")
        await expect(ann.notice).to_contain_text("The room hung up")
        await expect(ann.notice).to_contain_text("1008 policy violation: too many messages")
        await expect(ann.page.locator("#countdown")).to_be_empty()
        await ann.page.locator("#retry").click()
        await expect(ann.state).to_have_text("open")
        await expect(ann.text).to_be_focused()


async def test_who_talks_too_fast_keeps_what_was_refused(chromium: Chromium) -> None:
    room = Room(clock=lambda: 1000.0)  # time stands still, so nobody rests
    async with (
        serving(room=room) as (_, url),
        chromium.context() as context,
        tabs(context, url, "Ann") as (ann,),
    ):
        for number in range(TALK_AT_ONCE):
            await ann.say(str(number))
            await expect(ann.log.last.locator(".text")).to_have_text(str(number))
        await ann.say("one too many")
        await expect(ann.page.locator("#compose-note")).to_contain_text("Slower")
        await expect(ann.text).to_have_value("one too many")
        await expect(ann.state).to_have_text("open")


async def test_round_trips_are_measured_and_a_silent_server_is_given_up(
    chromium: Chromium, monkeypatch: pytest.MonkeyPatch
) -> None:
    obey = Room._obey

    def ignore_pings(room: Room, member: Any, speech: object, now: float) -> None:
        if not isinstance(speech, Ping):
            obey(room, member, speech, now)  # type: ignore[arg-type]

    async with serving() as (_, url), chromium.page() as page:
        tab = Tab(page)
        await page.clock.install()
        await page.goto(url)
        await expect(page.locator("#rtt")).to_have_text(re.compile(r"^\d+(\.\d)? ms$"))
        await page.clock.run_for(2600)
        await expect(page.locator("#spark polyline")).to_have_attribute(
            "points", re.compile(r"^\S+ \S+$")
        )
        monkeypatch.setattr(Room, "_obey", ignore_pings)
        await page.clock.run_for(16_000)
        await expect(tab.tape).to_contain_text("1006 no Close came: no answer for 10 s")
        assert tab.errors == []


async def test_a_new_name(chromium: Chromium) -> None:
    async with (
        serving() as (_, url),
        chromium.context() as context,
        tabs(context, url, "Ann", "Bob") as (ann, bob),
    ):
        # By keyboard alone.
        await ann.page.locator("#me").focus()
        await ann.page.keyboard.press("Enter")
        name = ann.page.get_by_label("The others see it")
        await expect(name).to_be_focused()
        await ann.page.keyboard.press("Escape")
        await expect(ann.page.locator("#me")).to_be_focused()
        await ann.page.keyboard.press("Enter")
        await name.fill("Anna <i>")
        await ann.page.keyboard.press("Enter")
        await expect(bob.perch).to_have_text(["Anna <i>", "Bob"])
        await expect(bob.log.last).to_have_text("Ann is now Anna <i>.")
        await ann.page.reload()
        await expect(ann.page.locator("#me")).to_have_text("Anna <i>")


@pytest.mark.parametrize("width", [320, 375, 760, 1000, 1280])
async def test_nothing_makes_the_page_scroll_sideways(chromium: Chromium, width: int) -> None:
    async with (
        serving() as (_, url),
        chromium.context(**{**PHONE, "viewport": {"width": width, "height": 812}}) as context,
        tabs(context, url, "W" * 24) as (ann,),
    ):
        await ann.say("W" * 280)
        await expect(ann.log.last.locator(".text")).to_have_text("W" * 280)
        await expect(ann.pieces).not_to_have_count(0)
        assert await ann.page.evaluate("document.documentElement.scrollWidth") == width
        for part in ("#text", ".send", "#toggle", "#me", "#pause"):
            box = await ann.page.locator(part).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


async def test_on_a_phone_everything_is_within_reach(chromium: Chromium) -> None:
    async with (
        serving() as (_, url),
        chromium.context(**PHONE) as context,
        tabs(context, url, "Ann") as (ann,),
    ):
        for part in (".stage", ".talk", ".composer", ".tape"):
            await expect(ann.page.locator(part)).to_be_in_viewport(ratio=0.6)


async def test_who_wants_no_motion_gets_none(chromium: Chromium) -> None:
    async with (
        serving() as (_, url),
        chromium.context(reduced_motion="reduce") as context,
        tabs(context, url, "Ann") as (ann,),
    ):
        await ann.say("one")
        await ann.say("two")
        still = ann.page.locator(".flight.still")
        await expect(still).to_have_text(["Ann one", "Ann two"])
        boxes = [await still.nth(number).bounding_box() for number in (0, 1)]
        assert boxes[0] is not None
        assert boxes[1] is not None
        assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]
        moving = (
            "document.getAnimations().filter((a) => a.effect.getKeyframes()[0].transform).length"
        )
        assert await ann.page.evaluate(moving) == 0


async def test_everything_has_a_name_for_those_who_listen(chromium: Chromium) -> None:
    async with (
        serving() as (_, url),
        chromium.context() as context,
        tabs(context, url, "Ann") as (ann,),
    ):
        page = ann.page
        await ann.say("hello")
        await expect(page.get_by_role("log", name="Said so far")).to_contain_text("hello")
        await expect(page.get_by_role("list", name="Who is here")).to_contain_text("Ann (you)")
        await expect(page.get_by_role("textbox", name="Your message to everybody")).to_be_visible()
        await expect(page.get_by_role("list", name="On the wire")).to_be_visible()
        await expect(page.get_by_role("status").first).to_contain_text("open")
        sent = page.get_by_role("button", name=re.compile("^sent TEXT .* B FIN"))
        await expect(sent.first).to_be_visible()
        unnamed = await page.evaluate(
            """[...document.querySelectorAll("button, input")]
            .filter((e) => !e.hidden && !(e.textContent.trim() || e.ariaLabel || e.labels?.length))
            .map((e) => e.outerHTML)"""
        )
        assert unnamed == []


async def test_lanes_keep_comments_apart(chromium: Chromium) -> None:
    """Random comments are flown by the rule; at no time do two of a lane touch."""
    async with serving() as (_, url), chromium.page() as page:
        await page.goto(url)
        result = await page.evaluate(
            """async () => {
            const { Lanes } = await import("/lanes.js");
            let seed = 7;
            const chance = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
            const stage = 900, lanes = new Lanes(4, 20), flown = [];
            let refused = 0;
            for (let now = 0; now < 300000; now += chance() * 1500) {
              const width = 60 + chance() * 700, time = 6000 + chance() * 6000;
              const lane = lanes.take(now, width, stage, time);
              if (lane < 0) refused++;
              else flown.push({ lane, start: now, width, time });
            }
            const left = (f, t) => stage - ((stage + f.width) * (t - f.start)) / f.time;
            let least = Infinity;
            for (const a of flown) for (const b of flown) {
              if (a.lane !== b.lane || b.start <= a.start || b.start > a.start + a.time) continue;
              for (let t = b.start; t <= a.start + a.time; t += 10) {
                least = Math.min(least, left(b, t) - left(a, t) - a.width);
              }
            }
            const used = new Set(flown.map((f) => f.lane)).size;
            return { least, refused, flown: flown.length, lanes: used };
          }"""
        )
        assert result["least"] >= 19.9
        assert result["lanes"] == 4
        assert result["flown"] > 100
        assert result["refused"] > 0


async def test_delays_grow_to_a_limit_and_differ(chromium: Chromium) -> None:
    async with serving() as (_, url), chromium.page() as page:
        await page.goto(url)
        delays = await page.evaluate(
            """async () => {
            const { delayBefore } = await import("/backoff.js");
            const range = (n) => [delayBefore(n, () => 0), delayBefore(n, () => 1)];
            return [0, 1, 2, 10, 1000].map(range);
          }"""
        )
        assert delays == [[300, 600], [600, 1200], [1200, 2400], [7500, 15000], [7500, 15000]]


async def test_a_page_of_another_server_may_not_connect(chromium: Chromium) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<!doctype html>"  # with no policy that would forbid it first
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n")
        writer.write(body)
        await writer.drain()
        writer.close()

    elsewhere = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with elsewhere, serving() as (_, url), chromium.page() as page:
        outcomes = []
        for origin in (url, f"http://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}/"):
            await page.goto(origin)
            outcomes.append(
                await page.evaluate(
                    """(url) => new Promise((done) => {
                    const socket = new WebSocket(url);
                    socket.onopen = () => done("open");
                    socket.onclose = ({ code }) => done(code);
                  })""",
                    url.replace("http", "ws", 1) + "echo",
                )
            )
        assert outcomes == ["open", 1006]
