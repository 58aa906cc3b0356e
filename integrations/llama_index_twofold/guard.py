"""A vector store of LlamaIndex's that lets no vectors of another space in, and none ask."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from llama_index_twofold.marks import marked_tag, spaces_of
from llama_index_twofold.rows import stamped
from twofold import SpaceMismatch
from twofold.adapters import check_record, extra, mismatch_message, read_record, run_in_thread

with extra("llama-index"):
    from pydantic import PrivateAttr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore,
        VectorStoreQuery,
        VectorStoreQueryResult,
    )

    from twofold import Embedder
    from twofold.adapters import Store

PIECE = 1000
"""Nodes that are handed to the host at a time: it sends more to Chroma than that takes."""


class Guard:
    """What may be written to one collection, and what may ask it."""

    def __init__(self, store: Store, embedder: Embedder, stored: str) -> None:
        """Take an open collection, what it was opened with, and the tag of the space that its record says."""
        self.store, self.embedder = store, embedder
        self._tags = {embedder.space.tag, stored}

    def checked(self, nodes: Sequence[BaseNode]) -> list[BaseNode]:
        """The nodes as they are to be written; the record is read from the store each time.

        Raises:
            SpaceMismatch: a node whose vector is of another space, or does not say of which.
        """
        check_record(self.store, self.embedder)
        for node in nodes:
            if node.embedding is not None:
                self._check(f"the vector of node {node.node_id!r}", node.embedding, marked_tag(node))
        return [stamped(node, self.embedder.space.tag) for node in nodes]

    def asking(self, query: VectorStoreQuery) -> None:
        """Refuse a question of another space.

        Raises:
            SpaceMismatch: the question's vector is of another space, or does not say of which.
        """
        if query.query_embedding is not None:
            self._check("the question's vector", query.query_embedding)

    def _check(self, what: str, vector: Sequence[float], marked: str | None = None) -> None:
        """Refuse a vector by what made it, where that is remembered, or by the mark of its node."""
        spaces = spaces_of(vector)
        tags: set[str | None] = {space.tag for space in spaces} or {marked}
        if tags & self._tags:
            return
        own, name = self.embedder.space, f"collection {self.store.name!r}"
        if spaces:
            told = mismatch_message(own, spaces[-1], own.differences(spaces[-1]))
            raise SpaceMismatch(f"{name}, {what}: {told}")
        (tag,) = tags
        said = f"is of {tag}" if tag else "does not say of which space it is: embed it with a TwofoldEmbedding"
        raise SpaceMismatch(f"{name} holds vectors of {own.tag}, {what} {said}")


@cache
def guarded(kind: type[BasePydanticVectorStore]) -> Any:
    """The host's class of stores, guarded: the same in everything else."""

    class Guarded(kind):  # type: ignore[valid-type, misc]
        _guard: Guard = PrivateAttr()

        def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
            nodes = self._guard.checked(nodes)
            pieces = [nodes[start : start + PIECE] for start in range(0, len(nodes), PIECE)]
            return [one for piece in pieces for one in super(Guarded, self).add(piece, **kwargs)]

        async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
            nodes = await run_in_thread(self._guard.checked, nodes)
            ids: list[str] = []
            for start in range(0, len(nodes), PIECE):
                ids += await super().async_add(nodes[start : start + PIECE], **kwargs)
            return ids

        def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
            self._guard.asking(query)
            result: VectorStoreQueryResult = super().query(query, **kwargs)
            return result

        async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
            self._guard.asking(query)
            result: VectorStoreQueryResult = await super().aquery(query, **kwargs)
            return result

    Guarded.__name__, Guarded.__qualname__, Guarded.__doc__ = kind.__name__, kind.__qualname__, kind.__doc__
    return Guarded


def guard(vector_store: Any, store: Store, embedder: Embedder) -> Any:
    """`vector_store`, of a guarded class, with its guard; `store` is its collection, open."""
    stored = read_record(store).space.tag
    vector_store._guard = Guard(store, embedder, stored)  # noqa: SLF001 - of our own class
    return vector_store
