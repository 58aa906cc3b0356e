"""Whether a collection is what it says: its rows, its vectors, and the structure by which these are found."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import is_blank
from twofold.errors import InputError, StoreError
from twofold.jobs.versions import Versions
from twofold.space import CANARY_COSINE
from twofold.stores.opening import agreements, check_record
from twofold.stores.store import scan_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.stores.rows import Stored
    from twofold.stores.store import Store

SAMPLE = 64
"""Documents that are looked at one by one."""

NAMED = 20
"""How many ids a list of faults has at most."""

MOST_ROWS = 1000
"""Rows of one document that are looked at, the first ones."""

NEAREST = 10
SAME = 1e-4
"""How far a score may be from 1 for two vectors to be one: of rows that say the same, any may come first."""

LEAST_FOUND = 0.8
"""Of the rows of the sample, how many their own vectors must find: a search structure is approximate by nature.

Of 2,500 documents that differ in a word Chroma's finds 94 to 100 in 100, and 20 where its files were deleted.
"""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found. The lists name 20 ids at most.

    Attributes:
        documents, rows: how many there are.
        broken: how many documents lack rows or have rows of several versions.
        broken_ids: the first of them.
        sampled: documents that were drawn at random.
        unchecked: of these, those whose vectors were not made again: without an embedder, without text, or longer than
            the model takes. Of a long document that was late-chunked in sections, one section is.
        changed_ids: of these, those whose vectors are not what the embedder makes of them now.
        searched: rows of the sample that were searched for by their own vectors.
        found: how many of them were found.
        damaged: how many have no vector that could find them: it is lost, zero or not finite.
        lost_ids: those that were not found, the damaged ones among them.
    """

    documents: int
    rows: int
    broken: int
    broken_ids: tuple[str, ...]
    sampled: int
    unchecked: int
    changed_ids: tuple[str, ...]
    searched: int
    found: int
    damaged: int
    lost_ids: tuple[str, ...]

    @property
    def faults(self) -> list[str]:
        """What is wrong, and the way out, in a sentence each; empty where nothing is."""
        lost, said = self.searched - self.found, []
        if self.broken:
            said.append(
                f"{self.broken:,} documents have not all of their rows, or rows of two versions: index again "
                f"({_named(self.broken_ids)})"
            )
        if self.changed_ids:
            said.append(
                "documents have other vectors than the embedder makes of them now: index again with force "
                f"({_named(self.changed_ids)})"
            )
        if self.damaged or self.found < LEAST_FOUND * self.searched:
            said.append(
                f"{lost:,} of {self.searched:,} rows are not found by their own vectors: the store's search structure "
                "is damaged; index again with force, or export the collection, drop it and import it again "
                f"({_named(self.lost_ids)})"
            )
        return said

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify(embedder: Embedder | None, store: Store, *, sample: int = SAMPLE, seed: int | None = None) -> Verified:
    """Look at every row, and at the vectors and the search structure by a sample of documents.

    Memory does not grow with the collection. The documents of the sample are embedded again, which a hosted model
    charges for.

    Args:
        embedder: what wrote the collection, with the same way of cutting long texts; None embeds nothing again.
        store: see `twofold.stores.open_store`.
        sample: how many documents.
        seed: draws the same sample each time.

    Raises:
        InputError: a sample of less than one document.
        SpaceMismatch, StoreError: the collection is not of the embedder's space, or cannot be searched.
        ProviderError: a hosted model failed.
    """
    if sample < 1:
        raise InputError(f"sample={sample}: it must be at least 1")
    if embedder is not None:
        check_record(store, embedder)
    with Versions() as versions:
        for held in scan_rows(store):
            versions.add(held)
        drawn = versions.sample(sample, seed)
        broken, broken_ids = versions.broken(NAMED)
        documents, count = versions.counts()
    unchecked, changed, searched, damaged, lost = 0, [], 0, 0, []
    for document in drawn:
        ids = sorted((row.id for row in store.held([document])), key=_place)
        stored = _stored(store, ids[:MOST_ROWS])
        agrees = None if embedder is None else _agrees(embedder, stored, whole=len(ids) <= MOST_ROWS)
        unchecked += agrees is None
        if agrees is False:
            changed.append(document)
        there = {one.row.id: one for one in stored}
        some = ids[: max(1, MOST_ROWS // sample)]
        searched += len(some)
        usable = [key for key in some if key in there and _can_be_found(there[key])]
        damaged += len(some) - len(usable)
        lost += [key for key in some if key not in usable or not _is_found(store, there[key])]
    return Verified(
        documents=documents,
        rows=count,
        broken=broken,
        broken_ids=tuple(broken_ids),
        sampled=len(drawn),
        unchecked=unchecked,
        changed_ids=tuple(changed[:NAMED]),
        searched=searched,
        found=searched - len(lost),
        damaged=damaged,
        lost_ids=tuple(lost[:NAMED]),
    )


def _named(ids: Sequence[str]) -> str:
    return f"the first: {', '.join(map(repr, ids[:NAMED]))}"


def _place(key: str) -> tuple[int, str]:
    """A row's number in its document, by its id."""
    number = key.rpartition("#")[2]
    return int(number) if number.isdecimal() else 0, key


def _stored(store: Store, ids: Sequence[str]) -> Sequence[Stored]:
    """Rows with their vectors; none where the store has lost these, which some say by an error."""
    try:
        return store.get(ids)
    except StoreError:
        return []


def _agrees(embedder: Embedder, stored: Sequence[Stored], *, whole: bool) -> bool | None:
    """Whether the vectors of a document's first section are what its rows give now; None where that cannot be said.

    Args:
        embedder: what makes them again.
        stored: rows of the document, from the first on.
        whole: whether these are all of them.
    """
    if not stored or any(is_blank(one.row.text) for one in stored):
        return None
    ordered = sorted(stored, key=lambda one: one.row.span)
    sections = [list(rows) for _, rows in groupby(ordered, key=lambda one: one.row.section)]
    try:
        agrees = agreements(embedder, sections[:1])[0] >= CANARY_COSINE
    except InputError:
        return None
    return agrees if agrees or whole or len(sections) > 1 else None


def _can_be_found(one: Stored) -> bool:
    return bool(np.isfinite(one.vector).all() and one.vector.any())


def _is_found(store: Store, one: Stored) -> bool:
    hits = store.search(one.vector, NEAREST)
    same = [hit for hit in hits if hit.score >= 1 - SAME]
    return any(hit.row.id == one.row.id for hit in hits) or len(same) == NEAREST
