"""A cache of vectors in a LangChain byte store that keeps models and sides apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_twofold.ready import take
from twofold import Document, InputError, ProviderError
from twofold.adapters import Lookup, check_text, check_texts, extra, invoke, run_in_thread

with extra("langchain"):
    from langchain_core.embeddings import Embeddings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.stores import ByteStore

    from langchain_twofold.embedding import TwofoldEmbeddings
    from twofold import Embedder
    from twofold.adapters import FloatArray


def cached(embeddings: TwofoldEmbeddings, byte_store: ByteStore) -> CachedEmbeddings:
    """`embeddings` behind a cache: a text that it has seen, on that side and in that space, costs nothing.

    Any number of models may share one store, and queries never get a document's vector. A document that is late-chunked
    is kept as a whole. A vector takes 4 bytes a dimension. Of a hosted call that fails, what was paid for is kept.
    """
    return CachedEmbeddings(embeddings, byte_store)


class CachedEmbeddings(Embeddings):
    """See `cached`. It gives the same values as the embeddings behind it, to the bit, and the same errors."""

    def __init__(self, embeddings: TwofoldEmbeddings, byte_store: ByteStore) -> None:
        """Touch neither of them yet."""
        self.embeddings = embeddings
        self.store = byte_store

    @property
    def embedder(self) -> Embedder:
        """The embedder behind the cache."""
        return self.embeddings.embedder

    def embed_query(self, text: str) -> list[float]:
        """The vector of one query."""
        lookup = Lookup(self.embedder, "query", [check_text(text)])
        self._fill(lookup, "embed_queries")
        return lookup.vectors()[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of documents, in the order of `texts`; only those that are missing are embedded."""
        return take(texts) or _flat(self.embed_late(_whole(texts)))

    def embed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """The vectors of each document's spans, late-chunked; only documents that are missing are embedded."""
        lookup = Lookup(self.embedder, "document", list(documents))
        self._fill(lookup, "embed_late", progress=progress)
        return lookup.arrays()

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query`, without holding up the event loop."""
        return await run_in_thread(self.embed_query, text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents`, without holding up the event loop."""
        return take(texts) or _flat(await self.aembed_late(_whole(texts)))

    async def aembed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """`embed_late`, without holding up the event loop."""
        return await run_in_thread(self.embed_late, documents, progress=progress)

    def _fill(self, lookup: Lookup[Any], method: str, **options: Any) -> None:
        """Read what the store has, embed the rest, and store that."""
        lookup.read(invoke(self.store, "mget", lookup.keys))
        if lookup.missing:
            try:
                vectors = invoke(self.embedder, method, lookup.missing.values(), **options)
            except (InputError, ProviderError) as error:
                invoke(self.store, "mset", lookup.salvaged(error))
                raise
            invoke(self.store, "mset", lookup.filled(vectors))


def _whole(texts: Sequence[str]) -> list[Document]:
    return [Document.whole(text) for text in check_texts(texts)]


def _flat(arrays: Sequence[FloatArray]) -> list[list[float]]:
    return [row for rows in arrays for row in rows.tolist()]
