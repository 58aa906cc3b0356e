"""Opening a collection: it is found or created, and its record is compared with the embedder's space."""

from __future__ import annotations

import random
import warnings
from contextlib import contextmanager
from inspect import iscoroutinefunction
from itertools import groupby, islice
from math import isfinite, isqrt
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from twofold.documents import Document, is_blank
from twofold.errors import AdoptionWarning, InputError, SpaceMismatch, StoreError
from twofold.space import CANARY_COSINE, SpaceRecord, mismatch_message
from twofold.stores.store import connect_store, scan_rows
from twofold.stores.threads import invoke, run_in_thread
from twofold.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.embedder import Embedder
    from twofold.space import Space
    from twofold.stores.rows import Row, Stored
    from twofold.stores.store import Store
    from twofold.vectors import FloatArray

FEWEST, MOST = 128, 1000
"""Rows that are drawn, at least and at most, to adopt a collection; in between, the square root of their number."""

AT_ONCE = 256
"""Drawn rows whose documents are embedded again at a time."""

Adopt: TypeAlias = Literal[False, True, "all"]
"""Whether to accept a collection without a record: not at all, after checking a random sample, or all rows."""


@contextmanager
def open_store(
    address: str, name: str, embedder: Embedder, *, create: bool = True, adopt: Adopt = False
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


def open_collection(store: Store, embedder: Embedder, *, create: bool = True, adopt: Adopt = False) -> None:
    """Find or create the collection of `store`, and check that `embedder` matches it.

    Args:
        store: the collection; it need not exist.
        embedder: what will write and search it.
        create: create the collection if it is missing, with the embedder's record.
        adopt: accept a collection that has rows but no record, if rows drawn at random over all of it, embedded again,
            give the stored vectors: all of up to 128 rows, 128 to 1,000 of a larger collection. An `AdoptionWarning`
            says how certain a sample is; "all" checks every row. An empty collection without a record is always
            accepted.

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
        _prove(store, embedder, adopt)
        store.stamp(invoke(embedder, "record").to_json(), embedder)
    check_record(store, embedder)


async def aopen_collection(store: Store, embedder: Embedder, *, create: bool = True, adopt: Adopt = False) -> None:
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


def _prove(store: Store, embedder: Embedder, adopt: Adopt) -> None:
    """Compare the stored vectors of rows drawn at random with what the embedder makes of these rows now."""
    count = store.count()
    if not count:
        return
    if not adopt:
        raise StoreError(
            f"collection {store.name!r} has vectors and does not say of which space: embed its documents into a new "
            "collection, or, if this embedder wrote them, open it once with adopt=True, which checks that"
        )
    size = count if adopt == "all" else min(count, max(FEWEST, min(isqrt(count), MOST)))
    places = set(random.SystemRandom().sample(range(count), size))
    drawn = (row for place, row in enumerate(scan_rows(store)) if size == count or place in places)
    seen: set[str] = set()
    checked = 0
    while some := list(islice(drawn, AT_ONCE)):
        documents = sorted({row.document for row in some} - seen)
        seen.update(documents)
        checked += _prove_documents(store, embedder, documents) if documents else 0
    if not checked:
        raise StoreError(f"collection {store.name!r} has {count} rows, but lists none that could be checked")
    if checked < count:
        share = 100 * (1 - 0.05 ** (1 / size))
        warnings.warn(
            f"collection {store.name!r} was adopted by a sample: {size:,} of {count:,} rows, drawn at random and "
            f"embedded again, give the stored vectors. A share of foreign rows above {share:.1f} % would have been "
            'seen with 95 % certainty; adopt="all" checks every row',
            AdoptionWarning,
            stacklevel=4,
        )


def _prove_documents(store: Store, embedder: Embedder, documents: Sequence[str]) -> int:
    """Check all rows of these documents; return their number."""
    rows = store.held(documents)
    stored = list(store.get([row.id for row in rows]))
    if any(is_blank(one.row.text) for one in stored):
        raise StoreError(f"collection {store.name!r} has rows without text, so that its vectors cannot be checked")
    stored.sort(key=lambda one: (one.row.document, one.row.section, one.row.span))
    grouped = [list(own) for _, own in groupby(stored, key=lambda one: (one.row.document, one.row.section))]
    cosines = agreements(embedder, grouped)
    lowest = min(cosines, default=-1.0)
    if lowest < CANARY_COSINE:
        foreign = f"document {grouped[cosines.index(lowest)][0].row.document!r}" if grouped else "a document"
        raise SpaceMismatch(
            f"collection {store.name!r} was not written by this embedder alone: {foreign}, embedded again, has a "
            f"cosine of {lowest:.4f} with the vectors stored"
        )
    return len(rows)


def agreements(embedder: Embedder, documents: Sequence[Sequence[Stored]]) -> list[float]:
    """Embed the rows of documents, or of sections of documents, again: each row alone, or late-chunked.

    Returns for each the lowest cosine with its stored vectors, -1 if these have another size.
    """
    texts = [Document.whole(one.row.text) for stored in documents for one in stored]
    alone = iter(invoke(embedder, "embed_late", texts) if texts else ())
    vectors = [np.stack([one.vector for one in stored]).astype(np.float32) for stored in documents]
    best = [_cosine(own, np.concatenate([next(alone) for _ in own])) for own in vectors]
    rows = [[one.row for one in stored] for stored in documents]
    cut = [
        place
        for place, own in enumerate(rows)
        if -1 < best[place] < CANARY_COSINE and (len(own) > 1 or own[0].document != own[0].id)
    ]
    if cut:
        late = invoke(embedder, "embed_late", [rebuild(rows[place]) for place in cut])
        for place, array in zip(cut, late, strict=True):
            best[place] = max(best[place], _cosine(vectors[place], array))
    return best


def _cosine(one: FloatArray, other: FloatArray) -> float:
    """Return the lowest cosine of two arrays' rows; -1 if their shapes differ, or one is not finite."""
    if one.shape != other.shape:
        return -1.0
    lowest = float(np.min(np.sum(normalize(one) * normalize(other), axis=1)))
    return lowest if isfinite(lowest) else -1.0


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
