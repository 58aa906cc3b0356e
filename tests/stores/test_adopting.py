"""Adopting a collection that has no record: what is checked, and how certain that is."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from twofold import AdoptionWarning, SpaceMismatch, StoreError
from twofold.stores import Row, open_collection
from twofold.testing import FakeEmbedder, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

OURS, THEIRS = FakeEmbedder(dimensions=16), FakeEmbedder(dimensions=16, document_task="topic")


def collection(count: int, is_foreign: Callable[[int], bool]) -> MemoryStore:
    """Rows of ours and of theirs, without a record."""
    store = MemoryStore("", uuid.uuid4().hex)
    open_collection(store, OURS)
    texts = [f"ship {number}" for number in range(count)]
    rows = [Row(id=text, document=text, text=text, span=(0, len(text)), metadata={}) for text in texts]
    ours, theirs = OURS.embed_documents(texts), THEIRS.embed_documents(texts)
    foreign = np.array([is_foreign(number) for number in range(count)])
    store.upsert(rows, np.where(foreign[:, None], theirs, ours))
    store.places[store.key]["record"] = None
    return store


@pytest.mark.parametrize("place", [0, 7, 8, 24, 39, 127])
def test_one_foreign_row_of_a_small_collection_is_always_seen(place: int) -> None:
    store = collection(128, lambda number: number == place)
    with pytest.raises(SpaceMismatch, match=f"'ship {place}', embedded again, has a cosine of"):
        open_collection(store, OURS, adopt=True)
    assert store.record() is None


def test_twenty_rows_of_one_and_five_of_another_are_refused() -> None:
    store = collection(25, lambda number: number >= 20)
    for embedder in (OURS, THEIRS):
        with pytest.raises(SpaceMismatch, match="not written by this embedder alone"):
            open_collection(store, embedder, adopt=True)


def test_a_large_collection_is_sampled_over_its_whole_length() -> None:
    store = collection(2000, lambda number: number >= 1800)
    for _ in range(3):  # a tenth is foreign: 128 rows miss it with a chance of one in a million
        with pytest.raises(SpaceMismatch):
            open_collection(store, OURS, adopt=True)


def test_a_sample_says_how_certain_it_is() -> None:
    store = collection(2000, lambda _: False)
    said = (
        r"128 of 2,000 rows, .* above 2\.3 % would have been seen with 95 % certainty; adopt=\"all\" checks every row"
    )
    with pytest.warns(AdoptionWarning, match=said) as caught:
        open_collection(store, OURS, adopt=True)
    assert len(caught) == 1


def test_all_rows_are_checked_on_demand() -> None:
    with pytest.raises(SpaceMismatch, match="'ship 777'"):
        open_collection(collection(1000, lambda number: number == 777), OURS, adopt="all")
    open_collection(collection(1000, lambda _: False), OURS, adopt="all")  # and without a warning


def test_the_sample_grows_with_the_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.stores.opening.FEWEST", 4)
    monkeypatch.setattr("twofold.stores.opening.MOST", 20)
    for count, size in ((9, 4), (100, 10), (900, 20)):
        with pytest.warns(AdoptionWarning, match=f": {size} of {count} rows"):
            open_collection(collection(count, lambda _: False), OURS, adopt=True)


def test_vectors_that_are_not_finite_are_refused() -> None:
    store = collection(3, lambda _: False)
    (stored,) = store.get(["ship 1"])
    store.upsert([stored.row], np.full((1, len(stored.vector)), np.nan, np.float32))
    with pytest.raises(SpaceMismatch, match="'ship 1'"):
        open_collection(store, OURS, adopt=True)


def test_a_store_that_lists_fewer_rows_than_it_counts_is_not_adopted() -> None:
    class Hiding(MemoryStore):
        def page(self, cursor: Any, limit: int) -> Any:
            return [], None

    store = collection(3, lambda _: False)
    with pytest.raises(StoreError, match="has 3 rows, but lists none"):
        open_collection(Hiding(*store.key), OURS, adopt=True)
