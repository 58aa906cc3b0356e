"""Checks a collection: its rows, its vectors and its search index."""

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
"""Documents that are embedded again and searched for."""

NAMED = 20
"""The most ids in a list of faults."""

MOST_ROWS = 1000
"""How many rows of one document are checked, from the first."""

NEAREST = 10
SAME = 1e-4
"""Scores this close to 1 mean equal vectors. Rows with equal vectors may be returned in any order."""

LEAST_FOUND = 0.8
"""The share of sampled rows that a search with their own vectors must find. It is below 1 because indexes approximate.

With 2,500 documents that differ in one word, Chroma finds 94 to 100 %, and 20 % after its index files were deleted.
"""


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of `verify`. Each list names at most 20 ids.

    Attributes:
        documents, rows: how many there are.
        broken: documents with missing rows or with rows of several versions.
        broken_ids: the first of them.
        sampled: documents drawn at random.
        unchecked: sampled documents that were not embedded again: there was no embedder or no text, or they exceed the
            model's maximum. If a long document was late-chunked in sections, only one section is embedded again.
        changed_ids: sampled documents whose stored vectors differ from what the embedder computes now.
        searched: sampled rows that were searched for with their own vectors.
        found: how many of them were found.
        damaged: how many have a missing, zero or non-finite vector, so that they cannot be found.
        lost_ids: rows that were not found, including damaged ones.
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
        """One sentence for each fault, with its remedy. Empty if there are no faults."""
        lost, said = self.searched - self.found, []
        if self.broken:
            said.append(
                f"{self.broken:,} documents have missing rows, or rows of several versions: index again "
                f"({_named(self.broken_ids)})"
            )
        if self.changed_ids:
            said.append(
                "documents have vectors that differ from what the embedder computes now: index again with force "
                f"({_named(self.changed_ids)})"
            )
        if self.damaged or self.found < LEAST_FOUND * self.searched:
            said.append(
                f"{lost:,} of {self.searched:,} rows are not found by their own vectors: the store's search index is "
                "damaged; index again with force, or export the collection, drop it and import it again "
                f"({_named(self.lost_ids)})"
            )
        return said

    @property
    def sound(self) -> bool:
        """Whether there are no faults."""
        return not self.faults


def verify(embedder: Embedder | None, store: Store, *, sample: int = SAMPLE, seed: int | None = None) -> Verified:
    """Check every row, and check the vectors and the search index on a sample of documents.

    Memory does not grow with the collection. Sampled documents are embedded again. A hosted model charges for that.

    Args:
        embedder: the embedder that wrote the collection, with the same truncation; None skips embedding again.
        store: see `twofold.stores.open_store`.
        sample: how many documents.
        seed: makes the sample repeatable.

    Raises:
        InputError: `sample` is below 1.
        SpaceMismatch: the collection belongs to another space.
        StoreError: the collection cannot be read or searched.
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
    """A sort key: the row's number in its document, taken from its id."""
    number = key.rpartition("#")[2]
    return int(number) if number.isdecimal() else 0, key


def _stored(store: Store, ids: Sequence[str]) -> Sequence[Stored]:
    """Rows with their vectors. Empty if the store has lost them, which some stores report as an error."""
    try:
        return store.get(ids)
    except StoreError:
        return []


def _agrees(embedder: Embedder, stored: Sequence[Stored], *, whole: bool) -> bool | None:
    """Whether the stored vectors of a document's first section equal newly computed ones. None if it cannot be checked.

    Args:
        embedder: computes the new vectors.
        stored: the first rows of the document.
        whole: whether these are all its rows.
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
