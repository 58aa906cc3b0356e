"""LangChain's own stores over collections that know their space, and documents into any of its stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_twofold.documents import Documents
from langchain_twofold.embedding import as_embeddings
from langchain_twofold.hosts import host_of
from langchain_twofold.writing import Target
from twofold import ProviderError, adapters
from twofold.adapters import SLICE, check_cancelled, reporting, run_in_thread, store_over

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document
    from langchain_core.vectorstores import VectorStore

    from langchain_twofold.late import LateVectors
    from twofold.adapters import Adopt, FloatArray, Model


def open_collection(
    where: Any, name: str, embedder: Model, *, create: bool = True, adopt: Adopt = False, **options: Any
) -> VectorStore:
    """LangChain's own store over a collection for `embedder`, which is made, or found and checked, or refused.

    Args:
        where: a client of Chroma's, for `langchain_chroma.Chroma`, or of Weaviate's, for
            `langchain_weaviate.WeaviateVectorStore`; a synchronous one, as these want.
        name: the collection's.
        embedder: what writes and searches it: our embeddings, `cached` ones, an `Embedder`, or a model's name.
        create: make it where it is not there: compared by cosine, with the embedder's record.
        adopt: take in a collection that has vectors and no record, written by LangChain or by others, once some of its
            documents, embedded again, give the vectors that are stored. An empty one is simply taken.
        options: those of LangChain's store, by its names: `collection_metadata` and `collection_configuration`, or
            `text_key` ("text"), `attributes`, `use_multi_tenancy` and `client_async`; `relevance_score_fn`.

    Raises:
        InputError: a client of neither host, or an option that its store does not have.
        SpaceMismatch: its vectors are of another space; the message names both and what differs.
        StoreError: no such collection and not `create`, one with vectors and no record and not `adopt`, or the host
            refused.
        MissingExtra: LangChain's package for the host is not installed.
    """
    embeddings = as_embeddings(embedder)
    make, making = host_of(where, embeddings, options)
    native: Any = store_over(where, name, **making)
    adapters.open_collection(native, embeddings.embedder, create=create, adopt=adopt)
    return make(native.name)


async def aopen_collection(
    where: Any, name: str, embedder: Model, *, create: bool = True, adopt: Adopt = False, **options: Any
) -> VectorStore:
    """`open_collection`, without holding up the event loop; the client is a synchronous one here, too."""
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
    """Put documents with their vectors into `store`, slice by slice, and return the ids of the rows written.

    Everything is checked first. Into a collection of Chroma's or Weaviate's go only rows of the space that its record
    says; an empty one that has none gets the record of the store's embeddings. Rows that a document had before, and
    has no more, are removed there and from LangChain's store in memory: those with the same `twofold_document` and
    another version. Ready vectors go into a store by its own `add_embeddings`, or else while its `add_documents` asks
    its embeddings, which have to be Twofold's. A blank document has no row; a `BlankWarning` names it.

    Args:
        store: any of LangChain's, opened with the embeddings that search will use.
        documents: LangChain's documents: plain ones, and chunks of `late_chunk`.
        embeddings: None for the store's own; others of the same space, such as `cached` ones; or a vector for each
            document: those of `late_chunk`, which carry their space, or any of shape (n, dimensions), which are taken
            at your word; None in place of a vector has it computed.
        ids: of the documents; without it each document's own, or a new one.
        progress: draw a bar.
        options: for the store's own method; Weaviate's `tenant`.

    Raises:
        InputError: another number of vectors or ids than of documents, an id twice, vectors of another width, a text
            that cannot be embedded, or a store that takes no ready vectors; before any work.
        SpaceMismatch: rows of another space than the collection's record says, or than the store's embeddings.
        StoreError: the store refused or lost rows; `failed` has these and all that were to follow. Or a collection with
            vectors and no record: open it once with `open_collection(…, adopt=True)`.
        ProviderError: a hosted model failed; every document that has its vector is written, and `partial` and `failed`
            count `documents`.
    """
    return _add(Target(store, options), documents, embeddings, ids, progress=progress)


async def aadd_documents(
    store: VectorStore,
    documents: Iterable[Document],
    embeddings: Model | LateVectors | Sequence[Sequence[float] | None] | FloatArray | None = None,
    *,
    ids: Sequence[str] | None = None,
    progress: bool = False,
    **options: Any,
) -> list[str]:
    """`add_documents`, without holding up the event loop."""
    target = Target(store, options)
    return await run_in_thread(_add, target, documents, embeddings, ids, progress=progress)


def _add(target: Target, documents: Any, embeddings: Any, ids: Any, *, progress: bool) -> list[str]:
    given = Documents.of(list(documents), ids, embeddings)
    target.check(given)
    count = len(given.rows)
    written: list[str] = []
    with reporting(count, "adding", shown=progress) as report:
        for start in range(0, count, SLICE):
            check_cancelled()
            some = range(start, min(start + SLICE, count))
            try:
                target.write(given, some, written)
            except ProviderError:
                target.sweep(given, written)
                raise
            if report is not None:
                report(len(some), 0)
    target.sweep(given, written)
    return written
