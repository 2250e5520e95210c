"""The room in real Chromium: two tabs talk, see the frames, lose the server and find it again."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from typing import Any

import pytest
from playwright.async_api import expect
from tests.browser.demo_page import Tab, in_the_room, serving, tabs
from tests.chromium import Chromium

from wirebird.cli.demo.app import Demo
from wirebird.cli.demo.room import TALK_AT_ONCE, Room
from wirebird.cli.demo.speech import Ping


async def test_two_tabs_talk(chromium: Chromium) -> None:
    async with (
        serving() as (_, url),
        chromium.context() as context,
        tabs(context, url, "Ann", "Bob") as (ann, bob),
    ):
        await expect(ann.perch).to_have_text(["Ann", "Bob"])
        await expect(bob.perch).to_have_text(["Ann", "Bob"])
        await expect(bob.page.locator("#count")).to_have_text("2 here")
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


async def test_over_tls(chromium: Chromium, server_tls: ssl.SSLContext) -> None:
    async with (
        Demo().serve("127.0.0.1", 0, ssl=server_tls) as server,
        chromium.context(ignore_https_errors=True) as context,
        tabs(context, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "Ann") as (ann,),
    ):
        await expect(ann.page.locator("#state-note")).to_have_text(re.compile(r"^wss://.*/room$"))
        await ann.say("hello")
        await expect(ann.log.last.locator(".text")).to_have_text("hello")
        await expect(ann.piece("TEXT", "client", "hello")).to_have_count(1)


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
