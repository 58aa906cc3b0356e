"""What a person sees on the playground, read out of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from playwright.sync_api import Page

    from twofold.vectors import FloatArray

PANELS = ("sides", "tasks", "dimensions", "late", "heat", "map")


def lines(page: Page, box: str) -> list[str]:
    """The texts in one of the boxes."""
    return [line for line in page.input_value(f"#{box}").splitlines() if line.strip()]


def ranked(page: Page, which: int = 0) -> tuple[list[int], FloatArray]:
    """A ranking: its passages by number, best first, and their scores."""
    rows = page.locator("#view .ranked").nth(which).locator("li")
    items = rows.evaluate_all("rows => rows.map(row => [Number(row.dataset.item), Number(row.dataset.score)])")
    return [int(item) for item, _ in items], np.array([score for _, score in items])


def table(page: Page, selector: str, value: str = "score") -> FloatArray:
    """A table's values, row by row."""
    cells = f"[...row.cells].slice(1).map(cell => Number(cell.dataset.{value}))"
    found: Any = page.locator(selector).evaluate(f"table => [...table.tBodies[0].rows].map(row => {cells})")
    return np.array(found)


def order(scores: FloatArray) -> list[int]:
    """The numbers of the best first."""
    return [int(index) for index in (-scores).argsort(kind="stable")]


def settle(page: Page) -> None:
    """Wait until the models are there and the work is done."""
    page.wait_for_selector("#model option", state="attached")
    page.wait_for_selector("#panel:not([aria-busy])")


def near(found: ArrayLike, expected: ArrayLike, within: float = 2e-6) -> bool:
    """Whether all numbers agree, by default as far as float32 sums do."""
    return np.allclose(found, expected, rtol=0, atol=within)
