"""How LangChain's stores are written to: with which vectors, how many at once, and what they lose."""

from __future__ import annotations

import copy
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from twofold import InputError, StoreError
from twofold.extras import extra

with extra("langchain"):
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.vectors import FloatArray

Store = TypeVar("Store", bound=VectorStore)

PIECE = 1000
"""Documents in one write, where the store does not say how many it takes."""


class Replay(Embeddings):
    """Vectors that are already computed, given out in the order in which a store asks for them."""

    def __init__(self, vectors: FloatArray) -> None:
        """Take one row a document, shape (n, dimensions)."""
        self._rows: Iterator[list[float]] = iter(vectors.tolist())

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The next rows, one for each text."""
        rows = list(islice(self._rows, len(texts)))
        if len(rows) != len(texts):
            raise InputError("the store asks for more vectors than it was given documents")
        return rows

    def embed_query(self, text: str) -> list[float]:
        """None is known."""
        raise InputError(f"a store asks for the vector of the query {text!r} while it is written to")


def with_embeddings(store: Store, embeddings: Embeddings) -> Store:
    """The same store, through the same client, with other embeddings; the user's object stays as it is.

    Raises:
        InputError: a store without embeddings, or that keeps them where they can not be found.
    """
    own = store.embeddings
    name = next((name for name, value in vars(store).items() if value is own), None)
    if own is None or name is None:
        raise InputError(f"{type(store).__name__} has no embeddings: open it with those that search will use")
    writer = copy.copy(store)
    setattr(writer, name, embeddings)
    return writer


def piece_size(store: VectorStore) -> int:
    """How many documents one write takes; Chroma's client says it."""
    limit = getattr(vars(store).get("_client"), "get_max_batch_size", lambda: PIECE)
    return min(PIECE, limit())


def check_lost(store: VectorStore) -> None:
    """Raise for what the last write lost, as LangChain's Weaviate only logs it.

    Raises:
        StoreError: `.failed` has the reasons by id.
    """
    batch = getattr(vars(store).get("_client"), "batch", None)
    lost = {str(each.original_uuid): each.message for each in getattr(batch, "failed_objects", ())}
    if lost:
        name, reason = next(iter(lost.items()))
        raise StoreError(f"{type(store).__name__} lost {len(lost)} documents; {name}: {reason}", failed=lost)
