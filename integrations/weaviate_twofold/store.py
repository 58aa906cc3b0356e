"""The store that jobs write to: `weaviate:http://localhost:8080`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from twofold.extras import extra
from twofold.jobs.store import DIGEST, DOCUMENT, PIECES, Held, Hit
from weaviate_twofold.address import class_name, connect
from weaviate_twofold.flow import run
from weaviate_twofold.rows import ID, by_ids, declaring, object_of, row_of, text_property
from weaviate_twofold.schema import refusals
from weaviate_twofold.vectorizer import TwofoldVectorizer
from weaviate_twofold.writing import PIECE, Writing, sending

with extra("weaviate"):
    from weaviate.classes.query import MetadataQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weaviate import WeaviateClient
    from weaviate.collections import Collection

    from twofold import Embedder
    from twofold.jobs.store import Row
    from twofold.vectors import FloatArray


class WeaviateStore:
    """One collection of a Weaviate server; made by `open`."""

    def __init__(self, client: WeaviateClient, collection: Collection[Any, Any], vectorizer: TwofoldVectorizer) -> None:
        self._client, self._collection, self._vectorizer = client, collection, vectorizer
        self._layout = vectorizer.layout(collection)
        self._text = text_property(self._layout, collection)
        self._known: set[str] = set()

    @classmethod
    def open(cls, address: str, collection: str, embedder: Embedder, *, create: bool = True) -> Self:
        """Open `collection` at `address`: `http://localhost:8080`, with `?grpc_port=…` where that is not 50051.

        Any name will do: one that Weaviate does not take is turned into one that it does, see `class_name`.

        Raises:
            InputError: no such address.
            SpaceMismatch: its vectors are of another space than the embedder's.
            StoreError: no server there; or no such collection and not `create`; or one that does not say its space.
        """
        client, collection = connect(address), class_name(collection)
        try:
            vectorizer = TwofoldVectorizer(embedder)
            with refusals(f"collection {collection!r} can not be opened"):
                make = create and not client.collections.exists(collection)
            opened = (vectorizer.create_collection if make else vectorizer.open)(client, collection)
            return cls(client, opened, vectorizer)
        except BaseException:
            client.close()
            raise

    def held(self) -> Iterator[Held]:
        """Every row that is there, in any order."""
        with refusals(f"collection {self._collection.name!r} can not be read"):
            there = {one.name for one in self._collection.config.get().properties}
            asked = [name for name in (ID, DOCUMENT, DIGEST, PIECES) if name in there]
            for one in self._collection.iterator(return_properties=asked):
                fields = {name: value for name, value in one.properties.items() if value is not None}
                yield Held.from_fields(str(fields.get(ID, one.uuid)), fields)

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows, replacing those with the same ids; `vectors` has shape (len(rows), dimensions).

        Raises:
            StoreError: rows that were not written, by id, in `failed`.
        """
        writing = Writing(self._collection.name, [row.id for row in rows], [object_of(row, self._text) for row in rows])
        self._run(declaring(self._collection, [row.metadata for row in rows], self._text, self._known))
        self._run(sending(self._layout, self._collection, writing, slice(0, len(rows)), vectors[:, None]))
        writing.finish()

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the rows with these ids; those that are not there are no error."""
        for start in range(0, len(ids), PIECE):
            with refusals(f"collection {self._collection.name!r}: rows were not deleted"):
                self._collection.data.delete_many(where=by_ids(ids[start : start + PIECE]))

    def search(self, vector: FloatArray, limit: int) -> list[Hit]:
        """The `limit` rows nearest to `vector`, shape (dimensions,), best first."""
        with refusals(f"collection {self._collection.name!r} can not be searched"):
            found = self._collection.query.near_vector(
                cast("Any", vector), limit=limit, return_metadata=MetadataQuery(distance=True)
            )
        return [
            Hit(row_of(one.uuid, one.properties, self._text), 1.0 - (one.metadata.distance or 0.0))
            for one in found.objects
        ]

    def count(self) -> int:
        """How many rows there are."""
        with refusals(f"collection {self._collection.name!r} can not be counted"):
            return self._collection.aggregate.over_all(total_count=True).total_count or 0

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _run(self, flow: Any) -> None:
        run(self._collection, self._vectorizer.embedder, flow)
