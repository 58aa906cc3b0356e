"""Every page of the documentation and the README: their code runs as it stands, and prints what they say.

Real models' names lead to small checkpoints of the same layout (`support/hub.py`), providers and Weaviate to stand-ins.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromadb.api.shared_system_client import SharedSystemClient

import weaviate_twofold
from support.faultserver import FaultServer
from support.hub import make_hub, use_hub
from support.pages import Page, steps
from support.weaviate_stand_in import StandInClient
from twofold.hosted.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = [page for page in PAGES if steps(page)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hub(tmp_path_factory.mktemp("hub"))


@pytest.fixture(autouse=True)
def _elsewhere(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of the page's own, in which everything that it names by its public address is on this machine."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(tmp_path / "here")  # for the files that the page writes
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "here"), prepend=os.pathsep)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    use_hub(hub, monkeypatch)
    monkeypatch.setattr(weaviate_twofold, "connect", lambda _url: StandInClient())
    with FaultServer() as server:
        monkeypatch.setitem(PROVIDERS, "jina", replace(PROVIDERS["jina"], base_url=server.url))
        monkeypatch.setenv("JINA_API_KEY", "jina-key")
        yield
    SharedSystemClient.clear_system_cache()  # Chroma knows "./store" by its name, wherever that is
    logging.getLogger("twofold").setLevel(logging.NOTSET)


@pytest.mark.parametrize("path", RUN, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(path: Path) -> None:
    page = Page(str(path.relative_to(ROOT)))
    try:
        for step in steps(path):
            page.run(step)
    finally:
        page.close()


def test_some_pages_have_code() -> None:
    assert len(RUN) > 10
