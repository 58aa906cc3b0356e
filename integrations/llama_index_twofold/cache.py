"""LlamaIndex's `embeddings_cache`, with models and sides kept apart: the stock one has the text alone as its key."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from twofold.documents import check_text
from twofold.extras import extra

with extra("llama-index"):
    from llama_index.core.storage.kvstore.types import DEFAULT_COLLECTION, BaseKVStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold import Embedder

Side: TypeAlias = Literal["query", "document"]

_side: ContextVar[Side] = ContextVar("side", default="document")


@contextmanager
def asking(side: Side) -> Iterator[None]:
    """Let caches be read and written for `side`, in this task and thread alone."""
    before = _side.set(side)
    try:
        yield
    finally:
        _side.reset(before)


class SidedCache(BaseKVStore):
    """`store` under the keys `<space>/<side>/<digest of the text>`: any number of models may share it."""

    def __init__(self, store: BaseKVStore, embedder: Embedder) -> None:
        """Touch neither of them yet; a cache of another embedder is unwrapped."""
        self.store: BaseKVStore = store.store if isinstance(store, SidedCache) else store
        self.embedder = embedder

    def put(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """Keep the vector of the text `key`."""
        self.store.put(self._key(key), val, collection)

    async def aput(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """`put`, without holding up the event loop where the store does not."""
        await self.store.aput(self._key(key), val, collection)

    def get(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """The vector of the text `key` on the side that asks, or None."""
        return self.store.get(self._key(key), collection)

    async def aget(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """`get`, without holding up the event loop where the store does not."""
        return await self.store.aget(self._key(key), collection)

    def get_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """Everything in the store, of all models and sides, under its full keys."""
        return self.store.get_all(collection)

    async def aget_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """`get_all`, without holding up the event loop where the store does not."""
        return await self.store.aget_all(collection)

    def delete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """Forget the vector of the text `key` on the side that asks."""
        return self.store.delete(self._key(key), collection)

    async def adelete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """`delete`, without holding up the event loop where the store does not."""
        return await self.store.adelete(self._key(key), collection)

    def _key(self, text: str) -> str:
        digest = hashlib.sha256(check_text(text).encode()).hexdigest()
        return f"{self.embedder.space.fingerprint}/{_side.get()}/{digest}"
