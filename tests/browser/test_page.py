"""The page in real Chromium: its layout, its motion, its names for those who listen."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import expect
from tests.browser.demo_page import serving, tabs
from tests.chromium import Chromium

PHONE: dict[str, Any] = {
    "viewport": {"width": 375, "height": 812},
    "is_mobile": True,
    "has_touch": True,
}


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
        await expect(ann.page.locator("#me")).to_have_text("Anna <i>")
        await ann.page.reload()
        await expect(ann.state).to_have_text("open")
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
