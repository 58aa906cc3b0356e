"""Asking a store a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError

if TYPE_CHECKING:
    from twofold.embedder import Embedder
    from twofold.jobs.store import Hit, Store


def search(embedder: Embedder, store: Store, text: str, limit: int = 10) -> list[Hit]:
    """The `limit` rows of `store` that are nearest to `text`, embedded as a query; best first.

    Raises:
        InputError: a text that can not be embedded, or a limit under 1.
    """
    if limit < 1:
        raise InputError(f"limit={limit}: it must be at least 1")
    return store.search(embedder.embed_query(text), limit)
