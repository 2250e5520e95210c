"""One Chromium for many tests, each with an event loop of its own.

Playwright's objects belong to one event loop, and a browser takes a second to start. So the browser
is a process of the whole run, and each test attaches to it over the DevTools protocol, in a
browser context that nobody shares (own cookies, own storage).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import time
from collections.abc import AsyncIterator, Iterator

from playwright.async_api import BrowserContext, Page, async_playwright

__all__ = ["Chromium", "start_chromium"]

START_TIMEOUT_S = 30.0


@dataclasses.dataclass(frozen=True)
class Chromium:
    """A running Chromium.

    Args:
        endpoint: the http:// address of its DevTools.
    """

    endpoint: str

    @contextlib.asynccontextmanager
    async def context(self, **options: object) -> AsyncIterator[BrowserContext]:
        """A fresh browser context; options as Playwright's ``new_context``."""
        async with async_playwright() as playwright:
            browser = await playwright.chromium.connect_over_cdp(self.endpoint)
            context = await browser.new_context(**options)  # type: ignore[arg-type]
            try:
                yield context
            finally:
                await context.close()
                await browser.close()  # detaches; the process goes on

    @contextlib.asynccontextmanager
    async def page(self, **options: object) -> AsyncIterator[Page]:
        """A page in a fresh browser context; options as Playwright's ``new_context``."""
        async with self.context(**options) as context:
            yield await context.new_page()


@contextlib.contextmanager
def start_chromium(path: str, profile: pathlib.Path, *further: str) -> Iterator[Chromium]:
    """Run a headless Chromium with a throw-away profile; it has ended when the block is left.

    Args:
        path: of the program.
        profile: a folder for it alone.
        further: arguments for it.
    """
    arguments = [
        path,
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-sync",
        "--mute-audio",
        *further,
        "about:blank",
    ]
    if os.geteuid() == 0:
        arguments.insert(1, "--no-sandbox")  # Chromium refuses a sandbox for root
    log_path = profile / "stderr.log"
    with open(log_path, "wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, start_new_session=True)
    try:
        yield Chromium(f"http://127.0.0.1:{debugging_port(process, profile, log_path)}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def debugging_port(
    process: subprocess.Popen[bytes], profile: pathlib.Path, log: pathlib.Path
) -> int:
    """Wait for the file in which Chromium tells the port it chose."""
    file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise RuntimeError(f"Chromium did not start:\n{log.read_text(errors='replace')}")
