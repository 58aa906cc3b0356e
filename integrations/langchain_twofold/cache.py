"""A cache of vectors in a LangChain byte store that keeps models and sides apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_twofold.embedding import take
from twofold import InputError, ProviderError, adapters
from twofold.adapters import Lookup, check_texts, extra, invoke, run_in_thread

with extra("langchain"):
    from langchain_core.embeddings import Embeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from langchain_core.stores import ByteStore

    from langchain_twofold.embedding import TwofoldEmbeddings
    from twofold import Document, Embedder
    from twofold.adapters import FloatArray, Side


def cached(embeddings: TwofoldEmbeddings, byte_store: ByteStore) -> CachedEmbeddings:
    """Put `embeddings` behind a cache: a text that was embedded before, on that side and in that space, costs nothing.

    Any number of models may share a store, and queries never get a document's vector, as they may with LangChain's own
    `CacheBackedEmbeddings`. A late-chunked document is one entry. A vector takes 4 bytes per dimension. If a hosted
    call fails, the vectors that were paid for are kept.
    """
    return CachedEmbeddings(embeddings, byte_store)


class CachedEmbeddings(Embeddings):
    """What `cached` returns: exactly the values, and the errors, of the embeddings behind it."""

    def __init__(self, embeddings: TwofoldEmbeddings, byte_store: ByteStore) -> None:
        self.embeddings = embeddings
        self.store = byte_store

    @property
    def embedder(self) -> Embedder:
        return self.embeddings.embedder

    def embed_query(self, text: str) -> list[float]:
        return self._embed_texts("query", [text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of documents, in the order of `texts`; only those that are missing are embedded."""
        return take(texts) or self._embed_texts("document", texts)

    def embed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """The vectors of each document's spans, late-chunked; only documents that are missing are embedded."""
        lookup = Lookup(self.embedder, "document", list(documents))
        self._fill(lookup, lambda missing: invoke(self.embedder, "embed_late", missing, progress=progress))
        return lookup.arrays()

    async def aembed_query(self, text: str) -> list[float]:
        return await run_in_thread(self.embed_query, text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await run_in_thread(self.embed_documents, texts)

    async def aembed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """`embed_late` without blocking the event loop."""
        return await run_in_thread(self.embed_late, documents, progress=progress)

    def _embed_texts(self, side: Side, texts: list[str]) -> list[list[float]]:
        lookup = Lookup(self.embedder, side, check_texts(texts, blank=True))
        self._fill(lookup, lambda missing: invoke(adapters, "embed_texts", self.embedder, side, missing))
        return lookup.vectors()

    def _fill(self, lookup: Lookup[Any], embed: Callable[[list[Any]], Any]) -> None:
        """Read what the store has, embed the rest, and store that."""
        lookup.read(invoke(self.store, "mget", lookup.keys))
        if lookup.missing:
            try:
                vectors = embed(list(lookup.missing.values()))
            except (InputError, ProviderError) as error:
                invoke(self.store, "mset", lookup.salvaged(error))
                raise
            invoke(self.store, "mset", lookup.filled(vectors))
