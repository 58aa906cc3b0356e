"""The page in people's hands: keys and keyboards, small screens, dark rooms, and servers that fail."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from support.browser import Watched
from support.playground import settle
from support.serving import serving
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    Open = Callable[..., None]

ROOT = Path(__file__).parents[3]
PANELS = ("sides", "tasks", "dimensions", "late", "heat", "map")


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
        ("one?", "one", "Write 2 passages at least"),
        ("one?", "\n".join(map(str, range(100))), "101 texts are too many for this page"),
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
        expect(page.get_by_role("alert")).to_contain_text("The server wants an API key")
        expect(page.locator("#key")).to_be_focused()
        page.keyboard.type("open")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("not a key of this server")
        page.fill("#key", "sesame")
        page.keyboard.press("Enter")
        settle(page)
        expect(page.locator("#view .ranked")).to_have_count(2)
        kept = "[...Object.values(localStorage), ...Object.values(sessionStorage), document.cookie, location.href]"
        assert "sesame" not in str(page.evaluate(kept))
        assert "sesame" not in page.locator("#code").evaluate("code => code.textContent")
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("The server wants an API key")
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
    expect(page.get_by_role("alert")).to_have_text("Cancelled. What was done is kept.")
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


@pytest.mark.parametrize("panel", PANELS)
def test_every_control_has_a_name(page: Page, open_panel: Open, panel: str) -> None:
    open_panel(panel, "tiny-v3")
    nameless = """() => [...document.querySelectorAll("input, select, textarea, button, summary")].filter(
        (node) => !(node.labels?.length || node.ariaLabel || node.textContent.trim())).map((node) => node.outerHTML)"""
    assert page.evaluate(nameless) == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))


def test_dark_by_the_systems_wish_and_by_the_switch(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    assert light != dark
    switch = page.get_by_role("button", name="Dark")
    expect(switch).to_have_attribute("aria-pressed", "true")
    switch.click()
    assert page.evaluate(background) == light
    page.reload()  # the choice is kept
    settle(page)
    assert page.evaluate(background) == light
    expect(switch).to_have_attribute("aria-pressed", "false")


CONTRAST = """(pairs) => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (colour) => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = colour;
    context.fillStyle = getComputedStyle(probe).color;
    probe.remove();
    context.fillRect(0, 0, 1, 1);
    const parts = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return pairs.map(([one, other]) => {
    const [a, b] = [luminance(`var(--${one})`), luminance(`var(--${other})`)].sort((x, y) => y - x);
    return [one, other, (a + 0.05) / (b + 0.05)];
  });
}"""
TEXT = ["ink paper", "ink surface", "ink heat", "ink wash", "ink sunk", "soft paper", "soft surface", "accent paper"]
TEXT += ["accent wash", "on-accent accent", "warn paper", "warn warn-wash"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_numbers_are_legible(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    found = page.evaluate(CONTRAST, [pair.split() for pair in TEXT])
    assert [pair for pair in found if pair[2] < 4.5] == []  # WCAG 2.2, 1.4.3
    marks = page.evaluate(CONTRAST, [["edge", "paper"], ["accent", "paper"], ["accent", "sunk"]])
    assert [pair for pair in marks if pair[2] < 3] == []  # 1.4.11


def test_nothing_moves_where_that_is_not_wanted(page: Page) -> None:
    duration = "getComputedStyle(document.querySelector('#view .row')).transitionDuration"
    assert page.evaluate(duration) != "0s"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(duration) == "0s"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_every_panel_fits_its_window(page: Page, open_panel: Open, tmp_path: Path, width: int, scheme: Any) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    for panel in PANELS:
        open_panel(panel, "tiny-v3")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, panel
        page.screenshot(path=tmp_path / f"{panel}-{width}-{scheme}.png", full_page=True)
    page.click(".key summary")
    box = page.locator(".pop").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    page.screenshot(path=tmp_path / f"key-{width}-{scheme}.png")
    assert len(list(tmp_path.iterdir())) == len(PANELS) + 1


PICTURE = os.environ.get("PLAYGROUND_PICTURE", "")


@pytest.mark.skipif(not PICTURE, reason="draws the picture of the documentation: PLAYGROUND_PICTURE=docs/images/…png")
def test_the_picture_of_the_documentation(page: Page, open_panel: Open) -> None:
    page.set_viewport_size({"width": 1200, "height": 1000})
    open_panel("dimensions", "MiniLM", "lightsaber")
    page.screenshot(path=ROOT / PICTURE)
    assert (ROOT / PICTURE).stat().st_size <= 300_000
