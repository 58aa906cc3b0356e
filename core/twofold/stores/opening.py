"""Opening a collection: it is found or created, and its record is compared with the embedder's space."""

from __future__ import annotations

from contextlib import contextmanager
from inspect import iscoroutinefunction
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import Document, is_blank
from twofold.errors import InputError, SpaceMismatch, StoreError
from twofold.space import CANARY_COSINE, SpaceRecord, mismatch_message
from twofold.stores.store import connect_store
from twofold.stores.threads import invoke, run_in_thread
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
) -> Iterator[Store]:
    """Open the collection `name` at `address`, "<scheme>:<where>" (`chroma:./folder`, `weaviate:http://localhost:8080`).

    Raises:
        InputError: an unknown scheme; the message lists the installed ones.
        MissingExtra: the scheme is known, but its library is not installed.
        SpaceMismatch, StoreError: see `open_collection`.
    """
    store = connect_store(address, name)
    try:
        open_collection(store, embedder, create=create, adopt=adopt)
        yield store
    finally:
        store.close()


def open_collection(store: Store, embedder: Embedder, *, create: bool = True, adopt: bool = False) -> None:
    """Find or create the collection of `store`, and check that `embedder` matches it.

    Args:
        store: the collection; it need not exist.
        embedder: what will write and search it.
        create: create the collection if it is missing, with the embedder's record.
        adopt: accept a collection that has rows but no record, if some of its rows, embedded again, give the stored
            vectors. An empty collection without a record is always accepted.

    Raises:
        SpaceMismatch: its vectors are of another space; the message names both spaces and what differs.
        StoreError: the collection is missing and `create` is false, or it has rows without a record and `adopt` is
            false.
    """
    if iscoroutinefunction(store.find):
        raise InputError(
            f"{type(store).__name__} has coroutine methods: make them plain, and pass what an asynchronous client "
            "returns through twofold.adapters.resolve"
        )
    if not store.find():
        if not create:
            raise StoreError(f"there is no collection {store.name!r}, and it was not to be made")
        store.make(invoke(embedder, "record").to_json(), embedder)
    if store.record() is None:
        _prove(store, embedder, adopt=adopt)
        store.stamp(invoke(embedder, "record").to_json(), embedder)
    check_record(store, embedder)


async def aopen_collection(store: Store, embedder: Embedder, *, create: bool = True, adopt: bool = False) -> None:
    """`open_collection` without blocking the event loop; the store may have an asynchronous client."""
    await run_in_thread(open_collection, store, embedder, create=create, adopt=adopt)


def check_record(store: Store, embedder: Embedder) -> None:
    """Check that `embedder` matches the collection's record, which is read from the store each time.

    Raises:
        SpaceMismatch: the collection's vectors are of another space.
        StoreError: it has no record.
    """
    record = read_record(store)
    try:
        invoke(embedder, "check", record)
    except SpaceMismatch as mismatch:
        raise SpaceMismatch(f"collection {store.name!r}: {mismatch}") from None


def check_space(store: Store, space: Space) -> None:
    """Like `check_record`, for vectors that were made earlier, in `space`.

    Raises:
        SpaceMismatch, StoreError: see `check_record`.
    """
    record = read_record(store)
    if differences := record.space.differences(space):
        raise SpaceMismatch(f"collection {store.name!r}: {mismatch_message(record.space, space, differences)}")


def read_record(store: Store) -> SpaceRecord:
    """Return the collection's current record.

    Raises:
        SpaceMismatch: it cannot be read.
        StoreError: there is none.
    """
    stored = store.record()
    if stored is None:
        raise StoreError(
            f"collection {store.name!r} does not say what its vectors are: open it once with open_collection, "
            "with adopt=True if this embedder wrote it"
        )
    try:
        return SpaceRecord.from_json(stored)
    except SpaceMismatch as unreadable:
        raise SpaceMismatch(f"collection {store.name!r}: {unreadable}") from None


def _prove(store: Store, embedder: Embedder, *, adopt: bool) -> None:
    """Compare the stored vectors of some rows with what the embedder makes of these rows now."""
    some, _ = store.page(None, SAMPLE)
    if not some:
        return
    if not adopt:
        raise StoreError(
            f"collection {store.name!r} has vectors and does not say of which space: embed its documents into a new "
            "collection, or, if this embedder wrote them, open it once with adopt=True, which checks that"
        )
    rows = store.held(sorted({row.document for row in some}))
    stored = list(store.get([row.id for row in rows]))
    if any(is_blank(one.row.text) for one in stored):
        raise StoreError(f"collection {store.name!r} has rows without text, so that its vectors cannot be checked")
    cosine = min((agreement(embedder, own) for own in _by_document(stored)), default=-1.0)
    if cosine < CANARY_COSINE:
        raise SpaceMismatch(
            f"collection {store.name!r} was not written by this embedder: its documents, embedded again, have a cosine "
            f"of {cosine:.4f} with the vectors stored"
        )


def _by_document(stored: Sequence[Stored]) -> Iterator[list[Stored]]:
    ordered = sorted(stored, key=lambda one: (one.row.document, one.row.span))
    for _, own in groupby(ordered, key=lambda one: one.row.document):
        yield list(own)


def agreement(embedder: Embedder, stored: Sequence[Stored]) -> float:
    """Embed one document's rows again, each alone or late-chunked; return the lowest cosine with the stored vectors."""
    vectors = np.stack([one.vector for one in stored]).astype(np.float32)
    rows = [one.row for one in stored]
    alone = np.concatenate(invoke(embedder, "embed_late", [Document.whole(row.text) for row in rows]))
    if vectors.shape != alone.shape:
        return -1.0
    best = _cosine(vectors, alone)
    if best < CANARY_COSINE and (len(rows) > 1 or rows[0].document != rows[0].id):
        (late,) = invoke(embedder, "embed_late", [rebuild(rows)])
        best = max(best, _cosine(vectors, late))
    return best


def _cosine(one: FloatArray, other: FloatArray) -> float:
    return float(np.min(np.sum(normalize(one) * normalize(other), axis=1)))


def rebuild(rows: Sequence[Row]) -> Document:
    """Return the document of these rows, which are ordered by their spans. Gaps between rows become line breaks."""
    text, first = "", rows[0].span[0]
    spans = []
    for row in rows:
        start = row.span[0] - first
        text += "\n" * (start - len(text))
        text += row.text[len(text) - start :]
        spans.append((start, start + len(row.text)))
    return Document.from_spans(text, spans)
