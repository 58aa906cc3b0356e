"""The Python below each panel runs as it stands, and prints what the panel shows."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.playground import lines, near, ranked, settle, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from support.browser import Watched
    from twofold import Embedder
    from twofold.vectors import FloatArray

    Open = Callable[..., None]

DECIMALS = 6e-4
"""What three decimals leave open."""
WHERE = ("here", "server")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::twofold.DimensionsWarning")]


@pytest.fixture
def run(page: Page, embedders: dict[str, Embedder]) -> Callable[..., str]:
    """What the page's Python prints. It names no folder of the server: readers put their own there, as here."""

    def printed(where: str) -> str:
        page.locator("#python").evaluate("details => details.open = true")
        page.select_option("#where", where)
        code = page.locator("#code").evaluate("code => code.textContent")
        for name, model in (("sentence-transformers/all-MiniLM-L6-v2", "MiniLM"), ("tiny-v3", "tiny-v3")):
            folder = embedders[model].settings.model
            code = code.replace(f'Embedder("{name}"', f"Embedder({folder!r}, dtype='float32'")
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile(code, "playground.py", "exec"), {"__name__": "__main__"})
        return out.getvalue()

    return printed


def numbers(text: str) -> FloatArray:
    return np.array([float(number) for number in re.findall(r"-?\d+\.\d{3}\b", text)])


def rankings(text: str, passages: list[str]) -> list[tuple[list[int], FloatArray]]:
    """Each ranking that was printed: passages by number, and their scores."""
    rows = [
        (passages.index(row[2]), float(row[1]))
        for row in re.findall(r"^ +(\d+) +(-?[\d.]+)  (.+)$", text, re.MULTILINE)
    ]
    parts = [rows[start : start + len(passages)] for start in range(0, len(rows), len(passages))]
    return [([item for item, _ in part], np.array([score for _, score in part])) for part in parts]


@pytest.mark.parametrize("model", ["fake", "MiniLM"])
def test_two_sides(page: Page, open_panel: Open, run: Any, model: str) -> None:
    open_panel("sides", model)
    for where in WHERE:
        printed = rankings(run(where), lines(page, "passages"))
        assert len(printed) == (6 if model == "fake" else 3), where
        for which in range(page.locator("#view .ranked").count()):
            items, scores = ranked(page, which)
            found, values = printed[3 * which]
            assert found == items, where
            assert near(values, scores, DECIMALS), where


def test_tasks(page: Page, open_panel: Open, run: Any) -> None:
    open_panel("tasks", "tiny-v3")
    for where in WHERE:
        printed = rankings(run(where), lines(page, "passages"))
        shown = table(page, "#view .tasks")
        assert len(printed) == 3 * shown.shape[1], where
        for column, (_, values) in zip(shown.T, printed[::3], strict=True):
            assert near(values, np.sort(column)[::-1], DECIMALS), where


def test_dimensions(page: Page, open_panel: Open, run: Any) -> None:
    open_panel("dimensions")
    page.fill("#size-exact", "24")
    items, scores = ranked(page, 1)
    for where in WHERE:
        found, values = rankings(run(where), lines(page, "passages"))[0]
        assert found == items, where
        assert near(values, scores, DECIMALS), where


@pytest.mark.parametrize("model", ["fake", "tiny-v3"])
def test_late_chunking(page: Page, open_panel: Open, run: Any, model: str) -> None:
    open_panel("late", model, "birthday")
    values = page.locator("#view .measure .value").evaluate_all("all => all.map(one => Number(one.dataset.score))")
    for where in WHERE:
        assert near(numbers(run(where)), values, DECIMALS), where


def test_the_heat_map(page: Page, open_panel: Open, run: Any) -> None:
    open_panel("heat", "MiniLM", "entities")
    for what in ("across", "all"):
        page.get_by_label("Show", exact=True).select_option(what)
        settle(page)
        for where in WHERE:
            assert near(numbers(run(where)), table(page, "#view .heatmap").ravel(), DECIMALS), (what, where)


@pytest.mark.parametrize("questions", [True, False])
def test_the_map(page: Page, open_panel: Open, run: Any, *, questions: bool) -> None:
    open_panel("map", "tiny-v3", "reviews")
    if not questions:
        page.fill("#questions", "")
    page.get_by_label("Embedded", exact=True).select_option("classification")
    settle(page)
    for where in WHERE:
        assert near(numbers(run(where)), table(page, "#view .points", "value").ravel(), DECIMALS), where


def test_the_code_is_of_what_is_shown_and_not_of_what_was_typed_since(page: Page, open_panel: Open, run: Any) -> None:
    open_panel("dimensions")
    passages = lines(page, "passages")
    page.fill("#passages", "something else\nand more")
    page.fill("#size-exact", "24")
    found, _ = rankings(run("here"), passages)[0]
    assert found == ranked(page, 1)[0]
    page.click("#compare")
    page.fill("#questions", "")
    page.click("#compare")
    settle(page)
    assert page.locator("#python").is_hidden()  # there is nothing to show


def test_odd_texts_are_still_python(page: Page, open_panel: Open, run: Any) -> None:
    open_panel("sides")
    page.fill("#questions", 'A "quoted" back\\slash?')
    page.fill("#passages", 'tab\there, "quotes" and \\n\n{braces} and 💡\nits 海')
    page.click("#compare")
    settle(page)
    found, _ = rankings(run("here"), lines(page, "passages"))[0]
    assert found == ranked(page)[0]


def test_the_code_can_be_copied(watched: Watched, open_panel: Open) -> None:
    page = watched.page
    watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_panel("sides")
    page.click("#python summary")
    page.click("#copy")
    page.wait_for_selector("#copied:text('Copied.')")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#code").evaluate("code => code.textContent")
