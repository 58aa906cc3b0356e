"""What a collection holds and whether it is sound, without the model that wrote it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.cli.collection import record_of
from twofold.errors import StoreError, TwofoldError

if TYPE_CHECKING:
    from twofold.stores import Held, OpenStore, Stored

SAMPLE = 32
"""Rows that are looked for by their own vectors."""
AMONG = 10
"""How far down the list of what is found a row may stand: others may have the same vector."""


def examine(store: OpenStore) -> tuple[dict[str, Any], list[str]]:
    """Facts of a collection, by their names, and what is wrong with it, in words.

    Raises:
        StoreError: it cannot be read.
    """
    documents: Counter[str] = Counter()
    expected: dict[str, int] = {}
    versions: dict[str, str] = {}
    mixed: set[str] = set()
    sample: list[str] = []
    for number, row in enumerate(store.scan()):
        documents[row.document] += 1
        expected[row.document] = row.rows
        if versions.setdefault(row.document, row.digest) != row.digest:
            mixed.add(row.document)
        _sampled(sample, row, number)
    cut = [name for name, count in documents.items() if count != expected[name] and name not in mixed]
    facts = {"collection": store.name, **_space(store), "documents": len(documents), "rows": documents.total()}
    faults = _said(sorted(mixed), "have rows of two versions: index again")
    faults += _said(sorted(cut), "have not all of their rows: index again")
    return facts, [*faults, *_lost(store, sample)]


def _sampled(sample: list[str], row: Held, number: int) -> None:
    """Keep `SAMPLE` rows spread over all: each 1st, 2nd, 4th … one, by turns."""
    if len(sample) < SAMPLE:
        sample.append(row.id)
    elif number % (1 << (number // SAMPLE).bit_length()) == 0:
        sample[number % SAMPLE] = row.id


def _space(store: OpenStore) -> dict[str, Any]:
    if store.record() is None:
        return {"space": "not said: open it once with adopt=True"}
    space = record_of(store).space
    sides = {
        "query task": f"{space.query_task or 'none'} {space.query_prefix!r}",
        "document task": f"{space.document_task or 'none'} {space.document_prefix!r}",
    }
    return {
        "space": space.tag,
        "model": space.model,
        "from": space.provider or f"weights {(space.weights or '')[:12]}",
        "dimensions": f"{space.dimensions} of {space.width}",
        **sides,
        "unit length": "yes" if space.normalized else "no",
    }


def _said(names: list[str], what: str) -> list[str]:
    return [f"{len(names):,} documents {what} (the first is {names[0]!r})"] if names else []


def _lost(store: OpenStore, sample: list[str]) -> list[str]:
    """What is wrong with some vectors and with the structure that finds them."""
    stored = store.get(sample)
    broken = sorted(one.row.id for one in stored if not np.isfinite(one.vector).all() or not one.vector.any())
    faults = (
        [f"row {broken[0]!r} has a vector that is none ({len(broken)} of {len(stored)} looked at)"] if broken else []
    )
    try:
        missed = sorted(one.row.id for one in stored if one.row.id not in broken and not _finds(store, one))
    except TwofoldError as error:
        raise StoreError(f"collection {store.name!r} cannot be searched: {error}") from None
    if missed:
        faults.append(
            f"{len(missed)} of {len(stored)} rows are not found by their own vectors (the first is {missed[0]!r}): the "
            "store's search structure is damaged; export the collection, drop it and import it again"
        )
    return faults


def _finds(store: OpenStore, one: Stored) -> bool:
    """Whether a row, or one with the same vector, is found by it."""
    hits = store.search(one.vector, AMONG)
    return any(hit.row.id == one.row.id or hit.score > 0.9999 for hit in hits)
