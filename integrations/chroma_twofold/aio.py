"""The same for Chroma's asynchronous client: embedding runs in a thread, the client's calls in the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from chroma_twofold.collection import open_collection
from chroma_twofold.documents import add_documents
from twofold.extras import extra

with extra("chroma"):
    from chromadb.api.models.AsyncCollection import AsyncCollection

if TYPE_CHECKING:
    from collections.abc import Callable

    from chromadb.api import AsyncClientAPI

    from twofold import Embedder


async def aopen_collection(client: AsyncClientAPI, name: str, embedder: Embedder, **options: Any) -> AsyncCollection:
    """`open_collection` with an asynchronous client; its options and errors are the same.

    Search it with `await collection.query(query_embeddings=[(await embedder.aembed_query(text)).tolist()])`: given
    texts, Chroma would hold up the event loop while they are embedded.
    """
    opened = await _in_thread(client, lambda client: open_collection(client, name, embedder, **options))
    return cast("AsyncCollection", opened.target)


async def aadd_documents(collection: AsyncCollection, **options: Any) -> list[str]:
    """`add_documents` to an asynchronous collection; its options and errors are the same.

    Cancelled, it ends with the call in hand; whole slices before it are written.
    """
    return cast("list[str]", await _in_thread(collection, lambda collection: add_documents(collection, **options)))


async def _in_thread(target: object, work: Callable[[Any], Any]) -> Any:
    blocking = _Blocking(target, asyncio.get_running_loop(), asyncio.Event())
    try:
        return await asyncio.to_thread(work, blocking)
    except asyncio.CancelledError:
        blocking.cancelled.set()
        raise


class _Blocking:
    """A client or collection of the event loop's, as a thread may call it."""

    def __init__(self, target: Any, loop: asyncio.AbstractEventLoop, cancelled: asyncio.Event) -> None:
        self.target, self.loop, self.cancelled = target, loop, cancelled

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.target, name)
        if name == "_client":
            return _Blocking(value, self.loop, self.cancelled)
        return self._blocking(value) if asyncio.iscoroutinefunction(value) else value

    def _blocking(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.cancelled.is_set():
                raise asyncio.CancelledError
            result = asyncio.run_coroutine_threadsafe(method(*args, **kwargs), self.loop).result()
            return _Blocking(result, self.loop, self.cancelled) if isinstance(result, AsyncCollection) else result

        return call
