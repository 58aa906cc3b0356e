"""A Chroma collection as Twofold's store, over Chroma's synchronous or asynchronous client."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from chroma_twofold.connect import asking, check_address, close, connect, is_there
from chroma_twofold.embedding import RECORD, TwofoldEmbeddingFunction
from chroma_twofold.filtering import where_of
from chroma_twofold.moving import Moving
from twofold import InputError, StoreError
from twofold.adapters import DOCUMENT, Held, Hit, Row, Stored, extra, resolve

with extra("chroma"):
    from chromadb.api.models.CollectionCommon import CollectionCommon
    from chromadb.api.types import VectorIndexConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold import Embedder
    from twofold.adapters import FloatArray, Where

MOST_FOUND = 10_000
"""Rows that are asked for in one call by their document."""

RACES = 5
"""How often vectors are asked for again: Chroma fails where another writer removes a row while it looks that up."""
RACE = "Error finding id"


class ChromaStore(Moving):
    """See `twofold.stores.Store`. Its record is a field of the collection's metadata.

    Args:
        client: any client of Chroma's; None where `collection` is given.
        name: the collection's.
        metadata, configuration, schema: for a new collection, as Chroma's `create_collection` takes them.
        collection: one that is open already.
        exact: do not follow it where it has moved.
    """

    keeps_lists = True

    def __init__(
        self,
        client: Any,
        name: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        configuration: Mapping[str, Any] | None = None,
        schema: Any = None,
        collection: Any = None,
        exact: bool = False,
    ) -> None:
        self.client, self.name, self.collection = client, name, collection
        self._metadata, self._configuration, self._schema = metadata, configuration, schema
        self._exact = exact
        self._address: str | None = None

    @classmethod
    def connect(cls, address: str, name: str) -> Self:
        """A folder, or `http://host:port`, with `?tenant=…&database=…` where these are not the default ones."""
        store = cls(None, name)
        store._address = check_address(address)
        return store

    @classmethod
    def over(cls, native: Any, name: str | None = None, **options: Any) -> Self | None:
        """The store of an open collection, or of one by its name at any client of Chroma's."""
        if name is not None:
            return cls(native, name, **options)
        return cls(None, native.name, collection=native) if isinstance(native, CollectionCommon) else None

    def beside(self, name: str) -> Self:
        """A collection of the same client, which is opened where it is not yet.

        Raises:
            StoreError: there is no folder, or nothing answers.
        """
        if self.client is None and self._address is not None:
            if not is_there(self._address):
                raise StoreError(f"there is no Chroma store at {self._address}")
            self.client = connect(self._address)
        return type(self)(self.client, name, exact=True)

    def make(self, record: str, embedder: Embedder) -> None:
        """Make it, for cosine where nothing else is said."""
        function = TwofoldEmbeddingFunction(embedder)
        if self.client is None and self._address is not None:
            self.client = connect(self._address)
        options: dict[str, Any] = {"metadata": {**(self._metadata or {}), RECORD: record}}
        if self._schema is not None:
            options |= {"schema": self._with_function(self._schema, function), "embedding_function": None}
        else:
            options |= {"configuration": self._configuration, "embedding_function": function}
        with asking(f"Chroma cannot make the collection {self.name!r}"):
            # where someone else has made it meanwhile, theirs comes back as it is, with their record
            resolve(self.client.get_or_create_collection(self.name, **options))
            self.collection = resolve(self.client.get_collection(self.name, embedding_function=None))

    def held(self, documents: Sequence[str]) -> list[Held]:
        """Rows that name the documents, and those of the documents' own ids that name none."""
        found: dict[str, Held] = {}
        for some in self._batches(len(documents)):
            keys = list(documents[some])
            with asking():
                alone = resolve(self.collection.get(ids=keys, include=["metadatas"]))
            rows = [*self._named(keys), *(row for row in _held(alone) if row.document == row.id)]
            found.update((row.id, row) for row in rows)
        return list(found.values())

    def _named(self, documents: Sequence[str]) -> list[Held]:
        """Rows that name the documents, in parts: Chroma's SQL fails where 32,767 rows are found at once."""
        found: list[Held] = []
        where = {DOCUMENT: {"$in": list(documents)}}
        while True:
            with asking():
                got = resolve(
                    self.collection.get(where=where, limit=MOST_FOUND, offset=len(found), include=["metadatas"])
                )
            found += _held(got)
            if len(got["ids"]) < MOST_FOUND:
                return found

    def page(self, cursor: Any, limit: int) -> tuple[list[Held], Any]:
        """Rows in Chroma's own order; the cursor is an offset."""
        offset = cursor or 0
        with asking():
            rows = _held(resolve(self.collection.get(limit=limit, offset=offset, include=["metadatas"])))
        return rows, offset + limit if len(rows) == limit else None

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """Rows with their vectors."""
        found: list[Stored] = []
        for some in self._batches(len(ids)):
            with asking():
                got = self._with_vectors(list(ids[some]))
            columns = (got["ids"], got["documents"], got["metadatas"], got["embeddings"])
            found += [
                Stored(Row.from_fields(key, text or "", fields or {}), np.asarray(vector, np.float32))
                for key, text, fields, vector in zip(*columns, strict=True)
            ]
        return found

    def _with_vectors(self, ids: list[str]) -> Any:
        left = RACES
        while True:
            try:
                return resolve(self.collection.get(ids=ids, include=["documents", "metadatas", "embeddings"]))
            except Exception as error:
                left -= 1
                if RACE not in str(error) or not left:
                    raise

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows, their metadata replaced and not, as Chroma does, merged with what was there."""
        for some in self._batches(len(rows)):
            part, lost = rows[some], [row.id for row in rows[some.start :]]
            ids = [row.id for row in part]
            with asking(f"Chroma did not take row {ids[0]!r} or one after it", lost):
                self._check_not_closed()
                resolve(
                    self.collection.upsert(
                        ids=ids,
                        embeddings=vectors[some],
                        documents=[row.text for row in part],
                        metadatas=self._replacing(ids, [row.fields() for row in part]),
                    )
                )

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows."""
        with asking():
            self._check_not_closed()
        self.take_out(ids)

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> list[Hit]:
        """The nearest rows; Chroma's distances are 1 - cosine, 1 - dot product, or the squared L2 of unit vectors."""
        include = ["documents", "metadatas", "distances"]
        with asking():
            ask = {"query_embeddings": [vector.tolist()], "n_results": limit, "where": where_of(where)}
            found = resolve(self.collection.query(include=include, **ask))
        space = (self.collection.configuration_json.get("hnsw") or {}).get("space", "cosine")
        columns = (found[name][0] for name in ("ids", *include))
        return [
            Hit(Row.from_fields(key, text or "", fields or {}), 1 - (distance / 2 if space == "l2" else distance))
            for key, text, fields, distance in zip(*columns, strict=True)
        ]

    def nearest(self, vector: FloatArray, limit: int, which: int = 0) -> list[tuple[str, float]]:
        """Chroma's rows have one vector each."""
        if which:
            raise InputError(f"collection {self.name!r} has one vector a row, not {which + 1}")
        return [(hit.row.id, hit.score) for hit in self.search(vector, limit)]

    def count(self) -> int:
        """How many rows there are."""
        with asking():
            return int(resolve(self.collection.count()))

    def close(self) -> None:
        """Close the client that was opened for an address."""
        if self._address is not None and self.client is not None:
            close(self.client)

    @staticmethod
    def _with_function(schema: Any, function: TwofoldEmbeddingFunction) -> Any:
        """A copy of the user's schema that embeds with our function, for cosine where it says no distance."""
        own = schema.defaults.float_list.vector_index.config
        config = VectorIndexConfig(
            space=own.space or "cosine",
            embedding_function=function,
            hnsw=own.hnsw,
            spann=own.spann,
        )
        return copy.deepcopy(schema).create_index(config=config)


def _held(got: Mapping[str, Any]) -> list[Held]:
    return [Held.from_fields(key, fields or {}) for key, fields in zip(got["ids"], got["metadatas"] or (), strict=True)]
