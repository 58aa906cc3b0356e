"""What is in a collection and not in the corpus: counted, then removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.stores.rows import ROWS_AT_ONCE
from twofold.stores.store import scan_rows

if TYPE_CHECKING:
    from twofold.jobs.seen import Seen
    from twofold.stores.store import Store


def count_gone(store: Store, seen: Seen) -> tuple[int, int]:
    """How many documents `seen` has not, of those in the store, and how many rows they have; every row is looked at."""
    for row in scan_rows(store):
        if row.document not in seen:
            seen.note_gone(row.id, row.document)
    return seen.count_gone()


def remove_gone(store: Store, seen: Seen) -> None:
    """Remove the rows that were counted."""
    for rows in seen.gone(ROWS_AT_ONCE):
        store.delete(rows)
