"""Opening LangChain's own stores over collections that keep a record, and adding documents to any of its stores."""

from __future__ import annotations

import json
import uuid
from functools import partial
from hashlib import sha256
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from langchain_twofold.embedding import as_embeddings
from langchain_twofold.writing import Documents, Target
from twofold import InputError, ProviderError, adapters
from twofold.adapters import DOCUMENT, SLICE, check_cancelled, extra, reporting, run_in_thread, store_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from langchain_core.documents import Document
    from langchain_core.vectorstores import VectorStore

    from langchain_twofold.late import LateVectors
    from twofold.adapters import Adopt, FloatArray, Model

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
    adapters.open_collection(store, embeddings.embedder, create=create, adopt=adopt)
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
    given = Documents.of(list(documents), ids, embeddings)
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
