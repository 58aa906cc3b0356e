"""`OpenStore`: a store with plain methods, whatever those of the class behind it are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from twofold.stores.drivers import done, run
from twofold.stores.store import find_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.embedder import Embedder
    from twofold.stores.rows import Held, Hit, Row, Stored, Where
    from twofold.stores.store import Store
    from twofold.vectors import FloatArray

PAGE = 1000


class OpenStore:
    """A `Store` over a synchronous client, as its users call it: each method is a plain one."""

    def __init__(self, store: Store) -> None:
        """Take any store; one over an asynchronous client raises `RuntimeError` when it is called."""
        self.store = store
        self.name, self.keeps_lists = store.name, store.keeps_lists

    @classmethod
    def connect(cls, address: str, name: str) -> Self:
        """The collection at "<scheme>:<where>"; see `find_store`."""
        kind, where = find_store(address)
        return cls(kind.connect(where, name))

    def find(self) -> bool:
        """Whether the collection is there."""
        return run(done(self.store.find()))

    def make(self, record: str, embedder: Embedder) -> None:
        """See `Store.make`."""
        run(done(self.store.make(record, embedder)))

    def record(self) -> str | None:
        """See `Store.record`."""
        return run(done(self.store.record()))

    def stamp(self, record: str) -> None:
        """See `Store.stamp`."""
        run(done(self.store.stamp(record)))

    def held(self, documents: Sequence[str]) -> Sequence[Held]:
        """See `Store.held`."""
        return run(done(self.store.held(documents)))

    def page(self, cursor: Any, limit: int) -> tuple[Sequence[Held], Any]:
        """See `Store.page`."""
        return run(done(self.store.page(cursor, limit)))

    def scan(self) -> Iterator[Held]:
        """Every row that is there, page by page."""
        cursor = None
        while True:
            rows, cursor = self.page(cursor, PAGE)
            yield from rows
            if cursor is None:
                return

    def get(self, ids: Sequence[str]) -> Sequence[Stored]:
        """See `Store.get`."""
        return run(done(self.store.get(ids)))

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """See `Store.upsert`."""
        run(done(self.store.upsert(rows, vectors)))

    def delete(self, ids: Sequence[str]) -> None:
        """See `Store.delete`."""
        run(done(self.store.delete(ids)))

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> list[Hit]:
        """See `Store.search`."""
        return run(done(self.store.search(vector, limit, where)))

    def count(self) -> int:
        """How many rows there are."""
        return run(done(self.store.count()))

    def close(self) -> None:
        """Let go of files and connections."""
        run(done(self.store.close()))
