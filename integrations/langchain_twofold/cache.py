"""A cache of vectors in a LangChain byte store that keeps models and sides apart."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from twofold import InputError
from twofold.documents import check_text, check_texts
from twofold.extras import extra

with extra("langchain"):
    from langchain_core.embeddings import Embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.stores import ByteStore

    from langchain_twofold.embeddings import TwofoldEmbeddings
    from twofold import Embedder
    from twofold.vectors import FloatArray

Side: TypeAlias = Literal["query", "document"]


def cached(embeddings: TwofoldEmbeddings, byte_store: ByteStore) -> CachedEmbeddings:
    """`embeddings` behind a cache: a text that it has seen, on that side and in that space, costs nothing.

    Any number of models may share one store, and queries never get a document's vector. A vector takes 4 bytes a
    dimension under the key `<space>/<side>/<digest of the text>`.
    """
    return CachedEmbeddings(embeddings, byte_store)


class CachedEmbeddings(Embeddings):
    """See `cached`. It gives the same values as the embeddings behind it, to the bit."""

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
        page = _Page(self.embedder, side, texts)
        page.read(self.store.mget(page.keys))
        if page.missing:
            embed = self.embedder.embed_queries if side == "query" else self.embedder.embed_documents
            with page.naming():
                vectors = embed(page.missing.values())
            self.store.mset(page.filled(vectors))
        return page.vectors()

    async def _aembed(self, side: Side, texts: Sequence[str]) -> list[list[float]]:
        page = _Page(self.embedder, side, texts)
        page.read(await self.store.amget(page.keys))
        if page.missing:
            embed = self.embedder.aembed_queries if side == "query" else self.embedder.aembed_documents
            with page.naming():
                vectors = await embed(page.missing.values())
            await self.store.amset(page.filled(vectors))
        return page.vectors()


class _Page:
    """The texts of one call: their keys, what the store has of them, and what is missing, each text once."""

    def __init__(self, embedder: Embedder, side: Side, texts: Sequence[str]) -> None:
        prefix = f"{embedder.space.fingerprint}/{side}"
        self.keys = [f"{prefix}/{hashlib.sha256(text.encode()).hexdigest()}" for text in texts]
        self.missing = dict(zip(self.keys, texts, strict=True))
        self._size = 4 * embedder.dimensions
        self._found: dict[str, bytes] = {}

    def read(self, values: Sequence[bytes | None]) -> None:
        for key, value in zip(self.keys, values, strict=True):
            if value is not None and len(value) == self._size:  # of another length: it was cut off when written
                self._found[key] = value
                self.missing.pop(key, None)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Let an error name a text by its place in the call, not among the missing ones."""
        try:
            yield
        except InputError as error:
            if error.index is not None:
                place = self.keys.index(list(self.missing)[error.index])
                error.add_note(f"Counted among the texts that are not in the cache; in the list given it is {place}.")
                error.index = place
            raise

    def filled(self, vectors: FloatArray) -> list[tuple[str, bytes]]:
        pairs = [(key, row.astype("<f4").tobytes()) for key, row in zip(self.missing, vectors, strict=True)]
        self._found.update(pairs)
        return pairs

    def vectors(self) -> list[list[float]]:
        return [np.frombuffer(self._found[key], "<f4").tolist() for key in self.keys]
