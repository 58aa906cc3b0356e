"""Opening a collection: found or made, its record compared, or proved where it has none."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import Document, is_blank
from twofold.errors import SpaceMismatch, StoreError
from twofold.space import CANARY_COSINE, SpaceRecord, mismatch_message
from twofold.stores.drivers import Calls, done, run
from twofold.stores.opened import OpenStore
from twofold.stores.store import find_store
from twofold.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.embedder import Embedder
    from twofold.space import Space
    from twofold.stores.rows import Row, Stored
    from twofold.stores.store import Store
    from twofold.vectors import FloatArray

SAMPLE = 8
"""Rows that are embedded again before a collection without a record is adopted."""


@contextmanager
def open_store(
    address: str, name: str, embedder: Embedder, *, create: bool = True, adopt: bool = False
) -> Iterator[OpenStore]:
    """Open the collection `name` at `address`, "<scheme>:<where>" (`chroma:./folder`, `weaviate:http://localhost:8080`).

    Raises:
        InputError: no such scheme; the message lists those that are installed.
        MissingExtra: the scheme is known, its library is not installed.
        SpaceMismatch, StoreError: see `opening`.
    """
    kind, where = find_store(address)
    store = OpenStore(kind.connect(where, name))
    try:
        run(opening(store.store, Calls(embedder), create=create, adopt=adopt))
        yield store
    finally:
        store.close()


async def opening(store: Store, calls: Calls, *, create: bool = True, adopt: bool = False) -> None:
    """Find a collection, or make it, and let the embedder work on it, or refuse.

    Args:
        store: the collection, which may not be there yet.
        calls: the embedder that will write and search it.
        create: make it where it is not there, with the embedder's record.
        adopt: take in a collection that has rows but no record, once some of its rows, embedded again, give the
            vectors that are stored. An empty one is simply taken.

    Raises:
        SpaceMismatch: its vectors are of another space; the message names both and what differs.
        StoreError: no such collection and not `create`; or rows without a record and not `adopt`.
    """
    if not await done(store.find()):
        if not create:
            raise StoreError(f"there is no collection {store.name!r}, and it was not to be made")
        record = await done(calls.record())
        await done(store.make(record.to_json(), calls.embedder))
    if await done(store.record()) is None:
        await _prove(store, calls, adopt=adopt)
        record = await done(calls.record())
        await done(store.stamp(record.to_json()))
    await checking(store, calls)


async def checking(store: Store, calls: Calls) -> None:
    """Let an embedder write to a collection, or search it, or refuse; the record is read from the store each time.

    Raises:
        SpaceMismatch: its vectors are of another space.
        StoreError: it has no record of their space.
    """
    record = await stored_record(store)
    try:
        await done(calls.check(record))
    except SpaceMismatch as mismatch:
        raise SpaceMismatch(f"collection {store.name!r}: {mismatch}") from None


async def checking_space(store: Store, space: Space) -> None:
    """The same for vectors that are ready made, in `space`.

    Raises:
        SpaceMismatch, StoreError: see `checking`.
    """
    record = await stored_record(store)
    if differences := record.space.differences(space):
        raise SpaceMismatch(f"collection {store.name!r}: {mismatch_message(record.space, space, differences)}")


async def stored_record(store: Store) -> SpaceRecord:
    """The record that a collection has now.

    Raises:
        SpaceMismatch: it cannot be read.
        StoreError: there is none.
    """
    stored = await done(store.record())
    if stored is None:
        raise StoreError(
            f"collection {store.name!r} does not say what its vectors are: open it once with open_collection, "
            "with adopt=True if this embedder wrote it"
        )
    try:
        return SpaceRecord.from_json(stored)
    except SpaceMismatch as unreadable:
        raise SpaceMismatch(f"collection {store.name!r}: {unreadable}") from None


async def _prove(store: Store, calls: Calls, *, adopt: bool) -> None:
    """Hold the stored vectors of some rows against what the embedder makes of these rows now."""
    some, _ = await done(store.page(None, SAMPLE))
    if not some:
        return
    if not adopt:
        raise StoreError(
            f"collection {store.name!r} has vectors and does not say of which space: embed its documents into a new "
            "collection, or, if this embedder wrote them, open it once with adopt=True, which checks that"
        )
    documents = sorted({row.document for row in some})
    rows = await done(store.held(documents))
    stored = list(await done(store.get([row.id for row in rows])))
    if any(is_blank(one.row.text) for one in stored):
        raise StoreError(f"collection {store.name!r} has rows without text, so that its vectors cannot be checked")
    cosine = min([await agreement(calls, own) for own in _by_document(stored)], default=-1.0)
    if cosine < CANARY_COSINE:
        raise SpaceMismatch(
            f"collection {store.name!r} was not written by this embedder: its documents, embedded again, have a cosine "
            f"of {cosine:.4f} with the vectors stored"
        )


def _by_document(stored: Sequence[Stored]) -> Iterator[list[Stored]]:
    ordered = sorted(stored, key=lambda one: (one.row.document, one.row.span))
    for _, own in groupby(ordered, key=lambda one: one.row.document):
        yield list(own)


async def agreement(calls: Calls, stored: Sequence[Stored]) -> float:
    """The lowest cosine of one document's vectors with what its rows give now, alone or else late-chunked."""
    vectors = np.stack([one.vector for one in stored]).astype(np.float32)
    rows = [one.row for one in stored]
    alone = np.concatenate(await done(calls.embed_late([Document.whole(row.text) for row in rows])))
    if vectors.shape != alone.shape:
        return -1.0
    best = _cosines(vectors, alone)
    if best < CANARY_COSINE and (len(rows) > 1 or rows[0].document != rows[0].id):
        (late,) = await done(calls.embed_late([rebuilt(rows)]))
        best = max(best, _cosines(vectors, late))
    return best


def _cosines(one: FloatArray, other: FloatArray) -> float:
    return float(np.min(np.sum(normalize(one) * normalize(other), axis=1)))


def rebuilt(rows: Sequence[Row]) -> Document:
    """A document of its rows, ordered by their spans; what is in no row was white space, or is lost."""
    text, first = "", rows[0].span[0]
    spans = []
    for row in rows:
        start = row.span[0] - first
        text += "\n" * (start - len(text))
        text += row.text[len(text) - start :]
        spans.append((start, start + len(row.text)))
    return Document.from_spans(text, spans)
