"""The two faces of the flows: plain functions for synchronous clients, coroutines for asynchronous ones.

A host's own `open_collection` and `add_documents` say how its collections are found, and call these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.stores.drivers import Calls, run
from twofold.stores.opening import opening
from twofold.stores.writing import adding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.stores.checks import Given
    from twofold.stores.store import Store
    from twofold.stores.writing import Metadatas


def open_collection(store: Store, embedder: Embedder, *, create: bool = True, adopt: bool = False) -> None:
    """Find the collection of `store`, or make it, and let `embedder` work on it, or refuse; see `opening`."""
    run(opening(store, Calls(embedder), create=create, adopt=adopt))


async def aopen_collection(store: Store, embedder: Embedder, *, create: bool = True, adopt: bool = False) -> None:
    """`open_collection`, without holding up the event loop."""
    await opening(store, Calls(embedder, waits=True), create=create, adopt=adopt)


def add_documents(
    store: Store,
    embedder: Embedder,
    *,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    progress: bool = False,
) -> list[str]:
    """Embed documents and write them, in place of those with the same ids; see `adding`."""
    return run(adding(store, Calls(embedder), ids, documents, metadatas, progress=progress))


async def aadd_documents(
    store: Store,
    embedder: Embedder,
    *,
    ids: Sequence[str],
    documents: Sequence[Given],
    metadatas: Metadatas | None = None,
    progress: bool = False,
) -> list[str]:
    """`add_documents`, without holding up the event loop."""
    return await adding(store, Calls(embedder, waits=True), ids, documents, metadatas, progress=progress)
