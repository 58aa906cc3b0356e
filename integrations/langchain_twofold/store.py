"""Opening LangChain's own stores over collections that keep a record, and adding documents to any of its stores."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_twofold.embedding import as_embeddings, embedder_of, ready
from twofold import Document as Text
from twofold import InputError, ProviderError, SpaceMismatch, StoreError, stores
from twofold.adapters import (
    check_cancelled,
    check_text,
    extra,
    invoke,
    is_blank,
    mismatch_message,
    reporting,
    run_in_thread,
    warn_blank,
)
from twofold.stores import (
    DOCUMENT,
    SLICE,
    Entry,
    Held,
    Row,
    check_ids,
    check_lengths,
    check_metadata,
    embed_entries,
    read_record,
    store_over,
)

with extra("langchain"):
    from langchain_core.documents import Document
    from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from langchain_twofold.late import LateVectors
    from twofold import Space
    from twofold.adapters import FloatArray, Model
    from twofold.stores import Adopt

CHROMA = {"metadata": "collection_metadata", "configuration": "collection_configuration"}
"""Our integration's options for a new collection, and LangChain's names for them."""

CHROMA_OPTIONS = (*CHROMA.values(), "relevance_score_fn")
WEAVIATE_OPTIONS = ("attributes", "client_async", "relevance_score_fn")


def open_collection(
    where: Any, name: str, embedder: Model, *, create: bool = True, adopt: Adopt = False, **options: Any
) -> VectorStore:
    """Open or create a collection of Chroma or Weaviate for `embedder`, as LangChain's own store.

    Args:
        where: a synchronous client of Chroma, for `langchain_chroma.Chroma`, or of Weaviate, for
            `langchain_weaviate.WeaviateVectorStore`.
        name: the collection's name.
        embedder: writes and searches the collection: our embeddings, `cached` ones, an `Embedder`, or a model's name.
        create: create the collection if it is missing: compared by cosine, with the embedder's record.
        adopt: accept a collection that has vectors but no record, written by LangChain or anything else, if a random
            sample of its documents ("all": every one), embedded again, gives the stored vectors. An empty collection is
            always accepted.
        options: options of LangChain's store, by its names: `collection_metadata` and `collection_configuration`, or
            `text_key` ("text"), `attributes`, `use_multi_tenancy` and `client_async`; `relevance_score_fn`.

    Raises:
        InputError: a client of neither host, or an option that its store does not have.
        SpaceMismatch: its vectors are of another space; the message names both spaces and what differs.
        StoreError: the collection is missing and `create` is false, it has vectors without a record and `adopt` is
            false, or the host refused.
        MissingExtra: LangChain's package for the host is not installed.
    """
    embeddings = as_embeddings(embedder)
    host = type(where).__module__.partition(".")[0]
    if host == "chromadb":
        _check(where.heartbeat, options, CHROMA_OPTIONS)
        with extra(package="langchain-chroma"):
            from langchain_chroma import Chroma  # noqa: PLC0415 - each host needs its own package alone
        native: dict[str, Any] = {own: options.get(theirs) for own, theirs in CHROMA.items()}
    elif host == "weaviate":
        _check(where.is_ready, options, (*WEAVIATE_OPTIONS, "text_key", "use_multi_tenancy"))
        with extra(package="langchain-weaviate"):
            from langchain_weaviate import WeaviateVectorStore  # noqa: PLC0415
        tenants = bool(options.pop("use_multi_tenancy", False))
        native = {"vectorize": options.setdefault("text_key", "text"), "tenants": tenants}
    else:
        raise InputError(f"where is of type {type(where).__name__}: expected a client of chromadb or of weaviate")
    store: Any = store_over(where, name, **native)
    stores.open_collection(store, embeddings.embedder, create=create, adopt=adopt)
    if host == "chromadb":
        return Chroma(store.name, embeddings, client=where, create_collection_if_not_exists=False, **options)
    return WeaviateVectorStore(where, store.name, embedding=embeddings, **options)


async def aopen_collection(
    where: Any, name: str, embedder: Model, *, create: bool = True, adopt: Adopt = False, **options: Any
) -> VectorStore:
    """`open_collection` without blocking the event loop; it takes a synchronous client, too."""
    return await run_in_thread(open_collection, where, name, embedder, create=create, adopt=adopt, **options)


def add_documents(
    store: VectorStore,
    documents: Iterable[Document],
    embeddings: Model | LateVectors | Sequence[Sequence[float] | None] | FloatArray | None = None,
    *,
    ids: Sequence[str] | None = None,
    progress: bool = False,
    **options: Any,
) -> list[str]:
    """Write documents with their vectors into `store`, slice by slice, and return the ids of the rows written.

    Everything is checked first. A collection of Chroma or Weaviate takes only rows of the space in its record; an empty
    one without a record gets the record of the store's embeddings. Rows that a document had before and no longer has
    (the same `twofold_document`, another version) are removed there and in `InMemoryVectorStore`. Existing vectors go
    into a store through its `add_embeddings`, or else while its `add_documents` asks its embeddings, which must be
    Twofold's. A blank document has no row; a `BlankWarning` names it.

    Args:
        store: any of LangChain's stores, opened with the embeddings that search will use.
        documents: LangChain's documents: plain ones, and chunks of `late_chunk`.
        embeddings: None for the store's own; others of the same space, such as `cached` ones; or a vector for each
            document: those of `late_chunk`, which know their space, or any of shape (n, dimensions), which are trusted.
            None in place of a vector has it computed.
        ids: the documents' ids; without them, each document's own id, or a new one.
        progress: draw a progress bar.
        options: options of the store's own method; for Weaviate, `tenant`.

    Raises:
        InputError: a different number of vectors or ids than of documents, a duplicate id, vectors of another width, a
            text that cannot be embedded, or a store that takes no existing vectors; before any work.
        SpaceMismatch: rows of another space than that of the collection's record, or of the store's embeddings.
        StoreError: the store refused or lost rows; `failed` has these and all that were to follow. Or a collection with
            vectors and no record: open it once with `open_collection(…, adopt=True)`.
        ProviderError: a hosted model failed. Every document that has its vector is written; `partial` and `failed`
            count `documents`.
    """
    target = Target(store, options)
    given = Documents.of(list(documents), ids, embeddings, target.own)
    target.check(given)
    written: list[str] = []
    with reporting(len(given.rows), "adding", shown=progress) as report:
        for start in range(0, len(given.rows), SLICE):
            check_cancelled()
            some = range(start, min(start + SLICE, len(given.rows)))
            try:
                target.write(given, some, written)
            except ProviderError:
                target.remove_stale(given, written)
                raise
            report(len(some), 0)
    target.remove_stale(given, written)
    return written


async def aadd_documents(
    store: VectorStore,
    documents: Iterable[Document],
    embeddings: Model | LateVectors | Sequence[Sequence[float] | None] | FloatArray | None = None,
    *,
    ids: Sequence[str] | None = None,
    progress: bool = False,
    **options: Any,
) -> list[str]:
    """`add_documents` without blocking the event loop."""
    return await run_in_thread(add_documents, store, documents, embeddings, ids=ids, progress=progress, **options)


def record_key_encoder(store: VectorStore) -> Callable[[Document], str]:
    """Return the `key_encoder` of `index()` and `aindex()` for `store`, whose embeddings will compute the vectors.

    LangChain's own keys hold only a document's text and metadata, so after a change of model every document is skipped
    as known. These keys hold the space as well. A key is a UUID, which every store accepts as an id. Make a new encoder
    for each run: it compares the collection's record before `index()` writes anything.

    Raises:
        SpaceMismatch: the collection's vectors are of another space than the store's embeddings.
        StoreError: it has vectors without a record: open it with `open_collection(…, adopt=True)`.
        InputError: the store has no embeddings of Twofold. From the keys: metadata that is not JSON; a chunk of
            `late_chunk`, which `index()` would embed again, alone.
    """
    target = Target(store, {})
    space = target.reference() if target.own is not None else None
    if space is None:
        raise InputError(f"{target.name} has no embeddings: open it with TwofoldEmbeddings")
    return partial(_key, space.fingerprint)


async def arecord_key_encoder(store: VectorStore) -> Callable[[Document], str]:
    """`record_key_encoder` without blocking the event loop."""
    return await run_in_thread(record_key_encoder, store)


def _key(space: str, document: Document) -> str:
    if document.metadata.get(DOCUMENT, document.id) != document.id:
        raise InputError(
            f"a chunk of the late-chunked document {document.metadata[DOCUMENT]!r}: index() would embed it alone; give "
            "it to add_documents with its vector, which replaces what the document had before"
        )
    try:
        told = json.dumps([space, document.page_content, document.metadata], sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"metadata of a document that is indexed must be JSON: {error}") from None
    return str(uuid.UUID(bytes=sha256(told.encode()).digest()[:16], version=5))


def _check(method: Any, options: dict[str, Any], known: Sequence[str]) -> None:
    if iscoroutinefunction(method):
        raise InputError("an asynchronous client was given: LangChain's stores want the synchronous one")
    if unknown := sorted(set(options).difference(known)):
        raise InputError(f"not an option here: {', '.join(unknown)}; the options are {', '.join(sorted(known))}")


# -- one call of add_documents ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Documents:
    """The documents of one call of `add_documents`.

    Attributes:
        items: LangChain's documents.
        rows: the same documents as rows.
        blank: whether each is blank.
        named: whether each has its own id, so that it may already be stored.
        vectors: one for each; None if it must be computed, or if the document is blank.
        writer: the embeddings that compute the missing vectors; None if there are none.
        spaces: the spaces of all vectors, as far as they are known.
    """

    items: Sequence[Document]
    rows: list[Row]
    blank: Sequence[bool]
    named: Sequence[bool]
    vectors: Sequence[list[float] | None]
    writer: Any
    spaces: Sequence[Space]

    @classmethod
    def of(cls, items: Sequence[Document], ids: Sequence[str] | None, given: Any, own: Any) -> Documents:
        """Combine documents with the `embeddings` that `add_documents` was given, or with the store's `own`.

        Raises:
            InputError: not one id, or one vector, for each; a duplicate id; or something that is not a document.
        """
        for place, item in enumerate(items):
            if not isinstance(item, Document):
                late = ": write add_documents(store, *late_chunk(…))" if isinstance(item, list | tuple) else ""
                kind = type(item).__name__
                raise InputError(f"document {place} is of type {kind}, not a LangChain Document{late}", index=place)
        if ids is not None and len(ids) != len(items):
            raise InputError(f"{len(ids)} ids for {len(items)} documents: expected one for each")
        told = [item.id for item in items] if ids is None else list(ids)
        names = [str(uuid.uuid4()) if name is None else name for name in told]
        check_ids(names)
        rows = [
            Row.from_fields(name, item.page_content, item.metadata) for name, item in zip(names, items, strict=True)
        ]
        vectors: list[list[float] | None] = [None] * len(items)
        writer, spaces = own, []
        if isinstance(given, str) or not (given is None or hasattr(given, "__len__")):
            writer = as_embeddings(given)
            spaces = [writer.embedder.space]
        elif given is not None:
            vectors = _vectors(given, len(items))
            spaces = [given.space] if hasattr(given, "space") else []
        blank, named = [is_blank(row.text) for row in rows], [name is not None for name in told]
        return cls(items, rows, blank, named, vectors, writer, spaces)

    def missing(self, places: Iterable[int]) -> list[int]:
        """The places, among these, whose vectors must be computed."""
        return [place for place in places if self.vectors[place] is None and not self.blank[place]]


class Target:
    """The store of one call of `add_documents`."""

    def __init__(self, host: VectorStore, options: Mapping[str, Any]) -> None:
        """Find the store's embeddings, and its collection if that keeps a record.

        Raises:
            InputError: not one of LangChain's stores, or one that searches with embeddings that are not Twofold's.
        """
        if not isinstance(host, VectorStore):
            raise InputError(f"store is of type {type(host).__name__}, not a VectorStore of LangChain's")
        self.host, self.options, self.name = host, dict(options), type(host).__name__
        self.own: Any = host.embeddings
        if self.own is not None:
            embedder_of(self.own, f"{self.name} searches with")
        native: Any = getattr(host, "_collection", None)
        known = set()
        if hasattr(native, "with_tenant"):
            known = {"tenant"}
            native = native if options.get("tenant") is None else native.with_tenant(options["tenant"])
        self.collection: Any = None if native is None else store_over(native)
        if self.collection is not None and (unknown := sorted(options.keys() - known)):
            raise InputError(f"{self.name} takes no {', '.join(unknown)} here")

    def check(self, given: Documents) -> None:
        """Refuse documents and vectors that must not or cannot be written.

        Raises:
            InputError, SpaceMismatch, StoreError: see `add_documents`.
        """
        if self.collection is None and self.own is None and not hasattr(self.host, "add_embeddings"):
            raise InputError(
                f"{self.name} was opened without TwofoldEmbeddings, and has no add_embeddings to write vectors with: "
                "open it with TwofoldEmbeddings"
            )
        reference, missing = self.reference(given.writer), given.missing(range(len(given.rows)))
        if given.writer is None and missing:
            raise InputError(f"{self.name} has no embeddings: open it with some, or give them")
        if reference is not None:
            for space in given.spaces:
                if differences := reference.differences(space):
                    raise SpaceMismatch(f"{self.name}: {mismatch_message(reference, space, differences)}")
            for width in {len(vector) for vector in given.vectors if vector is not None} - {reference.dimensions}:
                raise InputError(f"vectors of {width} dimensions, the store's have {reference.dimensions}")
        self._check_rows(given, missing)

    def reference(self, writer: Any = None) -> Space | None:
        """The space of what may be written: that of the store's embeddings, once the collection's record agrees.

        Raises:
            SpaceMismatch: the record does not agree.
            StoreError: the collection has vectors without a record.
        """
        writer = self.own if self.own is not None else writer
        if writer is None:
            return None if self.collection is None else read_record(self.collection).space
        embedder = writer.embedder
        if self.collection is not None:
            stores.open_collection(self.collection, embedder, create=False)
        space: Space = embedder.space
        return space

    def write(self, given: Documents, some: range, written: list[str]) -> None:
        """Embed the missing vectors of a slice, and write all that have one; appends their ids to `written`.

        Raises:
            StoreError: the store refused some; `failed` names them, and all that come after.
            ProviderError: a hosted model failed; its numbers count all documents.
        """
        vectors = {place: vector for place in some if (vector := given.vectors[place]) is not None}
        failure = self._embed(given, given.missing(some), vectors)
        places = sorted(vectors)
        try:
            if places:
                self._put(given, places, [vectors[place] for place in places])
        except StoreError as refused:
            later = [row.id for row in given.rows[some.stop :]]
            refused.failed = {**dict.fromkeys(later, str(refused)), **refused.failed}
            raise
        written += [given.rows[place].id for place in places]
        if failure is not None:
            raise failure

    def remove_stale(self, given: Documents, written: Sequence[str]) -> None:
        """Remove rows of earlier versions of those documents all of whose rows are written now."""
        kept, rows = set(written), list(zip(given.rows, given.blank, given.named, strict=True))
        versions = {
            row.document: None if blank else row.digest for row, blank, named in rows if named or row.document != row.id
        }
        for row, blank, _ in rows:
            if not blank and row.id not in kept:
                versions.pop(row.document, None)
        held: Sequence[Held] = ()
        if self.collection is not None and versions:
            held = self.collection.held(list(versions))
        elif isinstance(self.host, InMemoryVectorStore):
            held = [Held.from_fields(key, item["metadata"]) for key, item in self.host.store.items()]
        stale = [row.id for row in held if row.id not in kept and versions.get(row.document, row.digest) != row.digest]
        if stale:
            (self.collection or self.host).delete(stale)

    def _check_rows(self, given: Documents, missing: Sequence[int]) -> None:
        texts: list[Text | None] = [None] * len(given.rows)
        for place in missing:
            texts[place] = Text.whole(check_text(given.rows[place].text, place, "document"))
        reserved = getattr(self.collection, "reserved_fields", ())
        for place, row in enumerate(given.rows):
            if given.vectors[place] is None and texts[place] is None:
                warn_blank(f"document {place}, {row.id!r},")
            if self.collection is not None:
                try:
                    plain = check_metadata(row.metadata, keeps_lists=self.collection.keeps_lists, reserved=reserved)
                except InputError as error:
                    raise InputError(f"document {place}, {row.id!r}: {error}", index=place) from None
                given.rows[place] = replace(row, metadata=plain)
        if given.writer is not None:
            check_lengths(given.writer.embedder, [row.id for row in given.rows], texts)

    def _embed(self, given: Documents, missing: Sequence[int], vectors: dict[int, list[float]]) -> ProviderError | None:
        """Add the missing vectors; return the error that kept some from being made."""
        if not missing:
            return None
        entries = [Entry(given.rows[place].id, Text.whole(given.rows[place].text)) for place in missing]
        try:
            arrays, failure = embed_entries(given.writer, entries)
        except InputError as error:
            error.index = None if error.index is None else missing[error.index]
            raise
        vectors |= {missing[number]: rows[0].tolist() for number, rows in arrays.items()}
        if failure is not None:
            failure.renumber(missing)
        return failure

    def _put(self, given: Documents, places: Sequence[int], vectors: list[list[float]]) -> None:
        rows = [given.rows[place] for place in places]
        if self.collection is not None:
            self.collection.upsert(rows, np.asarray(vectors, np.float32))
            return
        ids = [row.id for row in rows]
        try:
            self._hand_over([given.items[place] for place in places], ids, vectors)
        except Exception as error:
            message = f"{self.name} refused documents {places[0]} to {places[-1]}: {error}; those before are stored"
            raise StoreError(message, failed=dict.fromkeys(ids, str(error))) from error

    def _hand_over(self, items: list[Document], ids: list[str], vectors: list[list[float]]) -> None:
        """Use the store's own method for existing vectors, or its method for texts, which asks its embeddings."""
        texts = [item.page_content for item in items]
        add: Any = getattr(self.host, "add_embeddings", None)
        if add is None:
            with ready(texts, vectors):
                invoke(self.host, "add_documents", items, ids=ids, **self.options)
            return
        parameters = signature(add).parameters
        pairs: tuple[Any, ...] = (
            ([*zip(texts, vectors, strict=True)],) if "text_embeddings" in parameters else (texts, vectors)
        )
        named = {"metadatas": [item.metadata for item in items], "keys" if "keys" in parameters else "ids": ids}
        invoke(self.host, "add_embeddings", *pairs, **named, **self.options)


def _vectors(given: Any, count: int) -> list[list[float] | None]:
    """One vector, or None, for each document.

    Raises:
        InputError: a different number of vectors, different widths, or values that are not finite numbers.
    """
    rows: list[list[float] | None] = []
    for place, row in enumerate(given):
        try:
            vector = None if row is None else np.asarray(row, np.float32)
        except (TypeError, ValueError):
            vector = np.empty(0, np.float32)
        if vector is not None and (vector.ndim != 1 or not vector.size or not np.isfinite(vector).all()):
            raise InputError(f"vector {place} is not a list of finite numbers", index=place)
        rows.append(None if vector is None else vector.tolist())
    widths = sorted({len(row) for row in rows if row is not None})
    if len(rows) != count or len(widths) > 1:
        raise InputError(
            f"{len(rows)} vectors of the widths {widths} for {count} documents: expected one each, of one width"
        )
    return rows
