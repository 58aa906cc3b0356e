"""A Weaviate collection as Twofold's store, of a synchronous or an asynchronous client."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from twofold import StoreError
from twofold.adapters import DOCUMENT, Hit, Stored, check_not_closed, extra, resolve, search_filtered
from weaviate_twofold.connect import class_name, connect
from weaviate_twofold.making import arguments
from weaviate_twofold.moving import Moving
from weaviate_twofold.objects import PIECE, Sending, object_id, pieces, refusals
from weaviate_twofold.properties import HELD, held_of, object_of, properties_for, row_of
from weaviate_twofold.record import Layout, asked

with extra("weaviate"):
    from weaviate.classes.config import Tokenization
    from weaviate.classes.data import DataObject
    from weaviate.classes.query import Filter, MetadataQuery
    from weaviate.collections import Collection, CollectionAsync
    from weaviate.exceptions import UnexpectedStatusCodeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold import Embedder
    from twofold.adapters import FloatArray, Held, Row, Where

MOST = 10_000
"""Objects that a server gives for one query (its QUERY_MAXIMUM_RESULTS, where nobody changes it)."""


class WeaviateStore(Moving):
    """See `twofold.adapters.Store`. Its record is in the description of a property; see `weaviate_twofold.record`.

    Args:
        collection: as a client's `collections.use` gives it, of one tenant where it has any.
        client: that client, to make the collection.
        layout: how its objects become vectors; None is what it says itself.
        options: those of `open_collection`, to make it.
        rows: whether documents are written to it, so that its one vector has to be made of one property.
        exact: do not follow it where it has moved.
    """

    keeps_lists = True

    def __init__(
        self,
        collection: Any,
        *,
        client: Any = None,
        layout: Layout | None = None,
        options: Mapping[str, Any] | None = None,
        rows: bool = True,
        exact: bool = False,
    ) -> None:
        self.collection, self.name = collection, collection.name
        self._client, self._asked, self._options, self._rows = client, layout, dict(options or {}), rows
        self._exact = exact
        self._layout: Layout | None = None
        self._known: dict[str, Any] = {}
        self._owned = False

    @classmethod
    def connect(cls, address: str, name: str) -> Self:
        """`http://localhost:8080`, with `?grpc_port=…` where that is not 50051; a collection of any name."""
        client = connect(address)
        store = cls(client.collections.use(class_name(name)), client=client)
        store._owned = True
        return store

    @classmethod
    def over(cls, native: Any, name: str | None = None, *, vectorize: str = "text", **options: Any) -> Self | None:
        """The store of a collection object, of either client; or of one by its name at its client."""
        if name is not None:
            return cls(
                native.collections.use(class_name(name)), client=native, layout=asked(vectorize), options=options
            )
        return cls(native) if isinstance(native, Collection | CollectionAsync) else None

    def beside(self, name: str) -> Self:
        """A collection of the same client."""
        return type(self)(self._client.collections.use(class_name(name)), client=self._client, rows=False, exact=True)

    def make(self, record: str, embedder: Embedder) -> None:
        """Make it, for vectors of its own that are compared by cosine."""
        if self._client is None:
            raise StoreError(f"there is no collection {self.name!r}: make it with open_collection")
        options = arguments(self._asked or Layout.usual(), record, **self._options)
        with refusals(f"collection {self.name!r} was not made"):
            try:
                resolve(self._client.collections.create(self.name, **options))
            except UnexpectedStatusCodeError:
                if not resolve(self.collection.exists()):  # else another client was faster
                    raise

    def held(self, documents: Sequence[str]) -> list[Held]:
        """Rows that name the documents, and those of the documents' own ids that name none."""
        return [held for some in pieces(documents) for held in self._held(some)]

    def page(self, cursor: Any, limit: int) -> tuple[list[Held], Any]:
        """Rows in the order of their UUIDs; the cursor is the last of these."""
        objects = self._fetch(limit=limit, after=cursor)
        return [held_of(one) for one in objects], objects[-1].uuid if len(objects) == limit else None

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """Rows with their vectors: each once for each of its vectors, with the text that this one is made of."""
        layout, ask = self.layout(), self.collection.query.fetch_objects_by_ids
        return [
            Stored(row_of(one.uuid, one.properties, layout, name), np.asarray(one.vector[name], np.float32))
            for some in pieces(ids)
            for one in (
                self._asking("cannot be read", ask, [object_id(key) for key in some], limit=PIECE, include_vector=True)
            ).objects
            for name in layout.vectors
            if name in one.vector
        ]

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows in place of those with the same ids."""
        layout = self.layout()
        text, ids = layout.text_property(self.name), [row.id for row in rows]
        self._declare(properties_for([row.metadata for row in rows], text))
        objects = [
            DataObject(object_of(row, text), object_id(row.id), layout.named(vector[None]))
            for row, vector in zip(rows, vectors, strict=True)
        ]
        sending = Sending(self.collection, ids, partial(check_not_closed, self))
        sending.insert(range(len(ids)), objects)
        sending.finish()

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows."""
        check_not_closed(self)
        self.take_out(ids)

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> list[Hit]:
        """The nearest rows; they pass here, among the nearest `MOST`: by words, a server would find others too."""
        return search_filtered(lambda asked: self._nearest(vector, asked), self.count, limit, where, most=MOST)

    def _nearest(self, vector: FloatArray, limit: int) -> list[Hit]:
        """Weaviate's distance is 1 - cosine."""
        layout = self.layout()
        layout.text_property(self.name)
        (name,) = layout.vectors
        ask, also = self.collection.query.near_vector, MetadataQuery(distance=True)
        found = self._asking(
            "cannot be searched", ask, vector, limit=limit, target_vector=layout.target(None), return_metadata=also
        )
        return [Hit(row_of(one.uuid, one.properties, layout, name), 1 - one.metadata.distance) for one in found.objects]

    def count(self) -> int:
        """How many rows there are."""
        found = self._asking("cannot be counted", self.collection.aggregate.over_all, total_count=True)
        return int(found.total_count)

    def close(self) -> None:
        """Close the client, where `connect` opened it."""
        if self._owned:
            resolve(self._client.close())

    def _held(self, documents: Sequence[str]) -> list[Held]:
        if not self._known:
            self._config()
        named = self._known.get(DOCUMENT)
        where = Filter.by_id().contains_any([object_id(key) for key in documents])
        if named is not None:
            where |= Filter.by_property(DOCUMENT).contains_any(documents)
        exact = named is None or named.tokenization == Tokenization.FIELD  # else it cannot find "a", a stop word
        rows = [held_of(one) for one in self._fetch(filters=where, limit=MOST)] if exact else []
        if len(rows) >= MOST and len(documents) > 1:
            half = len(documents) // 2
            return self._held(documents[:half]) + self._held(documents[half:])
        if len(rows) >= MOST or not exact:  # a filter cannot go on after so many: all rows are looked at
            rows, cursor = self.page(None, MOST)
            while cursor is not None:
                more, cursor = self.page(cursor, MOST)
                rows += more
        return [row for row in rows if row.document in documents]

    def _fetch(self, **asked: Any) -> list[Any]:
        if not self._known:
            self._config()
        names, ask = [name for name in HELD if name in self._known], self.collection.query.fetch_objects
        try:
            return list((self._asking("cannot be read", ask, return_properties=names, **asked)).objects)
        except StoreError as error:
            if "tenant not found" in str(error):  # it may be made when its first object comes
                return []
            raise
