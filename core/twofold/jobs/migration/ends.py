"""The two ends of a migration: what is to be moved, and what it is moved into."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from twofold.errors import InputError, SpaceMismatch, StoreError
from twofold.jobs.migration.collection import Note
from twofold.jobs.migration.moving import Pair, check_returned
from twofold.jobs.migration.planning import Planning
from twofold.space import SpaceRecord
from twofold.stores.moving import goal_of
from twofold.stores.opening import check_record

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def prepared(
    both: tuple[Collection, Collection],
    name: str,
    embedder: Embedder,
    old: Sequence[Embedder],
    *,
    late: bool | None,
    skip: bool,
    discard: bool,
) -> Pair:
    """Both of them, the target made where it is not there.

    Args:
        both: what `ends` found.
        name: what users call the one that is to be moved.
        embedder: of the new space.
        old: what may have made the old vectors.
        late: whether chunks are embedded in their documents; None is what `old` proves.
        skip: whether rows that cannot be embedded are left out.
        discard: whether what was written to the target before it was rolled back may go.

    Raises:
        InputError: whether chunks were late-chunked has to be said.
        StoreError: it is being cut over; another collection has the target's name; something would be lost.
    """
    source, target = both
    if goal_of(source.marks()) is not None:
        raise StoreError(f"collection {name!r} is being cut over, or was: cut over again, or roll it back")
    if not target.find():
        note = Note(name, source.name, late=_late(source, target, embedder, old, late), skip=skip)
        target.make_like(source, embedder.record().to_json(), embedder, note)
        target.find()
        return Pair(source, target, note)
    before = target.note()
    if before is None or before.source != source.name:
        raise StoreError(f"collection {target.name!r} is there, and no migration has made it: remove it first")
    check_record(target.rows, embedder)
    if before.served and not discard:
        check_returned(source, target)
    note = replace(before, late=before.late if late is None else late, skip=skip, cutting=False, served=False)
    target.keep(note)
    return Pair(source, target, note)


def _late(
    source: Collection, target: Collection, embedder: Embedder, old: Sequence[Embedder], late: bool | None
) -> bool:
    if late is None:
        late = Planning(source, target, embedder, old, None).decide()
    if late is None:
        raise InputError(
            f"collection {source.name!r} has chunks, and whether they were late-chunked is not known: give the "
            "embedder that made them as old=, which shows it, or say late_chunking=True or False"
        )
    return late


def maker(source: Collection, target: Collection, old: Sequence[Embedder]) -> Embedder:
    """Of the old embedders, the one that the source is of: as its record says, or as its vectors prove.

    Raises:
        InputError: none is.
    """
    if source.rows.record() is not None:
        for embedder in old:
            with suppress(SpaceMismatch):
                check_record(source.rows, embedder)
                return embedder
    elif old:
        planning = Planning(source, target, old[0], old, late=True)
        planning.decide()
        for embedder, proof in zip(old, planning.plan.proofs, strict=True):
            if proof.proved:
                return embedder
    raise InputError(
        f"what was written since the cutover has to be embedded as {source.name!r} is, and no embedder that was given "
        "is of its space: give the one that made its vectors as old="
    )


def stored(place: Collection) -> tuple[SpaceRecord | None, int | None]:
    """The record of the collection that is moved, or was, and the size of its first vector; None for what it has not.

    Args:
        place: the collection of the name that users know.

    Raises:
        StoreError: there is none.
    """
    if not place.find():
        raise StoreError(f"there is no collection {place.name!r} to migrate")
    if (note := place.note()) is not None:  # an alias, which was moved
        place = place.beside(note.source)
        place.find()
    record = place.rows.record()
    held = next(place.pages(), ())[:1]
    vectors = [one.vectors for one in place.originals([row.id for row in held], vectors=True).values()]
    size = vectors[0][0].size if vectors and vectors[0] else None
    return (None if record is None else SpaceRecord.from_json(record)), size
