"""Asking a store a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError
from twofold.stores.opening import check_record

if TYPE_CHECKING:
    from twofold.embedder import Embedder
    from twofold.stores import Hit, Store
    from twofold.stores.rows import Where


def search(embedder: Embedder, store: Store, text: str, limit: int = 10, *, where: Where | None = None) -> list[Hit]:
    """The `limit` rows of `store` that are nearest to `text`, embedded as a query; best first.

    Args:
        embedder: the one that the collection was written with.
        store: see `twofold.stores.open_store`.
        text: the question.
        limit: how many rows.
        where: fields that rows must have, each with the values that it may have: `{"topic": ["sea"], "n": [1, 2]}`.

    Raises:
        InputError: a text that cannot be embedded, a limit under 1, or a field without a value.
        SpaceMismatch: the collection has been made anew, in another space, since it was opened.
    """
    if limit < 1:
        raise InputError(f"limit={limit}: it must be at least 1")
    if empty := [name for name, values in (where or {}).items() if not values]:
        raise InputError(f"where={where!r}: field {empty[0]!r} has no value that it may have")
    check_record(store, embedder)
    return store.search(embedder.embed_query(text), limit, where)
