"""A fake embedder and a store in memory, for tests, and as short examples for your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np

from twofold.embedder import Embedder
from twofold.errors import ProviderUnavailable, StoreError
from twofold.fake import FakeBackend
from twofold.stores.rows import Held, Hit, Stored, matches
from twofold.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from twofold.documents import Document
    from twofold.fake import Call
    from twofold.settings import Options
    from twofold.stores.rows import Row, Where
    from twofold.vectors import FloatArray


class FakeEmbedder(Embedder):
    """`Embedder("fake:")`, which records its calls: `FakeEmbedder(dimensions=16).calls`."""

    def __init__(self, model: str = "fake:", **options: Unpack[Options]) -> None:
        super().__init__(model, **options)

    @property
    def calls(self) -> list[Call]:
        """The calls of the backend, in order."""
        assert isinstance(self.backend, FakeBackend)
        return self.backend.calls


class FailingEmbedder(FakeEmbedder):
    """A fake hosted model that fails after `keeps` documents of a call. The error's `partial` has their vectors."""

    keeps = 2

    def embed_late(self, documents: Iterable[Document], **options: Any) -> list[FloatArray]:
        documents = list(documents)
        done = super().embed_late(documents[: self.keeps], **options)
        failed = dict.fromkeys(range(self.keeps, len(documents)), "busy")
        raise ProviderUnavailable("busy", partial=dict(enumerate(done)), failed=failed)


class MemoryStore:
    """The shortest store that fulfils the contract. Its collections are in memory, in `places`, by address and name."""

    keeps_lists = True
    places: dict[tuple[str, str], dict[str, Any]] = {}  # noqa: RUF012 - what a server is to other stores

    def __init__(self, address: str, name: str) -> None:
        self.key, self.name = (address, name), name

    @classmethod
    def connect(cls, address: str, name: str) -> Self:
        return cls(address, name)

    @classmethod
    def over(cls, native: Any, name: str | None = None, **options: Any) -> Self | None:  # noqa: ARG003 - the protocol's
        return None  # no host has such collections

    def find(self) -> bool:
        return self.key in self.places

    def make(self, record: str, embedder: Embedder) -> None:
        self.places.setdefault(self.key, {"record": record, "rows": {}})

    def record(self) -> str | None:
        record: str | None = self._place()["record"]
        return record

    def stamp(self, record: str, embedder: Embedder) -> None:
        self._place()["record"] = record

    def held(self, documents: Sequence[str]) -> list[Held]:
        return [held for held in self._held() if held.document in set(documents)]

    def page(self, cursor: Any, limit: int) -> tuple[list[Held], Any]:
        start, rows = cursor or 0, self._held()
        return rows[start : start + limit], start + limit if start + limit < len(rows) else None

    def get(self, ids: Sequence[str]) -> list[Stored]:
        rows = self._rows()
        return [rows[key] for key in ids if key in rows]

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        self._rows().update({row.id: Stored(row, vector) for row, vector in zip(rows, vectors, strict=True)})

    def delete(self, ids: Sequence[str]) -> None:
        for key in ids:
            self._rows().pop(key, None)

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> list[Hit]:
        (unit,) = normalize(np.asarray(vector)[None])
        rows = [stored for stored in self._rows().values() if matches(stored.row, where or {})]
        hits = [Hit(row, float(normalize(own[None])[0] @ unit)) for row, own in rows]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def count(self) -> int:
        return len(self._rows())

    def names(self) -> list[str]:
        return sorted(name for address, name in self.places if address == self.key[0])

    def drop(self) -> None:
        self.places.pop(self.key, None)

    def close(self) -> None:
        pass

    def _place(self) -> dict[str, Any]:
        if self.key not in self.places:
            raise StoreError(f"collection {self.name!r} does not exist")
        return self.places[self.key]

    def _rows(self) -> dict[str, Stored]:
        rows: dict[str, Stored] = self._place()["rows"]
        return rows

    def _held(self) -> list[Held]:
        return [Held(row.id, row.document, row.digest, row.rows, row.source) for row, _ in self._rows().values()]
