"""Chromium without a window, driven by Playwright: the system's own browser, nothing is downloaded."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


SECONDS = 20
"""For which something is waited for."""
expect.set_options(timeout=SECONDS * 1000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a new, empty profile. Where there is none, the test says that it was skipped."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"no browser is on the path ({', '.join(names)}): apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, with all that it says in its console, all that goes wrong, and every address that it asks."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(SECONDS * 1000)
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(f"{request.method} {request.url}"))

    def reset(self) -> None:
        """As a new window is: an empty page of 1280 pixels, light, and nothing kept of an earlier one."""
        if self.page.url != "about:blank":
            self.page.evaluate("localStorage.clear(), sessionStorage.clear()")
        self.page.unroute_all()
        self.page.goto("about:blank")
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.emulate_media(color_scheme="light", reduced_motion="null")
        self.context.clear_permissions()
        self.context.clear_cookies()
        self.said.clear()
        self.asked.clear()

    def posts(self) -> int:
        """How many requests for vectors were sent."""
        return sum(one.startswith("POST") for one in self.asked)
