"""The page in people's hands: keys, keyboards, long work, and servers that fail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from support.browser import Watched
from support.playground import PANELS, settle
from support.serving import serving
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    Open = Callable[..., None]


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_the_servers_words_are_shown(page: Page, watched: Watched) -> None:
    page.fill("#questions", "too long " * 300)
    page.click("#compare")
    settle(page)
    expect(page.get_by_role("alert")).to_contain_text("512")
    expect(page.get_by_role("alert")).to_contain_text("The server answered")
    assert page.locator("#view").inner_text() == ""
    assert "422" in watched.said.pop()  # the browser's own note of the answer


def test_texts_that_are_missing_or_too_many(page: Page, watched: Watched) -> None:
    sent = watched.posts()
    for questions, passages, words in (
        ("", "one\ntwo", "Write a question"),
        ("one?", "one", "Write at least 2 passages"),
        ("one?", "\n".join(map(str, range(100))), "101 texts are too many: this page takes 100"),
    ):
        page.fill("#questions", questions)
        page.fill("#passages", passages)
        expect(page.locator("#stale")).to_be_visible()
        page.click("#compare")
        settle(page)
        expect(page.get_by_role("alert")).to_contain_text(words)
    assert watched.posts() == sent


def test_a_server_that_has_gone(page: Page, watched: Watched) -> None:
    page.route("**/v1/embeddings", lambda route: route.abort())
    page.fill("#questions", "something new?")
    page.click("#compare")
    settle(page)
    expect(page.get_by_role("alert")).to_have_text("The server cannot be reached. Is it still running?")
    assert "ERR_FAILED" in watched.said.pop()


def test_a_server_that_wants_a_key(browser: Browser) -> None:
    with serving(FakeEmbedder(), api_keys=["sesame"]) as url:
        watched = Watched(browser)
        page = watched.page
        page.goto(url)
        expect(page.get_by_role("alert")).to_contain_text("The server needs an API key")
        expect(page.locator("#key")).to_be_focused()
        page.keyboard.type("open")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("does not accept that key")
        page.fill("#key", "sesame")
        page.keyboard.press("Enter")
        settle(page)
        expect(page.locator("#view .ranked")).to_have_count(2)
        kept = "[...Object.values(localStorage), ...Object.values(sessionStorage), document.cookie, location.href]"
        assert "sesame" not in str(page.evaluate(kept))
        assert "sesame" not in page.locator("#code").evaluate("code => code.textContent")
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("The server needs an API key")
        assert page.input_value("#key") == ""
        watched.context.close()


@pytest.fixture
def slow_page(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """The page over a model that takes a while for each batch."""
    embedder = FakeEmbedder()
    embed = embedder.backend.embed

    def slowly(documents: Any, *arguments: Any, **options: Any) -> Any:
        time.sleep(0.6 if len(documents) > 1 else 0)
        return embed(documents, *arguments, **options)

    monkeypatch.setattr(embedder.backend, "embed", slowly)
    with serving(embedder) as url:
        watched = Watched(browser)
        watched.page.goto(url)
        settle(watched.page)
        yield watched.page
        watched.context.close()


def test_long_work_shows_progress_and_can_be_cancelled(slow_page: Page) -> None:
    page = slow_page
    page.fill("#passages", "\n".join(f"passage {number}" for number in range(90)))
    page.click("#compare")
    expect(page.locator("#work-label")).to_contain_text("of 90 texts embedded")
    expect(page.locator("#work-label")).to_have_text("16 of 90 texts embedded")
    page.click("#cancel")
    settle(page)
    expect(page.get_by_role("alert")).to_have_text("Cancelled. Finished texts are kept.")
    expect(page.locator("#work")).to_be_hidden()
    page.click("#compare")
    expect(page.locator("#work-label")).to_contain_text("of 74 texts embedded")  # 16 are there already
    settle(page)
    expect(page.locator("#view .ranked").first.locator("li")).to_have_count(90)


# -- hands and eyes ---------------------------------------------------------------------------------------------------


def test_the_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#results")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#tab-sides")).to_be_focused()
    for key, panel in (("ArrowRight", "tasks"), ("End", "map"), ("ArrowRight", "sides"), ("ArrowLeft", "map")):
        page.keyboard.press(key)
        expect(page.locator(f"#tab-{panel}")).to_be_focused()
        expect(page.get_by_role("tab", selected=True)).to_have_id(f"tab-{panel}")
        settle(page)
    expect(page.get_by_role("tabpanel")).to_have_attribute("aria-labelledby", "tab-map")
    page.fill("#questions", "pressed?")
    page.keyboard.press("Control+Enter")
    settle(page)
    expect(page.locator("#view .point").first).to_have_attribute("aria-label", "Question: pressed?")
    page.focus("#tab-heat")
    page.keyboard.press("Enter")
    settle(page)
    page.get_by_label("Show", exact=True).focus()
    page.keyboard.press("ArrowDown")  # what is drawn again keeps the focus
    expect(page.locator("#view .heatmap tbody tr")).to_have_count(9)
    expect(page.get_by_label("Show", exact=True)).to_be_focused()
    outline = "node => getComputedStyle(node).outlineStyle"
    page.focus("#compare")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.locator("#compare").evaluate(outline) == "solid"


def test_an_address_opens_its_panel(page: Page, address: str) -> None:
    for panel, shown in (("heat", ".heatmap"), ("map", ".map")):  # the page is open already
        page.goto(f"{address}#{panel}")
        expect(page.locator(f"#view {shown}")).to_be_visible()
    page.goto("about:blank")
    page.goto(f"{address}#heat")
    expect(page.locator("#view .heatmap")).to_be_visible()


def test_every_control_has_a_name(page: Page, open_panel: Open) -> None:
    nameless = """() => [...document.querySelectorAll("input, select, textarea, button, summary")].filter(
        (node) => !(node.labels?.length || node.ariaLabel || node.textContent.trim())).map((node) => node.outerHTML)"""
    for panel in PANELS:
        open_panel(panel, "tiny-v3")
        assert page.evaluate(nameless) == [], panel
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
        assert len(ids) == len(set(ids)), panel
