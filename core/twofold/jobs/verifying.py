"""Whether a collection is what it says: its rows, its vectors, and the structure by which these are found."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from twofold.documents import is_blank
from twofold.errors import InputError, StoreError
from twofold.jobs.chunking import SECTION
from twofold.jobs.seen import scratch
from twofold.space import CANARY_COSINE
from twofold.stores.drivers import Calls, run
from twofold.stores.opening import agreement, checking
from twofold.stores.rows import content_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.embedder import Embedder
    from twofold.stores.opened import OpenStore
    from twofold.stores.rows import Held, Stored

SAMPLE = 64
"""Documents that are embedded again and searched for."""

NAMED = 20
"""How many ids a list of faults has at most."""

MOST_ROWS = 1000
"""A document of the sample that has more is only searched for."""

NEAREST = 10
SAME = 1e-4
"""How far a score may be from 1 for two vectors to be one: of rows that say the same, any may come first."""

LEAST_FOUND = 0.98
"""Of the rows of the sample, how many their own vectors must find: a search structure is approximate by nature."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found. The lists name 20 ids at most.

    Attributes:
        documents, rows: how many there are.
        broken: how many documents lack rows or have rows of several versions; index the corpus again.
        broken_ids: the first of them.
        sampled: documents that were taken out at random.
        unchecked: of these, those whose vectors could not be made again: without text, longer than the model takes, or
            late-chunked in sections.
        changed_ids: of these, those whose vectors are not what the embedder makes of them now.
        searched: rows of the sample that were searched for by their own vectors.
        found: how many of them were found. If few are, the search structure is damaged: index with `force`.
        lost_ids: those that were not.
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
    lost_ids: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.broken and not self.changed_ids and self.found >= LEAST_FOUND * self.searched


def verify(embedder: Embedder, store: OpenStore, *, sample: int = SAMPLE, seed: int | None = None) -> Verified:
    """Look at every row, and at the vectors and the search structure by a sample of documents.

    Memory does not grow with the collection. The documents of the sample are embedded again, which a hosted model
    charges for.

    Args:
        embedder: what wrote the collection, with the same way of cutting long texts.
        store: see `twofold.stores.open_store`.
        sample: how many documents.
        seed: draws the same sample each time.

    Raises:
        InputError: a sample of less than one document.
        SpaceMismatch, StoreError: the collection is not of the embedder's space.
        ProviderError: a hosted model failed.
    """
    if sample < 1:
        raise InputError(f"sample={sample}: it must be at least 1")
    run(checking(store.store, Calls(embedder)))
    with _Rows() as rows:
        for held in store.scan():
            rows.add(held)
        drawn = rows.sample(sample, seed)
        broken, broken_ids = rows.broken(NAMED)
        documents, count = rows.counts()
    unchecked, changed, searched, lost = 0, [], 0, []
    for document in drawn:
        ids = [row.id for row in store.held([document])][:MOST_ROWS]
        stored = _stored(store, ids)
        agrees = _agrees(embedder, stored)
        unchecked += agrees is None
        if agrees is False:
            changed.append(document)
        there = {one.row.id: one for one in stored}
        some = ids[: max(1, MOST_ROWS // sample)]
        searched += len(some)
        lost += [key for key in some if key not in there or not _is_found(store, there[key])]
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
        lost_ids=tuple(lost[:NAMED]),
    )


def _stored(store: OpenStore, ids: Sequence[str]) -> Sequence[Stored]:
    """Rows with their vectors; none where the store has lost these, which some say by an error."""
    try:
        return store.get(ids)
    except StoreError:
        return []


def _agrees(embedder: Embedder, stored: Sequence[Stored]) -> bool | None:
    """Whether a document's vectors are what its rows give now; None where that cannot be said."""
    checkable = stored and len(stored) < MOST_ROWS and not any(is_blank(one.row.text) for one in stored)
    if not checkable or max(one.row.span[1] for one in stored) > SECTION:
        return None
    try:
        return run(agreement(Calls(embedder), sorted(stored, key=lambda one: one.row.span))) >= CANARY_COSINE
    except InputError:
        return None


def _is_found(store: OpenStore, one: Stored) -> bool:
    hits = store.search(one.vector, NEAREST)
    same = [hit for hit in hits if hit.score >= 1 - SAME]
    return any(hit.row.id == one.row.id for hit in hits) or len(same) == NEAREST


class _Rows:
    """The rows of a collection by document and version, in a temporary file."""

    def __init__(self) -> None:
        self._db = scratch()
        self._db.execute(
            "CREATE TABLE versions (document TEXT, content TEXT, rows INT, there INT, PRIMARY KEY (document, content))"
            " WITHOUT ROWID"
        )

    def add(self, row: Held) -> None:
        self._db.execute(
            "INSERT INTO versions VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET there = there + 1",
            (row.document, content_of(row.digest), row.rows),
        )

    def broken(self, named: int) -> tuple[int, list[str]]:
        """How many documents are not one whole version, and the ids of some."""
        bad = "SELECT document FROM versions GROUP BY document HAVING COUNT(*) > 1 OR MAX(there) != MAX(rows)"
        (count,) = self._db.execute(f"SELECT COUNT(*) FROM ({bad})").fetchone()  # noqa: S608 - constants alone
        return count, [document for (document,) in self._db.execute(f"{bad} ORDER BY document LIMIT {named:d}")]

    def counts(self) -> tuple[int, int]:
        documents, rows = self._db.execute("SELECT COUNT(DISTINCT document), SUM(there) FROM versions").fetchone()
        return documents, rows or 0

    def sample(self, size: int, seed: int | None) -> list[str]:
        (count,) = self._db.execute("SELECT COUNT(*) FROM versions").fetchone()
        places = set(random.Random(seed).sample(range(count), min(size, count)))  # noqa: S311 - a sample, not a secret
        found = self._db.execute("SELECT document FROM versions ORDER BY document")
        return list(dict.fromkeys(document for place, (document,) in enumerate(found) if place in places))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
