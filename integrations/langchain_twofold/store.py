"""Documents into LangChain's vector stores, with vectors that are already computed."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from langchain_twofold.writing import Replay, check_lost, piece_size, with_embeddings
from twofold import InputError, SpaceMismatch, StoreError
from twofold.extras import extra
from twofold.space import mismatch_message

with extra("langchain"):
    from langchain_core.embeddings import Embeddings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from langchain_core.documents import Document
    from langchain_core.vectorstores import VectorStore

    from twofold.vectors import FloatArray

Vectors: TypeAlias = "Sequence[Sequence[float]] | FloatArray"


def add_documents(
    store: VectorStore,
    documents: Iterable[Document],
    embeddings: Vectors | Embeddings,
    *,
    ids: Sequence[str] | None = None,
    **options: Any,
) -> list[str]:
    """Put `documents` with their vectors into `store`, in pieces that it takes, and return their ids.

    For Chroma, Weaviate, the in-memory store, and others that keep their embeddings in an attribute: LangChain's own
    `add_documents` runs, and is given these vectors where it would have had them computed. In an event loop, run it by
    `asyncio.to_thread`.

    Args:
        store: opened with its embeddings, which search will use.
        documents: LangChain's documents.
        embeddings: one vector a document, shape (n, dimensions), of `late_chunk` or computed anywhere; or embeddings
            to compute them with, piece by piece, so that no failure loses more than one piece.
        ids: of the documents; without it each document's own, or a new one.
        options: for the store's `add_documents`, such as Weaviate's `tenant`.

    Raises:
        InputError: another number of vectors or ids than of documents, vectors of another width than the store's
            embeddings give, or a store that keeps no embeddings.
        SpaceMismatch: embeddings of another space than the store's.
        StoreError: the store refused or lost documents; `.failed` names them, the others are stored.
    """
    documents = list(documents)
    names = _names(documents, ids)
    vectors = _checked(embeddings, len(documents), store)
    size = piece_size(store)
    for start in range(0, len(documents), size):
        piece = slice(start, start + size)
        source = vectors if isinstance(vectors, Embeddings) else Replay(vectors[piece])
        writer = with_embeddings(store, source)
        try:
            writer.add_documents(documents[piece], ids=names[piece], **options)
        except Exception as error:
            failed = dict.fromkeys(names[start:], str(error))
            message = f"{type(store).__name__} refused documents {start} and after: {error}; those before are stored"
            raise StoreError(message, failed=failed) from error
        check_lost(store)
    return names


def _names(documents: Sequence[Document], ids: Sequence[str] | None) -> list[str]:
    if ids is not None and len(ids) != len(documents):
        raise InputError(f"{len(ids)} ids for {len(documents)} documents: one each is wanted")
    given = ids if ids is not None else [document.id for document in documents]
    return [name or str(uuid.uuid4()) for name in given]


def _checked(embeddings: Any, count: int, store: VectorStore) -> FloatArray | Embeddings:
    own = getattr(store.embeddings, "embedder", None)
    if isinstance(embeddings, Embeddings):
        theirs = getattr(embeddings, "embedder", None)
        if own and theirs and (differences := own.space.differences(theirs.space)):
            raise SpaceMismatch(mismatch_message(own.space, theirs.space, differences))
        return embeddings
    vectors = np.asarray(embeddings, np.float32)
    if len(vectors) != count or (count and vectors.ndim != 2):
        raise InputError(f"vectors of shape {vectors.shape} for {count} documents: one each, of one width, is wanted")
    if count and own and vectors.shape[1] != own.dimensions:
        raise InputError(f"vectors of {vectors.shape[1]} dimensions, the store's own embeddings give {own.dimensions}")
    return vectors
