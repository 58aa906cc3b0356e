"""`ChromaStore`, a Chroma collection as Twofold's store, and what users call: `open_collection`, `add_documents`.

The store works over Chroma's synchronous and asynchronous clients. The record of a collection stands in its metadata
and in the stored configuration of its function; see `chroma_twofold.embedding`.
"""

from __future__ import annotations

import copy
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack, cast

import numpy as np

from chroma_twofold.connect import check_address, close, connect, folder_exists
from chroma_twofold.embedding import RECORD, TwofoldEmbeddingFunction, check_stored, stored_config, stored_record
from twofold import InputError, SpaceMismatch, StoreError, stores
from twofold.adapters import as_embedder, extra, resolve
from twofold.stores import DOCUMENT, MIGRATION, MOVED, Held, Hit, Original, Row, Stored, check_not_closed, follow

with extra("chroma"):
    from chromadb.api.models.CollectionCommon import CollectionCommon
    from chromadb.api.types import VectorIndexConfig
    from chromadb.errors import ChromaError, NotFoundError
    from httpx import HTTPError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from chromadb.api import AsyncClientAPI, ClientAPI
    from chromadb.api.models.AsyncCollection import AsyncCollection
    from chromadb.api.models.Collection import Collection

    from twofold import Embedder
    from twofold.adapters import FloatArray, Model
    from twofold.stores import Adopt, Given, Metadatas, Where

AnyCollection = TypeVar("AnyCollection", bound="CollectionCommon[Any]")

HNSW_SPACE = "hnsw:space"
"""Collections of older Chroma versions hold their distance here too. Chroma refuses to set this field again."""

MAX_BATCH = 1000
"""Rows in one call. Chroma's own limit is some thousands, but a server also limits the bytes of a request."""

MOST_FOUND = 10_000
"""Rows asked for in one call by their document: Chroma's SQL fails if it finds 32,767 rows at once."""

RACES = 5
"""How often vectors are read again: Chroma fails if another writer removes a row while it looks that row up."""
RACE = "Error finding id"

COMPATIBLE_FUNCTIONS = (None, "default", TwofoldEmbeddingFunction.name())
"""Stored functions that Chroma allows ours to replace; "default" is stored if the creator named none."""

CUT_SHORT = "Error deserializing pickle file"
REPAIR = (
    "; a process ended while Chroma wrote its search structure: remove the folders beside chroma.sqlite3, which holds "
    "the texts, and index again with force"
)
"""What to do if Chroma was killed at the one moment that it does not survive: every later call fails."""

MARKS = {mark: f"twofold_{mark}" for mark in (MOVED, MIGRATION)}
"""The metadata fields of the marks of a migration."""

OWN_FIELDS = (RECORD, HNSW_SPACE, *MARKS.values())


class ChromaStore:
    """A Chroma collection as `twofold.stores.Store`. It can also be moved and listed.

    Args:
        client: any Chroma client; None if `collection` is given.
        name: the collection's name.
        metadata, configuration, schema: for a new collection; see `NewCollection`.
        collection: an open collection.
        exact: do not follow a collection that has moved.
    """

    keeps_lists = True
    reserved_fields = ("chroma:document",)

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
        """A folder, or `http://host:port` with optional `?tenant=…&database=…`. Opens nothing yet."""
        store = cls(None, name)
        store._address = check_address(address)
        return store

    @classmethod
    def over(cls, native: Any, name: str | None = None, **options: Any) -> Self | None:
        """The store of an open collection, or of the collection `name` at a Chroma client."""
        if name is not None:
            return cls(native, name, **options)
        return cls(None, native.name, collection=native) if isinstance(native, CollectionCommon) else None

    # -- the collection -----------------------------------------------------------------------------------------------

    def find(self) -> bool:
        """Return whether it exists.

        Raises:
            StoreError: it was made for another embedding function.
        """
        if self.collection is None:
            if not self._connect(create=False) or (found := self._follow()) is None:
                return False
            self.collection, self.name = found, found.name
        stored = (self.collection.configuration_json.get("embedding_function") or {}).get("name")
        if stored not in COMPATIBLE_FUNCTIONS and not self._exact:
            raise StoreError(
                f"collection {self.name!r} was made for Chroma's embedding function {stored!r}, which cannot be "
                "changed: embed its documents into a new collection, by twofold migrate"
            )
        return True

    def make(self, record: str, embedder: Embedder) -> None:
        """Create it. It compares by cosine unless the user's configuration names another distance."""
        self._connect(create=True)
        function = TwofoldEmbeddingFunction.with_record(embedder, record)
        options: dict[str, Any] = {"metadata": {**(self._metadata or {}), RECORD: record}}
        if self._schema is not None:
            options |= {"schema": _with_function(self._schema, function), "embedding_function": None}
        else:
            options |= {"configuration": self._configuration, "embedding_function": function}
        # if another client has made it by now, Chroma returns that one unchanged, with its record
        self._call(self.client.get_or_create_collection, self.name, what="cannot be made", **options)
        self.collection = self._call(self.client.get_collection, self.name, embedding_function=None)

    def record(self) -> str | None:
        """Return the record in the metadata, or else in the stored configuration.

        Raises:
            SpaceMismatch: there are two records of different spaces.
        """
        model = self._model()
        try:
            return stored_record(model.metadata, model.configuration_json)
        except SpaceMismatch as mismatch:
            raise SpaceMismatch(f"collection {self.name!r}: {mismatch}") from None

    def stamp(self, record: str, embedder: Embedder) -> None:
        """Add the record to the metadata, and to the stored configuration if that is of our function.

        Raises:
            SpaceMismatch: the stored configuration is of an embedder of another space.
        """
        model = self._model()
        config, more = stored_config(model.configuration_json), {}
        if config and RECORD not in config:
            try:
                check_stored(embedder, None, model.configuration_json)
            except SpaceMismatch as mismatch:
                raise SpaceMismatch(f"collection {self.name!r}: {mismatch}") from None
            function = TwofoldEmbeddingFunction.build_from_config({**config, RECORD: record})
            more = {"configuration": {"embedding_function": function}}
        self._set_fields({RECORD: record}, **more)

    def names(self) -> list[str]:
        """Return all collections of the tenant and database. A missing folder has none and is not created."""
        if not self._connect(create=False):
            return []
        found = self._call(self.client.list_collections)
        return sorted(one if isinstance(one, str) else one.name for one in found)

    def drop(self) -> None:
        self._call(self.client.delete_collection, self.name, what="cannot be removed")

    def close(self) -> None:
        """Close the client if the store opened it from an address."""
        if self._address is not None and self.client is not None:
            close(self.client)

    def _connect(self, *, create: bool) -> bool:
        """Open the address, if there is one. Returns False for a missing folder that is not to be created."""
        if self.client is None and self._address is not None:
            if not create and not folder_exists(self._address):
                return False
            self.client = connect(self._address)
        return True

    def _follow(self) -> Any:
        """Return the collection of this name or the one that replaced it; None if both are missing."""
        if self._exact:
            return self._get(self.name)
        found: dict[str, Any] = {}

        def marks_of(name: str) -> dict[str, str] | None:
            found[name] = self._get(name)
            return None if found[name] is None else _marks(found[name].metadata)

        def everything() -> Iterator[tuple[str, dict[str, str]]]:
            for one in self._call(self.client.list_collections):
                if not isinstance(one, str):
                    yield one.name, _marks(one.metadata)

        name = follow(self.name, marks_of, everything)
        return None if name is None else found.get(name) or self._get(name)

    def _get(self, name: str) -> Any:
        """Return the collection of this very name, or None."""
        try:
            return self._call(self.client.get_collection, name, embedding_function=None)
        except StoreError as error:
            if not isinstance(error.__cause__, NotFoundError):
                raise
            return None

    def _model(self) -> Any:
        """Return the collection as the server has it now, found by its id: it may have another name by now."""
        own = self.collection
        # the client that a collection holds does not know its tenant and database
        find = own._client.get_collection_by_id  # noqa: SLF001
        return self._call(find, own.id, tenant=own.tenant, database=own.database)

    def _set_fields(self, changes: Mapping[str, Any], **more: Any) -> None:
        """Change fields of the metadata in one call; None removes one."""
        fields = {**(self._model().metadata or {}), **changes}
        kept = {key: value for key, value in fields.items() if key != HNSW_SPACE and value is not None}
        kept = kept or {MARKS[MOVED]: ""}  # Chroma rejects metadata without a field
        self._call(self.collection.modify, metadata=kept, **more)

    def _call(
        self,
        method: Callable[..., Any],
        *arguments: Any,
        what: str = "is not available",
        rows: Sequence[str] = (),
        **named: Any,
    ) -> Any:
        """Call a client's method and turn the errors of Chroma and of the connection into ours.

        Raises:
            StoreError: `what` happened to the collection. With `rows`, these ids, beginning with the first one, are not
                written.
        """
        try:
            value = method(*arguments, **named)
            return resolve(value) if isawaitable(value) else value
        except InputError:
            raise
        except (ChromaError, ValueError, HTTPError) as error:  # Chroma reports bad metadata as a ValueError
            reason = "it no longer exists" if isinstance(error, NotFoundError) else str(error)
            begin = (
                f"Chroma did not take row {rows[0]!r} or one after it"
                if rows
                else f"Chroma's collection {self.name!r} {what}"
            )
            repair = REPAIR if CUT_SHORT in reason else ""
            raise StoreError(f"{begin}: {reason}{repair}", failed=dict.fromkeys(rows, reason)) from error

    # -- rows ---------------------------------------------------------------------------------------------------------

    def held(self, documents: Sequence[str]) -> list[Held]:
        """Rows that name the documents, and rows with the documents' own ids that name none."""
        found: dict[str, Held] = {}
        for keys in self._slices(documents):
            alone = self._call(self.collection.get, ids=keys, include=["metadatas"])
            rows = [*self._naming(keys), *(row for row in _held(alone) if row.document == row.id)]
            found.update((row.id, row) for row in rows)
        return list(found.values())

    def _naming(self, documents: Sequence[str]) -> list[Held]:
        found: list[Held] = []
        where = {DOCUMENT: {"$in": list(documents)}}
        while True:
            page: dict[str, Any] = {"where": where, "limit": MOST_FOUND, "offset": len(found)}
            got = self._call(self.collection.get, include=["metadatas"], **page)
            found += _held(got)
            if len(got["ids"]) < MOST_FOUND:
                return found

    def page(self, cursor: Any, limit: int) -> tuple[list[Held], Any]:
        """Rows in Chroma's own order; the cursor is an offset."""
        offset = cursor or 0
        rows = _held(self._call(self.collection.get, limit=limit, offset=offset, include=["metadatas"]))
        return rows, offset + limit if len(rows) == limit else None

    def get(self, ids: Sequence[str]) -> list[Stored]:
        return [
            Stored(Row.from_fields(key, text or "", fields or {}), np.asarray(vector, np.float32))
            for got in self._read(ids, ["documents", "metadatas", "embeddings"])
            for key, text, fields, vector in zip(
                got["ids"], got["documents"], got["metadatas"], got["embeddings"], strict=True
            )
        ]

    def _read(self, ids: Sequence[str], include: list[str]) -> Iterator[Any]:
        for keys in self._slices(ids):
            for left in reversed(range(RACES)):
                try:
                    got = self._call(self.collection.get, ids=keys, include=include)
                    break
                except StoreError as error:
                    if RACE not in str(error) or not left:
                        raise
            yield got

    def upsert(self, rows: Sequence[Row], vectors: FloatArray) -> None:
        """Write rows. Their metadata replaces the old, where Chroma by itself merges the two."""
        self._write(
            [row.id for row in rows],
            vectors,
            [row.text for row in rows],
            [row.fields() for row in rows],
        )

    def _write(
        self,
        ids: Sequence[str],
        vectors: FloatArray,
        texts: Sequence[Any],
        fields: Sequence[Mapping[str, Any]],
        *,
        closed: bool = False,
        uris: Sequence[str | None] | None = None,
    ) -> None:
        for some in self._ranges(len(ids)):
            keys, lost = list(ids[some]), ids[some.start :]
            old = self._call(self.collection.get, ids=keys, include=["metadatas"], rows=lost)
            before = dict(zip(old["ids"], old["metadatas"] or (), strict=True))
            pairs = zip(keys, fields[some], strict=True)
            # Chroma merges metadata, and removes a field whose new value is None
            new = [{**dict.fromkeys(before.get(key) or ()), **own} for key, own in pairs]
            if not closed:
                check_not_closed(self)
            self._call(
                self.collection.upsert,
                ids=keys,
                embeddings=vectors[some],
                documents=list(texts[some]),
                metadatas=[own or None for own in new],
                rows=lost,
                uris=None if uris is None else list(uris[some]),
            )

    def delete(self, ids: Sequence[str]) -> None:
        check_not_closed(self)
        self.take_out(ids)

    def search(self, vector: FloatArray, limit: int, where: Where | None = None) -> list[Hit]:
        """The nearest rows. Chroma's distances are 1 - cosine, 1 - dot product, or the squared L2 of unit vectors."""
        include = ["documents", "metadatas", "distances"]
        ask: dict[str, Any] = {"query_embeddings": [vector.tolist()], "n_results": limit, "where": _filter(where)}
        found = self._call(self.collection.query, what="cannot be searched", include=include, **ask)
        space = (self.collection.configuration_json.get("hnsw") or {}).get("space", "cosine")
        columns = (found[name][0] for name in ("ids", *include))
        return [
            Hit(Row.from_fields(key, text or "", fields or {}), 1 - (distance / 2 if space == "l2" else distance))
            for key, text, fields, distance in zip(*columns, strict=True)
        ]

    def count(self) -> int:
        return int(self._call(self.collection.count))

    def _ranges(self, count: int) -> list[slice]:
        """Split `count` rows into slices that the server accepts in one call."""
        limit = self._call(self.collection._client.get_max_batch_size)  # noqa: SLF001 - only the client knows it
        size = min(limit, MAX_BATCH)
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def _slices(self, ids: Sequence[str]) -> Iterator[list[str]]:
        return (list(ids[some]) for some in self._ranges(len(ids)))

    # -- moving: `twofold.stores.Movable` -----------------------------------------------------------------------------

    def beside(self, name: str) -> Self:
        """A collection of the same client, which is opened if it is not open yet.

        Raises:
            StoreError: the folder is missing, or the server does not answer.
        """
        if not self._connect(create=False):
            raise StoreError(f"there is no Chroma store at {self._address}")
        return type(self)(self.client, name, exact=True)

    def marks(self) -> dict[str, str]:
        return _marks(self._model().metadata)

    def mark(self, changes: Mapping[str, str | None]) -> None:
        self._set_fields({MARKS[mark]: value for mark, value in changes.items()})

    def make_like(self, source: Self, record: str, embedder: Embedder, marks: Mapping[str, str]) -> None:
        """Copy the metadata, and the index with every option but the distance, which is cosine."""
        own = source.collection
        fields = {key: value for key, value in (own.metadata or {}).items() if key not in OWN_FIELDS}
        index = {kind: dict(own.configuration_json.get(kind) or {}) for kind in ("hnsw", "spann")}
        configuration = {kind: {**options, "space": "cosine"} for kind, options in index.items() if options}
        self.collection = self._call(
            self.client.create_collection,
            self.name,
            what="cannot be made",
            metadata={**fields, RECORD: record, **{MARKS[mark]: value for mark, value in marks.items()}},
            configuration=configuration or None,
            embedding_function=TwofoldEmbeddingFunction.with_record(embedder, record),
        )

    def match(self, source: Self) -> None:
        """Chroma's collections have no schema."""

    def originals(self, ids: Sequence[str], *, vectors: bool = False) -> list[Original]:
        """Rows as Chroma keeps them: text, metadata and, if any, a URI."""
        include = ["documents", "metadatas", "uris", *(["embeddings"] if vectors else [])]
        found: list[Original] = []
        for got in self._read(ids, include):
            nothing = [None] * len(got["ids"])
            columns = [nothing if got.get(name) is None else got[name] for name in ("documents", "metadatas", "uris")]
            arrays = nothing if got.get("embeddings") is None else got["embeddings"]
            for key, text, fields, uri, vector in zip(got["ids"], *columns, arrays, strict=True):
                kept = {"text": text, "metadata": dict(fields or {}), "uri": uri}
                own = () if vector is None else (np.asarray(vector, np.float32),)
                found.append(Original(Row.from_fields(key, text or "", fields or {}), (text or "",), kept, own))
        return found

    def put(self, rows: Sequence[Original], vectors: Sequence[FloatArray]) -> None:
        """Write rows as they were. Fields that a row has now and did not have then are removed."""
        kept = [one.kept for one in rows]
        uris = [one["uri"] for one in kept] if rows and kept[0]["uri"] else None
        texts, fields = [one["text"] for one in kept], [one["metadata"] for one in kept]
        joined = np.concatenate(vectors) if rows else np.empty((0, 0), np.float32)
        self._write([one.row.id for one in rows], joined, texts, fields, closed=True, uris=uris)

    def take_out(self, ids: Sequence[str]) -> None:
        """Remove rows, even from a closed collection."""
        for keys in self._slices(ids):
            self._call(self.collection.delete, ids=keys)

    def nearest(self, vector: FloatArray, limit: int, which: int = 0) -> list[tuple[str, float]]:
        """Chroma's rows have one vector each."""
        if which:
            raise InputError(f"collection {self.name!r} has one vector a row, not {which + 1}")
        return [(hit.row.id, hit.score) for hit in self.search(vector, limit)]

    def repoint(self, name: str, to: str) -> None:
        """Chroma has no aliases; `find` follows the mark."""

    def take_over(self, name: str) -> None:
        """Take the name, and remove the mark, in one call."""
        self._set_fields({MARKS[MIGRATION]: None}, name=name)
        self.name = name


def _held(got: Mapping[str, Any]) -> list[Held]:
    return [Held.from_fields(key, fields or {}) for key, fields in zip(got["ids"], got["metadatas"] or (), strict=True)]


def _marks(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    return {mark: str(metadata[field]) for mark, field in MARKS.items() if metadata and field in metadata}


def _filter(where: Where | None) -> dict[str, Any] | None:
    """Translate the filter of `Store.search` into Chroma's; None if it matches every row."""
    fields = [
        _joined("$or", [clause for value in values for clause in _clauses(name, value)])
        for name, values in (where or {}).items()
    ]
    return _joined("$and", fields) if fields else None


def _clauses(name: str, value: Any) -> Iterator[dict[str, Any]]:
    """Match a field that is `value`, or a list that contains it. In lists, Chroma distinguishes 3 from 3.0."""
    yield {name: {"$eq": value}}
    yield {name: {"$contains": value}}
    if isinstance(value, float) and value.is_integer():
        yield {name: {"$contains": int(value)}}
    elif isinstance(value, int) and not isinstance(value, bool):
        yield {name: {"$contains": float(value)}}


def _joined(word: str, clauses: list[dict[str, Any]]) -> dict[str, Any]:
    """Join clauses by Chroma's `$and` or `$or`, which need at least two."""
    return {word: clauses} if len(clauses) > 1 else clauses[0]


def _with_function(schema: Any, function: TwofoldEmbeddingFunction) -> Any:
    """Copy the user's schema with our function, comparing by cosine unless it names another distance."""
    own = schema.defaults.float_list.vector_index.config
    config = VectorIndexConfig(space=own.space or "cosine", embedding_function=function, hnsw=own.hnsw, spann=own.spann)
    return copy.deepcopy(schema).create_index(config=config)


# -- what users call --------------------------------------------------------------------------------------------------


class NewCollection(TypedDict, total=False):
    """Options of a new collection, as Chroma's `create_collection` takes them.

    Attributes:
        metadata: fields of its metadata.
        configuration: its configuration; the distance is cosine unless it names another.
        schema: its schema, instead of `configuration`.
    """

    metadata: Mapping[str, Any] | None
    configuration: Mapping[str, Any] | None
    schema: Any


def open_collection(
    where: ClientAPI,
    name: str,
    embedder: Model,
    *,
    create: bool = True,
    adopt: Adopt = False,
    **options: Unpack[NewCollection],
) -> Collection:
    """Open a collection for `embedder`, or create it, with the embedder's space stored in it.

    The returned collection embeds by itself: `add` and `upsert` on the document side, `query` on the query side.

    Args:
        where: any synchronous Chroma client.
        name: the collection's name.
        embedder: what writes and searches it: an `Embedder`, an object that holds one, or the name of a model.
        create: create the collection if it is missing.
        adopt: accept a collection that has vectors but no record of their space, if some of its documents, embedded
            again, give the stored vectors.
        options: for a new collection; see `NewCollection`.

    Raises:
        SpaceMismatch: its vectors are of another space; the message names both spaces and what differs.
        StoreError: the collection is missing and `create` is false; Chroma rejects the name; or it has vectors and no
            record, and `adopt` is false.
    """
    made = as_embedder(embedder)
    store = _store(where, name, options)
    stores.open_collection(store, made, create=create, adopt=adopt)
    return _bind(where.get_collection(store.name, embedding_function=None), made)


async def aopen_collection(
    where: AsyncClientAPI,
    name: str,
    embedder: Model,
    *,
    create: bool = True,
    adopt: Adopt = False,
    **options: Unpack[NewCollection],
) -> AsyncCollection:
    """`open_collection` with an asynchronous client.

    Search it with `await collection.query(query_embeddings=[(await embedder.aembed_query(text)).tolist()])`. With
    `query_texts`, Chroma would block the event loop while it embeds them.
    """
    made = as_embedder(embedder)
    store = _store(where, name, options)
    await stores.aopen_collection(store, made, create=create, adopt=adopt)
    return _bind(await where.get_collection(store.name, embedding_function=None), made)


def add_documents(
    collection: Collection,
    *,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    embedder: Model | None = None,
    progress: bool = False,
) -> list[str]:
    """Embed documents and write them, replacing those with the same ids; return the ids of the written rows.

    A string is a whole document: one row with its id. A list of consecutive chunks (which include the white space
    between them) or a `Document` is late-chunked: each chunk becomes a row whose vector knows the whole document, with
    the id "<document id>#<number>". Each row has its metadata and `twofold_document`, `twofold_start` and
    `twofold_end`, in characters. A blank document has no row; a warning names it.

    Args:
        collection: what `open_collection` returned.
        ids: the documents' ids, all different.
        documents: strings, lists of chunks and `Document` objects, in any mixture.
        metadatas: fields of each document, or a list of the fields of each of its chunks.
        embedder: what embeds; None is the embedder that the collection was opened with.
        progress: draw a bar.

    Raises:
        InputError: lists of different lengths, a repeated id, or a document that cannot be embedded; before any work.
        SpaceMismatch: the collection's vectors are of another space.
        StoreError: Chroma rejected a slice, or does not answer, or the collection no longer exists; `failed` has the
            documents from that slice on.
        ProviderError: a hosted model failed; every document that has its vectors is written.
    """
    store, made = ChromaStore(None, collection.name, collection=collection), _embedder(collection, embedder)
    return stores.add_documents(store, made, ids=ids, documents=documents, metadatas=metadatas, progress=progress)


async def aadd_documents(
    collection: AsyncCollection,
    *,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    embedder: Model | None = None,
    progress: bool = False,
) -> list[str]:
    """`add_documents` to an asynchronous collection. If it is cancelled, only whole slices are written."""
    store, made = ChromaStore(None, collection.name, collection=collection), _embedder(collection, embedder)
    return await stores.aadd_documents(
        store, made, ids=ids, documents=documents, metadatas=metadatas, progress=progress
    )


def _store(where: ClientAPI | AsyncClientAPI, name: str, options: NewCollection) -> ChromaStore:
    if "embedding_function" in (options.get("configuration") or {}):
        raise InputError("configuration names an embedding_function: pass the embedder as the third argument instead")
    if options.get("schema") is not None and options.get("configuration") is not None:
        raise InputError("configuration and schema exclude each other in Chroma: pass one of them")
    return ChromaStore(where, name, **options)


def _bind(collection: AnyCollection, embedder: Embedder) -> AnyCollection:
    """Let the collection embed by `embedder`, with a function that holds its record.

    Chroma's `get_collection` rejects our function if the collection was made without one, since Chroma then stores its
    own default. When it embeds, it uses this attribute.
    """
    record = stored_record(collection.metadata, collection.configuration_json)
    function = TwofoldEmbeddingFunction.with_record(embedder, record)
    collection._embedding_function = cast("Any", function)  # noqa: SLF001 - see above
    return collection


def _embedder(collection: CollectionCommon[Any], given: Model | None) -> Embedder:
    if given is not None:
        return as_embedder(given)
    function = collection._embedding_function  # noqa: SLF001 - Chroma shows it nowhere else
    if not isinstance(function, TwofoldEmbeddingFunction):
        raise StoreError(f"collection {collection.name!r} has no embedder: open it with chroma_twofold.open_collection")
    return function.embedder
