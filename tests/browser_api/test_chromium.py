"""The same scripts in Chromium and here, against the same servers: they must tell the same story.

What Chromium told is in ``chromium.json``, so that every test here is quick; one test asks Chromium
itself whether that is still true. ``python -m tests.browser_api.test_chromium`` writes it anew.
"""

from __future__ import annotations

import asyncio
import json
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from tests import needs
from tests.browser_api.peers import Log, peers
from tests.browser_api.scenarios import BY_STANDARD, SCENARIOS, URLS, Scenario
from tests.chromium import Chromium, start_chromium

from wirebird.browser import DOMException, WebSocket

RECORDED = pathlib.Path(__file__).with_name("chromium.json")

_RUN = """
async ([url, protocols, script]) => {
  const log = [];
  const attempt = (action) => {
    try { return action(); } catch (error) { log.push(["raised", error.name]); }
  };
  const ws = attempt(() => protocols === null ? new WebSocket(url) : new WebSocket(url, protocols));
  if (!ws) return log;
  await new Promise((resolve) => {
    const told = (event) => {
      const line = [event.type, ws.readyState];
      if (event.type === "message") {
        const data = event.data;
        line.push(typeof data === "string" ? data
                  : [data.constructor.name, data.size ?? data.byteLength]);
      }
      if (event.type === "close") {
        line.push(event.wasClean, event.code, event.reason);
        setTimeout(resolve, 10);
      }
      log.push(line);
    };
    for (const type of ["open", "message", "error", "close"]) ws.addEventListener(type, told);
    new Function("ws", "log", "attempt", script)(ws, log, attempt);
  });
  return log;
}
"""
_READ_URLS = """
(urls) => urls.map((url) => {
  try { const ws = new WebSocket(url); ws.close(); return ws.url; }
  catch (error) { return error.name; }
})
"""


async def ask(chromium: Chromium) -> dict[str, Any]:
    """Run everything in Chromium; return what it told."""
    told: dict[str, Any] = {}
    async with peers() as base, chromium.page() as page:
        for scenario in SCENARIOS:
            arguments = [base + scenario.path, scenario.protocols, scenario.javascript]
            told[scenario.name] = await page.evaluate(_RUN, arguments)
        # Within the program: as an argument, a lone surrogate would not get there.
        told["urls"] = await page.evaluate(f"() => ({_READ_URLS})({json.dumps(URLS)})")
    return told


async def run(scenario: Scenario) -> list[Any]:
    """Run a scenario here; return its log, as JSON would hold it."""
    log: list[Any] = []

    def attempt(action: Callable[[], Any]) -> Any:
        try:
            return action()
        except DOMException as exc:
            log.append(["raised", exc.name])
            return None

    async with peers() as base:
        protocols = () if scenario.protocols is None else scenario.protocols
        ws = attempt(lambda: WebSocket(base + scenario.path, protocols, proxy=None))
        if ws is not None:
            events = Log(ws, log)
            scenario.python(ws, log, attempt)
            await events.closed()
    return json.loads(json.dumps(log))  # type: ignore[no-any-return]


def recorded() -> dict[str, Any]:
    """What Chromium told when it was asked last."""
    return json.loads(RECORDED.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_it_goes_as_in_chromium(scenario: Scenario) -> None:
    assert await run(scenario) == recorded()[scenario.name]


@pytest.mark.parametrize("number", range(len(URLS)))
async def test_a_url_is_read_as_in_chromium(number: int) -> None:
    try:
        ws = WebSocket(URLS[number], proxy=None)
    except DOMException as exc:
        here = exc.name
    else:
        here = ws.url
        log = Log(ws)
        ws.close()
        await log.closed()
    there = recorded()["urls"][number]
    expected = BY_STANDARD.get(URLS[number], there)
    assert here == expected
    assert URLS[number] not in BY_STANDARD or there != expected, "Chromium has come round"


@pytest.mark.time_limit(120)
async def test_what_was_recorded_is_what_chromium_tells(chromium: Chromium, engine: str) -> None:
    if engine != "python":
        return  # no connection of Wirebird is in it
    assert await ask(chromium) == recorded()


def _write() -> None:
    with (
        tempfile.TemporaryDirectory() as profile,
        start_chromium(needs.CHROMIUM.path(), pathlib.Path(profile)) as chromium,
    ):
        told = asyncio.run(ask(chromium))
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(log)}" for name, log in told.items())
    RECORDED.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
