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


@pytest.fixture
def chroma_address(chroma_port: int) -> str:
    return f"chroma:http://127.0.0.1:{chroma_port}"


@pytest.fixture
def collection_name() -> str:
    """A name that no other test uses."""
    return f"docs-{uuid.uuid4().hex}"
