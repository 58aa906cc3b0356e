from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from twofold import InputError, SpaceMismatch, StoreError
from twofold.jobs import Item, index, open_store, verify
from twofold.stores.store import scan_rows
from twofold.testing import FakeEmbedder, MemoryStore

if TYPE_CHECKING:
    from twofold.stores import Store

BOOK = "\n\n".join(f"Page {number} tells of ships and fog." for number in range(20))
ITEMS = [Item("book", BOOK), *(Item(f"d{number}", f"Ship number {number} came in at nine.") for number in range(40))]


@pytest.mark.parametrize("late", [True, False])
def test_a_sound_collection(embedder: FakeEmbedder, memory: Store, late: bool) -> None:
    index(embedder, memory, ITEMS, chunk_tokens=8, late_chunking=late)
    found = verify(embedder, memory)
    assert found.sound
    assert (found.documents, found.rows, found.sampled) == (41, memory.count(), 41)
    assert (found.unchecked, found.searched) == (0, found.found)
    assert verify(embedder, memory, sample=5, seed=1) == verify(embedder, memory, sample=5, seed=1)
    with pytest.raises(InputError, match="sample=0"):
        verify(embedder, memory, sample=0)
    with pytest.raises(SpaceMismatch):
        verify(FakeEmbedder(document_task="topic"), memory)


def test_rows_that_are_missing_or_of_two_versions_are_named(embedder: FakeEmbedder, memory: Store) -> None:
    index(embedder, memory, ITEMS, chunk_tokens=8)
    memory.delete(["book#1"])
    (stored,) = memory.get(["d0#0"])
    other = type(stored.row)(id="d0#9", document="d0", text="x", span=(0, 1), metadata={}, digest="other")
    memory.upsert([other], stored.vector[None])
    found = verify(embedder, memory)
    assert (found.broken, found.broken_ids, found.sound) == (2, ("book", "d0"), False)
    index(embedder, memory, ITEMS, chunk_tokens=8)
    assert verify(embedder, memory).sound


def test_vectors_of_something_else_are_named(embedder: FakeEmbedder, memory: Store) -> None:
    index(embedder, memory, ITEMS)
    (stored,) = memory.get(["d3"])
    memory.upsert([stored.row], np.roll(stored.vector, 1)[None])
    found = verify(embedder, memory)
    assert (found.changed_ids, found.sound) == (("d3",), False)


def test_a_collection_can_be_looked_at_without_its_model(
    monkeypatch: pytest.MonkeyPatch, embedder: FakeEmbedder, memory: Store
) -> None:
    index(embedder, memory, ITEMS)
    embedder.calls.clear()
    found = verify(None, memory)
    assert (found.faults, found.unchecked, embedder.calls) == ([], 41, [])
    (stored,) = memory.get(["d3"])
    memory.upsert([stored.row], np.zeros_like(stored.vector)[None])
    found = verify(None, memory)
    assert (found.lost_ids, found.sound) == (("d3",), False)
    monkeypatch.setattr(MemoryStore, "search", lambda *_: [])
    (fault,) = verify(None, memory).faults
    assert fault.startswith("41 of 41 rows are not found by their own vectors")


@pytest.mark.parametrize("late", [True, False])
def test_a_long_document_is_looked_at_by_a_section(
    monkeypatch: pytest.MonkeyPatch, embedder: FakeEmbedder, memory: Store, late: bool
) -> None:
    monkeypatch.setattr("twofold.jobs.chunking.SECTION", 500)
    long = Item("long", BOOK * 4)
    index(embedder, memory, [long], chunk_tokens=8, late_chunking=late)
    rows = [one.row for one in memory.get([held.id for held in memory.held(["long"])])]
    assert len({row.section for row in rows}) == (6 if late else 1)
    assert verify(embedder, memory).sound
    assert verify(embedder, memory).unchecked == 0
    (stored,) = memory.get(["long#3"])
    memory.upsert([stored.row], np.roll(stored.vector, 1)[None])
    assert verify(embedder, memory).changed_ids == ("long",)
    monkeypatch.setattr("twofold.jobs.verifying.MOST_ROWS", 6)  # less than a section
    assert verify(embedder, memory).changed_ids == ()
    assert verify(embedder, memory).unchecked == 1


FILL = """
import sys
sys.path.insert(0, sys.argv[2])
from test_verify import ITEMS_ON_DISK
from twofold.jobs import index, open_store
from twofold.testing import FakeEmbedder
embedder = FakeEmbedder()
with open_store(f"chroma:{sys.argv[1]}", "docs", embedder) as store:
    index(embedder, store, ITEMS_ON_DISK)
"""
ITEMS_ON_DISK = [Item(f"d{number}", f"Ship number {number} came in at nine.") for number in range(1100)]
"""Chroma writes its search index to disk after each 1,000 rows."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Chroma folder that another process has written and closed."""
    folder = tmp_path_factory.mktemp("filled") / "store"
    command = [sys.executable, "-c", FILL, str(folder), str(Path(__file__).parent)]
    subprocess.run(command, check=True, timeout=300)
    return folder


def test_a_search_structure_that_was_deleted_is_noticed_and_made_again_by_force(tmp_path: Path, filled: Path) -> None:
    folder, embedder = shutil.copytree(filled, tmp_path / "store"), FakeEmbedder()
    (structure,) = [path for path in folder.iterdir() if path.is_dir()]
    shutil.rmtree(structure)
    with open_store(f"chroma:{folder}", "docs", embedder) as store:
        damaged = verify(embedder, store)
        assert not damaged.sound
        assert damaged.found < damaged.searched
        assert damaged.broken == 0
        index(embedder, store, ITEMS_ON_DISK, force=True)
        assert verify(embedder, store).sound


def test_a_search_structure_that_was_cut_short_says_the_way_out(tmp_path: Path, filled: Path) -> None:
    folder, embedder = shutil.copytree(filled, tmp_path / "store"), FakeEmbedder()
    (written,) = folder.rglob("index_metadata.pickle")
    written.write_bytes(b"")
    with (
        open_store(f"chroma:{folder}", "docs", embedder) as store,
        pytest.raises(StoreError, match=r"remove the folders beside chroma\.sqlite3"),
    ):
        list(scan_rows(store))
    shutil.rmtree(written.parent)
    with open_store(f"chroma:{folder}", "docs", embedder) as store:
        index(embedder, store, ITEMS_ON_DISK, force=True)
        assert verify(embedder, store).sound
