"""Adding documents: embedded and written slice by slice, so that nothing that is paid for is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from chroma_twofold.collection import check_collection
from chroma_twofold.function import TwofoldEmbeddingFunction
from chroma_twofold.rows import delete, rows_of, write
from twofold import StoreError
from twofold.jobs.embedding import embed_each
from twofold.jobs.lengths import count_documents
from twofold.jobs.rows import check_documents, document_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chromadb.api.models.Collection import Collection

    from twofold import Document, Embedder
    from twofold.jobs.store import Row, Scalar
    from twofold.vectors import FloatArray

Chunked: TypeAlias = "Document | Sequence[str]"
"""A document that is cut: its text with spans, or its consecutive chunks."""

SLICE = 256
"""Documents that are embedded, then written, at a time."""


def add_documents(
    collection: Collection,
    *,
    ids: Sequence[str],
    documents: Sequence[str] | Sequence[Chunked],
    metadatas: Sequence[Mapping[str, Scalar]] | None = None,
    embedder: Embedder | None = None,
    late_chunking: bool = False,
) -> list[str]:
    """Embed documents and write them, in place of those with the same ids; returns the ids of the rows written.

    With `late_chunking` each document is the list of its chunks, white space between them kept in them, or a
    `Document`. Each chunk becomes a row whose vector knows the whole document: its id is "<document id>#<number>", and
    with the document's metadata it has `twofold_document`, `twofold_start` and `twofold_end`, in characters.

    Args:
        collection: what `open_collection` gave.
        ids: of the documents, no two alike.
        documents: texts, or chunked documents.
        metadatas: fields of each document.
        embedder: what embeds; None is the one that the collection was opened with.
        late_chunking: see above.

    Raises:
        InputError: lists of unlike lengths, an id twice, a document that can not be embedded; before any work.
        SpaceMismatch: the collection's vectors are of another space.
        StoreError: Chroma refused a slice, or is gone; `failed` has the documents from that slice on.
        ProviderError: a hosted model failed; every document that has its vectors is written.
    """
    embedder = embedder or _own_embedder(collection)
    check_collection(collection, embedder)
    metadatas = metadatas if metadatas is not None else [{}] * len(documents)
    given = check_documents(ids, documents, metadatas, chunked=late_chunking)
    if not late_chunking:
        count_documents(embedder, ids, [document.text for document in given])
    written: list[str] = []
    for start in range(0, len(given), SLICE):
        some = slice(start, start + SLICE)
        vectors, error = embed_each(embedder, ids[some], given[some])
        places = [start + index for index in vectors]
        groups = [document_rows(ids[at], given[at], metadatas[at], chunked=late_chunking) for at in places]
        try:
            written += _replace(collection, groups, list(vectors.values()), late_chunking)
        except StoreError as refused:
            raise StoreError(str(refused), failed=dict.fromkeys(ids[start:], str(refused))) from refused
        if error is not None:
            raise error
    return written


def _replace(
    collection: Collection, groups: Sequence[Sequence[Row]], vectors: Sequence[FloatArray], chunked: bool
) -> list[str]:
    """Write the rows of some documents, then remove the chunks that these had before and have no more."""
    if not groups:
        return []
    rows = [row for group in groups for row in group]
    ids = [row.id for row in rows]
    before = rows_of(collection, [group[0].document for group in groups])
    fields = [row.fields() if chunked else row.metadata for row in rows]
    write(collection, ids, np.concatenate(vectors), [row.text for row in rows], fields)
    delete(collection, sorted(before.difference(ids)))
    return ids


def _own_embedder(collection: Collection) -> Embedder:
    function = collection._embedding_function  # noqa: SLF001 - Chroma shows it nowhere else
    if not isinstance(function, TwofoldEmbeddingFunction):
        raise StoreError(f"collection {collection.name!r} has no embedder: open it with chroma_twofold.open_collection")
    return function.embedder
