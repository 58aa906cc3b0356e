"""Stores for jobs: one in memory for what is the same everywhere, Chroma's where its files matter."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from twofold.stores import open_collection
from twofold.testing import FakeEmbedder, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.stores import Store


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def memory(embedder: FakeEmbedder) -> Iterator[Store]:
    store = MemoryStore("jobs", uuid.uuid4().hex)
    open_collection(store, embedder)
    embedder.calls.clear()
    yield store
    del MemoryStore.places[store.key]
