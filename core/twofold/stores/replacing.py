"""Rows of documents in place of those that these had before, so that no reader sees two versions of a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import StoreError
from twofold.stores.drivers import done
from twofold.stores.rows import by_documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.stores.rows import Row
    from twofold.stores.store import Store
    from twofold.vectors import FloatArray


async def replacing(store: Store, documents: Sequence[str], rows: Sequence[Row], vectors: FloatArray | None) -> None:
    """Remove the rows that `documents` had before and have no more, and write those that they have now, part by part.

    A reader sees the old version, then what of it is to be overwritten, then the new one: never rows of two versions,
    where the store takes a call's rows all at once and a document has no more than `ROWS_AT_ONCE`. A document that is
    cut otherwise than before, so that no row keeps its id, is away for the time of a call. A run that is killed in
    between, or that the store refuses, leaves a version whose rows are fewer than each of them says; the next one
    writes it again. Nothing is read that would have a store tidy up its search structure while a kill may come.

    Raises:
        StoreError: rows that were not written, or not removed.
    """
    before = await done(store.held(documents)) if documents else []
    stale = {row.id: row.document for row in before}
    for row in rows:
        stale.pop(row.id, None)
    written = {row.document for row in rows}
    if bare := sorted(key for key, document in stale.items() if document not in written):
        await done(store.delete(bare))
    if vectors is None:
        return
    for some in by_documents(rows):
        part = {row.document for row in rows[some]}
        gone = [key for key, document in stale.items() if document in part]
        for key in gone:
            del stale[key]
        try:
            if gone:
                await done(store.delete(sorted(gone)))
            await done(store.upsert(rows[some], vectors[some]))
        except StoreError as refused:
            refused.failed = {**dict.fromkeys((row.id for row in rows[some.stop :]), str(refused)), **refused.failed}
            raise
