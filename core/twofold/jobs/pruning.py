"""Counts and removes documents that are in a collection but not in the corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.stores.rows import ROWS_AT_ONCE
from twofold.stores.store import scan_rows

if TYPE_CHECKING:
    from twofold.jobs.seen import Seen
    from twofold.stores.store import Store


def count_gone(store: Store, seen: Seen) -> tuple[int, int]:
    """How many documents of the store are not in `seen`, and how many rows they have. Reads every row."""
    for row in scan_rows(store):
        if row.document not in seen:
            seen.note_gone(row.id, row.document)
    return seen.count_gone()


def remove_gone(store: Store, seen: Seen) -> None:
    """Remove the rows that `count_gone` counted."""
    for rows in seen.gone(ROWS_AT_ONCE):
        store.delete(rows)
