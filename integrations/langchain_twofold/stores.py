"""Vectors that are already computed, into LangChain's vector stores."""

from __future__ import annotations

import copy
import uuid
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold import InputError, StoreError
from twofold.extras import extra

with extra("langchain"):
    from langchain_core.embeddings import Embeddings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from langchain_core.documents import Document
    from langchain_core.vectorstores import VectorStore

    from twofold.vectors import FloatArray

PIECE = 1000
"""Documents in one write, where the store does not say how many it takes."""


def add_documents(
    store: VectorStore,
    documents: Iterable[Document],
    embeddings: Sequence[Sequence[float]] | FloatArray,
    *,
    ids: Sequence[str] | None = None,
    **options: Any,
) -> list[str]:
    """Put `documents` with their vectors into `store`, in pieces that it takes, and return their ids.

    For Chroma, Weaviate, the in-memory store, and others that keep their embeddings in an attribute: LangChain's own
    `add_documents` runs, and is given these vectors where it would have had them computed.

    Args:
        store: opened with its embeddings, which search will use.
        documents: LangChain's documents.
        embeddings: one vector a document, shape (n, dimensions): of `late_chunk`, or computed anywhere.
        ids: of the documents; without it each document's own, or a new one.
        options: for the store's `add_documents`, such as Weaviate's `tenant`.

    Raises:
        InputError: another number of vectors or ids than of documents, vectors of another width than the store's
            embeddings give, or a store that keeps no embeddings.
        StoreError: the store refused or lost documents; `.failed` names them, the others are stored.
    """
    documents = list(documents)
    vectors = _checked(embeddings, len(documents), store.embeddings)
    names = _names(documents, ids)
    size = _piece_size(store)
    for start in range(0, len(documents), size):
        piece = slice(start, start + size)
        writer = _replaying(store, vectors[piece])
        try:
            writer.add_documents(documents[piece], ids=names[piece], **options)
        except Exception as error:
            failed = dict.fromkeys(names[start:], str(error))
            message = f"{type(store).__name__} refused documents {start} and after: {error}; those before are stored"
            raise StoreError(message, failed=failed) from error
        _check_lost(store)
    return names


class _Replay(Embeddings):
    """Vectors that are already computed, given out in the order in which a store asks for them."""

    def __init__(self, vectors: FloatArray) -> None:
        self._rows: Iterator[list[float]] = iter(vectors.tolist())

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        rows = list(islice(self._rows, len(texts)))
        if len(rows) != len(texts):
            raise InputError("the store asks for more vectors than it was given documents")
        return rows

    def embed_query(self, text: str) -> list[float]:
        raise InputError(f"a store asks for the vector of the query {text!r} while it is written to")


def _replaying(store: VectorStore, vectors: FloatArray) -> VectorStore:
    """The same store, through the same client, with `vectors` for embeddings; the user's object stays as it is."""
    name = next((name for name, value in vars(store).items() if value is store.embeddings), None)
    if name is None or store.embeddings is None:
        raise InputError(f"{type(store).__name__} has no embeddings: open it with those that search will use")
    writer = copy.copy(store)
    setattr(writer, name, _Replay(vectors))
    return writer


def _checked(embeddings: Any, count: int, own: Embeddings | None) -> FloatArray:
    vectors = np.asarray(embeddings, np.float32)
    if len(vectors) != count or (count and vectors.ndim != 2):
        raise InputError(f"vectors of shape {vectors.shape} for {count} documents: one each, of one width, is wanted")
    width = getattr(getattr(own, "embedder", None), "dimensions", None)
    if count and width is not None and vectors.shape[1] != width:
        raise InputError(f"vectors of {vectors.shape[1]} dimensions, but the store's own embeddings give {width}")
    return vectors


def _names(documents: Sequence[Document], ids: Sequence[str] | None) -> list[str]:
    if ids is not None and len(ids) != len(documents):
        raise InputError(f"{len(ids)} ids for {len(documents)} documents: one each is wanted")
    given = ids if ids is not None else [document.id for document in documents]
    return [name or str(uuid.uuid4()) for name in given]


def _piece_size(store: VectorStore) -> int:
    """What the store's client says that it takes (Chroma's does)."""
    limit = getattr(vars(store).get("_client"), "get_max_batch_size", lambda: PIECE)
    return min(PIECE, limit())


def _check_lost(store: VectorStore) -> None:
    """Raise for what the store has lost: Weaviate's only logs it."""
    batch = getattr(vars(store).get("_client"), "batch", None)
    lost = {str(each.original_uuid): each.message for each in getattr(batch, "failed_objects", ())}
    if lost:
        name, reason = next(iter(lost.items()))
        raise StoreError(f"{type(store).__name__} lost {len(lost)} documents; {name}: {reason}", failed=lost)
