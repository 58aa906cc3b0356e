"""Asking a store a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError
from twofold.stores.drivers import Calls, run
from twofold.stores.opening import checking

if TYPE_CHECKING:
    from twofold.embedder import Embedder
    from twofold.stores import Hit, OpenStore


def search(embedder: Embedder, store: OpenStore, text: str, limit: int = 10) -> list[Hit]:
    """The `limit` rows of `store` that are nearest to `text`, embedded as a query; best first.

    Raises:
        InputError: a text that cannot be embedded, or a limit under 1.
        SpaceMismatch: the collection has been made anew, in another space, since it was opened.
    """
    if limit < 1:
        raise InputError(f"limit={limit}: it must be at least 1")
    run(checking(store.store, Calls(embedder)))
    return store.search(embedder.embed_query(text), limit)
