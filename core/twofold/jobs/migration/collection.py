"""A collection in a store that implements `Movable`, and the state that a migration stores with its target."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from twofold.stores.moving import MIGRATION, MOVED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from twofold.embedder import Embedder
    from twofold.stores.moving import Movable, Original
    from twofold.stores.rows import Held
    from twofold.stores.store import Store
    from twofold.vectors import FloatArray

PAGE = 500
"""Rows read at once, with their texts."""


@dataclass(frozen=True, slots=True)
class Note:
    """The state of a migration, stored with its target.

    Attributes:
        name: the name that users know.
        source: the physical name of the collection being moved.
        late: whether chunks are embedded in the context of their document.
        skip: whether rows that cannot be embedded are left out.
        verdict: the result of the last `verify`; see `Verdict`.
        cutting: whether a cutover has started to catch up, so that the target may differ from what was verified.
        pruning: whether the source is being removed.
        served: whether the target served before a rollback, so that it may hold rows that the source does not.
    """

    name: str
    source: str
    late: bool = False
    skip: bool = False
    verdict: dict[str, Any] | None = None
    cutting: bool = False
    pruning: bool = False
    served: bool = False

    def to_json(self) -> str:
        """The stored form."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, marks: Mapping[str, str]) -> Note | None:
        """The note in a collection's marks, or None."""
        if MIGRATION not in marks:
            return None
        known, raw = {field.name for field in fields(cls)}, json.loads(marks[MIGRATION])
        return cls(**{name: value for name, value in raw.items() if name in known})


class Collection:
    """One of the two collections of a migration."""

    def __init__(self, store: Movable) -> None:
        self.store = store
        self.rows: Store = store

    @property
    def name(self) -> str:
        return self.store.name

    def find(self) -> bool:
        """Whether it exists."""
        return self.store.find()

    def sibling(self, name: str) -> Collection:
        """Another collection in the same store."""
        return Collection(self.store.beside(name))

    def pages(self) -> Iterator[Sequence[Held]]:
        """Every row, page by page. Rows that are written meanwhile may be missing."""
        cursor: Any = None
        while True:
            rows, cursor = self.rows.page(cursor, PAGE)
            if rows:
                yield rows
            if cursor is None:
                return

    def originals(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, Original]:
        """Rows by their ids."""
        return {one.row.id: one for one in self.store.originals(ids, vectors=vectors)} if ids else {}

    def put(self, rows: Sequence[Original], vectors: Sequence[FloatArray]) -> None:
        if rows:
            self.store.put(rows, vectors)

    def delete(self, ids: Sequence[str]) -> None:
        if ids:
            self.store.take_out(ids)

    def held(self, documents: Sequence[str]) -> Sequence[Held]:
        return self.rows.held(documents) if documents else ()

    def nearest(self, vector: FloatArray, limit: int, which: int = 0) -> Sequence[tuple[str, float]]:
        return self.store.nearest(vector, limit, which)

    def make_like(self, source: Collection, record: str, embedder: Embedder, note: Note) -> None:
        self.store.make_like(source.store, record, embedder, {MIGRATION: note.to_json()})

    def match(self, source: Collection) -> None:
        self.store.match(source.store)

    def marks(self) -> Mapping[str, str]:
        return self.store.marks()

    def note(self) -> Note | None:
        """The migration's state, if this is its target."""
        return Note.read(self.marks())

    def keep(self, note: Note) -> None:
        """Store the migration's state here."""
        self.store.mark({MIGRATION: note.to_json()})

    def set_moved(self, mark: str | None) -> None:
        """Close the collection, or mark where it has moved; None opens it again."""
        self.store.mark({MOVED: mark})

    def repoint(self, name: str, to: str) -> None:
        self.store.repoint(name, to)

    def take_over(self, name: str) -> None:
        self.store.take_over(name)

    def drop(self) -> None:
        self.store.drop()
