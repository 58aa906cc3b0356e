"""Weaviate's own objects, written with the embedder's document side and searched with its query side.

- Collections are Weaviate's own: what is not here (filters, generation, deleting) is done as with any other.
- A collection object is checked when it is first searched, by one request, and at every write.
- Vectors are kept as they are given, to the bit; the server normalises its own copies to compare them.
- Each method has a twin for an asynchronous client's collections: `anear_text`, `ahybrid`, …
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from twofold import InputError
from twofold.adapters import (
    as_embedder,
    check_not_closed,
    check_record,
    check_space,
    extra,
    invoke,
    resolve,
    run_in_thread,
)
from weaviate_twofold.objects import Sending, checked_ids, entries_of, object_id, properties_of, write_objects
from weaviate_twofold.properties import ID
from weaviate_twofold.rows import WeaviateStore

with extra("weaviate"):
    from weaviate.classes.data import DataObject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from weaviate.collections import Collection, CollectionAsync
    from weaviate.collections.classes.internal import QueryReturn

    from twofold import Space
    from twofold.adapters import FloatArray, Model

    Sync: TypeAlias = Collection[Any, Any]
    Async: TypeAlias = CollectionAsync[Any, Any]
    Found: TypeAlias = QueryReturn[Any, Any]
    Objects: TypeAlias = Sequence[Mapping[str, Any]]


class TwofoldVectorizer:
    """A Twofold embedder for Weaviate's objects.

    Args:
        model: an `Embedder`, or what one takes as its model, with its options as keywords.

    Raises:
        InputError: an option that no embedder takes, or a value that the model cannot take.
    """

    def __init__(self, model: Model, **options: Any) -> None:
        self.embedder = as_embedder(model, **options)
        self._stores: WeakKeyDictionary[Any, WeaviateStore] = WeakKeyDictionary()

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
        """Embed objects and write them, in place of those with the same ids; the UUIDs that they have.

        Args:
            collection: what `open_collection` gave, or any that it would.
            objects: their properties.
            ids: UUIDs, or any strings, of which UUIDs are made; without them an object's id is made of its properties,
                so that the same object, written twice, is there once.
            references: of each object, by their names, to the UUIDs of others.
            vectors: ready ones, shape (n_objects, dimensions), or such an array for each named vector.
            space: that of `vectors`; None is this embedder's.
            progress: whether to show it.

        Raises:
            InputError: an id twice, or an object without a text to embed, or with one too long; before any work.
            SpaceMismatch: the collection's vectors are of another space.
            StoreError: objects were refused; all others are written, and `failed` has the reasons by id.
            ProviderError: a hosted model failed; objects that have their vectors are written, and `partial` and
                `failed` count objects.
        """
        more: dict[str, Any] = {"references": references, "vectors": vectors, "space": space, "progress": progress}
        return self._add(collection, objects, ids=ids, **more)

    async def aadd_objects(self, collection: Async, objects: Objects, **options: Any) -> list[str]:
        """`add_objects` with the same options, without holding up the event loop."""
        return await run_in_thread(self._add, collection, objects, **options)

    def update_objects(self, collection: Sync, objects: Objects, *, ids: Sequence[str | UUID]) -> list[str]:
        """Change properties of objects that are there; those of whose texts one changes are embedded again.

        Args:
            collection: see `add_objects`.
            objects: the properties that change, of each object; None removes one.
            ids: of the objects, as they were given to `add_objects`, or their UUIDs.

        Raises:
            InputError: an object that is not there, that has no text any more, or whose text is a row of a document
                (add the document again); before any work.
            SpaceMismatch, StoreError, ProviderError: see `add_objects`.
        """
        return self._update(collection, objects, ids)

    async def aupdate_objects(self, collection: Async, objects: Objects, *, ids: Sequence[str | UUID]) -> list[str]:
        """`update_objects`, without holding up the event loop."""
        return await run_in_thread(self._update, collection, objects, ids)

    def near_text(
        self, collection: Sync, query: str | Sequence[str], *, target_vector: Any = None, **options: Any
    ) -> Found:
        """Objects near to `query`, which is embedded on the query side.

        Args:
            collection: see `add_objects`.
            query: a text, or several: what is near to the mean of their vectors is found, as by Weaviate's own modules.
            target_vector: the named vector to search, where there are several; what `near_vector` takes.
            options: what `collection.query.near_vector` takes: `limit`, `filters`, `return_metadata`, and so on.

        Raises:
            InputError: an empty query, or a vector that the collection does not have.
            SpaceMismatch: the collection's vectors are of another space.
            StoreError: it has no record of their space, or there is no such collection.
        """
        return self._search(collection, query, target=target_vector, options=options)

    async def anear_text(
        self, collection: Async, query: str | Sequence[str], *, target_vector: Any = None, **options: Any
    ) -> Found:
        """`near_text`, without holding up the event loop."""
        return await run_in_thread(self._search, collection, query, target=target_vector, options=options)

    def hybrid(self, collection: Sync, query: str, *, target_vector: Any = None, **options: Any) -> Found:
        """`near_text` together with a search by words: `collection.query.hybrid`, with its options (`alpha`, ...)."""
        return self._search(collection, query, target=target_vector, options=options, words=query)

    async def ahybrid(self, collection: Async, query: str, *, target_vector: Any = None, **options: Any) -> Found:
        """`hybrid`, without holding up the event loop."""
        return await run_in_thread(self._search, collection, query, target=target_vector, options=options, words=query)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _search(self, collection: Any, query: Any, *, target: Any, options: Any, words: str | None = None) -> Found:
        store = self._stores.get(collection) or self._checked(collection)
        layout, own = store.layout(), store.collection
        chosen = layout.target(target)
        concepts = [query] if isinstance(query, str) else list(query)
        if not concepts:
            raise InputError("expected a text to look for, or several, got none")
        vector = invoke(self.embedder, "embed_queries", concepts).mean(axis=0)
        if words is not None:
            found: Found = resolve(own.query.hybrid(words, vector=vector, target_vector=chosen, **options))
        else:
            found = resolve(own.query.near_vector(vector, target_vector=chosen, **options))
        return found

    def _add(
        self,
        collection: Any,
        objects: Objects,
        *,
        ids: Any = None,
        references: Any = None,
        vectors: Any = None,
        space: Space | None = None,
        progress: bool = False,
    ) -> list[str]:
        store = self._checked(collection, space)
        check_not_closed(store)
        layout = store.layout()
        keys = checked_ids(ids, objects)
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

    def _update(self, collection: Any, objects: Objects, ids: Any) -> list[str]:
        store = self._checked(collection)
        check_not_closed(store)
        layout = store.layout()
        keys = checked_ids(list(ids), objects)
        uuids = [object_id(key) for key in keys]
        before = properties_of(store.collection, uuids)
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

    def _checked(self, collection: Any, space: Space | None = None) -> WeaviateStore:
        """Its store; one of an alias stays with the collection that this names now."""
        store = WeaviateStore(collection, rows=False)
        check_record(store, self.embedder) if space is None else check_space(store, space)
        if space is None:
            self._stores[collection] = store
        return store

    def __repr__(self) -> str:
        """Show the embedder, which shows nothing secret."""
        return f"{type(self).__name__}({self.embedder!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle to the embedder, and leave what was read from a server."""
        return type(self), (self.embedder,)
