"""How a collection is found, what is kept in its metadata, and how it moves into another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from chroma_twofold.catalogue import Catalogue
from chroma_twofold.connect import asking, connect, is_there
from chroma_twofold.embedding import RECORD, TwofoldEmbeddingFunction
from twofold import StoreError
from twofold.adapters import HOPS, MIGRATION, MOVED, Original, Row, check_marks, extra, moved_to, resolve, takes_over

with extra("chroma"):
    from chromadb.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold import Embedder
    from twofold.adapters import FloatArray

HNSW_SPACE = "hnsw:space"
"""Collections of older versions hold their distance here too; Chroma refuses to be told of it again."""

MAX_BATCH = 1000
"""Rows in one call: Chroma's own limit is some thousands, but a server also limits the bytes of a request."""

OWN_FUNCTIONS = (None, "default", TwofoldEmbeddingFunction.name())
"""Persisted functions beside which Chroma lets ours work; "default" is what a collection has that was made without."""

MARKS = {mark: f"twofold_{mark}" for mark in (MOVED, MIGRATION)}
"""The marks, as fields of the metadata."""

OWN_FIELDS = (RECORD, HNSW_SPACE, *MARKS.values())


class Moving(Catalogue):
    """A collection by its name, its metadata, and what `twofold.adapters.Movable` asks for."""

    collection: Any
    _exact: bool
    """Whether marks of moving are not followed."""

    def find(self) -> bool:
        """Whether it is there; refuses one that was made for another embedding function."""
        if self.collection is None:
            if self.client is None and self._address is not None:
                if not is_there(self._address):
                    return False
                self.client = connect(self._address)
            if (found := self._followed()) is None:
                return False
            self.collection, self.name = found, found.name
        persisted = (self.collection.configuration_json.get("embedding_function") or {}).get("name")
        if persisted not in OWN_FUNCTIONS and not self._exact:
            raise StoreError(
                f"collection {self.name!r} was made for Chroma's embedding function {persisted!r}, which cannot be "
                "changed: embed its documents into a new collection, by twofold migrate"
            )
        return True

    def _followed(self) -> Any:
        """The collection of this name, or the one that serves in its place; None where there is neither."""
        name = self.name
        for _ in range(HOPS):
            with asking():
                try:
                    found = resolve(self.client.get_collection(name, embedding_function=None))
                except NotFoundError:
                    return None if self._exact else self._successor(name)
            to = moved_to(_marks(found.metadata))
            if self._exact or to is None:
                return found
            name = to
        raise StoreError(f"collection {self.name!r} has moved in a circle, by way of {name!r}: roll one of these back")

    def _successor(self, name: str) -> Any:
        """What a prune that was cut short has not given its name yet."""
        with asking():
            for one in resolve(self.client.list_collections()):
                if not isinstance(one, str) and takes_over(_marks(one.metadata), name):
                    return resolve(self.client.get_collection(one.name, embedding_function=None))
        return None

    def _fields(self) -> dict[str, Any]:
        """The metadata that the server has now; the collection may have another name since it was opened."""
        own = self.collection
        # the client that a collection holds knows neither tenant nor database by itself
        model = resolve(
            own._client.get_collection_by_id(own.id, tenant=own.tenant, database=own.database)  # noqa: SLF001
        )
        return dict(model.metadata or {})

    def _set_fields(self, changes: Mapping[str, Any], **more: Any) -> None:
        """Change fields of the metadata, all at once; None removes one."""
        with asking():
            fields = {**self._fields(), **changes}
            kept = {key: value for key, value in fields.items() if key != HNSW_SPACE and value is not None}
            kept = kept or {MARKS[MOVED]: ""}  # Chroma takes no metadata without a field
            resolve(self.collection.modify(metadata=kept, **more))

    def record(self) -> str | None:
        """The field of the metadata."""
        with asking():
            stored: str | None = (self._fields()).get(RECORD)
        return stored

    def stamp(self, record: str) -> None:
        """Add the record to the metadata."""
        self._set_fields({RECORD: record})

    # -- moving -------------------------------------------------------------------------------------------------------

    def marks(self) -> dict[str, str]:
        """Fields of the metadata."""
        with asking():
            return _marks(self._fields())

    def mark(self, changes: Mapping[str, str | None]) -> None:
        """Change them by one call."""
        self._set_fields({MARKS[mark]: value for mark, value in changes.items()})

    def make_like(self, source: Self, record: str, embedder: Embedder, marks: Mapping[str, str]) -> None:
        """Its metadata, and its index with everything but the distance, which is cosine."""
        own = source.collection
        fields = {key: value for key, value in (own.metadata or {}).items() if key not in OWN_FIELDS}
        index = {kind: dict(own.configuration_json.get(kind) or {}) for kind in ("hnsw", "spann")}
        configuration = {kind: {**options, "space": "cosine"} for kind, options in index.items() if options}
        with asking(f"Chroma cannot make the collection {self.name!r}"):
            self.collection = resolve(
                self.client.create_collection(
                    self.name,
                    metadata={**fields, RECORD: record, **{MARKS[mark]: value for mark, value in marks.items()}},
                    configuration=configuration or None,
                    embedding_function=TwofoldEmbeddingFunction(embedder),
                )
            )

    def match(self, source: Self) -> None:
        """Chroma's collections have no schema."""

    def originals(self, ids: Sequence[str], *, vectors: bool = False) -> list[Original]:
        """Rows as Chroma keeps them: text, metadata and, where there is one, a URI."""
        include = ["documents", "metadatas", "uris", *(["embeddings"] if vectors else [])]
        found: list[Original] = []
        for some in self._batches(len(ids)):
            with asking():
                got = resolve(self.collection.get(ids=list(ids[some]), include=include))
            blank = [None] * len(got["ids"])
            columns = [got.get(name) if got.get(name) is not None else blank for name in ("documents", "metadatas")]
            uris = got.get("uris") or blank
            arrays = got["embeddings"] if vectors and got["embeddings"] is not None else blank
            for key, text, fields, uri, vector in zip(got["ids"], *columns, uris, arrays, strict=True):
                kept = {"text": text, "metadata": dict(fields or {}), "uri": uri}
                own = () if vector is None else (np.asarray(vector, np.float32),)
                found.append(Original(Row.from_fields(key, text or "", fields or {}), (text or "",), kept, own))
        return found

    def put(self, rows: Sequence[Original], vectors: Sequence[FloatArray]) -> None:
        """Write rows as they were; what a row has now and had not then is removed."""
        for some in self._batches(len(rows)):
            part = rows[some]
            ids = [one.row.id for one in part]
            lost = [one.row.id for one in rows[some.start :]]
            with asking(f"Chroma did not take row {ids[0]!r} or one after it", lost):
                fields = self._replacing(ids, [one.kept["metadata"] for one in part])
                options = {"uris": [one.kept["uri"] for one in part]} if part[0].kept["uri"] else {}
                resolve(
                    self.collection.upsert(
                        ids=ids,
                        embeddings=np.concatenate(vectors[some]),
                        documents=[one.kept["text"] for one in part],
                        metadatas=[own or None for own in fields],
                        **options,
                    )
                )

    def take_out(self, ids: Sequence[str]) -> None:
        """Remove rows, wherever the collection has moved."""
        for some in self._batches(len(ids)):
            with asking():
                resolve(self.collection.delete(ids=list(ids[some])))

    def repoint(self, name: str, to: str) -> None:
        """Chroma has no aliases: the mark is followed."""

    def take_over(self, name: str) -> None:
        """Take the name, and lose the mark, by one call."""
        self._set_fields({MARKS[MIGRATION]: None}, name=name)
        self.name = name

    # -- how rows are written -----------------------------------------------------------------------------------------

    def _batches(self, count: int) -> list[slice]:
        """Slices of `count` rows that the server takes at once."""
        with asking():
            limit = resolve(self.collection._client.get_max_batch_size())  # noqa: SLF001 - it tells clients alone
        size = min(limit, MAX_BATCH)
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def _check_not_closed(self) -> None:
        """Refuse to write to a collection that is being moved; the caller turns Chroma's errors into ours."""
        check_marks(_marks(self._fields()), self.name)

    def _replacing(self, ids: Sequence[str], fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
        """Metadata in which every field that a row has now, and is not to keep, is None: Chroma removes those."""
        found = resolve(self.collection.get(ids=list(ids), include=["metadatas"]))
        old = dict(zip(found["ids"], found["metadatas"] or (), strict=True))
        return [{**dict.fromkeys(old.get(key) or ()), **new} for key, new in zip(ids, fields, strict=True)]


def _marks(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    return {mark: str(metadata[field]) for mark, field in MARKS.items() if metadata and field in metadata}
