"""Collections for migrations: written in one space, to be moved into another; in a Chroma folder or on a Weaviate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twofold.jobs import Item, index, open_store
from twofold.jobs.migration import Migration
from twofold.stores import OpenStore, add_documents
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold import Embedder

OLD, NEW = FakeEmbedder(dimensions=32, document_task="topic"), FakeEmbedder()
WORDS = ("keeper", "ship", "fog", "light", "radio", "harbour", "storm", "anchor", "rope", "gull", "pier", "tide")


def text(number: int, version: int = 0) -> str:
    """Words in an order of its own; no two texts are alike."""
    random = np.random.default_rng([number, version])
    return " ".join([*random.permutation(WORDS)[:5], f"n{number}", f"v{version}", f"x{number % 7}"])


def items(count: int) -> list[Item]:
    """Documents with fields."""
    return [Item(f"d{number}", text(number), {"n": number, "kind": f"k{number % 3}"}) for number in range(count)]


def late(number: int) -> list[str]:
    """The chunks of a document."""
    return [f"{text(number, part)}. " for part in range(1, 2 + number % 3)]


def fill(address: str, name: str, count: int = 60, chunked: int = 6) -> None:
    """A collection of ours in the old space: whole documents, and late-chunked ones."""
    with open_store(address, name, OLD) as store:
        index(OLD, store, items(count))
        keys = [f"c{number}" for number in range(chunked)]
        fields = [{"n": number} for number in range(chunked)]
        add_documents(store.store, OLD, ids=keys, documents=[late(n) for n in range(chunked)], metadatas=fields)


@dataclass(frozen=True)
class Place:
    """A collection that is to be moved."""

    address: str
    name: str

    def migration(self, new: Embedder = NEW, old: Sequence[Embedder] = (OLD,), late: bool | None = None) -> Migration:
        """Its migration into the new space."""
        return Migration(self.address, self.name, new, old=old, late_chunking=late)

    def rows(self, embedder: Embedder) -> dict[str, tuple[str, dict[str, object]]]:
        """What it holds for whoever opens it with `embedder`: texts and fields, by id."""
        with open_store(self.address, self.name, embedder, create=False) as store:
            ids = [row.id for row in store.scan()]
            return {one.row.id: (one.row.text, dict(one.row.metadata)) for one in store.get(ids)}

    def physical(self) -> str:
        """The name of the collection that opening it finds."""
        store = OpenStore.connect(self.address, self.name)
        try:
            assert store.find()
            return store.store.name
        finally:
            store.close()
