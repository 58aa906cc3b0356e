"""The two ends of a migration: what is to be moved, and what it is moved into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import SpaceMismatch, StoreError
from twofold.jobs.migration.moving import Pair
from twofold.space import SpaceRecord
from twofold.stores.moving import goal_of

if TYPE_CHECKING:
    from twofold.embedder import Embedder
    from twofold.jobs.migration.collection import Collection


def ends(place: Collection, name: str, embedder: Embedder) -> tuple[Collection, Collection]:
    """The collection that is there, and the one that it is to become, which may not be there.

    Args:
        place: any collection of the place.
        name: what users call the one that is to be moved.
        embedder: of the new space.

    Raises:
        SpaceMismatch: it is in that space already.
        StoreError: there is no such collection, or an earlier migration of it was not pruned.
    """
    source = place.beside(name)
    if not source.find():
        raise StoreError(f"there is no collection {name!r} to migrate")
    target = source.beside(f"{name}_{embedder.space.fingerprint}")
    record = source.rows.record()
    if target.name == source.name or (record and not SpaceRecord.from_json(record).space.differences(embedder.space)):
        raise SpaceMismatch(f"collection {name!r} is in this space already: {embedder.space.tag}")
    note = source.note()
    if note is not None or goal_of(source.marks()) not in (None, target.name):
        raise StoreError(
            f"collection {name!r} was moved before, and the old vectors are still there ({source.name!r}): prune that "
            "migration, or roll it back"
        )
    return source, target


def pair(place: Collection, name: str, embedder: Embedder) -> Pair:
    """Both of them, with the note of what was done so far.

    Raises:
        SpaceMismatch, StoreError: see `ends`; or nothing was done.
    """
    source, target = ends(place, name, embedder)
    if not target.find() or (note := target.note()) is None:
        raise StoreError(f"nothing of collection {name!r} was carried over to {target.name!r} yet: apply first")
    return Pair(source, target, note)


def stored(source: Collection) -> tuple[SpaceRecord | None, int | None]:
    """The record of a collection, and the size of its first vector; None for what it has not."""
    record = source.rows.record()
    held = next(source.pages(), ())[:1]
    vectors = [one.vectors for one in source.originals([row.id for row in held], vectors=True).values()]
    size = vectors[0][0].size if vectors and vectors[0] else None
    return (None if record is None else SpaceRecord.from_json(record)), size
