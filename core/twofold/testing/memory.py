"""`MemoryStore`: the shortest store that keeps the contract. Test with it, and read it to write your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from twofold.stores.rows import Held, Hit, Stored, matches
from twofold.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.stores.rows import Row, Where
    from twofold.vectors import FloatArray


class MemoryStore:
    """A collection in this process; `places` holds every one by its address and name."""

    keeps_lists = True
    places: dict[tuple[str, str], dict[str, Any]] = {}  # noqa: RUF012 - what a server is to others

    def __init__(self, address: str, name: str) -> None:
        """Look at nothing yet."""
        self.key, self.name = (address, name), name

    @classmethod
    def connect(cls, address: str, name: str) -> Self:
        """Any address will do."""
        return cls(address, name)

    @classmethod
    def over(cls, native: Any, name: str | None = None, **options: Any) -> Self | None:  # noqa: ARG003 - a protocol's
        """No host has such collections."""
        return None

    @property
    def _rows(self) -> dict[str, Stored]:
        rows: dict[str, Stored] = self.places[self.key]["rows"]
        return rows

    def find(self) -> bool:
        """Whether it was made."""
        return self.key in self.places

    def make(self, record: str, embedder: Embedder) -> None:
        """Make it, unless it is there."""
        self.places.setdefault(self.key, {"record": record, "rows": {}})

    def record(self) -> str | None:
        """The record that is stored."""
        stored: str | None = self.places[self.key]["record"]
        return stored

    def stamp(self, record: str, embedder: Embedder) -> None:
        """Store a record."""
        self.places[self.key]["record"] = record

    def held(self, documents: Sequence[str]) -> list[Held]:
        """Rows whose fields name one of the documents."""
        return [held for held in self._all() if held.document in set(documents)]

    def page(self, cursor: Any, limit: int) -> tuple[list[Held], Any]:
        """The cursor is a place in the order of writing."""
        start = cursor or 0
        rows = self._all()
        return rows[start : start + limit], start + limit if start + limit < len(rows) else None

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """Rows by their ids."""
        return [self._rows[key] for key in ids if key in self._rows]

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows in place of those with the same ids."""
        self._rows.update({row.id: Stored(row, vector) for row, vector in zip(rows, vectors, strict=True)})

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows."""
        for key in ids:
            self._rows.pop(key, None)

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> list[Hit]:
        """Every row's cosine."""
        (unit,) = normalize(np.asarray(vector)[None])
        rows = [stored for stored in self._rows.values() if matches(stored.row, where or {})]
        hits = [Hit(row, float(normalize(own[None])[0] @ unit)) for row, own in rows]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def names(self) -> list[str]:
        """Every name at this address."""
        return sorted(name for address, name in self.places if address == self.key[0])

    def drop(self) -> None:
        """Forget it."""
        self.places.pop(self.key, None)

    def close(self) -> None:
        """Nothing is open."""

    def _all(self) -> list[Held]:
        return [Held(row.id, row.document, row.digest, row.rows, row.source) for row, _ in self._rows.values()]
