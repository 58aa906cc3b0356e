"""A cache of vectors in a LangChain byte store that keeps models and sides apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_twofold.lookup import Lookup
from twofold import InputError, ProviderError
from twofold.documents import check_text, check_texts
from twofold.extras import extra

with extra("langchain"):
    from langchain_core.embeddings import Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.stores import ByteStore

    from langchain_twofold.embeddings import TwofoldEmbeddings
    from langchain_twofold.lookup import Side
    from twofold import Embedder


def cached(embeddings: TwofoldEmbeddings, byte_store: ByteStore) -> CachedEmbeddings:
    """`embeddings` behind a cache: a text that it has seen, on that side and in that space, costs nothing.

    Any number of models may share one store, and queries never get a document's vector. A vector takes 4 bytes a
    dimension under the key `<space>/<side>/<digest of the text>`. Of a hosted call that fails, what was paid for is
    kept.
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
        return self._embed("query", [check_text(text)])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of documents, in the order of `texts`; only those that are missing are embedded."""
        return self._embed("document", check_texts(texts))

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query`, without holding up the event loop."""
        return (await self._aembed("query", [check_text(text)]))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents`, without holding up the event loop."""
        return await self._aembed("document", check_texts(texts))

    def _embed(self, side: Side, texts: Sequence[str]) -> list[list[float]]:
        lookup = Lookup(self.embedder, side, texts)
        lookup.read(self.store.mget(lookup.keys))
        if lookup.missing:
            embed = self.embedder.embed_queries if side == "query" else self.embedder.embed_documents
            try:
                vectors = embed(lookup.missing.values())
            except (InputError, ProviderError) as error:
                self.store.mset(lookup.salvaged(error))
                raise
            self.store.mset(lookup.filled(vectors))
        return lookup.vectors()

    async def _aembed(self, side: Side, texts: Sequence[str]) -> list[list[float]]:
        lookup = Lookup(self.embedder, side, texts)
        lookup.read(await self.store.amget(lookup.keys))
        if lookup.missing:
            embed = self.embedder.aembed_queries if side == "query" else self.embedder.aembed_documents
            try:
                vectors = await embed(lookup.missing.values())
            except (InputError, ProviderError) as error:
                await self.store.amset(lookup.salvaged(error))
                raise
            await self.store.amset(lookup.filled(vectors))
        return lookup.vectors()
