"""A Chroma collection as Twofold's store, over Chroma's synchronous or asynchronous client."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from chroma_twofold.catalogue import Catalogue
from chroma_twofold.connect import asking, check_address, close, connect, is_there
from chroma_twofold.embedding import RECORD, TwofoldEmbeddingFunction
from twofold import StoreError
from twofold.adapters import DOCUMENT, Held, Hit, Row, Stored, done, extra

with extra("chroma"):
    from chromadb.api.models.CollectionCommon import CollectionCommon
    from chromadb.api.types import VectorIndexConfig
    from chromadb.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold import Embedder
    from twofold.adapters import FloatArray, Metadata

HNSW_SPACE = "hnsw:space"
"""Collections of older versions hold their distance here too; Chroma refuses to be told of it again."""

MAX_BATCH = 1000
"""Rows in one call: Chroma's own limit is some thousands, but a server also limits the bytes of a request."""

MOST_FOUND = 10_000
"""Rows that are asked for in one call by their document."""

OWN_FUNCTIONS = (None, "default", TwofoldEmbeddingFunction.name())
"""Persisted functions beside which Chroma lets ours work; "default" is what a collection has that was made without."""


class ChromaStore(Catalogue):
    """See `twofold.stores.Store`. Its record is a field of the collection's metadata.

    Args:
        client: any client of Chroma's; None where `collection` is given.
        name: the collection's.
        metadata, configuration, schema: for a new collection, as Chroma's `create_collection` takes them.
        collection: one that is open already.
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
    ) -> None:
        self.client, self.name, self.collection = client, name, collection
        self._metadata, self._configuration, self._schema = metadata, configuration, schema
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

    async def find(self) -> bool:
        """Whether it is there; refuses one that was made for another embedding function."""
        if self.collection is None:
            if self.client is None and self._address is not None:
                if not is_there(self._address):
                    return False
                self.client = connect(self._address)
            with asking():
                try:
                    self.collection = await done(self.client.get_collection(self.name, embedding_function=None))
                except NotFoundError:
                    return False
        persisted = (self.collection.configuration_json.get("embedding_function") or {}).get("name")
        if persisted not in OWN_FUNCTIONS:
            raise StoreError(
                f"collection {self.name!r} was made for Chroma's embedding function {persisted!r}, which cannot be "
                "changed: embed its documents into a new collection"
            )
        return True

    async def make(self, record: str, embedder: Embedder) -> None:
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
            await done(self.client.get_or_create_collection(self.name, **options))
            self.collection = await done(self.client.get_collection(self.name, embedding_function=None))

    async def record(self) -> str | None:
        """The field of the metadata that the server has now."""
        own = self.collection
        with asking():
            # the client that a collection holds knows neither tenant nor database by itself
            model = await done(own._client.get_collection(name=own.name, tenant=own.tenant, database=own.database))  # noqa: SLF001
        stored: str | None = (model.metadata or {}).get(RECORD)
        return stored

    async def stamp(self, record: str) -> None:
        """Add the record to the metadata."""
        kept = {key: value for key, value in (self.collection.metadata or {}).items() if key != HNSW_SPACE}
        with asking():
            await done(self.collection.modify(metadata={**kept, RECORD: record}))

    async def held(self, documents: Sequence[str]) -> list[Held]:
        """Rows that name the documents, and those of the documents' own ids that name none."""
        found: dict[str, Held] = {}
        for some in await self._batches(len(documents)):
            keys = list(documents[some])
            with asking():
                alone = await done(self.collection.get(ids=keys, include=["metadatas"]))
            rows = [*await self._named(keys), *(row for row in _held(alone) if row.document == row.id)]
            found.update((row.id, row) for row in rows)
        return list(found.values())

    async def _named(self, documents: Sequence[str]) -> list[Held]:
        """Rows that name the documents, in parts: Chroma's SQL fails where 32,767 rows are found at once."""
        found: list[Held] = []
        where = {DOCUMENT: {"$in": list(documents)}}
        while True:
            with asking():
                got = await done(
                    self.collection.get(where=where, limit=MOST_FOUND, offset=len(found), include=["metadatas"])
                )
            found += _held(got)
            if len(got["ids"]) < MOST_FOUND:
                return found

    async def page(self, cursor: Any, limit: int) -> tuple[list[Held], Any]:
        """Rows in Chroma's own order; the cursor is an offset."""
        offset = cursor or 0
        with asking():
            rows = _held(await done(self.collection.get(limit=limit, offset=offset, include=["metadatas"])))
        return rows, offset + limit if len(rows) == limit else None

    async def get(self, ids: Sequence[str]) -> list[Stored]:
        """Rows with their vectors."""
        found: list[Stored] = []
        for some in await self._batches(len(ids)):
            with asking():
                got = await done(
                    self.collection.get(ids=list(ids[some]), include=["documents", "metadatas", "embeddings"])
                )
            columns = (got["ids"], got["documents"], got["metadatas"], got["embeddings"])
            found += [
                Stored(Row.from_fields(key, text or "", fields or {}), np.asarray(vector, np.float32))
                for key, text, fields, vector in zip(*columns, strict=True)
            ]
        return found

    async def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows, their metadata replaced and not, as Chroma does, merged with what was there."""
        for some in await self._batches(len(rows)):
            part, lost = rows[some], [row.id for row in rows[some.start :]]
            ids = [row.id for row in part]
            with asking(f"Chroma did not take row {ids[0]!r} or one after it", lost):
                await done(
                    self.collection.upsert(
                        ids=ids,
                        embeddings=vectors[some],
                        documents=[row.text for row in part],
                        metadatas=await self._replacing(ids, [row.fields() for row in part]),
                    )
                )

    async def delete(self, ids: Sequence[str]) -> None:
        """Remove rows."""
        for some in await self._batches(len(ids)):
            with asking():
                await done(self.collection.delete(ids=list(ids[some])))

    async def search(self, vector: FloatArray, limit: int) -> list[Hit]:
        """The nearest rows; Chroma's distances are 1 - cosine, 1 - dot product, or the squared L2 of unit vectors."""
        include = ["documents", "metadatas", "distances"]
        with asking():
            found = await done(
                self.collection.query(query_embeddings=[vector.tolist()], n_results=limit, include=include)
            )
        space = (self.collection.configuration_json.get("hnsw") or {}).get("space", "cosine")
        columns = (found[name][0] for name in ("ids", *include))
        return [
            Hit(Row.from_fields(key, text or "", fields or {}), 1 - (distance / 2 if space == "l2" else distance))
            for key, text, fields, distance in zip(*columns, strict=True)
        ]

    async def count(self) -> int:
        """How many rows there are."""
        with asking():
            return int(await done(self.collection.count()))

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

    async def _batches(self, count: int) -> list[slice]:
        """Slices of `count` rows that the server takes at once."""
        with asking():
            limit = await done(self.collection._client.get_max_batch_size())  # noqa: SLF001 - it tells clients alone
        size = min(limit, MAX_BATCH)
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    async def _replacing(self, ids: Sequence[str], fields: Sequence[Metadata]) -> list[dict[str, Any] | None]:
        """Metadata in which every field that a row has now, and is not to keep, is None: Chroma removes those."""
        found = await done(self.collection.get(ids=list(ids), include=["metadatas"]))
        old = dict(zip(found["ids"], found["metadatas"] or (), strict=True))
        return [{**dict.fromkeys(old.get(key) or ()), **new} for key, new in zip(ids, fields, strict=True)]


def _held(got: Mapping[str, Any]) -> list[Held]:
    return [Held.from_fields(key, fields or {}) for key, fields in zip(got["ids"], got["metadatas"] or (), strict=True)]
