"""Searches a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError
from twofold.stores.opening import check_record

if TYPE_CHECKING:
    from twofold.embedder import Embedder
    from twofold.stores import Hit, Store
    from twofold.stores.rows import Where


def search(embedder: Embedder, store: Store, text: str, limit: int = 10, *, where: Where | None = None) -> list[Hit]:
    """The `limit` rows of `store` nearest to `text`, embedded as a query, best first.

    Args:
        embedder: the embedder that wrote the collection.
        store: see `twofold.stores.open_store`.
        text: the question.
        limit: how many rows.
        where: required fields, each with its allowed values: `{"topic": ["sea"], "n": [1, 2]}`.

    Raises:
        InputError: the text cannot be embedded, `limit` is below 1, or a field in `where` has no value.
        SpaceMismatch: the collection was recreated in another space after it was opened.
    """
    if limit < 1:
        raise InputError(f"limit={limit}: it must be at least 1")
    if empty := [name for name, values in (where or {}).items() if not values]:
        raise InputError(f"where={where!r}: field {empty[0]!r} has no allowed value")
    check_record(store, embedder)
    return store.search(embedder.embed_query(text), limit, where)
