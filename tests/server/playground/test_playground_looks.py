"""How the page looks: light and dark, legible, within small windows; and its picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from support.playground import PANELS, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    Open = Callable[..., None]

ROOT = Path(__file__).parents[3]


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
