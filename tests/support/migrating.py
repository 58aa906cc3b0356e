"""Collections for migrations: written in one space, to be moved into another; in a Chroma folder or on a Weaviate."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import SpaceMismatch, StoreError
from twofold.jobs import Item, index, long, open_store
from twofold.jobs.migration import Migration, moving
from twofold.stores import add_documents, connect_store
from twofold.stores.store import scan_rows
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twofold import Embedder
    from twofold.stores import Store

OLD, NEW = FakeEmbedder(dimensions=32, document_task="topic"), FakeEmbedder()
WORDS = ("keeper", "ship", "fog", "light", "radio", "harbour", "storm", "anchor", "rope", "gull", "pier", "tide")


def text(number: int, version: int = 0) -> str:
    """Words in an order of its own; no two texts are alike."""
    order = np.random.default_rng([number, version])
    return " ".join([*order.permutation(WORDS)[:5], f"n{number}", f"v{version}", f"x{number % 7}"])


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
        add_documents(store, OLD, ids=keys, documents=[late(n) for n in range(chunked)], metadatas=fields)


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
            ids = [row.id for row in scan_rows(store)]
            return {one.row.id: (one.row.text, dict(one.row.metadata)) for one in store.get(ids)}

    def physical(self) -> str:
        """The name of the collection that opening it finds."""
        store = connect_store(self.address, self.name)
        try:
            assert store.find()
            return store.name
        finally:
            store.close()


def applying(opened: Callable[[], None], address: str) -> Any:
    """Carry the collection `docs` over, in small slices; for a process of its own."""
    long.FIRST_TOKENS = long.MAX_TOKENS = 60
    with Place(address, "docs").migration() as migration:
        opened()
        return migration.apply()


def cutting(opened: Callable[[], None], address: str) -> Any:
    """Cut the collection `docs` over; for a process of its own."""
    moving.GRACE = 0.1
    long.FIRST_TOKENS = long.MAX_TOKENS = 60
    with Place(address, "docs").migration() as migration:
        opened()
        return migration.cutover()


class Writer:
    """Somebody who updates documents all the time, and opens the collection again when it has moved.

    Attributes:
        written: what was acknowledged: the latest version of each document; None where it was removed.
        writes: how many there were.
        moved: whether the writer has gone over to the new space.
        turns: how often it has gone over, or back.
    """

    def __init__(self, place: Place, seed: int = 0) -> None:
        """Begin."""
        self.written: dict[str, int | None] = {}
        self.moved = False
        self.writes = self.turns = 0
        self.failed: list[BaseException] = []
        self._place, self._random, self._over = place, random.Random(seed), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, once the write in hand is done."""
        self._over.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert not self.failed, self.failed

    def _run(self) -> None:
        try:
            version = 0
            while not self._over.is_set():
                embedder = NEW if self.moved else OLD
                try:
                    with open_store(self._place.address, self._place.name, embedder, create=False) as store:
                        while not self._over.is_set():
                            version += 1
                            self._write(store, embedder, version)
                            self.writes += 1
                            time.sleep(0.01)
                except SpaceMismatch:  # it moved while this waited
                    self._turn()
                except StoreError as error:
                    if "has moved to" in str(error):
                        self._turn()
                    elif "being cut over" not in str(error):
                        raise
                    time.sleep(0.02)
        except BaseException as error:  # noqa: BLE001 - the test says it
            self.failed.append(error)

    def _turn(self) -> None:
        self.moved = not self.moved
        self.turns += 1

    def _write(self, store: Store, embedder: Embedder, version: int) -> None:
        number = self._random.randrange(40)
        key = f"w{number}"
        if self._random.random() < 0.2:
            store.delete([row.id for row in store.held([key])])
            self.written[key] = None
            return
        chunked = number % 4 == 0
        document = [f"{text(number, version)}. ", text(number, version + 1)] if chunked else text(number, version)
        add_documents(store, embedder, ids=[key], documents=[document], metadatas=[{"version": version}])
        self.written[key] = version
