"""Filters for stores that have none of their own."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from twofold import InputError
from twofold.jobs import search
from twofold.stores import add_documents, open_collection
from twofold.stores.rows import search_filtered
from twofold.testing import FakeEmbedder, MemoryStore


def test_more_rows_are_asked_for_until_enough_pass() -> None:
    embedder, store = FakeEmbedder(), MemoryStore("filters", uuid.uuid4().hex)
    open_collection(store, embedder)
    ids = [f"d{number}" for number in range(100)]
    fields: list[Any] = [{"n": number % 50} for number in range(100)]
    add_documents(store, embedder, ids=ids, documents=ids, metadatas=fields)
    asked = []

    def nearest(limit: int) -> Any:
        asked.append(limit)
        return store.search(embedder.embed_query("d7"), limit)

    hits = search_filtered(nearest, store.count, 2, {"n": [7]})
    assert sorted(hit.row.id for hit in hits) == ["d57", "d7"]
    assert asked == [2, 8, 32, 100][: len(asked)]
    assert search_filtered(nearest, store.count, 2, {"n": [51]}) == []
    assert asked[-1] == 100
    assert len(search_filtered(nearest, store.count, 3, None)) == 3
    (hit,) = search(embedder, store, "d7", 1, where={"n": [8]})
    assert hit.row.metadata == {"n": 8}
    with pytest.raises(InputError, match="field 'n' has no allowed value"):
        search(embedder, store, "d7", where={"n": []})
