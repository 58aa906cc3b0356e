"""Weaviate's own objects, written with the embedder's document side and searched with its query side.

- Collections stay Weaviate's own: everything else (filters, generation, deleting) works as with any other collection.
- The collection's record is read, by one request, at every write and every search. A collection that was deleted and
  created again for another embedder, or an alias that was switched to one, is therefore refused at the next call.
- Vectors are stored as they are; the server normalises its own copies to compare them.
- Each method has a twin for the collections of an asynchronous client: `anear_text`, `ahybrid`, …
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack

from twofold import InputError
from twofold.adapters import as_embedder, extra, invoke, resolve, run_in_thread
from twofold.stores import check_not_closed, check_record, check_space
from weaviate_twofold.objects import (
    ID,
    Sending,
    check_ids,
    check_objects,
    entries_of,
    object_id,
    read_properties,
    write_objects,
)
from weaviate_twofold.store import WeaviateStore

with extra("weaviate"):
    from weaviate.classes.data import DataObject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from weaviate.collections import Collection, CollectionAsync
    from weaviate.collections.classes.internal import QueryReturn

    from twofold import Space
    from twofold.adapters import FloatArray, Model, Options

    Sync: TypeAlias = Collection[Any, Any]
    Async: TypeAlias = CollectionAsync[Any, Any]
    Found: TypeAlias = QueryReturn[Any, Any]
    Objects: TypeAlias = Sequence[Mapping[str, Any]]


class AddOptions(TypedDict, total=False):
    """The options of `TwofoldVectorizer.add_objects`, which documents them."""

    ids: Sequence[str | UUID] | None
    references: Sequence[Mapping[str, Any] | None] | None
    vectors: FloatArray | Mapping[str, FloatArray] | None
    space: Space | None
    progress: bool


class TwofoldVectorizer:
    """A Twofold embedder for Weaviate's objects.

    Args:
        model: an `Embedder`, or the model of a new one.
        options: the options of a new `Embedder`.

    Raises:
        InputError: an unknown option, or a value that the model does not accept.
    """

    def __init__(self, model: Model, **options: Unpack[Options]) -> None:
        self.embedder = as_embedder(model, **options)

    def add_objects(
        self,
        collection: Sync,
        objects: Objects,
        *,
        ids: Sequence[str | UUID] | None = None,
        references: Sequence[Mapping[str, Any] | None] | None = None,
        vectors: FloatArray | Mapping[str, FloatArray] | None = None,
        space: Space | None = None,
        progress: bool = False,
    ) -> list[str]:
        """Embed objects and write them, replacing those with the same ids; return their UUIDs.

        Args:
            collection: what `open_collection` returned, or another object of the same collection.
            objects: their properties. Numpy scalars are stored as Python's.
            ids: UUIDs, or any strings, from which UUIDs are made. Without ids, an object's UUID is made from its
                properties, so that an object written twice is stored once.
            references: of each object, by their names, the UUIDs of others.
            vectors: vectors made earlier, shape (n_objects, dimensions), or such an array for each named vector.
            space: the space of `vectors`; None is this embedder's.
            progress: draw a bar.

        Raises:
            InputError: a repeated id, or an object without a text to embed, or with one too long; before any work.
            SpaceMismatch: the collection's vectors are of another space.
            StoreError: objects were rejected. All others are written, and `failed` has the reasons by id.
            ProviderError: a hosted model failed. Objects that have their vectors are written, and `partial` and
                `failed` count objects.
        """
        store = self._checked(collection, space)
        check_not_closed(store)
        layout, objects = store.layout(), check_objects(objects)
        keys = check_ids(ids, objects)
        if vectors is None:
            entries, ready = entries_of(self.embedder, layout, keys, dict(enumerate(objects))), [None] * len(keys)
        else:
            entries, ready = {}, layout.ready(vectors, len(keys), (space or self.embedder.space).dimensions)
        references = [None] * len(keys) if references is None else references
        if len(references) != len(keys):
            raise InputError(f"{len(references)} references for {len(keys)} objects: expected one for each, or None")
        data = [
            DataObject(dict(one), object_id(key), vector, refers)
            for one, key, vector, refers in zip(objects, keys, ready, references, strict=True)
        ]
        sending = Sending(store.collection, keys, partial(check_not_closed, store))
        return write_objects(self.embedder, layout, sending, data, entries=entries, progress=progress)

    async def aadd_objects(self, collection: Async, objects: Objects, **options: Unpack[AddOptions]) -> list[str]:
        """`add_objects` without blocking the event loop."""
        return await run_in_thread(self.add_objects, collection, objects, **options)

    def update_objects(self, collection: Sync, objects: Objects, *, ids: Sequence[str | UUID]) -> list[str]:
        """Change properties of existing objects, and embed those again whose texts change; return their UUIDs.

        Args:
            collection: see `add_objects`.
            objects: the changed properties of each object; None removes one.
            ids: the ids that `add_objects` was given, or UUIDs.

        Raises:
            InputError: an object is missing, has no text any more, or is a row of a document whose text would change
                (add the document again); before any work.
            SpaceMismatch, StoreError, ProviderError: see `add_objects`.
        """
        store = self._checked(collection)
        check_not_closed(store)
        layout, objects = store.layout(), check_objects(objects)
        keys = check_ids(list(ids), objects)
        uuids = [object_id(key) for key in keys]
        before = read_properties(store.collection, uuids)
        sources = {name for names in layout.vectors.values() for name in names}
        changed: dict[int, Mapping[str, Any]] = {}
        for index, (one, uuid) in enumerate(zip(objects, uuids, strict=True)):
            named = f"object {index}, {keys[index]!r},"
            if uuid not in before:
                raise InputError(f"{named} is not in collection {collection.name!r}", index=index)
            if sources & set(one):
                changed[index] = {**before[uuid], **one}
                if changed[index].get(ID):
                    raise InputError(f"{named} is a row of a document: add the document again", index=index)
        entries = entries_of(self.embedder, layout, keys, changed)
        data = [DataObject(dict(one), uuid) for one, uuid in zip(objects, uuids, strict=True)]
        sending = Sending(store.collection, keys, partial(check_not_closed, store))
        return write_objects(self.embedder, layout, sending, data, entries=entries, update=True)

    async def aupdate_objects(self, collection: Async, objects: Objects, *, ids: Sequence[str | UUID]) -> list[str]:
        """`update_objects` without blocking the event loop."""
        return await run_in_thread(self.update_objects, collection, objects, ids=ids)

    def near_text(
        self, collection: Sync, query: str | Sequence[str], *, target_vector: Any = None, **options: Any
    ) -> Found:
        """Find the objects nearest to `query`, which is embedded on the query side.

        Args:
            collection: see `add_objects`.
            query: a text, or several: the search uses the mean of their vectors, as Weaviate's own modules do.
            target_vector: the named vector to search, if there are several; what `near_vector` takes.
            options: what `collection.query.near_vector` takes: `limit`, `filters`, `return_metadata`, and so on.

        Raises:
            InputError: an empty query, or an unknown vector.
            SpaceMismatch: the collection's vectors are of another space.
            StoreError: the collection is missing, or has no record of their space.
        """
        return self._search(collection, query, target_vector, None, options)

    async def anear_text(
        self, collection: Async, query: str | Sequence[str], *, target_vector: Any = None, **options: Any
    ) -> Found:
        """`near_text` without blocking the event loop."""
        return await run_in_thread(self._search, collection, query, target_vector, None, options)

    def hybrid(self, collection: Sync, query: str, *, target_vector: Any = None, **options: Any) -> Found:
        """`near_text` combined with a search by words: `collection.query.hybrid`, with its options (`alpha`, ...)."""
        return self._search(collection, query, target_vector, query, options)

    async def ahybrid(self, collection: Async, query: str, *, target_vector: Any = None, **options: Any) -> Found:
        """`hybrid` without blocking the event loop."""
        return await run_in_thread(self._search, collection, query, target_vector, query, options)

    def _search(
        self,
        collection: Sync,
        query: str | Sequence[str],
        target_vector: Any,
        words: str | None,
        options: Mapping[str, Any],
    ) -> Found:
        store = self._checked(collection)
        target, queries = store.layout().target(target_vector), store.collection.query
        concepts = [query] if isinstance(query, str) else list(query)
        if not concepts:
            raise InputError("expected a text to search for, or several, got none")
        vector = invoke(self.embedder, "embed_queries", concepts).mean(axis=0)
        if words is None:
            found: Found = resolve(queries.near_vector(vector, target_vector=target, **options))
        else:
            found = resolve(queries.hybrid(words, vector=vector, target_vector=target, **options))
        return found

    def _checked(self, collection: Sync, space: Space | None = None) -> WeaviateStore:
        """Return the collection's store, with any alias resolved, if its record is of `space`."""
        store = WeaviateStore(collection, rows=False)
        if space is None:
            check_record(store, self.embedder)
        else:
            check_space(store, space)
        return store

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.embedder!r})"
