"""`WeaviateStore`, a collection as Twofold's store, and what users call: `open_collection`, `add_documents`.

The store works over Weaviate's synchronous and asynchronous clients. The record of a collection stands in its
configuration; see `weaviate_twofold.record`.
"""

from __future__ import annotations

from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from twofold import InputError, StoreError, stores
from twofold.adapters import as_embedder, extra, resolve
from twofold.stores import DOCUMENT, MIGRATION, Hit, Original, Stored, check_not_closed, follow, search_filtered
from weaviate_twofold.connect import class_name, connect, weaviate_errors
from weaviate_twofold.objects import (
    HELD,
    ID,
    PIECE,
    Sending,
    held_of,
    object_id,
    object_of,
    pieces,
    properties_for,
    row_of,
)
from weaviate_twofold.record import Layout, arguments, asked, guessed, kept_in, marks_in, schema_like

with extra("weaviate"):
    from weaviate.classes.config import DataType, Property, Tokenization
    from weaviate.classes.data import DataObject
    from weaviate.classes.query import Filter, MetadataQuery, QueryReference
    from weaviate.collections import Collection, CollectionAsync
    from weaviate.exceptions import UnexpectedStatusCodeError, WeaviateInvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from weaviate import WeaviateAsyncClient, WeaviateClient

    from twofold import Embedder
    from twofold.adapters import FloatArray, Model
    from twofold.stores import Adopt, Given, Held, Metadatas, Row, Where
    from weaviate_twofold.record import Vectorize

MOST = 10_000
"""Objects that a server returns for one query (QUERY_MAXIMUM_RESULTS, by default)."""


class WeaviateStore:
    """A Weaviate collection as `twofold.stores.Store`. It can also be moved and listed.

    Args:
        collection: what a client's `collections.use` returned, for one tenant if the collection has tenants.
        client: that client; needed to create the collection.
        layout: how objects become vectors; None reads it from the collection.
        options: those of `open_collection`, for a new collection.
        rows: documents are written to it, so its one vector must be made from one property.
        exact: do not follow a collection that has moved.
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
        """`http://localhost:8080`, with `?grpc_port=…` if that is not 50051. The collection may have any name."""
        client = connect(address)
        store = cls(client.collections.use(class_name(name)), client=client)
        store._owned = True
        return store

    @classmethod
    def over(cls, native: Any, name: str | None = None, *, vectorize: str = "text", **options: Any) -> Self | None:
        """The store of a collection object of either client, or of the collection `name` at a client."""
        if name is not None:
            own = native.collections.use(class_name(name))
            return cls(own, client=native, layout=asked(vectorize), options=options)
        return cls(native) if isinstance(native, Collection | CollectionAsync) else None

    # -- the collection -----------------------------------------------------------------------------------------------

    def find(self) -> bool:
        """Return whether it exists, by this name or as an alias."""
        if self._exact:
            if not self._ask("cannot be opened", self.collection.exists):
                return False
            if self._config().multi_tenancy_config.enabled:
                raise StoreError(f"collection {self.name!r} has tenants, which a migration does not copy")
            return True
        asked = self.name

        def marks_of(name: str) -> dict[str, str] | None:
            nonlocal asked
            if name != asked:
                self._use(name)
            asked = name
            return marks_in(self._config()) if self._ask("cannot be opened", self.collection.exists) else None

        name = follow(self.name, marks_of, self._all_marks)
        if name is not None and name != asked:
            self._use(name)
        return name is not None

    def make(self, record: str, embedder: Embedder) -> None:
        """Create it, for vectors that come with the objects and are compared by cosine."""
        if self._client is None:
            raise StoreError(f"there is no collection {self.name!r}: make it with open_collection")
        options = arguments(self._asked or Layout.usual(), record, **self._options)
        with weaviate_errors(f"collection {self.name!r} was not made"):
            try:
                resolve(self._client.collections.create(self.name, **options))
            except UnexpectedStatusCodeError:
                if not resolve(self.collection.exists()):  # else another client was faster
                    raise

    def record(self) -> str | None:
        """Return the record in the server's current configuration.

        Raises:
            InputError: its vectors are made from other properties than was asked, or than documents need.
        """
        self._layout, record = kept_in(self._config())
        if self._layout is not None:
            if self._asked is not None and self._asked.renamed(self._layout.vectors) != self._layout:
                raise InputError(f"collection {self.name!r} is made with {self._layout}, not with {self._asked}")
            if self._rows:
                self._layout.text_property(self.name)
        return record

    def stamp(self, record: str, embedder: Embedder) -> None:
        """Put the record into the description of the first property that vectors are made from."""
        self._describe(record, {})

    def layout(self) -> Layout:
        """How its objects become vectors, as the collection says, or as is guessed if it does not.

        Raises:
            InputError: it cannot be guessed.
            StoreError: vectors that are not compared by cosine.
        """
        if self._layout is None:
            config = self._config()
            self._layout = kept_in(config)[0] or guessed(config, self._asked)
        return self._layout

    def names(self) -> list[str]:
        """Return all collections of the server, including those of other programs."""
        with weaviate_errors("collections cannot be listed"):
            return sorted(resolve(self._client.collections.list_all(simple=True)))

    def drop(self) -> None:
        with weaviate_errors(f"collection {self.name!r} was not removed"):
            resolve(self._client.collections.delete(self.name))

    def close(self) -> None:
        """Close the client if `connect` opened it."""
        if self._owned:
            resolve(self._client.close())

    def _all_marks(self) -> list[tuple[str, dict[str, str]]]:
        """The marks of all collections; of none without a client."""
        if self._client is None:
            return []
        configs = self._ask("cannot be opened", self._client.collections.list_all, simple=False)
        return [(one.name, marks_in(one)) for one in configs.values()]

    def _use(self, name: str) -> None:
        """Continue with another collection of the same server, and the same tenant."""
        own = self.collection
        other = type(own)(own._connection, name, own._validate_arguments, own.consistency_level, own.tenant)  # noqa: SLF001 - as the client does
        self.collection, self.name, self._known, self._layout = other, name, {}, None

    def _config(self) -> Any:
        """Return the server's current configuration; resolve an alias to the collection that it names now."""
        config = self._ask("cannot be opened", self.collection.config.get)
        if config.name != self.collection.name:
            self._use(config.name)
        self._known = {one.name: one for one in config.properties}
        return config

    def _describe(self, record: str | None, marks: Mapping[str, str | None]) -> None:
        layout = self.layout()
        own = self._known.get(layout.carrier)
        text = layout.describe(record, own and own.description, marks)
        if own is None:
            self._declare([Property(name=layout.carrier, data_type=DataType.TEXT, description=text)])
        else:
            update = self.collection.config.update
            self._ask("takes no record", update, property_descriptions={layout.carrier: text})

    def _declare(self, wanted: Sequence[Property]) -> None:
        if not self._known:
            self._config()
        for one in wanted:
            if one.name not in self._known:
                try:
                    self._ask(f"takes no property {one.name!r}", self.collection.config.add_property, one)
                except StoreError as error:
                    if not isinstance(error.__cause__, WeaviateInvalidInputError):  # else another client was faster
                        raise
                self._known[one.name] = one

    def _ask(self, otherwise: str, ask: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        with weaviate_errors(f"collection {self.name!r} {otherwise}"):
            return resolve(ask(*arguments, **named))

    # -- rows ---------------------------------------------------------------------------------------------------------

    def held(self, documents: Sequence[str]) -> list[Held]:
        """Rows that name the documents, and rows with the documents' own ids that name none."""
        return [held for some in pieces(documents) for held in self._held(some)]

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
        if len(rows) >= MOST or not exact:  # a filter cannot continue after so many: read all rows
            rows, cursor = self.page(None, MOST)
            while cursor is not None:
                more, cursor = self.page(cursor, MOST)
                rows += more
        return [row for row in rows if row.document in documents]

    def page(self, cursor: Any, limit: int) -> tuple[list[Held], Any]:
        """Rows in the order of their UUIDs; the cursor is the last of these."""
        objects = self._fetch(limit=limit, after=cursor)
        return [held_of(one) for one in objects], objects[-1].uuid if len(objects) == limit else None

    def _fetch(self, **options: Any) -> list[Any]:
        if not self._known:
            self._config()
        names, ask = [name for name in HELD if name in self._known], self.collection.query.fetch_objects
        try:
            return list(self._ask("cannot be read", ask, return_properties=names, **options).objects)
        except StoreError as error:
            if "tenant not found" in str(error):  # it may be created with its first object
                return []
            raise

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """A row for each vector of each object, with the text that this vector is made from."""
        layout = self.layout()
        return [
            Stored(row_of(one.uuid, one.properties, layout, name), np.asarray(one.vector[name], np.float32))
            for one in self._read(ids, include_vector=True)
            for name in layout.vectors
            if name in one.vector
        ]

    def _read(self, ids: Sequence[str], **options: Any) -> list[Any]:
        ask = self.collection.query.fetch_objects_by_ids
        return [
            one
            for some in pieces(ids)
            for one in self._ask(
                "cannot be read", ask, [object_id(key) for key in some], limit=PIECE, **options
            ).objects
        ]

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        layout = self.layout()
        text = layout.text_property(self.name)
        self._declare(properties_for([row.metadata for row in rows], text))
        objects = [
            DataObject(object_of(row, text), object_id(row.id), layout.named(vector[None]))
            for row, vector in zip(rows, vectors, strict=True)
        ]
        sending = Sending(self.collection, [row.id for row in rows], partial(check_not_closed, self))
        sending.insert(range(len(rows)), objects)
        sending.finish()

    def delete(self, ids: Sequence[str]) -> None:
        check_not_closed(self)
        self.take_out(ids)

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> list[Hit]:
        """The nearest rows. The filter is applied here, to the nearest `MOST`: a server would compare by words."""
        return search_filtered(lambda asked: self._nearest(vector, asked), self.count, limit, where, most=MOST)

    def _nearest(self, vector: FloatArray, limit: int) -> list[Hit]:
        layout = self.layout()
        layout.text_property(self.name)
        (name,) = layout.vectors
        ask, also = self.collection.query.near_vector, MetadataQuery(distance=True)
        found = self._ask(
            "cannot be searched", ask, vector, limit=limit, target_vector=layout.target(None), return_metadata=also
        )
        # Weaviate's distance is 1 - cosine
        return [Hit(row_of(one.uuid, one.properties, layout, name), 1 - one.metadata.distance) for one in found.objects]

    def count(self) -> int:
        return int(self._ask("cannot be counted", self.collection.aggregate.over_all, total_count=True).total_count)

    # -- moving: `twofold.stores.Movable` -----------------------------------------------------------------------------

    def beside(self, name: str) -> Self:
        return type(self)(self._client.collections.use(class_name(name)), client=self._client, rows=False, exact=True)

    def marks(self) -> dict[str, str]:
        return marks_in(self._config())

    def mark(self, changes: Mapping[str, str | None]) -> None:
        """Change marks in one call. A collection without a record stays without one."""
        record = kept_in(self._config())[1]
        self._describe(record, changes)

    def make_like(self, source: Self, record: str, embedder: Embedder, marks: Mapping[str, str]) -> None:
        """Copy the whole schema, for vectors that come with the objects and are compared by cosine."""
        layout, config = source.layout(), source._config()
        schema = schema_like(config, layout, record, marks)
        schema["class"] = self.collection.name
        with weaviate_errors(f"collection {self.name!r} was not made"):
            resolve(self._client.collections.create_from_dict(schema))

    def match(self, source: Self) -> None:
        """Declare the properties of `source` that are missing here."""
        self._declare(source._config().properties)

    def originals(self, ids: Sequence[str], *, vectors: bool = False) -> list[Original]:
        """Objects with their properties and references, and the text of each of their vectors."""
        layout, config = self.layout(), self._config()
        links = [QueryReference(link_on=one.name, return_properties=[]) for one in config.references]
        options: dict[str, Any] = {"return_references": links} if links else {}
        found = []
        for one in self._read(ids, include_vector=vectors, **options):
            fields = {name: value for name, value in one.properties.items() if value is not None}
            linked = {name: [str(to.uuid) for to in own.objects] for name, own in (one.references or {}).items()}
            rows = [row_of(one.uuid, one.properties, layout, name) for name in layout.vectors]
            named = [one.vector.get(name, ()) for name in layout.vectors] if vectors else []
            kept = {"properties": fields, "uuid": str(one.uuid), "references": linked}
            arrays = tuple(np.asarray(vector, np.float32) for vector in named)
            found.append(Original(rows[0], tuple(row.text for row in rows), kept, arrays))
        return found

    def put(self, rows: Sequence[Original], vectors: Sequence[FloatArray]) -> None:
        """Write objects as they were, even to a closed collection."""
        layout, ids = self.layout(), [one.row.id for one in rows]
        objects = [
            DataObject(one.kept["properties"], one.kept["uuid"], layout.named(own), one.kept["references"] or None)
            for one, own in zip(rows, vectors, strict=True)
        ]
        sending = Sending(self.collection, ids)
        sending.insert(range(len(ids)), objects)
        sending.finish()

    def take_out(self, ids: Sequence[str]) -> None:
        """Remove objects, even from a closed collection."""
        for some in pieces(ids):
            where = Filter.by_id().contains_any([object_id(key) for key in some])
            self._ask("did not delete rows", self.collection.data.delete_many, where=where)

    def nearest(self, vector: FloatArray, limit: int, which: int = 0) -> list[tuple[str, float]]:
        """The ids and cosines of the nearest objects by the vector with this number."""
        layout = self.layout()
        name = list(layout.vectors)[which]
        found = self._ask(
            "cannot be searched",
            self.collection.query.near_vector,
            vector,
            limit=limit,
            target_vector=layout.target(name if len(layout.vectors) > 1 else None),
            return_properties=[ID] if ID in self._known else [],
            return_metadata=MetadataQuery(distance=True),
        )
        return [(str(one.properties.get(ID) or one.uuid), 1 - one.metadata.distance) for one in found.objects]

    def repoint(self, name: str, to: str) -> None:
        """Switch Weaviate's own alias, which exists from 1.32 on."""
        alias = class_name(name)
        config = self._ask("cannot be read", self._client.collections.use(alias).config.get)
        if config.name not in (alias, to):
            with weaviate_errors(f"alias {alias!r} was not moved"):
                resolve(self._client.alias.update(alias_name=alias, new_target_collection=to))

    def take_over(self, name: str) -> None:
        """Create an alias: a collection's own name cannot change."""
        alias = class_name(name)
        if alias != self.collection.name and not resolve(self._client.collections.exists(alias)):
            with weaviate_errors(f"alias {alias!r} was not made (it needs Weaviate 1.32)"):
                resolve(self._client.alias.create(alias_name=alias, target_collection=self.collection.name))
        self.mark({MIGRATION: None})


# -- what users call --------------------------------------------------------------------------------------------------


def open_collection(
    where: WeaviateClient,
    name: str,
    embedder: Model,
    *,
    create: bool = True,
    adopt: Adopt = False,
    vectorize: Vectorize | None = None,
    separator: str = "\n",
    tenant: str | None = None,
    **options: Any,
) -> Collection[Any, Any]:
    r"""Open a collection for vectors of the embedder's space alone, or create it.

    Args:
        where: a connected client; `aopen_collection` takes an asynchronous one.
        name: the collection's name.
        embedder: what writes and searches it: an `Embedder`, an object that holds one, or the name of a model.
        create: create the collection if it is missing.
        adopt: accept a collection that has objects but no record, made by hand or by another library, if some of its
            objects, embedded again, give the stored vectors. An empty one is always accepted.
        vectorize: the text properties that vectors are made from, in this order: `"text"`, the default,
            `["title", "body"]`, or for several named vectors `{"title": "title", "all": ["title", "body"]}`. Those
            missing from `properties` are added.
        separator: the text between two joined properties.
        tenant: the tenant whose objects are meant, if the collection has tenants; they share one record.
        options: for a new collection: `quantizer` and `vector_index_config`, for each vector, `tenants=True`, and what
            `client.collections.create` takes: `properties`, `references`, `description`, and so on.

    Raises:
        InputError: `vectorize` names nothing, or other properties than the collection has; an invalid option.
        SpaceMismatch: its vectors are of another space; the message names both spaces and what differs.
        StoreError: Weaviate refused; the collection is missing and `create` is false; or it has no record, and `adopt`
            is false.
    """
    made = as_embedder(embedder)
    store = _store(where, name, tenant, asked(vectorize, separator), options)
    stores.open_collection(store, made, create=create, adopt=adopt)
    opened: Collection[Any, Any] = store.collection
    return opened


async def aopen_collection(
    where: WeaviateAsyncClient,
    name: str,
    embedder: Model,
    *,
    create: bool = True,
    adopt: Adopt = False,
    vectorize: Vectorize | None = None,
    separator: str = "\n",
    tenant: str | None = None,
    **options: Any,
) -> CollectionAsync[Any, Any]:
    """`open_collection` with an asynchronous client."""
    made = as_embedder(embedder)
    store = _store(where, name, tenant, asked(vectorize, separator), options)
    await stores.aopen_collection(store, made, create=create, adopt=adopt)
    opened: CollectionAsync[Any, Any] = store.collection
    return opened


def add_documents(
    collection: Collection[Any, Any],
    embedder: Model,
    *,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    progress: bool = False,
) -> list[str]:
    """Embed documents and write them, replacing those with the same ids; return the ids of the written rows.

    A string is a whole document. A list of consecutive chunks, or a `Document`, is late-chunked: each chunk becomes an
    object whose vector knows the whole document. Its `twofold_id` is "<document id>#<number>"; `twofold_document`,
    `twofold_start` and `twofold_end` give its position, in characters. The collection must make its one vector from
    one property, which holds the text.

    Args:
        collection: see `open_collection`; `aadd_documents` takes an asynchronous one.
        embedder: see `open_collection`.
        ids: the documents' ids, all different: any strings.
        documents: strings, lists of chunks and `Document` objects. A blank one has no row; a warning names it.
        metadatas: more properties of each document, or of each of its chunks; None if there are none.
        progress: draw a bar.

    Raises:
        InputError: lists of different lengths, a repeated id, or a document that cannot be embedded; before any work.
        SpaceMismatch: the collection's vectors are of another space.
        StoreError: the server rejected rows or does not answer; see `failed`.
        ProviderError: a hosted model failed; documents that have their vectors are written.
    """
    store, made = WeaviateStore(collection), as_embedder(embedder)
    return stores.add_documents(store, made, ids=ids, documents=documents, metadatas=metadatas, progress=progress)


async def aadd_documents(
    collection: CollectionAsync[Any, Any],
    embedder: Model,
    *,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    progress: bool = False,
) -> list[str]:
    """`add_documents` with an asynchronous client's collection."""
    store, made = WeaviateStore(collection), as_embedder(embedder)
    return await stores.aadd_documents(
        store, made, ids=ids, documents=documents, metadatas=metadatas, progress=progress
    )


def _store(
    where: WeaviateClient | WeaviateAsyncClient,
    name: str,
    tenant: str | None,
    layout: Layout | None,
    options: Mapping[str, Any],
) -> WeaviateStore:
    known = signature(where.collections.create).parameters
    unknown = [option for option in arguments(layout or Layout.usual(), "{}", **options) if option not in known]
    if unknown:
        raise InputError(
            f"{', '.join(unknown)}: neither open_collection nor Weaviate's collections.create has such options"
        )
    collection = where.collections.use(name)
    collection = collection.with_tenant(tenant) if tenant else collection
    return WeaviateStore(collection, client=where, layout=layout, options=options, rows=False)
